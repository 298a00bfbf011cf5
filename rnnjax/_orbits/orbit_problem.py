"""Following periodic orbits: steps along a branch of them, and what happens between the steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.collocation import (
    DEGREE,
    Cycle,
    Family,
    Reduced,
    Row,
    linearized,
    phase_row,
    remeshed,
    solved,
    weights,
)
from rnnjax._precision import first_of
from rnnjax._results import BranchEnd
from rnnjax._types import Array
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, CyclePlace

BLOCK = 16  # attempts between looks at whether the branch has ended
_SMALLEST, _CORRECTED, _NEWTON = 1e-6, 1e-9, 8
_STRAIGHT, _BENT = 0.99, 0.9  # cosines between tangents: to grow, and to be taken
_REMESH = 3  # steps between adaptations of the mesh
_VANISHES = 1e-4  # scaled extent of an orbit that has shrunk to a Hopf point
_NEARLY = 1e-2  # and of one that can't be followed any nearer to one
_SHRINKS = 0.2  # of an orbit's extent, what a step must leave of it
_STANDS = 1e-9  # of a step, what a parameter that no longer changes may change
_GOING = BranchEnd.MAX_POINTS


class Limits(NamedTuple):
    """The bounds of the parameter, scaled, the longest step and the longest period."""

    low: Array
    high: Array
    largest: Array
    longest: Array


class Condition(NamedTuple):
    """What holds along a curve of orbits in two parameters, beside that they are orbits.

    Attributes:
        value: `(cycle, border) -> ` what vanishes.
        border: `(cycle, border) -> ` the direction that it is seen against from there on.
    """

    value: Callable[[Cycle, Any], Array]
    border: Callable[[Cycle, Any], Row]


class Point(NamedTuple):
    """An orbit on the branch, where the branch goes on, and the tests there.

    Attributes:
        cycle: the orbit.
        tangent: the direction of the branch, of length 1.
        tests: a number for each type.
        first, last, sign: see `CyclePlace`.
        border: see `Condition`; None on a branch in one parameter.
    """

    cycle: Cycle
    tangent: Row
    tests: Array
    first: Array
    last: Array
    sign: Array
    border: Row | None = None


class March(NamedTuple):
    """Where the steps have come to."""

    at: Point
    step: Array
    length: Array
    age: Array
    going: Array
    end: Array


class Taken(NamedTuple):
    """One attempt: from where, to where, and whether it was taken."""

    begin: Point
    end: Point
    step: Array
    length: Array
    taken: Array


def inner(cycle: Cycle, a: Row, b: Row) -> Array:
    """The product of two changes: a mean over the orbit, the period by its logarithm, the parameter."""
    states = (weights(cycle)[..., None] * a.x * b.x).sum()
    return states + a.period * b.period / cycle.period**2 + (a.parameter * b.parameter).sum()


def row_of(cycle: Cycle, a: Row) -> Row:
    """The function `inner(cycle, a, .)`."""
    return Row(weights(cycle)[..., None] * a.x, a.period / cycle.period**2, a.parameter)


def moved(cycle: Cycle, change: Row, share: Any = 1.0) -> Cycle:
    """A cycle and a multiple of a change."""
    return Cycle(
        cycle.x + share * change.x,
        cycle.period + share * change.period,
        cycle.parameter + share * change.parameter,
        cycle.widths,
    )


def corrected(
    field: Family, guess: Cycle, normal: Row, holds: Callable[[Cycle], Array] | None = None
) -> tuple[Cycle, Array]:
    """The orbit on the plane through `guess` across a row, by Newton's method; whether found.

    Where something else is to hold, it is what vanishes.
    """

    def body(now: Any) -> Any:
        cycle, size, _, count = now
        equations = linearized(field, cycle)
        rows, off = _with_condition([phase_row(guess), normal], holds, cycle)
        change, _ = solved(equations, -equations.value, rows, -off)
        new = jnp.sqrt(inner(cycle, change, change))
        fails = ~jnp.isfinite(new) | ((count > 0) & (new > 0.7 * size) & (new > _CORRECTED))
        fails |= ~(cycle.period + change.period > 0)
        after = moved(cycle, change)
        return (
            jax.tree.map(lambda a, b: jnp.where(fails, a, b), cycle, after),
            new,
            fails,
            count + 1,
        )

    def go(now: Any) -> Array:
        _, size, fails, count = now
        return ~fails & (size > _CORRECTED) & (count < _NEWTON)

    start = guess, jnp.full((), jnp.inf), jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    cycle, size, fails, _ = lax.while_loop(go, body, start)
    return cycle, ~fails & (size <= _CORRECTED)


def _with_condition(
    rows: list[Row], holds: Callable[[Cycle], Array] | None, cycle: Cycle
) -> tuple[list[Row], Array]:
    """The rows with that of a condition, and how far each is from holding at the cycle."""
    off = jnp.zeros(len(rows))
    if holds is None:
        return rows, off
    value, slope = jax.value_and_grad(holds)(cycle)
    return [*rows, Row(slope.x, slope.period, slope.parameter)], jnp.append(off, value)


def point(
    field: Family, types: tuple[AbstractOfCycles, ...], cycle: Cycle, along: Row,
    condition: Condition | None = None, border: Row | None = None,
) -> Point:  # fmt: skip
    """The direction in which the branch goes on from an orbit, and the tests there."""
    equations = linearized(field, cycle)
    holds = None if condition is None else lambda c: condition.value(c, border)
    rows, _ = _with_condition([phase_row(cycle), row_of(cycle, along)], holds, cycle)
    wanted = jnp.zeros(len(rows)).at[1].set(1.0)
    tangent, small = solved(equations, jnp.zeros_like(equations.value), rows, wanted)
    length = jnp.sqrt(inner(cycle, tangent, tangent))
    tangent = Row(*(t / length for t in tangent))
    after = None if condition is None else condition.border(cycle, border)
    return Point(cycle, tangent, *tested(field, types, cycle, tangent, small), after)


def tested(
    field: Family, types: tuple[AbstractOfCycles, ...], cycle: Cycle, tangent: Row, small: Reduced
) -> tuple[Array, Array, Array, Array]:
    """The tests, and what is left of the variational equation."""
    system = small.system
    place = place_of(field, cycle, tangent, system.first, system.last, system.sign)
    return jnp.stack([t.test(place) for t in types]), place.first, place.last, place.sign


def place_of(
    field: Family, cycle: Cycle, tangent: Row, first: Array, last: Array, sign: Array
) -> CyclePlace:
    """What the tests look at."""
    flow = field(jnp.append(cycle.x[0, 0], cycle.parameter))
    switching = getattr(field, "switching", None)
    extremes = None if switching is None else switching_extremes(switching, cycle)
    return CyclePlace(first, last, sign, flow, tangent.parameter, extremes)


def switching_extremes(switching: Callable[[Array], Array], cycle: Cycle) -> Array:
    """The smallest and the largest value of functions of the state along an orbit, `(m, 2)`.

    Where the parabolas through three neighboring nodes have theirs.
    """
    x = cycle.x.reshape(-1, cycle.x.shape[-1])
    values = jax.vmap(lambda y: switching(jnp.append(y, cycle.parameter)))(x)
    steps = jnp.repeat(cycle.widths / DEGREE, DEGREE)[:, None]
    before, after = jnp.roll(values, 1, 0), jnp.roll(values, -1, 0)
    back = (values - before) / jnp.roll(steps, 1, 0)
    ahead = (after - values) / steps
    bend = 2 * (ahead - back) / (steps + jnp.roll(steps, 1, 0))
    slope = (back * steps + ahead * jnp.roll(steps, 1, 0)) / (steps + jnp.roll(steps, 1, 0))
    turns = (back * ahead < 0) & (bend != 0)
    vertex = values - jnp.where(turns, slope**2 / (2 * jnp.where(turns, bend, 1.0)), 0.0)
    return jnp.stack([vertex.min(0), vertex.max(0)], -1)


def extent(cycle: Cycle) -> Array:
    """How far the orbit reaches, scaled."""
    flat = cycle.x.reshape(-1, cycle.x.shape[-1])
    return (flat.max(0) - flat.min(0)).max()


def follow(
    field: Family, types: tuple[AbstractOfCycles, ...], start: Point, step: Array, limits: Limits,
    blocks: int, condition: Condition | None = None,
) -> tuple[March, Taken]:  # fmt: skip
    """Steps along the branch until it ends, or `blocks` blocks are used up."""
    zero = jnp.zeros(())
    first = March(
        start, step, zero, jnp.zeros((), jnp.int32), jnp.ones((), bool),
        jnp.full((), _GOING, jnp.int32),
    )  # fmt: skip

    def attempt(now: March, _: Any) -> tuple[March, Taken]:
        return _attempt(field, types, start, limits, now, condition)

    def block(carry: Any) -> Any:
        now, record, k = carry
        now, taken = lax.scan(attempt, now, None, length=BLOCK)
        record = jax.tree.map(
            lambda all_, new: lax.dynamic_update_slice_in_dim(all_, new, k * BLOCK, 0),
            record,
            taken,
        )
        return now, record, k + 1

    _, shape = jax.eval_shape(attempt, first, None)
    record = jax.tree.map(lambda x: jnp.zeros((blocks * BLOCK, *x.shape), x.dtype), shape)
    now, record, _ = lax.while_loop(
        lambda c: c[0].going & (c[2] < blocks), block, (first, record, jnp.zeros((), jnp.int32))
    )
    return now, record


def _attempt(
    field: Family, types: tuple[AbstractOfCycles, ...], start: Point, limits: Limits, now: March,
    condition: Condition | None,
) -> tuple[March, Taken]:  # fmt: skip
    """One step: predict along the tangent, correct, and look at what has changed."""
    at = now.at
    guess = moved(at.cycle, at.tangent, now.step)
    holds = None if condition is None else lambda c: condition.value(c, at.border)
    cycle, fine = corrected(field, guess, row_of(at.cycle, at.tangent), holds)
    cycle = jax.tree.map(lambda a, b: jnp.where(fine, a, b), cycle, at.cycle)
    new = point(field, types, cycle, at.tangent, condition, at.border)
    cosine = inner(at.cycle, at.tangent, new.tangent)
    # an orbit that has passed through a point comes back to itself, half a period later
    middle = at.cycle.x.mean((0, 1)), cycle.x.mean((0, 1))
    same = ((at.cycle.x - middle[0]) * (cycle.x - middle[1])).sum() > 0
    # and one that is a point solves the equations as well
    fine &= extent(cycle) > _SHRINKS * extent(at.cycle)
    fine &= same & jnp.isfinite(cosine) & jnp.isfinite(new.tests).all()
    finest = now.step <= _SMALLEST
    good = fine & ((cosine > _BENT) | finest)
    small = extent(cycle) < _VANISHES
    outside = ((cycle.parameter > limits.high) | (cycle.parameter < limits.low)).any()
    back = Row(
        cycle.x - start.cycle.x, cycle.period - start.cycle.period,
        cycle.parameter - start.cycle.parameter,
    )  # fmt: skip
    near = jnp.sqrt(inner(cycle, back, back)) < now.step
    closed = near & (now.length > 2 * now.step)
    closed &= inner(cycle, new.tangent, start.tangent) > 0.9
    # the parameter of a homoclinic orbit is reached before its period is
    stands = (abs(new.tangent.parameter).max() < _STANDS) & (
        new.tangent.period > 0.5 * cycle.period
    )
    end = first_of(
        [finest & ~good & (extent(cycle) < _NEARLY), finest & ~good,
         good & small & (extent(cycle) < extent(at.cycle)), good & outside,
         good & ((cycle.period > limits.longest) | stands), good & closed],
        [BranchEnd.HOPF, BranchEnd.UNDERFLOW, BranchEnd.HOPF, BranchEnd.BOUND,
         BranchEnd.LONG_PERIOD, BranchEnd.CLOSED],
        _GOING,
    )  # fmt: skip
    change = jnp.where(good, jnp.where(cosine > _STRAIGHT, 1.6, 1.0), 0.4)
    step = jnp.clip(now.step * change, _SMALLEST, limits.largest)
    age = now.age + good.astype(jnp.int32)
    kept = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, at)
    again = age >= _REMESH
    fresh = _on_new_mesh(kept)
    following = jax.tree.map(lambda a, b: jnp.where(again, a, b), fresh, kept)
    after = March(
        at=jax.tree.map(lambda a, b: jnp.where(now.going, a, b), following, at),
        step=jnp.where(now.going, step, now.step),
        length=jnp.where(now.going & good, now.length + now.step, now.length),
        age=jnp.where(again, 0, age),
        going=now.going & (end == _GOING),
        end=jnp.where(now.going, end, now.end).astype(jnp.int32),
    )
    return after, Taken(at, new, now.step, now.length, now.going & good)


def _on_new_mesh(at: Point) -> Point:
    """The same orbit and tangent on a mesh that fits the orbit."""
    if at.border is None:
        cycle, (along,) = remeshed(at.cycle, (at.tangent.x,))
        return at._replace(cycle=cycle, tangent=at.tangent._replace(x=along))
    cycle, (along, border) = remeshed(at.cycle, (at.tangent.x, at.border.x))
    return at._replace(
        cycle=cycle, tangent=at.tangent._replace(x=along), border=at.border._replace(x=border)
    )
