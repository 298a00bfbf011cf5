"""The Neimark-Sacker point: a torus branches off a periodic orbit."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.collocation import Row
from rnnjax._numerics.dense import determinant
from rnnjax._precision import index_of_largest
from rnnjax._types import Array
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, CyclePlace, transverse
from rnnjax.bifurcations._cycle_form import Orbiting

_NEAR = 0.5  # of 1, the product of a pair that may be on its way through the unit circle


class NeimarkSacker(AbstractOfCycles):
    r"""A pair of multipliers $e^{\pm i \theta}$ passes through the unit circle; also called torus (TR).

    The test is $\det(\wedge^2 A - \wedge^2 B)$, which is zero where the product of two multipliers is 1:
    of $A x + \mu B x = 0$, the variational equation transverse to the flow, $\wedge^2$ the matrix of all
    minors of two rows. Real pairs $\mu$, $1 / \mu$ are no such points. The coefficient is Re d of
    $\dot \xi = i \omega \xi + d \xi |\xi|^2$, with $\int |v|^2 dt = 1$: negative (supercritical) where the
    torus is the stable one, in what the other multipliers leave.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 5.3; Guckenheimer, Myers and
        Sturmfels (1997), SIAM J. Numer. Anal. 34:1-21 (compound matrices).
    """

    label = "NS"
    kinds = ("supercritical", "subcritical")
    word = "Neimark-Sacker"
    plural = "Neimark-Sacker points"
    marker = "*"
    signed = True
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
        k = index_of_largest(-off)
        return (off[k] < _NEAR) & (abs(values[i][k].imag) > 1e-8)

    def form(self, of: Orbiting, place: CyclePlace, tangent: Row) -> tuple[Array, Array]:
        r"""$2 d \langle \phi, y \rangle = \langle \phi, C(y, y, \bar y) + 2 B(y, h) + B(\bar y, w) - 2 a A y \rangle$.

        $y' = A y$ turns by $e^{i \theta}$ in a period; $h' - A h = B(y, \bar y) - a f$ is periodic, and
        $w' - A w = B(y, y)$ turns by $e^{2 i \theta}$.
        """
        below = transverse(place)
        values = jnp.linalg.eigvals(-jnp.linalg.solve(below.last, below.first))
        off = abs(abs(values) - 1) + jnp.where(values.imag > 0, 0.0, jnp.inf)
        sigma = values[index_of_largest(-off)]
        y, left = of.eigenfunction(sigma)
        a, b = y.real, y.imag
        second, third, first = of.along(2), of.along(3), of.along(1)
        h, drift = of.periodic(second(a, a) + second(b, b))
        w = of.solve(lax.complex(second(a, a) - second(b, b), 2 * second(a, b)), sigma * sigma)
        p, q = w.real, w.imag
        real = third(a, a, a) + third(a, b, b) + 2 * second(a, h) + second(a, p) + second(b, q)
        imaginary = third(a, a, b) + third(b, b, b) + 2 * second(b, h) + second(a, q) - second(b, p)
        real, imaginary = real - 2 * drift * first(a), imaginary - 2 * drift * first(b)
        top, bottom = ((left * of.left(x)).sum() for x in (lax.complex(real, imaginary), y))
        d = (top / bottom).real / 2
        return (d > 0).astype(jnp.int32), d


def _minors(m: Array) -> Array:
    """All minors of two rows and two columns."""
    i, j = np.triu_indices(m.shape[0], 1)
    a, b = m[i[:, None], i[None]], m[i[:, None], j[None]]
    c, d = m[j[:, None], i[None]], m[j[:, None], j[None]]
    return a * d - b * c
