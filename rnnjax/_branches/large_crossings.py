"""Where eigenvalues cross the imaginary axis on a branch of equilibria of a large circuit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._branches.large_problem import (
    Change,
    LargePlace,
    LargeProblem,
    change_of,
    on_plane,
    upward,
)
from rnnjax._continuation.problem import Taken
from rnnjax._continuation.zeros import Look, secants
from rnnjax._precision import first_of
from rnnjax._types import Array, Float

_ZERO = 1e-14  # of the size of the Jacobian, what a real part that vanishes may be
_CROSSED = 1e-9  # what one may be that counts as vanishing
_TURNS = 1e-7  # of the size of the Jacobian, the imaginary part of a pair
FOLD, HOPF, BRANCH = 0, 1, 2  # labels


class Crossings(NamedTuple):
    """Where a real part vanishes, in the order of the branch, the found ones first.

    Attributes:
        u: the points, scaled.
        which: the rank of the eigenvalue.
        frequency: its imaginary part.
        label: what happens; -1 where there is none.
        missed: crossings that are known of and not listed.
    """

    u: Float[Array, "slot unknown"]
    which: Int[Array, " slot"]
    frequency: Float[Array, " slot"]
    label: Int[Array, " slot"]
    missed: Int[Array, ""]


class _Step(NamedTuple):
    """A step in which eigenvalues cross the axis, and whether it is one."""

    begin: LargePlace
    end: LargePlace
    change: Change
    landed: Array
    wanted: Array


def crossings(problem: LargeProblem, taken: Taken, slots: int) -> Crossings:
    """The crossings between the points of a branch, with room for so many."""
    ends: LargePlace = taken.seen
    places = jnp.arange(taken.taken.size)
    latest = lax.cummax(jnp.where(taken.taken, places, -1))
    before = jnp.concatenate([jnp.full(1, -1, latest.dtype), latest[:-1]])
    begins = jax.tree.map(lambda a: a[jnp.maximum(before, 0)], ends)
    change = change_of(begins.values, ends.values)
    crossed = taken.taken & (before >= 0) & (change.number > 0)
    low, high = problem.bounds
    landed = (ends.u[:, -1] == high[0]) | (ends.u[:, -1] == low[0])
    steps = _Step(begins, ends, change, landed, crossed & change.simple)
    chosen = jnp.argsort(~steps.wanted, stable=True)[:slots]
    steps = jax.tree.map(lambda a: a[chosen], steps)
    u, known, frequency, label = lax.map(lambda step: _crossing(problem, step), steps)
    order = jnp.argsort(~known, stable=True)
    found = u, steps.change.rank, frequency, jnp.where(known, label, -1)
    u, which, frequency, label = jax.tree.map(lambda a: a[order], found)
    missed = crossed.sum(dtype=jnp.int32) - known.sum(dtype=jnp.int32)
    return Crossings(u, which, frequency, label, missed)


def _crossing(
    problem: LargeProblem, step: _Step
) -> tuple[Float[Array, " unknown"], Bool[Array, ""], Float[Array, ""], Int[Array, ""]]:
    """Where the real part of a rank vanishes within a step; whether, its frequency, what happens.

    The real parts in order of size are continuous along the branch.
    """
    begin, end, rank = step.begin, step.end, step.change.rank
    normal = jnp.where(step.landed, upward(begin.u), begin.tangent)

    def look(share: Array) -> Look[tuple[Array, Array, Array]]:
        at, _ = on_plane(problem.field, begin.u + share * (end.u - begin.u), normal)
        ritz, _ = problem.spectrum(at)
        value = ritz.values[rank]
        seen = at, abs(value.imag), ritz.size
        return Look(value.real, _ZERO * ritz.size, jnp.ones((), bool), seen)

    one = jnp.ones(())
    first = Look(one, 0 * one, jnp.ones((), bool), (begin.u, one, one))
    ends = begin.values.real[rank], end.values.real[rank]
    _, found, _ = secants(look, ends, first, step.wanted)
    u, frequency, size = found.seen
    turned = end.tangent[-1] * begin.tangent[-1] < 0
    label = first_of([frequency > _TURNS * size, turned], [HOPF, FOLD], BRANCH)
    return u, step.wanted & (abs(found.value) <= _CROSSED * size), frequency, label
