"""The precision in which a verb computes."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import CustomVJPPrimal, SymbolicZero
from jaxtyping import PyTree

from rnnjax._gate import lost
from rnnjax._parameter import named_leaf
from rnnjax._types import (
    Array,
    Arrays,
    DTypeLike,
    NDArray,
    Numbers,
    T,
    is_key,
    is_traced,
    numpy_of,
)

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_REMEMBERED = 256  # results of a function that depends on shapes alone


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
    named = isinstance(dtype, str | type | np.dtype)
    for known in (np.dtype("float32"), np.dtype("float64")) if named else ():
        with contextlib.suppress(TypeError, ValueError):
            if np.dtype(dtype) == known:
                return known
    raise ValueError(f"expected dtype float32 or float64, got {dtype!r}: give e.g. dtype='float64'")


@contextlib.contextmanager
def precision(dtype: DTypeLike | None) -> Iterator[np.dtype]:
    """Compute in `dtype` inside the block, and leave JAX's global switch as it was."""
    found = float_dtype(dtype)
    with jax.enable_x64(found == np.dtype("float64")):
        yield found


def cast(tree: T, dtype: DTypeLike, names: Sequence[str] = ()) -> T:
    """`tree` with every floating array in `dtype`; all else untouched.

    A Python float becomes an array, so that a value never turns into a constant of the
    compiled program. NumPy arrays are copied: JAX remembers of each array object what it became in
    the scope that saw it first, while a program holds it, and takes float32 where that was float32.

    Args:
        tree: any structure.
        dtype: float32 or float64.
        names: of the parts of a tuple, for messages; parameters are called by their own.

    Raises:
        ValueError: if a number would become infinite or 0, by its name.
    """
    check_range(tree, np.dtype(dtype), names)
    return converted(tree, dtype)


def converted(tree: T, dtype: DTypeLike) -> T:
    """The same of results, which become infinite or 0 where float32 does not hold them."""

    def leaf(value: Any) -> Any:
        if isinstance(value, float):
            return np.asarray(value, dtype)
        if is_number(value):
            if isinstance(value, np.ndarray | np.generic):
                with np.errstate(over="ignore", under="ignore"):
                    return np.array(value, dtype)
            return jax.lax.convert_element_type(value, dtype)
        return value

    return jax.tree.map(leaf, tree)


def is_number(leaf: Any) -> bool:
    """Whether it is a float, or an array of real ones: what a verb computes with in its dtype."""
    real = eqx.is_inexact_array(leaf) and not jnp.issubdtype(leaf.dtype, jnp.complexfloating)
    return isinstance(leaf, float) or real


def check_range(tree: PyTree, dtype: np.dtype, names: Sequence[str] = ()) -> None:
    """Refuse concrete numbers that float32 does not hold, where that is the dtype; see `cast`."""
    if dtype == np.float64:
        return
    for number, leaf in enumerate(jax.tree.leaves(tree)):
        wide = is_number(leaf) and getattr(leaf, "dtype", np.float64) == np.float64
        if not wide or is_traced(leaf) or not lost(leaf, dtype, each=True):
            continue
        name, positive = named_leaf(tree, number, names)
        reason = lost(leaf, dtype, each=positive)
        if reason:
            raise ValueError(f"{name}: {reason}")


def by_shapes(function: FunctionT) -> FunctionT:
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

    return run  # pyright: ignore[reportReturnType]


def _kind(leaf: Any) -> Any:
    """What distinguishes a leaf where only the shapes of arrays matter."""
    shaped = eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)
    return (leaf.shape, leaf.dtype) if shaped else (type(leaf), leaf)


def to_host(tree: T) -> T:
    """`tree` with its JAX arrays as NumPy arrays, which keep float64 whatever the global mode."""
    return jax.tree.map(
        lambda x: np.asarray(x) if isinstance(x, jax.Array) and not is_key(x) else x,
        tree,
    )


def in_float64(function: Callable[..., T], *args: PyTree) -> T:
    """`function(*args)` computed in float64, whatever the scope it is called from.

    Results of concrete arguments are float64 NumPy arrays. Inside a JAX transformation they take
    the dtype of its scope; in a float32 scope only reverse-mode derivatives pass through.
    """
    arrays, rest = eqx.partition(args, eqx.is_array)
    outside = default_dtype()

    def compute(arrays: Arrays) -> PyTree:
        with jax.enable_x64(True):
            return function(*eqx.combine(cast(arrays, np.float64), rest))

    if not is_traced(args):
        result = compute(arrays)  # traced all the same where a transformation is under way
        return converted(result, outside) if is_traced(result) else to_host(result)
    if outside == np.float64:
        return compute(arrays)

    # JAX may batch and transpose after this call, in the outer scope, where digits would be lost
    # or the program refused: so each of its transformations is told to open the scope again.
    def lowered(arrays: Arrays) -> PyTree:
        return converted(compute(arrays), outside)

    structure = jax.tree.structure(arrays)
    back = now_or_later(lambda *given: pulled_back(lowered, structure, *given))
    return going_back(scoped(lowered), now_or_later(lowered), back, arrays)


