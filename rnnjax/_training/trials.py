"""Passes of a network through the trials of a task, forced or not, as a map for the engine."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._engine.driven import DrivenBy
from rnnjax._engine.fixed_steps import FixedRun, integrate
from rnnjax._machine.devices import spread
from rnnjax._machine.plan import Plan
from rnnjax._numerics.memory import AbstractMemory, StoreAll
from rnnjax._numerics.trees import flatten
from rnnjax._simulation.fixed_run import devices_for
from rnnjax._training.batches import Keys
from rnnjax._training.practice import Practice
from rnnjax._training.trial_step import (
    Carried,
    Given,
    ReadAfterwards,
    Readings,
    TrialStep,
    readings,
    state_of,
    trial_step,
)
from rnnjax._types import Array, Arrays, Float, Scalar, Shaped, State
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._base import Passed
from rnnjax.solvers._base import Iteration
from rnnjax.tasks._base import Trial


class Pass(NamedTuple):
    """Passes through the same trials.

    Attributes:
        practice: what asks for them.
        trials: lanes in front.
        keys: one per trial, for noise.
        tools: of the forcing.
        shape: lanes, steps, variables.
    """

    practice: Practice
    trials: Trial
    keys: Keys | None
    tools: Any
    shape: tuple[int, int, int]

    def __call__(
        self, network: TaskNetwork, *, seen: TaskNetwork | None = None,
        memory: AbstractMemory | None = None, cut: int | None = None,
        nudges: Float[Array, "lane step variable"] | None = None,
        signals: Float[Array, "lane step variable"] | None = None,
    ) -> Passed:  # fmt: skip
        """The losses of all trials."""
        rows = self.rows(cut, nudges, signals)
        read = self.read(network, network if seen is None else seen, rows, memory)
        tables = map(jnp.asarray, (read.outputs, self.trials.targets, self.trials.mask))
        losses = jax.vmap(self.practice.loss)(*tables)
        totals = losses
        if read.activity is not None:
            cost = jnp.asarray(self.practice.activity, losses.dtype)
            totals = losses + cost * jnp.mean(read.activity, 1)
        overlaps = jnp.zeros_like(losses) if read.overlap is None else jnp.sum(read.overlap, 1)
        return Passed(losses, totals, overlaps)

    def states(self, network: TaskNetwork) -> State:
        """The state after each step, lanes in front."""
        rows = self.rows()
        start, step = self._begun(network, network, rows, watched=False)
        return self._run(network, start, step, state_of, rows, StoreAll())

    def read(
        self, network: TaskNetwork, seen: TaskNetwork, rows: Given, memory: AbstractMemory | None,
        watched: bool = False,
    ) -> Readings:  # fmt: skip
        """What is read at each step, lanes in front."""
        start, step = self._begun(network, seen, rows, watched)
        observe = readings if step.reads else ReadAfterwards(seen, step.counts_activity)
        memory = StoreAll() if memory is None else memory
        return self._run(network, start, step, observe, rows, memory)

    def largest_correction(self, network: TaskNetwork) -> Float[Array, ""]:
        """How far the forcing moves the state at most, relative to its size."""
        read = self.read(network, network, self.rows(), None, watched=True)
        return jnp.max(jnp.asarray(read.correction))

    def rows(
        self, cut: int | None = None, nudges: Array | None = None, signals: Array | None = None
    ) -> Given:
        """The tables of all steps, lanes in front."""
        inputs, targets, mask = map(jnp.asarray, self.trials)
        lanes, steps, _ = self.shape

        def shared(values: Shaped[np.ndarray, " steps"] | None) -> Float[Array, "lane step"] | None:
            if values is None:
                return None
            return jnp.broadcast_to(jnp.asarray(values, inputs.dtype), (lanes, steps))

        number = np.arange(steps)
        joined = None if cut is None else (number % cut != 0) | (number == 0)
        acting = self.practice.forcing.acting(steps)
        return Given(inputs, targets, mask, shared(acting), shared(joined), nudges, signals)

    def _begun(
        self, network: TaskNetwork, seen: TaskNetwork, rows: Given, watched: bool
    ) -> tuple[Carried, TrialStep]:
        """What is carried into the first step, and the step."""
        forcing = self.practice.forcing
        # else the outputs are worked out after the loop
        reads = forcing.acts_on_state or rows.signal is not None
        step = trial_step(self.practice, seen, self.tools, reads, watched)
        carried = Carried(jax.tree.map(jnp.asarray, network.rest()))
        if reads:
            zero = jnp.zeros((), self.trials.inputs.dtype)
            silence = jnp.zeros(self.trials.targets.shape[-1], zero.dtype)
            carried = Carried(
                carried.state, silence, silence if forcing.looks_back else None,
                zero if step.counts_activity else None, None if rows.signal is None else zero,
                zero if watched else None,
            )  # fmt: skip
        lanes = self.shape[0]
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (lanes, *x.shape)), carried), step

    def _run(
        self, network: TaskNetwork, start: Carried, step: TrialStep,
        observe: Callable[[Carried], Any], rows: Given, memory: AbstractMemory,
    ) -> Any:  # fmt: skip
        """What `observe` takes of each step, lanes in front."""
        lanes, steps, variables = self.shape
        noisy = self.practice.noise is not None
        shared, fixed = eqx.partition((step, observe), eqx.is_array)

        def share(own: tuple[Carried, Given, Keys | None], shared: Arrays) -> Arrays:
            carried, rows, keys = own
            step, observe = eqx.combine(shared, fixed)
            run = FixedRun(step, lambda t: None, Iteration(), t0=0.0, step=1.0, key=keys)
            return integrate(
                run, carried, steps, save_every=1, observe=observe, rows=rows,
                normals=variables if noisy else 0, memory=memory, lanes=True,
            ).saved  # fmt: skip

        own = start, rows, self.keys if noisy else None
        return spread(share, Plan(None, devices_of(network, lanes)))(own, shared)


def pass_through(
    practice: Practice, circuit: TaskNetwork, trials: Trial, keys: Keys | None, memory: Arrays
) -> Pass:
    """Passes through these trials, forced by the readout as it is in `circuit`."""
    lanes, steps = trials.inputs.shape[:2]
    shape = lanes, steps, flatten(circuit.rest())[0].size
    return Pass(practice, trials, keys, practice.forcing.tools(circuit, memory), shape)


class _Silence(eqx.Module):
    """No input at any time."""

    network: TaskNetwork

    def __call__(self, t: Scalar) -> Float[np.ndarray, " channels"]:
        """Zero in every channel."""
        return self.network.no_input()


def devices_of(network: TaskNetwork, lanes: int) -> int:
    """Over how many devices so many trials are spread."""
    start = jax.tree.map(lambda x: jnp.asarray(x)[None], network.rest())
    return devices_for(network, DrivenBy((_Silence(network),)), start, lanes)
