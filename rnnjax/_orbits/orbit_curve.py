"""Bifurcations of periodic orbits in the plane of two parameters."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.both_ways import Way, both_ways
from rnnjax._continuation.line import extent_of
from rnnjax._continuation.march import follow
from rnnjax._continuation.problem import Bounds
from rnnjax._machine.attached import tell_of_digits
from rnnjax._machine.parts import compiled
from rnnjax._numerics.collocation import (
    DEGREE,
    Cycle,
    Family,
    Row,
    linearized,
    phase_row,
    reduced,
    solved,
)
from rnnjax._numerics.implicit import refuse, without_derivatives
from rnnjax._orbits.orbit import rows_of
from rnnjax._orbits.orbit_branch import AbstractOrbits, OrbitBifurcation
from rnnjax._orbits.orbit_points import (
    Condition,
    Point,
    of_length_one,
    place_of,
    reached,
    row_of,
)
from rnnjax._orbits.orbit_problem import OrbitProblem, steps_of
from rnnjax._orbits.search import sorted_multipliers
from rnnjax._precision import in_float64
from rnnjax._results import BranchEnd
from rnnjax._types import Array, Arrays, Bool, Float, Int, Limits, NDArray, Scalar, State
from rnnjax._where import Named, names_apart
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, Nothing
from rnnjax.bifurcations._cycle_form import orbiting
from rnnjax.circuits._base import Driven
from rnnjax.circuits._flat import flat_field

_FIRST = 1e-2  # the first step, scaled


class OrbitCurve(AbstractOrbits):
    """Bifurcations of periodic orbits as two parameters change, in the order they were followed in.

    Attributes:
        states, widths, period, multipliers_real, multipliers_imaginary: see `OrbitBranch`.
        parameters: both values at each of them, `(point, 2)`.
        coefficient: of the normal form; where it changes its sign, a doubling or a torus turns from
            supercritical to subcritical.
        at: how far along the curve from its start, scaled.
        found: `(point,)`, the points of the curve first.
        ends: a `BranchEnd` for each direction.
        names: of the two parameters.
        label: LPC, PD or NS.
    """

    states: State
    widths: Float[NDArray, "*batch point interval"]
    parameters: Float[NDArray, "*batch point 2"]
    period: Float[NDArray, "*batch point"]
    multipliers_real: Float[NDArray, "*batch point n"]
    multipliers_imaginary: Float[NDArray, "*batch point n"]
    coefficient: Float[NDArray, "*batch point"]
    at: Float[NDArray, "*batch point"]
    found: Bool[NDArray, "*batch point"]
    ends: Int[NDArray, "*batch direction"]
    names: tuple[str, str] = eqx.field(static=True)
    label: str = eqx.field(static=True)

    rows = (
        "states", "widths", "parameters", "period", "multipliers_real", "multipliers_imaginary",
        "coefficient", "at", "found",
    )  # fmt: skip

    @property
    def _along(self) -> str:
        return f"{self.label} in {', '.join(self.names)}"

    def _extent(self) -> str:
        return f" {self.label}, {extent_of(self.names, self.parameters)}"


class _Settings(NamedTuple):
    type_: AbstractOfCycles
    named: tuple[Named, Named]
    attempts: int
    directions: tuple[float, ...]


def curve_of_cycles(
    type_: AbstractOfCycles, target: Driven, named: tuple[Named, Named], values: tuple[Scalar, Scalar], rest: State,
    start: OrbitBifurcation, bounds: tuple[Limits, Limits], max_step: float, max_points: int, both: bool, time: Scalar,
) -> OrbitCurve:  # fmt: skip
    """The curve of a bifurcation of orbits; see `continue_bifurcation`."""
    settings = _Settings(type_, named, max_points, (1.0, -1.0) if both else (1.0,))
    limits = np.asarray([*np.ravel(bounds), max_step], np.float64)
    orbit = start.orbit
    tell_of_digits((target, orbit))
    result = in_float64(
        _curve, target, rest, rows_of(rest, orbit.states), orbit.widths, orbit.period, values,
        limits, time, settings,
    )  # fmt: skip
    one, two = names_apart(named)
    return OrbitCurve(*result, names=(one, two), label=type_.label)


@functools.partial(compiled, runs_long=True)
def _curve(
    target: Driven, rest: State, nodes: Arrays, widths: Arrays, period: Arrays, values: Arrays,
    limits: Arrays, time: Scalar, settings: _Settings,
) -> Any:  # fmt: skip
    given = target, values
    target, nodes, widths, period, values, limits, time = lax.stop_gradient(
        jax.tree.map(
            lambda a: jnp.asarray(a) if eqx.is_array(a) else a,
            (target, nodes, widths, period, jnp.stack(values), limits, time),
        )
    )
    low, high = limits[0:4:2], limits[1:4:2]
    size = jnp.maximum(abs(nodes).max(0), 1e-3)
    scale = jnp.concatenate([size, high - low])
    x, inside = flat_field(target.circuit, target.input, rest, time, settings.named)
    field = inside.in_units(scale)
    begun = Cycle((nodes / size).reshape(-1, DEGREE, x.size), period, values / (high - low), widths)
    condition = condition_of(field, settings.type_)
    border = _first_border(field, begun)
    zero = jnp.zeros(())
    upward = Row(jnp.zeros_like(begun.x), zero, jnp.asarray([0.0, 1.0]))
    first, good = reached(field, (Nothing(),), begun, upward, upward, condition, border)
    cycle = jax.tree.map(lambda a, b: jnp.where(good, a, b), first.cycle, begun)
    first = first._replace(cycle=cycle)
    bounds = Bounds(low / (high - low), high / (high - low))
    steps = steps_of(jnp.asarray(_FIRST), limits[4])
    problem = OrbitProblem(field, (Nothing(),), bounds, steps, 1e3 * period, condition)

    def one_way(sign: Array) -> Way:
        begin = first._replace(tangent=Row(*(sign * t for t in first.tangent)))
        now, record = follow(problem, begin, -(-settings.attempts // problem.block))
        length = sign * (record.length + record.step)
        none = jnp.zeros((), jnp.int32)
        return Way(now.end, record.seen.end, length, record.taken, None, none)

    begun = jnp.where(good, BranchEnd.GOING, BranchEnd.NO_START)
    both = both_ways(one_way, first, begun, settings.directions, lax.map)
    points, at, kept = both.points, both.at, both.kept
    coefficient = lax.map(lambda p: _form(field, size, settings.type_, p), points)
    multipliers = sorted_multipliers(points.first, points.last)
    rows = points.cycle.x.reshape(at.size, -1, x.size) * size
    found = (
        jax.vmap(jax.vmap(inside.unravel))(refuse(kept[:, None, None], rows)),
        points.cycle.widths,
        refuse(kept[:, None], points.cycle.parameter * (high - low)),
        refuse(kept, points.cycle.period),
        refuse(kept[:, None], multipliers.real),
        refuse(kept[:, None], multipliers.imag),
        refuse(kept, coefficient),
        refuse(kept, at),
    )
    return *without_derivatives(given, found), kept, both.ends


def condition_of(field: Family, type_: AbstractOfCycles) -> Condition:
    r"""The test of a type as what holds along a curve.

    That of a fold, what the parameter changes along the branch in the first one, is seen against a
    border, the direction that the branch had: with $R_x \delta x + R_T \delta T + R_p \delta p = 0$ and
    one more row equal to 1 it is $\delta p$, which is smooth and zero where the equations without p are singular.
    """
    folds = type_.turns

    def seen(cycle: Cycle, border: Row) -> tuple[Family, Cycle, Row, Any]:
        first, single = _in_the_first(field, cycle)
        equations = linearized(first, single)
        if not folds:
            still = Row(jnp.zeros_like(cycle.x), jnp.zeros(()), jnp.zeros(()))
            return first, single, still, reduced(equations)
        rows, wanted = (phase_row(single), row_of(single, border)), jnp.asarray([0.0, 1.0])
        return first, single, *solved(equations, jnp.zeros_like(equations.value), rows, wanted)

    def value(cycle: Cycle, border: Row) -> Array:
        first, single, tangent, small = seen(cycle, border)
        system = small.system
        place = place_of(first, single, tangent, system.first, system.last, system.sign)
        return type_.test(place)

    def following(cycle: Cycle, border: Row) -> Row:
        _, single, tangent, _ = seen(cycle, border)
        if not folds:
            return border
        return of_length_one(single, tangent)

    return Condition(value, following)


def _in_the_first(field: Family, cycle: Cycle) -> tuple[Family, Cycle]:
    """The field and the cycle with the second parameter held."""
    held = cycle.parameter[1]
    return lambda u: field(jnp.append(u, held)), cycle._replace(parameter=cycle.parameter[0])


def _first_border(field: Family, cycle: Cycle) -> Row:
    """The direction of the branch in the first parameter, found against a generic one."""
    first, single = _in_the_first(field, cycle)
    equations = linearized(first, single)
    generic = jnp.cos(1.7 * jnp.arange(cycle.x.size, dtype=cycle.x.dtype)).reshape(cycle.x.shape)
    against = row_of(single, Row(generic, jnp.zeros(()), jnp.ones(())))
    rows, wanted = (phase_row(single), against), jnp.asarray([0.0, 1.0])
    tangent, _ = solved(equations, jnp.zeros_like(equations.value), rows, wanted)
    return of_length_one(single, tangent)


def _form(field: Family, size: Array, type_: AbstractOfCycles, at: Point) -> Array:
    """The coefficient of the normal form."""
    first, single = _in_the_first(field, at.cycle)
    of = orbiting(first, single, size)
    assert at.border is not None
    place = place_of(first, single, at.border, at.first, at.last, at.sign)
    return type_.form(of, place, at.border)[1]
