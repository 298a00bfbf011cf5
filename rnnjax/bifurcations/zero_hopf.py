"""The zero-Hopf (fold-Hopf) point: a fold and a Hopf point in one."""

import jax.numpy as jnp

from rnnjax._numerics.dense import null_vectors
from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import (
    AbstractOnCurve,
    Family,
    FoldPlace,
    Found,
    HopfPlace,
    bordered_null,
    by_state,
    jacobian,
    jacobian_and_value,
)
from rnnjax.bifurcations._critical import on_plane, plane_of, product_of_others
from rnnjax.bifurcations._eigenvalue_sums import product_of_opposites, product_of_sums


class ZeroHopf(AbstractOnCurve):
    r"""One eigenvalue is zero and a pair is $\pm i \omega$: curves of folds and Hopf points touch.

    The normal form is not computed; the coefficient is that of the fold's singular matrix, 0.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 8.5.
    """

    label = "ZH"
    kinds = ("zero-Hopf",)
    word = "zero-Hopf"
    marker = "v"
    variables = 3
    on = ("LP", "H")

    def on_folds(self, place: FoldPlace) -> Array:
        """The product of all sums of two eigenvalues, which vanishes at a BT point as well."""
        return product_of_sums(place.a)

    def on_hopf_points(self, place: HopfPlace) -> Array:
        """The product of all eigenvalues but the critical pair."""
        return product_of_others(place.a, place.right, place.left)

    def from_folds(
        self, family: Family, u: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The point and the square of the frequency; null vectors and critical plane."""
        return self.from_hopf_points(family, u, product_of_opposites(by_state(jacobian(family, u))))

    def from_hopf_points(
        self, family: Family, u: Float[Array, " point"], square: Float[Array, ""]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The same."""
        a = by_state(jacobian(family, u))
        return jnp.append(u, square), (null_vectors(a), plane_of(a, square))

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """Those of a fold and those of a Hopf point."""
        borders, plane = constants
        u, square = unknowns[:-1], unknowns[-1]
        derivatives, value = jacobian_and_value(family, u)
        a = by_state(derivatives)
        g, _, _ = bordered_null(a, borders)
        off, _, _ = on_plane(a, square, plane)
        return jnp.concatenate([value, g[None], off])

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """The frequency."""
        square = unknowns[-1]
        a = by_state(jacobian(family, unknowns[:-1]))
        genuine = square > 1e-10 * (a**2).sum()
        omega = jnp.sqrt(jnp.where(genuine, square, 1.0))
        return Found(genuine, omega, jnp.zeros_like(omega), jnp.zeros((), jnp.int32))
