"""A run of which measures are kept."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from rnnjax._engine.adaptive_steps import AdaptiveLane, AdaptiveOutcome
from rnnjax._engine.driven import DrivenBy, driven_by
from rnnjax._engine.fixed_steps import FixedOutcome, FixedRun, integrate
from rnnjax._engine.long_run import LongRun
from rnnjax._engine.step_control import Tolerances, Window, window
from rnnjax._gate import check_made, one_number
from rnnjax._numerics.digits import Digits, digits
from rnnjax._numerics.implicit import refuse
from rnnjax._precision import default_dtype
from rnnjax._results import Status
from rnnjax._types import Arrays, InputLike, Key, StartLike, State
from rnnjax.circuits._base import AbstractSystem
from rnnjax.circuits._checks import (
    as_default,
    as_input,
    check_noise,
    check_step,
    first_state,
    starting_state,
)
from rnnjax.measures._base import AbstractMeasure, check_measure
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Solver
from rnnjax.solvers._checks import check_tolerances, checked_solver, positive, whole_steps
from rnnjax.solvers._embedded import embedded_pair

Measures = PyTree[AbstractMeasure]  # one, or several by name


class RunSettings(eqx.Module):
    """What is fixed when a measured run compiles; no number of steps where the solver chooses."""

    solver: Solver
    steps: int | None
    transient: int


class RunValues(eqx.Module):
    """What may change from run to run without compiling again."""

    measures: Measures
    input: DrivenBy
    start: StartLike | None
    noise: AbstractNoise | None
    step: Digits
    window: Window
    tolerances: Tolerances


class MeasuredRun:
    """The arguments of a measured run, checked and taken apart; `sweep` shares it."""

    def __init__(
        self,
        measures: Measures,
        duration: float,
        input: InputLike | None,
        step: float | None,
        transient: float,
        start: StartLike | None,
        noise: AbstractNoise | None,
        solver: Solver | None,
        rtol: float = 1e-6,
        atol: float = 1e-6,
    ):
        given = jax.tree.leaves(measures, is_leaf=_is_measure)
        if not given:
            raise TypeError(f"measures: expected at least one, e.g. Amplitude(), got {measures!r}")
        for m in given:
            if not _is_measure(check_made(m, "measures")):
                raise TypeError(
                    f"measures: expected measures such as Amplitude(), got {type(m).__name__}"
                )
        self.input, self.start, self.noise = input, start, noise
        self.solver = checked_solver(solver, noise, step, False)
        self.rtol, self.atol = rtol, atol
        self.duration = duration = positive(duration, "duration", "ms")
        self.begin = transient = one_number(transient, "transient", "ms")
        if not 0 <= self.begin < self.duration:
            raise ValueError(
                f"transient: expected less than the duration of {duration:g} ms, got "
                f"{transient:g} ms: nothing would be left to measure"
            )
        self.step, self.steps, self.transient = None, None, 0
        if step is None:
            self._check_adaptive(measures)
        else:
            self.step = positive(step, "step", "ms")
            self.transient = whole_steps(transient, self.step, "transient")
            self.steps = whole_steps(duration, self.step, "duration") - self.transient
            if self.steps < 1:
                raise ValueError(f"duration: expected at least one step, got {duration:g} ms")
        self.measures = jax.tree.map(self._fitted, measures, is_leaf=_is_measure)

    def _fitted(self, measure: AbstractMeasure) -> AbstractMeasure:
        """A measure for this window and this step."""
        placed = measure.placed(self.begin, self.duration)
        return placed if self.step is None else placed.stepped(self.step)

    def _check_adaptive(self, measures: Measures) -> None:
        """Refuse what needs fixed steps."""
        if self.noise is not None:
            raise ValueError("noise needs fixed steps here: give step= in ms")
        embedded_pair(self.solver)
        for m in jax.tree.leaves(measures, is_leaf=_is_measure):
            if type(m).follow is AbstractMeasure.follow:
                raise ValueError(
                    f"{type(m).__name__} is made for fixed steps: give step= in ms, or write its "
                    "`follow`"
                )

    def check(self, circuit: AbstractSystem[Any], input: InputLike | None = None) -> None:
        """Refuse what does not fit the circuit, or an input in place of its own, on the host."""
        check_step(circuit, self.step, self.input if input is None else input)
        start = starting_state(circuit, self.input, self.first(circuit))
        check_noise(self.noise, start)
        for each in _listed(self.measures):
            check_measure(each, as_default(start))

    def check_dtype(self, dtype: np.dtype) -> None:
        """Refuse tolerances that the dtype can't hold."""
        if self.step is None:
            check_tolerances(self.rtol, self.atol, dtype)

    def first(self, circuit: AbstractSystem[Any]) -> State | None:
        """The start that was given, for this circuit."""
        return first_state(self.start, circuit)

    def _start(self, circuit: AbstractSystem[Any]) -> StartLike | None:
        """The start in the structure of the state; a function of the circuit as it is."""
        return self.start if callable(self.start) else self.first(circuit)

    def settings(self) -> RunSettings:
        """What is fixed when the run compiles."""
        return RunSettings(self.solver, self.steps, self.transient)

    def values(self, circuit: AbstractSystem[Any]) -> RunValues:
        """What may change without compiling again."""
        number = np.asarray
        return RunValues(
            self.measures, driven_by(as_input(circuit, self.input)), self._start(circuit), self.noise,
            digits(number(1.0 if self.step is None else self.step), default_dtype()),
            window(number(0.0), number(self.begin), number(self.duration)),
            Tolerances(number(float(self.rtol)), number(float(self.atol))),
        )  # fmt: skip


