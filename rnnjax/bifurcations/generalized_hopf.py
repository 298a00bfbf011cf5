"""The generalized Hopf (Bautin) point: a Hopf bifurcation changes from super- to subcritical."""

import jax.numpy as jnp

from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import (
    AbstractOnCurve,
    Family,
    Found,
    HopfPlace,
    by_state,
    jacobian,
    jacobian_and_value,
)
from rnnjax.bifurcations._center_manifold import second_lyapunov
from rnnjax.bifurcations._critical import (
    cubic_terms,
    eigenvectors,
    on_plane,
    plane_of,
    product_of_others,
)


class GeneralizedHopf(AbstractOnCurve):
    r"""The first Lyapunov coefficient of a Hopf point vanishes.

    There $\dot \rho = \omega \rho\, (\dots + l_1 \rho^2 + l_2 \rho^4)$ with $l_1 = 0$; a curve of
    folds of cycles begins. For $l_2 < 0$ (supercritical) the outer cycle is stable, for
    $l_2 > 0$ (subcritical) the inner one is. $l_2$ is Kuznetsov's, the real part of the coefficient
    of $z |z|^4$ over $\omega$ for an eigenvector of length 1.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, sections 8.3 and 8.7.3.
    """

    label = "GH"
    kinds = ("supercritical", "subcritical")
    word = "generalized Hopf"
    marker = "o"
    variables = 2
    on = ("H",)

    def on_hopf_points(self, place: HopfPlace) -> Array:
        """The first Lyapunov coefficient without its poles, at BT and at zero-Hopf points."""
        ratio = _ratio(place.family, place.u, place.a, place.square, place.right, place.left)
        if place.a.shape[0] > 2:
            ratio = ratio * product_of_others(place.a, place.right, place.left)
        return ratio / jnp.sqrt(1 + ratio**2)

    def from_hopf_points(
        self, family: Family, u: Float[Array, " point"], square: Float[Array, ""]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The point and the square of the frequency; the frame is that of the critical plane."""
        return jnp.append(u, square), plane_of(by_state(jacobian(family, u)), square)

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """Those of the Hopf point, and the first Lyapunov coefficient."""
        u, square = unknowns[:-1], unknowns[-1]
        derivatives, value = jacobian_and_value(family, u)
        a = by_state(derivatives)
        off, right, left = on_plane(a, square, constants)
        ratio = _ratio(family, u, a, square, right, left)
        return jnp.concatenate([value, off, ratio[None]])

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """The frequency and the second Lyapunov coefficient."""
        u, square = unknowns[:-1], unknowns[-1]
        a = by_state(jacobian(family, u))
        genuine = square > 1e-10 * (a**2).sum()
        omega = jnp.sqrt(jnp.where(genuine, square, 1.0))
        _, right, left = on_plane(a, square, constants)
        q, p = eigenvectors(a, omega, right, left)
        l2 = second_lyapunov(family, u, a, omega, q, p)
        return Found(genuine, omega, l2, jnp.where(l2 < 0, 0, 1).astype(jnp.int32))


def _ratio(family: Family, u: Array, a: Array, square: Array, right: Array, left: Array) -> Array:
    """The real part of the cubic coefficient, in units of the Jacobian's size."""
    least = 1e-12 * (a**2).sum()
    omega = jnp.sqrt(jnp.maximum(square, least))
    terms = cubic_terms(family, u, a, omega, *eigenvectors(a, omega, right, left))
    return terms.sum() / jnp.sqrt((a**2).mean())
