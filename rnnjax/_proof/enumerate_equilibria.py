"""All equilibria, with a proof that there are no others: `enumerate_equilibria`."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._gate import one_number
from rnnjax._machine.kept import program
from rnnjax._machine.verb import verb
from rnnjax._numerics.trees import variable_names
from rnnjax._parameter import counted
from rnnjax._precision import cast, in_float64
from rnnjax._proof.boxes import zeros_in
from rnnjax._proof.enclosure import Enclosure
from rnnjax._proof.intervals import Interval, add, matrix_product, middle, point
from rnnjax._proof.supports import LARGEST, fixed_points
from rnnjax._results import Status
from rnnjax._types import Array, Expected, Input, InputLike, State, is_traced
from rnnjax.circuits._base import AbstractCircuit, ThresholdLinear
from rnnjax.circuits._checks import check_run, held_input, starting_state
from rnnjax.circuits._flat import flat_field, states_of, vector_of

_FINEST = 1e-14  # of a box; below, rounding decides
_ROUNDING = 1e-9  # of a residual, relative to the largest derivative and the largest state


class Certificate(eqx.Module):
    """What is proved about a list of equilibria.

    Attributes:
        complete: whether there are no others (in the box, if there was one).
        low: the least that each variable of each equilibrium can be, in the circuit's structure.
        high: the most.
        open_low: the least of each region in which there may be, or are, others.
        open_high: the most.
        supports: of threshold-linear circuits, the active units of each equilibrium, else None.
        examined: how many boxes, or sets of active units, were looked at.
    """

    complete: bool
    low: State
    high: State
    open_low: State
    open_high: State
    supports: tuple[tuple[int, ...], ...] | None
    examined: int

    @property
    def summary(self) -> str:
        """In words."""
        if self.complete:
            return "proved to be all"
        regions = np.shape(jax.tree.leaves(self.open_low)[0])[0]
        return f"others not excluded in {regions} region{'s' if regions > 1 else ''}"

    def __repr__(self) -> str:
        """The summary."""
        return f"Certificate({self.summary}; {self.examined} examined)"


@verb
def enumerate_equilibria(
    circuit: AbstractCircuit[Any],
    input: Expected[InputLike | None] = None,
    *,
    box: Expected[tuple[State, State] | None] = None,
    time: float = 0.0,
    resolution: float = 1e-7,
    max_boxes: int = 200_000,
) -> Equilibria:
    r"""All equilibria $f(x, u) = 0$, and whether it is proved that there are no others.

    Of threshold-linear circuits (those with `threshold_linear`, up to 20 units with a threshold)
    all equilibria anywhere are found: for every set of active units a linear system is solved,
    in float64 where its error bound leaves no doubt, else in rational numbers.

    Of all other circuits, all equilibria in a `box`: the vector field and its slopes are bounded
    by interval arithmetic on ever smaller boxes, each of which is dropped where it surely holds
    no equilibrium, and kept where it surely holds exactly one (Krawczyk's test). It is meant for
    up to about 6 variables; their number enters the exponent of the work. What is proved holds
    for the equation as it is written, with the float64 numbers that stand in it, in exact
    arithmetic; library functions (exp, tanh, ...) are trusted to 8 units in the last place.

    `result.complete` is the verdict and `result.certificate` has the bounds. It is False where
    something is left open: at a bifurcation equilibria coincide and none can be told apart, a
    singular circuit has a continuum of them, a field that jumps may jump across zero, or
    `max_boxes` were not enough. `certificate.open_low` and `open_high` say where.

    The search runs on the host and takes concrete numbers. For derivatives pass the states on:
    `find_equilibria(circuit, input, guesses=result.states)` can be differentiated.

    Args:
        circuit: the circuit.
        input: the input; held at its value at `time`.
        box: where to look: a pair of states, the least and the most of each variable, or of
            numbers that are meant for all variables. Needed unless the circuit is
            threshold-linear. Equilibria on its edge may be listed although they lie outside by
            less than rounding.
        time: in ms.
        resolution: boxes are cut down to this share of `box`; what is undecided then stays open.
        max_boxes: the most boxes to look at.

    Raises:
        TypeError: inside a JAX transformation.
        ValueError: for a circuit, an input or a box that do not fit.
        NotImplementedError: for a vector field with an operation that has no bounds; it is named.

    References:
        Curto, Degeratu and Itskov (2013), Neural Computation 25:2858-2903 (sets of active units).
        Neumaier (1990), Interval Methods for Systems of Equations, chapter 5 (boxes).
    """
    check_run(circuit, input, None, None)
    held = held_input(circuit, input, time)
    if is_traced((circuit, held, jnp.zeros(()))):
        raise TypeError(
            "enumerate_equilibria searches on the host and can't run inside jax.jit, jax.grad or "
            "jax.vmap: call it outside, and find_equilibria(..., guesses=its states) inside"
        )
    rest = starting_state(circuit, input, None)
    bounds = None if box is None else _bounds(rest, box)
    with jax.enable_x64(True):
        units = circuit.threshold_linear(held)
    problem = _Problem(circuit, held, rest)
    if units is not None:
        found = _by_supports(problem, units, bounds)
    else:
        bounds = _searched(problem, bounds, resolution, max_boxes)
        found = _by_boxes(problem, bounds, (resolution, max_boxes))
    result = _equilibria(problem, *found)
    if units is not None and not result.residual.max(initial=0.0) <= _at_rest(result):
        raise ValueError(
            f"{problem.name}.threshold_linear: its fixed points are no equilibria of the "
            f"circuit, which still moves by {result.residual.max():.3g} per ms there: the weights, "
            "the drive or the state it gives are not those of the vector field"
        )
    return result


class _Problem(NamedTuple):
    circuit: AbstractCircuit[Any]
    input: Input  # at the time at which it is held
    rest: State

    @property
    def name(self) -> str:
        return type(self.circuit).__name__


def _by_supports(
    problem: _Problem, units: ThresholdLinear, box: Interval | None
) -> tuple[np.ndarray, Certificate]:
    """The states `(equilibrium, n)` of a threshold-linear circuit."""
    rest, (weights, drive, rectified) = problem.rest, _numbers(problem, units)
    found = fixed_points(weights, drive, rectified)

    def states(rates: Interval) -> Interval:
        """The states from the least and the largest rates, which are what they are made of."""
        with np.errstate(all="ignore"), jax.enable_x64(True):
            column = Interval(*(x[..., None] for x in rates))
            sums = matrix_product(point(weights), column)
            currents = add(Interval(*(x[..., 0] for x in sums)), point(drive))
            sides = [
                [vector_of(units.state(y, c)) for y, c in zip(*pair, strict=True)]
                for pair in zip(rates, currents, strict=True)
            ]
        return Interval(
            *(np.array(side).reshape(len(side), vector_of(rest).size) for side in sides)
        )

    error = found.error[:, None]
    certain = states(Interval(found.rates - error, found.rates + error))
    region = states(found.open)
    x, supports = middle(states(point(found.rates))), found.supports
    if box is not None:
        inside = _touching(certain, box)
        x, certain = x[inside], Interval(*(z[inside] for z in certain))
        supports = [s for s, kept in zip(supports, inside, strict=True) if kept]
        region = Interval(*(z[_touching(region, box)] for z in region))
    return x, _certificate(rest, certain, region, supports=tuple(supports), examined=found.examined)


def _numbers(problem: _Problem, units: ThresholdLinear) -> tuple[np.ndarray, ...]:
    """The weights, and for each unit its drive and whether it has a threshold.

    Raises:
        ValueError: for arrays that do not fit, or too many units.
    """
    weights, drive = (np.asarray(x, np.float64) for x in (units.weights, units.drive))
    rectified, shape = np.asarray(units.rectified, bool), weights.shape
    if (
        len(shape) != 2
        or shape[0] != shape[1]
        or not {drive.shape, rectified.shape} <= {(), shape[:1]}
    ):
        raise ValueError(
            f"{problem.name}.threshold_linear: expected square weights, and one drive and one "
            f"`rectified` per unit or for all, got shapes {shape}, {drive.shape} and "
            f"{rectified.shape}"
        )
    rectified = np.broadcast_to(rectified, shape[:1])
    if rectified.sum() > LARGEST:
        raise ValueError(
            f"{problem.name}: expected at most {LARGEST} units with a threshold, got "
            f"{rectified.sum()}: each more doubles the sets of active units to look at. Use a "
            "smaller network, or find_equilibria with many guesses"
        )
    return weights, np.broadcast_to(drive, shape[:1]), rectified


def _by_boxes(
    problem: _Problem, box: Interval, effort: tuple[float, int]
) -> tuple[np.ndarray, Certificate]:
    """The states `(equilibrium, n)` of any other circuit within a box."""
    rest = problem.rest
    circuit, input = cast((problem.circuit, problem.input), np.float64)
    with jax.enable_x64(True):
        _, field = flat_field(circuit, input, rest, np.zeros(()))
    enclosure = Enclosure(lambda arrays, x: field.of(arrays)(x), field.arrays, box.low.size)
    found = zeros_in(enclosure, box, *effort)
    low, high = found.proven
    x = np.where((low <= 0) & (high >= 0), 0.0, middle(found.proven))
    order = np.lexsort(x.T[::-1])
    certain = Interval(low[order], high[order])
    return x[order], _certificate(rest, certain, found.open, supports=None, examined=found.examined)


def _equilibria(problem: _Problem, x: np.ndarray, certificate: Certificate) -> Equilibria:
    """The list, with the derivatives and residuals at each."""
    rest = problem.rest
    size = vector_of(rest).size
    at = [in_float64(_here, problem.circuit, problem.input, rest, row) for row in x]
    return Equilibria(
        states=states_of(rest, x.reshape(len(x), size)),
        found=np.ones(len(x), bool),
        residual=np.array([abs(value).max(initial=0.0) for value, _ in at]),
        jacobian=np.array([jacobian for _, jacobian in at]).reshape(len(x), size, size),
        status=np.full(len(x), Status.OK, np.int32),
        certificate=certificate,
    )


@program
def _here(
    circuit: AbstractCircuit[Any], input: Input, rest: State, x: Array
) -> tuple[Array, Array]:
    """The field at a state and its Jacobian."""
    _, field = flat_field(circuit, input, rest, np.zeros(()))
    return field(x), field.jacobian(x)


def _certificate(
    rest: State,
    certain: Interval,
    region: Interval,
    *,
    supports: tuple[tuple[int, ...], ...] | None,
    examined: int,
) -> Certificate:
    low, high = (states_of(rest, x) for x in certain)
    open_low, open_high = (states_of(rest, x) for x in region)
    return Certificate(not len(region.low), low, high, open_low, open_high, supports, examined)


def _at_rest(result: Equilibria) -> float:
    """How much of the field rounding may leave, per ms."""
    size = max((abs(x).max(initial=0.0) for x in jax.tree.leaves(result.states)), default=0.0)
    assert result.jacobian is not None
    return _ROUNDING * (1 + abs(result.jacobian).sum(-1).max(initial=0.0)) * (1 + size)


def _touching(x: Interval, box: Interval) -> np.ndarray:
    return ((x.high >= box.low) & (x.low <= box.high)).all(-1)


def _bounds(rest: State, box: Expected[tuple[State, State] | None]) -> Interval:
    """The least and the most of each variable, `(n,)`.

    Raises:
        ValueError: for what is no box.
    """
    if not isinstance(box, tuple | list | np.ndarray) or len(box) != 2:
        raise ValueError(f"box: expected a pair (low, high) of states or of numbers, got {box!r}")
    low, high = (_side(rest, side) for side in box)
    names = variable_names(rest)
    for name, a, b in zip(names, low, high, strict=True):
        if not (np.isfinite(a) and np.isfinite(b) and a < b):
            raise ValueError(
                f"box: expected finite numbers, the low one below the high one, got {a:g} and "
                f"{b:g} for {name}"
            )
    return Interval(low, high)


def _side(rest: State, side: Expected[State]) -> np.ndarray:
    if isinstance(side, list):
        side = np.asarray(side)
    if np.ndim(side) == 0 and jax.tree.structure(side) == jax.tree.structure(0):
        return np.full(vector_of(rest).size, float(side))
    fits = jax.tree.structure(side) == jax.tree.structure(rest) and all(
        np.shape(a) == np.shape(b)
        for a, b in zip(jax.tree.leaves(side), jax.tree.leaves(rest), strict=True)
    )
    if not fits:
        raise ValueError(
            f"box: expected states with the variables {', '.join(variable_names(rest))}, or one "
            f"number for all of them, got {side!r}"
        )
    return vector_of(side)


def _searched(
    problem: _Problem, box: Interval | None, resolution: Expected[float], max_boxes: Expected[int]
) -> Interval:
    """The box to search.

    Raises:
        ValueError: without a box, or for options out of range.
    """
    if box is None:
        raise ValueError(
            f"box: expected the region in which to look, for {problem.name} is not "
            "threshold-linear, and only within a region can it be proved that nothing is missed. "
            "Give a pair of states, the least and the most of "
            f"{', '.join(variable_names(problem.rest))}, or one pair of numbers for all, e.g. "
            "box=(-100.0, 100.0)"
        )
    resolution = one_number(resolution, "resolution")
    if not _FINEST <= resolution <= 0.1:
        raise ValueError(
            f"resolution: expected a share of the box between {_FINEST:g}, below which rounding "
            f"decides, and 0.1, got {resolution:g}"
        )
    counted(max_boxes, "max_boxes")
    return box
