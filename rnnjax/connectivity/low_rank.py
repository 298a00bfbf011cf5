"""Weights of low rank."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Array, Float
from rnnjax.connectivity._base import AbstractConnectivity, product

_PHASE = 2 * np.pi * np.arange(1, 101) / 100


class LowRank(AbstractConnectivity):
    r"""Weights that read the rates out along a few directions and write them back along others.

    $M = \frac{1}{N} \sum_r m_r n_r^\top$

    $m_r$ (`left`) is the direction written to, $n_r$ (`right`) the one read. A product costs
    O(N r). The default, $m$ the cosine and sine on a ring of 100 units and $n = 1.8\, m$, has
    the two eigenvalues 0.9 of `Cosine()`.

    Args:
        left: `(post, rank)`.
        right: `(pre, rank)`.

    Raises:
        ValueError: if the two do not have the same shape, or hold numbers that are not finite.

    References:
        Mastrogiuseppe and Ostojic (2018), Neuron 99:609-623, equation 3.
    """

    left: Float[Any, "post rank"] = parameter(
        np.stack([np.cos(_PHASE), np.sin(_PHASE)], 1), "1", doc="directions written to"
    )
    right: Float[Any, "pre rank"] = parameter(
        1.8 * np.stack([np.cos(_PHASE), np.sin(_PHASE)], 1), "1", doc="directions read"
    )

    def __check_init__(self) -> None:
        """Refuse directions that do not fit together."""
        shapes = jnp.shape(self.left), jnp.shape(self.right)
        if shapes[0] != shapes[1] or len(shapes[0]) != 2:
            raise ValueError(
                f"LowRank: expected left and right both (units, rank), got {shapes[0]} and "
                f"{shapes[1]}: give one column per rank in each"
            )
        if 0 in shapes[0]:
            raise ValueError(
                f"LowRank: expected at least one unit and one direction, got shape {shapes[0]}"
            )

    def matrix(self) -> Array:
        """The weights, the receiving unit first."""
        return jnp.matmul(self.left, self.right.T, precision="highest") / self.units

    def __call__(self, rates: Float[Any, " pre"]) -> Float[Any, " post"]:
        """The drive of `rates`: read along `right`, write along `left`."""
        return product(self.left, product(self.right.T, rates)) / self.units

    @property
    def units(self) -> int:
        """The number of units."""
        return self.left.shape[0]
