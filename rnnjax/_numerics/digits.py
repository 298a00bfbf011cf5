"""Numbers with more digits than the program that they are in.

A float32 program holds seven digits: too few for a time late in a run, and for the numbers of what
depends on time. Such a number travels as a sum of float32 parts, which JAX batches and differentiates
like any other arrays, and is put together in float64 where it is needed.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Shaped

from rnnjax._numerics.implicit import linear_map
from rnnjax._precision import default_dtype
from rnnjax._types import (
    Array,
    ArrayLike,
    Arrays,
    DTypeLike,
    Expected,
    Float,
    Numbers,
    T,
    is_traced,
)

_PARTS = 3  # of 24 bits each: the 53 of a float64


class Digits(eqx.Module):
    """A number, or an array of numbers, as a sum of parts, the largest first.

    Attributes:
        parts: each in the dtype of the program.
    """

    parts: tuple[Float[Any, "..."], ...]

    @property
    def value(self) -> Float[Any, "..."]:
        """The number, rounded to the dtype of the program."""
        return self.parts[0]

    def whole(self) -> Float[Array, "..."]:
        """The number in float64; called in a float64 scope."""
        return sum_of(self.parts)

    def on_host(self) -> np.ndarray:
        """The number in float64, where its parts are concrete."""
        return np.asarray(np.sum([np.asarray(x, np.float64) for x in self.parts[::-1]], axis=0))


def digits(number: Float[ArrayLike, "..."] | Digits, dtype: DTypeLike) -> Digits:
    """All digits of a number, for a program of some dtype; of one under a transformation those it has."""
    if isinstance(number, Digits):
        return number
    return Digits(tuple(x[0] for x in in_parts((number,), dtype)))


def two_digits(number: Float[ArrayLike, "..."]) -> Digits:
    """A number of two parts, for a program of the scope's dtype; in float64 the second is zero."""
    first, *rest = digits(number, default_dtype()).parts
    nothing = jnp.zeros_like(first) if is_traced(first) else np.zeros_like(first)
    return Digits((first, rest[0] if rest else nothing))


def in_parts(tree: T, dtype: DTypeLike) -> tuple[T, ...]:
    """A tree of numbers as several of its kind, of the dtype, whose numbers add up to it."""
    count = 1 if np.dtype(dtype) == np.float64 else _PARTS

    def leaf(x: Any) -> tuple[Any, ...]:
        if isinstance(x, float):
            x = np.asarray(x)
        if not eqx.is_inexact_array(x) or jnp.issubdtype(x.dtype, jnp.complexfloating):
            return (x,) * count
        if is_traced(x):
            first = jax.lax.convert_element_type(x, dtype)
            return first, *(jnp.zeros_like(first),) * (count - 1)
        return _cut(np.asarray(x, np.float64), np.dtype(dtype), count)

    leaves, structure = jax.tree.flatten(tree)
    cut = [leaf(x) for x in leaves]
    return tuple(structure.unflatten(x[k] for x in cut) for k in range(count))


def _cut(x: np.ndarray, dtype: np.dtype, count: int) -> tuple[np.ndarray, ...]:
    found = []
    for _ in range(count):
        with np.errstate(over="ignore"):
            part = np.array(x, dtype)
        found.append(part)
        x = np.where(np.isfinite(part), x - part.astype(np.float64), 0.0)
    return tuple(found)


def put_together(parts: Expected[tuple[T, ...]]) -> T:
    """The tree whose numbers are the sums of those of its parts, in float64; in a float64 scope."""

    def leaf(*parts: Any) -> Any:
        return sum_of(parts) if eqx.is_inexact_array(parts[0]) else parts[0]

    return jax.tree.map(leaf, *parts)


def sum_of(parts: tuple[Float[ArrayLike, "..."], ...]) -> Float[Array, "..."]:
    """In float64, the smallest first."""
    wide = [jax.lax.convert_element_type(x, jnp.float64) for x in parts]
    total = wide[-1]
    for part in wide[-2::-1]:
        total = part + total
    return total


