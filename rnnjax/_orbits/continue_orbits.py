"""How do oscillations change? `continue_orbits`."""

from typing import Any

import jax
import numpy as np

from rnnjax._continuation.arguments import checked_share, checked_target, each_of
from rnnjax._continuation.points import Bifurcation, check_one_crosses
from rnnjax._gate import instant
from rnnjax._machine.attached import host_or_program
from rnnjax._machine.verb import verb
from rnnjax._orbits.crossings import FINER
from rnnjax._orbits.find_orbit import find_orbit
from rnnjax._orbits.follow_orbits import Given, at_once, attached, by_parts
from rnnjax._orbits.limits import with_limits
from rnnjax._orbits.orbit import Orbit, rows_of
from rnnjax._orbits.orbit_branch import OrbitBifurcation, OrbitBranch
from rnnjax._orbits.start import Begin, Settings
from rnnjax._parameter import counted
from rnnjax._simulation.trajectory import Trajectory
from rnnjax._types import (
    Expected,
    InputLike,
    Limits,
    Scalar,
    State,
    Where,
    is_traced,
    numpy_of,
)
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, Nothing
from rnnjax.bifurcations._known import type_of
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart


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
    of one of the types changes sign between two orbits, the place is solved for on the branch, on a finer mesh. A sign
    is sure where the test is larger than what it changes by with the mesh: on canards, along which the parameter hardly
    changes, it may not be for many steps. Then there is one zero between the last and the next sure sign if they
    differ. Where a JAX transformation is under way, places where no sign is sure are counted in `special.unsolved`.

    Orbits and bifurcations have their derivatives with respect to the circuit and the input, but for
    the coefficients of normal forms and the multipliers at bifurcations, where some meet (NaN); those of
    the orbits of the branch are taken across it.

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
        intervals: of the mesh; rounded up to a power of two. Bifurcations are solved for with twice as many, or
            four times where the sign of a test is not sure. A branch that begins at one of them has as many, a
            doubled one at least twice those of the branch that it comes from.
        longest_period: in ms, where a branch ends; a thousand of the first period unless given.
        time: in ms.
        throw: raise if a side did not reach an end of its own. Where a JAX transformation is under
            way nothing can be raised: see `OrbitBranch.ends`.

    Raises:
        ConvergenceError: for a start that leads to no orbit, or a branch that did not reach an end
            of its own, if `throw` is true. The branch is its attribute `branch`.
        ValueError: for bounds, a number or a start that do not fit, or a start that was found for other numbers of the
            circuit.

    References:
        Doedel, Keller and Kernevez (1991), Int. J. Bifurcation and Chaos 1:745-772; Kuznetsov
        (2004), Elements of Applied Bifurcation Theory, chapter 10.
    """
    count = max(1 << (counted(intervals, "intervals") - 1).bit_length(), 4)
    if isinstance(start, Trajectory):
        own, drive = apart(circuit, input)
        start = find_orbit(own, start, drive, intervals=count, time=time)
    value, at_bifurcation, doubled = None, False, False
    if isinstance(start, Bifurcation | OrbitBifurcation):
        value = start.parameter
    if isinstance(start, OrbitBifurcation):
        at_bifurcation, doubled = True, type_of(start.label).doubles
        start = start.orbit
        # at a fold there may be no orbit at this value on any other mesh; a doubled one begins beside it
        width = np.shape(start.widths)[-1]
        count = max(count, 2 * width // FINER if doubled else width)
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
        at_bifurcation=at_bifurcation,
    )
    numbers = (*(float(b) for b in bounds), float(max_step), longest)
    limits = tuple(x if is_traced(x) else np.asarray(x, np.float64) for x in numbers)
    given = Given(target, rest, begin, limits, instant(time))
    result = host_or_program(by_parts, attached, at_once, given, settings)
    labels = tuple((t.label, t.kinds) for t in settings.types if t.label)
    branch = OrbitBranch(*result, name=named.name, types=labels).told(throw)
    return (
        branch
        if is_traced(branch)
        else with_limits(branch, target, named, rest, given.time, bounds)
    )


def _begin(start: Expected[Bifurcation | Orbit], rest: State, value: Scalar, count: int) -> Begin:
    """Where a branch begins, of the start that was given, or a ValueError."""
    if isinstance(start, Bifurcation):
        if not type_of(start.label).begins_orbits:
            raise ValueError(f"start: expected a Hopf point (H) or an orbit, got a {start.label}")
        check_one_crosses(start, "an orbit (`find_orbit`)")
        nodes = rows_of(rest, jax.tree.map(lambda x: numpy_of(x).asarray(x)[None], start.state))
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
    see = "see rnnjax.bifurcations, and for those of equilibria: continue_equilibria"
    given = each_of(given, AbstractOfCycles, "PeriodDoubling()", see)
    lost = [type(each).__name__ for each in given if each.of_kinks and not kinks]
    if lost:
        raise ValueError(
            f"bifurcations: {lost[0]}() is for circuits that say what their `switching_functions` are, and "
            "this one does not: write them, or leave it out"
        )
    return tuple(each for each in given if each.variables <= variables) or (Nothing(),)
