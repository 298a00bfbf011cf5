"""Where does it go round? `find_orbit` and the `Orbit` it gives."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Complex

from rnnjax._collocation import (
    DEGREE,
    NODES,
    Cycle,
    Family,
    Row,
    interpolated,
    linearized,
    phase_row,
    reduced,
    remeshed,
    residual,
    solved,
    weights,
)
from rnnjax._linalg import first_of, flatten, named_leaves, refuse
from rnnjax._parameter import counted
from rnnjax._results import ConvergenceError, Status
from rnnjax._simulate import Trajectory
from rnnjax._types import Array, in_float64, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, starting_state

_ROUNDS, _NEWTON, _HALVINGS = 3, 25, 6
_CONVERGED = 1e-9  # scaled length of the last correction; the error is about its square
_STILL = 1e-7  # of the state's size, the range of an orbit that has shrunk to rest
_LEFT, _BACK = 0.3, 0.1  # of a run's extent: how far away it must go, and how near come back
_SAMPLES = 8  # places in each interval at which extremes are looked for


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
        return self.multipliers_real + 1j * self.multipliers_imaginary

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
        return in_float64(_at, self.states, self.widths, np.asarray(phase, np.float64))

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

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along `phase`."""
        from rnnjax._store import Labels

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
    raise ConvergenceError(Status(int(orbit.status)).message)


def is_stable(multipliers: Any) -> Any:
    """Whether all but the multiplier nearest to 1 lie in the unit circle."""
    off = abs(multipliers - 1)
    along = off == off.min(-1, keepdims=True)
    return (abs(multipliers) * ~along).max(-1) < 1


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
def _at(states: Any, widths: Array, phase: Array) -> Any:
    first = jax.tree.map(lambda x: x[0], states)
    _, unravel = flatten(jax.tree.map(jnp.asarray, first))
    rows = jnp.concatenate([x.reshape(x.shape[0], -1) for x in jax.tree.leaves(states)], 1)
    x = rows.reshape(widths.size, DEGREE, -1)
    ends = jnp.concatenate([jnp.zeros(1), jnp.cumsum(widths)])
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
    begun, came_back = _cut(samples / scale, times, widths, curve.whole)
    cycle, solved_ = _refined(still, begun)
    cycle = jax.tree.map(lambda a, b: jnp.where(solved_, a, b), cycle, begun)
    value = abs(residual(still, cycle)).max()
    extent = jnp.ptp(cycle.x.reshape(-1, x.size), axis=0).max()
    status = first_of(
        [~came_back, solved_ & ~(extent > _STILL), ~solved_],
        [Status.NOT_PERIODIC, Status.AT_REST, Status.NOT_CONVERGED],
        Status.OK,
    ).astype(jnp.int32)
    good = status == Status.OK
    cycle = attached(field_of, given, cycle)
    multipliers = floquet(field_of(given), cycle)
    states = refuse(good, cycle.x.reshape(-1, x.size) * scale)
    ends = jnp.concatenate([jnp.zeros(1), jnp.cumsum(widths_ := cycle.widths)])
    phases = ends[:-1, None] + widths_[:, None] * jnp.asarray(NODES[:-1])
    return (
        jax.vmap(unravel)(states),
        phases.reshape(-1),
        refuse(good, cycle.period),
        refuse(good, multipliers.real),
        refuse(good, multipliers.imag),
        value,
        status,
        widths_,
    )


