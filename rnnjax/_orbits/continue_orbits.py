"""How do oscillations change? `continue_orbits`."""

from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.arguments import checked_share, checked_target, each_of
from rnnjax._continuation.both_ways import Both, both_ways
from rnnjax._continuation.points import Bifurcation
from rnnjax._continuation.problem import Bounds
from rnnjax._gate import instant
from rnnjax._machine.verb import verb
from rnnjax._numerics.collocation import Cycle, Family, ends_of, interpolated
from rnnjax._numerics.implicit import refuse, without_derivatives
from rnnjax._orbits.crossings import Crossings, one_way
from rnnjax._orbits.derivatives import FieldOf, across, at_zero
from rnnjax._orbits.find_orbit import find_orbit
from rnnjax._orbits.orbit import Orbit, rows_of
from rnnjax._orbits.orbit_branch import OrbitBifurcation, OrbitBranch, SpecialOrbits
from rnnjax._orbits.orbit_points import Point, place_of
from rnnjax._orbits.orbit_problem import OrbitProblem, steps_of
from rnnjax._orbits.search import sorted_multipliers
from rnnjax._orbits.start import Begin, Settings, sizes_of, started
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._results import BranchEnd
from rnnjax._simulation.trajectory import Trajectory
from rnnjax._types import Array, Arrays, Expected, InputLike, Limits, Scalar, State, Unravel, Where
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, Nothing
from rnnjax.bifurcations._cycle_form import orbiting
from rnnjax.bifurcations._known import type_of
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart
from rnnjax.circuits._flat import flat_field

Live: TypeAlias = tuple[Arrays, Array]  # what may be differentiated, and the scale

_SAMPLES = 8  # places in each interval at which extremes are looked for


@verb
def continue_orbits(
    circuit: AbstractCircuit[Any] | Driven,
    where: Where[Any],
    start: Expected[Bifurcation | OrbitBifurcation | Orbit | Trajectory],
    bounds: Expected[Limits],
    *,
    input: Expected[InputLike | None] = None,
    bifurcations: tuple[AbstractOfCycles, ...] | None = None,
    both_directions: bool = True,
    max_step: float = 0.1,
    max_points: Expected[int] = 400,
    max_bifurcations: Expected[int] = 8,
    intervals: Expected[int] = 32,
    longest_period: Scalar | None = None,
    time: float = 0.0,
    throw: bool = True,
) -> OrbitBranch:
    r"""Follow a periodic orbit as one parameter changes, through folds, with its bifurcations.

    Orbits are piecewise polynomials that satisfy $\dot x = f(x, p)$ at Gauss points, on a mesh that
    follows them (`find_orbit`); the branch is followed by its arclength, in float64. Where a test
    of one of the types changes sign between two orbits, the place is solved for on the branch.

    Orbits and bifurcations have their derivatives with respect to the circuit and the input, but for
    the coefficients of normal forms (NaN); those of the orbits of the branch are taken across it.

    Args:
        circuit: the circuit, or `Driven(circuit, input)` to follow a number of the input.
        where: names the one number that is followed.
        start: a Hopf point of a `Branch` along the same number; a period doubling of an
            `OrbitBranch` along it, to follow the orbit of twice the period, or another bifurcation
            of it, to follow the orbits through it; or an `Orbit`, or a `Trajectory` that comes back
            near its end, of the circuit as it is.
        bounds: the lowest and the highest value of the parameter.
        input: the input, held at its value at `time`.
        bifurcations: the types to look for; `FoldOfCycles()`, `PeriodDoubling()`,
            `NeimarkSacker()` and, for circuits with switching functions, `Grazing()` unless given.
        both_directions: whether to follow it to both sides of an orbit. From a Hopf point and from
            a period doubling there is one.
        max_step: the longest step, scaled: the bounds are 1 apart, the state counts by its mean
            square over the orbit in units of its size, and the period by its logarithm.
        max_points: the most attempted steps to each side.
        max_bifurcations: how many of each type there is room for.
        intervals: of the mesh; rounded up to a power of two. A doubled orbit has at least twice
            those of the orbit that it comes from.
        longest_period: in ms, where a branch ends; a thousand of the first period unless given.
        time: in ms.
        throw: raise if a side did not reach an end of its own. Where a JAX transformation is under
            way nothing can be raised: see `OrbitBranch.ends`.

    Raises:
        ConvergenceError: for a start that leads to no orbit, or a branch that did not reach an end
            of its own, if `throw` is true. The branch is its attribute `branch`.
        ValueError: for bounds, a number or a start that do not fit.

    References:
        Doedel, Keller and Kernevez (1991), Int. J. Bifurcation and Chaos 1:745-772; Kuznetsov
        (2004), Elements of Applied Bifurcation Theory, chapter 10.
    """
    count = max(1 << (counted(intervals, "intervals") - 1).bit_length(), 4)
    if isinstance(start, Trajectory):
        own, drive = apart(circuit, input)
        start = find_orbit(own, start, drive, intervals=count, time=time)
    value = None
    if isinstance(start, Bifurcation | OrbitBifurcation):
        value = start.parameter
    doubled = isinstance(start, OrbitBifurcation) and type_of(start.label).doubles
    if isinstance(start, OrbitBifurcation):
        start = start.orbit
        count = max(count, (2 if doubled else 1) * np.shape(start.widths)[-1])
    target, named, rest, value = checked_target(circuit, where, bounds, input, None, value)
    max_step = checked_share(max_step)
    begin = _begin(start, rest, value, count)
    longest = 1000 * begin.period if longest_period is None else longest_period
    n = sum(np.size(x) for x in jax.tree.leaves(rest))
    settings = Settings(
        types=_types(bifurcations, n, _has_kinks(apart(circuit, input)[0])),
        named=named,
        attempts=counted(max_points, "max_points"),
        slots=counted(max_bifurcations, "max_bifurcations"),
        directions=(1.0, -1.0)
        if both_directions and isinstance(start, Orbit) and not doubled
        else (1.0,),
        intervals=count,
        doubled=doubled,
    )
    limits = (*(float(b) for b in bounds), float(max_step), longest)
    result = in_float64(_followed, target, rest, begin, limits, instant(time), settings)
    labels = tuple((t.label, t.kinds) for t in settings.types if t.label)
    return OrbitBranch(*result, name=named.name, types=labels).told(throw)


