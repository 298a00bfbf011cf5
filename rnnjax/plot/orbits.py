"""Periodic orbits in a bifurcation diagram: how far they swing as a parameter changes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnjax._orbits.orbit_branch import OrbitBifurcation, OrbitBranch
from rnnjax._types import Expected
from rnnjax.bifurcations._known import type_of
from rnnjax.plot._columns import columns
from rnnjax.plot._style import COLORS, label, open_frame, prepared, side_legend, unsolved

_LINE = COLORS[2]


def orbits(
    given: Expected[OrbitBranch],
    ax: Axes | None = None,
    *,
    variable: str | None = None,
    unit: str = "",
) -> Axes:
    """The extremes of the orbits of a branch: solid where they are stable, dashed where they are not.

    Folds of cycles are squares, period doublings diamonds, Neimark-Sacker points stars, grazing
    orbits triangles, at the largest value of the orbit. Drawn into the axes of `plot.branches`, they
    complete its diagram.

    Args:
        given: an `OrbitBranch`, as `continue_orbits` returns it.
        ax: where to draw; a new figure's unless given.
        variable: the name of the state's variable on the vertical axis; the first unless given.
        unit: of that variable.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else than a branch of orbits.
        ValueError: for a batch, or an unknown variable.
    """
    if not isinstance(given, OrbitBranch):
        raise TypeError(
            f"orbits: expected an OrbitBranch, got {type(given).__name__}: draw what "
            "rnnjax.continue_orbits(...) returns"
        )
    if np.ndim(given.found) != 1:
        raise ValueError(
            f"orbits: expected one branch, got a batch of shape {np.shape(given.found)[:-1]}: "
            "select one lane first"
        )
    minima, maxima = columns(given.minima, 1), columns(given.maxima, 1)
    variable = next(iter(minima)) if variable is None else variable
    if variable not in minima:
        raise ValueError(f"variable: expected one of {list(minima)[:8]}, got {variable!r}")
    ax = prepared(ax, (5.6, 3.6))
    x, stable = np.asarray(given.parameter), np.asarray(given.stable)
    for name, y in (("smallest", minima[variable]), ("largest", maxima[variable])):
        for wanted, style in ((True, "-"), (False, "--")):
            shown = np.where(stable == wanted, y, np.nan)
            joint = np.flatnonzero((stable[:-1] == wanted) & (stable[1:] != wanted)) + 1
            shown[joint] = y[joint]
            line = ax.plot(x, shown, style, color=_LINE, linewidth=1.4, zorder=2)[0]
            line.set_gid(f"{'stable' if wanted else 'unstable'} {name} {variable}")
    points = [_point(ax, point, k, variable) for k, point in enumerate(given.bifurcations)]
    ax.autoscale_view()
    if not ax.get_xlabel():  # not the axes of equilibria, which have theirs
        ax.set_xlabel(given.name)
        ax.set_ylabel(label(variable, unit))
        open_frame(ax)
    known = ax.get_legend()
    lines = [
        Line2D([], [], color=_LINE, label="stable orbit"),
        Line2D([], [], color=_LINE, linestyle="--", label="unstable orbit"),
    ]
    side_legend(
        ax,
        [
            *([] if known is None else known.legend_handles),
            *lines,
            *points,
            *unsolved(given.unsolved),
        ],
    )
    return ax


def _point(ax: Axes, point: OrbitBifurcation, k: int, variable: str) -> Line2D:
    top = columns(point.orbit.extremes[1], 0)[variable]
    marker = Line2D(
        [float(point.parameter)], [float(top)], linestyle="none",
        marker=type_of(point.label).marker, markersize=6, markeredgewidth=1.3,
        markeredgecolor=_LINE, markerfacecolor="white", zorder=5,
        label=f"{point.kind}, {float(point.parameter):.6g}",
    )  # fmt: skip
    marker.set_gid(f"{point.label} {k}")
    ax.add_line(marker)
    return marker
