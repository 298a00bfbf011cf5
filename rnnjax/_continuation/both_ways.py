"""A line in both directions from where it begins, as arrays of fixed shape, in its order."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int

from rnnjax._results import BranchEnd
from rnnjax._types import Array, Arrays, Float


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

    end: Int[Array, "*direction"]
    points: Arrays
    at: Float[Array, "*direction attempt"]
    kept: Bool[Array, "*direction attempt"]
    found: Arrays
    lost: Int[Array, "*direction"]


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
    at: Float[Array, " point"]
    kept: Bool[Array, " point"]
    found: Arrays
    counts: Bool[Array, " slot"]
    lost: Int[Array, ""]
    ends: Int[Array, " direction"]


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
    ways = together(one_way, jnp.asarray(directions))
    # what is closed is whole after one way around
    once = jnp.ones(len(directions), bool).at[1:].set(ways.end[0] != BranchEnd.CLOSED)
    begins = begun == BranchEnd.GOING
    points = jax.tree.map(
        lambda one, more: jnp.concatenate([jnp.asarray(one)[None], _in_one(more)]),
        first,
        ways.points,
    )
    at = jnp.append(jnp.zeros(1), _in_one(ways.at))
    kept = jnp.append(jnp.ones(1, bool), _in_one(ways.kept & once[:, None])) & begins
    order = jnp.argsort(jnp.where(kept, at, jnp.inf), stable=True)
    points, at, kept = jax.tree.map(lambda a: a[order], (points, at, kept))
    found = jax.tree.map(_in_one, ways.found)
    leaves = jax.tree.leaves(found)
    slots = leaves[0].shape[0] // len(directions) if leaves else 0
    return Both(
        points,
        at,
        kept,
        found,
        jnp.repeat(once & begins, slots),
        jnp.where(once & begins, ways.lost, 0).sum(dtype=jnp.int32),
        jnp.where(begins, ways.end, begun).astype(jnp.int32),
    )


def all_at_once(one_way: Callable[[Array], Way], signs: Float[Array, " direction"]) -> Way:
    """Every direction side by side."""
    return jax.vmap(one_way)(signs)


def _in_one(a: Array) -> Array:
    """Both directions in one."""
    return a.reshape(-1, *a.shape[2:])
