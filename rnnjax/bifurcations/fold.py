"""The fold: two equilibria meet and vanish."""

from typing import Any

import jax.numpy as jnp

from rnnjax._small import null_vectors
from rnnjax._types import Array
from rnnjax.bifurcations._base import (
    AbstractBifurcation,
    Family,
    Found,
    bordered_null,
    directional,
    jacobian,
    jacobian_and_value,
    largest_positive,
)


class Fold(AbstractBifurcation):
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

    def test(self, derivatives: Array, tangent: Array) -> Array:
        """The parameter's share of the tangent."""
        return tangent[-1]

    def begin(self, family: Family, u: Array, tangent: Array) -> tuple[Array, Any]:
        """The point itself; the borders are the null vectors there."""
        return u, null_vectors(jacobian(family, u)[:, :-1])

    def equations(self, family: Family, unknowns: Array, constants: Any) -> Array:
        """The vector field, and how singular its Jacobian is."""
        derivatives, value = jacobian_and_value(family, unknowns)
        g, _, _ = bordered_null(derivatives[:, :-1], constants)
        return jnp.append(value, g)

    def normal_form(self, family: Family, unknowns: Array, constants: Any) -> Found:
        """The quadratic coefficient a."""
        derivatives = jacobian(family, unknowns)
        _, v, w = bordered_null(derivatives[:, :-1], constants)
        v = v / jnp.sqrt(jnp.sum(v * v))
        v = largest_positive(v)
        w = w / jnp.sum(w * v)
        direction = jnp.append(v, 0.0)
        a = jnp.sum(w * directional(family, unknowns, direction, direction)) / 2
        # where the parameter does not push along w, it is a branch point
        push = abs(w @ derivatives[:, -1]) > 1e-6 * (abs(w) @ abs(derivatives[:, -1]))
        return Found(push, jnp.zeros_like(a), a, jnp.zeros((), jnp.int32))
