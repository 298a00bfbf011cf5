"""Cases at the edges, where a wrong number would pass unseen."""

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnnjax
from rnnjax._precision import by_shapes
from rnnjax._results import Status
from rnnjax.circuits import ExcitatoryInhibitory, LinearNetwork, RateNetwork
from rnnjax.circuits import ExcitatoryInhibitoryState as State
from rnnjax.circuits import rectified as rectified_of_the_package
from rnnjax.connectivity import Cosine, Dense
from rnnjax.inputs import Constant, Pulse
from rnnjax.measures import Amplitude, Final, Frequency, Growth, Spectrum
from rnnjax.measures._base import AbstractMeasure
from rnnjax.noise import Additive
from rnnjax.solvers import RK4

UNIT = LinearNetwork(Dense([[0.0]]))


def excitatory(state):
    return state.e


@pytest.mark.parametrize(("step", "dtype"), [(0.1, "float64"), (0.3, "float64"), (0.1, "float32")])
def test_jumps_on_the_grid_cost_no_order_whatever_the_rounding(step, dtype):
    times = np.array([0.0, 400 * step])

    @jax.jit
    def end(onset):
        return rnnjax.simulate(
            UNIT, times, Pulse(1.0, onset, 30 * step), step=step, solver=RK4()
        ).final[0]  # fmt: skip

    onsets = step * np.arange(1, 60)
    with jax.enable_x64(dtype == "float64"):
        found = jax.vmap(end)(jnp.asarray(onsets, dtype))
    left = times[1] - onsets
    exact = np.exp(-(left - 30 * step) / 10) - np.exp(-left / 10)
    np.testing.assert_allclose(found, exact, atol=1e-8 if dtype == "float64" else 1e-6)


class Pair(NamedTuple):
    a: Any
    b: Any


class Runaway(rnnjax.AbstractCircuit):
    """b' = b^2 leaves in finite time and takes a with it."""

    rate: Any = rnnjax.parameter(1e-3, "1")

    def __call__(self, state, input):
        return Pair(-state.a + self.rate * state.b, state.b**2)

    def rest(self):
        return Pair(0, 1)  # integers on purpose


class Settling(Runaway):
    def __call__(self, state, input):
        return Pair(1.0 - state.a, -state.b)


def test_a_rest_of_integers_runs_in_floats():
    exact = 1 - np.exp(-3)
    assert abs(rnnjax.measure(Settling(), Final(), 3.0, step=0.1).a - exact) < 1e-5
    over = [rnnjax.axis(lambda c: c.rate, [1.0, 2.0])]
    data = rnnjax.sweep(Settling(), {"end": Final()}, over, duration=3.0, step=0.1, progress=False)
    np.testing.assert_allclose(data.end_a, exact, rtol=1e-5)


@pytest.mark.parametrize("step", [None, 0.001])
def test_the_variable_that_left_first_is_named_with_its_time(step):
    with pytest.raises(rnnjax.SimulationError, match=r"after t = (1|1\.00\d|0\.99\d*) ms in `b`"):
        rnnjax.simulate(Runaway(), [0.0, 2.0], step=step)


def test_failures_of_measured_runs_say_the_same():
    with pytest.raises(rnnjax.SimulationError, match=r"after t = 1(\.00\d)? ms in `b`"):
        rnnjax.measure(Runaway(), Final(), 2.0, step=0.001, dtype="float64")


@pytest.mark.parametrize("units", [2, 6])
def test_a_feedforward_chain_has_its_closed_form_without_modes(units):
    # v_k' = -v_k + v_(k+1) + h for the last: the last rises as 1 - e^-s, the others after it
    modes = LinearNetwork(Dense(np.eye(units, k=1)), tau=1.0).modes()
    drive = np.eye(units)[-1]
    s = np.array([0.5, 1.0, 4.0])
    found = modes.solution(s, drive)
    np.testing.assert_allclose(found[:, -1], 1 - np.exp(-s), rtol=1e-12)
    np.testing.assert_allclose(found[:, -2], 1 - np.exp(-s) * (1 + s), rtol=1e-12)
    np.testing.assert_allclose(modes.steady_state(drive), 1.0, rtol=1e-12)
    with pytest.raises(ValueError, match="use solution"):
        modes.coefficients(s, drive)


def test_a_rotating_mode_is_no_integrator():
    turning = LinearNetwork(Dense([[1.0, -2.0], [2.0, 1.0]])).modes()
    assert turning.verdicts == ["oscillates"] * 2
    np.testing.assert_allclose(np.abs(turning.amplification), 0.5)


