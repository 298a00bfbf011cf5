"""Weights where there are synapses, and none elsewhere."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import counted, parameter
from rnnjax._types import Array, Key, Matrix, is_traced
from rnnjax.connectivity._base import AbstractConnectivity, check_square


def _truths(mask: Any) -> Any:
    return mask if is_traced(mask) else np.asarray(mask, bool)


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
    mask: Any = eqx.field(
        converter=_truths, default_factory=lambda: np.array([[True, True], [True, False]])
    )

    def __check_init__(self) -> None:
        """Refuse a matrix that is not square, or a mask that does not fit it."""
        check_square("Masked", self.weights)
        if np.shape(self.mask) != np.shape(self.weights):
            raise ValueError(
                f"Masked.mask: expected the shape of the weights, {np.shape(self.weights)}, got "
                f"{np.shape(self.mask)}"
            )

    @classmethod
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
        if not 0 < density <= 1:
            raise ValueError(f"Masked.random: expected a density in (0, 1], got {density!r}")
        of_weights, of_mask = jax.random.split(key)
        shape = (counted(units, "units"),) * 2
        drawn = jax.random.normal(of_weights, shape, jnp.result_type(float))
        scale = gain / np.sqrt(density * units)
        return cls(drawn * scale.astype(drawn.dtype), jax.random.bernoulli(of_mask, density, shape))

    def matrix(self) -> Array:
        """The weights of the synapses that are there, 0 elsewhere."""
        return jnp.where(self.mask, self.weights, jnp.zeros_like(self.weights))

    @property
    def units(self) -> int:
        """The number of units."""
        return self.weights.shape[0]  # pyright: ignore
