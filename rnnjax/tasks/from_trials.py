"""Trials that one has: recorded ones, or those of another library."""

from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from rnnjax._gate import one_number, own_numbers
from rnnjax._machine.verb import verb
from rnnjax._parameter import counted, parameter
from rnnjax._types import ArrayLike, Key, Shaped
from rnnjax.tasks._base import AbstractTask, Trial

Table: TypeAlias = Shaped[ArrayLike, "..."] | list[Any]  # an array, or lists of numbers


class FromTrials(AbstractTask):
    r"""Given trials, one of which is drawn, all alike.

    $(u, y^*, m) = (u, y^*, m)_k$ with $k$ uniform on $\{0, \dots, K - 1\}$

    Without arguments: two trials of ten steps, in which a pulse of $\pm 1$ is to be remembered.

    Args:
        inputs: `(trials, steps, inputs)`.
        targets: `(trials, steps, outputs)`. NaN where there is nothing to say, which the mask must
            leave out; it is kept as 0.
        mask: 1 where an output is asked for, else 0: `(trials, steps)` for all outputs alike, or
            `(trials, steps, outputs)`. Without one, what is finite in the targets.
        step: time between samples, ms.

    Raises:
        TypeError: if inputs come without targets.
        ValueError: for shapes that do not fit, inputs that are not finite, targets that are not
            finite where the mask is 1, a mask of other numbers than 0 and 1, or one without any 1.

    References:
        The task is the user's own. `from_environment` takes those of NeuroGym: Molano-Mazon and
        others (2022), https://neurogym.github.io.
    """

    trials: Trial = parameter(unit="1", doc="inputs, targets and mask")
    step: float = eqx.field(static=True, default=1.0)

    def __init__(
        self,
        inputs: Table | None = None,
        targets: Table | None = None,
        mask: Table | None = None,
        *,
        step: float = 1.0,
    ):
        if inputs is None and targets is None:
            inputs, targets, mask = _remembered_pulses()
        if inputs is None or targets is None:
            raise TypeError(
                "FromTrials: expected inputs and targets, got only one of them: give both, "
                "FromTrials(inputs, targets)"
            )
        self.trials = _checked(inputs, targets, mask)
        self.step = one_number(step, "FromTrials.step", "ms", finite=False)

    @classmethod
    def from_environment(cls, env: Any, trials: int, seed: int = 0) -> "FromTrials":
        """`trials` trials of a NeuroGym environment.

        Its observations are the inputs. Its ground truth is the target: a channel per choice which
        is 1 while that choice is right, or the numbers themselves where they are no choices.
        Trials shorter than the longest are filled up with zeros, for which nothing is asked. The
        step is the environment's.

        Args:
            env: an environment with `new_trial()`, after which `ob` and `gt` are those of the
                trial, and `dt` in ms; as made by `neurogym.make(...)`.
            trials: how many.
            seed: of the environment.

        Raises:
            ValueError: if it has no such thing, or a trial has no ground truth for each step.
        """
        counted(trials, "trials")
        inner = getattr(env, "unwrapped", env)
        # wrappers of NeuroGym have their own trials, those of Gymnasium hide the environment's
        source = env if hasattr(type(env), "new_trial") else inner
        if not hasattr(source, "new_trial") or not hasattr(inner, "dt"):
            raise ValueError(
                "env: expected a NeuroGym environment, with new_trial(), ob, gt and dt, got "
                f"{type(env).__name__}"
            )
        if hasattr(inner, "seed"):
            inner.seed(seed)
        drawn = []
        for _ in range(trials):
            source.new_trial()
            drawn.append(_observed(inner))
        choices = getattr(getattr(inner, "action_space", None), "n", None)
        return cls(*_padded(drawn, choices), step=float(inner.dt))

    @property
    def inputs(self) -> int:
        """The number of input channels."""
        return self.trials.inputs.shape[-1]

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return self.trials.targets.shape[-1]

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        return self.trials.inputs.shape[-2]

    @verb
    def sample(self, key: Key) -> Trial:
        """One of the trials."""
        dtype = jnp.result_type(float)
        number = jax.random.randint(key, (), 0, self.trials.inputs.shape[0])
        return jax.tree.map(lambda x: jnp.asarray(x, dtype)[number], self.trials)

    def every_trial(self) -> Trial:
        """All of them."""
        return self.trials


