"""A bifurcation diagram: where a circuit rests as a parameter changes, and what happens there."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnjax._branches.branch import Branch
from rnnjax.plot._columns import columns
from rnnjax.plot._style import COLORS, label, open_frame, prepared, side_legend

_MARKERS = {"LP": "s", "H": "o", "BP": "D", "BE": "X"}
_WORDS = {"LP": "fold", "H": "Hopf", "BP": "branch point", "BE": "boundary"}


def branches(
    given: Any, ax: Axes | None = None, *, variable: str | None = None, unit: str = ""
) -> Axes:
    """Branches of equilibria: solid where they are stable, dashed where they are not.

    Folds are squares, Hopf points circles, branch points diamonds, boundary equilibria crosses;
    supercritical ones are filled.
    Labels say where each of them is.

    Args:
        given: a `Branch` or several, as `continue_equilibria` returns them.
        ax: where to draw; a new figure's unless given.
        variable: the name of the state's variable on the vertical axis; the first unless given.
        unit: of that variable.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else than branches.
        ValueError: for a batch, branches of several parameters, or an unknown variable.
    """
    several = [given] if isinstance(given, Branch) else given
    if not isinstance(several, Iterable):
        several = [several]
    several = list(several)
    for each in several:
        if not isinstance(each, Branch):
            raise TypeError(
                f"branches: expected a Branch, got {type(each).__name__}: draw what "
                "rnnjax.continue_equilibria(...) returns"
            )
        if np.ndim(each.found) != 1:
            raise ValueError(
                f"branches: expected one branch each, got a batch of shape "
                f"{np.shape(each.found)[:-1]}: select one lane first"
            )
    if not several or len({each.name for each in several}) != 1:
        raise ValueError(
            f"branches: expected branches along one parameter, got {[b.name for b in several]}"
        )
    names = list(columns(several[0].states, 1))
    variable = names[0] if variable is None else variable
    if variable not in names:
        raise ValueError(f"variable: expected one of {names[:8]}, got {variable!r}")
    ax = prepared(ax, (5.6, 3.6))
    for each in several:
        _line(ax, each, variable)
    points = [handle for each in several for handle in _points(ax, each, variable)]
    handles = [
        Line2D([], [], color="black", label="stable"),
        Line2D([], [], color="black", linestyle="--", label="unstable"),
        *{handle.get_label(): handle for handle in points}.values(),
    ]
    ax.set_xlabel(several[0].name)
    ax.set_ylabel(label(variable, unit))
    open_frame(ax)
    side_legend(ax, handles)
    return ax


def _line(ax: Axes, branch: Branch, variable: str) -> None:
    x, y = np.asarray(branch.parameter), columns(branch.states, 1)[variable]
    stable = np.asarray(branch.stable)
    # a stretch between two points is drawn as the first of them is
    for wanted, style in ((True, "-"), (False, "--")):
        shown = np.where(stable == wanted, y, np.nan)
        joint = np.flatnonzero((stable[:-1] == wanted) & (stable[1:] != wanted)) + 1
        shown[joint] = y[joint]
        line = ax.plot(x, shown, style, color="black", linewidth=1.6, zorder=2)[0]
        line.set_gid(f"{'stable' if wanted else 'unstable'} {variable}")


def _points(ax: Axes, branch: Branch, variable: str) -> list[Line2D]:
    handles = []
    for k, point in enumerate(branch.bifurcations):
        states = columns(point.state, 0)
        color = COLORS[list(_MARKERS).index(point.label) % len(COLORS)]
        marker = Line2D(
            [float(point.parameter)], [float(states[variable])], linestyle="none",
            marker=_MARKERS.get(point.label, "^"), markersize=7, markeredgewidth=1.5,
            markeredgecolor=color, zorder=4,
            markerfacecolor=color if point.kind.startswith("super") else "white",
            label=f"{_WORDS.get(point.label, point.label)}{_kind(point)}, {float(point.parameter):.5g}",
        )  # fmt: skip
        marker.set_gid(f"{point.label} {k}")
        ax.add_line(marker)
        handles.append(marker)
    ax.autoscale_view()
    return handles


def _kind(point: Any) -> str:
    return "" if point.kind in _WORDS.values() else f" ({point.kind})"
