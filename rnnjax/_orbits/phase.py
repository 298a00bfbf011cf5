"""When in the cycle does an input matter? The phase response of a periodic orbit."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._engine.fixed_steps import FixedRun, integrate
from rnnjax._gate import instant
from rnnjax._machine.kept import program
from rnnjax._machine.verb import verb
from rnnjax._numerics.collocation import (
    DEGREE,
    NODES,
    WEIGHTS,
    Cycle,
    Family,
    Row,
    at_gauss_points,
    ends_of,
    interpolated,
    linearized,
    misfit,
    phase_row,
    places_of,
    solved,
)
from rnnjax._numerics.implicit import refuse
from rnnjax._numerics.trees import flatten, named_leaves
from rnnjax._orbits.orbit import Orbit, at_phases, check_fits, rows_of
from rnnjax._parameter import counted
from rnnjax._precision import in_float64, index_of_largest
from rnnjax._results import ConvergenceError, Status
from rnnjax._types import (
    Array,
    Expected,
    Float,
    Input,
    InputLike,
    NDArray,
    Scalar,
    State,
    Value,
    is_traced,
)
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, given_state, starting_state
from rnnjax.circuits._flat import flat_field
from rnnjax.solvers._base import Solver
from rnnjax.solvers._checks import checked_solver

_ON = 1e-3  # of an orbit's extent: how near a run must come to have a phase


def _integrals() -> np.ndarray:
    """The integrals from 0 to each node of the polynomials that are 1 at one Gauss point."""
    points = (np.polynomial.legendre.leggauss(DEGREE)[0] + 1) / 2
    found = np.zeros((DEGREE + 1, DEGREE))
    for i in range(DEGREE):
        others = np.delete(points, i)
        integral = (np.poly1d(others, r=True) / np.prod(points[i] - others)).integ()
        found[:, i] = integral(NODES)
    return found


_INTEGRALS = _integrals()


class PhaseResponse(eqx.Module):
    r"""How far small kicks move a rhythm ahead: the infinitesimal phase response curve $Z$.

    A kick $\delta$ to the state at a phase advances all later cycles by $Z \cdot \delta$ ms. $Z$ is the
    gradient of the asymptotic phase, in units of time, and $Z \cdot f = 1$ along the orbit.

    Attributes:
        states: Z in the circuit's structure, each leaf `(node, ...)`, in ms per unit of the state.
        phases: where the nodes are, as shares of the period, `(node,)`, from where the orbit begins.
        period: in ms.
        widths: the intervals of the mesh as shares of the period.
        origin: the phase of the orbit that counts as 0.
        unit: the unit of the state.
    """

    states: State
    phases: Float[NDArray, "*batch node"]
    period: Float[Value, "*batch"]
    widths: Float[NDArray, "*batch interval"]
    origin: Float[Value, "*batch"]
    unit: str = eqx.field(static=True, default="")

    def __call__(self, phase: Float[Value, "*phase"]) -> Any:
        """Z at shares of the period after the origin.

        Args:
            phase: one or several, `(phase,)`; one period later is the same.
        """
        after = phase if is_traced(phase) else np.asarray(phase, np.float64)
        return in_float64(at_phases, self.states, self.widths, after + self.origin)

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along `phase`, which begins at the origin."""
        from rnnjax._files.datasets import phases_dataset

        phases = np.linspace(0.0, 1.0, 4 * len(self.phases) // DEGREE, endpoint=False)
        values = named_leaves(self(phases))
        units = f"ms/({self.unit})" if self.unit else "ms"
        words = {k: {"units": units, "long_name": f"phase response to {k}"} for k in values}
        return phases_dataset(phases, values, words, {"period": float(self.period)})


@verb
def phase_response(
    circuit: AbstractCircuit[Any],
    orbit: Expected[Orbit],
    input: Expected[InputLike | None] = None,
    *,
    origin: Callable[[Any], Any] | None = None,
    time: float = 0.0,
) -> PhaseResponse:
    r"""The infinitesimal phase response curve of a periodic orbit.

    The periodic solution of the adjoint variational equation $\dot Z = -J(x(t))^T Z$ with
    $Z \cdot f = 1$: the transpose of the collocation equations of the orbit, solved once, so that it is
    as exact as the orbit and independent of how fast perturbations decay.

    It has its derivatives with respect to the circuit, if the orbit has them: find the orbit inside the
    function that is differentiated. They are those at fixed phases after the `origin`.

    Args:
        circuit: the circuit.
        orbit: one of its orbits, stable or not, at this input.
        input: the input; held at its value at `time`.
        origin: a function of the state that crosses 0 upwards where the phase is 0, such as
            `lambda s: s.v`: at its first such crossing; where the orbit begins unless given.
        time: in ms.

    Raises:
        ConvergenceError: for an orbit that was not found, or never crosses the origin.
        ValueError: for an orbit that does not fit the circuit, or was found for other numbers of it.

    References:
        Ermentrout and Kopell (1991), J. Math. Biol. 29:195-217; Ermentrout and Terman (2010),
        Mathematical Foundations of Neuroscience, chapter 8.
    """
    check_run(circuit, input, None, None)
    rest = starting_state(circuit, input, None)
    _check_orbit(rest, orbit)
    states, at, off = in_float64(
        _response, circuit, as_input(circuit, input), rest, orbit.states, orbit.period, orbit.widths,
        instant(time), origin,
    )  # fmt: skip
    check_fits("orbit", off, "find it again, `find_orbit(circuit, orbit, input)`")
    unit = getattr(circuit, "state_unit", "")
    found = PhaseResponse(states, orbit.phases, orbit.period, orbit.widths, at, unit)
    if not is_traced(at) and not np.isfinite(at):
        raise ConvergenceError(
            "origin: the function does not cross 0 upwards along the orbit: choose one that does, such as "
            "the voltage less a value that the orbit passes"
        )
    return found


@verb
def phase_of(
    circuit: AbstractCircuit[Any],
    orbit: Expected[Orbit],
    state: Expected[State],
    input: Expected[InputLike | None] = None,
    *,
    periods: Expected[int] = 10,
    steps: Expected[int] = 2000,
    solver: Expected[Solver | None] = None,
    time: float = 0.0,
    throw: bool = True,
) -> Any:
    r"""The asymptotic phase of a state that settles to a stable orbit, as a share of the period.

    The state of the orbit with that phase and the state itself meet in the end: they lie on one
    isochron. The state is followed for whole periods, and what is still missing is seen along the phase
    response; the error is of second order in that.

    Args:
        circuit: the circuit.
        orbit: a stable orbit of it.
        state: a state in the circuit's structure; for several use `jax.vmap`.
        input: the input; held at its value at `time`.
        periods: how many to follow it for.
        steps: fixed steps in each.
        solver: an explicit diffrax solver; `Tsit5()` unless given.
        time: in ms.
        throw: raise if it has not come near the orbit by then. Where a JAX transformation is under way
            nothing can be raised: the phase is NaN.

    Raises:
        ConvergenceError: if it is not near the orbit after so many periods, and `throw` is true.
        ValueError: for an orbit or a state that do not fit the circuit, or an orbit that was found for other
            numbers of it.

    References:
        Guckenheimer (1975), J. Math. Biol. 1:259-273; Winfree (1974), J. Math. Biol. 1:73-95.
    """
    check_run(circuit, input, None, None)
    rest = starting_state(circuit, input, None)
    state = given_state(circuit, input, state)
    _check_orbit(rest, orbit)
    solver = checked_solver(solver, None, 1.0, False)
    counts = counted(periods, "periods"), counted(steps, "steps")
    phase, off = in_float64(
        _phase, circuit, as_input(circuit, input), rest, orbit.states, orbit.period, orbit.widths,
        instant(time), state, solver, counts,
    )  # fmt: skip
    check_fits("orbit", off, "find it again, `find_orbit(circuit, orbit, input)`")
    if throw and not is_traced(phase) and not np.isfinite(phase):
        raise ConvergenceError(
            f"the state is not near the orbit after {counts[0]} periods. Usual causes: (a) it settles "
            "elsewhere, (b) it settles slowly, (c) the orbit is unstable. Try more `periods=`."
        )
    return phase


def _check_orbit(rest: State, orbit: Expected[Orbit]) -> None:
    """Refuse what is no single orbit of the circuit."""
    if not isinstance(orbit, Orbit):
        raise ValueError(
            f"orbit: expected an Orbit, got {type(orbit).__name__}: give what find_orbit returns, or one "
            "of a branch, `branch[k]`"
        )
    if np.ndim(orbit.period):
        raise ValueError("orbit: a batch of orbits: select one of them, or use jax.vmap")
    rows_of(rest, orbit.states)
    if not is_traced(orbit) and orbit.status != Status.OK:
        raise ConvergenceError(f"orbit: none was found: {Status(int(orbit.status)).message}")


def _scaled(
    circuit: AbstractCircuit[Any],
    input: InputLike | None,
    rest: State,
    states: State,
    period: Array,
    widths: Array,
    time: Array,
) -> tuple[Family, Cycle, Array, Callable[[Array], Any]]:
    """The vector field and the orbit in scaled coordinates, the scale, and the way back."""
    x, natural = flat_field(circuit, input, rest, time)
    rows = rows_of(rest, states)
    scale = jnp.maximum(abs(lax.stop_gradient(rows)).max(0), 1e-3)
    field = natural.in_units(jnp.append(scale, 1.0))
    nodes = (rows / scale).reshape(widths.size, DEGREE, x.size)
    return field, Cycle(nodes, period, jnp.zeros(()), widths), scale, natural.unravel


@program
def _response(
    circuit: AbstractCircuit[Any], input: InputLike | None, rest: State, states: State,
    period: Array, widths: Array, time: Array,
    origin: Callable[[State], Array] | None,
) -> tuple[Any, Array, Array]:  # fmt: skip
    states, period, widths = jax.tree.map(jnp.asarray, (states, period, widths))
    field, cycle, scale, unravel = _scaled(circuit, input, rest, states, period, widths, time)
    z = adjoint(field, cycle).reshape(-1, scale.size) / scale
    at = jnp.zeros(()) if origin is None else _crossing(cycle, lambda u: origin(unravel(u * scale)))
    return jax.vmap(unravel)(z), at, lax.stop_gradient(misfit(field, cycle))


def adjoint(field: Family, cycle: Cycle) -> Array:
    r"""The phase response at the nodes of an orbit, `(N, DEGREE, n)`.

    A change $g$ of the vector field changes the period by $-\int Z \cdot g\, dt$: the transpose of the
    linear equations gives $Z$ at the Gauss points and, to the full order, at the ends of the intervals;
    between them it is their collocation polynomial of $\dot Z = -J^T Z$.
    """
    count, m, n = cycle.x.shape
    equations = linearized(field, cycle)
    zero = jnp.zeros(())
    rows = phase_row(cycle), Row(jnp.zeros_like(cycle.x), zero, jnp.ones(()))

    def period_of(value: Array) -> Array:
        return solved(equations, value, rows, jnp.zeros(2))[0].period

    _, transposed = jax.vjp(period_of, jnp.zeros_like(equations.value))
    (by_value,) = transposed(jnp.ones(()))
    ends = jnp.einsum("jrn,jr->jn", equations.begin, by_value.reshape(count, m * n))
    inside = -by_value / jnp.asarray(WEIGHTS)[:, None]

    def pull(x: Array, z: Array) -> Array:
        return jax.vjp(lambda y: field(jnp.append(y, cycle.parameter)), x)[1](z)[0]

    slopes = jax.vmap(jax.vmap(pull))(at_gauss_points(cycle.x), inside)
    slopes = -cycle.widths[:, None, None] * cycle.period * slopes
    return ends[:, None] + jnp.einsum("ki,jin->jkn", jnp.asarray(_INTEGRALS[:-1]), slopes)


def _crossing(cycle: Cycle, value: Callable[[Array], Array]) -> Array:
    """The first phase at which a function of the state crosses 0 upwards, with its derivatives."""
    ends = ends_of(cycle.widths)
    places = places_of(cycle.widths).reshape(-1)

    def at(phase: Array) -> Array:
        return value(interpolated(cycle.x, ends, phase % 1.0))

    def fixed(phase: Array) -> Array:
        still = jax.tree.map(lax.stop_gradient, (cycle.x, ends))
        return value(interpolated(still[0], still[1], phase % 1.0))

    values = lax.stop_gradient(jax.vmap(fixed)(places))
    after = jnp.roll(values, -1)
    up = (values < 0) & (after >= 0)
    k = index_of_largest(up.astype(jnp.float64))
    low, high = places[k], jnp.append(places, 1.0)[k + 1]

    def halve(now: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = now
        middle = (low + high) / 2
        below = fixed(middle) < 0
        return (jnp.where(below, middle, low), jnp.where(below, high, middle)), None

    (low, high), _ = lax.scan(halve, lax.stop_gradient((low, high)), None, 50)
    phase = (low + high) / 2
    slope = jax.jvp(fixed, (phase,), (jnp.ones(()),))[1]
    return refuse(up.any(), phase - at(phase) / lax.stop_gradient(slope))


@program
def _phase(
    circuit: AbstractCircuit[Any], input: Callable[[Scalar], Input], rest: State, states: State,
    period: Array, widths: Array, time: Array,
    state: State, solver: Solver, counts: tuple[int, int],
) -> tuple[Array, Array]:  # fmt: skip
    periods, steps = counts
    states, period, widths, state = jax.tree.map(jnp.asarray, (states, period, widths, state))
    field, cycle, scale, _ = _scaled(circuit, input, rest, states, period, widths, time)
    held = input(time)
    settling = FixedRun(circuit, lambda _: held, solver, jnp.zeros(()), period / steps)
    run = integrate(settling, state, periods * steps)
    y = flatten(run.final)[0] / scale
    ends = ends_of(widths)
    places = places_of(widths).reshape(-1)
    flat = cycle.x.reshape(-1, scale.size)
    off = jnp.sqrt(((flat - y) ** 2).sum(1))
    extent = jnp.ptp(flat, axis=0).max()
    z = adjoint(field, cycle)

    def missing(phase: Array) -> Array:
        """How far (a share of the period) the state is ahead of the orbit's at a phase."""
        on, along = interpolated(cycle.x, ends, phase % 1.0), interpolated(z, ends, phase % 1.0)
        return (along * (y - on)).sum() / period

    phase = places[index_of_largest(-lax.stop_gradient(off))]
    for _ in range(6):
        phase = phase + missing(phase)
    near = jnp.sqrt(((interpolated(cycle.x, ends, phase % 1.0) - y) ** 2).sum())
    return refuse(near < _ON * extent, phase % 1.0), lax.stop_gradient(misfit(field, cycle))
