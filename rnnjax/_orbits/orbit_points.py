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
    Reduced,
    Row,
    linearized,
    phase_row,
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


def moved(cycle: Cycle, change: Row, share: Scalar = 1.0) -> Cycle:
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

    def body(now: tuple[Cycle, Array, Array, Array]) -> Any:
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

    def go(now: tuple[Cycle, Array, Array, Array]) -> Array:
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
