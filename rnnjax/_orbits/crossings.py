"""A branch of orbits to one side, and where tests vanish between its orbits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._continuation.both_ways import Way
from rnnjax._continuation.corrector import hermite
from rnnjax._continuation.march import follow
from rnnjax._continuation.problem import Taken
from rnnjax._continuation.zeros import Look, secants
from rnnjax._numerics.collocation import Cycle, Row
from rnnjax._orbits.orbit_points import Point, place_of, reached, row_of
from rnnjax._orbits.orbit_problem import OrbitProblem, Seen
from rnnjax._types import AnyArray, Array, Float

_ZERO, _VANISHES = 1e-13, 1e-6  # of a test's size: where the search ends, and what counts as zero


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
    points, at, unsolved = lax.map(lambda t: zero_within(problem, *t), (index, steps))
    lost = lost + unsolved.sum(dtype=jnp.int32)
    return way_of(end, record, sign, Crossings(points, index, at), lost)


def zero_within(
    problem: OrbitProblem, index: Int[Array, ""], taken: Taken
) -> tuple[Point, Float[Array, ""], Bool[Array, ""]]:
    """A zero of a test within a step, how far along; NaN where it is none; whether it is unsolved."""
    found, at = _vanishing(problem, index, taken)
    seen: Seen = taken.seen

    def genuine_at(p: Point) -> Array:
        there = place_of(problem.field, p.cycle, p.tangent, p.first, p.last, p.sign)
        return jnp.stack([t.genuine(there) for t in problem.types])[index]

    unsolved = taken.taken & ~jnp.isfinite(at)
    unsolved &= genuine_at(seen.begin) | genuine_at(seen.end)
    return found, jnp.where(genuine_at(found), at, jnp.nan), unsolved


def _vanishing(
    problem: OrbitProblem, index: Int[Array, ""], taken: Taken
) -> tuple[Point, Float[Array, ""]]:
    """The orbit within a step at which a test vanishes, and how far along it is.

    Each place is solved for on the branch.
    """
    begin, end = taken.seen
    normal = row_of(begin.cycle, begin.tangent)
    before, after = begin.tests[index], end.tests[index]
    size = jnp.maximum(abs(before), abs(after))

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
        return Look(found.tests[index], _ZERO * size, fine, found)

    first = Look(before, _ZERO * size, jnp.ones((), bool), begin)
    share, found = secants(look, (before, after), first, taken.taken)
    vanishes = taken.taken & found.fine & (abs(found.value) <= _VANISHES * size)
    at = jnp.where(vanishes, taken.length + share * taken.step, jnp.nan)
    return found.seen, at


def _as_row(of: Cycle) -> Row:
    return Row(of.x, of.period, of.parameter)
