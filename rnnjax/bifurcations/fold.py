"""The fold: two equilibria meet and vanish."""

import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.dense import null_vectors
from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import (
    AbstractFollowed,
    AbstractOnCurve,
    Family,
    FoldPlace,
    Found,
    bordered_null,
    by_state,
    directional,
    jacobian,
    jacobian_and_value,
    largest_positive,
)
from rnnjax.bifurcations._critical import is_pushed, null_of, padded


class Fold(AbstractFollowed):
    r"""A saddle-node: one eigenvalue is zero and the branch turns back.

    Near it the flow along the null vector $v$ of $f_x$ is $\dot \xi = \alpha\, (p - p_0) + a \xi^2$,
    with $a = \tfrac12 \langle w, B(v, v) \rangle$, $B$ the second derivatives of $f$, $w$ the left
    null vector, $|v| = 1$ (its largest entry positive) and $\langle w, v \rangle = 1$.

    Found where the parameter stops to change along the branch, and solved as
    $f = 0,\ g = 0$ with $g$ from the bordered $f_x$.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, sections 3.2-3.3 and 10.2.1.
    """

    label = "LP"
    kinds = ("fold",)
    crossing = 1
    word = "fold"
    plural = "folds"
    marker = "s"
    color = "#D55E00"

    def test(self, derivatives: Float[Array, "n point"], tangent: Float[Array, " point"]) -> Array:
        """The parameter's share of the tangent."""
        return tangent[-1]

    def begin(
        self, family: Family, u: Float[Array, " point"], tangent: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The point itself; the borders are the null vectors there."""
        return u, self.frame_at(family, u)

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """The vector field, and how singular its Jacobian is."""
        derivatives, value = jacobian_and_value(family, unknowns)
        g, _, _ = bordered_null(by_state(derivatives), constants)
        return jnp.append(value, g)

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """The quadratic coefficient a."""
        derivatives = jacobian(family, unknowns)
        _, v, w = null_of(by_state(derivatives), constants)
        v = largest_positive(v)
        w = w / jnp.sum(w * v)
        direction = padded(v, unknowns)
        a = jnp.sum(w * directional(family, unknowns, direction, direction)) / 2
        genuine = is_pushed(family, unknowns, derivatives, v, w)
        return Found(genuine, jnp.zeros_like(a), a, jnp.zeros((), jnp.int32))

    def frame_at(self, family: Family, unknowns: Float[Array, " unknown"]) -> Arrays:
        """The null vectors there."""
        return null_vectors(by_state(jacobian(family, unknowns)))

    def reframe(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Arrays:
        """The null vectors there."""
        _, v, w = null_of(by_state(jacobian(family, unknowns)), constants)
        return lax.stop_gradient((v, w))

    def test_of(
        self,
        member: AbstractOnCurve,
        family: Family,
        unknowns: Float[Array, " unknown"],
        constants: Arrays,
    ) -> Array:
        """With the null vectors there."""
        a = by_state(jacobian(family, unknowns))
        _, v, w = null_of(a, constants)
        return member.on_folds(FoldPlace(family, unknowns, a, v, w))

    def begin_of(
        self, member: AbstractOnCurve, family: Family, unknowns: Float[Array, " unknown"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """From state and parameters."""
        return member.from_folds(family, unknowns)
