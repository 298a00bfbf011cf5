"""The Neimark-Sacker point: a torus branches off a periodic orbit."""

import jax.numpy as jnp
import numpy as np

from rnnjax._small import determinant
from rnnjax._types import Array
from rnnjax.bifurcations._cycle import AbstractOfCycles, CyclePlace, transverse

_NEAR = 0.5  # of 1, the product of a pair that may be on its way through the unit circle


class NeimarkSacker(AbstractOfCycles):
    r"""A pair of multipliers $e^{\pm i \theta}$ passes through the unit circle; also called torus (TR).

    The test is $\det(\wedge^2 A - \wedge^2 B)$, which is zero where the product of two multipliers is 1:
    of $A x + \mu B x = 0$, the variational equation transverse to the flow, $\wedge^2$ the matrix of all
    minors of two rows. Real pairs $\mu$, $1 / \mu$ are no such points.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 5.3; Guckenheimer, Myers and
        Sturmfels (1997), SIAM J. Numer. Anal. 34:1-21 (compound matrices).
    """

    label = "NS"
    kinds = ("Neimark-Sacker",)
    variables = 3

    def test(self, place: CyclePlace) -> Array:
        """What is zero where the product of two multipliers is 1."""
        of = transverse(place)
        # rows by what they hold: multipliers that differ by many orders leave some of them tiny
        first, last = _minors(of.first), _minors(of.last)
        size = jnp.sqrt((first**2 + last**2).sum(1, keepdims=True))
        value = determinant((first - last) / jnp.where(size > 0, size, 1.0))
        return value * of.sign ** (of.first.shape[0] - 1)

    def genuine(self, place: CyclePlace) -> Array:
        """Whether the pair whose product is nearest to 1 is complex."""
        of = transverse(place)
        values = jnp.linalg.eigvals(-jnp.linalg.solve(of.last, of.first))
        i, j = np.triu_indices(values.size, 1)
        off = abs(values[i] * values[j] - 1)
        nearest = (off == off.min()) & (off < _NEAR)
        return (jnp.where(nearest, abs(values[i].imag), 0.0)).max() > 1e-8


def _minors(m: Array) -> Array:
    """All minors of two rows and two columns."""
    i, j = np.triu_indices(m.shape[0], 1)
    a, b = m[i[:, None], i[None]], m[i[:, None], j[None]]
    c, d = m[j[:, None], i[None]], m[j[:, None], j[None]]
    return a * d - b * c
