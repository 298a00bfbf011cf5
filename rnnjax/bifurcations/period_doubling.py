"""The period doubling: an orbit of twice the period branches off."""

import jax.numpy as jnp

from rnnjax._numerics.collocation import Row
from rnnjax._types import Array
from rnnjax.bifurcations._base import normalized_determinant
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, CyclePlace
from rnnjax.bifurcations._cycle_form import Orbiting, as_complex


class PeriodDoubling(AbstractOfCycles):
    r"""A multiplier passes through -1; also called flip.

    The test is $\det(A - B)$: with $\mu = -1$ what is left of the variational equation,
    $A x_0 + B x_T = 0$, has $x_T = -x_0$. The coefficient is $c$ of $\dot \xi = c \xi^3$, with
    $\int |v|^2 dt = 1$: negative (supercritical) where the doubled orbit is the stable one, in what the
    other multipliers leave.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 5.3.
    """

    label = "PD"
    kinds = ("supercritical", "subcritical")
    word = "period doubling"
    plural = "period doublings"
    marker = "D"
    doubles = True
    signed = True
    variables = 3

    def test(self, place: CyclePlace) -> Array:
        r"""$\det(A - B)$, its rows brought to length 1."""
        return normalized_determinant(place.first - place.last) * place.sign

    def form(self, of: Orbiting, place: CyclePlace, tangent: Row) -> tuple[Array, Array]:
        r"""$6 c \int \langle \phi, v \rangle = \int \langle \phi, C(v, v, v) + 3 B(v, h) - 6 a A v \rangle$.

        $h' - A h = B(v, v) - 2 a f$ is periodic.
        """
        v, left = of.eigenfunction(as_complex(-jnp.ones(())))
        v = v.real
        h, twice = of.periodic(of.along(2)(v, v))
        drive = of.along(3)(v, v, v) + 3 * of.along(2)(v, h) - 3 * twice * of.along(1)(v)
        top, bottom = ((left * of.left(as_complex(x))).sum() for x in (drive, v))
        c = (top / bottom).real / 6
        return (c > 0).astype(jnp.int32), c
