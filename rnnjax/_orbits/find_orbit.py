"""Where does it go round? `find_orbit` and the `Orbit` it gives."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._gate import instant, own_structure
from rnnjax._machine.parts import compiled
from rnnjax._machine.verb import verb
from rnnjax._numerics.collocation import (
    Family,
    places_of,
    residual,
)
from rnnjax._numerics.slots import slots_of
from rnnjax._orbits.derivatives import attached
from rnnjax._orbits.orbit import Orbit, rows_of
from rnnjax._orbits.search import STILL, cut_to_orbit, floquet, refined
from rnnjax._parameter import counted
from rnnjax._precision import first_of, in_float64
from rnnjax._results import ConvergenceError, Status
from rnnjax._simulation.trajectory import Trajectory
from rnnjax._types import Expected, InputLike, Scalar, State, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, starting_state
from rnnjax.circuits._flat import flat_field
from rnnjax.circuits._structure import arranged
from rnnjax.solvers._checks import positive

_NO_ORBIT = (
    " Of an orbit also: (c) the run is chaotic or not settled, (d) the mesh is coarse. Try a longer run, "
    "states and their `period=`, more `intervals=`, or ask `lyapunov_exponents` whether it is chaotic."
)


@verb
def find_orbit(
    circuit: AbstractCircuit[Any],
    guess: Expected[Trajectory | State],
    input: Expected[InputLike | None] = None,
    *,
    period: Expected[Scalar | None] = None,
    intervals: Expected[int] = 32,
    time: float = 0.0,
    throw: bool = True,
) -> Orbit:
    r"""A periodic orbit of $\dot x = f(x, u)$ near a guess, stable or not, with its multipliers.

    Piecewise polynomials that satisfy the vector field at Gauss points are found by Newton's method,
    together with the period, on a mesh that follows the orbit; the linear systems are eliminated in
    pairs, at a cost linear in the mesh. The period is exact to $O(h^8)$.

    The orbit has its derivatives with respect to the circuit and the input: of the period, the
    multipliers, and the states, which are compared at phases that minimize their distance.

    Args:
        circuit: the circuit.
        guess: a `Trajectory` that comes back near its end, another `Orbit`, or states in the
            circuit's structure, each leaf `(sample, ...)`, evenly spaced over one `period`.
        input: the input; held at its value at `time`.
        period: about how long it takes, in ms; needed with states alone.
        intervals: of the mesh; rounded up to a power of two.
        time: in ms.
        throw: raise if none was found. Where a JAX transformation is under way nothing can be
            raised: see `Orbit.status`.

    Raises:
        ConvergenceError: if none was found and `throw` is true.
        ValueError: for a guess or a period that do not fit.

    References:
        Doedel, Keller and Kernevez (1991), Int. J. Bifurcation and Chaos 1:745-772.
    """
    check_run(circuit, input, None, None)
    rest = starting_state(circuit, input, None)
    count = 1 << (counted(intervals, "intervals") - 1).bit_length()
    curve = _guessed(rest, guess, period, max(count, 4))
    result = in_float64(_found, circuit, as_input(circuit, input), rest, curve, instant(time))
    orbit = Orbit(*result)
    if is_traced(result) or not throw or orbit.status == Status.OK:
        return orbit
    status = Status(int(orbit.status))
    advice = _NO_ORBIT if status == Status.NOT_CONVERGED else ""
    raise ConvergenceError(status.message + advice)


class Curve(NamedTuple):
    """A guess: samples `(sample, n)` at `times` `(sample,)`, of which the part that comes back is used.

    Attributes:
        samples: flattened states.
        times: in ms.
        whole: whether it is one period from the first to the last.
        widths: of the mesh.
    """

    samples: Any
    times: Any
    whole: bool
    widths: Any


def _guessed(
    rest: State, guess: Expected[Trajectory | State], period: Expected[Scalar | None], count: int
) -> Curve:
    """The guess as samples over time."""
    even = np.full(count, 1 / count)
    if isinstance(guess, Trajectory):
        if guess.of:
            raise ValueError("guess: expected whole states, got a run with `observe=`")
        samples = rows_of(rest, guess.states)
        return Curve(samples, guess.times, False, even)
    if isinstance(guess, Orbit):
        samples = rows_of(rest, guess.states)
        samples = jnp.concatenate([samples, samples[:1]])
        times = jnp.append(jnp.asarray(guess.phases), 1.0) * guess.period
        return Curve(samples, times, True, even)
    if guess is None or callable(guess):
        raise TypeError(
            "guess: expected a Trajectory, an Orbit or states over one period, got "
            f"{'None' if guess is None else type(guess).__name__}"
        )
    if period is None:
        raise ValueError(
            "period: expected about how long the orbit takes, in ms, as the guess is states alone"
        )
    if not is_traced(period):
        period = positive(period, "period", "ms")
    samples = rows_of(rest, own_structure(arranged(guess, rest), "guess", None))
    if samples.shape[0] < 8:
        raise ValueError(f"guess: expected at least 8 samples, got {samples.shape[0]}")
    samples = jnp.concatenate([samples, samples[:1]])
    return Curve(samples, np.linspace(0, 1, samples.shape[0]) * period, True, even)


@functools.partial(compiled, runs_long=True)
def _found(
    circuit: AbstractCircuit[Any], input: InputLike | None, rest: State, curve: Curve, time: Scalar
) -> Any:
    x, natural = flat_field(circuit, input, rest, time)
    samples, times, widths = lax.stop_gradient(
        jax.tree.map(jnp.asarray, (curve.samples, curve.times, curve.widths))
    )
    scale = jnp.maximum(abs(samples).max(0), 1e-3)
    given = natural.arrays, scale

    def field_of(given: Any) -> Family:
        """The vector field of scaled coordinates, and of a parameter that there is not."""
        arrays, scale = given
        return natural.of(arrays).in_units(jnp.append(scale, 1.0))

    still = field_of(lax.stop_gradient(given))
    begun, came_back = cut_to_orbit(samples / scale, times, widths, curve.whole)
    cycle, solved_ = refined(still, begun)
    cycle = jax.tree.map(lambda a, b: jnp.where(solved_, a, b), cycle, begun)
    value = abs(residual(still, cycle)).max()
    extent = jnp.ptp(cycle.x.reshape(-1, x.size), axis=0).max()
    status = first_of(
        [~came_back, solved_ & ~(extent > STILL), ~solved_],
        [Status.NOT_PERIODIC, Status.AT_REST, Status.NOT_CONVERGED],
        Status.OK,
    ).astype(jnp.int32)
    good = status == Status.OK
    slot = slots_of(good, given)
    cycle = attached(field_of, slot.given, cycle)
    multipliers = floquet(field_of(slot.given), cycle)
    states = slot.written(cycle.x.reshape(-1, x.size) * scale)
    return (
        jax.vmap(natural.unravel)(states),
        places_of(cycle.widths).reshape(-1),
        slot.written(cycle.period),
        slot.written(multipliers.real),
        slot.written(multipliers.imag),
        value,
        status,
        cycle.widths,
    )
