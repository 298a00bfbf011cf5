"""Activity over a ring of preferred angles."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from rnnjax._types import ArrayLike, Expected, Float
from rnnjax.plot._style import label, line_colors, open_frame, prepared, side_legend


def ring_activity(
    angles: Expected[Float[ArrayLike, " unit"]],
    rates: Expected[Float[ArrayLike, "*profile unit"]],
    ax: Axes | None = None,
    *,
    labels: Sequence[str] | None = None,
    unit: str = "Hz",
) -> Axes:
    """Profiles of activity over the units' preferred angles.

    Args:
        angles: `(units,)` in degrees, in any order, e.g. `Cosine().angles()`.
        rates: `(units,)`, or several profiles `(profiles, units)`.
        ax: where to draw; a new figure's unless given.
        labels: a name for each profile.
        unit: the unit of the rates.

    Returns:
        The axes.

    Raises:
        ValueError: for shapes that do not fit each other.
    """
    angles, rates = np.asarray(angles, float), np.asarray(rates, float)
    if angles.ndim != 1 or angles.size < 2:
        raise ValueError(f"angles: expected (units,) in degrees, got shape {angles.shape}")
    if rates.ndim not in (1, 2) or rates.shape[-1] != angles.size:
        raise ValueError(
            f"rates: expected (units,) or (profiles, units) with {angles.size} units as the angles "
            f"have, got shape {rates.shape}: select times or lanes first, and put units last"
        )
    profiles = np.atleast_2d(rates)
    names = [None] * len(profiles) if labels is None else list(labels)
    if isinstance(labels, str) or len(names) != len(profiles):
        raise ValueError(
            f"labels: expected a sequence of {len(profiles)}, one per profile, got {labels!r}"
        )
    ax = prepared(ax)
    order = np.argsort(angles)
    for profile, name, color in zip(profiles, names, line_colors(len(profiles)), strict=True):
        ax.plot(angles[order], profile[order], color=color, linewidth=1.8, label=name)
    half = _half_turn(angles)
    ax.xaxis.set_major_locator(MultipleLocator(half / 2))
    if np.abs(angles).max() <= half * (1 + 1e-9):
        ax.set_xlim(-half, half)
    ax.set_xlabel("preferred angle (degrees)")
    ax.set_ylabel(label("activity", unit))
    open_frame(ax)
    if labels is not None:
        side_legend(ax)
    return ax


def _half_turn(angles: np.ndarray) -> float:
    """180 for directions, 90 for orientations, by how far the angles reach."""
    return 180.0 if np.ptp(angles) > 180 else 90.0
