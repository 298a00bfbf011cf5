"""From where does it go where? `basins`."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np

from rnnjax._basins.neighborhood import neighborhoods
from rnnjax._basins.settling import (
    FAILED,
    MOVING,
    NOT_SETTLED,
    Runs,
    WholeCourse,
    at_rest,
    settled,
)
from rnnjax._basins.starts import as_starts
from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._equilibria.find_equilibria import find_equilibria
from rnnjax._equilibria.guesses import GUESSES, flat_guesses
from rnnjax._files.datasets import basins_dataset
from rnnjax._gate import one_number
from rnnjax._machine.verb import verb
from rnnjax._numerics.trees import named_leaves
from rnnjax._simulation.measured_run import MeasuredRun
from rnnjax._sweep.axes import Axis, Points
from rnnjax._types import Expected, Input, InputLike, Key, State, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, held_input, starting_state
from rnnjax.circuits._flat import states_of, vector_of

_NEAR = 1e-3  # relative distance within which a given attractor must be an equilibrium
_WORDS = {MOVING: "moving", NOT_SETTLED: "not settled", FAILED: "failed"}


class Basins(eqx.Module):
    """From which starts a circuit goes where.

    Attributes:
        starts: the states, in the circuit's structure, each leaf `(start, ...)`.
        label: `(start,)`: which of `attractors` was reached, or one of `Basins.MOVING`,
            `Basins.NOT_SETTLED` and `Basins.FAILED`, which are negative.
        final: the states at the end, in the structure of `starts`.
        swing: from the lowest to the highest value in the last stretch, in the same structure.
        status: `(start,)`, a `Status`: how the runs ended.
        attractors: the equilibria that were looked for; those that are not stable attract nothing.
        varied: the names of the variables that differ between the starts.
        grid: the values of each of them, where the starts are a grid; empty for a sample.
        unit: of the state.
    """

    MOVING: ClassVar[int] = MOVING
    NOT_SETTLED: ClassVar[int] = NOT_SETTLED
    FAILED: ClassVar[int] = FAILED

    starts: State
    label: np.ndarray
    final: State
    swing: State
    status: np.ndarray
    attractors: Equilibria
    varied: tuple[str, ...] = eqx.field(static=True)
    grid: tuple[np.ndarray, ...]
    unit: str = eqx.field(static=True, default="")

    def __len__(self) -> int:
        """How many starts there are."""
        return len(self.label)

    @property
    def outcomes(self) -> list[int]:
        """The labels that occur: those of equilibria first."""
        found = np.unique(self.label).tolist()
        return [k for k in found if k >= 0] + [k for k in found[::-1] if k < 0]

    def name(self, label: int | np.integer) -> str:
        """A label in words: `rest 0`, `moving`, `not settled`, `failed`."""
        return _WORDS[int(label)] if label < 0 else f"rest {label}"

    def share(self, label: int | np.integer) -> float:
        """The share of the starts with this label: of a random sample, the basin stability."""
        return float(np.mean(self.label == label))

    def error(self, label: int | np.integer) -> float:
        r"""How far the share may be off.

        For a sample its standard error, $\sqrt{s (1 - s) / n}$, as of starts drawn independently.
        On a grid half the share of the points that have a neighbor inside the basin and are not, or
        the other way round: it shrinks with the spacing, and is a rough bound.
        """
        inside = self.label == label
        if not self.grid:
            return float(np.sqrt(inside.mean() * (1 - inside.mean()) / len(inside)))
        inside = inside.reshape([len(x) for x in self.grid])
        border = np.zeros(inside.shape, bool)
        for axis in range(inside.ndim):
            changes = np.diff(inside, axis=axis)
            ahead = [(0, 0)] * inside.ndim
            for sides in ((0, 1), (1, 0)):
                ahead[axis] = sides
                border |= np.pad(changes, ahead)
        return float(border.mean() / 2)

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along the grid's axes, or along `start`."""
        known = [*_WORDS, *range(len(self.attractors))]
        words = [self.name(k).replace(" ", "_") for k in known]
        label = {"long_name": "outcome", "flag_values": known, "flag_meanings": " ".join(words)}
        attributes: dict[str, Any] = {}
        for k in self.outcomes:
            word = self.name(k).replace(" ", "_")
            attributes |= {f"share_{word}": self.share(k), f"error_{word}": self.error(k)}
        states = {k: named_leaves(getattr(self, k)) for k in ("starts", "final", "swing")}
        return basins_dataset(self, states, (label, attributes))

    def _repr_html_(self) -> str:
        return self.to_xarray()._repr_html_()

    def __repr__(self) -> str:
        """What becomes of which share of the starts."""
        kinds = self.attractors.stability
        rows = [
            f"  {self.name(k)}{f' ({kinds[k]})' if k >= 0 else ''}: "
            f"{100 * self.share(k):.3g} % +- {100 * self.error(k):.2g}"
            for k in self.outcomes
        ]
        return "\n".join([f"Basins({len(self)} starts,", *rows, ")"])


