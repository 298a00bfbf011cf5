"""The Hopf bifurcation: an oscillation begins or ends."""

import jax.numpy as jnp

from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import (
    AbstractFollowed,
    AbstractOnCurve,
    Family,
    Found,
    HopfPlace,
    by_state,
    jacobian,
    jacobian_and_value,
)
from rnnjax.bifurcations._critical import (
    cubic_terms,
    eigenvectors,
    on_plane,
    orthonormal,
    plane_of,
    reframed,
)
from rnnjax.bifurcations._eigenvalue_sums import product_of_opposites, product_of_sums

_VANISHING = 1e-9  # of the terms of l1, what their sum may be to count as none


class Hopf(AbstractFollowed):
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
    too where two real eigenvalues are opposite, a neutral saddle, which is none. Solved as
    $f = 0$ with $A^2 + \omega^2$ vanishing on a plane.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, equations 5.62 and 10.34-10.36.
    """

    label = "H"
    kinds = ("supercritical", "subcritical", "degenerate")
    word = "Hopf"
    plural = "Hopf points"
    marker = "o"
    color = "#0072B2"
    crossing = 2
    begins_orbits = True
    signed = True
    variables = 2

    def test(self, derivatives: Float[Array, "n point"], tangent: Float[Array, " point"]) -> Array:
        """The product of all sums of two eigenvalues, normalized."""
        return product_of_sums(by_state(derivatives))

    def begin(
        self, family: Family, u: Float[Array, " point"], tangent: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        r"""The point and $\kappa = \omega^2$; the frame is that of the critical plane."""
        a = by_state(jacobian(family, u))
        square = product_of_opposites(a)
        return jnp.append(u, square), plane_of(a, square)

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        r"""The vector field, and how far $A^2 + \kappa$ is from vanishing on a plane."""
        u, square = unknowns[:-1], unknowns[-1]
        derivatives, value = jacobian_and_value(family, u)
        off, _, _ = on_plane(by_state(derivatives), square, constants)
        return jnp.concatenate([value, off])

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        r"""The frequency, and Kuznetsov's first Lyapunov coefficient."""
        u, square = unknowns[:-1], unknowns[-1]
        a = by_state(jacobian(family, u))
        genuine = square > 1e-12 * (a**2).sum()
        omega = jnp.sqrt(jnp.where(genuine, square, 1.0))
        _, right, left = on_plane(a, square, constants)
        q, p = eigenvectors(a, omega, right, left)
        terms = cubic_terms(family, u, a, omega, q, p)
        l1 = terms.sum() / (2 * omega)
        degenerate = abs(terms.sum()) <= _VANISHING * abs(terms).sum()
        kind = jnp.where(degenerate, 2, jnp.where(l1 < 0, 0, 1))
        still = jnp.zeros_like(omega)
        return Found(
            genuine, jnp.where(genuine, omega, still), jnp.where(genuine, l1, jnp.nan),
            kind.astype(jnp.int32),
        )  # fmt: skip

    def frame_at(self, family: Family, unknowns: Float[Array, " unknown"]) -> Arrays:
        """The critical plane there."""
        return plane_of(by_state(jacobian(family, unknowns[:-1])), unknowns[-1])

    def reframe(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Arrays:
        """The critical plane there."""
        return reframed(by_state(jacobian(family, unknowns[:-1])), unknowns[-1], constants)

    def test_of(
        self,
        member: AbstractOnCurve,
        family: Family,
        unknowns: Float[Array, " unknown"],
        constants: Arrays,
    ) -> Array:
        """With the critical plane there."""
        u, square = unknowns[:-1], unknowns[-1]
        a = by_state(jacobian(family, u))
        _, right, left = on_plane(a, square, constants)
        right, left = orthonormal(right), orthonormal(left)
        return member.on_hopf_points(HopfPlace(family, u, a, square, right, left))

    def begin_of(
        self, member: AbstractOnCurve, family: Family, unknowns: Float[Array, " unknown"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """From state, parameters and the square of the frequency."""
        return member.from_hopf_points(family, unknowns[:-1], unknowns[-1])
