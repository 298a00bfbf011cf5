"""A branch of orbits: in one program under a transformation, else part by part on the host."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.both_ways import Both, Way, both_ways, put_in_order
from rnnjax._continuation.problem import Bounds, Taken
from rnnjax._machine.kept import program
from rnnjax._machine.parts import ROWS, compiled_part, in_rows
from rnnjax._numerics.collocation import Cycle, Family, split
from rnnjax._numerics.dense import in_loops
from rnnjax._numerics.implicit import without_derivatives
from rnnjax._numerics.slots import Slots, slots_of
from rnnjax._orbits.crossings import (
    FINER,
    FINEST,
    Crossings,
    Within,
    changes_in,
    marched,
    one_way,
    resolved,
    way_of,
    zero_within,
)
from rnnjax._orbits.derivatives import FieldOf, across, at_zero, ends_at
from rnnjax._orbits.orbit import check_fits
from rnnjax._orbits.orbit_branch import SpecialOrbits
from rnnjax._orbits.orbit_points import Point, place_of
from rnnjax._orbits.orbit_problem import OrbitProblem, steps_of
from rnnjax._orbits.reading import (
    Multipliers,
    multipliers_of,
    multipliers_part,
    reach_of,
    reach_part,
)
from rnnjax._orbits.start import Begin, Settings, sizes_of, started
from rnnjax._results import BranchEnd
from rnnjax._types import (
    AnyArray,
    Array,
    Arrays,
    Scalar,
    State,
    numpy_of,
)
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles
from rnnjax.bifurcations._cycle_form import orbiting
from rnnjax.circuits._base import Driven
from rnnjax.circuits._flat import FlatField, flat_field, states_of

Live: TypeAlias = tuple[Arrays, Array]  # what may be differentiated, and the scale


class Given(NamedTuple):
    """What a branch begins with: the limits are those of the parameter, of steps and of the period."""

    target: Driven
    rest: State
    begin: Begin
    limits: tuple[Scalar, ...]
    time: Scalar


class _Begun(NamedTuple):
    """The sizes of state and parameter, the first orbit, the first step, whether it is one, the start's misfit."""

    scale: AnyArray
    first: Point
    step: AnyArray
    good: AnyArray
    off: AnyArray


class _Zeros(NamedTuple):
    """Bifurcations in their order, without derivatives.

    Attributes:
        points: the orbits.
        index: which type each is, -1 where there is none.
        at: how far along the branch.
        kinds, coefficients: see `SpecialOrbits`.
    """

    points: Point
    index: AnyArray
    at: AnyArray
    kinds: AnyArray
    coefficients: AnyArray


class _Found(NamedTuple):
    """A branch of orbits without derivatives."""

    scale: AnyArray
    both: Both
    zeros: _Zeros


@program
def at_once(given: Given, settings: Settings) -> Any:
    """In one program; what an `OrbitBranch` holds, with its derivatives."""
    still = lax.stop_gradient(jax.tree.map(jnp.asarray, (given.begin, given.limits)))
    given = given._replace(begin=still[0], limits=still[1])
    begun = _begun(given, settings)
    problem = _problem(given, begun, settings)
    both = both_ways(
        lambda sign: one_way(problem, begun.first, sign, settings.attempts, settings.slots),
        begun.first, _end(begun), settings.directions, lax.map,
    )  # fmt: skip
    points, index, at = _in_order(both)
    forms = [lambda p, t=t: _form(problem, begun.scale, t, p) for t in problem.types]
    kinds, coefficients = lax.map(
        lambda a: lax.switch(a[1], forms, a[0]), (points, jnp.maximum(index, 0))
    )
    zeros = _Zeros(points, index, at, kinds, coefficients)
    return attached(given, _Found(begun.scale, both, zeros), settings)


