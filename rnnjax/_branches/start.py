"""Where a branch of equilibria begins."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.corrector import corrected
from rnnjax._continuation.followed import Start
from rnnjax._numerics.dense import solve
from rnnjax._numerics.roots import Stop, ValueAndJacobian, dogleg, looking, vanishes
from rnnjax._precision import first_of, index_of_largest
from rnnjax._results import BranchEnd
from rnnjax._types import Array, Arrays
from rnnjax._where import Named
from rnnjax.bifurcations._base import (
    AbstractOnBranch,
    Family,
    other_direction,
)
from rnnjax.circuits._flat import FlatField

_GUESSES, _ROUNDS = 16, 8  # beside rest, where a search from there leads nowhere
_STEPS = 100  # of a search, at most
_NEAR = 0.1  # scaled distance within which a start must lie from an equilibrium
_OFF = 1e-2
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

    @property
    def offset(self) -> float:
        """How far from the branch point the other branch is begun, scaled; 0 elsewhere."""
        return _OFF if self.switches else 0.0


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


def all_of(field: FlatField) -> Family:
    """The vector field and what its rectifiers act on: a silent unit may wake up farther on."""
    if field.switching is None:
        return field
    switching = field.switching
    return lambda u: jnp.concatenate([field(u), switching(u)])


def near_rest(field: Family, rest: Array) -> Array:
    """An equilibrium by a search from rest; where it leads nowhere, from beside it."""
    guesses = jnp.asarray(_guesses_beside(rest.size))

    def search(now: tuple[Array, Array, Array]) -> Any:
        _, _, k = now
        starts = rest + guesses[k] * (1 + abs(rest))
        found: Stop = jax.vmap(lambda x: dogleg(looking(field), x, _STEPS))(starts)
        rests = jax.vmap(_rests)(found)
        return found.x[index_of_largest(rests)], rests.any(), k + 1

    first = rest, jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    return lax.while_loop(lambda now: ~now[1] & (now[2] < _ROUNDS), search, first)[0]


def _guesses_beside(size: int) -> np.ndarray:
    """How far from rest searches begin, in units of it, `(round, guess, n)`: the first of them there."""
    steps = np.random.default_rng(0).normal(size=(_ROUNDS, _GUESSES, size))
    steps *= np.geomspace(0.01, 30.0, _GUESSES)[:, None]
    steps[0, 0] = 0.0
    return steps


def _rests(at: Stop) -> Any:
    """Whether a search has found an equilibrium."""
    return vanishes(at.value, at.jacobian, at.x)


def crossing(frozen: FlatField, u: Array, tangent: Arrays, scale: Array) -> Start:
    """At a branch point, where the branch begins that crosses there, and whether it can."""
    direction = tangent / scale
    direction = direction / jnp.sqrt(direction @ direction)
    along = other_direction(frozen, u, direction)
    along = along * jnp.where(along[-1] < 0, -1.0, 1.0)
    well = jnp.isfinite(along).all()
    end = jnp.where(well, BranchEnd.GOING, BranchEnd.NO_START).astype(jnp.int32)
    return Start(u, (), jnp.where(well, along, _upward(u)), _OFF, end)


def started(look: ValueAndJacobian, u: Array, near: float, n: int) -> tuple[Start, Array]:
    """The point where the branch begins, and whether it can; what `look` finds there.

    Args:
        look: the vector field `(n,)`, then what its rectifiers act on, and their derivatives, scaled.
        u: where it is to begin.
        near: how near an equilibrium must be.
        n: how many variables there are.
    """
    upward = _upward(u)
    polished, solved = corrected(lambda v: jax.tree.map(lambda x: x[:n], look(v)), u, upward)
    solved &= jnp.isfinite(polished).all()
    if near < np.inf:
        solved &= (abs(u - polished) <= near).all()
    polished = jnp.where(solved, polished, u)
    # there, where it was to begin, and a little beside it in every direction
    aside = 0.1 * np.eye(u.size)[:-1]
    places = jnp.concatenate([polished[None], u[None], polished + aside, polished - aside])
    values, derivatives = jax.vmap(look)(places)
    # with a row more the derivatives are regular, whichever it is, but where their rank is lower
    rows = np.random.default_rng(0).normal(size=(2, 1, u.size))
    across = jax.vmap(
        lambda row: solve(jnp.concatenate([derivatives[0, :n], row]), upward)
    )(jnp.asarray(rows))  # fmt: skip
    singular = ~(jnp.sqrt((across**2).sum(1)) < _SINGULAR).any()
    effects = jnp.concatenate([derivatives[:1, :, -1], derivatives[2:, :, -1]])
    there = jnp.isfinite(values[1, :n]).all()
    no = BranchEnd.NO_START
    end = first_of(
        [~there | (~solved & ~singular), (effects == 0).all(), singular],
        [no, BranchEnd.INDEPENDENT, BranchEnd.SINGULAR],
        BranchEnd.GOING,
    )
    return Start(polished, (), upward, 0.0, end), values[0]


def _upward(u: Array) -> Array:
    """Where the parameter grows."""
    return jnp.asarray((np.arange(u.size) == u.size - 1).astype(np.float64))
