"""The dynamics of a circuit along its training."""

import numpy as np
from matplotlib.axes import Axes

from rnnjax._training.audit import Audit
from rnnjax._types import Expected
from rnnjax.plot._style import COLORS, FAINT, open_frame, prepared, side_legend


def audit(audits: Expected[Audit], ax: Axes | None = None) -> Axes:
    """How fast each equilibrium draws in or pushes away, over the steps of a fit.

    A dot per equilibrium is its leading eigenvalue's real part, filled where it is stable; a line is
    the leading Lyapunov exponent where it was asked for, with two standard errors each way. Below
    `plot.fit(fit, ax)` on axes that share x, loss and dynamics stand on one time axis.

    Args:
        audits: an `Audit`, as in `fit(..., audit=every(k)).audits`.
        ax: where to draw; a new figure's unless given.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else.
    """
    if not isinstance(audits, Audit):
        raise TypeError(
            f"audit: expected an Audit, got {type(audits).__name__}: draw the `audits` of what "
            "rnnjax.fit(..., audit=rnnjax.every(100)) returns"
        )
    ax = prepared(ax)
    ax.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    steps = np.broadcast_to(np.asarray(audits.steps)[:, None], audits.found.shape)
    for name, of_kind, fill in (
        ("stable", audits.found & (audits.growth_rates < 0), COLORS[1]),
        ("unstable", audits.found & (audits.growth_rates >= 0), "none"),
    ):
        if of_kind.any():
            ax.plot(
                steps[of_kind], audits.growth_rates[of_kind], "o", color=COLORS[1], markersize=4.5,
                markerfacecolor=fill, label=f"{name} equilibrium", linestyle="none",
            )  # fmt: skip
    known = np.isfinite(audits.exponents)
    if known.any():
        ax.errorbar(
            audits.steps[known], audits.exponents[known], 2 * audits.exponent_errors[known],
            color=COLORS[0], linewidth=1.4, capsize=2.0, label="leading exponent",
        )  # fmt: skip
    ax.set_xlabel("step")
    ax.set_ylabel("growth rate (1/ms)")
    open_frame(ax)
    side_legend(ax)
    return ax