def by_parts(given: Given, settings: Settings) -> tuple[_Found, Any]:
    """On the host, each part compiled when it is needed; what is found, and what it is told as."""
    new = _begun_part.is_new(given, settings)
    if new:
        _ahead(given, settings)
    begun = _begun_part(given, settings)
    check_fits("start", begun.off, "find it again, or follow the branch that it is on again")
    if not begun.good:
        settings = settings._replace(attempts=1)
    marches = [
        _marched_part(given, begun, np.asarray(sign), settings) for sign in settings.directions
    ]
    if new:
        _zeros_ahead(given, begun, [record for _, record in marches], settings)
    ways, sure = _ways(given, begun, marches, settings, FINER)
    if not sure:
        ways, _ = _ways(given, begun, marches, settings, FINEST)
    both = put_in_order(ways, begun.first, _end(begun))
    points, index, at = _in_order(both)
    kinds, coefficients = np.zeros(index.size, np.int32), np.zeros(index.size)
    for k in np.flatnonzero(index >= 0):
        one: Point = jax.tree.map(lambda x, k=k: x[k], points)
        kinds[k], coefficients[k] = _form_part(given, begun, settings, int(index[k]), one)
    found = _Found(begun.scale, both, _Zeros(points, index, at, kinds, coefficients))
    known = both.kept, index >= 0
    read = [
        in_rows(lambda each: multipliers_part(*each), (p.first, p.last), kept)
        for p, kept in zip((both.points, points), known, strict=True)
    ]
    x = both.points.cycle.x
    reach = in_rows(lambda each: reach_part(begun.scale, *each), (x,), both.kept)
    slots = slots_of(both.kept, ()), slots_of(index >= 0, ())
    return found, _told(given, found, slots, (both.points.cycle, points.cycle), reach, *read)


def _ahead(given: Given, settings: Settings) -> None:
    """Trace what comes next while what comes first is compiled, with numbers that do not matter."""
    begun = _begun_part.ahead(given, settings)
    _marched_part.ahead(given, begun, np.ones(()), settings)
    first = begun.first
    *left, x = (np.stack([x] * ROWS) for x in (first.first, first.last, first.cycle.x))
    multipliers_part.ahead(*left)
    reach_part.ahead(begun.scale, x)


def _zeros_ahead(given: Given, begun: _Begun, records: Sequence[Taken], settings: Settings) -> None:
    """Begin to compile what looks at the bifurcations in these records."""
    occurs = np.any([changes_in(record).any(0) for record in records], axis=0)
    if occurs.any():
        step: Taken = jax.tree.map(lambda x: x[0], records[0])
        within = _zero_part.ahead(given, begun, np.int32(0), step, settings, FINER)
        for index in np.flatnonzero(occurs):
            _form_part.ahead(given, begun, settings, int(index), within.point)


def _ways(
    given: Given, begun: _Begun, marches: Sequence[Any], settings: Settings, parts: int
) -> Any:
    """Each side of the branch with its zeros on a mesh so much finer, stacked; whether all signs were sure."""
    ways, sure = [], True
    for sign, march in zip(settings.directions, marches, strict=True):
        way, known = _one_way(given, begun, np.asarray(sign), march, settings, parts)
        ways, sure = [*ways, way], sure and known
    return jax.tree.map(lambda *x: np.stack(x), *ways), sure


