"""Following periodic orbits: steps along a branch of them, and what happens between the steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._collocation import (
    Cycle,
    Family,
    Reduced,
    Row,
    linearized,
    phase_row,
    remeshed,
    residual,
    solved,
    weights,
)
from rnnjax._linalg import first_of
from rnnjax._results import BranchEnd
from rnnjax._types import Array
from rnnjax.bifurcations._cycle import AbstractOfCycles, CyclePlace

BLOCK = 16  # attempts between looks at whether the branch has ended
_SMALLEST, _CORRECTED, _NEWTON = 1e-6, 1e-9, 8
_STRAIGHT, _BENT = 0.99, 0.9  # cosines between tangents: to grow, and to be taken
_REMESH = 3  # steps between adaptations of the mesh
_VANISHES = 1e-4  # scaled extent of an orbit that has shrunk to a Hopf point
_SHRINKS = 0.2  # of an orbit's extent, what a step must leave of it
_STANDS = 1e-9  # of a step, what a parameter that no longer changes may change
_SECANTS = 40  # steps to a zero of a test at most
_GOING = BranchEnd.MAX_POINTS


class Limits(NamedTuple):
    """The bounds of the parameter, scaled, the longest step and the longest period."""

    low: Array
    high: Array
    largest: Array
    longest: Array


class Point(NamedTuple):
    """An orbit on the branch, where the branch goes on, and the tests there.

    Attributes:
        cycle: the orbit.
        tangent: the direction of the branch, of length 1.
        tests: a number for each type.
        first, last, sign: see `CyclePlace`.
    """

    cycle: Cycle
    tangent: Row
    tests: Array
    first: Array
    last: Array
    sign: Array


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
    return states + a.period * b.period / cycle.period**2 + a.parameter * b.parameter


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


def corrected(field: Family, guess: Cycle, normal: Row) -> tuple[Cycle, Array]:
    """The orbit on the plane through `guess` across a row, by Newton's method; whether found."""

    def body(now: Any) -> Any:
        cycle, size, _, count = now
        equations = linearized(field, cycle)
        change, _ = solved(equations, -equations.value, (phase_row(guess), normal), jnp.zeros(2))
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


def point(field: Family, types: tuple[AbstractOfCycles, ...], cycle: Cycle, along: Row) -> Point:
    """The direction in which the branch goes on from an orbit, and the tests there."""
    equations = linearized(field, cycle)
    rows = phase_row(cycle), row_of(cycle, along)
    tangent, small = solved(
        equations, jnp.zeros_like(equations.value), rows, jnp.asarray([0.0, 1.0])
    )
    length = jnp.sqrt(inner(cycle, tangent, tangent))
    tangent = Row(*(t / length for t in tangent))
    return Point(cycle, tangent, *tested(field, types, cycle, tangent, small))


def tested(
    field: Family, types: tuple[AbstractOfCycles, ...], cycle: Cycle, tangent: Row, small: Reduced
) -> tuple[Array, Array, Array, Array]:
    """The tests, and what is left of the variational equation."""
    system = small.system
    place = place_of(field, cycle, tangent, system.first, system.last, system.sign)
    tests = [t.test(place) for t in types]
    return jnp.stack(tests) if tests else jnp.zeros(0), place.first, place.last, place.sign


def place_of(
    field: Family, cycle: Cycle, tangent: Row, first: Array, last: Array, sign: Array
) -> CyclePlace:
    """What the tests look at."""
    flow = field(jnp.append(cycle.x[0, 0], cycle.parameter))
    return CyclePlace(first, last, sign, flow, tangent.parameter)


def extent(cycle: Cycle) -> Array:
    """How far the orbit reaches, scaled."""
    flat = cycle.x.reshape(-1, cycle.x.shape[-1])
    return (flat.max(0) - flat.min(0)).max()