@pytest.mark.parametrize("tau", [36.0, 42.0, 45.0, 50.0, 58.0])
def test_a_swing_that_grows_or_decays_has_a_frequency(tau):
    circuit = ExcitatoryInhibitory(tau_i=tau)
    start = rnnjax.find_equilibria(circuit)[0]
    kw = {"step": 0.1, "start": State(start.e + 0.1, start.i), "solver": RK4(), "dtype": "float64"}
    found = rnnjax.measure(circuit, Frequency(of=excitatory), 1000.0, **kw)
    wanted = rnnjax.linearize(circuit, start).frequency
    assert abs(found / wanted - 1) < 0.12


def test_growth_is_cut_in_the_middle_of_its_window_and_nowhere_outside():
    circuit = ExcitatoryInhibitory(tau_i=45.0)
    start = rnnjax.find_equilibria(circuit)[0]
    kw = {
        "step": 0.01,
        "start": State(start.e + 0.01, start.i),
        "solver": RK4(),
        "dtype": "float64",
    }
    rate = rnnjax.linearize(circuit, start).growth_rate
    cycle = 1000 / rnnjax.linearize(circuit, start).frequency
    begin = round(cycle, 2)
    length = begin + 2 * round(2 * cycle, 2)
    found = rnnjax.measure(circuit, Growth(of=excitatory), length, transient=begin, **kw)
    np.testing.assert_allclose(found, rate * 2 * cycle, rtol=1e-3)
    with pytest.raises(ValueError, match=r"inside the window from 0 to 300 ms, got 500"):
        rnnjax.measure(circuit, Growth(split=500.0), 300.0, step=0.1)


def test_adaptive_steps_see_a_pulse_of_a_plain_function():
    circuit = ExcitatoryInhibitory(tau_i=10.0)

    def late(t):
        return State(jnp.where((t > 1500) & (t < 1510), 30.0, 0.0), 0.0)

    run = rnnjax.simulate(
        circuit, np.arange(0.0, 1600.0, 2.0), late, start=lambda c: rnnjax.find_equilibria(c)[0]
    )
    assert run.states.e.max() > 50


def test_a_function_that_jax_cannot_trace_is_refused_in_words():
    with pytest.raises(TypeError, match="a function of time that JAX can trace"):
        rnnjax.simulate(
            ExcitatoryInhibitory(), [0.0, 1.0], lambda t: State(1.0 if t > 5 else 0.0, 0.0)
        )


def test_options_that_would_be_ignored_are_refused():
    with pytest.raises(ValueError, match="adjoint"):
        rnnjax.simulate(UNIT, [0.0, 1.0], step=0.1, adjoint=diffrax.DirectAdjoint())
    with pytest.raises(ValueError, match="dense"):
        rnnjax.simulate(
            UNIT, [0.0, 1.0], noise=Additive(1.0), key=jax.random.key(0), solver=diffrax.ShARK(),
            dense=True,
        )  # fmt: skip
    over = [rnnjax.axis(lambda c: c.tau, [5.0, 10.0])]
    with pytest.raises(ValueError, match="for measures of a simulation"):
        rnnjax.sweep(UNIT, {"tau": lambda c: c.tau}, over, input=3.0)
    with pytest.raises(ValueError, match="Additive"):
        rnnjax.simulate(
            ExcitatoryInhibitory(), [0.0, 1.0], noise=Additive(np.ones(3)), key=jax.random.key(0),
            step=0.1,
        )  # fmt: skip


def test_dense_output_takes_several_times_and_refuses_others():
    run = rnnjax.simulate(UNIT, [0.0, 20.0], 1.0, dense=True, dtype="float64")
    np.testing.assert_allclose(
        run(np.array([5.0, 10.0]))[:, 0], 1 - np.exp([-0.5, -1.0]), atol=1e-5
    )
    with pytest.raises(ValueError, match="from 0 to 20 ms"):
        run(30.0)


def test_lanes_with_times_of_their_own_keep_them():
    many = jax.vmap(lambda end: rnnjax.simulate(UNIT, jnp.linspace(0.0, end, 5), 1.0))(
        jnp.array([10.0, 20.0])
    )
    data = many.to_xarray()
    np.testing.assert_allclose(data.time_of_lane[:, -1], [10, 20])
    assert data.time_of_lane.dims == ("batch_0", "time")


