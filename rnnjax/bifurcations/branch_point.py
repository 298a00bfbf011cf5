"""The branch point: two branches of equilibria cross."""

import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.dense import null_vectors, solve
from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import (
    AbstractOnBranch,
    Family,
    Found,
    bordered_null,
    crossing_plane,
    jacobian,
    jacobian_and_value,
    largest_positive,
    normalized_determinant,
)
from rnnjax.bifurcations._critical import bend_and_cubic, is_pushed

_FLAT = 1e-6  # of the third derivative's share, below which a quadratic term counts as none


class BranchPoint(AbstractOnBranch):
    r"""Two branches of equilibria cross: a transcritical or a pitchfork bifurcation.

    $(f_x, f_p)$ loses rank there. Along the null vector $v$ of $f_x$ ($|v| = 1$) the flow is
    $\dot \xi = \dots + a \xi^2 + c \xi^3$ with $a = \tfrac12 \langle w, B(v, v) \rangle$ and
    $c = \tfrac16 \langle w, C(v, v, v) - 3 B(v, h) \rangle$, $A h = B(v, v)$ on the complement of
    $v$. Where $a$ is not zero the branches exchange their stability (transcritical; the
    coefficient is $|a|$); where it is, the new branch is a parabola (pitchfork; the coefficient is
    $c$, negative where the new states are stable).

    Symmetry is what makes branch points: a parameter that breaks it turns them into folds, and
    the derivative with respect to such a parameter is that of the point at which the equations
    can be mended by a constant.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, sections 7.4 and 10.2.
    """

    label = "BP"
    kinds = ("transcritical", "supercritical pitchfork", "subcritical pitchfork")
    crossing = 1
    word = "branch point"
    marker = "D"
    color = "#009E73"
    switches_branch = True

    def test(self, derivatives: Float[Array, "n point"], tangent: Float[Array, " point"]) -> Array:
        """How singular the derivatives by state and parameter are across the branch."""
        return normalized_determinant(jnp.concatenate([derivatives, tangent[None]]))

    def begin(
        self, family: Family, u: Float[Array, " point"], tangent: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The point and a zero; the borders span the null spaces."""
        right, left = crossing_plane(family, u, tangent)
        return jnp.append(u, 0.0), (right, left)

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """The mended vector field, and how singular its derivatives are in two directions."""
        _, border = constants
        u, mend = unknowns[:-1], unknowns[-1]
        derivatives, value = jacobian_and_value(family, u)
        _, g = _left_null(derivatives, constants)
        return jnp.concatenate([value + mend * border, g])

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """Transcritical or pitchfork, and its coefficient."""
        u, mend = unknowns[:-1], unknowns[-1]
        derivatives = jacobian(family, u)
        w, _ = _left_null(derivatives, constants)
        a = derivatives[:, :-1]
        _, border = constants
        near, _ = null_vectors(lax.stop_gradient(a))
        _, v, _ = bordered_null(a, (largest_positive(near), border))
        v = v / jnp.sqrt(v @ v)
        w = w / (w @ v)
        bend, cubic = bend_and_cubic(family, u, a, v, w)
        quadratic = w @ bend / 2
        flat = abs(quadratic) <= _FLAT * jnp.maximum(abs(w) @ abs(bend), abs(cubic))
        crossing = ~is_pushed(family, u, derivatives, v, w)
        genuine = crossing & (abs(mend) <= 1e-9 * (1 + abs(derivatives).max()))
        kind = jnp.where(flat, jnp.where(cubic < 0, 1, 2), 0).astype(jnp.int32)
        return Found(genuine, jnp.zeros_like(cubic), jnp.where(flat, cubic, abs(quadratic)), kind)


def _left_null(derivatives: Array, constants: tuple[Array, Array]) -> tuple[Array, Array]:
    """The left null vector of `(n, n + 1)` derivatives and how far they are from rank n - 1."""
    rows, column = constants
    n = column.size
    whole = jnp.zeros((n + 2, n + 2), derivatives.dtype)
    whole = whole.at[:n, : n + 1].set(derivatives).at[:n, n + 1].set(column)
    whole = whole.at[n:, : n + 1].set(rows)
    found = solve(whole.T, jnp.zeros(n + 2, derivatives.dtype).at[-1].set(1.0))
    return found[:n], found[n:]
