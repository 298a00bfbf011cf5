"""A network on a task: passes through trials, forced or not, and the objective made of them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.devices import one_device
from rnnjax._numerics.trees import flatten
from rnnjax._parameter import check, counted, parameter
from rnnjax._precision import cast
from rnnjax._results import warn_caller
from rnnjax._training.batches import _full, check_shares, check_trials, drawn
from rnnjax._training.losses import cross_entropy, mean_square
from rnnjax._training.objective import AbstractObjective, Work, works_alone
from rnnjax._training.trials import devices_of, pass_through, rows_of, step_of
from rnnjax._types import Array, Key, Scalar, is_traced, lane_of
from rnnjax.circuits._checks import check_noise, check_step
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._base import AbstractCredit, BackpropagationThroughTime
from rnnjax.forcing._base import AbstractForcing, NoForcing
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Euler
from rnnjax.tasks._base import AbstractTask, Trial

_LARGE = 5.0  # a correction so many times the state is warned of


class OnTask(AbstractObjective):
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
    loss: Callable[[Any, Any, Any], Any] = mean_square
    batch: int = eqx.field(static=True, default=64)
    validation: int = eqx.field(static=True, default=256)
    activity: Scalar = parameter(None, "1", doc="cost of the mean square of the state")
    noise: Any = None
    held_out: Any = None
    solver: Any = eqx.field(static=True, default_factory=Euler)

    def __check_init__(self) -> None:
        """Refuse parts that are none."""
        for name, kind, example in (
            ("task", AbstractTask, "rnnjax.tasks.DelayedXOR()"),
            ("forcing", AbstractForcing, "rnnjax.forcing.ErrorForcing(0.2)"),
            ("credit", AbstractCredit, "rnnjax.credit.BackpropagationThroughTime()"),
        ):
            part = getattr(self, name)
            if not isinstance(part, kind):
                raise TypeError(f"OnTask.{name}: expected e.g. {example}, got {part!r}")
        if self.held_out is not None and not isinstance(self.held_out, AbstractTask):
            raise TypeError(f"OnTask.held_out: expected a task, got {self.held_out!r}")
        if self.noise is not None and not isinstance(self.noise, AbstractNoise):
            raise TypeError(
                f"OnTask.noise: expected e.g. rnnjax.noise.Additive(0.1), got {self.noise!r}"
            )
        counted(self.batch, "OnTask.batch")
        counted(self.validation, "OnTask.validation")
        if not callable(self.loss):
            raise TypeError(
                f"OnTask.loss: expected a function of (outputs, targets, mask), got {self.loss!r}"
            )

    def check(self, circuit: Any, key: Key | None) -> None:
        """Refuse what does not go together, before anything compiles; warn of a wild forcing."""
        self._check_parts(circuit, key)
        if key is not None and not is_traced(circuit, key):
            self._check_tasks(key)
            if self.forcing.acts_on_state:
                self._warn_of_corrections(_largest_correction(self, circuit, key))

    def check_many(self, circuits: Any, keys: Any) -> None:
        """The same of many: forcing and what it does are looked at in each."""
        one, key = lane_of((circuits, keys), 0)
        self._check_parts(one, key)
        self._check_tasks(key)
        if self.forcing.acts_on_state:
            for k in range(1, len(keys)):
                self.forcing.check(lane_of(circuits, k))
            with one_device(True):  # the fits are not spread here
                each = eqx.filter_vmap(lambda c, k: _largest_correction(self, c, k))
                self._warn_of_corrections(each(circuits, keys).max())

    def _check_tasks(self, key: Key) -> None:
        """Refuse trials that can't be right, and a forcing that never meets what they ask for."""
        check(self)
        keys = jax.random.split(key, self.batch)
        batches = [jax.vmap(task.sample)(keys) for task in self._tasks()]
        for task, trials in zip(self._tasks(), batches, strict=True):
            check_trials(trials, task)
            if self.loss is cross_entropy:
                check_shares(_full(trials), task)
        if self.forcing.acts_on_state:
            self._check_asked(batches[0])

    def _check_parts(self, circuit: Any, key: Key | None) -> None:
        """Refuse, by types and shapes, what does not go together."""
        if not isinstance(circuit, TaskNetwork):
            raise TypeError(
                "OnTask trains a TaskNetwork(circuit, encoder, readout), got "
                f"{type(circuit).__name__}: TaskNetwork.random(circuit, task, key=key) makes one"
            )
        if key is None:
            raise ValueError("OnTask draws its trials: give the fit key=, e.g. jax.random.key(0)")
        for task in self._tasks():
            self._check_sizes(circuit, task)
            check_step(circuit, task.step)
        check_noise(self.noise, circuit.rest())
        if self.forcing.acts_on_state and self.loss is cross_entropy:
            raise ValueError(
                f"OnTask: {type(self.forcing).__name__} moves outputs toward the targets as numbers, "
                "but cross_entropy takes outputs for logarithms of probabilities: use NoForcing(), "
                "or mean_square"
            )
        self.forcing.check(circuit)
        self.credit.check(circuit, self.forcing)

    def _check_asked(self, batch: Trial) -> None:
        """Refuse a forcing that never acts, since nothing is asked for where it would."""
        all_of_them = self.forcing.needs_all_outputs
        acting = self.forcing.acting(self.task.steps)
        if acting is None and not all_of_them:
            return
        known = self.task.every_trial()
        trials = _full(batch if known is None else known)
        asked = trials.mask.min(-1) if all_of_them else trials.mask.max(-1)
        if not (np.asarray(asked) * (1.0 if acting is None else acting)).any():
            raise ValueError(
                f"{type(self.forcing).__name__} would never act: "
                + ("it takes a state from all outputs at once, and " if all_of_them else "")
                + f"{type(self.task).__name__} asks for {'all of them' if all_of_them else 'an output'} "
                + ("at no step" if acting is None else "at none of the steps at which it acts")
                + ": use ErrorForcing(), which takes any output at any step it is asked for"
            )

    def judge(self, circuit: TaskNetwork) -> None:
        """Warn of a time constant that was trained below the step of the task."""
        try:
            check_step(circuit, self.task.step)
        except ValueError as error:
            warn_caller(f"OnTask: after the fit, {error}")

    def _check_sizes(self, circuit: TaskNetwork, task: AbstractTask) -> None:
        """Refuse a network of another size than the task, and a loss that is no number."""
        for name, has, wanted in (
            ("inputs", circuit.encoder.channels, task.inputs),
            ("outputs", circuit.readout.channels, task.outputs),
        ):
            if has != wanted:
                raise ValueError(
                    f"OnTask: {type(task).__name__} has {wanted} {name}, the network {has}: "
                    "give it an encoder and a readout of the task's size"
                )
        table = jax.ShapeDtypeStruct((task.steps, task.outputs), jnp.result_type(float))
        shape = getattr(jax.eval_shape(self.loss, table, table, table), "shape", None)
        if shape != ():
            raise ValueError(
                f"OnTask.loss: expected one number for a trial, got shape {shape}: take a mean, as "
                "mean_square does"
            )

    def _tasks(self) -> list[AbstractTask]:
        return [self.task] if self.held_out is None else [self.task, self.held_out]

    def _warn_of_corrections(self, largest: Any) -> None:
        if largest > _LARGE:
            warn_caller(
                f"{type(self.forcing).__name__} moves the state by {float(largest):.3g} times its own size "
                "at first, since small readout weights need large corrections; units may saturate. "
                "Force by a smaller share, or begin with larger readout weights"
            )

    def begin(self, circuit: Any, key: Key | None) -> Any:
        """What forcing and credit remember from step to step."""
        keys = (None, None) if key is None else jax.random.split(key)
        return self.forcing.begin(circuit, keys[0]), self.credit.begin(circuit, keys[1])

    def value_and_gradient(
        self, rebuild: Callable[[Any], Any], free: Sequence[Array], key: Key | None, memory: Any
    ) -> tuple[Array, Any]:
        """The loss of a batch of trials, and what the credit rule takes for its gradient."""
        of_forcing, of_credit = memory
        trials, of_noise, of_rule = drawn(self.task, key, self.batch)
        run = pass_through(self, rebuild(free), trials, of_noise, of_forcing)
        return self.credit.value_and_gradient(run, rebuild, free, of_credit, of_rule)

    def advance(self, memory: Any, circuit: Any, key: Key | None, k: Any) -> Any:
        """What is remembered after step k."""
        of_forcing, of_credit = memory
        if not jax.tree.leaves(of_forcing):
            return memory
        trials, _, _ = drawn(self.task, key, self.batch)
        step = step_of(dataclasses.replace(self, noise=None), circuit, None).advanced
        return self.forcing.advance(of_forcing, k, circuit, step, trials), of_credit

    def work(self, circuit: Any) -> Work:
        """The states of a batch."""
        size = flatten(circuit.rest())[0].size
        known = self._tasks()[-1].every_trial()
        most = self.validation if known is None else known.inputs.shape[0]
        counts = self.batch, min(self.validation, most)
        spread = [devices_of(circuit, lanes) for lanes in counts]
        return Work(self.batch * size, max(spread))

    def validate(self, circuit: Any, key: Key | None) -> Array:
        """The loss of the network by itself, on trials that stay the same."""
        task = self._tasks()[-1]
        self._check_sizes(circuit, task)
        trials, of_noise, _ = drawn(task, key, self.validation, whole=True)
        unforced = dataclasses.replace(self, task=task, forcing=NoForcing())
        run = pass_through(unforced, circuit, trials, of_noise, None)
        return jnp.mean(run(circuit).losses)

    def __call__(self, circuit: Any, key: Key) -> Array:
        """The loss of a batch, forced, for a gradient of your own; exact credit rules only.

        A fit of a function that calls it is validated by that function, forced as well.
        """
        if not self.credit.exact:
            raise ValueError(
                f"OnTask with {type(self.credit).__name__} is no function whose derivative is its "
                "gradient: add objectives with +, OnTask(...) + penalty"
            )
        self._check_parts(circuit, key)
        if jax.tree.leaves(self.begin(circuit, key)[0]):
            raise ValueError(
                f"OnTask: {type(self.forcing).__name__} remembers something from step to step, which "
                "a function of your own can't: add objectives with +, OnTask(...) + penalty"
            )
        self = cast(self, jnp.result_type(float))
        with one_device(works_alone(self, circuit, key)):
            trials, of_noise, _ = drawn(self.task, key, self.batch)
            of_forcing, _ = self.begin(circuit, key)
            run = pass_through(self, circuit, trials, of_noise, of_forcing)
            return jnp.mean(run(circuit).totals)


@eqx.filter_jit
def _largest_correction(objective: OnTask, circuit: Any, key: Any) -> Array:
    """How far the forcing moves the state, relative to its size, in the first batch."""
    trials, of_noise, _ = drawn(objective.task, jax.random.fold_in(key, 0), objective.batch)
    of_forcing, _ = objective.begin(circuit, key)
    passed = pass_through(objective, circuit, trials, of_noise, of_forcing)
    rows = rows_of(objective, trials, None, None, None)
    return jnp.max(passed.steps(circuit, circuit, rows, None, watched=True).correction)
