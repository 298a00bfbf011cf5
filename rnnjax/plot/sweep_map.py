"""A swept measure over two axes."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import matplotlib.patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rnnjax._types import Expected
from rnnjax.plot._labeled import Labeled, Side, categories, checked, side, value_label
from rnnjax.plot._style import (
    COLORS,
    DIVERGING,
    MISSING,
    SEQUENTIAL,
    color_map,
    edges,
    level_line,
    prepared,
)

# areas want paler colors first, black and vermillion last
_AREAS = tuple(COLORS[k] for k in (5, 4, 2, 1, 3, 7, 0, 6))
_LINES = (("black", "-"), ("#D55E00", "--"), ("#0072B2", "-."), ("#CC79A7", ":"))

Overlay: TypeAlias = Expected[tuple[Labeled | np.ndarray, float]]  # values and the level of a line


def sweep_map(
    array: Expected[Labeled],
    ax: Axes | None = None,
    *,
    contours: Mapping[str, Overlay] | None = None,
    cmap: Expected[str | Colormap | None] = None,
    diverging: bool = False,
    levels: Expected[int | Sequence[float] | np.ndarray | None] = None,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """A swept measure as colors over the two axes that it was swept along.

    The first dimension runs along x; draw `array.T` to exchange them. Points without a value
    are gray. An axis spaced by equal ratios is logarithmic. Arrays of booleans, and those with
    the attributes `flag_values` and `flag_meanings` of the CF conventions, get one color per
    category, the same in every map.

    Args:
        array: an `xarray.DataArray` with two dimensions, labelled by the attributes `long_name`
            and `units` of it and of its coordinates.
        ax: where to draw; a new figure's unless given.
        contours: label -> (values, level): lines where the values take the level. Values are a
            `DataArray` with the same dimensions, in any order, or an array of the shape of
            `array`.
        cmap: a color map or its name.
        diverging: center the colors at 0.
        levels: draw steps of color: how many at most, or their borders.
        limits: values of the first and the last color; those of the data unless given.

    Returns:
        The axes.

    Raises:
        TypeError: if it is not a labelled array of numbers.
        ValueError: for another shape, and for options that do not fit.
    """
    array = checked(array, 2, "select along the others, e.g. with .isel(...); see also sweep_curve")
    x, y = (side(array, dim) for dim in array.dims)
    values = np.asarray(array.values, float)[np.ix_(x.order, y.order)].T
    lines = {name: _overlay(name, given, array) for name, given in (contours or {}).items()}
    kinds = categories(array)
    if kinds is not None and (diverging or levels is not None or limits is not None):
        raise ValueError(
            "diverging, levels and limits are for numbers, and this array is categorical: leave "
            "them out, or drop its flag_values with .drop_attrs()"
        )
    if kinds is None:
        shown, colors, norm = values, *_scale(values, cmap, diverging, levels, limits)
    else:
        shown, colors, norm = _indexed(values, kinds, cmap)
    ax = prepared(ax, (5.6, 4.2))
    mesh = ax.pcolormesh(
        edges(x.values, x.logarithmic), edges(y.values, y.logarithmic),
        np.ma.masked_invalid(shown), cmap=colors, norm=norm, rasterized=True,
    )  # fmt: skip
    bar = ax.figure.colorbar(mesh, ax=ax, label=value_label(array))
    if kinds is not None:
        present = [k for k, value in enumerate(kinds) if (values == value).any()]
        bar.set_ticks(range(len(present)), labels=[list(kinds.values())[k] for k in present])
        bar.ax.tick_params(length=0)
        bar.ax.minorticks_off()
    _finish(ax, x, y, lines, bool(np.isnan(shown).any()))
    return ax


def _overlay(name: str, given: Overlay, array: Labeled) -> tuple[Side, Side, np.ndarray, float]:
    """A contour's axes, values `(y, x)` and level."""
    try:
        drawn, level = given
        level = float(level)
    except (TypeError, ValueError):
        raise ValueError(
            f"contours: expected (values, level) for {name!r}, got {type(given).__name__}: "
            "give e.g. (data['growth'], 0.0)"
        ) from None
    values: Any = drawn
    if not hasattr(drawn, "dims"):
        if np.shape(values) != array.shape:
            raise ValueError(
                f"contours: expected {name!r} on the map's grid {dict(array.sizes)}, got shape "
                f"{np.shape(values)}"
            )
        values = array.copy(data=np.asarray(values))
    if set(values.dims) != set(array.dims):
        raise ValueError(
            f"contours: expected {name!r} over {list(array.dims)}, got {list(values.dims)}"
        )
    if min(values.shape) < 2:
        raise ValueError(f"contours: {name!r} needs two points along each axis, got {values.shape}")
    values = values.transpose(*array.dims)
    x, y = (side(values, dim) for dim in array.dims)
    return x, y, np.asarray(values.values, float)[np.ix_(x.order, y.order)].T, level


