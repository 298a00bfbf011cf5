"""Array types, and the precision in which a verb computes."""

import contextlib
import functools
from collections.abc import Callable, Iterator
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

_REMEMBERED = 256  # results of a function that depends on shapes alone

Key = PRNGKeyArray
DTypeLike = Any

__all__ = ["Array", "ArrayLike", "Float", "PyTree", "Shaped"]


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is a value inside a JAX transformation, which the host can't look at."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def default_dtype() -> np.dtype:
    """The float dtype of the scope: float64 where JAX's x64 mode is on, else float32."""
    return np.dtype(jax.dtypes.canonicalize_dtype(np.float64))


def float_dtype(dtype: DTypeLike | None) -> np.dtype:
    """`dtype` checked, or the scope's own where it is None.

    Raises:
        ValueError: if it is neither float32 nor float64.
    """
    if dtype is None:
        return default_dtype()
    for known in (np.dtype("float32"), np.dtype("float64")):
        with contextlib.suppress(TypeError):
            if np.dtype(dtype) == known:
                return known
    raise ValueError(f"expected dtype float32 or float64, got {dtype!r}: give e.g. dtype='float64'")


@contextlib.contextmanager
def precision(dtype: DTypeLike | None) -> Iterator[np.dtype]:
    """Compute in `dtype` inside the block, and leave JAX's global switch as it was."""
    found = float_dtype(dtype)
    with jax.enable_x64(found == np.dtype("float64")):
        yield found


def cast(tree: PyTree, dtype: DTypeLike) -> PyTree:
    """`tree` with every floating array in `dtype`; all else untouched.

    A Python float becomes an array, so that a value never turns into a constant of the
    compiled program. NumPy arrays are copied: JAX remembers of each array object what it became in
    the scope that saw it first, while a program holds it, and takes float32 where that was float32.
    """

    def leaf(value: Any) -> Any:
        if isinstance(value, float):
            return np.asarray(value, dtype)
        if eqx.is_inexact_array(value) and not jnp.issubdtype(value.dtype, jnp.complexfloating):
            if isinstance(value, np.ndarray | np.generic):
                return np.array(value, dtype)
            return jax.lax.convert_element_type(value, dtype)
        return value

    return jax.tree.map(leaf, tree)


def as_given(tree: Any) -> Any:
    """The same numbers, without a gradient."""
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)


def by_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(*trees)`, which looks at the arrays' shapes and dtypes alone, worked out once for each.

    What is no array, a Python number as well, may decide anything, and is part of the key.
    """
    known: dict[Any, Any] = {}

    @functools.wraps(function)
    def run(*trees: PyTree) -> Any:
        leaves, structure = jax.tree.flatten(trees)
        try:
            kinds = tuple(_kind(x) for x in leaves)
            key = structure, kinds, default_dtype()
            if key in known:
                return known[key]
        except TypeError:  # something in it can't be looked up
            return function(*trees)
        result = function(*trees)
        if len(known) >= _REMEMBERED:
            known.clear()
        known[key] = result
        return result

    return run


def _kind(leaf: Any) -> Any:
    """What distinguishes a leaf where only the shapes of arrays matter."""
    shaped = eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)
    return (leaf.shape, leaf.dtype) if shaped else (type(leaf), leaf)


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


def to_host(tree: PyTree) -> PyTree:
    """`tree` with its JAX arrays as NumPy arrays, which keep float64 whatever the global mode."""
    return jax.tree.map(
        lambda x: np.asarray(x) if isinstance(x, jax.Array) and not is_key(x) else x,
        tree,
    )


def in_float64(function: Callable[..., PyTree], *args: PyTree) -> PyTree:
    """`function(*args)` computed in float64, whatever the scope it is called from.

    Results of concrete arguments are float64 NumPy arrays. Inside a JAX transformation they take
    the dtype of its scope; in a float32 scope only reverse-mode derivatives pass through.
    """
    arrays, rest = eqx.partition(args, eqx.is_array)
    outside = default_dtype()

    def compute(arrays: PyTree) -> PyTree:
        with jax.enable_x64(True):
            return function(*eqx.combine(cast(arrays, np.float64), rest))

    if not is_traced(args):
        result = compute(arrays)  # traced all the same where a transformation is under way
        return cast(result, outside) if is_traced(result) else to_host(result)
    if outside == np.float64:
        return compute(arrays)

    # JAX may batch and transpose after this call, in the outer scope, where digits would be lost
    # or the program refused: so each of its transformations is told to open the scope again.
    def lowered(arrays: PyTree) -> PyTree:
        return cast(compute(arrays), outside)

    def pulled_back(arrays: PyTree, cotangent: PyTree) -> PyTree:
        return jax.vjp(lowered, arrays)[1](cotangent)

    inner = jax.custom_vjp(_scoped(lowered))
    inner.defvjp(lambda a: (_scoped(lowered)(a), a), _scoped(pulled_back))
    return inner(arrays)


def _scoped(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """`function` in a float64 scope, however often and however late it is batched."""

    @jax.custom_batching.custom_vmap
    def run(*args: PyTree) -> PyTree:
        with jax.enable_x64(True):
            return function(*args)

    @run.def_vmap
    def batched(size: int, in_batched: PyTree, *args: PyTree) -> tuple[PyTree, PyTree]:
        axes = jax.tree.map(lambda b: 0 if b else None, tuple(in_batched))
        many = _scoped(lambda *a: jax.vmap(function, axes, axis_size=size)(*a))
        result = many(*args)
        return result, jax.tree.map(lambda _: True, result)

    return run
