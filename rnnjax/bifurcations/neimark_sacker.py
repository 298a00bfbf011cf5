"""The Neimark-Sacker point: a torus branches off a periodic orbit."""

import jax.numpy as jnp
import numpy as np

from rnnjax._types import Array
from rnnjax.bifurcations._base import normalized_determinant
from rnnjax.bifurcations._cycle import AbstractOfCycles, CyclePlace, transverse


class NeimarkSacker(AbstractOfCycles):
    r"""A pair of multipliers $e^{\pm i \theta}$ passes through the unit circle; also called torus (TR).

    The test is the product of all $\mu_i \mu_j - 1$, $i < j$, of the multipliers transverse to the
    flow, by the second compound of their matrix. Real pairs $\mu$, $1 / \mu$ are no such points.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 5.3; Guckenheimer, Myers and
        Sturmfels (1997), SIAM J. Numer. Anal. 34:1-21 (compound matrices).
    """

    label = "NS"
    kinds = ("Neimark-Sacker",)
    variables = 3

    def test(self, place: CyclePlace) -> Array:
        """The product of all products of two multipliers less 1, bounded."""
        m = transverse(place)
        i, j = np.triu_indices(m.shape[0], 1)
        a, b = m[i[:, None], i[None]], m[i[:, None], j[None]]
        c, d = m[j[:, None], i[None]], m[j[:, None], j[None]]
        return normalized_determinant(a * d - b * c - jnp.eye(i.size))

    def genuine(self, place: CyclePlace) -> Array:
        """Whether the pair closest to the unit circle is near it, and complex."""
        values = jnp.linalg.eigvals(transverse(place))
        i, j = np.triu_indices(values.size, 1)
        off = abs(values[i] * values[j] - 1)
        nearest = (off == off.min()) & (off < 0.5)
        return (jnp.where(nearest, abs(values[i].imag), 0.0)).max() > 1e-8
