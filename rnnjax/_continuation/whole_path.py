"""A path followed both ways, with its bifurcations and the derivatives of both."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._continuation.both_ways import Both, Way, all_at_once, both_ways
from rnnjax._continuation.corrector import corrected
from rnnjax._continuation.followed import Followed, Located, Start
from rnnjax._continuation.march import follow
from rnnjax._continuation.path import Frame, Place, Seen
from rnnjax._continuation.points import Special
from rnnjax._continuation.problem import Bounds, March, Steps, Taken
from rnnjax._continuation.zeros import locate, sorted_once
from rnnjax._numerics.implicit import root_of
from rnnjax._numerics.roots import looking
from rnnjax._numerics.slots import slots_of
from rnnjax._types import AnyArray, Array, Arrays, Bool, Float, Int, State, numpy_of

_MIN_STEP, _FIRST_STEP = 1e-7, 1e-3  # scaled


class Whole(NamedTuple):
    """All of it, in the order in which it was followed, what is not there last.

    Attributes:
        points: the unknowns, with their derivatives across; where there is none, those of another.
        at: how far along from the start, scaled.
        kept: whether there is one.
        found: the bifurcations.
        lost: how many bifurcations there was no room for.
        ends: a `BranchEnd` for each direction.
    """

    points: Float[AnyArray, "point unknown"]
    at: Float[AnyArray, " point"]
    kept: Bool[AnyArray, " point"]
    found: Located
    lost: Int[AnyArray, ""]
    ends: Int[AnyArray, " direction"]


def steps_up_to(largest: Float[Array, ""]) -> Steps:
    """The steps of a path, given the longest."""
    return Steps(jnp.minimum(_FIRST_STEP, largest), jnp.minimum(_MIN_STEP, largest), largest)


def whole_path(
    followed: Followed, start: Start, directions: tuple[float, ...], attempts: int, slots: int
) -> Whole:
    """Follow it in each of the directions (signs), and put what was found in order.

    Args:
        followed: the path on its circuit.
        start: where it begins.
        directions: signs.
        attempts: the most of them in each direction.
        slots: room for bifurcations of one type in each direction.
    """

    def one_way(sign: Array) -> Way:
        now, taken = marched(followed, start, sign, attempts)
        at = sign * (start.offset + taken.length)
        found, lost = locate(followed, taken, at, slots)
        within = followed.field.scale, followed.path.bounds
        return way_of(now.end, taken, (found, lost), at, sign, within)

    head = start.u, start.along, start.frame
    both = both_ways(one_way, head, start.end, directions, all_at_once)
    points = points_of(followed, both)
    room = len(followed.types) * slots * len(directions)
    return whole_of(both, points, followed.field.scale, room)


def marched(
    followed: Followed, start: Start, sign: Array, attempts: int
) -> tuple[March[Place], Taken]:
    """The steps in one of the directions, so many attempts at most."""
    path = followed.path
    blocks = -(-attempts // path.block)
    along, u = sign * start.along, start.u
    if start.offset:
        guess = u + start.offset * along
        moved, solved = corrected(looking(path.in_frame(start.frame)), guess, along)
        u = jnp.where(solved, moved, u)
    return follow(path, path.point(u, start.frame, along), blocks, placed=False)


def way_of(
    end: Int[AnyArray, ""], taken: Taken, found: tuple[Located, Int[AnyArray, ""]],
    at: Float[AnyArray, " attempt"], sign: Float[AnyArray, ""], within: tuple[AnyArray, Bounds],
) -> Way:  # fmt: skip
    """A direction, of its steps, each of which began `at` a place, and what was found between them.

    What lies outside of the bounds, which are given with the scale, does not count.
    """
    located, lost = found
    scale, bounds = within
    xp = numpy_of(taken, found)
    inside = _within(located.u / scale, bounds, scale.size)
    located = located._replace(found=located.found & inside)
    seen: Seen = taken.seen
    points = seen.end, seen.onward, seen.begin.frame
    reached = at + sign * xp.where(taken.taken, taken.step, 0.0)
    return Way(end, points, reached, taken.taken, located, lost)


def whole_of(
    both: Both, points: Float[AnyArray, "point unknown"], scale: AnyArray, room: int
) -> Whole:
    """All of it, of both directions and the points in their units, with room for so many bifurcations."""
    found = both.found._replace(
        found=both.found.found & both.counts, unsolved=both.found.unsolved & both.counts
    )
    found = sorted_once(found, scale)
    beyond = numpy_of(found).logical_or(found.found, found.unsolved)[room:]
    lost = both.lost + beyond.sum(dtype=np.int32)
    found = jax.tree.map(lambda x: x[:room], found)
    return Whole(points, both.at, both.kept, found, lost, both.ends)


def _within(u: Float[AnyArray, "slot point"], bounds: Bounds, size: int) -> Bool[AnyArray, " slot"]:
    low, high = (bound[:size] for bound in bounds)
    return ((u >= low - 1e-9) & (u <= high + 1e-9)).all(-1)


def points_of(followed: Followed, both: Both) -> Float[Array, "point unknown"]:
    """The points in their units with their derivatives across the line; where there is none, those of another."""
    live, units = followed.live, followed.units
    slots = slots_of(both.kept, followed.field.arrays)

    def equations(arrays: Arrays, v: Array, constants: tuple[Array, Array, Frame, Array]) -> Array:
        u, across, frame, units = constants
        return jnp.append(live(arrays, v, frame, units), across @ (v - u))

    def attached(u: Array, across: Array, frame: Frame) -> Array:
        return root_of(equations, slots.given, u, (u, across, frame, units)) * units

    return jax.vmap(attached)(*slots.filled(both.points))


def special(
    whole: Whole, unravel: Callable[[AnyArray], State], parameters: int, given: Arrays
) -> Special:
    """The bifurcations as the nouns hold them.

    Args:
        whole: what was followed.
        unravel: makes states of rows.
        parameters: how many there are.
        given: the arrays that all of it depends on.
    """
    found, only = whole.found, whole.found.found
    xp, finite = numpy_of(found), slots_of(only, given).written
    values = finite(found.u)[:, -parameters:]
    return Special(
        state=unravel(finite(found.u)[:, :-parameters]),
        parameter=values[:, 0] if parameters == 1 else values,
        tangent=finite(found.tangent),
        type_index=xp.where(only, found.label, -1),
        kind_index=xp.where(only & (found.multiplicity == 1), found.kind, -1),
        frequency=finite(found.frequency),
        coefficient=xp.where(found.multiplicity > 1, np.nan, finite(found.coefficient)),
        at=finite(found.at),
        found=only,
        multiplicity=xp.where(only, found.multiplicity, 0),
        unsolved=xp.asarray(found.unsolved.sum(dtype=np.int32) + whole.lost),
    )
