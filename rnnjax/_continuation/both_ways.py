"""A line in both directions from where it begins, as arrays of fixed shape, in its order."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._results import BranchEnd
from rnnjax._types import AnyArray, Array, Arrays, Bool, Float, Int, numpy_of


class Way(NamedTuple):
    """One direction, or several with an axis in front.

    Attributes:
        end: a `BranchEnd`.
        points: what each attempt came to, `(attempt, ...)`.
        at: how far along from the start, signed.
        kept: which of them are points of the line.
        found: what was found between them, `(slot, ...)`.
        lost: how much there was that was not found.
    """

    end: Int[AnyArray, "*direction"]
    points: Arrays
    at: Float[AnyArray, "*direction attempt"]
    kept: Bool[AnyArray, "*direction attempt"]
    found: Arrays
    lost: Int[AnyArray, "*direction"]


class Both(NamedTuple):
    """Both directions, points that are there in front.

    Attributes:
        points: in the order of the line.
        at: how far along from the start.
        kept: whether there is one.
        found: what was found in each direction, `(direction slot, ...)`.
        counts: whether it counts, `(direction slot,)`.
        lost: how much was not found.
        ends: a `BranchEnd` for each direction.
    """

    points: Arrays
    at: Float[AnyArray, " point"]
    kept: Bool[AnyArray, " point"]
    found: Arrays
    counts: Bool[AnyArray, " slot"]
    lost: Int[AnyArray, ""]
    ends: Int[AnyArray, " direction"]


def both_ways(
    one_way: Callable[[Float[Array, ""]], Way],
    first: Arrays,
    begun: Int[Array, ""],
    directions: tuple[float, ...],
    together: Callable[..., Way],
) -> Both:
    """A line in each of its directions, put in order.

    Args:
        one_way: follows it in a direction, a sign.
        first: the point where all of them begin, in the structure of `Way.points`.
        begun: a `BranchEnd`: that it goes on, or why it does not begin.
        directions: their signs.
        together: `together(one_way, signs)` runs all of them: `all_at_once`, or `lax.map`.
    """
    return put_in_order(together(one_way, jnp.asarray(directions)), first, begun)


def put_in_order(ways: Way, first: Arrays, begun: Int[Any, ""]) -> Both:
    """Directions, stacked, in the order of the line; see `both_ways`. On the host as well."""
    xp = numpy_of(ways, first, begun)
    count = ways.end.shape[0]
    # what is closed is whole after one way around
    more = xp.broadcast_to(ways.end[0] != BranchEnd.CLOSED, (count - 1,))
    once = xp.concatenate([xp.ones(1, bool), more])
    begins = begun == BranchEnd.GOING
    points = jax.tree.map(
        lambda one, more: xp.concatenate([xp.asarray(one)[None], _in_one(more)]),
        first,
        ways.points,
    )
    at = xp.append(xp.zeros(1), _in_one(ways.at))
    kept = xp.append(xp.ones(1, bool), _in_one(ways.kept & once[:, None])) & begins
    order = xp.argsort(xp.where(kept, at, np.inf), stable=True)
    points, at, kept = jax.tree.map(lambda a: a[order], (points, at, kept))
    found = jax.tree.map(_in_one, ways.found)
    leaves = jax.tree.leaves(found)
    slots = leaves[0].shape[0] // count if leaves else 0
    return Both(
        points,
        at,
        kept,
        found,
        xp.repeat(once & begins, slots),
        xp.asarray(xp.where(once & begins, ways.lost, 0).sum(dtype=np.int32)),
        xp.where(begins, ways.end, begun).astype(np.int32),
    )


def all_at_once(one_way: Callable[[Array], Way], signs: Float[Array, " direction"]) -> Way:
    """Every direction side by side."""
    return jax.vmap(one_way)(signs)


def _in_one(a: AnyArray) -> AnyArray:
    """Both directions in one."""
    return a.reshape(-1, *a.shape[2:])
