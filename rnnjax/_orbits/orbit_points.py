"""An orbit on a branch: corrected onto it, with the direction of the branch and the tests there."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.collocation import (
    DEGREE,
    Cycle,
    Family,
    Row,
    linearized,
    meeting,
    phase_row,
    responses,
    slopes_at_gauss_points,
    solved,
    weights,
)
from rnnjax._types import Array, Scalar
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, CyclePlace

_CORRECTED = 1e-9  # scaled length of the last correction; the error is about its square
_NEWTON = 8  # corrections of a step at most


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


def inner(cycle: Cycle, a: Row, b: Row) -> Array:
    """The product of two changes: a mean over the orbit, the period by its logarithm, the parameter."""
    states = (weights(cycle)[..., None] * a.x * b.x).sum()
    return states + a.period * b.period / cycle.period**2 + (a.parameter * b.parameter).sum()


def row_of(cycle: Cycle, a: Row) -> Row:
    """The function `inner(cycle, a, .)`."""
    return Row(weights(cycle)[..., None] * a.x, a.period / cycle.period**2, a.parameter)


def of_length_one(cycle: Cycle, change: Row) -> Row:
    """A direction of length 1."""
    length = jnp.sqrt(inner(cycle, change, change))
    return Row(*(t / length for t in change))


def moved(cycle: Cycle, change: Row, share: Scalar = 1.0) -> Cycle:
    """A cycle and a multiple of a change."""
    return Cycle(
        cycle.x + share * change.x,
        cycle.period + share * change.period,
        cycle.parameter + share * change.parameter,
        cycle.widths,
    )


class _Search(NamedTuple):
    """Where Newton's method is: a cycle, what is known there, and how the search goes.

    Attributes:
        cycle: the orbit, or a guess at it.
        tangent, first, last, sign: of the branch there, see `Point`, where the search is done.
        size: of the last correction.
        fails: whether it came to nothing.
        looks: how many there were.
        done: whether all is known at an orbit.
    """

    cycle: Cycle
    tangent: Row
    first: Array
    last: Array
    sign: Array
    size: Array
    fails: Array
    looks: Array
    done: Array


def reached(
    field: Family, types: tuple[AbstractOfCycles, ...], guess: Cycle, normal: Row, along: Row,
    condition: Condition | None = None, border: Row | None = None,
) -> tuple[Point, Array]:  # fmt: skip
    """The orbit on the plane through `guess` across a row, and the branch there; whether found.

    By Newton's method: the last of its looks, which corrects nothing, finds the direction of the branch
    and what the tests look at, so that there is one elimination in the program.

    Args:
        field: the vector field of state and parameters.
        types: whose tests are looked at.
        guess: where to begin.
        normal: what does not change from there.
        along: the direction of the branch, about.
        condition: what else is to hold.
        border: see `Condition`.
    """
    holds = None if condition is None else lambda c: condition.value(c, border)

    def body(now: _Search) -> _Search:
        cycle = now.cycle
        done = now.size <= _CORRECTED
        equations = linearized(field, cycle)
        found = responses(equations, -equations.value)
        more, off = _condition_row(holds, cycle)
        change = meeting(found, [phase_row(guess), normal, *more], -off)
        size = jnp.sqrt(inner(cycle, change, change))
        fails = ~jnp.isfinite(size) | (
            (now.looks > 0) & (size > 0.7 * now.size) & (size > _CORRECTED)
        )
        fails = ~done & (fails | ~(cycle.period + change.period > 0))
        after = moved(cycle, change)
        rows = [phase_row(cycle), row_of(cycle, along), *more]
        tangent = meeting(found, rows, jnp.zeros(len(rows)).at[1].set(1.0), 0.0)
        system = found.small.system
        return _Search(
            jax.tree.map(lambda a, b: jnp.where(fails | done, a, b), cycle, after),
            of_length_one(cycle, tangent),
            system.first, system.last, system.sign,
            jnp.where(done, now.size, size), fails, now.looks + 1, done,
        )  # fmt: skip

    def go(now: _Search) -> Array:
        return ~now.fails & ~now.done & ((now.size <= _CORRECTED) | (now.looks < _NEWTON))

    n, no = guess.x.shape[-1], jnp.zeros((), bool)
    nothing = jnp.zeros((n, n)), jnp.zeros((n, n)), jnp.zeros(())
    start = _Search(guess, along, *nothing, jnp.full((), jnp.inf), no, jnp.zeros((), jnp.int32), no)
    found = lax.while_loop(go, body, start)
    cycle = found.cycle
    tangent = jax.tree.map(lambda a, b: jnp.where(found.done, a, b), found.tangent, along)
    tests = _tested(field, types, cycle, tangent, (found.first, found.last, found.sign))
    after = None if condition is None else condition.border(cycle, border)
    return Point(cycle, tangent, *tests, after), found.done


def _condition_row(holds: Callable[[Cycle], Array] | None, cycle: Cycle) -> tuple[list[Row], Array]:
    """The row of a condition, if there is one, and how far all rows are from holding at the cycle."""
    off = jnp.zeros(2)
    if holds is None:
        return [], off
    value, slope = jax.value_and_grad(holds)(cycle)
    return [Row(slope.x, slope.period, slope.parameter)], jnp.append(off, value)


def point(field: Family, types: tuple[AbstractOfCycles, ...], cycle: Cycle, along: Row) -> Point:
    """The direction in which the branch goes on from an orbit, and the tests there."""
    equations = linearized(field, cycle)
    rows = phase_row(cycle), row_of(cycle, along)
    tangent, small = solved(
        equations, jnp.zeros_like(equations.value), rows, jnp.asarray([0.0, 1.0])
    )
    tangent = of_length_one(cycle, tangent)
    system = small.system
    left = system.first, system.last, system.sign
    return Point(cycle, tangent, *_tested(field, types, cycle, tangent, left))


def _tested(
    field: Family, types: tuple[AbstractOfCycles, ...], cycle: Cycle, tangent: Row,
    left: tuple[Array, Array, Array],
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """The tests, and what is left of the variational equation."""
    place = place_of(field, cycle, tangent, *left)
    return jnp.stack([t.test(place) for t in types]), *left


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


def slowest(cycle: Cycle) -> Array:
    """The smallest speed along the orbit, of the largest."""
    speed = abs(slopes_at_gauss_points(cycle.x) / cycle.widths[:, None, None]).max(-1)
    return speed.min() / speed.max()
