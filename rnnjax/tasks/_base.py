"""What every task is: trials of one length, drawn from a key."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Int

from rnnjax._gate import one_number
from rnnjax._parameter import Parametric
from rnnjax._types import Array, Float, Key
from rnnjax.solvers._checks import on_grid


class Trial(NamedTuple):
    """One trial of a task, or with an axis in front a batch of them.

    Attributes:
        inputs: what the network is given during each step.
        targets: what it should have said at the end of each step; anything where it is not asked.
        mask: 1 where an output is asked for, else 0; `(steps,)` for all outputs alike.
    """

    inputs: Float[Array | np.ndarray, "*batch steps inputs"]
    targets: Float[Array | np.ndarray, "*batch steps outputs"]
    mask: Float[Array | np.ndarray, "*batch"]


class AbstractTask(Parametric):
    """A task: `sample(key) -> Trial`, a pure function of the key, all trials of one length.

    Write one by subclassing: times are static fields in ms, multiples of `step`, the time between
    samples, which is the step of a network that does the task; `sample` draws one trial, without a
    batch axis. Batches come by `jax.vmap`.
    """

    step: eqx.AbstractVar[float]

    @property
    @abc.abstractmethod
    def steps(self) -> int:
        """The number of steps of a trial."""

    @property
    @abc.abstractmethod
    def inputs(self) -> int:
        """The number of input channels."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """The number of outputs."""

    @abc.abstractmethod
    def sample(self, key: Key) -> Trial:
        """One trial."""

    def every_trial(self) -> Trial | None:
        """All trials, `(trials, steps, ...)`, where there are only so many; None where not."""
        return None

    def __check_init__(self) -> None:
        """Refuse a step that is no time."""
        _check_step(self)


def steps_of(task: AbstractTask, name: str, *, least: int = 1) -> int:
    """How many steps of the task its duration `name` (ms) is.

    Raises:
        ValueError: if the step is no time, or it is no multiple of it, or fewer than `least` steps.
    """
    _check_step(task)
    duration = one_number(getattr(task, name), f"{type(task).__name__}.{name}", finite=False)
    number = duration / task.step
    count = round(number) if np.isfinite(number) else -1
    if count < least or not on_grid(number):
        raise ValueError(
            f"{type(task).__name__}.{name}: expected a multiple of step = {task.step:g} ms of at "
            f"least {least} steps, got {duration!r} ms"
        )
    return count


def window(
    steps: int, first: Int[ArrayLike, ""], length: Int[ArrayLike, ""]
) -> Float[Array, " steps"]:
    """`(steps,)`, 1.0 during `length` steps from step number `first` on, else 0.0."""
    number = jnp.arange(steps)
    return ((number >= first) & (number < first + length)).astype(jnp.result_type(float))


def _check_step(task: AbstractTask) -> None:
    """Refuse a step that is no time."""
    step = one_number(task.step, f"{type(task).__name__}.step", finite=False)
    if not np.isfinite(step) or step <= 0:
        raise ValueError(
            f"{type(task).__name__}.step: expected a positive time in ms, got {task.step!r}"
        )