def two_parts(x: Float[Array, "..."], dtype: DTypeLike) -> tuple[Array, Array]:
    """A float64 number as a sum of two of a dtype, in a float64 scope."""
    first = jax.lax.convert_element_type(x, dtype)
    rest = jax.lax.convert_element_type(x - jax.lax.convert_element_type(first, x.dtype), dtype)
    return first, rest


def two_sum(a: Shaped[Array, "..."], b: Numbers) -> tuple[Array, Array]:
    """The rounded sum and what rounding lost, without error.

    References:
        Knuth (1969), The Art of Computer Programming 2, section 4.2.2, theorem B.
    """
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def in_full(function: Callable[..., T], *arguments: Any) -> T:
    """`function(*arguments)` computed in float64, its numbers in the dtype of the scope afterwards.

    The function is given the arguments as they are and makes float64 of them. In a float32 program its
    derivatives of both modes, and of what is batched, are computed in float64 as well.
    """
    if default_dtype() == np.float64:
        return function(*arguments)
    arrays, fixed = eqx.partition(arguments, eqx.is_array)
    smooth, others = eqx.partition(arrays, eqx.is_inexact_array)

    def narrowed(smooth: Arrays, others: Arrays) -> Any:
        with jax.enable_x64(True):
            found = function(*eqx.combine(smooth, others, fixed))
            return jax.tree.map(_narrow, found)

    @jax.custom_jvp
    def value(smooth: Arrays, others: Arrays) -> Any:
        return narrowed(smooth, others)

    @jax.custom_jvp
    def changed(at: Arrays, others: Arrays, step: Arrays) -> Any:
        """What it changes by along a step, to first order."""

        def push(step: Arrays) -> Arrays:
            with jax.enable_x64(True):
                return jax.jvp(lambda x: narrowed(x, others), (at,), (step,))[1]

        def pull(back: Arrays) -> Arrays:
            with jax.enable_x64(True):
                return jax.vjp(lambda x: narrowed(x, others), at)[1](back)[0]

        return linear_map(push, pull, at, step)

    def twice(at: Arrays, others: Arrays, step: Arrays, along: Arrays) -> Any:
        """What that changes by along another step."""

        def once(x: Arrays) -> Any:
            return jax.jvp(lambda x: function(*eqx.combine(x, others, fixed)), (x,), (step,))[1]

        return jax.jvp(once, (at,), (along,))[1]

    def changed_moved(primals: tuple[Arrays, ...], tangents: tuple[Arrays, ...]) -> Any:
        (at, others, step), (along, _, of_step) = primals, tangents
        second = in_full(twice, at, others, step, along)
        first = changed(at, others, of_step)
        return changed(at, others, step), jax.tree.map(jnp.add, first, second)

    def moved(primals: tuple[Arrays, Arrays], tangents: tuple[Arrays, Arrays]) -> Any:
        at, others = primals
        return value(at, others), changed(at, others, tangents[0])

    changed.defjvp(changed_moved)
    value.defjvp(moved)
    return value(smooth, others)


def _narrow(x: Any) -> Any:
    wide = eqx.is_array(x) and x.dtype == jnp.float64
    return jax.lax.convert_element_type(x, jnp.float32) if wide else x


def beyond(one: Digits, other: Digits) -> Float[Array, "..."]:
    """By how much one number of two parts exceeds another, in the dtype of the program."""
    (a, b), (c, d) = one.parts, other.parts
    return jnp.asarray((a - c) + (b - d))


def plus(number: Digits, x: Float[Array, "..."]) -> Digits:
    """A number of two parts and another of one, as two parts again."""
    first, rest = number.parts
    total, lost = two_sum(first, x)
    return Digits(two_sum(total, rest + lost))


def chosen(which: Bool[Array, ""], one: T, other: T) -> T:
    """One tree or another."""
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), one, other)