class Undefined(AbstractMeasure):
    """A measure that is not a number above half."""

    of: Any = excitatory
    meaning = "undefined above half"
    unit = "1"

    def init(self, t, x):
        return ()

    def update(self, carry, t, x):
        return ()

    def finish(self, carry, t, x):
        return jnp.sqrt(20 - x)


SHORT = {"duration": 50.0, "step": 0.5, "progress": False}
OVER = [rnnjax.axis(lambda c: c.tau_i, [30.0, 80.0])]


def test_no_nan_is_called_ok():
    data = rnnjax.sweep(ExcitatoryInhibitory(), {"odd": Undefined(), "end": Final()}, OVER, **SHORT)
    bad = np.isnan(data.odd.values)
    assert bad.any()
    assert (data.status.values[bad] == Status.UNDEFINED).all()
    assert (data.status.values[~bad] == Status.OK).all()
    assert np.isfinite(data.end_e).all()


def test_names_are_settled_before_anything_runs():
    circuit = ExcitatoryInhibitory()
    data = rnnjax.sweep(circuit, {"swing": Amplitude(), "swing_hz": Frequency()}, OVER, **SHORT)
    assert data.swing_hz_e.attrs == {"units": "Hz", "long_name": "frequency of e"}
    with pytest.raises(ValueError, match="'tau_i' is the name of an axis"):
        rnnjax.sweep(circuit, {"tau_i": lambda c: c.m_ee}, OVER, progress=False)
    clash = {"a": Final(), "a_e": lambda c: c.m_ee}
    with pytest.raises(ValueError, match="both give a variable 'a_e'"):
        rnnjax.sweep(circuit, clash, OVER, **SHORT)


def test_a_spectrum_has_its_frequencies_as_a_coordinate():
    measure = Spectrum(of=excitatory, frequencies=[5.0, 7.0])
    data = rnnjax.sweep(ExcitatoryInhibitory(), {"s": measure}, OVER, **SHORT)
    assert data.s.dims == ("tau_i", "s_frequency")
    np.testing.assert_allclose(data.s_frequency, [5, 7])


def rectified(x):
    return jnp.clip(x, 0, 100)


def test_an_own_function_with_a_name_of_the_package_stays_ones_own(tmp_path):
    rnnjax.save(tmp_path / "n", RateNetwork(nonlinearity=rectified))
    with pytest.raises(ValueError, match=r"known=\[rectified\]"):
        rnnjax.load(tmp_path / "n")
    assert rnnjax.load(tmp_path / "n", known=[rectified]).nonlinearity is rectified
    rnnjax.save(tmp_path / "m", RateNetwork())
    assert rnnjax.load(tmp_path / "m").nonlinearity is rectified_of_the_package


@pytest.mark.parametrize(
    "where", [lambda c: c.connectivity.size, lambda c: [c.tau, 1.0]], ids=["static", "constant"]
)
def test_a_fit_trains_what_where_names_and_nothing_else(where):
    with pytest.raises(ValueError, match="no array of the circuit"):
        rnnjax.fit(
            LinearNetwork(Cosine(size=3)), where, lambda c, k: c.tau**2, steps=2, progress=False
        )


class TwoConstants(rnnjax.AbstractCircuit):
    """Time constants in one parameter with two parts."""

    tau: Any = rnnjax.parameter(Pair(10.0, 20.0), "ms", positive=True)

    def __call__(self, state, input):
        return Pair(-state.a / self.tau.a, -state.b / self.tau.b)

    def rest(self):
        return Pair(1.0, 1.0)


def test_every_part_of_a_positive_parameter_stays_positive():
    found = rnnjax.fit(
        TwoConstants(), lambda c: c.tau, lambda c, key: (c.tau.a + 5) ** 2 + c.tau.b, steps=100,
        optimizer=optax.sgd(5e-3), progress=False,
    )  # fmt: skip
    assert 0 < found.circuit.tau.a < 5
    assert found.circuit.tau.b > 0
    with pytest.raises(ValueError, match="tau"):
        TwoConstants(tau=Pair(1.0, -1.0))


def test_the_default_optimizer_compiles_once():
    calls = []

    def objective(circuit, key):
        calls.append(1)
        return circuit.m_ee**2

    for weight in (1.0, 1.1, 1.2):
        rnnjax.fit(
            ExcitatoryInhibitory(m_ee=weight), lambda c: c.m_ee, objective, steps=3, progress=False
        )
    assert len(calls) <= 1 + 3  # traced once, and once a call for its shape