def _begin(start: Expected[Bifurcation | Orbit], rest: State, value: Scalar, count: int) -> Begin:
    """Where a branch begins, of the start that was given, or a ValueError."""
    if isinstance(start, Bifurcation):
        if not type_of(start.label).begins_orbits:
            raise ValueError(f"start: expected a Hopf point (H) or an orbit, got a {start.label}")
        nodes = rows_of(rest, jax.tree.map(lambda x: jnp.asarray(x)[None], start.state))
        return Begin(nodes, np.full(count, 1 / count), 1000 / start.frequency, value)
    if not isinstance(start, Orbit):
        raise ValueError(
            "start: expected a Hopf point of a branch, an Orbit or a Trajectory, got "
            f"{type(start).__name__}"
        )
    return Begin(rows_of(rest, start.states), start.widths, start.period, value)


def _has_kinks(circuit: AbstractCircuit[Any]) -> bool:
    """Whether a circuit says where its vector field has kinks."""
    return circuit.switching_functions(circuit.rest(), circuit.no_input()) is not None


def _types(
    given: tuple[AbstractOfCycles, ...] | None, variables: int, kinks: bool
) -> tuple[AbstractOfCycles, ...]:
    """The bifurcations that are looked for."""
    from rnnjax import bifurcations

    if given is None:
        given = (
            bifurcations.FoldOfCycles(), bifurcations.PeriodDoubling(),
            bifurcations.NeimarkSacker(), *((bifurcations.Grazing(),) if kinks else ()),
        )  # fmt: skip
    given = each_of(given, "PeriodDoubling()")
    for each in given:
        if not isinstance(each, AbstractOfCycles):
            raise TypeError(
                f"bifurcations: expected objects such as PeriodDoubling(), got {each!r}: see "
                "rnnjax.bifurcations, and for those of equilibria: continue_equilibria"
            )
    lost = [type(each).__name__ for each in given if each.of_kinks and not kinks]
    if lost:
        raise ValueError(
            f"bifurcations: {lost[0]}() is for circuits that say what their `switching_functions` are, and "
            "this one does not: write them, or leave it out"
        )
    return tuple(each for each in given if each.variables <= variables) or (Nothing(),)


