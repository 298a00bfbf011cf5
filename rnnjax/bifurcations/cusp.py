"""The cusp: two folds meet and vanish."""

import jax.numpy as jnp

from rnnjax._numerics.dense import null_vectors
from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import (
    AbstractOnCurve,
    Family,
    FoldPlace,
    Found,
    by_state,
    directional,
    jacobian,
    jacobian_and_value,
    largest_positive,
)
from rnnjax.bifurcations._critical import bend_and_cubic, null_of, padded


class Cusp(AbstractOnCurve):
    r"""The quadratic coefficient of a fold vanishes: two curves of folds end in a cusp.

    Near it the flow along the null vector $v$ of $f_x$ is
    $\dot \xi = \beta_1 + \beta_2 \xi + c \xi^3$ with
    $c = \tfrac16 \langle w, C(v, v, v) - 3 B(v, h) \rangle$, $A h = B(v, v)$, $|v| = 1$ and
    $\langle w, v \rangle = 1$. Between the folds there are three equilibria: the outer two are
    stable along $v$ for $c < 0$ (supercritical), the middle one for $c > 0$ (subcritical).

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 8.2.
    """

    label = "CP"
    kinds = ("supercritical", "subcritical")
    word = "cusp"
    marker = "^"
    on = ("LP",)

    def on_folds(self, place: FoldPlace) -> Array:
        """The second derivative along the null vector."""
        return _bend(place.family, place.u, place.v, place.w)

    def from_folds(
        self, family: Family, u: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The point itself; the borders are the null vectors there."""
        return u, null_vectors(by_state(jacobian(family, u)))

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """The vector field, how singular its Jacobian is, and the quadratic coefficient."""
        derivatives, value = jacobian_and_value(family, unknowns)
        g, v, w = null_of(by_state(derivatives), constants)
        return jnp.concatenate([value, g[None], _bend(family, unknowns, v, w)[None]])

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """The cubic coefficient c."""
        a = by_state(jacobian(family, unknowns))
        _, v, w = null_of(a, constants)
        v = largest_positive(v)
        along = w @ v
        _, cubic = bend_and_cubic(family, unknowns, a, v, w / along)
        kind = jnp.where(cubic < 0, 0, 1).astype(jnp.int32)
        return Found(abs(along) > 1e-7, jnp.zeros_like(cubic), cubic, kind)


def _bend(family: Family, u: Array, v: Array, w: Array) -> Array:
    along = padded(v, u)
    return w @ directional(family, u, along, along)
