"""Where does it go round? `find_orbit` and the `Orbit` it gives."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Complex

from rnnjax._numerics.collocation import (
    DEGREE,
    Family,
    ends_of,
    interpolated,
    places_of,
    residual,
)
from rnnjax._numerics.eigenvalues import first_of, flatten, named_leaves, refuse
from rnnjax._orbits.search import STILL, attached, cut_to_orbit, floquet, refined
from rnnjax._parameter import counted
from rnnjax._results import ConvergenceError, Status
from rnnjax._simulation.simulate import Trajectory
from rnnjax._types import Array, in_float64, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, starting_state

_SAMPLES = 8  # places in each interval at which extremes are looked for
_NO_ORBIT = (
    " Of an orbit also: (c) the run is chaotic or not settled, (d) the mesh is coarse. Try a longer run, "
    "states and their `period=`, more `intervals=`, or ask `lyapunov_exponents` whether it is chaotic."
)


class Orbit(eqx.Module):
    r"""A periodic orbit, $x(t + T) = x(t)$, and how what is beside it grows in a period.

    Attributes:
        states: in the circuit's structure, each leaf `(node, ...)`; NaN where none was found.
        phases: where the nodes are, as shares of the period, `(node,)`.
        period: T in ms.
        multipliers_real, multipliers_imaginary: of the Floquet multipliers, `(n,)`, the largest
            absolute value first. One of them is 1, along the orbit.
        residual: the largest value of what vanishes on an orbit, scaled.
        status: a `Status`.
        widths: the intervals of the mesh as shares of the period.
    """

    states: Any
    phases: Any
    period: Any
    multipliers_real: Any
    multipliers_imaginary: Any
    residual: Any
    status: Any
    widths: Any

    @property
    def multipliers(self) -> Complex[Any, "*batch n"]:
        """The Floquet multipliers."""
        return as_complex(self.multipliers_real, self.multipliers_imaginary)

    @property
    def frequency(self) -> Any:
        """In Hz."""
        return 1000 / self.period

    @property
    def stable(self) -> Any:
        """Whether perturbations decay: all multipliers but that of the orbit lie in the unit circle."""
        return is_stable(self.multipliers)

    def __call__(self, phase: Any) -> Any:
        """The state at shares of the period, by the polynomials of the solution.

        Args:
            phase: one or several, `(phase,)`; one period later is the same.
        """
        of = jax.tree.leaves(self.states)[0]
        if np.ndim(of) and np.ndim(self.period):
            raise ValueError("a batch of orbits: select one of them")
        return in_float64(at_phases, self.states, self.widths, np.asarray(phase, np.float64))

    @property
    def extremes(self) -> tuple[Any, Any]:
        """The smallest and the largest value of each variable, in the circuit's structure."""
        inside = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        ends = np.concatenate([[0.0], np.cumsum(self.widths)])
        places = np.sort(
            np.concatenate([self.phases, (ends[:-1, None] + self.widths[:, None] * inside).ravel()])
        )
        states = self(places)
        return (
            jax.tree.map(lambda x: np.min(x, 0), states),
            jax.tree.map(lambda x: np.max(x, 0), states),
        )

    def swept(self) -> tuple[dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]], Any]:
        """What a sweep keeps of it: the period, the multipliers and the extremes of the nodes.

        Returns:
            Variables by name, each `(dims, values, attributes)`, and a `Status`.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if np.ndim(self.period):
            raise ValueError("a batch of orbits: give the sweep one for each of its points")
        names = {"period": ("ms", "period"), "frequency": ("Hz", "frequency")}
        found: dict[str, Any] = {
            k: ((), getattr(self, k), {"units": unit, "long_name": words})
            for k, (unit, words) in names.items()
        }
        found["stable"] = ((), self.stable, {"long_name": "whether perturbations decay"})
        for k in ("multipliers_real", "multipliers_imaginary"):
            words = {"units": "1", "long_name": f"Floquet {k.replace('_', ', ')} part"}
            found[k] = (("multiplier",), getattr(self, k), words)
        for name, x in named_leaves(self.states).items():
            for word, value in (("smallest", x.min(0)), ("largest", x.max(0))):
                words = {"units": "state", "long_name": f"{word} {name} of the orbit's nodes"}
                found[f"{word}_{name}"] = ((), value, words)
        return found, self.status

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along `phase`."""
        from rnnjax._files.sinks import Labels

        states = {k: np.asarray(x) for k, x in named_leaves(self.states).items()}
        extra = {k: tuple(f"unit_{i}" for i in range(x.ndim - 1)) for k, x in states.items()}
        data = Labels(("phase",), (len(self.phases),), {}, {}, {}, extra).dataset(states)
        return data.assign_coords(phase=np.asarray(self.phases)).assign_attrs(
            period=float(self.period), period_units="ms"
        )

    def __repr__(self) -> str:
        """Its period and its stability."""
        if is_traced(self.period) or np.ndim(self.period):
            return f"Orbit(of shape {np.shape(self.period)})"
        status = Status(int(self.status))
        if status != Status.OK:
            return f"Orbit({status.name})"
        kind = "stable" if self.stable else "unstable"
        values = ", ".join(f"{complex(v):.4g}" for v in self.multipliers[:4])
        return (
            f"Orbit(period {float(self.period):.8g} ms, {float(self.frequency):.5g} Hz, {kind}, "
            f"multipliers {values})"
        )


