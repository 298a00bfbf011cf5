"""A trajectory over time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rnnjax._simulation.trajectory import Trajectory
from rnnjax._types import Expected
from rnnjax.plot._columns import field_of, of_trajectory
from rnnjax.plot._style import (
    DIVERGING,
    SEQUENTIAL,
    color_map,
    edges,
    label,
    line_colors,
    open_frame,
    prepared,
    side_legend,
)

MOST_LINES = 8


def trajectory(
    trajectory: Expected[Trajectory],
    ax: Axes | None = None,
    *,
    variables: str | Sequence[str] | None = None,
) -> Axes:
    """The state over time: a line per variable, or an image of unit by time where they are many.

    Up to 8 variables are lines. More are an image with a color bar, which is centered at 0
    where the state takes both signs; they must then belong to one field of the state.

    Args:
        trajectory: one `Trajectory`, as `simulate` returns it.
        ax: where to draw; a new figure's unless given.
        variables: fields of the state such as `"e"`, or single units of one such as
            `"state[3]"`; all of the state unless given.

    Returns:
        The axes.

    Raises:
        TypeError: if it is not a trajectory.
        ValueError: for a batch, for names that the state does not have, and for many units of
            more than one field.
    """
    series = _chosen(of_trajectory(trajectory, "trajectory"), variables)
    lanes = np.shape(trajectory.status)
    if lanes:
        raise ValueError(
            f"trajectory: expected a single one, got a batch of shape {lanes}: select one lane, "
            f"e.g. jax.tree.map(lambda x: x[{', '.join('0' * len(lanes))}], trajectory)"
        )
    fields = list(dict.fromkeys(map(field_of, series)))
    times = np.asarray(trajectory.times)
    if len(series) > MOST_LINES and len(fields) > 1:
        raise ValueError(
            f"trajectory: {len(series)} units of the fields {fields} are too many for lines: "
            f"draw one field at a time, e.g. variables={fields[0]!r}"
        )
    ax = prepared(ax, (5.6, 3.2))
    ax.set_xlabel("time (ms)")
    if len(series) > MOST_LINES:
        _image(ax, times, np.stack(list(series.values())), label(fields[0], trajectory.unit))
    else:
        _lines(ax, times, series, label(", ".join(fields), trajectory.unit))
    return ax


def _chosen(
    series: dict[str, np.ndarray], variables: str | Sequence[str] | None
) -> dict[str, np.ndarray]:
    if variables is None:
        return series
    wanted = [variables] if isinstance(variables, str) else list(variables)
    fields = list(dict.fromkeys(map(field_of, series)))
    unknown = [name for name in wanted if name not in series and name not in fields]
    if unknown or not wanted:
        raise ValueError(
            f"variables: expected some of the fields {fields}, or single units such as "
            f"{next(reversed(series))!r}, got {unknown or wanted}"
        )
    return {
        name: series[name] for each in wanted for name in series if each in (name, field_of(name))
    }


def _lines(ax: Axes, times: np.ndarray, series: dict[str, np.ndarray], name: str) -> None:
    for (each, values), color in zip(series.items(), line_colors(len(series)), strict=True):
        ax.plot(times, values, color=color, label=each, linewidth=1.5)
    ax.set_xlim(times[0], times[-1])
    ax.set_ylabel(name)
    open_frame(ax)
    if len(series) > 1:
        side_legend(ax)


def _image(ax: Axes, times: np.ndarray, values: np.ndarray, name: str) -> None:
    finite = values[np.isfinite(values)]
    scale: dict[str, Any] = {"cmap": color_map(None, SEQUENTIAL)}
    if finite.size and finite.min() < 0 < finite.max():
        most = abs(finite).max()
        scale = {"cmap": color_map(None, DIVERGING), "vmin": -most, "vmax": most}
    unit_edges = np.arange(len(values) + 1) - 0.5
    mesh = ax.pcolormesh(
        edges(times), unit_edges, np.ma.masked_invalid(values), rasterized=True, **scale
    )
    ax.set_xlim(times[0], times[-1])
    ax.set_ylim(unit_edges[0], unit_edges[-1])
    ax.set_ylabel("unit")
    ax.figure.colorbar(mesh, ax=ax, label=name)