@eqx.filter_jit
def _followed(
    target: Driven,
    rest: State,
    begin: Begin,
    limits: Arrays,
    time: Scalar,
    settings: Settings,
) -> Any:
    _, natural = flat_field(target.circuit, target.input, rest, time, (settings.named,))
    begin, limits = lax.stop_gradient(jax.tree.map(jnp.asarray, (begin, limits)))
    low, high, largest, longest = limits
    size = jnp.maximum(abs(begin.nodes).max(0), 1.0)
    if begin.nodes.shape[0] == 1:
        size = sizes_of(natural.frozen, begin, size)
    scale = jnp.append(size, high - low)

    def field_of(given: Live) -> Family:
        arrays, scale = given
        return natural.of(arrays).in_units(scale)

    live = natural.arrays, scale
    field = field_of(lax.stop_gradient(live))
    first, step, good = started(field, begin, scale, settings)
    bounds = Bounds(low[None] / scale[-1], high[None] / scale[-1])
    problem = OrbitProblem(field, settings.types, bounds, steps_of(step, largest), longest)
    begun = jnp.where(good, BranchEnd.GOING, BranchEnd.NO_START)
    both = both_ways(
        lambda sign: one_way(problem, first, sign, settings.attempts, settings.slots),
        first, begun, settings.directions, lax.map,
    )  # fmt: skip
    cycles = lax.map(lambda p: across(field_of, live, p), both.points)
    states, widths, parameter, period, minima, maxima = _read(
        cycles, both.kept, scale, natural.unravel
    )
    values = sorted_multipliers(both.points.first, both.points.last)
    real, imaginary = (refuse(both.kept[:, None], x) for x in (values.real, values.imag))
    found = _special(problem, field_of, live, both, natural.unravel)
    return (
        states, widths, parameter, period, real, imaginary, minima, maxima,
        refuse(both.kept, both.at), both.kept, found, both.ends,
    )  # fmt: skip


def _special(
    problem: OrbitProblem, field_of: FieldOf, live: Live, both: Both, unravel: Unravel
) -> SpecialOrbits:
    """The bifurcations in their order, with their derivatives."""
    crossings: Crossings = both.found
    at = jnp.where(both.counts, crossings.at, jnp.nan)
    index = jnp.where(jnp.isfinite(at), crossings.which, -1)
    order = jnp.argsort(jnp.where(index >= 0, at, jnp.inf), stable=True)
    points, index, at = jax.tree.map(lambda a: a[order], (crossings.points, index, at))
    there, some = index >= 0, jnp.maximum(index, 0)
    scale = live[1]
    located = lax.map(lambda a: at_zero(field_of, live, a[0], problem.types, a[1]), (points, some))
    kinds, coefficients = lax.map(lambda a: _form(problem, scale, *a), (points, some))
    states, widths, parameter, period, _, _ = _read(located, there, scale, unravel)
    values = sorted_multipliers(points.first, points.last)
    return SpecialOrbits(
        states=states,
        widths=widths,
        parameter=parameter,
        period=period,
        multipliers_real=refuse(there[:, None], values.real),
        multipliers_imaginary=refuse(there[:, None], values.imag),
        type_index=index,
        kind_index=kinds,
        coefficient=without_derivatives(live, refuse(there, coefficients)),
        at=refuse(there, at),
        found=there,
        unsolved=both.lost,
    )


def _form(problem: OrbitProblem, scale: Array, at: Point, index: Array) -> tuple[Array, Array]:
    """Which of its kinds a bifurcation is, and the coefficient of its normal form."""
    of = orbiting(problem.field, at.cycle, scale[:-1])
    place = place_of(problem.field, at.cycle, at.tangent, at.first, at.last, at.sign)
    forms = [lambda t=t: t.form(of, place, at.tangent) for t in problem.types]
    return lax.switch(index, forms)


def _read(cycles: Cycle, kept: Array, scale: Array, unravel: Unravel) -> Any:
    """States in the circuit's structure, meshes, parameters, periods and extremes."""
    count, _, _, n = cycles.x.shape
    x = refuse(kept[:, None, None, None], cycles.x * scale[:-1])
    inside = jnp.asarray(np.arange(_SAMPLES) / _SAMPLES)

    def sampled(x: Array, widths: Array) -> Array:
        ends = ends_of(widths)
        places = (ends[:-1, None] + widths[:, None] * inside).reshape(-1)
        return interpolated(x, ends, places)

    samples = jax.vmap(sampled)(x, cycles.widths)
    states = jax.vmap(jax.vmap(unravel))(x.reshape(count, -1, n))
    return (
        states,
        cycles.widths,
        refuse(kept, cycles.parameter * scale[-1]),
        refuse(kept, cycles.period),
        jax.vmap(unravel)(samples.min(1)),
        jax.vmap(unravel)(samples.max(1)),
    )
