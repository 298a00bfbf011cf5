"""The boundary equilibrium: a rectified unit falls silent or wakes up."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._numerics.dense import determinant, inverse, product
from rnnjax._precision import index_of_largest
from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import ASIDE, AbstractOnBranch, Family, Found, by_state, jacobian


class BoundaryEquilibrium(AbstractOnBranch):
    r"""An equilibrium meets a kink of the vector field: one of its switching functions is zero.

    The Jacobian jumps there. The coefficient is its determinant where the function is positive
    (a rectified unit is active) over that where it is negative (silent). Where it is positive, one
    equilibrium on one side becomes one on the other (persistence); where it is negative, two
    equilibria, one on each side, meet and vanish (nonsmooth fold). Stability may change in either:
    see `Branch.stable`. Units that switch at the same place count as one point.

    Found for circuits that say what their `switching_functions` are.

    References:
        di Bernardo, Budd, Champneys and Kowalczyk (2008), Piecewise-smooth Dynamical Systems,
        section 5.1.
    """

    label = "BE"
    kinds = ("persistence", "nonsmooth fold")
    word = "boundary"
    marker = "X"
    color = "#CC79A7"
    of_kinks = True

    def test(self, derivatives: Float[Array, "n point"], tangent: Float[Array, " point"]) -> Array:
        """Never zero: the branch is followed onto the kink itself."""
        return jnp.ones(())

    def begin(
        self, family: Family, u: Float[Array, " point"], tangent: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The point itself; which function is zero there, and the tangent before it."""
        off = abs(switching(family)(u))
        which = np.arange(off.size, dtype=np.int32) == index_of_largest(-off)
        return u, (which.astype(off.dtype), tangent)

    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """The vector field, and the switching function."""
        which, _ = constants
        return jnp.append(family(unknowns), which @ switching(family)(unknowns))

    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """The ratio of the determinants on both sides."""
        which, tangent = constants
        rise = jax.jvp(lambda u: which @ switching(family)(u), (unknowns,), (tangent,))[1]
        aside = ASIDE * jnp.where(rise < 0, -tangent, tangent)
        silent, active = (
            by_state(jacobian(family, u)) for u in (unknowns - aside, unknowns + aside)
        )
        ratio = determinant(product(inverse(silent), active))
        kind = jnp.where(ratio < 0, 1, 0).astype(jnp.int32)
        return Found(jnp.isfinite(ratio), jnp.zeros_like(ratio), ratio, kind)


def switching(family: Family) -> Family:
    """The switching functions of state and parameter."""
    return family.switching  # pyright: ignore[reportFunctionMemberAccess]
