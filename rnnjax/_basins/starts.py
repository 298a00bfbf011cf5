"""Many states to start from: a grid over some variables, points in a box, or states as they are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnjax._equilibria.guesses import flat_guesses
from rnnjax._numerics.trees import variable_names
from rnnjax._sweep.axes import Axis, Points


class Starts(NamedTuple):
    """Flattened states, and how they were laid out.

    Attributes:
        rows: `(start, n)`.
        varied: the names of the variables that differ between them.
        grid: the values of each of these, if the starts are a grid over them, the last one
            running fastest.
    """

    rows: np.ndarray
    varied: tuple[str, ...]
    grid: tuple[np.ndarray, ...]


def as_starts(state: Any, given: Any) -> Starts:
    """What was given, as states.

    Args:
        state: a state of the circuit, where what is not varied is held.
        given: a list of axes, `points(...)`, `random_points(...)`, or states with an axis in front.

    Raises:
        ValueError: for axes that name no variables, or states that do not fit.
        TypeError: for what is none of these.
    """
    axes = given.axes if isinstance(given, Points) else given
    if isinstance(axes, Axis):
        axes = [axes]
    if not isinstance(axes, list | tuple) or not any(isinstance(a, Axis) for a in axes):
        return _states(state, given)
    if not all(isinstance(a, Axis) for a in axes):
        raise TypeError(f"starts: expected axes only, got {[type(a).__name__ for a in axes]}")
    names = variable_names(state)
    places = [_place(a.where, state, names) for a in axes]
    for axis, place in zip(axes, places, strict=True):
        if axis.values.shape[1:] != place.shape or not np.isfinite(axis.values).all():
            raise ValueError(
                f"starts: expected finite values of shape (points, {', '.join(map(str, place.shape))})"
                f" for {np.take(names, place)}, got shape {axis.values.shape}"
            )
    where = np.concatenate([p.ravel() for p in places])
    if len(set(where.tolist())) < len(where):
        raise ValueError(f"starts: expected different variables, got {np.take(names, where)}")
    rest = np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(state)])
    columns = [a.values.reshape(len(a.values), -1) for a in axes]
    if isinstance(given, Points):
        values, grid = np.concatenate(columns, 1), ()
    else:
        index = np.indices([len(c) for c in columns]).reshape(len(columns), -1)
        values = np.concatenate([c[i] for c, i in zip(columns, index, strict=True)], 1)
        grid = tuple(c[:, 0] for c in columns) if all(c.shape[1] == 1 for c in columns) else ()
    rows = np.tile(rest, (len(values), 1))
    rows[:, where] = values
    return Starts(rows, tuple(names[k] for k in where), grid)


def as_states(state: Any, rows: np.ndarray) -> Any:
    """Flattened states `(start, n)` in the structure of `state`, the starts in front."""
    leaves, structure = jax.tree.flatten(state)
    ends = np.cumsum([0, *(np.size(x) for x in leaves)])
    return structure.unflatten(
        rows[:, first:last].reshape(len(rows), *np.shape(x))
        for first, last, x in zip(ends[:-1], ends[1:], leaves, strict=True)
    )


def _states(state: Any, given: Any) -> Starts:
    rows = np.asarray(flat_guesses(state, given, None, "starts"))
    if not len(rows):
        raise ValueError("starts: expected at least one state, got none")
    if not np.isfinite(rows).all():
        raise ValueError(
            f"starts: expected finite states, got {int((~np.isfinite(rows)).any(1).sum())} of "
            f"{len(rows)} that are not"
        )
    names = variable_names(state)
    return Starts(rows, tuple(n for n, x in zip(names, rows.T, strict=True) if np.ptp(x) > 0), ())


def _place(where: Callable[[Any], Any], state: Any, names: list[str]) -> np.ndarray:
    """Which entries of the flattened state `where` names."""
    leaves, structure = jax.tree.flatten(state)
    ends = np.cumsum([0, *(np.size(x) for x in leaves)])
    numbered = [
        np.arange(first, last).reshape(np.shape(x))
        for first, last, x in zip(ends[:-1], ends[1:], leaves, strict=True)
    ]
    try:
        found = np.asarray(where(structure.unflatten(numbered)))
    except (AttributeError, TypeError, IndexError) as error:
        found, reason = None, str(error)
    else:
        reason = f"it gave {found!r}"
    if found is None or found.dtype.kind != "i" or not found.size:
        raise ValueError(
            "starts: `where` must name variables of the state, like `lambda s: s.v` or "
            f"`lambda s: s[0]`; {reason}. They are {names[:8]}"
        )
    return found
