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
from rnnjax._orbits.orbit_points import Point, corrected, place_of, point, row_of
from rnnjax._orbits.orbit_problem import OrbitProblem, Seen
from rnnjax._types import Array, Float

_ZERO, _VANISHES = 1e-13, 1e-6  # of a test's size: where the search ends, and what counts as zero


class Crossings(NamedTuple):
    """Where tests vanish.

    Attributes:
        points: the orbits.
        which: of the tests.
        at: how far along the branch, signed; NaN where none vanishes.
    """

    points: Point
    which: Int[Array, "*slot"]
    at: Float[Array, "*slot"]


def one_way(problem: OrbitProblem, first: Point, sign: Array, attempts: int, slots: int) -> Way:
    """The branch to one side of an orbit, with room for so many zeros of each test."""
    turns = jnp.asarray([t.turns for t in problem.types], bool)
    start = first._replace(
        tangent=Row(*(sign * t for t in first.tangent)),
        tests=jnp.where(turns, sign * first.tests, first.tests),
    )
    now, record = follow(problem, start, -(-attempts // problem.block))
    seen: Seen = record.seen
    changes = record.taken[:, None] & ((seen.begin.tests > 0) != (seen.end.tests > 0))
    slots = min(slots, record.taken.size)
    chosen = jnp.argsort(~changes, axis=0, stable=True)[:slots].T.reshape(-1)
    index = jnp.repeat(jnp.arange(len(problem.types), dtype=jnp.int32), slots)
    lost = jnp.maximum(changes.sum(0, dtype=jnp.int32) - slots, 0).sum(dtype=jnp.int32)
    steps = jax.tree.map(lambda a: a[chosen], record)._replace(taken=changes[chosen, index])
    points, at, unsolved = lax.map(lambda t: _zero(problem, *t), (index, steps))
    lost = lost + unsolved.sum(dtype=jnp.int32)
    length = sign * (record.length + record.step)
    return Way(now.end, seen.end, length, record.taken, Crossings(points, index, sign * at), lost)


def _zero(
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
        cycle, fine = corrected(problem.field, between(share), normal)
        found = point(problem.field, problem.types, cycle, begin.tangent)
        return Look(found.tests[index], _ZERO * size, fine, found)

    first = Look(before, _ZERO * size, jnp.ones((), bool), begin)
    share, found = secants(look, (before, after), first, taken.taken)
    vanishes = taken.taken & found.fine & (abs(found.value) <= _VANISHES * size)
    at = jnp.where(vanishes, taken.length + share * taken.step, jnp.nan)
    return found.seen, at


def _as_row(of: Cycle) -> Row:
    return Row(of.x, of.period, of.parameter)
