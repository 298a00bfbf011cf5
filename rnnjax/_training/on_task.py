"""A network on a task: the objective made of passes through trials, forced or not."""

import dataclasses
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Int

from rnnjax._engine.fixed_steps import Solver
from rnnjax._machine.devices import one_device
from rnnjax._machine.kept import program
from rnnjax._numerics.trees import flatten
from rnnjax._parameter import parameter
from rnnjax._precision import cast
from rnnjax._results import warn_caller
from rnnjax._training.batches import Keys, drawn
from rnnjax._training.checks import (
    check_network,
    check_parts,
    check_sizes,
    check_tasks,
    warn_of_corrections,
)
from rnnjax._training.losses import Loss, mean_square
from rnnjax._training.objective import AbstractObjective, Trained, Work, works_alone
from rnnjax._training.practice import tasks_of
from rnnjax._training.trial_step import trial_step
from rnnjax._training.trials import devices_of, pass_through
from rnnjax._types import Array, Arrays, Expected, Float, Key, Scalar, is_traced, lane_of
from rnnjax.circuits._checks import check_step
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._base import AbstractCredit, BackpropagationThroughTime
from rnnjax.forcing._base import AbstractForcing, NoForcing
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Euler
from rnnjax.tasks._base import AbstractTask


class OnTask(AbstractObjective[TaskNetwork]):
    r"""The loss of a `TaskNetwork` on a task, forced as asked, with credit as asked.

    $h^-_t = \mathrm{step}(\tilde h_{t-1}, u_t), \quad y_t = R(h^-_t), \quad
    e_t = m_t (y^*_t - y_t), \quad \tilde h_t = \mathrm{force}(h^-_t, e_t, y^*_t)$

    $L = \langle \ell(y, y^*, m) \rangle_{\mathrm{trials}}
    + a\, \langle \tilde h_t^2 \rangle_{\mathrm{trials, steps, variables}}$

    Each step of training draws a batch of trials; the input is held during a step. Forcing acts in
    training alone: `validate` runs the network by itself, on trials drawn apart that stay the same,
    and gives $\langle \ell \rangle$ alone. A step of the network is one of the solver's per sample of
    the task: it is trained as this map, which has the equilibria of the differential equations, but
    not their stability where a step is as long as time constants.
    Of given trials (`FromTrials`) keep some out of training: `held_out`.
    Objectives add up and can be weighted, with any function of `(circuit, key)` among them:
    `2.0 * OnTask(...) + penalty`.

    Args:
        task: what is to be done, see `rnnjax.tasks`.
        forcing: what training does to the state, see `rnnjax.forcing`; nothing unless given.
        credit: how the gradient is obtained, see `rnnjax.credit`; `BackpropagationThroughTime()`
            unless given.
        loss: $\ell$ of the outputs, targets and mask of one trial, `(steps, outputs)` each:
            `mean_square`, `cross_entropy`, or a function of your own.
        batch: trials in a step of training.
        validation: trials in a validation; of a task that has only so many (`FromTrials`) none
            twice.
        held_out: the task whose trials validations draw; `task` itself unless given.
        activity: $a$, what the mean square of the state after forcing costs; nothing unless given.
        noise: shakes the state in training and in validation.
        solver: a diffrax solver that takes one step per sample of the task; `Euler()` unless given.

    Raises:
        TypeError: for parts that are none.
        ValueError: in a fit, for a network, a forcing, a task and a credit rule that do not go
            together.

    References:
        Sagtekin, Bredenberg and Savin (2025), Error forcing in recurrent neural networks, NeurIPS.
    """

    task: AbstractTask
    forcing: AbstractForcing = eqx.field(default_factory=NoForcing)
    credit: AbstractCredit = eqx.field(default_factory=BackpropagationThroughTime)
    loss: Loss = mean_square
    batch: int = eqx.field(static=True, default=64)
    validation: int = eqx.field(static=True, default=256)
    activity: Scalar | None = parameter(None, "1", doc="cost of the mean square of the state")
    noise: Expected[AbstractNoise | None] = None
    held_out: Expected[AbstractTask | None] = None
    solver: Solver = eqx.field(static=True, default_factory=Euler)

    def __check_init__(self) -> None:
        """Refuse parts that are none."""
        check_parts(self)

    def check(self, circuit: Trained, key: Key | None) -> None:
        """Refuse what does not go together, before anything compiles; warn of a wild forcing."""
        network = check_network(self, circuit, key)
        if key is not None and not is_traced(circuit, key):
            check_tasks(self, key)
            if self.forcing.acts_on_state:
                warn_of_corrections(self.forcing, _largest_correction(self, network, key))

    def check_many(self, circuits: Expected[TaskNetwork], keys: Keys) -> None:
        """The same of many: forcing and what it does are looked at in each."""
        one, key = lane_of((circuits, keys), 0)
        check_network(self, one, key)
        check_tasks(self, key)
        if self.forcing.acts_on_state:
            for k in range(1, len(keys)):
                self.forcing.check(lane_of(circuits, k))
            with one_device(True):  # the fits are not spread here
                each = eqx.filter_vmap(lambda c, k: _largest_correction(self, c, k))
                warn_of_corrections(self.forcing, each(circuits, keys).max())

    def judge(self, circuit: TaskNetwork) -> None:
        """Warn of a time constant that was trained below the step of the task."""
        try:
            check_step(circuit, self.task.step)
        except ValueError as error:
            warn_caller(f"OnTask: after the fit, {error}")

    def begin(self, circuit: TaskNetwork, key: Key | None) -> tuple[Arrays, Arrays]:
        """What forcing and credit remember from step to step."""
        keys = (None, None) if key is None else jax.random.split(key)
        return self.forcing.begin(circuit, keys[0]), self.credit.begin(circuit, keys[1])

    def value_and_gradient(
        self, rebuild: Callable[[Sequence[Array]], TaskNetwork], free: Sequence[Array],
        key: Key | None, memory: tuple[Arrays, Arrays],
    ) -> tuple[Float[Array, ""], Sequence[Array]]:  # fmt: skip
        """The loss of a batch of trials, and what the credit rule takes for its gradient."""
        of_forcing, of_credit = memory
        trials, of_noise, of_rule = drawn(self.task, key, self.batch)
        run = pass_through(self, rebuild(free), trials, of_noise, of_forcing)
        return self.credit.value_and_gradient(run, rebuild, free, of_credit, of_rule)

    def advance(
        self, memory: tuple[Arrays, Arrays], circuit: TaskNetwork, key: Key | None,
        k: Int[Array, ""],
    ) -> tuple[Arrays, Arrays]:  # fmt: skip
        """What is remembered after step k."""
        of_forcing, of_credit = memory
        if not jax.tree.leaves(of_forcing):
            return memory
        trials, _, _ = drawn(self.task, key, self.batch)
        step = trial_step(dataclasses.replace(self, noise=None), circuit, None).advanced
        return self.forcing.advance(of_forcing, k, circuit, step, trials), of_credit

    def work(self, circuit: TaskNetwork) -> Work:
        """The states of a batch."""
        size = flatten(circuit.rest())[0].size
        known = tasks_of(self)[-1].every_trial()
        most = self.validation if known is None else known.inputs.shape[0]
        counts = self.batch, min(self.validation, most)
        return Work(self.batch * size, max(devices_of(circuit, lanes) for lanes in counts))

    def validate(self, circuit: TaskNetwork, key: Key | None) -> Float[Array, ""]:
        """The loss of the network by itself, on trials that stay the same."""
        task = tasks_of(self)[-1]
        check_sizes(self, circuit, task)
        trials, of_noise, _ = drawn(task, key, self.validation, whole=True)
        unforced = dataclasses.replace(self, task=task, forcing=NoForcing())
        run = pass_through(unforced, circuit, trials, of_noise, None)
        return jnp.mean(run(circuit).losses)

    def __call__(self, circuit: Trained, key: Key | None) -> Float[Array, ""]:
        """The loss of a batch, forced, for a gradient of your own; exact credit rules only.

        A fit of a function that calls it is validated by that function, forced as well.
        """
        if not self.credit.exact:
            raise ValueError(
                f"OnTask with {type(self.credit).__name__} is no function whose derivative is its "
                "gradient: add objectives with +, OnTask(...) + penalty"
            )
        network = check_network(self, circuit, key)
        if jax.tree.leaves(self.begin(network, key)[0]):
            raise ValueError(
                f"OnTask: {type(self.forcing).__name__} remembers something from step to step, which "
                "a function of your own can't: add objectives with +, OnTask(...) + penalty"
            )
        self = cast(self, jnp.result_type(float))
        with one_device(works_alone(self, network, key)):
            trials, of_noise, _ = drawn(self.task, key, self.batch)
            of_forcing, _ = self.begin(network, key)
            run = pass_through(self, network, trials, of_noise, of_forcing)
            return jnp.mean(run(network).totals)


@program
def _largest_correction(objective: OnTask, circuit: TaskNetwork, key: Key) -> Float[Array, ""]:
    """How far the forcing moves the state, relative to its size, in the first batch."""
    trials, of_noise, _ = drawn(objective.task, jax.random.fold_in(key, 0), objective.batch)
    of_forcing, _ = objective.begin(circuit, key)
    return pass_through(objective, circuit, trials, of_noise, of_forcing).largest_correction(
        circuit
    )
