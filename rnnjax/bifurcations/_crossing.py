"""Which way the other branch goes where two of them cross."""

import jax.numpy as jnp

from rnnjax._types import Array
from rnnjax.bifurcations._base import Family, crossing_plane, directional


def other_direction(family: Family, u: Array, tangent: Array) -> Array:
    """The tangent of the branch that crosses at a branch point.

    On the null space of the derivatives, spanned by `tangent` t and s, the second derivatives
    along the left null vector give a quadratic form Q; the branches go where it vanishes. That
    is t and, as Q(t, t) = 0, the direction of 2 Q(t, s) s - Q(s, s) t.
    """
    (t, s), w = crossing_plane(family, u, tangent)
    mixed = w @ directional(family, u, t, s)
    curved = w @ directional(family, u, s, s)
    direction = 2 * mixed * s - curved * t
    return direction / jnp.sqrt(direction @ direction)