def _scale(
    values: np.ndarray,
    cmap: Expected[str | Colormap | None],
    diverging: bool,
    levels: Expected[int | Sequence[float] | np.ndarray | None],
    limits: tuple[float, float] | None,
) -> tuple[Colormap, Normalize]:
    colors = color_map(cmap, DIVERGING if diverging else SEQUENTIAL)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if limits is not None:
        low, high = limits
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError(f"limits: expected (low, high) with low < high, got {limits}")
    if diverging:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    if levels is None:
        return colors, Normalize(low, high)
    borders = np.asarray(levels, float)
    if borders.ndim == 0:
        borders = MaxNLocator(int(borders)).tick_values(low, high)
    if len(borders) < 2 or (np.diff(borders) <= 0).any():
        raise ValueError(f"levels: expected a number, or increasing borders, got {levels}")
    outside = (low < borders[0], high > borders[-1])
    extend: Any = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        outside, "neither"
    )
    return colors, BoundaryNorm(borders, colors.N, extend=extend)


def _indexed(
    values: np.ndarray, kinds: dict[int, str], cmap: Expected[str | Colormap | None]
) -> tuple[np.ndarray, Colormap, Normalize]:
    """Places of the categories that occur, each in the color that it has in every map."""
    if cmap is None and len(kinds) <= len(_AREAS):
        palette: list[Any] = list(_AREAS[: len(kinds)])
    else:
        scale = color_map(cmap, SEQUENTIAL)
        palette = [scale(k / max(len(kinds) - 1, 1)) for k in range(len(kinds))]
    present = [value for value in kinds if (values == value).any()]
    shown = np.full(values.shape, np.nan)
    for place, value in enumerate(present):
        shown[values == value] = place
    chosen = [color for value, color in zip(kinds, palette, strict=True) if value in present]
    borders = np.arange(max(len(present), 1) + 1) - 0.5
    colors = ListedColormap(chosen or [MISSING]).with_extremes(bad=MISSING)
    return shown, colors, BoundaryNorm(borders, len(borders) - 1)


def _finish(
    ax: Axes, x: Side, y: Side, lines: dict[str, tuple[Side, Side, np.ndarray, float]], gray: bool
) -> None:
    """Scales, labels, contours and the legend, in the corner that the contours leave free."""
    halo = matplotlib.patheffects.withStroke(linewidth=4.0, foreground="white", alpha=0.85)
    handles: list[Any] = []
    for k, (name, (along, up, values, level)) in enumerate(lines.items()):
        color, dashes = _LINES[k % len(_LINES)]
        line = level_line(
            ax, along.values, up.values, values, level, name, color=color, linestyle=dashes,
            linewidth=1.8, path_effects=[halo] if k == 0 else None,
        )  # fmt: skip
        handles.append(line)
    if x.logarithmic:
        ax.set_xscale("log")
    if y.logarithmic:
        ax.set_yscale("log")
    ax.set_xlim(*edges(x.values, x.logarithmic)[[0, -1]])
    ax.set_ylim(*edges(y.values, y.logarithmic)[[0, -1]])
    ax.set_xlabel(x.label)
    ax.set_ylabel(y.label)
    if gray:
        handles.append(Patch(facecolor=MISSING, label="no value"))
    if handles:
        ax.legend(handles=handles, loc=_free_corner(ax), framealpha=0.9, edgecolor="none")


def _free_corner(ax: Axes) -> Any:
    """The corner with the fewest points of the lines drawn."""
    drawn = [np.asarray(line.get_xydata()) for line in ax.get_lines()]
    points = np.concatenate([np.zeros((0, 2)), *drawn])
    points = points[np.isfinite(points).all(axis=1)]
    if len(points):
        points = ax.transAxes.inverted().transform(ax.transData.transform(points))
    corners = {(1, 1): "upper right", (0, 1): "upper left", (0, 0): "lower left"}
    corners[1, 0] = "lower right"
    near = [(abs(points - corner) < (0.5, 0.35)).all(axis=1).sum() for corner in corners]
    return list(corners.values())[int(np.argmin(near))]
