"""How do oscillations change? `continue_orbits`."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.arguments import checked_target
from rnnjax._continuation.both_ways import flat, in_order, needed
from rnnjax._continuation.points import Bifurcation
from rnnjax._numerics.collocation import Cycle, Family, Row, ends_of, interpolated
from rnnjax._numerics.implicit import refuse, without_derivatives
from rnnjax._orbits.derivatives import across, at_zero, zero_of
from rnnjax._orbits.find_orbit import find_orbit
from rnnjax._orbits.orbit import Orbit, rows_of
from rnnjax._orbits.orbit_branch import OrbitBifurcation, OrbitBranch, SpecialOrbits
from rnnjax._orbits.orbit_problem import (
    BLOCK,
    Limits,
    Point,
    Taken,
    follow,
    place_of,
)
from rnnjax._orbits.search import sorted_multipliers
from rnnjax._orbits.start import Begin, Settings, sizes_of, started
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._results import BranchEnd, ConvergenceError
from rnnjax._simulation.trajectory import Trajectory
from rnnjax._types import Array, is_traced
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, Nothing
from rnnjax.bifurcations._cycle_form import orbiting
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart
from rnnjax.circuits._flat import flat_field

_SAMPLES = 8  # places in each interval at which extremes are looked for


def continue_orbits(
    circuit: AbstractCircuit[Any] | Driven,
    where: Callable[[Any], Any],
    start: Any,
    bounds: Any,
    *,
    input: Any = None,
    bifurcations: tuple[AbstractOfCycles, ...] | None = None,
    both_directions: bool = True,
    max_step: Any = 0.1,
    max_points: Any = 400,
    max_bifurcations: Any = 8,
    intervals: Any = 32,
    longest_period: Any = None,
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
    doubled = isinstance(start, OrbitBifurcation) and start.label == "PD"
    if isinstance(start, OrbitBifurcation):
        start = start.orbit
        count = max(count, (2 if doubled else 1) * np.shape(start.widths)[-1])
    target, named, rest, value = checked_target(circuit, where, bounds, input, None, value)
    if not 0 < max_step <= 1:
        raise ValueError(f"max_step: expected a share of the bounds, in (0, 1], got {max_step}")
    begin = _begin(start, rest, value, count)
    longest = 1000 * begin.period if longest_period is None else longest_period
    n = sum(np.size(x) for x in jax.tree.leaves(rest))
    settings = Settings(
        types=_types(bifurcations, n, _has_kinks(apart(circuit, input)[0])),
        named=named,
        blocks=-(-counted(max_points, "max_points") // BLOCK),
        slots=min(counted(max_bifurcations, "max_bifurcations"), counted(max_points, "max_points")),
        directions=(1.0, -1.0)
        if both_directions and isinstance(start, Orbit) and not doubled
        else (1.0,),
        count=count,
        doubled=doubled,
    )
    limits = (*(float(b) for b in bounds), float(max_step), longest)
    result = in_float64(_followed, target, rest, begin, limits, np.float64(time), settings)
    labels = tuple((t.label, t.kinds) for t in settings.types if t.label)
    branch = OrbitBranch(*result, name=named.name, types=labels)
    if is_traced(result):
        return branch
    branch = branch.trimmed()
    bad = [end for end in branch.endings if not end.reached]
    if throw and bad:
        raise ConvergenceError(f"{branch.name}: {bad[0].message}", branch)
    return branch


def _begin(start: Any, rest: Any, value: Any, count: int) -> Begin:
    """Where a branch begins, of the start that was given, or a ValueError."""
    if isinstance(start, Bifurcation):
        if start.label != "H":
            raise ValueError(f"start: expected a Hopf point (H) or an orbit, got a {start.label}")
        nodes = rows_of(rest, jax.tree.map(lambda x: jnp.asarray(x)[None], start.state))
        return Begin(nodes, np.full(count, 1 / count), 1000 / start.frequency, value)
    if not isinstance(start, Orbit):
        raise ValueError(
            "start: expected a Hopf point of a branch, an Orbit or a Trajectory, got "
            f"{type(start).__name__}"
        )
    return Begin(rows_of(rest, start.states), start.widths, start.period, value)


def _has_kinks(circuit: Any) -> bool:
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
    target: Any, rest: Any, begin: Begin, limits: Any, time: Any, settings: Settings
) -> Any:
    _, natural = flat_field(target.circuit, target.input, rest, time, (settings.named,))
    begin, limits = lax.stop_gradient(jax.tree.map(jnp.asarray, (begin, limits)))
    low, high, largest, longest = limits
    size = jnp.maximum(abs(begin.nodes).max(0), 1.0)
    if begin.nodes.shape[0] == 1:
        size = sizes_of(natural.frozen, begin, size)
    scale = jnp.append(size, high - low)

    def field_of(given: Any) -> Family:
        arrays, scale = given
        return natural.of(arrays).in_units(scale)

    live = natural.arrays, scale
    field = field_of(lax.stop_gradient(live))
    first, step, good = started(field, begin, scale, settings)
    bounds = Limits(low / scale[-1], high / scale[-1], largest, longest)
    whole = lax.map(
        lambda sign: _one_way(field, first, sign * step, bounds, settings),
        jnp.asarray(settings.directions),
    )
    ends, points, at, kept, special, lost = whole
    ends = jnp.where(good, ends, BranchEnd.NO_START).astype(jnp.int32)
    once = needed(ends)[:, None]
    points, at, kept = in_order(first, points, at, kept & once, good)
    cycles = lax.map(lambda p: across(field_of, live, p), points)
    solved_, index, place = special
    solved_, index, place = jax.tree.map(flat, (solved_, index, jnp.where(once, place, jnp.nan)))
    index = jnp.where(jnp.isfinite(place) & good, index, -1)
    order = jnp.argsort(jnp.where(index >= 0, place, jnp.inf), stable=True)
    solved_, index, place = jax.tree.map(lambda a: a[order], (solved_, index, place))
    located = lax.map(
        lambda a: at_zero(field_of, live, a[0], settings.types, jnp.maximum(a[1], 0)),
        (solved_, index),
    )
    kinds, coefficients = lax.map(
        lambda a: _form(field, scale, settings, *a), (solved_, jnp.maximum(index, 0))
    )
    states, widths, parameter, period, minima, maxima = _read(cycles, kept, scale, natural.unravel)
    there = index >= 0
    values = sorted_multipliers(points.first, points.last)
    of_special = _read(located, there, scale, natural.unravel)
    special_values = sorted_multipliers(solved_.first, solved_.last)
    found = SpecialOrbits(
        states=of_special[0],
        widths=of_special[1],
        parameter=of_special[2],
        period=of_special[3],
        multipliers_real=refuse(there[:, None], special_values.real),
        multipliers_imaginary=refuse(there[:, None], special_values.imag),
        type_index=index,
        kind_index=kinds,
        coefficient=without_derivatives(
            eqx.filter(live, eqx.is_inexact_array), refuse(there, coefficients)
        ),
        at=refuse(there, place),
        found=there,
        unsolved=jnp.where(once[:, 0], lost, 0).sum(dtype=jnp.int32),
    )
    real, imaginary = (refuse(kept[:, None], x) for x in (values.real, values.imag))
    return (
        states, widths, parameter, period, real, imaginary, minima, maxima, refuse(kept, at), kept,
        found, ends,
    )  # fmt: skip


def _one_way(field: Family, first: Point, step: Array, bounds: Limits, settings: Settings) -> Any:
    """The branch to one side, and the zeros of the tests on it."""
    sign = jnp.sign(step)
    start = first._replace(
        tangent=Row(*(sign * t for t in first.tangent)),
        tests=_turned(first.tests, sign, settings),
    )
    now, record = follow(field, settings.types, start, abs(step), bounds, settings.blocks)
    changes = record.taken[:, None] & ((record.begin.tests > 0) != (record.end.tests > 0))
    chosen = jnp.argsort(~changes, axis=0, stable=True)[: settings.slots].T.reshape(-1)
    index = jnp.repeat(jnp.arange(len(settings.types), dtype=jnp.int32), settings.slots)
    lost = jnp.maximum(changes.sum(0, dtype=jnp.int32) - settings.slots, 0).sum(dtype=jnp.int32)
    steps = jax.tree.map(lambda a: a[chosen], record)._replace(taken=changes[chosen, index])
    points, place, unsolved = lax.map(lambda t: _zero(field, settings, *t), (index, steps))
    lost = lost + unsolved.sum(dtype=jnp.int32)
    length = sign * (record.length + record.step)
    special = points, index, sign * place
    return now.end, record.end, length, record.taken, special, lost


def _turned(tests: Array, sign: Array, settings: Settings) -> Array:
    """The tests in the other direction: that of a fold changes its sign."""
    turns = jnp.asarray([t.turns for t in settings.types], bool)
    return jnp.where(turns, sign * tests, tests)


def _zero(
    field: Family, settings: Settings, index: Array, taken: Taken
) -> tuple[Point, Array, Array]:
    """A zero of a test within a step, how far along; NaN where it is none; whether it is unsolved."""

    def wanted() -> tuple[Point, Array]:
        return zero_of(field, settings.types, index, taken)

    def unwanted() -> tuple[Point, Array]:
        return taken.begin, jnp.full((), jnp.nan)

    found, place = lax.cond(taken.taken, wanted, unwanted)

    def genuine_at(p: Point) -> Array:
        there = place_of(field, p.cycle, p.tangent, p.first, p.last, p.sign)
        return jnp.stack([t.genuine(there) for t in settings.types])[index]

    genuine = genuine_at(found)
    unsolved = taken.taken & ~jnp.isfinite(place)
    unsolved &= genuine_at(taken.begin) | genuine_at(taken.end)
    return found, jnp.where(genuine, place, jnp.nan), unsolved


def _form(
    field: Family, scale: Array, settings: Settings, at: Point, index: Array
) -> tuple[Array, Array]:
    """Which of its kinds a bifurcation is, and the coefficient of its normal form."""
    of = orbiting(field, at.cycle, scale[:-1])
    place = place_of(field, at.cycle, at.tangent, at.first, at.last, at.sign)
    forms = [lambda t=t: t.form(of, place, at.tangent) for t in settings.types]
    return lax.switch(index, forms)


def _read(cycles: Cycle, kept: Array, scale: Array, unravel: Any) -> Any:
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