def find_orbit(
    circuit: AbstractCircuit[Any],
    guess: Any,
    input: Any = None,
    *,
    period: Any = None,
    intervals: Any = 32,
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
    result = in_float64(_found, circuit, as_input(circuit, input), rest, curve, np.float64(time))
    orbit = Orbit(*result)
    if is_traced(result) or not throw or orbit.status == Status.OK:
        return orbit
    status = Status(int(orbit.status))
    advice = _NO_ORBIT if status == Status.NOT_CONVERGED else ""
    raise ConvergenceError(status.message + advice)


def as_complex(real: Any, imaginary: Any) -> Any:
    """Complex numbers of their parts."""
    return lax.complex(real, imaginary) if is_traced(real) else real + 1j * imaginary


def is_stable(multipliers: Any) -> Any:
    """Whether all but the multiplier nearest to 1 lie in the unit circle."""
    xp: Any = jnp if is_traced(multipliers) else np
    off = abs(multipliers - 1)
    along = off == off.min(-1, keepdims=True)
    return xp.where(along, 0.0, abs(multipliers)).max(-1) < 1


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


def _guessed(rest: Any, guess: Any, period: Any, count: int) -> Curve:
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
    if period is None:
        raise ValueError(
            "period: expected about how long the orbit takes, in ms, as the guess is states alone"
        )
    if not is_traced(period) and not float(period) > 0:
        raise ValueError(f"period: expected a positive time in ms, got {period}")
    samples = rows_of(rest, guess)
    if samples.shape[0] < 8:
        raise ValueError(f"guess: expected at least 8 samples, got {samples.shape[0]}")
    samples = jnp.concatenate([samples, samples[:1]])
    return Curve(samples, np.linspace(0, 1, samples.shape[0]) * period, True, even)


def rows_of(rest: Any, states: Any) -> Any:
    """States as rows `(sample, n)`, or a ValueError."""
    wanted = [np.shape(x) for x in jax.tree.leaves(rest)]
    if jax.tree.structure(states) != jax.tree.structure(rest) or any(
        np.shape(x)[1:] != w for x, w in zip(jax.tree.leaves(states), wanted, strict=True)
    ):
        shapes = [np.shape(x) for x in jax.tree.leaves(states)]
        raise ValueError(
            "guess: expected a Trajectory, an Orbit or states in the circuit's structure with one "
            f"axis more in front of {wanted}, got {type(states).__name__} with {shapes}"
        )
    return jnp.concatenate(
        [jnp.reshape(x, (np.shape(x)[0], -1)) for x in jax.tree.leaves(states)], 1
    )


@eqx.filter_jit
def at_phases(states: Any, widths: Array, phase: Array) -> Any:
    first = jax.tree.map(lambda x: x[0], states)
    _, unravel = flatten(jax.tree.map(jnp.asarray, first))
    rows = jnp.concatenate([x.reshape(x.shape[0], -1) for x in jax.tree.leaves(states)], 1)
    x = rows.reshape(widths.size, DEGREE, -1)
    ends = ends_of(widths)
    flat = jnp.reshape(phase % 1.0, -1)
    found = jax.vmap(unravel)(interpolated(x, ends, flat))
    return jax.tree.map(lambda y: y.reshape(*phase.shape, *y.shape[1:]), found)


@eqx.filter_jit
def _found(circuit: Any, input: Any, rest: Any, curve: Curve, time: Any) -> Any:
    x, unravel = flatten(jax.tree.map(jnp.asarray, rest))
    samples, times, widths = lax.stop_gradient(
        jax.tree.map(jnp.asarray, (curve.samples, curve.times, curve.widths))
    )
    scale = jnp.maximum(abs(samples).max(0), 1e-3)
    arrays, fixed = eqx.partition((circuit, input, time), eqx.is_array)
    given = arrays, scale

    def field_of(given: Any) -> Family:
        arrays, scale = given

        def field(u: Array) -> Array:
            circuit, input, time = eqx.combine(arrays, fixed)
            return flatten(circuit(unravel(u[:-1] * scale), input(time)))[0] / scale

        return field

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
    cycle = attached(field_of, given, cycle)
    multipliers = floquet(field_of(given), cycle)
    states = refuse(good, cycle.x.reshape(-1, x.size) * scale)
    return (
        jax.vmap(unravel)(states),
        places_of(cycle.widths).reshape(-1),
        refuse(good, cycle.period),
        refuse(good, multipliers.real),
        refuse(good, multipliers.imag),
        value,
        status,
        cycle.widths,
    )
