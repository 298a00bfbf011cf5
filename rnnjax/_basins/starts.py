"""Many states to start from: a grid over some variables, points in a box, or states as they are."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnjax._equilibria.guesses import flat_guesses
from rnnjax._numerics.trees import variable_names
from rnnjax._sweep.axes import Axis, Points
from rnnjax._types import Expected, State
from rnnjax._where import NothingNamedError, Where, named
from rnnjax.circuits._flat import states_of, vector_of


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


def as_starts(state: State, given: Expected[Axis | Sequence[Axis] | Points | State]) -> Starts:
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
    places = [_entries(a.where, state, names) for a in axes]
    for axis, place in zip(axes, places, strict=True):
        if axis.values.shape[1:] != place.shape or not np.isfinite(axis.values).all():
            raise ValueError(
                f"starts: expected finite values of shape (points, {', '.join(map(str, place.shape))})"
                f" for {np.take(names, place)}, got shape {axis.values.shape}"
            )
    where = np.concatenate([p.ravel() for p in places])
    if len(set(where.tolist())) < len(where):
        raise ValueError(f"starts: expected different variables, got {np.take(names, where)}")
    rest = vector_of(state)
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


def _states(state: State, given: Expected[State]) -> Starts:
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


def _entries(where: Where[Any], state: State, names: list[str]) -> np.ndarray:
    """Which entries of the flattened state `where` names."""
    try:
        found = named(state, where)
    except NothingNamedError as error:
        raise ValueError(
            "starts: `where` must name variables of the state, like `lambda s: s.v` or "
            f"`lambda s: s[0]`; {error.reason}. They are {names[:8]}"
        ) from None
    return np.asarray(found.value(states_of(state, np.arange(len(names)))))
