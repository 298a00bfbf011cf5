"""Runs from many states until they rest, or keep moving in the same range."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._basins.neighborhood import Neighborhood
from rnnjax._numerics.trees import flatten
from rnnjax._parameter import parameter
from rnnjax._results import Status
from rnnjax._sweep.axes import axis, points
from rnnjax._sweep.sweep import sweep
from rnnjax._types import Array, Float, Input, Scalar, State
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._flat import states_of
from rnnjax.measures._base import AbstractMeasure
from rnnjax.measures._stretch import Stretch

MOVING, NOT_SETTLED, FAILED = -1, -2, -3
_TOGETHER = (64, 256, 1024, 4096)  # starts that run in one program, which is compiled for each
_STILL = 1e-6  # relative swing below which a variable counts as at rest


class Settling(NamedTuple):
    """What one run did: where it ended, its range, and a `Status`; `(start, n)` and `(start,)`."""

    final: np.ndarray
    low: np.ndarray
    high: np.ndarray
    status: np.ndarray

    @property
    def swing(self) -> np.ndarray:
        """From the lowest to the highest value."""
        return self.high - self.low


class StartingAt(AbstractCircuit[Any]):
    """A circuit whose runs begin at a state of one's own, given as a vector `(n,)`."""

    circuit: AbstractCircuit[Any]
    start: Float[Any, " n"] = parameter()

    def __call__(self, state: State, input: Input) -> Any:
        """The derivative of the circuit."""
        return self.circuit(state, input)

    def rest(self) -> Any:
        """The start."""
        return states_of(jax.eval_shape(self.circuit.rest), self.start)

    def no_input(self) -> Any:
        """That of the circuit."""
        return self.circuit.no_input()


def as_vector(state: State) -> Any:
    """The state as a vector."""
    return flatten(state)[0]


class Course(NamedTuple):
    """The last, the smallest and the largest value of a stretch."""

    final: Array
    low: Array
    high: Array


class WholeCourse(AbstractMeasure):
    """Where the state came to and in which range it was, as vectors."""

    of: Callable[[Any], Any] = eqx.field(static=True, default=as_vector)
    meaning: ClassVar[str] = "end and range"
    unit: ClassVar[str] = "state"

    def init(self, t: Scalar, x: Float[Any, " n"]) -> Any:
        """The extremes so far."""
        return x, x

    def update(self, carry: tuple[Array, Array], t: Scalar, x: Float[Any, " n"]) -> Any:
        """The extremes so far."""
        return jnp.minimum(carry[0], x), jnp.maximum(carry[1], x)

    def follow(self, carry: tuple[Array, Array], stretch: Stretch) -> Any:
        """The extremes so far."""
        low, high = stretch.extremes()
        return jnp.minimum(carry[0], low), jnp.maximum(carry[1], high)

    def finish(self, carry: tuple[Array, Array], t: Scalar, x: Float[Any, " n"]) -> Course:
        """The end, and the extremes."""
        return Course(x, *carry)


def start_vector(circuit: StartingAt) -> Any:
    """The start of a `StartingAt`."""
    return circuit.start


class Runs(eqx.Module):
    """Stretches of equal length from many states, all in one compiled program.

    Attributes:
        circuit: the circuit.
        options: those of `sweep`.
        most: the most starts of a stretch; all run in a program of that size.
    """

    circuit: AbstractCircuit[Any]
    options: dict[str, Any]
    most: int

    def stretch(self, rows: np.ndarray, idle: np.ndarray | None = None) -> Settling:
        """Run from each of the states `(start, n)`; others, to fill up, stay at `idle`, `(n,)`."""
        count = len(rows)
        together = next((size for size in _TOGETHER if size >= self.most), _TOGETHER[-1])
        others = np.tile(rows[-1] if idle is None else idle, (max(together - count, 0), 1))
        padded = np.concatenate([rows, others])
        data = sweep(
            StartingAt(self.circuit, rows[0]), {"run": WholeCourse()},
            points(axis(start_vector, padded)), dtype="float64", chunk=together,
            **self.options,
        )  # fmt: skip
        names = "run_final", "run_low", "run_high", "status"
        return Settling(*(np.asarray(data[name].values)[:count] for name in names))


def at_rest(near: list[Neighborhood], rows: np.ndarray) -> np.ndarray:
    """Which equilibrium each state `(start, n)` has come to; -2 for none."""
    if not near:
        return np.full(len(rows), NOT_SETTLED)
    reach = np.stack([each.reach(rows) for each in near])
    reach = np.where(np.isfinite(reach), reach, np.inf)
    return np.where(reach.min(0) <= 1, reach.argmin(0), NOT_SETTLED)


def settled(
    runs: Runs, rows: np.ndarray, near: list[Neighborhood], tolerance: float
) -> tuple[np.ndarray, Settling]:
    """What became of each start, after up to two more stretches for those that did not rest.

    Args:
        runs: how to run.
        rows: the starts, `(start, n)`.
        near: the neighborhoods of the equilibria.
        tolerance: relative to the swing, by how much the ranges of two stretches may differ.

    Returns:
        Labels `(start,)`, and the last stretch of each run.
    """
    idle = next((each.center for each in near if each.radius > 0), None)
    last = Settling(*(np.array(x) for x in runs.stretch(rows, idle)))
    label = np.where(last.status == Status.OK, at_rest(near, last.final), FAILED)
    for again in (False, True):
        ahead = np.flatnonzero(label == NOT_SETTLED)
        if not len(ahead):
            break
        before, more = Settling(*(x[ahead] for x in last)), runs.stretch(last.final[ahead], idle)
        well = more.status == Status.OK
        label[ahead] = np.where(well, at_rest(near, more.final), FAILED)
        if again:
            steady = _same_range(before, more, tolerance) & (label[ahead] == NOT_SETTLED)
            label[ahead[steady]] = MOVING
        for kept, new in zip(last, more, strict=True):
            kept[ahead] = new
    return label, last


def _same_range(one: Settling, other: Settling, tolerance: float) -> np.ndarray:
    """Whether every variable kept its range, and some of them move."""
    swing = np.maximum(one.swing, other.swing)
    shift = np.maximum(np.abs(one.low - other.low), np.abs(one.high - other.high))
    moves = swing > _STILL * (1 + np.abs(other.final))
    return np.asarray(((shift <= tolerance * swing) | ~moves).all(1) & moves.any(1))
