"""A phase plane: nullclines, flow, trajectories and equilibria."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._equilibria.linearize import Stability
from rnnjax._equilibria.vector_field import VectorField
from rnnjax._simulation.trajectory import Trajectory
from rnnjax._types import Expected
from rnnjax.plot._columns import columns, of_trajectory
from rnnjax.plot._style import (
    COLORS,
    FAINT,
    INK,
    label,
    level_line,
    open_frame,
    prepared,
    side_legend,
)

_STABLE = (Stability.STABLE_NODE, Stability.STABLE_FOCUS)
_MARKERS = {Stability.SADDLE: "D", Stability.CENTER: "s", Stability.MARGINAL: "s"}


def phase_plane(
    field: Expected[VectorField],
    ax: Axes | None = None,
    *,
    trajectories: Expected[Trajectory | Iterable[Trajectory]] = (),
    equilibria: Expected[Equilibria | None] = None,
) -> Axes:
    r"""The flow on a plane, the nullclines $\dot x = 0$ and $\dot y = 0$, and what moves there.

    Equilibria are filled where they are stable and open where they are not; saddles are
    diamonds, and equilibria on the border of stability are squares. In circuits of more than
    two variables, trajectories and equilibria are projected onto the plane.

    Args:
        field: a `VectorField`, as `vector_field` returns it.
        ax: where to draw; a new figure's unless given.
        trajectories: a `Trajectory` or several; of a batch every lane is drawn.
        equilibria: `Equilibria`, as `find_equilibria` returns them.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else than these nouns.
        ValueError: if a trajectory or an equilibrium does not have the plane's two variables.
    """
    if not isinstance(field, VectorField):
        raise TypeError(
            f"field: expected a VectorField, got {type(field).__name__}: "
            "draw what rnnjax.vector_field(circuit, x=..., y=...) returns"
        )
    if not isinstance(equilibria, Equilibria | None):
        raise TypeError(
            f"equilibria: expected Equilibria, got {type(equilibria).__name__}: "
            "give what rnnjax.find_equilibria(...) returns"
        )
    if equilibria is not None and np.ndim(equilibria.found) != 1:
        raise ValueError(
            f"equilibria: expected those of one circuit, got a batch of shape "
            f"{np.shape(equilibria.found)[:-1]}: select one lane first"
        )
    if not isinstance(trajectories, Iterable):
        trajectories = (trajectories,)
    paths = [_pair(of_trajectory(t, "trajectories"), field, "trajectories") for t in trajectories]
    points = [] if equilibria is None else _pair(columns(equilibria.states, 1), field, "equilibria")
    ax = prepared(ax, (5.6, 4.0))
    _flow(ax, field)
    for k, slope in enumerate((field.dx, field.dy)):
        line = level_line(
            ax, field.x, field.y, slope, 0.0, f"d{field.names[k]}/dt = 0", color=COLORS[k],
            linewidth=2.0, zorder=3,
        )  # fmt: skip
        line.set_gid(f"nullcline {field.names[k]}")
    _paths(ax, paths)
    if equilibria is not None:
        _equilibria(ax, equilibria, points)
    ax.set_xlim(field.x[0], field.x[-1])
    ax.set_ylim(field.y[0], field.y[-1])
    ax.set_xlabel(label(field.names[0], field.unit))
    ax.set_ylabel(label(field.names[1], field.unit))
    open_frame(ax)
    side_legend(ax)
    return ax


def _pair(series: dict[str, np.ndarray], field: VectorField, argument: str) -> list[np.ndarray]:
    """The plane's two variables."""
    missing = [name for name in field.names if name not in series]
    if missing:
        raise ValueError(
            f"{argument}: expected states with the plane's variables {list(field.names)}, got "
            f"{list(series)[:8]}: take the field and the rest from one circuit"
        )
    return [series[name] for name in field.names]


def _flow(ax: Axes, field: VectorField) -> None:
    speed = np.hypot(field.dx, field.dy)
    if not np.isfinite(speed).any() or not np.nanmax(speed) > 0:
        return
    ax.streamplot(
        field.x, field.y, np.asarray(field.dx), np.asarray(field.dy), color=FAINT,
        linewidth=0.8, arrowsize=0.8, density=1.1, zorder=1,
    )  # fmt: skip


def _paths(ax: Axes, paths: Sequence[list[np.ndarray]]) -> None:
    lanes = [
        lane
        for x, y in paths
        for lane in zip(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), strict=True)
    ]
    for k, (x, y) in enumerate(lanes):
        name = "_" if k else ("trajectory" if len(lanes) == 1 else "trajectories")
        ax.plot(x, y, color=INK, linewidth=1.2, label=name, zorder=4)


def _equilibria(ax: Axes, equilibria: Equilibria, points: list[np.ndarray]) -> None:
    kinds = equilibria.stability
    for kind in dict.fromkeys(kinds):
        here = [k for k, each in enumerate(kinds) if each == kind]
        marker = Line2D(
            points[0][here], points[1][here], linestyle="none", marker=_MARKERS.get(kind, "o"),
            markersize=8, markeredgewidth=1.6, markeredgecolor="black",
            markerfacecolor="black" if kind in _STABLE else "white", label=str(kind), zorder=5,
        )  # fmt: skip
        ax.add_line(marker)
