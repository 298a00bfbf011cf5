"""Floquet multipliers and the unit circle."""

from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from numpy.typing import NDArray

from rnnjax._orbits.orbit import Orbit
from rnnjax._orbits.orbit_branch import OrbitBranch
from rnnjax._types import Expected
from rnnjax.plot._style import COLORS, FAINT, INK, SEQUENTIAL, prepared, side_legend

Values: TypeAlias = NDArray[np.complex128]

_OUTSIDE = 1.15  # radii up to here are in view without the outer circle
_INFINITE = 2.0  # the radius at which an infinite multiplier is drawn


def multipliers(given: Expected[Orbit | OrbitBranch], ax: Axes | None = None) -> Axes:
    r"""The Floquet multipliers $\mu$ of an orbit, or of all orbits of a branch, in the complex plane.

    True to scale inside the unit circle; outside $|\mu|$ is drawn at $2 - 1 / |\mu|$, so that the largest
    have a place as well. What crosses the circle at 1 is a fold of cycles, at -1 a period doubling, as a
    pair elsewhere a Neimark-Sacker point.

    Args:
        given: an `Orbit`, or an `OrbitBranch`, whose points are colored by the parameter.
        ax: where to draw; a new figure's unless given.

    Returns:
        The axes.

    Raises:
        TypeError: for anything else.
        ValueError: for a batch, or an orbit that was not found.
    """
    if not isinstance(given, Orbit | OrbitBranch):
        raise TypeError(
            f"multipliers: expected an Orbit or an OrbitBranch, got {type(given).__name__}: draw what "
            "rnnjax.find_orbit(...) or rnnjax.continue_orbits(...) returns"
        )
    branch = isinstance(given, OrbitBranch)
    values: Any = np.asarray(given.multipliers)
    if values.ndim != 1 + branch:
        raise ValueError(
            f"multipliers: expected no batch, got shape {values.shape}: select one lane first"
        )
    if branch:
        values = values[: len(given)]
    if not np.isfinite(values).all() or not values.size:
        raise ValueError("multipliers: expected those of an orbit that was found, got none or NaN")
    ax = prepared(ax, (4.6, 3.6))
    turn: Any = np.exp(2j * np.pi * np.linspace(0, 1, 361))
    ax.fill(turn.real, turn.imag, color=COLORS[1], alpha=0.08, linewidth=0, zorder=0)
    ax.plot(turn.real, turn.imag, color=INK, linewidth=1.0, label=r"$|\mu| = 1$", zorder=2)
    at = _placed(values)
    if abs(at).max() > _OUTSIDE:
        beyond = _placed(10 * turn)
        style: Any = {"color": FAINT, "linewidth": 1.0, "label": r"$|\mu| = 10$", "zorder": 1}
        ax.plot(beyond.real, beyond.imag, ":", **style)
    if branch:
        whole: Any = given
        shade = np.broadcast_to(np.asarray(whole.parameter)[: len(whole), None], at.shape)
        dots: PathCollection = ax.scatter(
            at.real.ravel(),
            at.imag.ravel(),
            c=shade.ravel(),
            cmap=matplotlib.colormaps[SEQUENTIAL],
            s=9,
            zorder=3,
        )
        ax.figure.colorbar(dots, ax=ax, label=whole.name)
    else:
        style: Any = {
            "linestyle": "none",
            "marker": "o",
            "markersize": 6,
            "markeredgecolor": "white",
        }
        ax.plot(at.real, at.imag, color=COLORS[0], label="multipliers", zorder=3, **style)
    ax.set_aspect("equal")
    size = max(1.15, 1.08 * float(abs(at).max()))
    ax.set_xlim(-size, size)
    ax.set_ylim(-size, size)
    ax.set_xlabel(r"Re $\mu$")
    ax.set_ylabel(r"Im $\mu$")
    ticks = [-1, 0, 1]
    ax.set_xticks(ticks)
    ax.set_yticks(ticks)
    if not branch:
        side_legend(ax)
    return ax


def _placed(values: Values) -> Values:
    """Where multipliers are drawn."""
    size = abs(values)
    large = np.maximum(size, 1.0)
    return values / np.where(size > 1, large, 1.0) * np.where(size > 1, _INFINITE - 1 / large, 1.0)
