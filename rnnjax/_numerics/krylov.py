r"""Linear systems and leading eigenvalues of large matrices, from products with vectors alone.

Everything rests on Arnoldi's decomposition of a square matrix $A$,
$A V_m = V_{m+1} \bar H_m$ with orthonormal columns $V$ (here the rows of an array) and $\bar H_m$ of
size `(m + 1, m)`.

Written in plain JAX operations: a library's solver is lowered after the float64 scope of its caller
has ended, and then fails inside a float32 program. For eigenvalues there is none that restarts.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._types import Array, Scalar

Product = Callable[[Array], Array]  # v (n,) -> A v (n,)

_EXHAUSTED = 1e-14  # of a product's length, what of it lies outside the space that contains it
_TINY = 1e-300


class Space(NamedTuple):
    r"""An Arnoldi decomposition that has come to `size` vectors.

    Attributes:
        basis: orthonormal rows, `(m + 1, n)`, zero where there is none yet.
        matrix: $\bar H$, `(m + 1, m)`.
        size: how many columns of it are there.
    """

    basis: Array
    matrix: Array
    size: Array


class Solution(NamedTuple):
    """The solution of a linear system, `(n,)`, and its residual relative to the right side."""

    x: Array
    residual: Array


class Ritz(NamedTuple):
    r"""Leading eigenvalues.

    Attributes:
        values: `(count,)`, the largest real part first, complex.
        vectors: of length 1, `(count, n)`, complex.
        residuals: $|A v - \lambda v|$, `(count,)`.
        size: an estimate of the size of $A$, with which residuals compare.
        products: how many products with $A$ it took.
    """

    values: Array
    vectors: Array
    residuals: Array
    size: Array
    products: Array


_Growth = tuple[Space, Array, Array, Array]
"""A space that grows, q and the length wanted of it, whether the space is exhausted."""
_Cycle = tuple[Array, Array, Array, Array, Array]
"""x, its residual and that one's size, how many cycles there were, whether they gain nothing."""
_Restart = tuple[Space, Array, Array, Array, Array, Array]
"""A space, leading values and vectors, whether they are solved for, restarts and products done."""


def length_of(x: Array) -> Array:
    """The Euclidean length of a vector."""
    return jnp.sqrt((abs(x) ** 2).sum(-1))


def by_parts(function: Product, z: Array) -> Array:
    """A real linear function of a complex array."""
    return lax.complex(function(z.real), function(z.imag))


def _outside(basis: Array, w: Array) -> tuple[Array, Array]:
    """What of a vector lies outside the rows of a basis, and its coefficients; projected twice."""
    first = basis @ w
    w = w - first @ basis
    second = basis @ w
    return w - second @ basis, first + second


def _extended(product: Product, space: Space) -> tuple[Space, Array]:
    """One vector more; whether there is none, the space being invariant."""
    basis, matrix, j = space
    image = product(basis[j])
    w, column = _outside(basis, image)
    size = length_of(w)
    exhausted = ~(size > _EXHAUSTED * length_of(image))
    size = jnp.where(exhausted, 0.0, size)
    new = jnp.where(exhausted, 0.0, w / jnp.where(exhausted, 1.0, size))
    return Space(
        basis.at[j + 1].set(new), matrix.at[:, j].set(column.at[j + 1].set(size)), j + 1
    ), exhausted


