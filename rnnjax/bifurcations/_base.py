"""What every bifurcation of equilibria is, and the pieces that their tests share."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._small import bordered, determinant, inverse, null_vectors
from rnnjax._types import Array

Family = Callable[[Array], Array]  # (x, p) as one vector (n + 1,) -> the vector field (n,)


class Found(NamedTuple):
    """A solved bifurcation point.

    Attributes:
        genuine: whether it is what its test stands for.
        frequency: of the oscillation that begins there, in rad per ms; 0 where none does.
        coefficient: of the normal form; its meaning is the member's.
        kind: what the signs of the normal form say, an index into the member's `kinds`.
    """

    genuine: Array
    frequency: Array
    coefficient: Array
    kind: Array


class AbstractBifurcation(eqx.Module):
    r"""A type of point on a branch of equilibria of $\dot x = f(x, p)$.

    On the branch, `test` is smooth and changes its sign there. `equations` are as many as there
    are unknowns and regular at the point, so that Newton's method finds it to rounding.
    """

    label: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    variables: ClassVar[int] = 1  # below so many there can be none

    @abc.abstractmethod
    def test(self, derivatives: Array, tangent: Array) -> Array:
        """A bounded function of the point of the branch that changes sign at the bifurcation.

        Args:
            derivatives: of the vector field by state and parameter, scaled, `(n, n + 1)`.
            tangent: of the branch, scaled, `(n + 1,)`.
        """

    @abc.abstractmethod
    def begin(self, family: Family, u: Array, tangent: Array) -> tuple[Array, Any]:
        """The unknowns to start from, the point first, and constants of the equations."""

    @abc.abstractmethod
    def equations(self, family: Family, unknowns: Array, constants: Any) -> Array:
        """What vanishes at the bifurcation, as many numbers as there are unknowns."""

    @abc.abstractmethod
    def normal_form(self, family: Family, unknowns: Array, constants: Any) -> Found:
        """What happens at the point."""


def jacobian(family: Family, u: Array) -> Array:
    """The derivatives of the vector field by state and parameter, `(n, n + 1)`."""
    return jax.jacfwd(family)(u)


def jacobian_and_value(function: Family, u: Array) -> tuple[Array, Array]:
    """The derivatives of a function of a vector, and its value."""

    def twice(v: Array) -> tuple[Array, Array]:
        value = function(v)
        return value, value

    return jax.jacfwd(twice, has_aux=True)(u)


def normalized_determinant(matrix: Array) -> Array:
    """The determinant of the matrix whose rows are brought to length 1: from -1 to 1."""
    length = jnp.sqrt((matrix**2).sum(-1, keepdims=True))
    return determinant(matrix / jnp.where(length > 0, length, 1.0))


def largest_positive(v: Array) -> Array:
    """A vector or its opposite, so that its largest entry is positive."""
    size = lax.stop_gradient(abs(v))
    return v * jnp.where(jnp.where(size == size.max(), v, 0.0).sum() < 0, -1.0, 1.0)


def bordered_null(matrix: Array, borders: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    r"""How singular a matrix is, and its null vectors, as smooth functions of its entries.

    Solves $\begin{pmatrix} A & b \\ c^T & 0 \end{pmatrix} (v, g)^T = (0, 1)^T$ and its transpose:
    $g = 0$ exactly where $A$ is singular; there $v$ and $w$ are its null vectors.

    Args:
        matrix: $A$, `(m, m)`.
        borders: $c$ and $b$, near the right and the left null vector.

    Returns:
        $g$, $v$ and $w$.
    """
    c, b = borders
    found = inverse(bordered(matrix, b, c))
    return found[-1, -1], found[:-1, -1], found[-1, :-1]


def crossing_plane(family: Family, u: Array, tangent: Array) -> tuple[Array, Array]:
    """At a branch point, orthonormal directions of both branches, `tangent` in the first, `(2, n + 1)`.

    And the unit vector that the derivatives miss from the left.
    """
    derivatives = lax.stop_gradient(jacobian(family, u))
    t = tangent / jnp.sqrt(tangent @ tangent)
    units = jnp.sqrt((derivatives**2).sum(-1)).mean()
    right, left = null_vectors(jnp.concatenate([derivatives, units * t[None]]))
    s = right - (right @ t) * t
    left = left[:-1]
    return jnp.stack([t, s / jnp.sqrt(s @ s)]), left / jnp.sqrt(left @ left)


def directional(family: Family, u: Array, *directions: Array) -> Array:
    """The derivative of the vector field along each of the directions `(n + 1,)` in turn."""

    def along(f: Family, d: Array) -> Family:
        return lambda x: jax.jvp(f, (x,), (d,))[1]

    for direction in directions:
        family = along(family, direction)
    return family(u)


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
