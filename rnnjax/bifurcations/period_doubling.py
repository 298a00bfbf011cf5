"""The period doubling: an orbit of twice the period branches off."""

from rnnjax._types import Array
from rnnjax.bifurcations._base import normalized_determinant
from rnnjax.bifurcations._cycle import AbstractOfCycles, CyclePlace


class PeriodDoubling(AbstractOfCycles):
    r"""A multiplier passes through -1; also called flip.

    The test is $\det(A - B)$: with $\mu = -1$ what is left of the variational equation,
    $A x_0 + B x_T = 0$, has $x_T = -x_0$.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 5.3.
    """

    label = "PD"
    kinds = ("period doubling",)
    variables = 3

    def test(self, place: CyclePlace) -> Array:
        r"""$\det(A - B)$, its rows brought to length 1."""
        return normalized_determinant(place.first - place.last) * place.sign
