"""Phase response curves."""

import numpy as np
from matplotlib.axes import Axes

from rnnjax._orbits.phase import PhaseResponse
from rnnjax._types import Expected
from rnnjax.plot._columns import columns
from rnnjax.plot._style import FAINT, label, line_colors, open_frame, prepared, side_legend

_POINTS = 401


def phase_response(
    given: Expected[PhaseResponse], ax: Axes | None = None, *, variable: str | None = None
) -> Axes:
    """How far a kick to each variable moves the rhythm ahead, over the phase of the kick.

    Args:
        given: a `PhaseResponse`, as `rnnjax.phase_response` returns it.
        ax: where to draw; a new figure's unless given.
        variable: the only one to draw; all unless given.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else.
        ValueError: for an unknown variable.
    """
    if not isinstance(given, PhaseResponse):
        raise TypeError(
            f"phase_response: expected a PhaseResponse, got {type(given).__name__}: draw what "
            "rnnjax.phase_response(...) returns"
        )
    phases = np.linspace(0.0, 1.0, _POINTS)
    curves = columns(given(phases), 1)
    if variable is not None and variable not in curves:
        raise ValueError(f"variable: expected one of {list(curves)[:8]}, got {variable!r}")
    shown = curves if variable is None else {variable: curves[variable]}
    ax = prepared(ax, (5.0, 3.2))
    ax.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    for (name, curve), color in zip(shown.items(), line_colors(len(shown)), strict=True):
        ax.plot(phases, curve, color=color, linewidth=1.4, label=name)
    ax.set_xlim(0, 1)
    ax.set_xlabel("phase of the kick")
    unit = f"ms/({given.unit})" if given.unit else "ms per unit of the state"
    ax.set_ylabel(label("phase response", unit))
    open_frame(ax)
    if 1 < len(shown) <= 12:
        side_legend(ax)
    return ax
