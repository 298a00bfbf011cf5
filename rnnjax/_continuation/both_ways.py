"""A branch or a curve in both directions from where it begins, as arrays of fixed shape."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnjax._continuation.corrector import corrected, hermite
from rnnjax._continuation.march import follow
from rnnjax._continuation.points import Special
from rnnjax._continuation.problem import Limits, Located, Path, Problem, Start, Whole
from rnnjax._continuation.zeros import locate, sorted_once
from rnnjax._numerics.implicit import refuse, root_of
from rnnjax._precision import index_of_largest
from rnnjax._results import BranchEnd
from rnnjax._types import Array

MIN_STEP, FIRST_STEP, FARTHEST = 1e-7, 1e-3, 1e6  # scaled


def steps_up_to(largest: Array) -> dict[str, Array]:
    """The steps that `Limits` holds, given the longest."""
    return {
        "first": jnp.minimum(FIRST_STEP, largest),
        "smallest": jnp.minimum(MIN_STEP, largest),
        "largest": largest,
        "farthest": jnp.asarray(FARTHEST),
    }


def flat(a: Array) -> Array:
    """Both directions in one."""
    return a.reshape(-1, *a.shape[2:])


def needed(ends: Array) -> Array:
    """Which directions tell anything: what is closed is whole after one way around."""
    return jnp.ones(ends.size, bool).at[1:].set(ends[0] != BranchEnd.CLOSED)


def in_order(
    first: Any, sides: Any, at: Array, kept: Array, begun: Array
) -> tuple[Any, Array, Array]:
    """What was met in both directions, and the first, by how far along it is; what is kept in front.

    Args:
        first: where both begin.
        sides: the same in each direction, `(direction, point, ...)`.
        at: how far along, `(direction, point)`.
        kept: which are points of the branch.
        begun: whether the first is.
    """
    all_ = jax.tree.map(
        lambda one, more: jnp.concatenate([jnp.asarray(one)[None], flat(more)]), first, sides
    )
    at = jnp.append(jnp.zeros(1), flat(at))
    kept = jnp.append(jnp.ones(1, bool), flat(kept)) & begun
    order = jnp.argsort(jnp.where(kept, at, jnp.inf), stable=True)
    return jax.tree.map(lambda a: a[order], (all_, at, kept))


def both_ways(
    problem: Problem, start: Start, limits: Limits, directions: tuple[float, ...], blocks: int,
    slots: int,
) -> Whole:  # fmt: skip
    """Follow it in each of the directions (signs), and put what was found in order."""
    signs = jnp.asarray(directions)
    ends, (points, onward, frames, kept, at), found, lost = jax.vmap(
        lambda sign: _one_way(problem, start, sign, limits, blocks, slots)
    )(signs)

    once = needed(ends)
    kept &= once[:, None]
    found = found._replace(
        found=found.found & once[:, None], unsolved=found.unsolved & once[:, None]
    )
    begun = start.end == BranchEnd.MAX_POINTS
    head = start.u, start.along, start.frame
    (points, onward, frames), at, kept = in_order(head, (points, onward, frames), at, kept, begun)
    points = jax.vmap(lambda *v: _attached(problem, *v))(points, onward, frames, kept)
    found = sorted_once(jax.tree.map(flat, found), problem.field.scale)
    return Whole(
        points,
        refuse(kept, at),
        kept,
        found._replace(found=found.found & begun),
        jnp.where(once & begun, lost, 0).sum(dtype=jnp.int32),
        jnp.where(begun, ends, start.end).astype(jnp.int32),
    )


def _one_way(
    problem: Problem, start: Start, sign: Array, limits: Limits, blocks: int, slots: int
) -> tuple[Array, Any, Located, Array]:
    """In one of its directions."""
    along, scale = sign * start.along, problem.field.scale
    u = start.u
    if start.offset:
        guess = u + start.offset * along
        moved, solved = corrected(lambda z: problem.path.equations(z, start.frame), guess, along)
        u = jnp.where(solved, moved, u)
    now, taken = follow(problem.path, u, start.frame, along, limits, blocks)
    lengths = start.offset + jnp.cumsum(jnp.where(taken.taken, taken.step, 0.0))
    begun = sign * (lengths - jnp.where(taken.taken, taken.step, 0.0))
    found, lost = locate(
        problem.field, problem.path, problem.units, problem.types, taken, begun, slots
    )
    value = found.u / scale
    low, high = (bound[: scale.size] for bound in (limits.low, limits.high))
    within = ((value >= low - 1e-9) & (value <= high + 1e-9)).all(-1)
    found = found._replace(found=found.found & within)
    points = _at_bound(problem.path, taken, now.end, limits)
    frames = taken.begin.frame
    return now.end, (points, taken.onward, frames, taken.taken, sign * lengths), found, lost


def _at_bound(path: Path, taken: Any, end: Array, limits: Limits) -> Array:
    """The ends of all attempts, the last one moved back onto the bound that it crossed."""
    count = taken.taken.shape[0]
    last = count - 1 - index_of_largest(taken.taken[::-1])
    begin, u, after, step, _, _ = jax.tree.map(lambda x: x[last], taken)
    share = jnp.linspace(0, 1, 65)
    way = hermite(begin.u, u, step * begin.tangent, step * after, share[:, None])
    beyond = (way > limits.high) | (way < limits.low)
    first = index_of_largest(beyond.any(1))
    which = index_of_largest(beyond[first])
    bound = jnp.where(way[first, which] > limits.high[which], limits.high[which], limits.low[which])
    bound = jnp.where(jnp.isfinite(bound), bound, way[first, which])
    across = jnp.zeros_like(u).at[which].set(1.0)
    guess = way[first].at[which].set(bound)
    moved, solved = corrected(lambda z: path.equations(z, begin.frame), guess, across)
    change = solved & (end == BranchEnd.BOUND) & taken.taken.any()
    return taken.end.at[last].set(jnp.where(change, moved, u))


def _attached(problem: Problem, u: Array, across: Array, frame: Any, kept: Array) -> Array:
    """A point with its derivatives across the branch; NaN where it is not kept."""
    live = problem.live

    def equations(arrays: Any, v: Array, constants: Any) -> Array:
        u, across, frame, units = constants
        return jnp.append(live(arrays, v, frame, units), across @ (v - u))

    v = root_of(equations, problem.field.arrays, u, (u, across, frame, problem.units))
    return refuse(kept, v * problem.units)


def special(whole: Whole, unravel: Any, parameters: int) -> Special:
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
