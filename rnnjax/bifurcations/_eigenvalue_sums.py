"""Sums of two eigenvalues: one of them vanishes where a pair is on the imaginary axis."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.dense import bordered, determinant, null_vectors, product
from rnnjax._precision import index_of_largest
from rnnjax._types import Array, Float

LARGEST = 10  # variables up to which there is a matrix of all sums
_NEAR = 0.05  # of the largest eigenvalue: sums beyond it hardly count


def product_of_sums(a: Array) -> Array:
    r"""A bounded function that vanishes with $\prod_{i<j} (\lambda_i + \lambda_j)$.

    Of many variables it is the product of $z / \sqrt{1 + |z|^2}$ for sums $z$ in small units, by
    the eigenvalues.
    """
    if a.shape[0] <= LARGEST:
        return determinant(sums_of_eigenvalues(a) / _lengths(a)[:, None])
    return jnp.prod(_bounded(_sums(a)[0])).real


def product_of_opposites(a: Array) -> Array:
    r"""$\lambda_i \lambda_j$ of the two eigenvalues whose sum is closest to zero: $\omega^2$ of a pair.

    The null vector of the matrix of sums, as a skew-symmetric matrix, spans their plane, on
    which $A^2 = -\omega^2$.
    """
    n = a.shape[0]
    if n > LARGEST:
        sums, products = _sums(a)
        return products[index_of_largest(-abs(sums))].real
    return _on_plane(a, skew(null_vectors(sums_of_eigenvalues(a))[0], n))


def other_sums(a: Array, square: Array, right: Array, left: Array) -> Array:
    """`product_of_sums` without the sum of the pair whose planes `(n, 2)` and product are given."""
    if a.shape[0] > LARGEST:
        sums, known = _sums(a)
        it = _nearest(sums, known, square)
        return jnp.prod(jnp.where(it, 1.0, _bounded(sums))).real
    unit = jnp.append(_lengths(a), 1.0)
    return determinant(_without(a, right, left) / unit[:, None])


def other_opposites(a: Array, square: Array, right: Array, left: Array) -> Array:
    """`product_of_opposites` without that pair."""
    if a.shape[0] > LARGEST:
        sums, known = _sums(a)
        near = jnp.where(_nearest(sums, known, square), jnp.inf, abs(sums))
        return known[index_of_largest(-near)].real
    found = null_vectors(_without(a, right, left))[0][:-1]
    return _on_plane(a, skew(found, a.shape[0]))


def _without(a: Array, right: Array, left: Array) -> Array:
    """The matrix of sums, bordered by the vectors of one of them."""
    i, j = pairs(a.shape[0])
    row, column = (x[i, 0] * x[j, 1] - x[j, 0] * x[i, 1] for x in (right, left))
    return bordered(sums_of_eigenvalues(a), column, row)


def _lengths(a: Array) -> Array:
    """About how long the rows of the matrix of sums are; not zero where one of them is."""
    i, j = pairs(a.shape[0])
    squares = (a**2).sum(-1)
    lengths = squares[i] + squares[j]
    return jnp.sqrt(jnp.where(lengths > 0, lengths, 1.0))


def _on_plane(a: Array, plane: Array) -> Array:
    """Minus the square of a matrix on the plane that a skew-symmetric matrix spans."""
    return -jnp.sum(plane * product(a, product(a, plane))) / jnp.sum(plane**2)


def _sums(a: Array) -> tuple[Array, Array]:
    """The sums of two eigenvalues in small units, and their products."""
    i, j = pairs(a.shape[0])
    values = jnp.linalg.eigvals(a)
    unit = _NEAR * jnp.sqrt((values.real**2 + values.imag**2).max())
    return _over(values[i] + values[j], unit), values[i] * values[j]


def _nearest(sums: Array, products: Array, square: Float[Array, ""]) -> Array:
    """A mask of the pair whose sum is closest to zero and whose product to `square`."""
    off = abs(lax.complex(products.real - square, products.imag))
    off = abs(sums) + off / (abs(square) + 1e-300)
    return lax.broadcasted_iota(jnp.int32, off.shape, 0) == index_of_largest(-off)


def _bounded(z: Array) -> Array:
    """Brought to an absolute value below 1."""
    return _over(z, jnp.sqrt(1 + z.real**2 + z.imag**2))


def _over(z: Array, real: Array) -> Array:
    """A quotient, where nothing is promoted."""
    return lax.complex(z.real / real, z.imag / real)


def pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs i < j of n variables."""
    return np.triu_indices(n, 1)


def sums_of_eigenvalues(a: Array) -> Array:
    r"""The matrix whose eigenvalues are $\lambda_i + \lambda_j$, $i < j$: $2 A \odot I$.

    It is the linear map $\Phi \mapsto A \Phi + \Phi A^T$ on skew-symmetric $\Phi$.
    """
    n = a.shape[0]
    i, j = pairs(n)
    eye = np.eye(n)
    # the entries (i, j) of A Phi + Phi A^T for Phi = e_k e_l^T - e_l e_k^T
    return (
        a[i[:, None], i[None]] * eye[j[:, None], j[None]]
        - a[i[:, None], j[None]] * eye[j[:, None], i[None]]
        + a[j[:, None], j[None]] * eye[i[:, None], i[None]]
        - a[j[:, None], i[None]] * eye[i[:, None], j[None]]
    )


def skew(entries: Array, n: int) -> Array:
    """The skew-symmetric matrix with these entries above its diagonal."""
    i, j = pairs(n)
    upper = jnp.zeros((n, n), entries.dtype).at[i, j].set(entries)
    return upper - upper.T
