"""What every connectivity is: free numbers, a constrained matrix, and its product with rates."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._gate import own_truths
from rnnjax._numerics.implicit import is_symbolic
from rnnjax._parameter import Parametric
from rnnjax._types import Array, Expected, Float, Matrix, Shaped

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
    return times(matrix, rates)


def times(matrix: Shaped[Any, "post pre"], rates: Shaped[Any, " pre"]) -> Shaped[Any, " post"]:
    """`matrix @ rates` in full precision, always as a product of matrices."""
    return _times(matrix, rates)


@jax.custom_jvp
def _times(matrix: Shaped[Any, "post pre"], rates: Shaped[Any, " pre"]) -> Any:
    return jnp.matmul(matrix, rates, precision=jax.lax.Precision.HIGHEST)


def _times_jvp(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    # The plain derivative, except that the transpose which a gradient meets on its way back is laid
    # out as a matrix, once before the loop: XLA for CPUs multiplies by it twice as fast as by
    # another matrix's transpose, which small loops would even do by plain sums, ten times slower.
    # (Forward mode through large batches of networks pays for it, with two to four times as long.)
    (matrix, rates), (of_matrix, of_rates) = primals, tangents
    found = _times(matrix, rates)
    moved = jnp.zeros_like(found)
    if not is_symbolic(of_matrix):
        moved += _times(of_matrix, rates)
    if not is_symbolic(of_rates):
        turned = jax.lax.optimization_barrier(matrix.T)
        moved += jax.lax.dot_general(
            turned, of_rates, (((0,), (0,)), ((), ())), precision=jax.lax.Precision.HIGHEST
        )
    return found, moved


_times.defjvp(_times_jvp, symbolic_zeros=True)


def check_square(name: str, weights: Expected[Matrix]) -> None:
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
    if shape[0] == 0:
        raise ValueError(f"{name}.weights: expected at least one unit, got weights of none")


def truths(mask: Expected[Matrix | None], name: str) -> Any:
    """Where there are synapses, as truth values; None for everywhere."""
    return None if mask is None else own_truths(mask, name)


def masked(mask: Shaped[Any, "..."] | None, weights: Shaped[Any, "..."]) -> Array:
    """The weights of the synapses that are there, 0 elsewhere."""
    return weights if mask is None else jnp.where(mask, weights, jnp.zeros_like(weights))


def check_mask(name: str, mask: Expected[Matrix | None], weights: Expected[Matrix]) -> None:
    """Refuse a mask that does not fit the weights.

    Raises:
        ValueError: with both shapes.
    """
    if mask is not None and np.shape(mask) != np.shape(weights):
        raise ValueError(
            f"{name}.mask: expected the shape of the weights, {np.shape(weights)}, got "
            f"{np.shape(mask)}"
        )


def check_density(name: str, density: float) -> None:
    """Refuse what is no share of synapses that can be there.

    Raises:
        ValueError: with the number.
    """
    if not 0 < density <= 1:
        raise ValueError(f"{name}.random: expected a density in (0, 1], got {density!r}")
