"""The Bogdanov-Takens point: a curve of Hopf points ends on one of folds."""

import jax.numpy as jnp

from rnnjax._numerics.dense import bordered, null_vectors, solve
from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import (
    AbstractOnCurve,
    Family,
    FoldPlace,
    Found,
    HopfPlace,
    by_state,
    directional,
    jacobian,
    jacobian_and_value,
    largest_positive,
)
from rnnjax.bifurcations._critical import null_of, padded


class BogdanovTakens(AbstractOnCurve):
    r"""Two eigenvalues are zero, with one eigenvector: the frequency of a Hopf point falls to zero.

    On the critical plane $\dot \xi = \eta,\; \dot \eta = \beta_1 + \beta_2 \eta + a \xi^2 + b \xi \eta$
    with $a = \tfrac12 \langle p_1, B(q_0, q_0) \rangle$ and
    $b = \langle p_0, B(q_0, q_0) \rangle + \langle p_1, B(q_0, q_1) \rangle$; $A q_0 = 0$,
    $A q_1 = q_0$, $A^T p_1 = 0$, $A^T p_0 = p_1$, $|q_0| = 1$,
    $\langle p_0, q_0 \rangle = \langle p_1, q_1 \rangle = 1$. The coefficient is $a b$: negative
    where the Hopf points near it are supercritical, positive where they are subcritical. A curve
    of homoclinic orbits begins there.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 8.4; Kuznetsov (2005),
        International Journal of Bifurcation and Chaos 15:3535-3546.
    """

    label = "BT"
    kinds = ("supercritical", "subcritical")
    word = "Bogdanov-Takens"
    marker = "D"
    variables = 2
    on = ("LP", "H")
    leads_to = "H"

    def on_folds(self, place: FoldPlace) -> Array:
        """The product of the null vectors."""
        return (place.w * place.v).sum()

    def on_hopf_points(self, place: HopfPlace) -> Array:
        """The square of the frequency."""
        return place.square

    def from_folds(
        self, family: Family, u: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The point itself; the borders are the null vectors there."""
        return u, null_vectors(by_state(jacobian(family, u)))

    def from_hopf_points(
        self, family: Family, u: Float[Array, " point"], square: Float[Array, ""]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The same."""
        return self.from_folds(family, u)

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """The vector field, how singular its Jacobian is, and the product of the null vectors."""
        derivatives, value = jacobian_and_value(family, unknowns)
        g, v, w = null_of(by_state(derivatives), constants)
        return jnp.concatenate([value, g[None], (w * v).sum()[None]])

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """The product of a and b."""
        a = by_state(jacobian(family, unknowns))
        _, q0, p1 = null_of(a, constants)
        q0 = largest_positive(q0)
        q1 = solve(bordered(a, p1, q0), jnp.append(q0, 0.0))[:-1]
        p1 = p1 / (p1 @ q1)
        p0 = solve(bordered(a.T, q0, q1), jnp.append(p1, 0.0))[:-1]
        bend, turn = (
            directional(family, unknowns, padded(q0, unknowns), padded(q, unknowns))
            for q in (q0, q1)
        )
        product = (p1 @ bend) / 2 * (p0 @ bend + p1 @ turn)
        kind = jnp.where(product < 0, 0, 1).astype(jnp.int32)
        return Found(jnp.isfinite(product), jnp.zeros_like(product), product, kind)
