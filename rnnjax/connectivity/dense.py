"""Every weight free."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._gate import one_number
from rnnjax._machine.verb import verb
from rnnjax._parameter import counted, parameter
from rnnjax._types import Key, Matrix
from rnnjax.connectivity._base import AbstractConnectivity, check_square


class Dense(AbstractConnectivity):
    r"""All-to-all weights without a constraint: $M_{ij}$ onto $i$ from $j$.

    The default is the excitatory-inhibitory pair of Dayan and Abbott (2001), section 7.5.

    Args:
        weights: `(units, units)`, `[post, pre]`.

    Raises:
        ValueError: if `weights` is not square or holds a number that is not finite.
    """

    weights: Matrix = parameter([[1.25, -1.0], [1.0, 0.0]], "1", doc="weights [post, pre]")

    def __check_init__(self) -> None:
        """Refuse a matrix that is not square."""
        check_square("Dense", self.weights)

    @classmethod
    @verb
    def random(cls, units: int, *, key: Key, gain: float = 1.5) -> "Dense":
        r"""Independent normal weights, $M_{ij} \sim N(0, g^2 / N)$; the spectrum fills a disk of radius $g$.

        Args:
            units: $N$.
            key: a JAX random key.
            gain: $g$; above 1, tanh units with these weights are chaotic.

        References:
            Sompolinsky, Crisanti and Sommers (1988), Physical Review Letters 61:259-262.
        """
        gain = one_number(gain, "gain")
        drawn = jax.random.normal(key, (counted(units, "units"),) * 2, jnp.result_type(float))
        return cls(gain * drawn / np.sqrt(units).astype(drawn.dtype))

    def matrix(self) -> Any:
        """The weights themselves."""
        return self.weights

    @property
    def units(self) -> int:
        """The number of units."""
        return self.weights.shape[0]  # pyright: ignore
