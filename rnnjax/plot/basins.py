"""A map of basins: from where a circuit goes where."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rnnjax._basins.basins import Basins
from rnnjax._equilibria.linearize import Stability
from rnnjax._types import Expected
from rnnjax.plot._columns import columns
from rnnjax.plot._style import COLORS, SEQUENTIAL, edges, label, open_frame, prepared, side_legend

_AREAS = tuple(COLORS[k] for k in (5, 4, 2, 3, 1, 7, 0))  # paler colors first
_OTHERS = {Basins.MOVING: "0.88", Basins.NOT_SETTLED: "0.55", Basins.FAILED: "0.15"}
_STABLE = (Stability.STABLE_NODE, Stability.STABLE_FOCUS)
_MARKERS = {Stability.SADDLE: "D", Stability.CENTER: "s", Stability.MARGINAL: "s"}


def basins(
    given: Expected[Basins], ax: Axes | None = None, *, variables: Sequence[str] | None = None
) -> Axes:
    """Where starts lead to, in color: areas of a grid, points of a sample.

    Starts that keep moving are pale gray, those that did not settle darker, failed ones darkest.
    Equilibria are drawn as in a phase plane, with their number: filled where they are stable, open
    where they are not, saddles as diamonds.

    Args:
        given: `Basins`, as `rnnjax.basins` returns them; of a grid over two variables, or of a
            sample.
        ax: where to draw; a new figure's unless given.
        variables: of a sample, the two variables of the plane; the first two that vary unless
            given.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else.
        ValueError: for a grid that is not over two variables, or unknown variables.
    """
    if not isinstance(given, Basins):
        raise TypeError(
            f"basins: expected Basins, got {type(given).__name__}: draw what rnnjax.basins(...) "
            "returns"
        )
    starts = columns(given.starts, 1)
    x, y = _plane(given, variables, list(starts))
    colors = _colors(given)
    ax = prepared(ax, (5.6, 4.2))
    if given.grid:
        _areas(ax, given, colors)
    else:
        for k in given.outcomes:
            here = given.label == k
            ax.plot(
                starts[x][here], starts[y][here], ".", markersize=3.5, color=colors[k], zorder=1
            )[0].set_gid(f"starts {given.name(k)}")
    handles: list[Any] = [
        Patch(facecolor=colors[k], edgecolor="none", label=given.name(k)) for k in given.outcomes
    ]
    handles += _equilibria(ax, given, x, y)
    ax.set_xlabel(label(x, given.unit))
    ax.set_ylabel(label(y, given.unit))
    open_frame(ax)
    side_legend(ax, handles)
    return ax


def _plane(given: Basins, variables: Sequence[str] | None, names: list[str]) -> tuple[str, str]:
    """The names of the two variables."""
    if given.grid:
        if len(given.grid) != 2:
            raise ValueError(
                f"basins: expected a grid over two variables, got one over {list(given.varied)}: "
                "draw a slice of given.to_xarray().label with sweep_map, or take a sample"
            )
        chosen = given.varied
        if variables is not None and tuple(variables) != tuple(chosen):
            raise ValueError(f"variables: the grid is over {list(chosen)}, got {variables}")
        return chosen[0], chosen[1]
    rest = [name for name in names if name not in given.varied]
    chosen = tuple(variables) if variables is not None else (*given.varied, *rest)[:2]
    if len(chosen) != 2 or len(set(chosen)) != 2 or not set(chosen) <= set(names):
        raise ValueError(f"variables: expected two of {names[:8]}, got {list(chosen)}")
    return chosen[0], chosen[1]


def _colors(given: Basins) -> dict[int, str]:
    """A color for each outcome: attractors in the order of their numbers."""
    resting = [k for k in given.outcomes if k >= 0]
    if len(resting) <= len(_AREAS):
        palette = list(_AREAS)
    else:
        scale = matplotlib.colormaps[SEQUENTIAL]
        palette = [to_hex(scale(k / (len(resting) - 1))) for k in range(len(resting))]
    return dict(zip(resting, palette, strict=False)) | _OTHERS


def _areas(ax: Axes, given: Basins, colors: dict[int, str]) -> None:
    shown = np.searchsorted(sorted(given.outcomes), given.label)
    palette = ListedColormap([colors[k] for k in sorted(given.outcomes)])
    first, second = (np.argsort(v, kind="stable") for v in given.grid)
    values = shown.reshape(len(first), len(second))[np.ix_(first, second)]
    ax.pcolormesh(
        edges(given.grid[0][first]), edges(given.grid[1][second]), values.T, cmap=palette,
        norm=BoundaryNorm(np.arange(palette.N + 1) - 0.5, palette.N), rasterized=True, zorder=0,
    )  # fmt: skip


def _equilibria(ax: Axes, given: Basins, x: str, y: str) -> list[Line2D]:
    """A marker each, with its number, where the axes reach; one handle for each kind."""
    kinds = given.attractors.stability
    places = columns(given.attractors.states, 1)
    handles: dict[str, Line2D] = {}
    limits = ax.get_xlim(), ax.get_ylim()
    for k, kind in enumerate(kinds):
        at = float(places[x][k]), float(places[y][k])
        if not all(low <= v <= high for v, (low, high) in zip(at, limits, strict=True)):
            continue
        marker = Line2D(
            [at[0]], [at[1]], linestyle="none", marker=_MARKERS.get(kind, "o"), markersize=7,
            markeredgewidth=1.5, markeredgecolor="black", zorder=3,
            markerfacecolor="black" if kind in _STABLE else "white", label=str(kind),
        )  # fmt: skip
        marker.set_gid(f"equilibrium {k}")
        ax.add_line(marker)
        ax.annotate(str(k), at, (6, 4), textcoords="offset points", zorder=4)
        handles.setdefault(str(kind), marker)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    return list(handles.values())
