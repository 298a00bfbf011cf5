"""How drawings look, and the artists that several of them share. No global setting is touched."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_hex
from matplotlib.lines import Line2D

from rnnjax._types import ArrayLike, Expected, Float

# Okabe and Ito (2008), Color Universal Design; yellow, too pale for lines, comes last.
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
MISSING = "0.7"
FAINT = "0.8"
INK = "0.15"


def prepared(ax: Expected[Axes | None], size: tuple[float, float] = (5.0, 3.4)) -> Axes:
    """The axes to draw on, of a new figure if None is given.

    Raises:
        TypeError: if `ax` is not an `Axes`.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=size, layout="constrained")
    if not isinstance(ax, Axes):
        raise TypeError(
            f"ax: expected a matplotlib Axes or None, got {type(ax).__name__}: "
            "give one of those that plt.subplots() returns"
        )
    return ax


def open_frame(ax: Axes) -> None:
    """Keep the two spines that carry ticks."""
    ax.spines[["top", "right"]].set_visible(False)


def label(name: str, unit: str | None) -> str:
    """`name (unit)`, without the parentheses for numbers that have no unit."""
    return name if unit in (None, "", "1") else f"{name} ({unit})"


def line_colors(count: int) -> list[str]:
    """Distinct colors for a few lines, a sequence of them for many."""
    if count < len(COLORS):
        return list(COLORS[:count])
    scale = matplotlib.colormaps[SEQUENTIAL]
    return [to_hex(scale(0.9 * k / (count - 1))) for k in range(count)]


def color_map(name: Expected[str | Colormap | None], otherwise: str) -> Colormap:
    """A color map by name, or as it is; what is not a number comes out gray."""
    chosen = otherwise if name is None else name
    if isinstance(chosen, str):
        if chosen not in matplotlib.colormaps:
            raise ValueError(
                f"cmap: expected the name of a matplotlib color map, got {chosen!r}: "
                "matplotlib.colormaps lists them"
            )
        chosen = matplotlib.colormaps[chosen]
    if not isinstance(chosen, Colormap):
        raise TypeError(f"cmap: expected a name or a matplotlib Colormap, got {chosen!r}")
    return chosen.with_extremes(bad=MISSING)


def side_legend(ax: Axes, handles: Sequence[Artist | None] | None = None) -> None:
    """A legend beside the axes, where it hides no data."""
    given = {} if handles is None else {"handles": handles}
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, frameon=False,
        handlelength=1.6, **given,
    )  # fmt: skip


def unsolved(count: int) -> list[Line2D]:
    """What a legend says of so many places that could not be solved for: nothing if there are none."""
    return [Line2D([], [], linestyle="none", label=f"{count} unsolved")] if count else []


def level_line(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    level: float,
    label: str,
    **style: Any,
) -> Line2D:
    """The contour of `values` `(ny, nx)` at one level, as one line whose pieces NaN separates."""
    values = np.ma.masked_invalid(values)
    pieces = []
    if values.count() and values.min() < level < values.max():
        contours = ax.contour(x, y, values, levels=[level])
        pieces = [piece for piece in contours.allsegs[0] if len(piece)]
        contours.remove()
    gap = np.full((1, 2), np.nan)
    points = np.concatenate([part for piece in pieces for part in (piece, gap)] or [gap])
    name = label if pieces else f"{label} (not in view)"
    return ax.plot(points[:, 0], points[:, 1], label=name, **style)[0]


def edges(centers: Float[ArrayLike, " cell"], logarithmic: bool = False) -> np.ndarray:
    """The borders of cells around `centers` (in order), one more than there are cells."""
    at = np.log(centers) if logarithmic else np.asarray(centers, float)
    if len(at) == 1:
        at = np.array([at[0] - 0.5, at[0] + 0.5])
    else:
        middle = (at[1:] + at[:-1]) / 2
        at = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return np.exp(at) if logarithmic else at
