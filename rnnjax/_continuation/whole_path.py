"""A path followed both ways, with its bifurcations and the derivatives of both."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int

from rnnjax._continuation.both_ways import Way, all_at_once, both_ways
from rnnjax._continuation.corrector import corrected
from rnnjax._continuation.followed import Followed, Located, Start
from rnnjax._continuation.march import follow
from rnnjax._continuation.path import Frame, Seen
from rnnjax._continuation.points import Special
from rnnjax._continuation.problem import Bounds, Steps
from rnnjax._continuation.zeros import locate, sorted_once
from rnnjax._numerics.implicit import refuse, root_of
from rnnjax._types import Array, Arrays, Float, State

_MIN_STEP, _FIRST_STEP = 1e-7, 1e-3  # scaled


class Whole(NamedTuple):
    """All of it, in the order in which it was followed, what is not there last.

    Attributes:
        points: the unknowns, with their derivatives across; NaN where there is none.
        at: how far along from the start, scaled; NaN where there is no point.
        kept: whether there is one.
        found: the bifurcations.
        lost: how many bifurcations there was no room for.
        ends: a `BranchEnd` for each direction.
    """

    points: Float[Array, "point unknown"]
    at: Float[Array, " point"]
    kept: Bool[Array, " point"]
    found: Located
    lost: Int[Array, ""]
    ends: Int[Array, " direction"]


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
    blocks = -(-attempts // followed.path.block)

    def one_way(sign: Array) -> Way:
        return _one_way(followed, start, sign, blocks, slots)

    head = start.u, start.along, start.frame
    both = both_ways(one_way, head, start.end, directions, all_at_once)
    points = jax.vmap(lambda *v: _attached(followed, *v))(*both.points, both.kept)
    found = both.found._replace(
        found=both.found.found & both.counts, unsolved=both.found.unsolved & both.counts
    )
    found = sorted_once(found, followed.field.scale)
    return Whole(points, refuse(both.kept, both.at), both.kept, found, both.lost, both.ends)


def _one_way(followed: Followed, start: Start, sign: Array, blocks: int, slots: int) -> Way:
    """In one of its directions."""
    path, scale = followed.path, followed.field.scale
    along, u = sign * start.along, start.u
    if start.offset:
        guess = u + start.offset * along
        moved, solved = corrected(path.in_frame(start.frame), guess, along)
        u = jnp.where(solved, moved, u)
    now, taken = follow(path, path.place(u, start.frame, along), blocks)
    before = start.offset + taken.length
    found, lost = locate(followed, taken, sign * before, slots)
    within = _within(found.u / scale, path.bounds, scale.size)
    found = found._replace(found=found.found & within)
    seen: Seen = taken.seen
    points = seen.end, seen.onward, seen.begin.frame
    at = sign * (before + jnp.where(taken.taken, taken.step, 0.0))
    return Way(now.end, points, at, taken.taken, found, lost)


def _within(u: Float[Array, "slot point"], bounds: Bounds, size: int) -> Bool[Array, " slot"]:
    low, high = (bound[:size] for bound in bounds)
    return ((u >= low - 1e-9) & (u <= high + 1e-9)).all(-1)


def _attached(
    followed: Followed, u: Array, across: Array, frame: Frame, kept: Bool[Array, ""]
) -> Float[Array, " unknown"]:
    """A point with its derivatives across the branch; NaN where it is not kept."""
    live, units = followed.live, followed.units

    def equations(arrays: Arrays, v: Array, constants: tuple[Array, Array, Frame, Array]) -> Array:
        u, across, frame, units = constants
        return jnp.append(live(arrays, v, frame, units), across @ (v - u))

    v = root_of(equations, followed.field.arrays, u, (u, across, frame, units))
    return refuse(kept, v * units)


def special(whole: Whole, unravel: Callable[[Array], State], parameters: int) -> Special:
    """The bifurcations as the nouns hold them."""
    found, only = whole.found, whole.found.found

    def finite(a: Array) -> Array:
        return refuse(only.reshape(-1, *(1,) * (a.ndim - 1)), a)

    values = finite(found.u)[:, -parameters:]
    return Special(
        state=jax.vmap(unravel)(finite(found.u)[:, :-parameters]),
        parameter=values[:, 0] if parameters == 1 else values,
        tangent=finite(found.tangent),
        type_index=jnp.where(only, found.label, -1),
        kind_index=jnp.where(only, found.kind, -1),
        frequency=finite(found.frequency),
        coefficient=finite(found.coefficient),
        at=finite(found.at),
        found=only,
        unsolved=found.unsolved.sum(dtype=jnp.int32) + whole.lost,
    )
