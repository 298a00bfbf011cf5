"""How far piecewise polynomials reach, between their nodes too."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.collocation import DEGREE, NODES, closed
from rnnjax._precision import index_of_largest
from rnnjax._types import Array

_LOOKS, _TURNED = 8, 4  # parts of an interval in which is looked; corrections of the place


def extremes(x: Array) -> tuple[Array, Array]:
    """The smallest and the largest value of each variable of the polynomials, `(n,)` each."""
    lowest, highest = (sign * _largest(sign * x) for sign in (-1.0, 1.0))
    return lowest, highest


def _largest(x: Array) -> Array:
    """The largest value of each variable: of each interval where the polynomial is level there.

    Found by Newton's method from the largest of some values; the place takes no part in derivatives.
    """
    ends = np.linspace(0, 1, _LOOKS + 1)
    powers = np.linalg.solve(np.vander(NODES, increasing=True), np.eye(DEGREE + 1))
    c = jnp.einsum("ck,jkn->cjn", powers, closed(x))
    begun = jnp.asarray(ends)[index_of_largest(_at(c, jnp.asarray(ends)[:, None, None]))]
    slope = jnp.asarray(np.arange(1.0, DEGREE + 1))[:, None, None] * c[1:]
    bend = jnp.asarray(np.arange(1.0, DEGREE))[:, None, None] * slope[1:]
    low, high = (jnp.clip(begun + side / _LOOKS, 0.0, 1.0) for side in (-1, 1))

    def turned(s: Array, _: None) -> tuple[Array, None]:
        curves = _at(bend, s)
        step = jnp.where(curves < 0, _at(slope, s) / jnp.where(curves < 0, curves, 1.0), 0.0)
        return jnp.clip(s - step, low, high), None

    there = lax.stop_gradient(lax.scan(turned, begun, None, length=_TURNED)[0])
    values = jnp.maximum(_at(c, there), _at(c, lax.stop_gradient(begun)))
    best = index_of_largest(values)
    return jnp.take_along_axis(values, best[None], 0)[0]


def _at(coefficients: Array, share: Array) -> Array:
    """Polynomials, the lowest power first."""
    value = coefficients[-1]
    for each in coefficients[-2::-1]:
        value = each + share * value
    return value
