"""What does it do on average, at most, how often? `measure`: without storing a trajectory."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._integrate import (
    Run,
    Solver,
    checked_solver,
    first_failure,
    integrate,
    positive,
    whole_steps,
)
from rnnjax._linalg import variable_names
from rnnjax._results import SimulationError, Status, describe_failure
from rnnjax._types import DTypeLike, Key, cast, is_traced, precision, to_host
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_noise, check_run, check_step, starting_state
from rnnjax.measures._base import AbstractMeasure
from rnnjax.noise._base import AbstractNoise


def measure(
    circuit: AbstractCircuit[Any],
    measures: Mapping[str, AbstractMeasure] | AbstractMeasure,
    duration: float,
    input: Any = None,
    *,
    step: float,
    transient: float = 0.0,
    start: Any = None,
    noise: AbstractNoise | None = None,
    key: Key | None = None,
    solver: Solver | None = None,
    dtype: DTypeLike | None = None,
    throw: bool = True,
) -> Any:
    """What `measures` make of a run, folded in while stepping: no trajectory is stored.

    The run starts at time 0 and takes fixed steps; the first `transient` ms of its `duration`
    are not measured. It can be differentiated, and is what `sweep` does at each point.

    Args:
        circuit: the circuit.
        measures: one measure, or several by name.
        duration: length of the run in ms, the transient included.
        input: as for `simulate`.
        step: the step in ms.
        transient: how much of the beginning is left out, in ms.
        start: the first state, or a function from the circuit to it; `circuit.rest()` unless
            given.
        noise: as for `simulate`.
        key: as for `simulate`.
        solver: `Tsit5()` unless given, `Euler()` under noise.
        dtype: as for `simulate`.
        throw: as for `simulate`; without it failed runs give NaN.

    Returns:
        The result of the one measure, or a dictionary of results.

    Raises:
        SimulationError: if the state became infinite and `throw` is true.
    """
    check_run(circuit, input, noise, key)
    traced = is_traced(circuit, input, start, noise, key)
    plan = MeasuredRun(measures, duration, input, step, transient, start, noise, solver)
    plan.check(circuit)
    with precision(None if traced else dtype) as found:
        values = cast(plan.values(circuit), found)
        results, run = _measured(cast(circuit, found), values, key, plan.settings())
        at, variable = 0.0, 0
        if not is_traced(run) and run.status != Status.OK:
            at, variable = first_failure(
                cast(circuit, found), values.input, run, solver=plan.solver, t0=0.0,
                step=values.step, noise=values.noise, key=key,
            )  # fmt: skip
    if is_traced(results):
        return results
    if throw and run.status != Status.OK:
        names = variable_names(starting_state(circuit, input, plan.first(circuit)))
        raise SimulationError(describe_failure(run.status, at, variable, names))
    return to_host(results)


class RunSettings(eqx.Module):
    """What is fixed when a measured run compiles."""

    solver: Solver
    steps: int
    transient: int


class RunValues(eqx.Module):
    """What may change from run to run without compiling again."""

    measures: Any
    input: Any
    start: Any
    noise: Any
    step: Any


class MeasuredRun:
    """The arguments of a measured run, checked and taken apart; `sweep` shares it."""

    def __init__(
        self,
        measures: Any,
        duration: float,
        input: Any,
        step: float,
        transient: float,
        start: Any,
        noise: AbstractNoise | None,
        solver: Solver | None,
    ):
        for m in jax.tree.leaves(measures, is_leaf=_is_measure):
            if not _is_measure(m):
                raise TypeError(
                    f"measures: expected measures such as Amplitude(), got {type(m).__name__}"
                )
        self.input, self.start, self.noise = input, start, noise
        self.solver = checked_solver(solver, noise, step, False)
        self.step = positive(step, "step")
        total = whole_steps(positive(duration, "duration"), self.step, "duration")
        self.transient = whole_steps(transient, self.step, "transient")
        self.steps = total - self.transient
        if self.steps < 1:
            raise ValueError(
                f"transient: expected less than the duration of {duration:g} ms, got "
                f"{transient:g} ms: nothing would be left to measure"
            )
        self.measures = jax.tree.map(
            lambda m: m.placed(transient, duration), measures, is_leaf=_is_measure
        )

    def check(self, circuit: Any) -> None:
        """Refuse what does not fit the circuit, on the host."""
        check_step(circuit, self.step)
        start = starting_state(circuit, self.input, self.first(circuit))
        check_noise(self.noise, start)

    def first(self, circuit: Any) -> Any:
        """The start that was given, for this circuit."""
        return _first(self.start, circuit)

    def settings(self) -> RunSettings:
        """What is fixed when the run compiles."""
        return RunSettings(self.solver, self.steps, self.transient)

    def values(self, circuit: Any) -> RunValues:
        """What may change without compiling again."""
        return RunValues(
            self.measures, as_input(circuit, self.input), self.start, self.noise,
            np.asarray(self.step),
        )  # fmt: skip


def run_measured(
    circuit: Any, values: RunValues, key: Key | None, settings: RunSettings
) -> tuple[Any, Run]:
    """The measures' results of one lane, and the run itself; pure and traceable."""
    start = _first(values.start, circuit)
    dtype = jnp.result_type(values.step)
    start = jax.tree.map(
        lambda x: jnp.asarray(x, dtype), circuit.rest() if start is None else start
    )
    measures, structure = jax.tree.flatten(values.measures, is_leaf=_is_measure)
    run = integrate(
        circuit, values.input, start, solver=settings.solver, t0=0.0, step=values.step,
        steps=settings.steps, transient=settings.transient, measures=measures,
        noise=values.noise, key=key,
    )  # fmt: skip
    well = run.status == Status.OK
    results = jax.tree.map(lambda x: jnp.where(well, x, jnp.nan), run.measured)
    return structure.unflatten(results), run


@eqx.filter_jit
def _measured(circuit: Any, values: RunValues, key: Any, settings: RunSettings) -> Any:
    return run_measured(circuit, values, key, settings)


def _first(start: Any, circuit: Any) -> Any:
    """The start, for this circuit where it is a function."""
    return start(circuit) if callable(start) else start


def _is_measure(x: Any) -> bool:
    return isinstance(x, AbstractMeasure)
