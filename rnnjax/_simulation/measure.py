"""What does it do on average, at most, how often? `measure`: without storing a trajectory."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Int

from rnnjax._engine.adaptive_steps import AdaptiveOutcome
from rnnjax._engine.first_failure import first_failure
from rnnjax._engine.fixed_steps import FixedOutcome
from rnnjax._machine.kept import program
from rnnjax._machine.verb import verb
from rnnjax._numerics.moments import LaneMoment
from rnnjax._numerics.trees import fastest_variable, variable_names
from rnnjax._precision import cast, check_range, precision, to_host
from rnnjax._results import SimulationError, Status, describe_failure
from rnnjax._simulation.measured_run import (
    MeasuredRun,
    RunSettings,
    RunValues,
    fixed_run,
    run_measured,
)
from rnnjax._types import Array, Arrays, DTypeLike, InputLike, Key, StartLike, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import check_run, starting_state
from rnnjax.measures._base import AbstractMeasure
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Solver


@verb
def measure(
    circuit: AbstractCircuit[Any],
    measures: Mapping[str, AbstractMeasure] | AbstractMeasure,
    duration: float,
    input: InputLike | None = None,
    *,
    step: float | None = None,
    transient: float = 0.0,
    start: StartLike | None = None,
    noise: AbstractNoise | None = None,
    key: Key | None = None,
    solver: Solver | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-6,
    dtype: DTypeLike | None = None,
    throw: bool = True,
) -> Any:
    """What `measures` make of a run, folded in while stepping: no trajectory is stored.

    The run starts at time 0; the first `transient` ms of its `duration` are not measured. It is
    what `sweep` does at each point. With `step` it can be differentiated both ways; without, where
    the solver chooses its steps, forward only.

    Args:
        circuit: the circuit.
        measures: one measure, or several by name.
        duration: length of the run in ms, the transient included.
        input: as for `simulate`.
        step: a fixed step in ms; without one the solver chooses its steps, and measures see
            between them by its dense output.
        transient: how much of the beginning is left out, in ms.
        start: the first state, or a function from the circuit to it; `circuit.rest()` unless
            given.
        noise: as for `simulate`.
        key: as for `simulate`.
        solver: `Tsit5()` unless given, `Euler()` under noise.
        rtol: relative tolerance of adaptive steps.
        atol: absolute tolerance of adaptive steps, in the state's unit.
        dtype: as for `simulate`.
        throw: as for `simulate`; without it failed runs give NaN.

    Returns:
        The result of the one measure, or a dictionary of results.

    Raises:
        SimulationError: if the state became infinite and `throw` is true.
    """
    check_run(circuit, input, noise, key)
    traced = is_traced(circuit, input, start, noise, key)
    plan = MeasuredRun(measures, duration, input, step, transient, start, noise, solver, rtol, atol)
    with precision(None if traced else dtype) as found:
        check_range((circuit, input, start, noise), found, ("circuit", "input", "start", "noise"))
        plan.check(circuit)
        plan.check_dtype(found)
        values = cast(plan.values(circuit), found)
        given = cast(circuit, found)
        results, outcome, fastest = _measured(given, values, key, plan.settings())
        at, variable = 0.0, 0
        if not is_traced(outcome) and outcome.status != Status.OK:
            if isinstance(outcome, AdaptiveOutcome) and fastest is not None:
                at, variable = float(outcome.stopped.on_host()), int(fastest)
            elif isinstance(outcome, FixedOutcome):
                run = fixed_run(given, values, key, plan.settings())
                at, variable = first_failure(run, outcome)
    if is_traced(results):
        return results
    if throw and outcome.status != Status.OK:
        names = variable_names(starting_state(circuit, input, plan.first(circuit)))
        raise SimulationError(describe_failure(outcome.status, at, variable, names))
    return to_host(results)


@program
def _measured(
    circuit: AbstractCircuit[Any], values: RunValues, key: Key | None, settings: RunSettings
) -> tuple[Arrays, FixedOutcome | AdaptiveOutcome, Int[Array, ""] | None]:
    """The results, how the run went, and the fastest variable at the end of one that chose its steps."""
    results, outcome = run_measured(circuit, values, key, settings)
    if not isinstance(outcome, AdaptiveOutcome):
        return results, outcome, None
    stopped = LaneMoment(values.window.start, outcome.stopped)
    slope = circuit(outcome.final, values.input.at(stopped))
    return results, outcome, fastest_variable(slope, outcome.final)
