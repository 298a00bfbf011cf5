"""The loss of a fit over its steps."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from rnnjax._training.fit import Fit

from rnnjax._results import Status
from rnnjax._types import Expected
from rnnjax.plot._style import COLORS, FAINT, open_frame, prepared, side_legend


def fit(fit: Expected["Fit"], ax: Axes | None = None) -> Axes:
    """The loss over the steps, on a logarithmic scale where all of it is positive.

    Of several seeds the one with the lowest validation is set off, or, without any, the one that ends
    lowest. A seed that failed ends with a cross. Dots are the validations of one fit, or of the seed
    that is set off. The loss in training is as forced, validations are of the network by itself.

    Args:
        fit: a `Fit`: `losses`, `(steps,)` or `(seeds, steps)`, and `status`, one per seed.
        ax: where to draw; a new figure's unless given.

    Returns:
        The axes.

    Raises:
        TypeError: if it has no losses or no status.
        ValueError: for losses of another shape.
    """
    if not hasattr(fit, "losses") or not hasattr(fit, "status"):
        raise TypeError(
            f"fit: expected a Fit, with `losses` and `status`, got {type(fit).__name__}: "
            "draw what rnnjax.fit(...) returns"
        )
    losses = np.asarray(fit.losses, float)
    if losses.ndim not in (1, 2) or not losses.size:
        raise ValueError(
            f"fit: expected losses of shape (steps,) or (seeds, steps), got {losses.shape}: "
            "select along the other axes first"
        )
    losses = np.atleast_2d(losses)
    status = np.ravel(np.asarray(fit.status))
    if len(status) not in (1, len(losses)):
        raise ValueError(
            f"fit: expected one status per seed, {len(losses)} of them, got {len(status)}"
        )
    failed = np.broadcast_to(status != Status.OK, len(losses))
    ax = prepared(ax)
    checked = np.atleast_2d(np.asarray(getattr(fit, "validations", np.nan), float))
    best = _curves(ax, losses, failed, checked)
    best = 0 if len(losses) == 1 else best
    judged = best is not None and len(checked) == len(losses)
    shown = checked[best] if judged else np.full(1, np.nan)
    known = np.isfinite(shown)
    if known.any():
        ax.plot(
            np.flatnonzero(known), shown[known], "o", color=COLORS[0], markersize=3.5,
            label="validation", zorder=5,
        )  # fmt: skip
    finite = losses[np.isfinite(losses)]
    if finite.size and finite.min() > 0:
        ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    open_frame(ax)
    if len(losses) > 1 or failed.any() or known.any():
        side_legend(ax)
    return ax


def _curves(ax: Axes, losses: np.ndarray, failed: np.ndarray, checked: np.ndarray) -> int | None:
    """Draw the losses; the number of the one that is set off, None where all have failed."""
    steps = np.arange(losses.shape[1])
    ends = [_last(row) for row in losses]
    good = [k for k in range(len(losses)) if not failed[k] and ends[k] >= 0]
    worth = [losses[k, ends[k]] for k in range(len(losses))]
    if len(checked) == len(losses) and np.isfinite(checked).any():
        worth = np.where(np.isfinite(checked), checked, np.inf).min(1)
    best = min(good, key=lambda k: worth[k], default=None)
    named, first = set(), "best seed" if len(losses) > 1 else "training"
    for k, row in enumerate(losses):
        name = "failed" if failed[k] else first if k == best else "other seeds"
        color = {"failed": COLORS[0], first: COLORS[1]}.get(name, FAINT)
        front = {"failed": 3, first: 4}.get(name, 2)
        shown = "_" if name in named else name
        named.add(name)
        ax.plot(steps, row, color=color, linewidth=1.6, label=shown, zorder=front)
        if failed[k] and ends[k] >= 0:
            ax.plot(
                ends[k], row[ends[k]], "X", color=color, markersize=8, markeredgecolor="white",
                zorder=5,
            )  # fmt: skip
    return best


def _last(row: np.ndarray) -> int:
    """The last step whose loss is finite, -1 if there is none."""
    finite = np.flatnonzero(np.isfinite(row))
    return int(finite[-1]) if finite.size else -1