def run_measured(
    circuit: AbstractSystem[Any], values: RunValues, key: Key | None, settings: RunSettings
) -> tuple[Arrays, FixedOutcome | AdaptiveOutcome]:
    """The measures' results of one lane, and how it went; pure and traceable."""
    start = starting_values(circuit, values)
    if settings.steps is None:
        outcome = adaptive_lane(circuit, values, settings).run(start)
    else:
        outcome = integrate(
            fixed_run(circuit, values, key, settings), start, settings.steps,
            transient=settings.transient, measures=_listed(values.measures),
        )  # fmt: skip
    return measured_results(values, outcome), outcome


def long_run(
    circuit: AbstractSystem[Any], values: RunValues, key: Key | None, settings: RunSettings
) -> LongRun:
    """The run of one lane with fixed steps, in parts."""
    assert settings.steps is not None
    return LongRun(
        fixed_run(circuit, values, key, settings), starting_values(circuit, values),
        settings.transient, settings.steps, _listed(values.measures),
    )  # fmt: skip


def starting_values(circuit: AbstractSystem[Any], values: RunValues) -> State:
    """The first state, in the dtype of the run."""
    start = first_state(values.start, circuit)
    dtype = jnp.result_type(values.step.value)
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), circuit.rest() if start is None else start)


def fixed_run(
    circuit: AbstractSystem[Any], values: RunValues, key: Key | None, settings: RunSettings
) -> FixedRun:
    """The run with fixed steps."""
    return FixedRun(
        circuit,
        values.input,
        settings.solver,
        t0=0.0,
        step=values.step,
        noise=values.noise,
        key=key,
    )


def adaptive_lane(
    circuit: AbstractSystem[Any], values: RunValues, settings: RunSettings
) -> AdaptiveLane:
    """The lane of a run whose solver chooses its steps."""
    window, tolerances = jax.tree.map(jnp.asarray, (values.window, values.tolerances))
    measures = _listed(values.measures)
    return AdaptiveLane(circuit, values.input, settings.solver, window, tolerances, measures)


def measured_results(values: RunValues, outcome: FixedOutcome | AdaptiveOutcome) -> Any:
    """What the measures gave, in their structure; NaN where the run failed."""
    structure = jax.tree.structure(values.measures, is_leaf=_is_measure)
    well = outcome.status == Status.OK
    return structure.unflatten(jax.tree.map(lambda x: refuse(well, x), outcome.measured))


def _listed(measures: Measures) -> list[AbstractMeasure]:
    return jax.tree.leaves(measures, is_leaf=_is_measure)


def _is_measure(x: object) -> bool:
    return isinstance(x, AbstractMeasure)
