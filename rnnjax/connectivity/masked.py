"""Weights where there are synapses, and none elsewhere."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._gate import one_number
from rnnjax._machine.verb import verb
from rnnjax._parameter import counted, parameter
from rnnjax._types import Array, Key, Matrix, Shaped
from rnnjax.connectivity._base import (
    AbstractConnectivity,
    check_density,
    check_mask,
    check_square,
    masked,
    truths,
)


class Masked(AbstractConnectivity):
    r"""Only the synapses that are there: $M_{ij} = m_{ij} W_{ij}$, $m_{ij} \in \{0, 1\}$.

    $W$ is free and $m$ fixed, so no fit can grow a synapse. The default is the pair of Dayan and
    Abbott (2001), section 7.5, whose inhibitory unit does not inhibit itself.

    Args:
        weights: `(units, units)`, `[post, pre]`; what the mask leaves out does not count.
        mask: `(units, units)`, whether there is a synapse onto the first from the second.

    Raises:
        ValueError: if `weights` is not square or `mask` has another shape.
    """

    weights: Matrix = parameter([[1.25, -1.0], [1.0, 0.0]], "1", doc="weights [post, pre]")
    mask: Shaped[Any, "..."] | None = eqx.field(
        converter=partial(truths, name="Masked.mask"),
        default_factory=lambda: np.array([[True, True], [True, False]]),
    )

    def __check_init__(self) -> None:
        """Refuse a matrix that is not square, or a mask that does not fit it."""
        check_square("Masked", self.weights)
        check_mask("Masked", self.mask, self.weights)

    @classmethod
    @verb
    def random(cls, units: int, *, key: Key, gain: float = 1.5, density: float = 0.1) -> "Masked":
        r"""Each synapse is there with probability $p$, and then $M_{ij} \sim N(0, g^2 / (p N))$.

        Args:
            units: $N$.
            key: a JAX random key.
            gain: $g$, the radius of the spectrum of many units.
            density: $p$, in (0, 1].

        Raises:
            ValueError: for a density that is none.
        """
        gain, density = one_number(gain, "gain"), one_number(density, "density")
        check_density("Masked", density)
        of_weights, of_mask = jax.random.split(key)
        shape = (counted(units, "units"),) * 2
        drawn = jax.random.normal(of_weights, shape, jnp.result_type(float))
        scale = gain / np.sqrt(density * units)
        return cls(drawn * scale.astype(drawn.dtype), jax.random.bernoulli(of_mask, density, shape))

    def matrix(self) -> Array:
        """The weights of the synapses that are there, 0 elsewhere."""
        return masked(self.mask, self.weights)

    @property
    def units(self) -> int:
        """The number of units."""
        return self.weights.shape[0]  # pyright: ignore