def _one_way(
    given: Given,
    begun: _Begun,
    sign: np.ndarray,
    march: tuple[AnyArray, Taken],
    settings: Settings,
    parts: int,
) -> tuple[Way, bool]:
    """The branch to one side, and whether all signs of tests were sure."""
    end, record = march
    changes = changes_in(record)
    slots = min(settings.slots, record.taken.size)
    cycle, along = split(begun.first.cycle, parts, begun.first.tangent.x)
    tangent = begun.first.tangent._replace(x=along)
    nothing = begun.first._replace(cycle=cycle, tangent=tangent), np.asarray(np.nan)
    found, lost, all_sure = [], 0, True
    for index in range(len(settings.types)):

        @functools.cache
        def look(k: int, index: int = index) -> Within:
            step: Taken = jax.tree.map(lambda x: x[k], record)
            return _zero_part(given, begun, np.int32(index), step, settings, parts)

        zeros, missed, sure = resolved(record, changes[:, index], look)
        all_sure &= sure
        lost += missed + max(len(zeros) - slots, 0)
        found += [(w.point, w.at) for w in zeros[:slots]]
        found += [nothing] * (slots - len(zeros))
    points, at = jax.tree.map(lambda *x: np.stack(x), *found)
    which = np.repeat(np.arange(len(settings.types), dtype=np.int32), slots)
    crossings = Crossings(points, which, at)
    return way_of(end, record, sign, crossings, np.asarray(lost, np.int32)), all_sure


def _natural(given: Given, settings: Settings) -> FlatField:
    """The vector field of state and parameter in their own units."""
    circuit, input = given.target.circuit, given.target.input
    return flat_field(circuit, input, given.rest, given.time, (settings.named,))[1]


def _live(given: Given, scale: Array, settings: Settings) -> tuple[FieldOf, Live]:
    """The vector field of given arrays and scale, and those."""
    natural = _natural(given, settings)

    def field_of(live: Live) -> Family:
        arrays, scale = live
        return natural.of(arrays).in_units(scale)

    return field_of, (natural.arrays, scale)


def _begun(given: Given, settings: Settings) -> _Begun:
    """Where it begins."""
    begin, (low, high, _, _) = given.begin, given.limits
    size = jnp.maximum(abs(begin.nodes).max(0), 1.0)
    if begin.nodes.shape[0] == 1:
        size = sizes_of(_natural(given, settings).frozen, begin, size)
    scale = lax.stop_gradient(jnp.append(size, high - low))
    field_of, live = _live(given, scale, settings)
    return _Begun(scale, *started(field_of(lax.stop_gradient(live)), begin, scale, settings))


def _end(begun: _Begun) -> Any:
    """A `BranchEnd`: that it goes on, or that there is no start."""
    xp = numpy_of(begun)
    return xp.where(begun.good, BranchEnd.GOING, BranchEnd.NO_START)


def _problem(given: Given, begun: _Begun, settings: Settings) -> OrbitProblem:
    """What is followed."""
    low, high, largest, longest = given.limits
    scale = begun.scale
    field_of, live = _live(given, scale, settings)
    bounds = Bounds((low / scale[-1])[None], (high / scale[-1])[None])
    steps = steps_of(begun.step, jnp.asarray(largest))
    field = field_of(lax.stop_gradient(live))
    return OrbitProblem(field, settings.types, bounds, steps, jnp.asarray(longest))


@compiled_part
def _begun_part(given: Given, settings: Settings) -> _Begun:
    with in_loops():
        return _begun(given, settings)


@functools.partial(compiled_part, runs_long=True)
def _marched_part(
    given: Given, begun: _Begun, sign: Array, settings: Settings
) -> tuple[Array, Taken]:
    with in_loops():
        return marched(_problem(given, begun, settings), begun.first, sign, settings.attempts)


@functools.partial(compiled_part, runs_long=True)
def _zero_part(
    given: Given, begun: _Begun, index: Array, step: Taken, settings: Settings, parts: int
) -> Within:
    with in_loops():
        return zero_within(_problem(given, begun, settings), index, step, parts)


@compiled_part
def _form_part(
    given: Given, begun: _Begun, settings: Settings, index: int, at: Point
) -> tuple[Array, Array]:
    with in_loops():
        problem = _problem(given, begun, settings)
        return _form(problem, begun.scale, problem.types[index], at)


def _form(
    problem: OrbitProblem, scale: Array, type_: AbstractOfCycles, at: Point
) -> tuple[Array, Array]:
    """Which of its kinds a bifurcation is, and the coefficient of its normal form."""
    of = orbiting(problem.field, at.cycle, scale[:-1])
    place = place_of(problem.field, at.cycle, at.tangent, at.first, at.last, at.sign)
    return type_.form(of, place, at.tangent)


