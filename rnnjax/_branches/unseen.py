"""What `continue_large` can't see: eigenvalues behind those that it follows."""

from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np

from rnnjax._branches.large_branch import LargeBranch
from rnnjax._equilibria.linearize import linearize
from rnnjax._results import warn_caller
from rnnjax._types import Bool, Int, Scalar, State
from rnnjax._where import Named
from rnnjax.circuits._base import Driven

_COUNTED = 1024  # variables up to which all eigenvalues are counted at a few points
_WORK = 1e8  # the cube of the variables times the points at which they are
_LEAST, _MOST = 2, 64  # of those points
_SPARE = 4  # eigenvalues more than grow, with which the next crossing is seen too


def told_unseen(branch: LargeBranch, target: Driven, named: Named, time: Scalar) -> LargeBranch:
    """The branch, with crossings counted that it can't have seen; warns where there may be any.

    Where all of the eigenvalues that are followed grow there may be more behind them. Up to so many
    variables the Jacobian tells how many, at some of those points. Between two points of which that
    is known, at least half as many crossings were missed as growing eigenvalues are more or fewer
    and were not seen to cross.
    """
    count, points = branch.real.shape[-1], len(branch)
    hidden = np.asarray(branch.hidden)
    if not hidden.any():
        return branch
    size = branch.variables

    def growing(k: int) -> int:
        at = named.put(target, np.asarray(branch.parameter[k], np.float64))
        state: State = jax.tree.map(lambda x: np.asarray(x[k]), branch.states)
        values = linearize(at.circuit, state, at.input, time=float(time)).eigenvalues
        return int((values.real > 0).sum())

    told = (
        f"continue_large: at {int(hidden.sum())} of {points} points all of the {count} eigenvalues "
        "that are followed grow: crossings of those behind them are not seen."
    )
    if size > _COUNTED:
        warn_caller(f"{told} Give a larger count=, such as {min(2 * count, size)}")
        return branch
    seen = np.asarray((branch.real > 0).sum(-1))
    seen += hidden & np.asarray(branch.imaginary[:, -1] > 0)  # of a pair that is cut, the other one
    grow, known = _counts(growing, seen, hidden, size)
    least = _missed(grow[known], seen[known])
    most = int(grow[known].max())
    crossings = len(branch.crossings) + int(branch.missed) + least
    warn_caller(
        f"{told} As many as {most} of {size} grow there, and {least} or more crossings were missed. "
        f"Give count={min(most + _SPARE, size)} or more, and room for max_crossings={crossings} or more"
    )
    missed = np.asarray(branch.missed + least, branch.missed.dtype)
    return eqx.tree_at(lambda b: b.missed, branch, missed)


def _counts(
    growing: Callable[[int], int], seen: Int[np.ndarray, " point"], hidden: Bool[np.ndarray, " point"],
    size: int,
) -> tuple[Int[np.ndarray, " point"], Bool[np.ndarray, " point"]]:  # fmt: skip
    """How many eigenvalues grow at the points, and at which that is known."""
    places = np.flatnonzero(hidden)
    room = int(np.clip(_WORK / float(size) ** 3, _LEAST, _MOST))
    if places.size > room:
        places = places[np.linspace(0, places.size - 1, room).round().astype(int)]
    grow, known = seen.copy(), ~hidden
    for k in places:
        grow[k], known[k] = growing(int(k)), True
    return grow, known


def _missed(grow: Int[np.ndarray, " known"], seen: Int[np.ndarray, " known"]) -> int:
    """How many crossings there were at least that were not seen, each of one eigenvalue or a pair."""
    return int((-(-abs(np.diff(grow - seen)) // 2)).sum())
