r"""What the indices of equilibria tell: whether some were missed.

The index of an equilibrium is the sign of $\det(-J)$. Where the field points inward all around a
ball, those of all equilibria in it sum to 1 (Poincaré and Hopf).

References:
    Milnor (1965), Topology from the Differentiable Viewpoint, section 6.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.blas import one_blas_thread
from rnnjax._types import Array, Bool, Float, Function, Int

TOTAL = 1  # the sum where the field points inward
_DIRECTIONS = 64  # at random, and as many rows of the Jacobian at most
_TURNS = 24  # how often each direction is turned to where the field leads
_BEYOND = 10.0  # of the farthest guess or equilibrium, how far out is far
_NEAR = 100.0  # units: what counts as far at least ten times
_ASIDE = 1e-6  # units: how far beside an equilibrium a kink is looked for
_BENT = 1e-3  # of the sizes of the derivatives, how much they may change there
_SINGULAR = 1e7  # size of the inverse of a Jacobian, scaled, whose sign is chance


def points_inward(
    field: Function, x: Float[Array, "row n"], jacobian: Float[Array, "n n"],
    units: Float[Array, " n"],
) -> Bool[Array, ""]:  # fmt: skip
    r"""Whether the field points inward on an ellipsoid around everything, wherever it is looked at.

    The directions are some at random, those of rows of a Jacobian, and where the field turns these:
    $d \leftarrow d + f(R d) / c$, which comes to where it points outward most if it does so in
    narrow cones only. Sampled, not proved.

    Args:
        field: the vector field.
        x: rows that the ellipsoid is around.
        jacobian: of which the rows are directions to look in.
        units: of the variables; in them the ellipsoid is a sphere.
    """
    n = x.shape[1]
    draws = np.random.default_rng(0).normal(size=(_DIRECTIONS, n))
    rows = jacobian[:_DIRECTIONS] * units
    first = jnp.concatenate([jnp.asarray(draws), jnp.ones((1, n)), rows])
    first = jnp.concatenate([first, -first])
    reach = jnp.where(jnp.isfinite(x), abs(x) / units, 0.0).max()
    radius = _BEYOND * np.sqrt(n) * jnp.maximum(reach, _NEAR)

    def of_length_1(d: Array) -> Array:
        length = jnp.sqrt((d**2).sum(-1, keepdims=True))
        return d / jnp.where(length > 0, length, 1.0)

    def turn(_: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        d, inward = now
        speed = jax.vmap(field)(radius * units * d) / (radius * units)
        inward &= ((speed * d).sum(-1) < 0) | (d == 0).all(-1)
        fastest = jnp.maximum(abs(speed).max(), jnp.finfo(d.dtype).tiny)
        return of_length_1(d + speed / fastest), inward

    zero = jnp.zeros((), jnp.int32)
    start = of_length_1(first), jnp.ones(first.shape[0], bool)
    return lax.fori_loop(zero, zero + _TURNS, turn, start)[1].all()


def bends(
    field: Function, x: Float[Array, " n"], jacobian: Float[Array, "n n"],
    units: Float[Array, " n"],
) -> Bool[Array, ""]:  # fmt: skip
    """Whether the derivatives differ on the two sides of an equilibrium: on a kink, or where they vanish."""
    side = np.where(np.random.default_rng(1).normal(size=x.shape) > 0, 1.0, -1.0)
    step = _ASIDE * (units + abs(x)) * side
    both = field(x + step) + field(x - step)
    sizes = (abs(jacobian) * abs(step)).sum(-1)
    return ~(abs(both) <= _BENT * sizes).all()


def indices_of(
    jacobian: Float[np.ndarray, "*batch n n"], found: Bool[np.ndarray, "*batch"]
) -> Int[np.ndarray, "*batch"]:
    """The sign of det(-J), on the host; 0 where J is singular to rounding, or was not found."""
    there = -np.asarray(jacobian, np.float64)[found]
    rows = abs(there).max(-1, keepdims=True, initial=0)
    there = there / np.where(rows > 0, rows, 1.0)
    columns = abs(there).max(-2, keepdims=True, initial=0)
    there = there / np.where(columns > 0, columns, 1.0)
    draws = np.random.default_rng(0).normal(size=(there.shape[-1], 1))
    with one_blas_thread(there.shape[-1]):
        sign, _ = np.linalg.slogdet(there)
        there = np.where((sign == 0)[:, None, None], np.eye(there.shape[-1]), there)
        # of a vector at random the inverse makes one as long as its norm tells
        grown = np.sqrt((np.linalg.solve(there, draws) ** 2).sum((-2, -1)))
    result = np.zeros(found.shape, int)
    result[found] = np.where(grown < _SINGULAR, sign, 0).astype(int)
    return result