def gmres(product: Product, b: Array, dimension: int, cycles: int, tolerance: Scalar) -> Solution:
    r"""Solve $A x = b$ by restarted GMRES.

    In the space of the first $m$ products the $x$ with the smallest residual is taken. With the
    vector $q$, $q_0 = 1$, $q \bar H_m = 0$, that residual is $|b| / |q|$, so that it is known before
    $x$ is.

    Args:
        product: $A$.
        b: the right side, `(n,)`.
        dimension: the most products between restarts, m.
        cycles: the most restarts.
        tolerance: of the residual, relative to b.

    References:
        Saad and Schultz (1986), SIAM J. Sci. Stat. Comput. 7:856-869.
    """
    m, n = min(dimension, b.size), b.size
    whole = length_of(b)

    def step(now: _Growth) -> _Growth:
        space, q, wanted, _ = now
        space, exhausted = _extended(product, space)
        j = space.size - 1
        column = space.matrix[:, j]
        below = jnp.where(exhausted, 1.0, column[j + 1])
        new = -(q @ column.at[j + 1].set(0.0)) / below
        q = q.at[j + 1].set(jnp.where(exhausted, 0.0, new))
        return space, q, wanted, exhausted

    def unsolved(now: _Growth) -> Array:
        space, q, wanted, exhausted = now
        return (space.size < m) & ~exhausted & (length_of(q) < wanted)

    def cycle(now: _Cycle) -> _Cycle:
        x, r, size, count, _ = now
        basis = jnp.zeros((m + 1, n), b.dtype).at[0].set(r / jnp.maximum(size, _TINY))
        empty = Space(basis, jnp.zeros((m + 1, m), b.dtype), jnp.zeros((), jnp.int32))
        q = jnp.zeros(m + 1, b.dtype).at[0].set(1.0)
        wanted = size / (tolerance * whole)
        space, _, _, _ = lax.while_loop(unsolved, step, (empty, q, wanted, jnp.zeros((), bool)))
        x = x + _smallest(space, size) @ space.basis[:-1]
        r = b - product(x)
        new = length_of(r)
        return x, r, new, count + 1, new > 0.9 * size

    def go(now: _Cycle) -> Array:
        _, _, size, count, stuck = now
        return (size > tolerance * whole) & (count < cycles) & ~stuck

    start = jnp.zeros_like(b), b, whole, jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    x, _, size, _, _ = lax.while_loop(go, cycle, start)
    return Solution(x, jnp.where(whole > 0, size / jnp.maximum(whole, _TINY), 0.0))


def _smallest(space: Space, size: Array) -> Array:
    """The coefficients of the vector with the smallest residual."""
    m = space.matrix.shape[1]
    there = jnp.arange(m, dtype=jnp.int32) < space.size
    # columns that are not there yet are those of a unit matrix, one row down
    rest = jnp.where(there, 0.0, 1.0) * jnp.eye(m + 1, m, -1, space.matrix.dtype)
    q, r = jnp.linalg.qr(jnp.where(there, space.matrix, 0.0) + rest)
    y = jax.scipy.linalg.solve_triangular(r, size * q[0])
    return jnp.where(there & jnp.isfinite(y).all(), y, 0.0)


def solve(product: Product, b: Array, dimension: int, cycles: int, tolerance: float) -> Array:
    """The solution of A x = b, linear in b both ways; NaN where it is not found, and 0 for b = 0."""

    def solved(product: Product, b: Array) -> Array:
        x, residual = gmres(product, b, dimension, cycles, 0.1 * tolerance)
        good = (residual <= tolerance) & jnp.isfinite(x).all()
        return jnp.where(good | (b == 0).all(), x, jnp.nan)

    return lax.custom_linear_solve(product, b, solved, solved)


