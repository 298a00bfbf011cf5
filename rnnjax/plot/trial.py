"""A trial of a task."""

import numpy as np
from matplotlib.axes import Axes

from rnnjax._training.perform import Performance
from rnnjax._types import Expected
from rnnjax.plot._style import FAINT, INK, line_colors, open_frame, prepared
from rnnjax.tasks._base import Trial

_HEIGHT = 0.8  # of a row, whose distance to the next one is 1
_MOST_NAMES = 16
_MOST_SCALES = 8


def trial(
    trial: Expected[Trial | Performance], ax: Axes | None = None, *, step: float = 1.0
) -> Axes:
    """The inputs and the targets over time, a row each; targets are faint where they do not count.

    Of a network on a trial its outputs are drawn over the targets, dark. A value is drawn during
    its step. Each input has its own scale if there are at most 8 of them, all targets have one; the
    bars at the right tell them. Thin lines are the zeros of the rows.

    Args:
        trial: one `Trial`, as `sample(key)` of a task returns it, or `performance[k]` of what
            `rnnjax.perform` returns.
        ax: where to draw; a new figure's unless given.
        step: time between samples, that of the task, ms; a performance knows it.

    Returns:
        The axes.

    Raises:
        TypeError: if it is not a trial.
        ValueError: for a batch, for shapes that do not fit, and for a step that is no time.
    """
    outputs = None
    if isinstance(trial, Performance):
        trial, step, outputs = trial.trials, float(np.ravel(trial.times)[0]), trial.outputs
    inputs, targets, mask = _checked(trial)
    if not np.isfinite(step) or step <= 0:
        raise ValueError(f"step: expected a positive time in ms, got {step!r}")
    count = inputs.shape[1] + targets.shape[1]
    ax = prepared(ax, (5.6, min(0.9 + 0.5 * count, 9.0)))
    edges = step * np.arange(len(inputs) + 1)
    colors = line_colors(targets.shape[1])
    shown = (inputs, [INK] * inputs.shape[1], 1.0)
    _rows(ax, edges, count - 1, [shown], shared=inputs.shape[1] > _MOST_SCALES)
    asked = np.where(mask > 0, targets, np.nan)
    faint = (targets, [FAINT] * len(colors), 1.6)
    layers = [faint, (asked, colors, 2.0)]
    if outputs is not None:
        layers.append((np.asarray(outputs, float), [INK] * len(colors), 1.0))
    _rows(ax, edges, targets.shape[1] - 1, layers, shared=True)
    names = [f"input {k}" for k in range(inputs.shape[1])]
    names += [f"target {k}" for k in range(targets.shape[1])]
    every = -(-count // _MOST_NAMES)
    ax.set_yticks(np.arange(count)[::-1][::every], names[::every])
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(-0.6, count - 0.4)
    ax.set_xlabel("time (ms)")
    ax.set_ylabel("channel")
    open_frame(ax)
    return ax


def _checked(trial: Expected[Trial]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets, and a mask for each target."""
    if not isinstance(trial, Trial):
        raise TypeError(
            f"trial: expected a Trial, got {type(trial).__name__}: draw what the sample(key) of a "
            "task returns"
        )
    inputs, targets, mask = (np.asarray(x, float) for x in trial)
    if inputs.ndim > 2:
        one = ", ".join("0" * (inputs.ndim - 2))
        raise ValueError(
            f"trial: expected a single one, got a batch of shape {inputs.shape[:-2]}: select one, "
            f"e.g. jax.tree.map(lambda x: x[{one}], trial)"
        )
    if inputs.ndim < 2 or targets.ndim != 2 or len(inputs) != len(targets):
        raise ValueError(
            "trial: expected inputs (steps, inputs) and targets (steps, outputs), got shapes "
            f"{inputs.shape} and {targets.shape}"
        )
    if mask.shape not in (targets.shape, targets.shape[:1]):
        raise ValueError(
            f"trial: expected a mask of shape {targets.shape[:1]} or {targets.shape}, got "
            f"{mask.shape}"
        )
    return inputs, targets, mask if mask.ndim == 2 else np.tile(mask[:, None], targets.shape[1])


def _rows(
    ax: Axes,
    edges: np.ndarray,
    top: int,
    layers: list[tuple[np.ndarray, list[str], float]],
    *,
    shared: bool,
) -> None:
    """One row per channel from `top` downwards, and bars that tell the scales.

    Args:
        ax: where to draw.
        edges: of the steps, in time.
        top: where the first row is.
        layers: values `(steps, channels)`, a color per channel, and a width.
        shared: whether all rows have one scale.
    """
    known = np.concatenate([drawn for drawn, _, _ in layers])
    known = np.where(np.isfinite(known), known, 0.0)
    low, high = np.minimum(known.min(0), 0.0), np.maximum(known.max(0), 0.0)
    if shared:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    high = np.where(low == high, 1.0, high)
    scale, middle = _HEIGHT / (high - low), top - np.arange(float(len(low)))
    zeros = middle - scale * (low + high) / 2
    ax.hlines(zeros, edges[0], edges[-1], colors=FAINT, linewidth=0.6, zorder=1)
    for order, (drawn, colors, width) in enumerate(layers):
        ends = zeros + scale * np.concatenate([drawn, drawn[-1:]])
        for row, color in zip(ends.T, colors, strict=True):
            ax.step(edges, row, where="post", color=color, linewidth=width, zorder=2 + order)
    for k in range(1 if shared else len(low)):
        _bar(ax, middle[k], low[k], high[k])


def _bar(ax: Axes, middle: float, low: float, high: float) -> None:
    """A bar beside a row, with the values at its ends."""
    beside = {"transform": ax.get_yaxis_transform(), "clip_on": False}
    ends = middle + np.array([-_HEIGHT / 2, _HEIGHT / 2])
    ax.plot([1.02, 1.02], ends, color=INK, linewidth=1.0, **beside)
    for at, value, side in zip(ends, (low, high), ("bottom", "top"), strict=True):
        name = f"{value + 0.0:.2g}"  # adding 0 makes -0 a 0
        ax.text(1.035, at, name, va=side, fontsize="small", color=INK, **beside)
