"""What every connectivity is: free numbers, a constrained matrix, and its product with rates."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Shaped

from rnnjax._parameter import Parametric
from rnnjax._types import Float

_LARGEST_UNROLLED = 4  # up to here sums over elements beat a matrix product on CPUs, 3-20 times


class AbstractConnectivity(Parametric):
    """Who drives whom: `weights[post, pre]`.

    The fields are free numbers, `matrix()` is what they stand for under the constraint of the
    type (symmetric, Dale, low rank): whatever a fit does to the fields, the constraint holds.
    """

    @abc.abstractmethod
    def matrix(self) -> Float[Any, "post pre"]:
        """The weights, the receiving unit first."""

    def __call__(self, rates: Float[Any, " pre"]) -> Float[Any, " post"]:
        """The drive that `rates` give: the matrix times the rates."""
        return product(self.matrix(), rates)

    @property
    @abc.abstractmethod
    def units(self) -> int:
        """The number of receiving units."""


def product(matrix: Shaped[Any, "post pre"], rates: Shaped[Any, " pre"]) -> Shaped[Any, " post"]:
    """`matrix @ rates` in full precision on every device; sums for the smallest circuits."""
    if matrix.shape[-1] <= _LARGEST_UNROLLED:
        return (matrix * rates).sum(-1)
    return jnp.matmul(matrix, rates, precision=jax.lax.Precision.HIGHEST)


def check_square(name: str, weights: Any) -> None:
    """Refuse weights that are no square matrix.

    Raises:
        ValueError: with the shape that came.
    """
    shape = jnp.shape(weights)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(
            f"{name}.weights: expected a square matrix [post, pre], got shape {shape}: "
            "give one row per receiving unit and one column per sending unit"
        )
