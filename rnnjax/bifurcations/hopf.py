"""The Hopf bifurcation: an oscillation begins or ends."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._linalg import index_of_largest
from rnnjax._small import null_vectors, solve
from rnnjax._types import Array
from rnnjax.bifurcations._base import (
    AbstractBifurcation,
    Family,
    Found,
    bordered_null,
    directional,
    jacobian,
    jacobian_and_value,
    normalized_determinant,
    skew,
    sums_of_eigenvalues,
)

_VANISHING = 1e-9  # of the terms of l1, what their sum may be to count as none


class Hopf(AbstractBifurcation):
    r"""A pair of eigenvalues $\pm i \omega$ on the imaginary axis.

    The amplitude of the oscillation follows $\dot \rho = \omega \rho\, (\dots + l_1 \rho^2)$ with
    the first Lyapunov coefficient

    $l_1 = \frac{1}{2 \omega} \mathrm{Re}\,\big[ \langle p, C(q, q, \bar q) \rangle
    - 2 \langle p, B(q, A^{-1} B(q, \bar q)) \rangle
    + \langle p, B(\bar q, (2 i \omega - A)^{-1} B(q, q)) \rangle \big]$,

    $A q = i \omega q$, $A^T p = -i \omega p$, $\langle q, q \rangle = \langle p, q \rangle = 1$, $B$
    and $C$ the second and third derivatives of $f$. Negative: supercritical, small stable cycles;
    positive: subcritical. This is Kuznetsov's $l_1$: `l1 * omega` is the real part of the cubic
    coefficient (MatCont), and half of it the convention of some programs.

    Found where $\det(2 A \odot I) = \prod_{i<j} (\lambda_i + \lambda_j)$ changes sign. It does so
    too where two real eigenvalues are opposite, a neutral saddle, which is none.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, equations 5.62 and 10.34-10.36.
    """

    label = "H"
    kinds = ("supercritical", "subcritical", "degenerate")
    variables = 2

    def test(self, derivatives: Array, tangent: Array) -> Array:
        """The product of all sums of two eigenvalues, normalized."""
        return normalized_determinant(sums_of_eigenvalues(derivatives[:, :-1]))

    def begin(self, family: Family, u: Array, tangent: Array) -> tuple[Array, Any]:
        """The point itself; the borders are null vectors of the matrix of sums."""
        return u, null_vectors(sums_of_eigenvalues(jacobian(family, u)[:, :-1]))

    def equations(self, family: Family, unknowns: Array, constants: Any) -> Array:
        """The vector field, and how singular the matrix of sums is."""
        derivatives, value = jacobian_and_value(family, unknowns)
        g, _, _ = bordered_null(sums_of_eigenvalues(derivatives[:, :-1]), constants)
        return jnp.append(value, g)

    def normal_form(self, family: Family, unknowns: Array, constants: Any) -> Found:
        r"""The frequency, and Kuznetsov's first Lyapunov coefficient."""
        a = jacobian(family, unknowns)[:, :-1]
        square, q, p = _critical(a, constants)
        genuine = square > 1e-12 * (a**2).sum()
        omega = jnp.sqrt(jnp.where(genuine, square, 1.0))
        length = jnp.sqrt((abs(q) ** 2).sum())
        q = lax.complex(q.real / length, q.imag / length)
        p = p / jnp.conj((jnp.conj(p) * q).sum())
        terms = _cubic_terms(family, unknowns, a, omega, q, p)
        l1 = terms.sum() / (2 * omega)
        degenerate = abs(terms.sum()) <= _VANISHING * abs(terms).sum()
        kind = jnp.where(degenerate, 2, jnp.where(l1 < 0, 0, 1))
        return Found(genuine, omega, l1, kind.astype(jnp.int32))


def _critical(a: Array, borders: Any) -> tuple[Array, Array, Array]:
    r"""$\omega^2$ and the eigenvectors, from the null vectors of the matrix of sums.

    As a skew-symmetric matrix $\Phi$ its null vector spans the critical plane, on which
    $A^2 = -\omega^2$; there $(A + i \omega) \Phi y$ is an eigenvector for any $y$.
    """
    n = a.shape[0]
    _, right, left = bordered_null(sums_of_eigenvalues(a), borders)
    found = []
    plane = skew(right, n)
    square = -jnp.sum(plane * (a @ a @ plane)) / jnp.sum(plane**2)
    omega = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    for matrix, entries, turn in ((a, right, omega), (a.T, left, -omega)):
        plane = skew(entries, n)
        largest = index_of_largest((lax.stop_gradient(plane) ** 2).sum(0))
        y = plane[:, largest]
        found.append(lax.complex(matrix @ y, turn * y))
    return square, found[0], found[1]


def _cubic_terms(family: Family, u: Array, a: Array, omega: Array, q: Array, p: Array) -> Array:
    """The real parts of the three terms of the first Lyapunov coefficient."""
    r, i = (jnp.append(part, 0.0) for part in (q.real, q.imag))

    @jax.vmap
    def second(x: Array, y: Array) -> Array:
        return directional(family, u, x, y)

    @jax.vmap
    def third(x: Array, y: Array, z: Array) -> Array:
        return directional(family, u, x, y, z)

    def stacked(*rows: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(jnp.stack(column) for column in zip(*rows, strict=True))

    rr, ii, ri = second(*stacked((r, r), (i, i), (r, i)))
    mean = solve(a, rr + ii)  # A^-1 B(q, conj q)
    turn = 2 * omega * jnp.eye(a.shape[0], dtype=a.dtype)
    # (2 i omega - A)^-1 B(q, q), real and imaginary parts apart
    double = solve(jnp.block([[-a, -turn], [turn, -a]]), jnp.concatenate([rr - ii, 2 * ri]))
    m, dr, di = (jnp.append(part, 0.0) for part in (mean, *jnp.split(double, 2)))
    rm, im, rdr, rdi, idr, idi = second(
        *stacked((r, m), (i, m), (r, dr), (r, di), (i, dr), (i, di))
    )
    rrr, rii, rri, iii = third(*stacked((r, r, r), (r, i, i), (r, r, i), (i, i, i)))
    left = jnp.conj(p)
    return jnp.stack(
        [
            left @ lax.complex(rrr + rii, rri + iii),  # C(q, q, conj q)
            -2 * (left @ lax.complex(rm, im)),
            left @ lax.complex(rdr + idi, rdi - idr),  # B(conj q, double)
        ]
    ).real