def _cut(samples: Array, times: Array, widths: Array, whole: bool) -> tuple[Cycle, Array]:
    """The last part of a run that comes back to its end, on the mesh; whether there is one."""
    last = times.size - 1
    if whole:
        begin, found = jnp.zeros((), jnp.int32), jnp.ones((), bool)
    else:
        distance = jnp.sqrt(((samples - samples[-1]) ** 2).sum(1))
        extent = jnp.where(jnp.arange(times.size) > last // 2, distance, 0.0).max()
        left = lax.cummax((distance > _LEFT * extent).astype(jnp.int32), reverse=True) > 0
        before = jnp.concatenate([jnp.full(1, jnp.inf), distance[:-1]])
        after = jnp.concatenate([distance[1:], jnp.zeros(1)])
        near = left & (distance <= before) & (distance <= after) & (distance < _BACK * extent)
        places = jnp.arange(times.size, dtype=jnp.int32)
        begin = jnp.where(near, places, -1).max()
        found = (begin >= 0) & (extent > _STILL)
        begin = jnp.maximum(begin, 0)
    start = times[begin]
    period = times[-1] - start
    ends = jnp.concatenate([jnp.zeros(1), jnp.cumsum(widths)])
    places = ends[:-1, None] + widths[:, None] * jnp.asarray(NODES[:-1])
    at = start + places * period
    x = jax.vmap(lambda y: jnp.interp(at, times, y), 1, -1)(samples)
    return Cycle(x, period, jnp.zeros(()), widths), found


def _refined(field: Family, cycle: Cycle) -> tuple[Cycle, Array]:
    """Newton's method, on a mesh that follows what was found."""
    cycle, good = _newton(field, cycle)
    for _ in range(_ROUNDS - 1):
        again, solved_ = _newton(field, remeshed(cycle)[0])
        cycle = jax.tree.map(lambda a, b, s=solved_: jnp.where(s, a, b), again, cycle)
        good &= solved_
    return cycle, good


def _newton(field: Family, cycle: Cycle) -> tuple[Cycle, Array]:
    """Newton's method with the parameter held, in steps that are halved until the residual falls."""
    zero = jnp.zeros(())
    hold = Row(jnp.zeros_like(cycle.x), zero, jnp.ones(()))

    def size_of(c: Cycle) -> Array:
        return jnp.sqrt((residual(field, c) ** 2).sum())

    def moved(c: Cycle, change: Row, share: Array) -> Cycle:
        return c._replace(x=c.x + share * change.x, period=c.period + share * change.period)

    def body(now: Any) -> Any:
        c, _, _, count = now
        equations = linearized(field, c)
        change, _ = solved(equations, -equations.value, (phase_row(c), hold), jnp.zeros(2))
        before = size_of(c)

        def fails(share: Array) -> Array:
            there = moved(c, change, share)
            return ~(size_of(there) <= (1 - 0.1 * share) * before) | ~(there.period > 0)

        small = jnp.sqrt(
            (weights(c)[..., None] * change.x**2).sum() + (change.period / c.period) ** 2
        )
        one, least = jnp.ones(()), 0.5**_HALVINGS
        share = lax.while_loop(
            lambda s: (s > least) & fails(s) & (small > 1e-6), lambda s: s / 2, one
        )
        bad = ~jnp.isfinite(small)
        new = moved(c, change, share)
        return jax.tree.map(lambda a, b: jnp.where(bad, b, a), new, c), small, bad, count + 1

    def go(now: Any) -> Array:
        _, size, bad, count = now
        return ~bad & (size > _CONVERGED) & (count < _NEWTON)

    start = cycle, jnp.full((), jnp.inf), jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    cycle, size, bad, _ = lax.while_loop(go, body, start)
    return cycle, ~bad & (size <= _CONVERGED)


def attached(field_of: Callable[[Any], Family], given: Any, cycle: Cycle) -> Cycle:
    r"""A solved cycle with its derivatives by the arrays of the circuit, the parameter held.

    $F(\theta, x, T) = 0$ gives $F_x\, dx + F_T\, dT = -F_\theta\, d\theta$, with
    $\int \langle dx, \dot x \rangle = 0$.
    """

    @jax.custom_jvp
    def root(given: Any, cycle: Cycle) -> Cycle:
        return cycle

    @root.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Cycle, Cycle]:
        given, cycle = primals
        cycle = root(given, cycle)
        change = jax.jvp(lambda g: residual(field_of(g), cycle), (given,), (tangents[0],))[1]
        equations = linearized(field_of(given), cycle)
        zero = jnp.zeros(())
        hold = Row(jnp.zeros_like(cycle.x), zero, jnp.ones(()))
        moved, _ = solved(equations, -change, (phase_row(cycle), hold), jnp.zeros(2))
        return cycle, Cycle(moved.x, moved.period, zero, jnp.zeros_like(cycle.widths))

    return root(given, cycle)


def floquet(field: Family, cycle: Cycle) -> Array:
    r"""The Floquet multipliers, the largest absolute value first, complex.

    Of $A x_0 + B x_N = 0$, what is left of the variational equation: $x_N = \mu x_0$.
    """
    system = reduced(linearized(field, cycle)).system
    return sorted_multipliers(system.first, system.last)


def sorted_multipliers(first: Array, last: Array) -> Array:
    r"""The $\mu$ of $A x + \mu B x = 0$, `(..., n, n)` each, the largest absolute value first."""
    monodromy = -jnp.linalg.solve(last, first)
    finite = jnp.isfinite(monodromy).all((-1, -2), keepdims=True)
    values = jnp.linalg.eigvals(jnp.where(finite, monodromy, 0.0))
    order = jnp.argsort(-abs(values), axis=-1, stable=True)
    return jnp.take_along_axis(values, order, axis=-1)
