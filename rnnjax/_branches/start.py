"""Where a branch of equilibria begins."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.corrector import corrected
from rnnjax._continuation.followed import Start
from rnnjax._numerics.dense import solve
from rnnjax._numerics.roots import dogleg, vanishes
from rnnjax._precision import first_of, index_of_largest
from rnnjax._results import BranchEnd
from rnnjax._types import Array, Arrays
from rnnjax._where import Named
from rnnjax.bifurcations._base import (
    AbstractOnBranch,
    Family,
    jacobian,
    jacobian_and_value,
    other_direction,
)
from rnnjax.circuits._flat import FlatField

_GUESSES, _ROUNDS = 16, 8  # beside rest, where a search from there leads nowhere
_NEAR = 0.1  # scaled distance within which a start must lie from an equilibrium
_OFF = 1e-2  # scaled distance from a branch point at which the other branch is begun
_SINGULAR = 1e11  # length of the null vector of a singular matrix, had it an inverse


class Begin(NamedTuple):
    """How a branch begins at the state that was given.

    Attributes:
        searches: whether an equilibrium is searched for from there first.
        near: how near it must be, scaled.
        switches: whether it is a branch point, and the branch the one that crosses there.
    """

    searches: bool
    near: float
    switches: bool


FROM_REST = Begin(True, np.inf, False)
FROM_STATE = Begin(False, _NEAR, False)
FROM_BRANCH_POINT = Begin(False, _NEAR, True)


class Settings(NamedTuple):
    """What a compiled continuation depends on besides shapes."""

    types: tuple[AbstractOnBranch, ...]
    named: Named
    attempts: int
    slots: int
    directions: tuple[float, ...]
    begin: Begin


def _all_of(field: FlatField) -> Family:
    """The vector field and what its rectifiers act on: a silent unit may wake up farther on."""
    if field.switching is None:
        return field
    switching = field.switching
    return lambda u: jnp.concatenate([field(u), switching(u)])


def near_rest(field: Family, rest: Array) -> Array:
    """An equilibrium by a search from rest; where it leads nowhere, from beside it."""
    steps = np.random.default_rng(0).normal(size=(_ROUNDS, _GUESSES, rest.size))
    steps = jnp.asarray(steps * np.geomspace(0.01, 30.0, _GUESSES)[:, None]).at[0, 0].set(0.0)

    def search(now: tuple[Array, Array, Array]) -> Any:
        _, _, k = now
        found = jax.vmap(lambda x: dogleg(field, x, 100))(rest + steps[k] * (1 + abs(rest)))
        rests = jax.vmap(at_rest)(found)
        return found[index_of_largest(rests)], rests.any(), k + 1

    def at_rest(x: Array) -> Array:
        derivatives, value = jacobian_and_value(field, x)
        return vanishes(value, derivatives, x)

    first = rest, jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    return lax.while_loop(lambda now: ~now[1] & (now[2] < _ROUNDS), search, first)[0]


def started(
    frozen: FlatField, u: Array, tangent: Arrays, scale: Array, settings: Settings
) -> Start:
    """The point where the branch begins, and whether it can."""
    upward = jnp.zeros_like(u).at[-1].set(1.0)
    going, no = jnp.asarray(BranchEnd.GOING, jnp.int32), BranchEnd.NO_START
    if settings.begin.switches:
        direction = tangent / scale
        direction = direction / jnp.sqrt(direction @ direction)
        along = other_direction(frozen, u, direction)
        along = along * jnp.where(along[-1] < 0, -1.0, 1.0)
        well = jnp.isfinite(along).all()
        return Start(u, (), jnp.where(well, along, upward), _OFF, jnp.where(well, going, no))
    polished, solved = corrected(frozen, u, upward)
    solved &= jnp.isfinite(polished).all()
    if settings.begin.near < np.inf:
        solved &= (abs(u - polished) <= settings.begin.near).all()
    polished = jnp.where(solved, polished, u)
    derivatives = jacobian(frozen, polished)
    # with a row more the derivatives are regular, whichever it is, but where their rank is lower
    rows = np.random.default_rng(0).normal(size=(2, u.size))
    last = jnp.zeros_like(u).at[-1].set(1.0)
    across = [solve(jnp.concatenate([derivatives, row[None]]), last) for row in rows]
    singular = jnp.stack([~(jnp.sqrt(x @ x) < _SINGULAR) for x in across]).all()
    # at the start, and a little beside it in every direction
    beside = polished + 0.1 * jnp.concatenate(
        [jnp.zeros((1, u.size)), jnp.eye(u.size)[:-1], -jnp.eye(u.size)[:-1]]
    )
    there = jnp.isfinite(frozen(u)).all()
    effects = jax.vmap(lambda v: jax.jvp(_all_of(frozen), (v,), (upward,))[1])(beside)
    end = first_of(
        [~there | (~solved & ~singular), (effects == 0).all(), singular],
        [no, BranchEnd.INDEPENDENT, BranchEnd.SINGULAR],
        going,
    )
    return Start(polished, (), upward, 0.0, end)