def _in_order(both: Both) -> tuple[Point, Any, Any]:
    """The bifurcations in their order: orbits, types, how far along."""
    crossings: Crossings = both.found
    xp = numpy_of(both)
    at = xp.where(both.counts, crossings.at, np.nan)
    index = xp.where(xp.isfinite(at), crossings.which, -1)
    order = xp.argsort(xp.where(index >= 0, at, np.inf), stable=True)
    return jax.tree.map(lambda a: a[order], (crossings.points, index, at))


def attached(given: Given, found: _Found, settings: Settings) -> Any:
    """What was found with its derivatives."""
    both, zeros = found.both, found.zeros
    field_of, live = _live(given, found.scale, settings)
    kept, there = slots_of(both.kept, live), slots_of(zeros.index >= 0, live)
    begun, at_zeros, index = kept.filled(both.points), *there.filled((zeros.points, zeros.index))
    points = lax.map(lambda p: across(field_of, kept.given, p), begun)
    located = lax.map(
        lambda a: at_zero(field_of, there.given, a[0], settings.types, a[1]),
        (at_zeros, jnp.maximum(index, 0)),
    )
    ends = lax.map(lambda a: ends_at(field_of, kept.given, *a), (points, (begun.first, begun.last)))
    # where two multipliers meet, as at a fold of cycles, they have none
    at_ends, coefficients = without_derivatives(
        live, (multipliers_of(at_zeros.first, at_zeros.last), zeros.coefficients)
    )
    found = found._replace(zeros=zeros._replace(coefficients=coefficients))
    reach = reach_of(found.scale, points.x)
    cycles = points, located
    return _told(given, found, (kept, there), cycles, reach, multipliers_of(*ends), at_ends)


def _told(
    given: Given, found: _Found, slots: tuple[Slots, Slots], cycles: tuple[Cycle, Cycle],
    reach: tuple[AnyArray, AnyArray], of_points: Multipliers, of_zeros: Multipliers,
) -> Any:  # fmt: skip
    """What an `OrbitBranch` holds."""
    both, zeros, rest = found.both, found.zeros, given.rest
    (kept, there), (points, located) = slots, cycles
    states, widths, parameter, period = _orbits(rest, found.scale, points, kept)
    real, imaginary, low, high = _written(kept, (*of_points, *reach))
    states_there, widths_there, parameter_there, period_there = _orbits(
        rest, found.scale, located, there
    )
    real_there, imaginary_there = _written(there, of_zeros)
    special = SpecialOrbits(
        states=states_there,
        widths=widths_there,
        parameter=parameter_there,
        period=period_there,
        multipliers_real=real_there,
        multipliers_imaginary=imaginary_there,
        type_index=zeros.index,
        kind_index=zeros.kinds,
        coefficient=there.written(zeros.coefficients),
        at=there.written(zeros.at),
        found=there.there,
        unsolved=both.lost,
    )
    minima, maxima = states_of(rest, low), states_of(rest, high)
    return (
        states, widths, parameter, period, real, imaginary, minima, maxima,
        kept.written(both.at), both.kept, special, both.ends,
    )  # fmt: skip


def _orbits(rest: State, scale: AnyArray, cycles: Cycle, kept: Slots) -> tuple[Any, ...]:
    """States in the circuit's structure, meshes, parameters and periods."""
    count, _, _, n = cycles.x.shape
    x = kept.written(cycles.x * scale[:-1])
    return (
        states_of(rest, x.reshape(count, -1, n)),
        cycles.widths,
        kept.written(cycles.parameter * scale[-1]),
        kept.written(cycles.period),
    )


def _written(kept: Slots, read: tuple[AnyArray, ...]) -> Any:
    return tuple(kept.written(x) for x in read)
