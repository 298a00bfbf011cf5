"""A branch of orbits to one side, and where tests vanish between its orbits."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._continuation.both_ways import Way
from rnnjax._continuation.corrector import hermite
from rnnjax._continuation.march import follow
from rnnjax._continuation.problem import Taken
from rnnjax._continuation.zeros import Look, secants
from rnnjax._numerics.collocation import Cycle, Row, split
from rnnjax._orbits.orbit_points import Point, place_of, reached, row_of
from rnnjax._orbits.orbit_problem import OrbitProblem, Seen
from rnnjax._types import AnyArray, Array, Float

_ZERO, _VANISHES = 1e-13, 1e-6  # of a test's size: where the search ends, and what counts as zero
_SURE = 2.0  # of the difference between two meshes, a test whose sign is sure
FINER, FINEST = 2, 4  # parts of an interval, to solve for zeros, and where signs are not sure


class Crossings(NamedTuple):
    """Where tests vanish.

    Attributes:
        points: the orbits.
        which: of the tests.
        at: how far along the branch, signed; NaN where none vanishes.
    """

    points: Point
    which: Int[AnyArray, "*slot"]
    at: Float[AnyArray, "*slot"]


def marched(
    problem: OrbitProblem, first: Point, sign: Array, attempts: int
) -> tuple[Int[Array, ""], Taken]:
    """How the branch ends to one side of an orbit, a `BranchEnd`, and the attempts."""
    turns = jnp.asarray([t.turns for t in problem.types], bool)
    start = first._replace(
        tangent=Row(*(sign * t for t in first.tangent)),
        tests=jnp.where(turns, sign * first.tests, first.tests),
    )
    now, record = follow(problem, start, -(-attempts // problem.block))
    return now.end, record


def changes_in(record: Taken) -> Bool[AnyArray, "attempt test"]:
    """In which steps each test changes its sign."""
    seen: Seen = record.seen
    return record.taken[:, None] & ((seen.begin.tests > 0) != (seen.end.tests > 0))


def way_of(
    end: Int[AnyArray, ""], record: Taken, sign: AnyArray, found: Crossings, lost: AnyArray
) -> Way:
    """A direction, of its steps and what was found in them, as far along as this side goes."""
    seen: Seen = record.seen
    length = sign * (record.length + record.step)
    return Way(end, seen.end, length, record.taken, found._replace(at=sign * found.at), lost)


def one_way(problem: OrbitProblem, first: Point, sign: Array, attempts: int, slots: int) -> Way:
    """The branch to one side of an orbit, with room for so many zeros of each test."""
    end, record = marched(problem, first, sign, attempts)
    changes = changes_in(record)
    slots = min(slots, record.taken.size)
    chosen = jnp.argsort(~changes, axis=0, stable=True)[:slots].T.reshape(-1)
    index = jnp.repeat(jnp.arange(len(problem.types), dtype=jnp.int32), slots)
    lost = jnp.maximum(changes.sum(0, dtype=jnp.int32) - slots, 0).sum(dtype=jnp.int32)
    steps = jax.tree.map(lambda a: a[chosen], record)._replace(taken=changes[chosen, index])
    within = lax.map(lambda t: zero_within(problem, t[0], t[1], FINER), (index, steps))
    # where neither sign is sure, neither is whether there is a zero
    larger = abs(within.tests).max(-1)
    zero = jnp.isfinite(within.at) & (larger > _SURE * within.errors.max(-1))
    at = jnp.where(zero & within.genuine, within.at, jnp.nan)
    lost = lost + (steps.taken & ~zero & within.counts).sum(dtype=jnp.int32)
    return way_of(end, record, sign, Crossings(within.point, index, at), lost)


class Within(NamedTuple):
    """What is within a step on a mesh that is finer than that of the branch.

    Attributes:
        point: where the test vanishes.
        at: how far along the branch; NaN where it does not.
        tests: the test at both ends.
        errors: by how much it was off there on the mesh of the branch, about.
        genuine: whether the zero is what the test stands for.
        counts: whether there was something to be found, as far as the ends tell.
    """

    point: Point
    at: Float[AnyArray, "*step"]
    tests: Float[AnyArray, "*step 2"]
    errors: Float[AnyArray, "*step 2"]
    genuine: Bool[AnyArray, "*step"]
    counts: Bool[AnyArray, "*step"]

    @property
    def sure(self) -> Bool[AnyArray, "*step 2"]:
        """Whether the sign of the test is, at both ends."""
        return abs(self.tests) > _SURE * self.errors


def zero_within(problem: OrbitProblem, index: Int[Array, ""], taken: Taken, parts: int) -> Within:
    """What is of a test within a step, every interval of the mesh being cut into so many parts.

    Each orbit is solved for on the branch. On the mesh of the branch a parameter is known to some digits only, and
    where it hardly changes, as on canards, tests change their signs by chance.
    """
    seen: Seen = taken.seen
    begin, end = _on_finer(seen, parts)
    normal = row_of(begin.cycle, begin.tangent)
    coarse = jnp.stack([seen.begin.tests[index], seen.end.tests[index]])

    def between(share: Array) -> Cycle:
        """The cubic through both orbits along their tangents."""
        ends = _as_row(begin.cycle), _as_row(end.cycle)
        x, period, parameter = (
            hermite(a, b, taken.step * c, taken.step * d, share)
            for a, b, c, d in zip(*ends, begin.tangent, end.tangent, strict=True)
        )
        return Cycle(x, period, parameter, begin.cycle.widths)

    def look(share: Array) -> Look[Point]:
        found, fine = reached(problem.field, problem.types, between(share), normal, begin.tangent)
        value = found.tests[index]
        return Look(value, _ZERO * abs(coarse).max(), fine & jnp.isfinite(value), found)

    first = Look(coarse[0], jnp.zeros(()), jnp.ones((), bool), begin)
    share, found, ends = secants(look, None, first, taken.taken)
    tests = jnp.where(taken.taken, jnp.stack(ends), coarse)
    size = jnp.maximum(abs(tests), abs(coarse)).max()
    vanishes = taken.taken & found.fine & (abs(found.value) <= _VANISHES * size)

    def genuine_at(p: Point) -> Array:
        there = place_of(problem.field, p.cycle, p.tangent, p.first, p.last, p.sign)
        return jnp.stack([t.genuine(there) for t in problem.types])[index]

    return Within(
        found.seen,
        jnp.where(vanishes, taken.length + share * taken.step, jnp.nan),
        tests,
        abs(tests - coarse),
        genuine_at(found.seen),
        genuine_at(seen.begin) | genuine_at(seen.end),
    )


def resolved(
    record: Taken, changes: Bool[np.ndarray, " attempt"], look: Callable[[int], Within]
) -> tuple[list[Within], int, bool]:
    """Zeros of a test along one side, how many could not be solved for, and whether all signs were sure.

    Where a sign is not sure the steps beside count as one with it, as far as signs are: there is a zero within if they
    differ at its ends, and none if not. A side ends as it is known there: orbits that shrink to a point leave nothing
    to be sure of.

    Args:
        record: the attempts, on the host.
        changes: in which of them the test changes its sign.
        look: what is within one of them.
    """
    steps = np.flatnonzero(record.taken).tolist()
    found, lost, sure, done = [], 0, True, -1
    for place in np.flatnonzero(changes[steps]):
        if place <= done:
            continue
        first = last = int(place)
        while first > done + 1 and not look(steps[first]).sure[0]:
            first -= 1
        while last < len(steps) - 1 and not look(steps[last]).sure[1]:
            last += 1
        done = last
        inside = [look(steps[k]) for k in range(first, last + 1)]
        sure &= first == last
        ends = np.asarray([inside[0].tests[0], inside[-1].tests[1]])
        if not np.isfinite(ends).all():
            lost += any(w.counts for w in inside)
        elif (ends[0] > 0) != (ends[1] > 0):
            zeros = [w for w in inside if np.isfinite(w.at)]
            if zeros:
                middle = zeros[len(zeros) // 2]
                found += [middle] if middle.genuine else []
            else:
                lost += any(w.counts for w in inside)
    return found, lost, sure


def _on_finer(seen: Seen, parts: int) -> tuple[Point, Point]:
    """Both ends of a step with every interval of their mesh cut."""

    def finer(at: Point) -> Point:
        cycle, along = split(at.cycle, parts, at.tangent.x)
        return at._replace(cycle=cycle, tangent=at.tangent._replace(x=along))

    return finer(seen.begin), finer(seen.end)


def _as_row(of: Cycle) -> Row:
    return Row(of.x, of.period, of.parameter)
