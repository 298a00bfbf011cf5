"""Passes of a network through the trials of a task, forced or not, as a map for the engine."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._engine.fixed_steps import FixedRun, integrate
from rnnjax._machine.devices import spread
from rnnjax._machine.plan import Plan
from rnnjax._numerics.memory import AbstractMemory, StoreAll
from rnnjax._numerics.trees import flatten
from rnnjax._simulation.fixed_run import devices_for
from rnnjax.credit._base import Passed
from rnnjax.forcing._base import AbstractForcing, Moment
from rnnjax.solvers._base import Iteration, noisy_step_function, step_function
from rnnjax.tasks._base import Trial


class Row(NamedTuple):
    """What one step of a trial is given; None for what it is not."""

    inputs: Any
    targets: Any
    mask: Any
    acts: Any = None
    joined: Any = None
    nudge: Any = None
    signal: Any = None


class _Carried(NamedTuple):
    """What goes from one step to the next, and what is kept of it; None for what is not needed."""

    state: Any
    outputs: Any
    error: Any
    activity: Any
    overlap: Any
    correction: Any


class _Kept(NamedTuple):
    """What is kept of each step."""

    outputs: Any
    activity: Any
    overlap: Any = None
    correction: Any = None


def _kept(carried: _Carried) -> _Kept:
    return _Kept(carried.outputs, carried.activity, carried.overlap, carried.correction)


def _state(carried: _Carried) -> Any:
    return carried.state


class _Reading(eqx.Module):
    """What the state after a step says, where no step needs to know it."""

    network: Any
    counts_activity: bool = eqx.field(static=True)

    def __call__(self, carried: _Carried) -> _Kept:
        """The outputs, and the mean square of the state where it is asked for."""
        activity = None
        if self.counts_activity:
            activity = jnp.mean(jnp.square(flatten(carried.state)[0]))
        return _Kept(self.network.outputs(carried.state), activity)


class Step(eqx.Module):
    """One step of a network on a task, as a map of what is carried."""

    network: Any
    tools: Any
    forcing: AbstractForcing
    noise: Any
    step: Any
    solver: Any = eqx.field(static=True)
    reads: bool = eqx.field(static=True, default=True)
    counts_activity: bool = eqx.field(static=True, default=False)
    watched: bool = eqx.field(static=True, default=False)

    def advanced(self, state: Any, inputs: Any, draws: Any = None) -> Any:
        """The state one step later, with the inputs held."""

        def field(t: Any, state: Any) -> Any:
            return self.network(state, inputs)

        t = jnp.zeros_like(self.step)
        if self.noise is None:
            return step_function(self.solver)(field, t, state, self.step)
        dw = flatten(state)[1](jnp.sqrt(self.step) * draws)
        advance = noisy_step_function(self.solver, self.noise.additive)
        return advance(field, lambda _, s: self.noise(s), t, state, self.step, dw)

    def __call__(self, carried: _Carried, given: Any) -> _Carried:
        """The step, the readout, and the forcing."""
        row, draws = given
        state, error_before = carried.state, carried.error
        if row.joined is not None:
            state, error_before = jax.tree.map(
                lambda x: jnp.where(row.joined > 0, x, jax.lax.stop_gradient(x)),
                (state, error_before),
            )
        state = self.advanced(state, row.inputs, draws)
        if row.nudge is not None:
            vector, unravel = flatten(state)
            state = unravel(vector + row.nudge)
        if not self.reads:
            return _Carried(state, None, None, None, None, None)
        vector = flatten(state)[0]
        outputs, error, forced = self.network.outputs(state), None, state
        if self.forcing.acts_on_state:
            error = row.mask * (row.targets - outputs)
            asked = jnp.min(row.mask)
            acts = jnp.ones_like(asked) if row.acts is None else row.acts
            moment = Moment(state, error, error_before, row.targets, row.mask, asked, acts)
            forced = self.forcing(self.tools, moment)
        correction = None
        if self.watched:
            moved, size = jnp.linalg.norm(flatten(forced)[0] - vector), jnp.linalg.norm(vector)
            away = size > 1e-6  # at rest every move is large
            correction = jnp.where(away, moved / jnp.where(away, size, 1.0), 0.0)
        return _Carried(
            state=forced,
            outputs=outputs,
            error=error if self.forcing.looks_back else None,
            activity=jnp.mean(jnp.square(flatten(forced)[0])) if self.counts_activity else None,
            overlap=None if row.signal is None else jnp.sum(row.signal * vector),
            correction=correction,
        )


class Pass(NamedTuple):
    """Passes through the same trials.

    Attributes:
        objective: what asks for them.
        trials: lanes in front.
        keys: one per trial, for noise.
        tools: of the forcing.
        shape: lanes, steps, variables.
    """

    objective: Any
    trials: Trial
    keys: Any
    tools: Any
    shape: tuple[int, int, int]

    def __call__(
        self, network: Any, *, seen: Any = None, memory: AbstractMemory | None = None,
        cut: int | None = None, nudges: Any = None, signals: Any = None,
    ) -> Passed:  # fmt: skip
        """The losses of all trials."""
        rows = rows_of(self.objective, self.trials, cut, nudges, signals)
        kept = self.steps(network, network if seen is None else seen, rows, memory)
        losses = jax.vmap(self.objective.loss)(kept.outputs, self.trials.targets, self.trials.mask)
        totals = losses
        if kept.activity is not None:
            cost = jnp.asarray(self.objective.activity, losses.dtype)
            totals = losses + cost * jnp.mean(kept.activity, 1)
        overlaps = jnp.zeros_like(losses) if kept.overlap is None else jnp.sum(kept.overlap, 1)
        return Passed(losses, totals, overlaps)

    def states(self, network: Any) -> Any:
        """The state after each step, lanes in front."""
        rows = rows_of(self.objective, self.trials, None, None, None)
        return self.steps(network, network, rows, None, observe=_state)

    def steps(
        self, network: Any, seen: Any, rows: Row, memory: AbstractMemory | None,
        watched: bool = False, observe: Any = None,
    ) -> Any:  # fmt: skip
        """What is kept of each step, `_Kept` or what `observe` takes of it, lanes in front."""
        forced = self.objective.forcing.acts_on_state
        reads = forced or rows.signal is not None  # else the outputs are worked out after the loop
        step = step_of(self.objective, seen, self.tools, reads, watched)
        start = jax.tree.map(jnp.asarray, network.rest())
        zero = jnp.zeros((), self.trials.inputs.dtype)
        silence = jnp.zeros(self.trials.targets.shape[-1], zero.dtype)
        carried = _Carried(start, None, None, None, None, None)
        if reads:
            carried = _Carried(
                start, silence, silence if self.objective.forcing.looks_back else None,
                zero if step.counts_activity else None, None if rows.signal is None else zero,
                zero if watched else None,
            )  # fmt: skip
        lanes, steps, variables = self.shape
        carried = jax.tree.map(lambda x: jnp.broadcast_to(x, (lanes, *x.shape)), carried)
        noisy = self.objective.noise is not None
        if observe is None:
            observe = _kept if reads else _Reading(seen, step.counts_activity)
        shared, fixed = eqx.partition((step, observe), eqx.is_array)

        def share(own: Any, shared: Any) -> Any:
            carried, rows, keys = own
            step, observe = eqx.combine(shared, fixed)
            run = FixedRun(step, lambda t: None, Iteration(), t0=0.0, step=1.0, key=keys)
            return integrate(
                run, carried, steps, save_every=1, observe=observe, rows=rows,
                normals=variables if noisy else 0,
                memory=StoreAll() if memory is None else memory, lanes=True,
            ).saved  # fmt: skip

        own = carried, rows, self.keys if noisy else None
        return spread(share, Plan(None, devices_of(network, lanes)))(own, shared)


def pass_through(objective: Any, circuit: Any, trials: Trial, keys: Any, memory: Any) -> Pass:
    """Passes through these trials, forced by the readout as it is in `circuit`."""
    shape = (*trials.inputs.shape[:2], flatten(circuit.rest())[0].size)
    return Pass(objective, trials, keys, objective.forcing.tools(circuit, memory), shape)


class _Silence(eqx.Module):
    """No input at any time."""

    network: Any

    def __call__(self, t: Any) -> Any:
        """Zero in every channel."""
        return self.network.no_input()


def devices_of(network: Any, lanes: int) -> int:
    """Over how many devices so many trials are spread."""
    start = jax.tree.map(lambda x: jnp.asarray(x)[None], network.rest())
    return devices_for(network, _Silence(network), start, lanes)


def step_of(
    objective: Any, network: Any, tools: Any, reads: bool = True, watched: bool = False
) -> Step:
    """One step of a network, with the readout in it or without."""
    dtype = jnp.result_type(float)
    return Step(
        network, tools, objective.forcing, objective.noise,
        jnp.asarray(objective.task.step, dtype), objective.solver,
        reads, objective.activity is not None, watched,
    )  # fmt: skip


def rows_of(objective: Any, trials: Trial, cut: int | None, nudges: Any, signals: Any) -> Row:
    """The tables of all steps, lanes in front."""
    lanes, steps = trials.inputs.shape[:2]
    dtype = trials.inputs.dtype

    def shared(values: Any) -> Any:
        if values is None:
            return None
        return jnp.broadcast_to(jnp.asarray(values, dtype), (lanes, steps))

    number = np.arange(steps)
    joined = None if cut is None else (number % cut != 0) | (number == 0)
    acting = objective.forcing.acting(steps)
    return Row(
        trials.inputs, trials.targets, trials.mask, shared(acting), shared(joined), nudges, signals
    )
