"""The derivatives of periodic orbits by the arrays of the circuit."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Int

from rnnjax._numerics.collocation import (
    Cycle,
    Family,
    Row,
    linearized,
    phase_row,
    reduced,
    residual,
    solved,
)
from rnnjax._numerics.implicit import root_of
from rnnjax._orbits.orbit_points import Point, point, row_of
from rnnjax._types import Array, Arrays
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles

FieldOf: TypeAlias = Callable[[Arrays], Family]  # the vector field of given arrays


def attached(field_of: FieldOf, given: Arrays, cycle: Cycle) -> Cycle:
    r"""A solved cycle with its derivatives, the parameter held.

    $F(\theta, x, T) = 0$ gives $F_x\, dx + F_T\, dT = -F_\theta\, d\theta$, with
    $\int \langle dx, \dot x \rangle = 0$.
    """
    hold = Row(jnp.zeros_like(cycle.x), jnp.zeros(()), jnp.ones(()))
    return _moved_with(field_of, given, cycle, lambda c, hold: hold, hold)


def across(field_of: FieldOf, given: Arrays, at: Point) -> Cycle:
    """A point of a branch with its derivatives, across the branch."""
    return _moved_with(field_of, given, at.cycle, row_of, at.tangent)


def at_zero(
    field_of: FieldOf, given: Arrays, at: Point, types: tuple[AbstractOfCycles, ...],
    index: Int[Array, ""],
) -> Cycle:  # fmt: skip
    r"""A point at which a test vanishes, with its derivatives.

    Along the branch it moves by $-\dot g / g_s$, g being the test.
    """

    def test(given: Arrays, cycle: Cycle, constants: tuple[Row, Array]) -> Array:
        tangent, index = constants
        return point(field_of(given), types, cycle, tangent).tests[index]

    def equations(given: Arrays, cycle: Cycle, constants: tuple[Row, Array]) -> tuple[Array, Array]:
        return residual(field_of(given), cycle), test(given, cycle, constants)

    def change(
        _: Callable[..., tuple[Array, Array]], where: tuple[Arrays, Cycle, tuple[Row, Array]],
        right_side: tuple[Array, Array],
    ) -> Cycle:  # fmt: skip
        given, cycle, constants = where
        off, wanted = right_side
        tangent = _as_cycle(constants[0], cycle)
        rows = phase_row(cycle), row_of(cycle, constants[0])
        moving = _as_cycle(_response(field_of(given), cycle, rows, off), cycle)
        _, slope = jax.jvp(lambda c: test(given, c, constants), (cycle,), (tangent,))
        _, rate = jax.jvp(lambda c: test(given, c, constants), (cycle,), (moving,))
        return jax.tree.map(lambda a, t: a + (wanted - rate) / slope * t, moving, tangent)

    return root_of(equations, given, at.cycle, (at.tangent, index), linear_solve=change)


def ends_at(
    field_of: FieldOf, given: Arrays, cycle: Cycle, ends: tuple[Array, Array]
) -> tuple[Array, Array]:
    """What is left of the variational equation at a cycle, `Point.first` and `last`, with its derivatives."""

    def equations(
        given: tuple[Arrays, Cycle], ends: tuple[Array, Array], _: None
    ) -> tuple[Array, Array]:
        arrays, cycle = given
        system = reduced(linearized(field_of(arrays), cycle)).system
        return ends[0] - system.first, ends[1] - system.last

    def change(_: Callable[..., object], at: object, right_side: tuple[Array, Array]) -> Any:
        return right_side  # they are as they are computed

    return root_of(equations, (given, cycle), ends, linear_solve=change)


def _moved_with(
    field_of: FieldOf, given: Arrays, cycle: Cycle, row: Callable[[Cycle, Row], Row], along: Row
) -> Cycle:
    """A solved cycle with its derivatives, where one more row does not change."""

    def equations(given: Arrays, cycle: Cycle, along: Row) -> Array:
        return residual(field_of(given), cycle)

    def change(
        _: Callable[..., Array], where: tuple[Arrays, Cycle, Row], right_side: Array
    ) -> Cycle:
        given, cycle, along = where
        rows = phase_row(cycle), row(cycle, along)
        return _as_cycle(_response(field_of(given), cycle, rows, right_side), cycle)

    return root_of(equations, given, cycle, along, linear_solve=change)


def _response(field: Family, cycle: Cycle, rows: Sequence[Row], right_side: Array) -> Row:
    """The change of a cycle that changes its equations so much, and the rows not at all."""
    return solved(linearized(field, cycle), right_side, rows, jnp.zeros(len(rows)))[0]


def _as_cycle(change: Row, of: Cycle) -> Cycle:
    return Cycle(change.x, change.period, change.parameter, jnp.zeros_like(of.widths))
