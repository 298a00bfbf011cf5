"""One step of a network on a task, forced or not, as a map of what is carried."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._engine.fixed_steps import Solver
from rnnjax._numerics.trees import flatten
from rnnjax._training.practice import Practice
from rnnjax._types import Array, Float, Input, Scalar, State
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.forcing._base import AbstractForcing, Moment
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import noisy_step_function, step_function


class Given(NamedTuple):
    """What one step of a trial is given; None for what it is not."""

    inputs: Float[Array, "*lanes inputs"]
    targets: Float[Array, "*lanes outputs"]
    mask: Float[Array, "*lanes outputs"]
    acts: Float[Array, "*lanes"] | None = None
    joined: Float[Array, "*lanes"] | None = None
    nudge: Float[Array, "*lanes variables"] | None = None
    signal: Float[Array, "*lanes variables"] | None = None


class Carried(NamedTuple):
    """What goes from one step to the next, and what is read of it; None for what is not needed."""

    state: State
    outputs: Float[Array, "*lanes outputs"] | None = None
    error: Float[Array, "*lanes outputs"] | None = None
    activity: Float[Array, "*lanes"] | None = None
    overlap: Float[Array, "*lanes"] | None = None
    correction: Float[Array, "*lanes"] | None = None


class Readings(NamedTuple):
    """What is read at each step."""

    outputs: Float[Array, "*steps outputs"] | None
    activity: Float[Array, "*steps"] | None
    overlap: Float[Array, "*steps"] | None = None
    correction: Float[Array, "*steps"] | None = None


def readings(carried: Carried) -> Readings:
    """What was read within the step."""
    return Readings(carried.outputs, carried.activity, carried.overlap, carried.correction)


def state_of(carried: Carried) -> State:
    """The state."""
    return carried.state


class ReadAfterwards(eqx.Module):
    """What the state after a step says, where no step needs to know it."""

    network: TaskNetwork
    counts_activity: bool = eqx.field(static=True)

    def __call__(self, carried: Carried) -> Readings:
        """The outputs, and the mean square of the state where it is asked for."""
        activity = _mean_square(carried.state) if self.counts_activity else None
        return Readings(self.network.outputs(carried.state), activity)


class TrialStep(eqx.Module):
    """One step of a network on a task, as a map of what is carried."""

    network: TaskNetwork
    tools: Any
    forcing: AbstractForcing
    noise: AbstractNoise | None
    step: Float[Array, ""]
    solver: Solver = eqx.field(static=True)
    reads: bool = eqx.field(static=True, default=True)
    counts_activity: bool = eqx.field(static=True, default=False)
    watched: bool = eqx.field(static=True, default=False)

    def advanced(
        self, state: State, inputs: Input, draws: Float[Array, " variables"] | None = None
    ) -> State:
        """The state one step later, with the inputs held."""

        def field(t: Scalar, state: State) -> State:
            return self.network(state, inputs)

        t = jnp.zeros_like(self.step)
        if self.noise is None or draws is None:
            return step_function(self.solver)(field, t, state, self.step)
        noise, dw = self.noise, flatten(state)[1](jnp.sqrt(self.step) * draws)
        advance = noisy_step_function(self.solver, noise.additive)
        return advance(field, lambda _, s: noise(s), t, state, self.step, dw)

    def __call__(
        self, carried: Carried, given: tuple[Given, Float[Array, " variables"] | None]
    ) -> Carried:
        """The step, the readout, and the forcing."""
        row, draws = given
        state, error_before = carried.state, carried.error
        if row.joined is not None:
            joined = row.joined > 0
            state, error_before = jax.tree.map(
                lambda x: jnp.where(joined, x, jax.lax.stop_gradient(x)), (state, error_before)
            )
        state = self.advanced(state, row.inputs, draws)
        if row.nudge is not None:
            vector, unravel = flatten(state)
            state = unravel(vector + row.nudge)
        if not self.reads:
            return Carried(state)
        vector = flatten(state)[0]
        outputs, error, forced = self.network.outputs(state), None, state
        if self.forcing.acts_on_state:
            error, forced = self._forced(state, outputs, error_before, row)
        return Carried(
            state=forced,
            outputs=outputs,
            error=error if self.forcing.looks_back else None,
            activity=_mean_square(forced) if self.counts_activity else None,
            overlap=None if row.signal is None else jnp.sum(row.signal * vector),
            correction=_relative(flatten(forced)[0] - vector, vector) if self.watched else None,
        )

    def _forced(
        self, state: State, outputs: Array, error_before: Array | None, row: Given
    ) -> tuple[Array, State]:
        """The error, and the state from which the next step starts."""
        error = row.mask * (row.targets - outputs)
        asked = jnp.min(row.mask)
        acts = jnp.ones_like(asked) if row.acts is None else row.acts
        moment = Moment(state, error, error_before, row.targets, row.mask, asked, acts)
        return error, self.forcing(self.tools, moment)


def trial_step(
    practice: Practice, network: TaskNetwork, tools: Any, reads: bool = True, watched: bool = False
) -> TrialStep:
    """One step of a network, with the readout in it or without.

    Args:
        practice: forcing, noise, solver, and the step of the task.
        network: the network.
        tools: of the forcing.
        reads: read out the state within the step.
        watched: keep how far the forcing moves the state.
    """
    step = jnp.asarray(practice.task.step, jnp.result_type(float))
    return TrialStep(
        network, tools, practice.forcing, practice.noise, step, practice.solver, reads,
        practice.activity is not None, watched,
    )  # fmt: skip


def _mean_square(state: State) -> Float[Array, ""]:
    return jnp.mean(jnp.square(flatten(state)[0]))


def _relative(
    move: Float[Array, " variables"], vector: Float[Array, " variables"]
) -> Float[Array, ""]:
    """How far it moves the state, relative to its size."""
    moved, size = jnp.linalg.norm(move), jnp.linalg.norm(vector)
    away = size > 1e-6  # at rest every move is large
    return jnp.where(away, moved / jnp.where(away, size, 1.0), 0.0)
