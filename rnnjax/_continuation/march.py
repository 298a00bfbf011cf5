"""Steps along a line, whatever it is of, from its start to where it ends."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool

from rnnjax._continuation.problem import (
    AbstractProblem,
    Attempt,
    Bounds,
    Landing,
    March,
    PlaceT,
    Taken,
)
from rnnjax._numerics.digits import chosen
from rnnjax._precision import first_of, index_of_largest
from rnnjax._results import BranchEnd
from rnnjax._types import Array, Float

_ALONG = 1e-12  # slopes of a number below which it does not move towards its bound
_NOTHING = 1e-9  # scaled length of a step that leads nowhere
_SAME_WAY = 0.9  # cosine of two tangents


def follow(
    problem: AbstractProblem[PlaceT], start: PlaceT, blocks: int, *, placed: bool = True
) -> tuple[March[PlaceT], Taken]:
    """Steps along a line until it ends, or `blocks` blocks of attempts are used up.

    A line that comes to a bound ends on it: the step that would cross it is cut short there. Where
    it begins at a point of which no more is known (not `placed`), a first attempt of length 0 finds
    the rest.
    """
    first = March(
        start,
        start,
        jnp.asarray(problem.steps.first) * (1.0 if placed else 0.0),
        jnp.zeros(()),
        jnp.full((), 0 if placed else -1, jnp.int32),
        jnp.ones((), bool),
        jnp.full((), BranchEnd.GOING, jnp.int32),
    )

    def attempt(now: March[PlaceT], _: None) -> tuple[March[PlaceT], Taken]:
        return _attempt(problem, now, placed)

    def block(
        carry: tuple[March[PlaceT], Taken, Array],
    ) -> tuple[March[PlaceT], Taken, Array]:
        now, record, k = carry
        now, taken = lax.scan(attempt, now, None, length=problem.block)
        record = jax.tree.map(
            lambda all_, new: lax.dynamic_update_slice_in_dim(all_, new, k * problem.block, 0),
            record,
            taken,
        )
        return now, record, k + 1

    _, shape = jax.eval_shape(attempt, first, None)
    room = blocks * problem.block
    record = jax.tree.map(lambda x: jnp.zeros((room, *x.shape), x.dtype), shape)
    now, record, _ = lax.while_loop(
        lambda c: c[0].going & (c[2] < blocks), block, (first, record, jnp.zeros((), jnp.int32))
    )
    end = jnp.where(now.end == BranchEnd.GOING, BranchEnd.MAX_POINTS, now.end)
    return dataclasses.replace(now, end=end.astype(jnp.int32)), record


def landing_of(
    values: Float[Array, " bounded"], slopes: Float[Array, " bounded"], bounds: Bounds,
    step: Float[Array, ""],
) -> Landing:  # fmt: skip
    """The first bound ahead of numbers that change with these slopes, and whether a step gets there."""
    moves = abs(slopes) > _ALONG
    left = jnp.where(slopes > 0, bounds.high - values, bounds.low - values)
    far = jnp.where(moves, left / jnp.where(moves, slopes, 1.0), jnp.inf)
    which = index_of_largest(-far)
    ahead = jnp.maximum(far[which], 0.0)
    lands = ahead <= step
    value = jnp.where(slopes[which] > 0, bounds.high[which], bounds.low[which])
    return Landing(lands, jnp.where(lands, ahead, step), which, value)


def _attempt(
    problem: AbstractProblem[PlaceT], now: March[PlaceT], placed: bool
) -> tuple[March[PlaceT], Taken]:
    """One step, as far as the first bound at most, and how the next one goes on."""
    at, steps = now.at, problem.steps
    tried = problem.tried(at, landing_of(*problem.bounded(at), problem.bounds, now.step))
    finest = now.step <= steps.smallest
    good = tried.fine | (finest & tried.passable)
    end = _end(problem, now, tried, good)
    on = now.going & good
    moved = chosen(on, tried.beyond, at)
    longest = problem.longest(moved)
    age = now.age + on.astype(jnp.int32)
    if problem.settles:
        again = age >= problem.settles
        moved = chosen(again, problem.settled(moved), moved)
        age = jnp.where(again, 0, age)
    change = jnp.where(good, tried.grown, tried.shrunk)
    following = jnp.clip(now.step * change, steps.smallest, longest)
    after = March(
        now.start,
        moved,
        jnp.where(now.going, following, now.step),
        jnp.where(on, now.length + tried.step, now.length),
        age,
        now.going & (end == BranchEnd.GOING),
        jnp.where(now.going, end, now.end).astype(jnp.int32),
    )
    # a line that begins on a bound is there already
    taken = on & ~(tried.landed & (tried.step <= _NOTHING))
    if not placed:
        begins, new = now.age < 0, tried.new
        known = March(
            new, new, jnp.asarray(steps.first), now.length, jnp.zeros_like(age), now.going, now.end
        )
        after, taken = chosen(begins, known, after), taken & ~begins
    return after, Taken(tried.seen, tried.step, now.length, taken)


def _end(
    problem: AbstractProblem[PlaceT], now: March[PlaceT], tried: Attempt[PlaceT],
    good: Bool[Array, ""],
) -> Array:  # fmt: skip
    """A `BranchEnd` if the line ends with this attempt, else that it goes on."""
    finest = now.step <= problem.steps.smallest
    distance, cosine, ahead = problem.back(now.start, tried.new)
    closed = (distance < tried.step) & (cosine > _SAME_WAY) & (now.length > 2 * tried.step)
    closed &= ahead >= 0
    ends = [
        *problem.endings(now.at, tried, good, finest),
        (finest & ~good, BranchEnd.UNDERFLOW),
        (good & tried.landed, BranchEnd.BOUND),
        (good & closed, BranchEnd.CLOSED),
    ]
    conditions, codes = zip(*ends, strict=True)
    return first_of(list(conditions), list(codes), BranchEnd.GOING)
