"""Where a test vanishes on a branch of periodic orbits, and the derivatives of orbits on it."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.collocation import Cycle, Family, Row, linearized, phase_row, residual, solved
from rnnjax._orbits.orbit_problem import Point, Taken, corrected, point, row_of
from rnnjax._types import Array
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles

_SECANTS = 40  # steps to a zero of a test at most


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
