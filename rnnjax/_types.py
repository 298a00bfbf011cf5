"""Array types, and the precision in which a verb computes."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree, Shaped

if TYPE_CHECKING:
    # to a type checker, parameters are numbers that do arithmetic with each other
    Scalar = Any
    Vector = Any
    PerUnit = Any
    Matrix = Any
    Numbers = Any
else:
    Scalar = Float[ArrayLike, ""]  # one real number: a parameter, a state variable, a time
    Vector = Float[ArrayLike, " n"]  # one number per unit
    PerUnit = Float[ArrayLike, "..."]  # one number for all units, or one per unit
    Matrix = Float[ArrayLike, "post pre"]  # weights, the receiving unit first
    Numbers = Shaped[ArrayLike, "..."]


Key = PRNGKeyArray
DTypeLike = Any

__all__ = ["Array", "ArrayLike", "Float", "PyTree", "Shaped"]


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is a value inside a JAX transformation, which the host can't look at."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def as_given(tree: Any) -> Any:
    """The same numbers, without a gradient."""
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)


def lane_of(batch: PyTree, k: Any) -> PyTree:
    """One lane of a batch, whose axis is in front of every array."""
    return jax.tree.map(
        lambda x: x[k] if eqx.is_array(x) or isinstance(x, np.ndarray) else x, batch
    )


def is_key(leaf: Any) -> bool:
    """Whether it is a random key, or an array of them."""
    return jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key)


def numbers_of(leaf: Any) -> np.ndarray:
    """The numbers of an array, also of random keys."""
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)


def like(numbers: np.ndarray, leaf: Any) -> jax.Array:
    """Numbers as what they were: an array, or random keys."""
    if not is_key(leaf):
        return jnp.asarray(numbers)
    return jax.random.wrap_key_data(jnp.asarray(numbers), impl=jax.random.key_impl(leaf))