def follow(
    field: Family, types: tuple[AbstractOfCycles, ...], start: Point, step: Array, limits: Limits,
    blocks: int,
) -> tuple[March, Taken]:  # fmt: skip
    """Steps along the branch until it ends, or `blocks` blocks are used up."""
    zero = jnp.zeros(())
    first = March(
        start, step, zero, jnp.zeros((), jnp.int32), jnp.ones((), bool),
        jnp.full((), _GOING, jnp.int32),
    )  # fmt: skip

    def attempt(now: March, _: Any) -> tuple[March, Taken]:
        return _attempt(field, types, start, limits, now)

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
    field: Family, types: tuple[AbstractOfCycles, ...], start: Point, limits: Limits, now: March
) -> tuple[March, Taken]:
    """One step: predict along the tangent, correct, and look at what has changed."""
    at = now.at
    guess = moved(at.cycle, at.tangent, now.step)
    cycle, fine = corrected(field, guess, row_of(at.cycle, at.tangent))
    cycle = jax.tree.map(lambda a, b: jnp.where(fine, a, b), cycle, at.cycle)
    new = point(field, types, cycle, at.tangent)
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
    outside = (cycle.parameter > limits.high) | (cycle.parameter < limits.low)
    back = Row(
        cycle.x - start.cycle.x, cycle.period - start.cycle.period,
        cycle.parameter - start.cycle.parameter,
    )  # fmt: skip
    near = jnp.sqrt(inner(cycle, back, back)) < now.step
    closed = near & (now.length > 2 * now.step)
    closed &= inner(cycle, new.tangent, start.tangent) > 0.9
    # the parameter of a homoclinic orbit is reached before its period is
    stands = (abs(new.tangent.parameter) < _STANDS) & (new.tangent.period > 0.5 * cycle.period)
    end = first_of(
        [finest & ~good & small, finest & ~good, good & small & (extent(cycle) < extent(at.cycle)),
         good & outside, good & ((cycle.period > limits.longest) | stands), good & closed],
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
    cycle, (along,) = remeshed(at.cycle, (at.tangent.x,))
    return at._replace(cycle=cycle, tangent=at.tangent._replace(x=along))


def zero_of(
    field: Family, types: tuple[AbstractOfCycles, ...], index: Array, taken: Taken
) -> tuple[Point, Array]:
    """The orbit within a step at which a test vanishes, and how far along it is.

    By secants that stay between the ends (the Illinois method), each place solved for on the branch.
    """
    begin, end = taken.begin, taken.end
    normal = row_of(begin.cycle, begin.tangent)

    def looked_at(share: Array) -> tuple[Point, Array]:
        s = share
        onto = jax.tree.map(
            lambda a, b, c, d: (
                a * (1 + 2 * s) * (1 - s) ** 2 + b * s**2 * (3 - 2 * s)
                + c * s * (1 - s) ** 2 * taken.step - d * s**2 * (1 - s) * taken.step
            ),
            _as_row(begin.cycle), _as_row(end.cycle), begin.tangent, end.tangent,
        )  # fmt: skip
        guess = _as_cycle(onto, begin.cycle)._replace(widths=begin.cycle.widths)
        cycle, fine = corrected(field, guess, normal)
        found = point(field, types, cycle, begin.tangent)
        return found, fine

    def body(now: Any) -> Any:
        (a, at_a), (b, at_b), _, _, k = now
        share = (a * at_b - b * at_a) / (at_b - at_a)
        found, fine = looked_at(share)
        value = found.tests[index]
        beyond = (value > 0) == (at_b > 0)
        a, at_a = jnp.where(beyond, a, b), jnp.where(beyond, at_a / 2, at_b)
        return (a, at_a), (share, value), found, fine, k + 1

    def go(now: Any) -> Array:
        (a, _), (b, value), _, fine, k = now
        size = jnp.maximum(abs(begin.tests[index]), abs(end.tests[index]))
        near = (abs(value) <= 1e-13 * size) | (abs(b - a) <= 1e-14)
        return (k < _SECANTS) & fine & ((k == 0) | ~near)

    zero, one = jnp.zeros(()), jnp.ones(())
    first = (
        (zero, begin.tests[index]), (one, end.tests[index]), begin, jnp.ones((), bool),
        jnp.zeros((), jnp.int32),
    )  # fmt: skip
    _, (share, value), found, fine, _ = lax.while_loop(go, body, first)
    size = jnp.maximum(abs(begin.tests[index]), abs(end.tests[index]))
    fine &= abs(value) <= 1e-6 * size
    return found, jnp.where(fine, taken.length + share * taken.step, jnp.nan)


def across(field_of: Any, given: Any, at: Point) -> Cycle:
    """A point of the branch with its derivatives by the arrays of the circuit, across the branch."""

    @jax.custom_jvp
    def root(given: Any, at: Point) -> Cycle:
        return at.cycle

    @root.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Cycle, Cycle]:
        given, at = primals
        change = _response(field_of, given, tangents[0], at)
        return root(given, at), _as_cycle(change, at.cycle)

    return root(given, at)


def at_zero(
    field_of: Any, given: Any, at: Point, types: tuple[AbstractOfCycles, ...], index: Array
) -> Cycle:
    r"""A point at which a test vanishes, with its derivatives by the arrays of the circuit.

    Along the branch it moves by $-\dot g / g_s$, g being the test.
    """

    @jax.custom_jvp
    def root(given: Any, at: Point, index: Array) -> Cycle:
        return at.cycle

    @root.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Cycle, Cycle]:
        given, at, index = primals

        def test(given: Any, cycle: Cycle) -> Array:
            return point(field_of(given), types, cycle, at.tangent).tests[index]

        change = _response(field_of, given, tangents[0], at)
        moving = _as_cycle(change, at.cycle)
        _, slope = jax.jvp(
            lambda c: test(given, c), (at.cycle,), (_as_cycle(at.tangent, at.cycle),)
        )
        _, rate = jax.jvp(test, (given, at.cycle), (tangents[0], moving))
        along = jax.tree.map(lambda t: -rate / slope * t, _as_cycle(at.tangent, at.cycle))
        return root(given, at, index), jax.tree.map(lambda a, b: a + b, moving, along)

    return root(given, at, index)


def _response(field_of: Any, given: Any, tangent: Any, at: Point) -> Row:
    """How the orbit changes with the arrays of the circuit, across the branch."""
    change = jax.jvp(lambda g: residual(field_of(g), at.cycle), (given,), (tangent,))[1]
    equations = linearized(field_of(given), at.cycle)
    rows = phase_row(at.cycle), row_of(at.cycle, at.tangent)
    return solved(equations, -change, rows, jnp.zeros(2))[0]


def _as_row(of: Cycle) -> Row:
    return Row(of.x, of.period, of.parameter)


def _as_cycle(change: Row, of: Cycle) -> Cycle:
    return Cycle(change.x, change.period, change.parameter, jnp.zeros_like(of.widths))
