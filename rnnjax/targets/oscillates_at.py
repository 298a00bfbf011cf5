"""The frequency of an oscillation."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._equilibria.find_equilibria import find_equilibria
from rnnjax._gate import own_numbers
from rnnjax._numerics.trees import flatten
from rnnjax._orbits.find_orbit import find_orbit
from rnnjax._parameter import counted, parameter
from rnnjax._precision import index_of_largest
from rnnjax._results import Status
from rnnjax._simulation.simulate import simulate
from rnnjax._types import Array, Expected, InputLike, Scalar, State, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import check_step, starting_state
from rnnjax.solvers import RK4
from rnnjax.targets._base import AbstractTarget, guarded, spectrum

_PERIODS, _STEPS = 10, 100  # of a run unless said otherwise: periods asked for, steps in each


class OscillatesAt(AbstractTarget):
    r"""The circuit oscillates at a given frequency.

    $L = \ln^2(f / f^*)$ on the periodic orbit that a run comes to, and where it comes to none
    $L = 1 + [\kappa - \sigma]_+^2 + (\nu^2 - 1)^2 + \sum_k [\mathrm{Re} \lambda_k / \omega]_+^2$

    The orbit is solved for, so that its period has its exact derivative. Without one the equilibrium
    found from `rest()` is made a focus that is unstable at the frequency asked for: of its eigenvalues
    the pair nearest to that is taken as $(\sigma \pm i \nu)\, \omega$, $\omega = 2 \pi f^* / 1000$
    per ms, where all are real the two leading ones; $\lambda_k$ are the others. $\nu^2$ is smooth
    where two real eigenvalues become a pair, and negative before.

    Args:
        frequency: $f^*$ in Hz.
        start: where the run begins; unless given 0.5 off `rest()` for the first variable, to -0.5
            for the last, for a run that begins at rest may stay there.
        input: the input; held at its value at time 0 for the orbit.
        duration: of the run in ms, in which it must come to the orbit; 10 periods unless given.
        step: of the run in ms; a hundredth of a period unless given. It has no influence on the
            frequency.
        intervals: of the orbit's mesh, see `find_orbit`. On the sharp waves of `WilsonCowan` the frequency
            is off by $10^{-5}$ with 16.
        margin: $\kappa$.

    Raises:
        ValueError: for times that are none, a step longer than the fastest time constant, or a
            start that does not fit.
    """

    frequency: Scalar = parameter(unit="Hz", positive=True, doc="of the oscillation")
    start: State | None = parameter(None, "circuit's", doc="where the run begins")
    input: Expected[InputLike | None] = None
    margin: Scalar = parameter(0.1, "1", doc="of an unstable focus, over its frequency")
    duration: float = eqx.field(static=True, default=0.0)  # this and what follows is set below
    step: float = eqx.field(static=True, default=0.0)
    intervals: int = eqx.field(static=True, default=0)

    def __init__(
        self,
        frequency: Expected[Scalar],
        start: Expected[State | None] = None,
        input: Expected[InputLike | None] = None,
        *,
        duration: Expected[float | None] = None,
        step: Expected[float | None] = None,
        intervals: Expected[int] = 32,
        margin: Expected[Scalar] = 0.1,
    ):
        self.frequency, self.start, self.input, self.margin = frequency, start, input, margin
        frequency = own_numbers(frequency, "OscillatesAt.frequency", "Hz")
        period = 1000 / float(frequency) if np.ndim(frequency) == 0 and frequency > 0 else 1.0
        self.duration = float(_PERIODS * period if duration is None else duration)
        self.step = float(period / _STEPS if step is None else step)
        self.intervals = counted(intervals, "OscillatesAt.intervals")
        if not 0 < self.step < self.duration < np.inf:
            raise ValueError(
                "OscillatesAt: expected a step above 0 and a longer duration, in ms, got "
                f"{self.step:g} and {self.duration:g}"
            )

    def fits(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> None:
        """Refuse a start that does not fit, and a step that is too long."""
        starting_state(circuit, input, self.start)
        variables = sum(np.size(x) for x in jax.tree.leaves(jax.eval_shape(circuit.rest)))
        if variables < 2:
            raise ValueError("OscillatesAt: expected at least two variables: one can't oscillate")
        if not is_traced(circuit):
            check_step(circuit, self.step)

    def loss(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> Array:
        """How far the frequency is from it, or how far from oscillating."""
        off, oscillates = guarded(_of_orbit, (self, circuit, input))
        lost = jax.lax.stop_gradient(jnp.where(oscillates, 0.0, 1.0))
        away, rests = guarded(_of_rest, (self, circuit, input, lost))
        nothing = jnp.where(rests, 0.0, jnp.nan)  # neither an orbit nor a place to rest
        return jnp.where(oscillates, off, 1 + away + nothing)


def _of_orbit(
    given: tuple[OscillatesAt, AbstractCircuit[Any], Expected[InputLike | None]],
) -> tuple[Array, Array]:
    """How far the frequency of the orbit is from it, and whether there is one."""
    target, circuit, input = given
    arrays, fixed = eqx.partition(given, eqx.is_array)
    _, still, held = eqx.combine(jax.lax.stop_gradient(arrays), fixed)
    times = target.step * np.arange(round(target.duration / target.step) + 1)
    begin = _away(still) if target.start is None else target.start
    run = simulate(still, times, held, start=begin, step=target.step, solver=RK4(), throw=False)
    orbit = find_orbit(circuit, run, input, intervals=target.intervals, throw=False)
    good = jnp.asarray(orbit.status) == Status.OK
    ratio = 1000 / (target.frequency * jnp.where(good, orbit.period, 1.0))
    return jnp.log(ratio) ** 2, good


def _of_rest(
    given: tuple[OscillatesAt, AbstractCircuit[Any], Expected[InputLike | None], Scalar],
) -> tuple[Array, Array]:
    """How far the equilibrium is from a focus, and whether there is one where it is asked for."""
    target, circuit, input, lost = given
    found = find_equilibria(circuit, input, guesses=circuit.rest(), throw=False)
    assert found.jacobian is not None
    good = jnp.asarray(found.found)[0] & (lost > 0)
    safe = jnp.diag(jnp.arange(found.jacobian.shape[-1], dtype=jnp.float64))
    omega = 2 * np.pi * target.frequency / 1000
    values = spectrum(jnp.where(good, found.jacobian[0] / omega, safe))
    paired = values.imag > 0  # followed by the other of the pair
    distance = (values.real - target.margin) ** 2 + (values.imag - 1) ** 2
    nearest = index_of_largest(jnp.where(paired, -distance, -jnp.inf))
    first = jnp.where(paired.any(), nearest, 0)
    a, b = values[first], values[first + 1]
    places = jnp.arange(values.size, dtype=jnp.int32)
    others = (places != first) & (places != first + 1)
    short = jnp.maximum(target.margin - (a.real + b.real) / 2, 0.0)
    turning = -((a - b) ** 2).real / 4
    grows = jnp.sum(jnp.where(others, jnp.maximum(values.real, 0.0), 0.0) ** 2)
    return short**2 + (turning - 1) ** 2 + grows, good


def _away(circuit: AbstractCircuit[Any]) -> Any:
    """A state off rest, differently for each variable."""
    flat, unravel = flatten(jax.tree.map(jnp.asarray, circuit.rest()))
    return unravel(flat + jnp.linspace(0.5, -0.5, flat.size))
