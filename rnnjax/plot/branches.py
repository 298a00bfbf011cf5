"""A bifurcation diagram: where a circuit rests as a parameter changes, and what happens there."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnjax._branches.branch import Branch
from rnnjax._continuation.points import Bifurcation
from rnnjax._types import Expected
from rnnjax.bifurcations._known import type_of
from rnnjax.plot._columns import columns
from rnnjax.plot._style import label, open_frame, prepared, side_legend, unsolved


def branches(
    given: Expected[Branch | Iterable[Branch]],
    ax: Axes | None = None,
    *,
    variable: str | None = None,
    unit: str = "",
) -> Axes:
    """Branches of equilibria: solid where they are stable, dashed where they are not.

    Folds are squares, Hopf points circles, branch points diamonds, boundary equilibria crosses;
    supercritical ones are filled. Other types are drawn as their `marker`, `color` and `word` say.
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
        *unsolved(sum(each.unsolved for each in several)),
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
        type_ = type_of(point.label)
        marker = Line2D(
            [float(point.parameter)], [float(states[variable])], linestyle="none",
            marker=type_.marker, markersize=7, markeredgewidth=1.5, markeredgecolor=type_.color,
            markerfacecolor=type_.color if point.kind.startswith("super") else "white", zorder=4,
            label=f"{_words(point)}, {float(point.parameter):.5g}",
        )  # fmt: skip
        marker.set_gid(f"{point.label} {k}")
        ax.add_line(marker)
        handles.append(marker)
    ax.autoscale_view()
    return handles


def _words(point: Bifurcation) -> str:
    word = type_of(point.label).word or point.label
    return word if point.kind == word else f"{word} ({point.kind})"
