"""The double Hopf point: two pairs of eigenvalues on the imaginary axis."""

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
from rnnjax.bifurcations._critical import on_plane, plane_of
from rnnjax.bifurcations._eigenvalue_sums import other_opposites, other_sums


class HopfHopf(AbstractOnCurve):
    r"""Pairs $\pm i \omega_1$ and $\pm i \omega_2$: two curves of Hopf points cross.

    The frequency is that of the curve on which it was met; the coefficient is
    $\omega_2 / \omega_1$. The normal form is not computed.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 8.6.
    """

    label = "HH"
    kinds = ("double Hopf",)
    word = "double Hopf"
    marker = "s"
    variables = 4
    on = ("H",)

    def on_hopf_points(self, place: HopfPlace) -> Array:
        """The product of all sums of two eigenvalues but that of the critical pair."""
        return other_sums(place.a, place.square, place.right, place.left)

    def from_hopf_points(
        self, family: Family, u: Float[Array, " point"], square: Float[Array, ""]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The point and the squares of both frequencies; both critical planes."""
        a = by_state(jacobian(family, u))
        plane = plane_of(a, square)
        other = other_opposites(a, square, plane.right, plane.left)
        unknowns = jnp.concatenate([u, jnp.stack([square, other])])
        return unknowns, (plane, plane_of(a, other))

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """The vector field, and how far both pairs are from the axis."""
        u, squares = unknowns[:-2], unknowns[-2:]
        derivatives, value = jacobian_and_value(family, u)
        a = by_state(derivatives)
        off = [on_plane(a, squares[k], constants[k])[0] for k in (0, 1)]
        return jnp.concatenate([value, *off])

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """Both frequencies."""
        squares = unknowns[-2:]
        a = by_state(jacobian(family, unknowns[:-2]))
        apart = abs(squares[0] - squares[1]) > 1e-8 * abs(squares).max()
        genuine = (squares > 1e-10 * (a**2).sum()).all() & apart
        omega = jnp.sqrt(jnp.where(genuine, squares, 1.0))
        return Found(genuine, omega[0], omega[1] / omega[0], jnp.zeros((), jnp.int32))