@verb
def basins(
    circuit: AbstractCircuit[Any],
    starts: Expected[Axis | Sequence[Axis] | Points | State],
    *,
    duration: float,
    attractors: Expected[Equilibria | State | None] = None,
    input: Expected[InputLike | None] = None,
    state: Expected[State | None] = None,
    time: float = 0.0,
    tolerance: float = 0.01,
    key: Key | None = None,
    step: float | None = None,
    solver: Any = None,
    rtol: float = 1e-8,
    atol: float = 1e-8,
    progress: bool | None = None,
) -> Basins:
    r"""Which attractor each of many starts leads to, in float64.

    An equilibrium counts as reached when the state is so near to it that it can't but come nearer:
    in an ellipsoid around it in which a distance shrinks along the flow (a quadratic Lyapunov
    function, checked on many shells and directions). A saddle is never reached, however slowly it
    is passed. What has reached none after `duration` runs on for twice as long; where all variables
    kept the same range in both of these stretches, and some vary, it is called moving (a cycle, a
    torus, chaos), else not settled: take a longer `duration` then. Starts so near to a boundary
    that the runs' tolerances decide may go to either side.

    Args:
        circuit: the circuit.
        starts: axes, each naming a variable of the state, which make a grid:
            `[axis(lambda s: s.v, np.linspace(-80, 40, 100)), ...]`; a sample in a box,
            `random_points(axis(lambda s: s.v, (-80, 40)), ..., count=4000, key=key)`; or states with
            an axis in front of every leaf.
        duration: how long a start has to come to rest, and the length of a stretch, in ms: several
            periods of the slowest oscillation.
        attractors: the equilibria to look for: `Equilibria`, or states with an axis in front.
            Unless given those of `find_equilibria`, from its guesses, from some of the starts and
            from where some of the runs ended.
        input: the input; held at its value at `time`.
        state: where the variables are held that are not varied; `circuit.rest()` unless given.
        time: in ms.
        tolerance: by how much the ranges of two stretches may differ in what counts as moving,
            relative to the swing.
        key: for the guesses of `find_equilibria`.
        step: a fixed step in ms; without one each start chooses its own.
        solver: as for `measure`.
        rtol: relative tolerance of adaptive steps.
        atol: absolute tolerance of adaptive steps, in the state's unit.
        progress: as for `sweep`.

    Raises:
        ValueError, TypeError: for arguments that do not fit, before anything is simulated.

    References:
        Menck, Heitzig, Marwan and Kurths (2013), Nature Physics 9:89-92 (basin stability).
    """
    check_run(circuit, input, None, None)
    if is_traced(circuit, input, starts, attractors, state):
        raise ValueError(
            "basins looks at its runs and can't be used inside jit, vmap or grad: call it outside"
        )
    if starts is None:
        raise TypeError(
            "starts: expected axes or states, e.g. [axis(lambda s: s.v, values)], got None"
        )
    tolerance = one_number(tolerance, "tolerance")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance: expected a share between 0 and 1, got {tolerance!r}")
    rest = starting_state(circuit, input, state)
    begin = as_starts(rest, starts)
    held = held_input(circuit, input, time)
    plan = MeasuredRun(WholeCourse(), duration, held, step, 0.0, None, None, solver, rtol, atol)
    plan.check(circuit)
    plan.check_dtype(np.dtype(np.float64))
    options = {
        "duration": duration, "input": held, "step": step, "solver": solver, "rtol": rtol,
        "atol": atol, "progress": progress,
    }  # fmt: skip
    runs = Runs(circuit, options, len(begin.rows))
    known = _equilibria(circuit, held, attractors, begin.rows, rest, key)
    near = neighborhoods(circuit, as_input(circuit, held), known)
    label, last = settled(runs, begin.rows, near, tolerance)
    lost = np.flatnonzero(label == NOT_SETTLED)
    if attractors is None and len(lost):
        known = _with_others(circuit, held, known, last.final[lost], rest)
        near = neighborhoods(circuit, as_input(circuit, held), known)
        label[lost] = at_rest(near, last.final[lost])
    return Basins(
        starts=states_of(rest, begin.rows), label=label, final=states_of(rest, last.final),
        swing=states_of(rest, last.swing), status=last.status, attractors=known,
        varied=begin.varied, grid=begin.grid, unit=getattr(circuit, "state_unit", ""),
    )  # fmt: skip


def _equilibria(
    circuit: AbstractCircuit[Any],
    input: Input,
    given: Expected[Equilibria | State | None],
    starts: np.ndarray,
    rest: State,
    key: Expected[Key | None],
) -> Equilibria:
    """Those that were given, or that can be found."""
    if given is None:
        known = find_equilibria(circuit, input, key=key, throw=False)
        return _with_others(circuit, input, known, starts, rest)
    if isinstance(given, Equilibria):
        count = len(given)
        given = jax.tree.map(lambda x: np.asarray(x)[:count], given.states)
    rows = np.asarray(flat_guesses(rest, given, None, "attractors"))
    found = _from_rows(circuit, input, rows, rest)
    places = np.stack([vector_of(found[k]) for k in range(len(found))] or [np.inf + rows[0]])
    away = np.abs(rows[:, None] - places) / (1 + np.abs(rows[:, None]))
    wrong = np.flatnonzero(~(away.max(-1).min(1) <= _NEAR))
    if len(wrong):
        raise ValueError(
            f"attractors: expected equilibria of this circuit and input, got {rows[wrong[0]]}, which "
            "is none: give what find_equilibria(circuit, input) returns"
        )
    return found


def _with_others(
    circuit: AbstractCircuit[Any], input: Input, known: Equilibria, places: np.ndarray, rest: State
) -> Equilibria:
    """The known equilibria first, and those that some of the places `(state, n)` lead to."""
    before = np.stack([vector_of(known[k]) for k in range(len(known))] or [vector_of(rest)])
    room = GUESSES - len(before) % GUESSES
    some = np.random.default_rng(0).permutation(places)[:room]
    return _from_rows(circuit, input, np.concatenate([before, some]), rest)


def _from_rows(
    circuit: AbstractCircuit[Any], input: Input, rows: np.ndarray, rest: State
) -> Equilibria:
    """Equilibria from flattened guesses, in numbers for which the program is compiled already."""
    missing = -len(rows) % GUESSES
    rows = np.concatenate([rows, np.repeat(rows[-1:], missing, 0)])
    return find_equilibria(circuit, input, guesses=states_of(rest, rows), rounds=0, throw=False)
