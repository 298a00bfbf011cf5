"""What does a network do on a task? `perform`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._engine.fixed_steps import Solver
from rnnjax._machine.kept import program
from rnnjax._machine.verb import verb
from rnnjax._parameter import check, counted
from rnnjax._precision import cast, precision, to_host
from rnnjax._training.batches import drawn
from rnnjax._training.on_task import OnTask
from rnnjax._training.trials import pass_through
from rnnjax._types import Array, DTypeLike, Float, Key, State, is_traced
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Euler
from rnnjax.tasks._base import AbstractTask, Trial

_TRIALS = 16


class Performance(eqx.Module):
    """A network on trials of a task, trials in front; `performance[k]` is one of them.

    Attributes:
        trials: inputs, targets and mask, `(trials, steps, ...)`; targets are 0 where nothing is
            asked, and the mask has an axis of the outputs.
        times: `(steps,)`, the end of each step, ms.
        states: after each step, `(trials, steps, ...)` each variable.
        outputs: read out of them, `(trials, steps, outputs)`.
    """

    trials: Trial
    times: Float[Array | np.ndarray, " steps"]
    states: State
    outputs: Float[Array | np.ndarray, "*trials steps outputs"]

    def __getitem__(self, k: int) -> "Performance":
        """Trial k by itself.

        Raises:
            IndexError: if there is no such one.
        """
        if np.ndim(self.outputs) < 3:
            raise IndexError("this is one trial")
        own = self.trials, self.states, self.outputs
        trials, states, outputs = jax.tree.map(lambda x: x[k], own)
        return Performance(trials, self.times, states, outputs)

    def __repr__(self) -> str:
        """How many trials, steps and outputs."""
        *trials, steps, outputs = np.shape(self.outputs)
        count = " x ".join(map(str, trials)) or "one"
        return f"Performance({count} trial(s), {steps} steps, {outputs} output(s))"


@verb
def perform(
    network: TaskNetwork,
    task: AbstractTask,
    *,
    key: Key,
    trials: int | None = None,
    noise: AbstractNoise | None = None,
    solver: Solver | None = None,
    dtype: DTypeLike | None = None,
) -> Performance:
    r"""Run a network by itself through trials of a task, as a validation of `OnTask` does.

    $h_t = \mathrm{step}(h_{t-1}, u_t), \quad y_t = R(h_t)$

    One step per sample of the task, with the input held during it and without forcing, from
    `network.rest()`.

    Args:
        network: a `TaskNetwork`, e.g. `found.best` of a fit.
        task: what it is to do.
        key: a JAX random key, of the trials and of the noise.
        trials: how many to draw. Unless given all of a task that has only so many (`FromTrials`),
            16 of any other.
        noise: as of `OnTask`.
        solver: as of `OnTask`; `Euler()` unless given.
        dtype: as for `simulate`.

    Returns:
        A `Performance`; `rnnjax.plot.trial(performance[0])` draws one of its trials.

    Raises:
        TypeError, ValueError: for a network, a task or a noise that do not go together.
    """
    count = _count(task) if trials is None else counted(trials, "trials")
    solver = Euler() if solver is None else solver
    objective = OnTask(task, batch=count, noise=noise, solver=solver)
    if not is_traced(network, key):
        check(network)
    with precision(None if is_traced(network, key) else dtype) as found:
        network, objective = cast((network, objective), found)
        objective.check(network, key)
        performed = _performed(objective, network, key, trials is None)
    return performed if is_traced(performed) else to_host(performed)


def _count(task: AbstractTask) -> int:
    """How many trials there are; so many of a task that draws them."""
    known = task.every_trial() if isinstance(task, AbstractTask) else None
    return _TRIALS if known is None else len(known.inputs)


@program
def _performed(objective: OnTask, network: TaskNetwork, key: Key, whole: bool) -> Performance:
    trials, of_noise, _ = drawn(objective.task, key, objective.batch, whole)
    states = pass_through(objective, network, trials, of_noise, None).states(network)
    outputs: Array = jax.vmap(jax.vmap(network.outputs))(states)
    dtype = trials.inputs.dtype
    number = jnp.arange(1, objective.task.steps + 1, dtype=dtype)
    return Performance(trials, jnp.asarray(objective.task.step, dtype) * number, states, outputs)
