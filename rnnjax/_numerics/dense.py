"""Linear algebra of small matrices in plain operations, and of large ones by LAPACK.

For a few variables the calls to LAPACK cost more than the arithmetic, and what surrounds them (loops
over pivots) compiles slowly and does not fuse across a batch. For some more they can stop a program
for good: LAPACK of a batch waits in jaxlib < 0.11 for threads of the pool in which it runs, and as
many of them at once as there are threads wait forever.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._precision import index_of_largest
from rnnjax._types import Array

LARGEST = 16  # rows up to which a matrix counts as small
_LOOPED = 128  # rows up to which loops over pivots are not much slower than LAPACK

_UNROLLED = contextvars.ContextVar("unrolled", default=LARGEST)


@contextlib.contextmanager
def in_loops() -> Iterator[None]:
    """Within it loops over pivots are not unrolled: a smaller program, for what runs a few times."""
    token = _UNROLLED.set(1)
    try:
        yield
    finally:
        _UNROLLED.reset(token)


def inverse(a: Array) -> Array:
    """The inverse of a square matrix; not finite where it is singular."""
    return _inverse(_UNROLLED.get(), a)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _inverse(unrolled: int, a: Array) -> Array:
    n = a.shape[0]
    if n <= unrolled:
        return _eliminated(a)
    return _exchanged(a) if n <= _LOOPED else jnp.linalg.inv(a)


@_inverse.defjvp
def _inverse_jvp(
    unrolled: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    found = _inverse(unrolled, *primals)  # likewise, wherever the rule is traced
    return found, -product(product(found, tangents[0]), found)


def product(a: Array, b: Array) -> Array:
    """The product of two matrices."""
    if max(*a.shape, *b.shape) > LARGEST:
        return a @ b
    return (a[:, :, None] * b[None]).sum(1)


def solve(a: Array, b: Array) -> Array:
    """The solution of a x = b for a vector b, once refined; not finite where a is singular."""
    found = inverse(a)
    x = (found * b).sum(-1)
    return x + (found * (b - (a * x).sum(-1))).sum(-1)


def determinant(a: Array) -> Array:
    """The determinant; its derivative is right where the matrix is singular as well."""
    if a.shape[0] > _UNROLLED.get():
        return _product_of_pivots(a) if a.shape[0] <= _LOOPED else jnp.linalg.det(a)
    product = jnp.ones((), a.dtype)
    while a.shape[0] > 1:
        row, where = _pivot(abs(a[:, 0]))
        count = a.shape[0] - 1
        pivot = jnp.where(where[:, None], a, 0.0).sum(0)
        above = lax.broadcasted_iota(jnp.int32, (count, 1), 0) < row
        others = jnp.where(above, a[:-1], a[1:])
        value = pivot[0]
        product = product * value * jnp.where(row % 2 == 0, 1.0, -1.0)
        safe = jnp.where(value == 0, 1.0, value)
        a = others[:, 1:] - others[:, :1] * (pivot[1:] / safe)
    return product * a[0, 0]


def null_vectors(a: Array) -> tuple[Array, Array]:
    """Unit vectors near the right and the left null space of an almost singular square matrix.

    From the inverse of the matrix with one row and one column more, which are fixed and generic: a
    border of ones would miss null vectors that sum to zero, as symmetric circuits have them.
    """
    n = a.shape[0]
    generic = [0.3 + ((k * 0.6180339887) % 1.0) for k in range(1, 2 * n + 1)]
    right = jnp.asarray(generic[:n], a.dtype)
    left = jnp.asarray([(-1.0) ** k * x for k, x in enumerate(generic[n:])], a.dtype)
    square = (a**2).mean()
    size = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    found = inverse(bordered(a, size * left, size * right))
    right, left = found[:-1, -1], found[-1, :-1]
    return right / jnp.sqrt((right**2).sum()), left / jnp.sqrt((left**2).sum())


def bordered(a: Array, column: Array, row: Array) -> Array:
    """The matrix with one column and one row more, and 0 in the corner."""
    upper = jnp.concatenate([a, column[:, None]], 1)
    return jnp.concatenate([upper, jnp.append(row, 0.0)[None]], 0)


def _eliminated(a: Array) -> Array:
    """Gauss-Jordan elimination with the largest pivot of each column; rows stay where they are."""
    n = a.shape[0]
    whole = jnp.concatenate([a, jnp.eye(n, dtype=a.dtype)], 1)
    free, order = jnp.ones(n, bool), []
    for j in range(n):
        column = whole[:, j]
        _, where = _pivot(jnp.where(free, abs(column), -1.0))
        pivot = jnp.where(where[:, None], whole, 0.0).sum(0)
        pivot = pivot / pivot[j]
        whole = jnp.where(where[:, None], pivot, whole - column[:, None] * pivot)
        free = free & ~where
        order.append(where)
    return jnp.stack([jnp.where(w[:, None], whole[:, n:], 0.0).sum(0) for w in order])


def _exchanged(a: Array) -> Array:
    """The same in a loop: each step exchanges an unknown with the right side of a row."""
    n = a.shape[0]
    places = jnp.arange(n, dtype=jnp.int32)

    def step(carry: tuple[Array, Array], j: Array) -> tuple[tuple[Array, Array], Array]:
        a, free = carry
        column = a[:, j]
        _, where = _pivot(jnp.where(free, abs(column), -1.0))
        pivot = jnp.where(where[:, None], a, 0.0).sum(0)
        value = pivot[j]
        pivot = jnp.where(places == j, 1.0, pivot) / value
        a = jnp.where(places == j, 0.0, a) - column[:, None] * pivot
        return (jnp.where(where[:, None], pivot, a), free & ~where), where

    (a, _), order = lax.scan(step, (a, jnp.ones(n, bool)), places)
    row = _first(order)
    return a[row][:, _first(order.T)]


def _product_of_pivots(a: Array) -> Array:
    """The determinant by a loop, in which a last pivot of zero has its derivative."""
    n = a.shape[0]
    places = jnp.arange(n, dtype=jnp.int32)

    def step(
        carry: tuple[Array, Array, Array], j: Array
    ) -> tuple[tuple[Array, Array, Array], None]:
        a, free, product = carry
        column = a[:, j]
        row, where = _pivot(jnp.where(free, abs(column), -1.0))
        pivot = jnp.where(where[:, None], a, 0.0).sum(0)
        value = pivot[j]
        above = (free & (places < row)).sum(dtype=jnp.int32)
        product = product * value * jnp.where(above % 2 == 0, 1.0, -1.0)
        a = a - column[:, None] * (pivot / jnp.where(value == 0, 1.0, value))
        return (a, free & ~where, product), None

    start = a, jnp.ones(n, bool), jnp.ones((), a.dtype)
    return lax.scan(step, start, places)[0][2]


def _first(mask: Array) -> Array:
    """Where each row of a mask is true first."""
    places = lax.broadcasted_iota(jnp.int32, mask.shape, 1)
    return jnp.where(mask, places, mask.shape[1]).min(1)


def _pivot(size: Array) -> tuple[Array, Array]:
    """The first place of the largest entry, as a number and as a mask."""
    first = index_of_largest(size)
    return first, lax.broadcasted_iota(jnp.int32, size.shape, 0) == first
