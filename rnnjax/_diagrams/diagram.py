"""All branches of equilibria along a parameter: `diagram`."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import equinox as eqx
import jax
import numpy as np

from rnnjax._branches.branch import Branch
from rnnjax._branches.continue_equilibria import continue_equilibria
from rnnjax._continuation.arguments import checked_bounds
from rnnjax._continuation.points import Bifurcation
from rnnjax._diagrams.continue_bifurcation import continue_bifurcation
from rnnjax._diagrams.curve import Curve
from rnnjax._equilibria.find_equilibria import GUESSES, find_equilibria
from rnnjax._machine.verb import verb
from rnnjax._orbits.continue_orbits import continue_orbits
from rnnjax._orbits.orbit_branch import OrbitBranch
from rnnjax._parameter import counted
from rnnjax._results import BranchEnd, ConvergenceError
from rnnjax._types import Arrays, Expected, InputLike, Key, State, Where, is_traced
from rnnjax._where import Named, number_named
from rnnjax.bifurcations._known import type_of
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart, check_run

Circuit: TypeAlias = AbstractCircuit[Any] | Driven
Range: TypeAlias = tuple[float, float]  # the lowest and the highest value

_SAME = 1e-5  # relative distance below which two equilibria are one


class Diagram(eqx.Module):
    """The branches of equilibria that were found, those through a branch point each once.

    Attributes:
        branches: in the order in which they were found.
        curves: of folds and Hopf points, where a second parameter was given, each once.
        orbits: periodic orbits from the Hopf points, where they were asked for, each branch once.
    """

    branches: tuple[Branch, ...]
    curves: tuple[Curve, ...] = ()
    orbits: tuple[OrbitBranch, ...] = ()

    def __iter__(self) -> Iterator[Branch]:
        """One branch after the other."""
        return iter(self.branches)

    def __len__(self) -> int:
        """How many branches there are."""
        return len(self.branches)

    def __getitem__(self, index: int) -> Branch:
        """One of the branches."""
        return self.branches[index]

    @property
    def bifurcations(self) -> list[Bifurcation]:
        """All bifurcation points, by the parameter; those on two branches once."""
        found: list[Bifurcation] = []
        for branch in self.branches:
            for point in branch.bifurcations:
                if not any(_same_point(point, other) for other in found):
                    found.append(point)
        return sorted(found, key=lambda b: float(b.parameter))

    def __repr__(self) -> str:
        """The branches and what happens on them."""
        curves = f", {len(self.curves)} curves" if self.curves else ""
        curves += f", {len(self.orbits)} branches of orbits" if self.orbits else ""
        parts = [*self.branches, *self.curves, *self.orbits]
        return "\n".join(
            [f"Diagram({len(self)} branches{curves},", *(f"{b!r}," for b in parts), ")"]
        )


@verb
def diagram(
    circuit: Circuit,
    where: Where[Any],
    bounds: Range,
    *,
    second: tuple[Where[Any], Range] | None = None,
    cycles: bool = False,
    intervals: int = 64,
    input: Expected[InputLike | None] = None,
    values: int = 5,
    guesses: Expected[State | None] = None,
    key: Key | None = None,
    max_branches: int = 50,
    **options: Any,
) -> Diagram:
    """All equilibria between two values of a parameter: every branch, and those that cross it.

    At several values of the parameter equilibria are sought from many guesses; each one that is
    on no known branch begins a new one. At every branch point the crossing branch is followed.
    A branch that no guess leads to is not found: take more `values` and `guesses`.

    Args:
        circuit: the circuit, or `Driven(circuit, input)` to follow a number of the input.
        where: names the one number that is followed; its value in `circuit` does not matter.
        bounds: the lowest and the highest value of the parameter.
        second: another number and its bounds, `(lambda c: c.m_ee, (1.0, 2.0))`: every fold and
            Hopf point, which are found at its value in `circuit`, is then followed in the plane
            of both, and so are the Hopf points that begin at Bogdanov-Takens points.
        cycles: whether the periodic orbits that are born at Hopf points are followed as well.
        intervals: of their meshes.
        input: the input, held.
        values: at how many values of the parameter equilibria are sought.
        guesses: the states to start from, with a guess axis in front; see `find_equilibria`.
        key: for random guesses.
        max_branches: the most branches that are followed.
        options: those of `continue_equilibria`.

    Raises:
        ConvergenceError: if there is no branch at all; it says why.
        ValueError: for arguments that do not fit.
    """
    own, drive = apart(circuit, input)
    check_run(own, drive, None, None)
    max_branches = counted(max_branches, "max_branches")
    if second is not None and (not isinstance(second, tuple | list) or len(second) != 2):
        raise TypeError(
            "second: expected a function and its bounds, (lambda c: c.tau, (1.0, 20.0)), got "
            f"{second!r}"
        )
    named = number_named(circuit, where)
    low, high = checked_bounds(bounds, named.path)
    if is_traced(circuit, input):
        raise ValueError(
            "diagram looks at its branches and can't run inside jit, vmap or grad: use "
            "continue_equilibria there"
        )
    found: list[Branch] = []
    refused: list[str] = []

    def follow(at: float, start: State | Bifurcation) -> None:
        branch = continue_equilibria(
            _at(circuit, named, at), where, start, bounds, input=input, throw=False, **options
        )
        if len(branch) > 1:
            if not any(_same_line(branch, other) for other in found):
                found.append(branch)
        else:
            refused.append(branch.endings[0].message)

    for at in np.linspace(low, high, counted(values, "values") + 2)[1:-1]:
        own, drive = apart(_at(circuit, named, at), input)
        resting = find_equilibria(own, drive, guesses=guesses, key=key, throw=False)
        for k in range(len(resting)):
            known = _on_branches(own, drive, found, at)
            if len(found) < max_branches and not _listed(resting[k], known):
                follow(at, resting[k])
                _switch(found, follow, max_branches)
    if not found:
        why = refused[0] if refused else "no equilibrium was found: give other `guesses`"
        raise ConvergenceError(f"diagram: no branch could be followed: {why}")
    found_curves = (
        []
        if second is None
        else _curves(circuit, (where, second[0]), (bounds, second[1]), found, input)
    )
    orbits = _orbits(circuit, where, bounds, found, input, intervals) if cycles else []
    return Diagram(tuple(found), tuple(found_curves), tuple(orbits))


def _orbits(
    circuit: Circuit,
    where: Where[Any],
    bounds: Range,
    branches: list[Branch],
    input: Expected[InputLike | None],
    intervals: int,
) -> list[OrbitBranch]:
    """The orbits from all Hopf points, those between two of them once."""
    found: list[OrbitBranch] = []
    begun: list[Bifurcation] = []
    for point in _points(branches):
        known = any(_same_point(point, other) for other in begun)
        if known or not type_of(point.label).begins_orbits or point.multiplicity > 1:
            continue
        begun.append(point)
        if not any(_ends_at(orbits, point, bounds) for orbits in found):
            orbits = continue_orbits(
                circuit, where, point, bounds, input=input, intervals=intervals, throw=False
            )
            if len(orbits) > 1:
                found.append(orbits)
    return found


def _ends_at(orbits: OrbitBranch, point: Bifurcation, bounds: Range) -> bool:
    """Whether orbits end at a Hopf point."""
    off = abs(float(orbits.parameter[-1]) - float(point.parameter)) / (bounds[1] - bounds[0])
    pace = float(orbits.frequency[-1]) / float(point.frequency)
    return orbits.endings[-1] == BranchEnd.HOPF and off < 1e-3 and abs(pace - 1) < 1e-2


def _curves(
    circuit: Circuit,
    where: tuple[Where[Any], Where[Any]],
    bounds: tuple[Range, Range],
    branches: list[Branch],
    input: Expected[InputLike | None],
) -> list[Curve]:
    """The curves through all folds and Hopf points, and those that begin on them."""
    found: list[Curve] = []
    waiting = [p for p in _points(branches) if type_of(p.label).in_two]
    begun: list[Bifurcation] = []
    while waiting:
        start = waiting.pop(0)
        if any(_same_point(start, other) for other in begun):
            continue
        begun.append(start)
        follows = type_of(start.label).leads_to
        ends = [p for curve in found if curve.label == follows for p in curve.bifurcations]
        if any(_same_point(start, p) for p in ends):
            continue  # the curve that begins there is known
        curve = continue_bifurcation(circuit, where, start, bounds, input=input, throw=False)
        lines = [other for other in found if other.label == curve.label]
        if len(curve) > 1 and not any(_same_line(curve, other) for other in lines):
            found.append(curve)
            waiting += [p for p in curve.bifurcations if type_of(p.label).leads_to]
    return found


def _points(branches: list[Branch]) -> list[Bifurcation]:
    """The bifurcation points of all branches."""
    return [point for branch in branches for point in branch.bifurcations]


def _same_line(a: Branch | Curve, b: Branch | Curve) -> bool:
    """Whether one goes through points of the other: its ends and its middle are near it."""
    x, y = (np.concatenate([_places(c), _flat(c.states)], 1) for c in (a, b))
    size = np.ptp(np.concatenate([x, y]), 0)
    x, y = (z / np.where(size > 0, size, 1.0) for z in (x, y))
    ends = a.endings == b.endings or a.endings == b.endings[::-1]
    return ends and all(_beside(p, y) for p in x[[0, len(x) // 2, -1]])


def _places(line: Branch | Curve) -> np.ndarray:
    if isinstance(line, Curve):
        return np.asarray(line.parameters)
    return np.asarray(line.parameter)[:, None]


def _beside(point: np.ndarray, line: np.ndarray) -> bool:
    """Whether a point lies on a broken line, but for what the line cuts off."""
    step = np.diff(line, axis=0)
    length = np.maximum((step**2).sum(1), 1e-300)
    share = np.clip(((point - line[:-1]) * step).sum(1) / length, 0, 1)
    off = np.sqrt(((line[:-1] + share[:, None] * step - point) ** 2).sum(1))
    return bool((off <= 0.05 * np.sqrt(length) + 1e-6).any())


def _flat(states: State) -> np.ndarray:
    leaves = jax.tree.leaves(states)
    return np.concatenate([np.reshape(x, (len(x), -1)) for x in leaves], 1)


def _switch(found: list[Branch], follow: Callable[[float, Bifurcation], None], most: int) -> None:
    """Follow every branch that crosses a known one and is not known itself."""
    tried: list[Bifurcation] = []
    while len(found) < most:
        crossings = [
            p for p in _points(found) if type_of(p.label).switches_branch and p.multiplicity == 1
        ]
        ahead = [
            p for k, p in enumerate(crossings)
            if not any(_same_point(p, q) for q in tried)
            and sum(_same_point(p, q) for q in crossings) < 2
        ]  # fmt: skip
        if not ahead:
            return
        tried.append(ahead[0])
        follow(float(ahead[0].parameter), ahead[0])


def _at(circuit: Circuit, named: Named, value: float) -> Any:
    return named.put(circuit, np.asarray(value, np.float64))


def _on_branches(
    circuit: AbstractCircuit[Any], input: InputLike, branches: list[Branch], value: float
) -> list[Any]:
    """The equilibria that the known branches have at a value of the parameter."""
    guesses = []
    for branch in branches:
        p = np.asarray(branch.parameter)
        for k in np.flatnonzero((p[:-1] - value) * (p[1:] - value) <= 0):
            share = (value - p[k]) / (p[k + 1] - p[k]) if p[k + 1] != p[k] else 0.0
            guesses.append(
                jax.tree.map(lambda x, k=k, s=share: x[k] + s * (x[k + 1] - x[k]), branch.states)
            )
    known = []
    for first in range(0, len(guesses), GUESSES):
        some = guesses[first : first + GUESSES]
        some += [some[0]] * (GUESSES - len(some))  # of one shape, so that nothing compiles again
        stacked = jax.tree.map(lambda *x: np.stack(x), *some)
        near = find_equilibria(circuit, input, guesses=stacked, rounds=0, throw=False)
        known += [near[k] for k in range(len(near))]
    return known


def _listed(state: State, known: list[State]) -> bool:
    return any(_close(state, other) for other in known)


def _same_point(a: Bifurcation, b: Bifurcation) -> bool:
    return a.label == b.label and _close((a.state, a.parameter), (b.state, b.parameter))


def _close(a: Arrays, b: Arrays) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(
        np.all(np.abs(np.asarray(x) - y) <= _SAME * (1 + np.maximum(np.abs(x), np.abs(y))))
        for x, y in pairs
    )