def leading(product: Product, random: Array, count: int, restarts: int, tolerance: float) -> Ritz:
    r"""The eigenvalues of a real matrix with the largest real parts, by restarted Arnoldi.

    At a restart the space shrinks to the Ritz vectors that lead: the Krylov-Schur method, with an
    orthonormal real basis of those vectors in place of Schur's. An invariant space is left by a
    random vector, so that eigenvalues are found as often as they are there.

    Args:
        product: $A$, `(n,)` to `(n,)`.
        random: vectors to begin with, `(m + 1, n)`, with m the dimension of the space, more than
            two above `count` or n itself.
        count: how many eigenvalues.
        restarts: the most of them.
        tolerance: of residuals, relative to the size of $A$.

    References:
        Stewart (2001), SIAM J. Matrix Anal. Appl. 23:601-614; Lehoucq, Sorensen and Yang (1998),
        ARPACK Users' Guide.
    """
    m, n = random.shape[0] - 1, random.shape[1]
    kept = min(count + max((m - count) // 2, 1), m - 1)

    def fresh(basis: Array, j: Array) -> Array:
        """A random unit vector orthogonal to the basis."""
        w, _ = _outside(basis, random[j])
        w, _ = _outside(basis, w / length_of(w))
        return w / jnp.maximum(length_of(w), _TINY)

    def step(space: Space) -> Space:
        space, exhausted = _extended(product, space)
        j = space.size
        new = lax.cond(exhausted & (j < n), lambda: fresh(space.basis, j), lambda: space.basis[j])
        return space._replace(basis=space.basis.at[j].set(new))

    def cycle(now: _Restart) -> _Restart:
        space, _, _, _, done, products = now
        products = products + m - space.size
        space = lax.while_loop(lambda s: s.size < m, step, space)
        values, vectors = _sorted(space.matrix[:m])
        off = abs(by_parts(lambda y: space.matrix[m] @ y, vectors))
        size = jnp.sqrt((space.matrix**2).sum(0).max())
        # where the matrix is not finite there is nothing more to do
        solved = (off[:count] <= tolerance * size).all() | ~jnp.isfinite(size)
        wanted = by_parts(lambda y: y.T[:count] @ space.basis[:m], vectors)
        space = _shrunk(space, values, vectors, kept)
        return space, values[:count], wanted, solved, done + 1, products

    def go(now: _Restart) -> Array:
        _, _, _, solved, done, _ = now
        return ~solved & (done < restarts)

    zero = jnp.zeros((), jnp.int32)
    basis = jnp.zeros((m + 1, n))
    space = Space(basis.at[0].set(fresh(basis, zero)), jnp.zeros((m + 1, m)), zero)
    none = jnp.zeros(count, complex), jnp.zeros((count, n), complex)
    space, values, vectors, _, _, products = lax.while_loop(
        go, cycle, (space, *none, jnp.zeros((), bool), zero, zero)
    )
    size = length_of(vectors)[:, None]
    vectors = by_parts(lambda y: y / size, vectors)
    images = by_parts(lambda y: lax.map(product, y), vectors)
    size = jnp.sqrt((space.matrix**2).sum(0).max())
    return Ritz(
        values, vectors, length_of(images - values[:, None] * vectors), size, products + 2 * count
    )


def _sorted(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues and vectors (columns) of a small matrix; the largest real part first."""
    finite = jnp.isfinite(matrix).all()
    values, vectors = lax.linalg.eig(
        jnp.where(finite, matrix, 0.0), compute_left_eigenvectors=False
    )
    # the two of a pair have the same real part to the bit, and come with the positive one first
    order = jnp.argsort(-values.real, stable=True)
    values = jnp.where(finite, values[order], jnp.nan)
    return values, vectors[:, order]


def _shrunk(space: Space, values: Array, vectors: Array, kept: int) -> Space:
    """The space of the first Ritz vectors; a pair that would be cut is left out."""
    m, n = space.matrix.shape[1], space.basis.shape[1]
    columns = jnp.where(values.imag < 0, vectors.imag, vectors.real)[:, :kept]
    count = kept - (values[kept - 1].imag > 0).astype(jnp.int32)
    there = jnp.arange(kept, dtype=jnp.int32) < count
    q, _ = jnp.linalg.qr(jnp.where(there, columns, 0.0))
    q = jnp.where(there, q, 0.0)
    basis = jnp.zeros((m + 1, n)).at[:kept].set(q.T @ space.basis[:m]).at[count].set(space.basis[m])
    small = jnp.zeros((m + 1, m)).at[:kept, :kept].set(q.T @ space.matrix[:m] @ q)
    small = small.at[count, :kept].set(space.matrix[m] @ q)
    return Space(basis, small, count)
