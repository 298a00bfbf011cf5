"""Eigenvalues: all of a matrix, or the leading ones from products with vectors alone."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Complex

from rnnjax._numerics.blas import one_blas_thread
from rnnjax._numerics.implicit import only, refuse, root_of
from rnnjax._numerics.krylov import Product, Ritz, by_parts, leading
from rnnjax._types import Array, ArrayLike, Arrays, Float, is_traced

_MATCHED = 1e-8  # of the matrix's size, how near an eigenvalue of the transpose must be


class Pairs(NamedTuple):
    """Eigenvalues `(count,)` and a vector for each, `(count, n)`."""

    values: Array
    vectors: Array


def eigenvalues(matrix: Float[ArrayLike, "*batch n n"]) -> Complex[ArrayLike, "*batch n"]:
    """Eigenvalues, the one with the largest real part first.

    Concrete matrices go through LAPACK on the host in float64; traced ones through JAX, which
    can be differentiated where the eigenvalues are distinct.
    """
    if is_traced(matrix):
        matrix = jnp.asarray(matrix)
        known = jnp.isfinite(matrix).all((-1, -2))
        apart = jnp.diag(-1.0 - jnp.arange(matrix.shape[-1], dtype=matrix.dtype))
        values = jnp.linalg.eigvals(jnp.where(known[..., None, None], matrix, apart))
        order = jnp.argsort(-values.real, axis=-1, stable=True)
        return refuse(known[..., None], jnp.take_along_axis(values, order, axis=-1))
    matrix = np.asarray(matrix, np.float64)
    values = np.full(matrix.shape[:-1], np.nan + 0j)
    finite = np.isfinite(matrix).all((-1, -2))
    with one_blas_thread(matrix.shape[-1]):
        values[finite] = np.linalg.eigvals(matrix[finite])
    order = np.argsort(-np.real(values), axis=-1, kind="stable")
    return np.take_along_axis(values, order, axis=-1)


def eigenvalues_by_products(
    equations: Callable[[Arrays, Array], Array],
    arrays: Arrays,
    x: Float[Array, " n"],
    random: Array,
    effort: tuple[int, int, float],
) -> tuple[Ritz, Array]:
    r"""The leading eigenvalues of the derivatives of `equations` by the state, and which are right.

    $d\lambda = w^T (dA) v / (w^T v)$ with $w$ from the leading eigenvalues of the transpose, which
    are found where a derivative is asked for; NaN where none is the same. The derivatives of the
    vectors are NaN.

    Args:
        equations: f of the arrays and the state; it captures no arrays.
        arrays: what it is computed from.
        x: where, `(n,)`.
        random: see `leading`.
        effort: how many eigenvalues, the most restarts, and the relative tolerance.
    """
    count, restarts, tolerance = effort

    def product_at(given: Arrays) -> Product:
        arrays, x = given
        return jax.linearize(lambda z: equations(arrays, z), x)[1]

    def found_by(product: Product) -> tuple[Ritz, Array]:
        ritz = leading(product, random, count, restarts, tolerance)
        return ritz, ritz.residuals <= 10 * tolerance * ritz.size

    def residual(given: Arrays, pairs: Pairs, _: Arrays) -> Array:
        r"""$A v - \lambda v$, a row for each."""
        arrays, x = given

        def image(v: Array) -> Array:
            return jax.jvp(lambda z: equations(arrays, z), (x,), (v,))[1]

        images = by_parts(jax.vmap(image), pairs.vectors)
        return images - pairs.values[:, None] * pairs.vectors

    def by_left_vectors(
        _: Callable[..., Array], at: tuple[Arrays, Pairs, Arrays], right_side: Array
    ) -> Pairs:
        given, pairs, (right, random, size) = at
        turned = jax.linear_transpose(product_at(given), x)
        other = leading(lambda v: turned(v)[0], random, count, restarts, tolerance)
        well = other.residuals <= 10 * tolerance * other.size
        off = jnp.where(well, abs(pairs.values[:, None] - other.values), jnp.inf)
        same = off <= _MATCHED * size  # of equal eigenvalues, more than one
        left = same.astype(pairs.vectors.dtype) @ other.vectors
        slope = -(left * right_side).sum(-1) / (left * pairs.vectors).sum(-1)
        slope = only(right & (same.sum(1) == 1), slope)
        shape = pairs.vectors.shape
        return Pairs(slope, only(jnp.zeros((), bool), jnp.broadcast_to(slope[:, None], shape)))

    ritz, right = found_by(product_at(lax.stop_gradient((arrays, x))))
    pairs = root_of(
        residual, (arrays, x), Pairs(ritz.values, ritz.vectors), (right, random, ritz.size),
        linear_solve=by_left_vectors,
    )  # fmt: skip
    return ritz._replace(values=pairs.values, vectors=pairs.vectors), right