def _remembered_pulses() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    signs, time = np.array([1.0, -1.0])[:, None, None], np.arange(10)[None, :, None]
    mask = np.broadcast_to(time[..., 0] >= 5, (2, 10))
    return signs * (time < 2), signs * np.ones((1, 10, 1)), mask


def _checked(
    given: Table,
    wanted: Table,
    mask: Table | None,
) -> Trial:
    inputs = own_numbers(given, "FromTrials.inputs")
    targets = own_numbers(
        wanted, "FromTrials.targets", gaps="give mask=, or x.filled(np.nan): nothing is asked there"
    )
    if inputs.ndim != 3 or not inputs.size:
        raise ValueError(
            f"FromTrials.inputs: expected (trials, steps, inputs), got shape {inputs.shape}"
        )
    count, steps, _ = inputs.shape
    if targets.ndim != 3 or targets.shape[:2] != (count, steps) or not targets.size:
        raise ValueError(
            f"FromTrials.targets: expected ({count}, {steps}, outputs) for inputs of {count} "
            f"trials with {steps} steps, got shape {targets.shape}"
        )
    if not np.isfinite(inputs).all():
        raise ValueError(
            f"FromTrials.inputs: expected finite numbers, got {_missing(~np.isfinite(inputs))}"
        )
    finite = np.isfinite(targets)
    asked_for = own_numbers(finite if mask is None else mask, "FromTrials.mask")
    if asked_for.shape not in (targets.shape, targets.shape[:2], (*targets.shape[:2], 1)):
        raise ValueError(
            f"FromTrials.mask: expected {targets.shape[:2]} or {targets.shape}, got shape "
            f"{asked_for.shape}"
        )
    if not np.isin(asked_for, (0.0, 1.0)).all() or not asked_for.any():
        raise ValueError(
            "FromTrials.mask: expected 1 where an output is asked for and 0 elsewhere, with a 1 "
            f"at least once, got values from {asked_for.min():g} to {asked_for.max():g}"
        )
    asked = (
        np.broadcast_to(asked_for if asked_for.ndim == 3 else asked_for[..., None], targets.shape)
        > 0
    )
    empty = np.flatnonzero(~asked.any((1, 2)))
    if len(empty):
        raise ValueError(
            f"FromTrials.mask: expected a 1 in every trial, got none in {len(empty)} of them, the "
            f"first is trial {empty[0]}: leave them out"
        )
    if (asked & ~finite).any():
        raise ValueError(
            "FromTrials.targets: expected finite numbers where the mask is 1, got "
            f"{_missing(asked & ~finite)}: set the mask to 0 there"
        )
    return Trial(inputs, np.where(finite, targets, 0.0), asked_for)


def _missing(bad: Bool[np.ndarray, "trials steps channels"]) -> str:
    trial, step, channel = (int(k) for k in np.argwhere(bad)[0])
    return (
        f"{int(bad.sum())} that are NaN or infinite, the first in trial {trial}, step {step}, "
        f"channel {channel}"
    )


def _observed(env: Any) -> tuple[np.ndarray, np.ndarray]:
    """The observations of the trial that an environment has, and its ground truth."""
    seen, truth = (np.array(getattr(env, name, np.nan)) for name in ("ob", "gt"))
    if not seen.ndim or not truth.ndim or len(seen) != len(truth):
        raise ValueError(
            "env: expected observations `ob` and a ground truth `gt` for each step of a trial, got "
            f"shapes {seen.shape} and {truth.shape}: is it an environment with supervision?"
        )
    return np.reshape(seen, (len(seen), -1)), truth


def _padded(
    drawn: list[tuple[np.ndarray, np.ndarray]], choices: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets and mask of trials of several lengths; whole numbers become one-hot."""
    longest = max(len(seen) for seen, _ in drawn)
    if all(np.issubdtype(truth.dtype, np.integer) and truth.ndim == 1 for _, truth in drawn):
        kinds = np.arange(max(choices or 0, *(1 + int(truth.max()) for _, truth in drawn)))
        drawn = [(seen, truth[:, None] == kinds) for seen, truth in drawn]

    def filled(x: np.ndarray) -> np.ndarray:
        flat = np.reshape(x, (len(x), -1)).astype(np.float64)
        return np.pad(flat, ((0, longest - len(flat)), (0, 0)))

    inputs, targets = (np.stack([filled(pair[k]) for pair in drawn]) for k in (0, 1))
    lengths = np.array([len(seen) for seen, _ in drawn])
    return inputs, targets, np.arange(longest) < lengths[:, None]