Leaves: TypeAlias = tuple[Any, ...]  # arrays, None where there is none


def going_back(
    function: Callable[[Arrays], T],
    forward: Callable[[Arrays], T],
    back: Callable[[Leaves, Leaves, Leaves], Leaves],
    arrays: Arrays,
) -> T:
    """`function` with a rule for its derivatives, which only go back; see `pulled_back`.

    Args:
        function: of arrays.
        forward: the same, where derivatives are asked for.
        back: of the leaves by which they are, of the others, and of what comes back for each leaf of
            the result: what goes back.
        arrays: its argument.
    """
    structure = jax.tree.structure(arrays)

    def out(arrays: Any) -> tuple[T, tuple[Leaves, Leaves]]:
        leaves = jax.tree.leaves(arrays, is_leaf=lambda x: isinstance(x, CustomVJPPrimal))
        asked = tuple(x.value if x.perturbed else None for x in leaves)
        others = tuple(None if x.perturbed else x.value for x in leaves)
        return forward(jax.tree.unflatten(structure, [x.value for x in leaves])), (asked, others)

    def home(kept: tuple[Leaves, Leaves], cotangents: Any) -> tuple[Any]:
        leaves = jax.tree.leaves(cotangents, is_leaf=lambda x: isinstance(x, SymbolicZero))
        none = (isinstance(x, SymbolicZero) or x.dtype == jax.dtypes.float0 for x in leaves)
        some = tuple(None if no else x for no, x in zip(none, leaves, strict=True))
        return (jax.tree.unflatten(structure, back(*kept, some)),)

    inner = jax.custom_vjp(function)
    inner.defvjp(out, home, symbolic_zeros=True)
    return inner(arrays)


def pulled_back(
    function: Callable[[Arrays], PyTree], structure: Any, asked: Leaves, others: Leaves,
    cotangents: Leaves,
) -> Leaves:  # fmt: skip
    """Cotangents of a function's results by those leaves of its argument that are asked for."""

    def some(asked: Leaves) -> Leaves:
        leaves = [y if x is None else x for x, y in zip(asked, others, strict=True)]
        found = jax.tree.leaves(function(jax.tree.unflatten(structure, leaves)))
        return tuple(None if c is None else x for x, c in zip(found, cotangents, strict=True))

    return jax.vjp(some, asked)[1](cotangents)[0]


def now_or_later(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """`function` in a float64 scope: at once where its arguments are known."""

    def run(*args: PyTree) -> PyTree:
        if is_traced(args):
            return scoped(function)(*args)
        with jax.enable_x64(True):
            return function(*args)

    return run


def scoped(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """`function` in a float64 scope, however often and however late it is batched."""

    @jax.custom_batching.custom_vmap
    def run(*args: PyTree) -> PyTree:
        with jax.enable_x64(True):
            return function(*args)

    @run.def_vmap
    def batched(size: int, in_batched: PyTree, *args: PyTree) -> tuple[PyTree, PyTree]:
        axes = jax.tree.map(lambda b: 0 if b else None, tuple(in_batched))
        many = scoped(lambda *a: jax.vmap(function, axes, axis_size=size)(*a))
        result = many(*args)
        return result, jax.tree.map(lambda _: True, result)

    return run


def index_of_largest(x: Array) -> Array:
    """The first index of the largest entry along the first axis, as int32.

    Entry and index go through one reduction. What is compared with a maximum of its own may have
    been computed twice, in two kernels that round differently: then nothing is the largest. And
    `argmax` is lowered after the float64 scope of its caller has ended, and then fails inside a
    float32 program.
    """
    x = lax.stop_gradient(x)
    least = np.array(False if x.dtype == bool else -np.inf, x.dtype)
    places = lax.broadcasted_iota(jnp.int32, x.shape, 0)
    begin = least, np.int32(x.shape[0] - 1)
    return lax.reduce((x, places), begin, _larger, (0,))[1]


def _larger(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, i), (y, j) = one, other
    better = (y > x) | (x != x) | ((y == x) & (j < i))  # what is no number is not large
    return jnp.where(better, y, x), jnp.where(better, j, i)


def first_of(conditions: list[NDArray], choices: list[int], otherwise: Numbers) -> Any:
    """The choice of the first condition that holds, as int32; for the same reason no `jnp.select`."""
    xp = numpy_of(conditions)
    chosen = xp.asarray(otherwise, np.int32)
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        chosen = xp.where(condition, xp.asarray(choice, np.int32), chosen)
    return chosen
