"""Lyapunov exponents as they converge along the run."""

import numpy as np
from matplotlib.axes import Axes

from rnnjax._exponents.lyapunov_exponents import Lyapunov
from rnnjax._types import Expected
from rnnjax.plot._style import FAINT, INK, label, line_colors, open_frame, prepared, side_legend

_WIDE = 10  # times the leading exponents, what makes a linear axis hide them
_NAMED = 6  # exponents that have a place in the legend


def lyapunov(given: Expected[Lyapunov], ax: Axes | None = None) -> Axes:
    """The exponents up to each time of the run, with their errors at its end.

    The axis is linear around zero, and logarithmic beyond where some exponents are far larger than the
    leading one. The bars are two standard errors each way; a dotted line marks where the leading exponent
    changed, as where chaos ended.

    Args:
        given: a `Lyapunov`, as `lyapunov_exponents` returns it.
        ax: where to draw; a new figure's unless given.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else.
        ValueError: for a batch.
    """
    if not isinstance(given, Lyapunov):
        raise TypeError(
            f"lyapunov: expected a Lyapunov, got {type(given).__name__}: draw what "
            "rnnjax.lyapunov_exponents(...) returns"
        )
    if np.ndim(given.exponents) != 1:
        raise ValueError(
            f"lyapunov: expected one spectrum, got a batch of shape {np.shape(given.exponents)[:-1]}: "
            "select one lane first"
        )
    ax = prepared(ax, (5.6, 3.4))
    times, running = np.asarray(given.times), np.asarray(given.running)
    every = given.unit.partition("/")[2]
    ax.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    for k, color in enumerate(line_colors(running.shape[1])):
        value, error = float(given.exponents[k]), float(given.standard_errors[k])
        line = ax.plot(times, running[:, k], color=color, linewidth=1.2)[0]
        line.set_gid(f"exponent {k}")
        ax.errorbar(times[-1], value, 2 * error, color=color, capsize=2.5, linewidth=1.2)
        if k < _NAMED:
            line.set_label(f"{value:.4g} ± {error:.1g}")
    if np.isfinite(given.changed_at):
        ax.axvline(
            float(given.changed_at), color=INK, linestyle=":", linewidth=1.0, label="changed"
        )
    near = 2 * max(abs(float(given.exponents[0])), float(given.resolution[0]))
    if np.max(abs(running)) > _WIDE * near:  # what is near zero is what tells
        ax.set_yscale("symlog", linthresh=near, linscale=2.0)
    ax.set_xlabel(label("time", every))
    ax.set_ylabel(label("Lyapunov exponents", given.unit))
    open_frame(ax)
    side_legend(ax)
    return ax
