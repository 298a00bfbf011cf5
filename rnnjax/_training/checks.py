"""What of an objective on a task goes together: its parts, a network, the trials of its tasks."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.parts import compiled
from rnnjax._parameter import check, counted
from rnnjax._results import warn_caller
from rnnjax._training.batches import Keys, check_shares, check_trials, filled, given
from rnnjax._training.losses import cross_entropy
from rnnjax._training.objective import Trained
from rnnjax._training.practice import Practice, tasks_of
from rnnjax._types import Array, Float, Key
from rnnjax.circuits._checks import check_noise, check_step
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._base import AbstractCredit
from rnnjax.forcing._base import AbstractForcing
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._checks import checked_solver
from rnnjax.tasks._base import AbstractTask, Trial

_LARGE = 5.0  # a correction so many times the state is warned of


def check_parts(practice: Practice) -> None:
    """Refuse parts that are none.

    Raises:
        TypeError, ValueError: says which, and what was expected.
    """
    for name, kind, example in (
        ("task", AbstractTask, "rnnjax.tasks.DelayedXOR()"),
        ("forcing", AbstractForcing, "rnnjax.forcing.ErrorForcing(0.2)"),
        ("credit", AbstractCredit, "rnnjax.credit.BackpropagationThroughTime()"),
    ):
        part = getattr(practice, name)
        if not isinstance(part, kind):
            raise TypeError(f"OnTask.{name}: expected e.g. {example}, got {part!r}")
    if practice.held_out is not None and not isinstance(practice.held_out, AbstractTask):
        raise TypeError(f"OnTask.held_out: expected a task, got {practice.held_out!r}")
    if practice.noise is not None and not isinstance(practice.noise, AbstractNoise):
        raise TypeError(
            f"OnTask.noise: expected e.g. rnnjax.noise.Additive(0.1), got {practice.noise!r}"
        )
    checked_solver(practice.solver, practice.noise, None if practice.solver is None else 1.0, False)
    counted(practice.batch, "OnTask.batch")
    counted(practice.validation, "OnTask.validation")
    if not callable(practice.loss):
        raise TypeError(
            f"OnTask.loss: expected a function of (outputs, targets, mask), got {practice.loss!r}"
        )


def check_network(practice: Practice, circuit: Trained, key: Key | None) -> TaskNetwork:
    """The network; refuse, by types and shapes, what does not go together.

    Raises:
        TypeError, ValueError: says what, and what was expected.
    """
    if not isinstance(circuit, TaskNetwork):
        raise TypeError(
            "OnTask trains a TaskNetwork(circuit, encoder, readout), got "
            f"{type(circuit).__name__}: TaskNetwork.random(circuit, task, key=key) makes one"
        )
    given(key)
    for task in tasks_of(practice):
        check_sizes(practice, circuit, task)
        check_step(circuit, task.step)
    check_noise(practice.noise, circuit.rest())
    if practice.forcing.acts_on_state and practice.loss is cross_entropy:
        raise ValueError(
            f"OnTask: {type(practice.forcing).__name__} moves outputs toward the targets as numbers, "
            "but cross_entropy takes outputs for logarithms of probabilities: use NoForcing(), "
            "or mean_square"
        )
    practice.forcing.check(circuit)
    practice.credit.check(circuit, practice.forcing)
    return circuit


def check_sizes(practice: Practice, circuit: TaskNetwork, task: AbstractTask) -> None:
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
    shape = getattr(jax.eval_shape(practice.loss, table, table, table), "shape", None)
    if shape != ():
        raise ValueError(
            f"OnTask.loss: expected one number for a trial, got shape {shape}: take a mean, as "
            "mean_square does"
        )


def check_tasks(practice: Practice, key: Key) -> None:
    """Refuse trials that can't be right, and a forcing that never meets what they ask for."""
    check(practice)
    keys = jax.random.split(key, practice.batch)
    batches = [_trials(task, keys) for task in tasks_of(practice)]
    for task, trials in zip(tasks_of(practice), batches, strict=True):
        check_trials(trials, task)
        if practice.loss is cross_entropy:
            check_shares(filled(trials), task)
    if practice.forcing.acts_on_state:
        _check_asked(practice, batches[0])


@compiled
def _trials(task: AbstractTask, keys: Keys) -> Trial:
    return jax.vmap(task.sample)(keys)


def _check_asked(practice: Practice, batch: Trial) -> None:
    """Refuse a forcing that never acts, since nothing is asked for where it would."""
    forcing, task = practice.forcing, practice.task
    all_of_them = forcing.needs_all_outputs
    acting = forcing.acting(task.steps)
    if acting is None and not all_of_them:
        return
    known = task.every_trial()
    trials = filled(batch if known is None else known)
    asked = trials.mask.min(-1) if all_of_them else trials.mask.max(-1)
    if not (np.asarray(asked) * (1.0 if acting is None else acting)).any():
        raise ValueError(
            f"{type(forcing).__name__} would never act: "
            + ("it takes a state from all outputs at once, and " if all_of_them else "")
            + f"{type(task).__name__} asks for {'all of them' if all_of_them else 'an output'} "
            + ("at no step" if acting is None else "at none of the steps at which it acts")
            + ": use ErrorForcing(), which takes any output at any step it is asked for"
        )


def warn_of_corrections(forcing: AbstractForcing, largest: Float[Array, ""]) -> None:
    """Warn of a forcing that moves the state by many times its size."""
    if largest > _LARGE:
        warn_caller(
            f"{type(forcing).__name__} moves the state by {float(largest):.3g} times its own size "
            "at first, since small readout weights need large corrections; units may saturate. "
            "Force by a smaller share, or begin with larger readout weights"
        )