def test_inputs_subtract():
    at = (Constant(3.0) - Pulse(1.0, 10.0, 5.0))(jnp.asarray(12.0))
    assert float(at) == 2.0


def test_equilibria_of_variables_in_small_units_are_told_apart():
    class Calcium(rnnjax.AbstractCircuit):
        """Three equilibria of a concentration beside a voltage."""

        unit: Any = rnnjax.parameter(1e-5, "mM")

        def __call__(self, state, input):
            c = state.b / self.unit
            return Pair(-(state.a + 65), -(c - 0.1) * (c - 2) * (c - 4) * self.unit / 10)

        def rest(self):
            return Pair(-65.0, 1e-5)

    guesses = Pair(np.full(9, -65.0), np.linspace(0, 5e-5, 9))
    found = rnnjax.find_equilibria(Calcium(), guesses=guesses)
    np.testing.assert_allclose(np.sort(found.states.b[: len(found)]), [1e-6, 2e-5, 4e-5], rtol=1e-6)


def test_a_slow_drift_is_no_equilibrium():
    class Ghost(rnnjax.AbstractCircuit):
        """A saddle-node that has just vanished, beside something fast."""

        gap: Any = rnnjax.parameter(1e-6, "1")

        def __call__(self, state, input):
            return Pair((self.gap + state.a**2) / 1000, (state.a - state.b) / 0.1)

        def rest(self):
            return Pair(0.0, 0.0)

    with pytest.raises(rnnjax.ConvergenceError):
        rnnjax.find_equilibria(Ghost())
    assert len(rnnjax.find_equilibria(Ghost(gap=-1e-6))) == 2


def test_default_guesses_work_inside_a_float32_program():
    def count(weight):
        return rnnjax.find_equilibria(ExcitatoryInhibitory(m_ee=weight)).found.sum()

    def drawn(weight):
        circuit = ExcitatoryInhibitory(m_ee=weight)
        return rnnjax.find_equilibria(circuit, key=jax.random.key(1)).found.sum()

    assert int(jax.jit(count)(1.25)) == int(jax.jit(drawn)(1.25)) == 1


class Coupled(rnnjax.AbstractCircuit):
    r"""As many units as an integer field says, driven by their sum.

    $\dot x_k = -x_k + \tfrac{1}{10} \sum_j x_j$
    """

    tau: Any = rnnjax.parameter(10.0, "ms", positive=True)
    units: int = 1

    def __call__(self, state, input):
        return (-state + jnp.sum(state) / 10) / self.tau

    def rest(self):
        return jnp.ones((self.units,) if self.units > 1 else (), jnp.result_type(self.tau))


@pytest.mark.parametrize("settings", [{}, {"step": 0.5}], ids=["adaptive", "fixed"])
def test_a_number_that_decides_the_shape(settings):
    """What was learned of one size does not hold for another."""
    start, times = np.arange(3.0), [0.0, 10.0]
    rnnjax.simulate(Coupled(units=1), times, **settings)
    found = rnnjax.simulate(Coupled(units=3), times, start=start, dtype="float64", **settings)
    apart = np.exp(-1) * (start - 1) + np.exp(-0.7)  # the mean decays more slowly
    np.testing.assert_allclose(found.final, apart, atol=1e-5)
    many = rnnjax.simulate(Coupled(units=2), times, start=np.ones((4, 2)), **settings)
    assert many.states.shape == (4, 2, 2)


def test_what_depends_on_shapes_is_worked_out_once():
    calls = []

    @by_shapes
    def count(tree, function):
        calls.append(1)
        if function is None:
            raise ValueError("no function")
        return len(calls)

    first = count((np.ones(3), 2), np.sin)
    assert count((np.zeros(3), 2), np.sin) == first
    assert count((np.zeros(4), 2), np.sin) != first
    assert count((np.zeros(3), 2), np.cos) != first
    assert count((np.zeros(3, np.int32), 2), np.sin) != first
    # Python numbers may decide the structure: each is a case of its own, whatever it equals
    assert len({first, *(count((np.ones(3), x), np.sin) for x in (1, True, 1.0, 3))}) == 5
    with jax.enable_x64(not jax.config.jax_enable_x64):
        assert count((np.zeros(3), 2), np.sin) != first
    for _ in range(2):  # what is refused once is refused again
        with pytest.raises(ValueError, match="no function"):
            count(1.0, None)
