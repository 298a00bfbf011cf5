"""Trials drawn from a task, and trials that can't be right."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._types import Array, Key, Shaped
from rnnjax.tasks._base import AbstractTask, Trial

Keys: TypeAlias = Shaped[Array, "lane ..."]  # one per lane, of either kind of JAX


def drawn(
    task: AbstractTask, key: Key | None, count: int, whole: bool = False
) -> tuple[Trial, Keys, Key]:
    """Trials of a task, with targets of 0 where nothing is asked; keys for noise and for the rule.

    With `whole`, of a task that has only so many trials, no trial is drawn twice: all of them
    where they are not more than `count`.
    """
    of_trials, of_noise, of_rule = jax.random.split(given(key), 3)
    known = task.every_trial() if whole else None
    if known is None:
        trials = jax.vmap(task.sample)(jax.random.split(of_trials, count))
    else:
        numbers = np.arange(known.inputs.shape[0])
        if len(numbers) > count:
            numbers = jax.random.permutation(of_trials, numbers)[:count]
        trials = jax.tree.map(lambda x: jnp.asarray(x)[numbers], known)
    return filled(trials), jax.random.split(of_noise, len(trials.inputs)), of_rule


def given(key: Key | None) -> Key:
    """The key.

    Raises:
        ValueError: without one.
    """
    if key is None:
        raise ValueError("OnTask draws its trials: give the fit key=, e.g. jax.random.key(0)")
    return key


def filled(trials: Trial) -> Trial:
    """Floats, the mask for each output, and targets of 0 where nothing is asked."""
    dtype = jnp.result_type(float)
    inputs, targets, mask = (jnp.asarray(x, dtype) for x in trials)
    if mask.ndim == targets.ndim - 1:
        mask = mask[..., None]
    mask = jnp.broadcast_to(mask, targets.shape)
    return Trial(inputs, jnp.where(mask > 0, targets, jnp.zeros_like(targets)), mask)


def check_trials(trials: Trial, task: AbstractTask) -> None:
    """Refuse trials whose shapes or numbers can't be right.

    Raises:
        ValueError: says which, and what was expected.
    """
    inputs, targets, mask = trials
    name = type(task).__name__
    for what, array, wanted in (
        ("inputs", inputs, (task.steps, task.inputs)),
        ("targets", targets, (task.steps, task.outputs)),
    ):
        if np.shape(array)[1:] != wanted:
            raise ValueError(
                f"{name}.sample: expected {what} of shape {wanted}, got {np.shape(array)[1:]}"
            )
    allowed = ((task.steps,), (task.steps, 1), (task.steps, task.outputs))
    if np.shape(mask)[1:] not in allowed:
        raise ValueError(
            f"{name}.sample: expected a mask of shape {allowed[0]} or {allowed[2]}, got "
            f"{np.shape(mask)[1:]}"
        )
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"{name}.sample: expected a mask of 1 where an output is asked for and 0 elsewhere, got "
            f"values from {np.min(mask):g} to {np.max(mask):g}: weights go into a loss= of your own"
        )
    asked = np.asarray(mask).reshape(len(targets), task.steps, -1) > 0
    bad = asked & ~np.isfinite(np.asarray(targets))
    if bad.any() or not np.isfinite(np.asarray(inputs)).all():
        raise ValueError(
            f"{name}.sample: expected finite inputs, and finite targets wherever the mask is 1, got "
            f"a trial with NaN or infinity there: set the mask to 0 where there is no target"
        )


def check_shares(trials: Trial, task: AbstractTask) -> None:
    """Refuse targets that are no shares of classes, of which cross entropy is made."""
    if task.outputs < 2 or not (trials.targets >= 0).all():
        raise ValueError(
            "OnTask: cross_entropy needs an output for each class, two at least, and targets that "
            f"are their shares, got {task.outputs} outputs and targets from "
            f"{np.min(trials.targets):g} to {np.max(trials.targets):g} of {type(task).__name__}: use "
            "mean_square"
        )
