"""A two-parameter diagram: where folds and Hopf points are in the plane of two parameters."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnjax._continuation.points import Bifurcation
from rnnjax._diagrams.curve import Curve
from rnnjax._types import Expected
from rnnjax.bifurcations._known import type_of
from rnnjax.plot._style import label, open_frame, prepared, side_legend, unsolved


def curves(
    given: Expected[Curve | Iterable[Curve]],
    ax: Axes | None = None,
    *,
    units: tuple[str, str] = ("", ""),
) -> Axes:
    """Curves of folds and of Hopf points, and the points of two parameters on them.

    Subcritical Hopf points are dashed.

    Args:
        given: a `Curve` or several, as `continue_bifurcation` returns them.
        ax: where to draw; a new figure's unless given.
        units: of the two parameters.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else than curves.
        ValueError: for a batch, or curves of other parameters.
    """
    several = [given] if isinstance(given, Curve) else given
    several = list(several) if isinstance(several, Iterable) else [several]
    for each in several:
        if not isinstance(each, Curve):
            raise TypeError(
                f"curves: expected a Curve, got {type(each).__name__}: draw what "
                "rnnjax.continue_bifurcation(...) returns"
            )
        if np.ndim(each.found) != 1:
            raise ValueError(
                f"curves: expected one curve each, got a batch of shape {np.shape(each.found)[:-1]}: "
                "select one lane first"
            )
    if not several or len({each.names for each in several}) != 1:
        raise ValueError(
            f"curves: expected curves of the same two parameters, got {[c.names for c in several]}"
        )
    ax = prepared(ax, (5.6, 3.8))
    handles = {}
    for each in several:
        for line in _lines(ax, each):
            handles.setdefault(line.get_label(), line)
    for k, point in enumerate(_once(several)):
        marker = _marker(ax, point, k)
        handles.setdefault(marker.get_label(), marker)
    ax.autoscale_view()
    for axis, name, unit in zip("xy", several[0].names, units, strict=True):
        getattr(ax, f"set_{axis}label")(label(name, unit))
    open_frame(ax)
    more = unsolved(sum(each.unsolved for each in several))
    side_legend(ax, [*handles.values(), *more])
    return ax


def _lines(ax: Axes, curve: Curve) -> list[Line2D]:
    x, y = np.asarray(curve.parameters).T
    type_ = type_of(curve.label)
    color, words = type_.color, type_.plural or curve.label
    if not type_.signed:
        line = ax.plot(x, y, "-", color=color, linewidth=1.6, label=words)[0]
        line.set_gid(curve.label)
        return [line]
    # a stretch between two points is drawn as the first of them is
    known = np.flatnonzero(np.isfinite(curve.coefficient))
    nearest = known[abs(np.arange(len(x))[:, None] - known).argmin(1)]  # none at frequency zero
    below, lines = np.asarray(curve.coefficient)[nearest] < 0, []
    for wanted, style, kind in ((True, "-", "super"), (False, "--", "sub")):
        here = below == wanted
        shown = here | np.append(False, here[:-1])
        if here.any():
            line = ax.plot(
                np.where(shown, x, np.nan), y, style, color=color, linewidth=1.6,
                label=f"{words}, {kind}critical",
            )[0]  # fmt: skip
            line.set_gid(f"{curve.label} {kind}critical")
            lines.append(line)
    return lines


def _once(several: Sequence[Curve]) -> list[Bifurcation]:
    """The points of all curves, each once."""
    found: list[Bifurcation] = []
    for curve in several:
        span = np.ptp(curve.parameters, 0) + 1e-300
        for point in curve.bifurcations:
            same = (
                p.label == point.label and (abs(p.parameter - point.parameter) < 1e-5 * span).all()
                for p in found
            )
            if not any(same):
                found.append(point)
    return found


def _marker(ax: Axes, point: Bifurcation, k: int) -> Line2D:
    x, y = (float(p) for p in np.ravel(point.parameter))
    type_ = type_of(point.label)
    marker = Line2D(
        [x], [y], linestyle="none", marker=type_.marker, markersize=7, zorder=4,
        markeredgecolor="black", markeredgewidth=1.2, markerfacecolor="white",
        label=f"{type_.word or point.label} ({point.label})",
    )  # fmt: skip
    marker.set_gid(f"{point.label} {k}")
    ax.add_line(marker)
    ax.annotate(
        point.label, (x, y), xytext=(5, 4), textcoords="offset points", fontsize="small", zorder=5
    )
    return marker
