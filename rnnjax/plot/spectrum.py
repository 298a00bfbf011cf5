"""Eigenvalues in the complex plane."""

from typing import Any

import numpy as np
from jaxtyping import Inexact
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from rnnjax._equilibria.linearize import Linearization
from rnnjax._types import ArrayLike, Expected
from rnnjax.plot._style import COLORS, INK, label, open_frame, prepared, side_legend

_ON_THE_BOUNDARY = 1e-9  # relative distance
_SQUARE = 3.0  # aspect ratios up to this one are drawn to scale


def spectrum(
    eigenvalues: Expected[Linearization | Inexact[ArrayLike, " n"]],
    ax: Axes | None = None,
    *,
    boundary: float = 0.0,
    unit: str | None = None,
) -> Axes:
    r"""Eigenvalues $\lambda$, and the line that parts growth from decay.

    Args:
        eigenvalues: a `Linearization`, or an array `(n,)` of eigenvalues.
        ax: where to draw; a new figure's unless given.
        boundary: the real part at which growth begins: 0 for a linearization, 1 for the
            eigenvalues of a connectivity.
        unit: the eigenvalues' unit; 1/ms for a linearization and none for an array unless given.

    Returns:
        The axes.

    Raises:
        TypeError: if there are no numbers to draw.
        ValueError: for a batch, and for values that are not finite.
    """
    values = _checked(eigenvalues)
    if unit is None:
        unit = "1/ms" if isinstance(eigenvalues, Linearization) else ""
    beyond = values.real - boundary
    on_it = abs(beyond) <= _ON_THE_BOUNDARY * max(abs(values).max(), abs(boundary))
    ax = prepared(ax, (5.0, 3.4))
    _limits(ax, values, boundary)
    right = ax.get_xlim()[1]
    ax.axvspan(boundary, right, color=COLORS[0], alpha=0.08, linewidth=0, zorder=0)
    ax.axhline(0.0, color="0.85", linewidth=0.8, zorder=1)
    ax.axvline(
        boundary, color=INK, linestyle="--", linewidth=1.0, zorder=2,
        label=rf"Re $\lambda$ = {boundary:g}",
    )  # fmt: skip
    groups: Any = (
        ("decays", ~on_it & (beyond < 0), {"marker": "o", "markerfacecolor": COLORS[1]}),
        ("neither", on_it, {"marker": "s", "markerfacecolor": "0.6"}),
        ("grows", ~on_it & (beyond > 0), {"marker": "^", "markerfacecolor": COLORS[0]}),
    )
    for name, which, style in groups:
        if which.any():
            ax.plot(
                values.real[which], values.imag[which], linestyle="none", label=name,
                markersize=7 if len(values) <= 50 else 4, markeredgecolor="white",
                markeredgewidth=0.5, zorder=3, **style,
            )  # fmt: skip
    ax.set_xlim(None, right)
    ax.set_xlabel(label(r"Re $\lambda$", unit))
    ax.set_ylabel(label(r"Im $\lambda$", unit))
    ax.xaxis.set_major_locator(MaxNLocator(5))
    open_frame(ax)
    side_legend(ax)
    return ax


def _checked(
    eigenvalues: Expected[Linearization | Inexact[ArrayLike, " n"]],
) -> NDArray[np.complex128]:
    if isinstance(eigenvalues, Linearization):
        values = np.asarray(eigenvalues.eigenvalues)
    else:
        values = np.asarray(eigenvalues)
    if values.dtype.kind not in "biufc":
        raise TypeError(
            f"eigenvalues: expected a Linearization or an array of numbers, got "
            f"{type(eigenvalues).__name__}: draw what rnnjax.linearize(...) or "
            "numpy.linalg.eigvals(...) returns"
        )
    values = values.astype(complex)
    if values.ndim != 1 or not values.size:
        raise ValueError(
            f"eigenvalues: expected one set of them, (n,), got shape {values.shape}: select one, "
            "or take the eigenvalues of the matrix first"
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"eigenvalues: expected finite numbers, got {(~np.isfinite(values)).sum()} of "
            f"{values.size} that are not: was the equilibrium found?"
        )
    return values


def _limits(ax: Axes, values: NDArray[np.complex128], boundary: float) -> None:
    """Room for all values and the boundary, to scale where that leaves no stripe."""
    low, high = min(values.real.min(), boundary), max(values.real.max(), boundary)
    width, height = high - low, 2 * abs(values.imag).max()
    width = width or height or 1.0
    square = height and 1 / _SQUARE < width / height < _SQUARE
    height = max(width, height) if square else (height or width)
    width = height if square else width
    middle = (low + high) / 2
    ax.set_xlim(middle - 0.6 * width, middle + 0.6 * width)
    ax.set_ylim(-0.6 * height, 0.6 * height)
    if square:
        ax.set_aspect("equal", adjustable="box")
