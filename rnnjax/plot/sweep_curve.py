"""A swept measure over one axis."""

import numpy as np
from matplotlib.axes import Axes

from rnnjax._types import Expected
from rnnjax.plot._labeled import Labeled, categories, checked, side, value_label
from rnnjax.plot._style import COLORS, open_frame, prepared


def sweep_curve(array: Expected[Labeled], ax: Axes | None = None) -> Axes:
    """A swept measure over the one axis that it was swept along.

    Points without a value leave gaps; an axis spaced by equal ratios is logarithmic. Arrays
    with the attributes `flag_values` and `flag_meanings` are marked by category.

    Args:
        array: an `xarray.DataArray` with one dimension, labelled by the attributes
            `long_name` and `units` of it and of its coordinate.
        ax: where to draw; a new figure's unless given.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: for other arrays.
    """
    array = checked(array, 1, "select along the others, e.g. with .isel(...), or use sweep_map")
    x, kinds = side(array, array.dims[0]), categories(array)
    values = np.asarray(array.values, float)[x.order]
    ax = prepared(ax)
    if kinds is None:
        marker = "o" if len(values) <= 40 else ""
        ax.plot(x.values, values, color=COLORS[1], linewidth=1.6, marker=marker, markersize=4)
    else:
        present = [value for value in kinds if (values == value).any()]
        rows = {value: row for row, value in enumerate(present)}
        heights = [rows.get(v, np.nan) for v in values]
        ax.plot(x.values, heights, linestyle="none", marker="o", markersize=5, color=COLORS[1])
        ax.set_yticks(range(len(present)), [kinds[value] for value in present])
        ax.set_ylim(-0.5, max(len(present), 1) - 0.5)
    if x.logarithmic:
        ax.set_xscale("log")
    ax.set_xlabel(x.label)
    ax.set_ylabel(value_label(array))
    open_frame(ax)
    return ax
