"""What is called a rhythm, a torus or chaos is shown to be one; what is none is 0 Hz."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chaotic import Lorenz63
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax import lax
from oracles import Oscillator, StuartLandau, central_difference, relative

import rnnjax
from rnnjax import Regime, Status, parameter
from rnnjax.circuits import ExcitatoryInhibitory, HindmarshRose, LinearNetwork
from rnnjax.connectivity import Dense
from rnnjax.inputs import Step
from rnnjax.measures import Frequency, Period
from rnnjax.solvers import RK4

BOTH = {"f": Frequency(), "p": Period()}
CHAIN = LinearNetwork(Dense([[0.0, 0.0], [1.0, 0.0]]), tau=10.0)  # the second follows the first
DRIVE = np.array([1.0, 0.0])
WAYS = [{"step": 1.0}, {"step": 0.1}, {}]


def second(state):
    return state[1]


@eqx.filter_jit
def _of_signal(measure, x, step):
    carry = measure.init(jnp.zeros_like(step), x[0])

    def one(carry, given):
        n, value = given
        return measure.update(carry, n * step, value), None

    numbers = jnp.arange(1, len(x), dtype=x.dtype)
    carry, _ = lax.scan(one, carry, (numbers, x[1:]))
    return measure.finish(carry, (len(x) - 1) * step, x[-1])


def of_signal(measure, x, step=1.0):
    """A measure of what was stored."""
    with jax.enable_x64(True):
        return float(_of_signal(measure, jnp.asarray(x), jnp.asarray(step)))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_rise_is_no_rhythm(way):
    found = rnnjax.measure(CHAIN, BOTH, 300.0, DRIVE, dtype="float64", **way)
    np.testing.assert_array_equal(found["f"], 0)
    np.testing.assert_array_equal(found["p"], np.inf)


def test_a_rise_late_in_the_window_is_none_either():
    late = DRIVE * Step(1.0, 200.0)
    found = rnnjax.measure(CHAIN, BOTH, 500.0, late, transient=100.0, step=0.1)
    np.testing.assert_array_equal(found["f"], 0)


def test_rest_is_no_rhythm_and_well():
    over = [rnnjax.axis(lambda c: c.tau, [5.0, 10.0, 20.0])]
    data = rnnjax.sweep(CHAIN, BOTH, over, duration=300.0, step=0.1, input=DRIVE, progress=False)
    np.testing.assert_array_equal(data.f, 0)
    np.testing.assert_array_equal(data.p, np.inf)
    np.testing.assert_array_equal(data.status, Status.OK)
    node = ExcitatoryInhibitory(tau_i=1.0, m_ee=1.2)  # two real eigenvalues
    for found in rnnjax.measure(node, BOTH["f"], 600.0, step=0.5):
        assert found == 0


def test_the_roundings_of_rest_are_no_rhythm():
    random = np.random.default_rng(0)
    x = np.float32(-65_000.0) * (1 + np.float32(2e-7) * random.standard_normal(2000))
    with jax.enable_x64(False):
        x = jnp.asarray(x, jnp.float32)
        assert jnp.ptp(x) > 1e-3
        assert _of_signal(Frequency(smallest=np.float32(1e-3)), x, jnp.ones((), x.dtype)) == 0


def test_jitter_on_a_rise_is_no_rhythm():
    t = np.arange(3000.0)
    jitter = 0.03 * np.random.default_rng(1).standard_normal(3000)
    for x in (1 - np.exp(-t / 500), 1 / (1 + np.exp((1500 - t) / 100)), t / 3000):
        for level in (None, 0.5):
            assert of_signal(Frequency(level=level), x + jitter) == 0
            assert of_signal(Frequency(level=level), -x - jitter) == 0 or level is not None


def test_a_bump_and_a_swing_that_ended_are_rest():
    t = np.arange(3000.0)
    bump = np.exp(-(((t - 400) / 80) ** 2))
    assert of_signal(Frequency(), bump) == 0
    assert of_signal(Frequency(), -bump) == 0
    ringing = 1 - np.exp(-t / 60) * np.cos(2 * np.pi * t / 200)
    assert of_signal(Frequency(), ringing) == 0
    for sigma in (0.5, 0.1, 0.05):
        found = rnnjax.measure(
            Oscillator(sigma=sigma), Frequency(of=second), 400.0, step=0.05, dtype="float64"
        )
        assert found == 0 or abs(found / (1000 * 0.3 / (2 * np.pi)) - 1) < 0.05


@pytest.mark.parametrize("cycles", [1.6, 1.9])
def test_fewer_than_two_periods_are_not_a_number(cycles):
    t = np.arange(2001.0)
    wave = -np.cos(2 * np.pi * cycles * t / 2000)
    assert np.isnan(of_signal(Frequency(), wave))
    assert np.isnan(of_signal(Period(), wave))
    assert of_signal(Frequency(level=3.0), wave) == 0  # no level of this swing
    whole = np.cos(2 * np.pi * 2.3 * t / 2000 - np.pi / 2)
    np.testing.assert_allclose(of_signal(Period(), whole), 2000 / 2.3, rtol=1e-3)


def test_a_sweep_says_where_the_window_is_too_short():
    over = [rnnjax.axis(lambda c: c.omega, [0.01, 0.025, 0.5])]
    data = rnnjax.sweep(
        Oscillator(sigma=0.0), {"f": Frequency(of=second)}, over, duration=400.0, step=0.2,
        dtype="float64", progress=False,
    )  # fmt: skip
    np.testing.assert_array_equal(data.status, [Status.OK, Status.UNDEFINED, Status.OK])
    np.testing.assert_allclose(data.f, [0, np.nan, 1000 * 0.5 / (2 * np.pi)], rtol=1e-3)
    assert "two whole periods" in Status.UNDEFINED.message


def test_a_swing_that_doubles_with_every_cycle_is_one():
    t = np.arange(4001.0)
    for phase in np.linspace(0, 2 * np.pi, 7):
        wave = np.exp(np.log(2) * t / 400) * np.cos(2 * np.pi * t / 400 + phase)
        np.testing.assert_allclose(of_signal(Period(), wave), 400, rtol=0.02)
    silent = np.concatenate([1e-6 * np.sin(t), t[:1000] / 1000])
    assert of_signal(Frequency(), silent) == 0  # what came before a rise is no rhythm of it


def test_a_record_late_in_a_noisy_rhythm_does_not_forget_it():
    t, random = np.arange(20_000.0), np.random.default_rng(3)
    wave = np.sin(2 * np.pi * t / 100) + 0.1 * random.standard_normal(20_000)
    wave[19_725] = 1.7
    np.testing.assert_allclose(of_signal(Period(), wave), 100, rtol=2e-3)


def test_fixed_and_adaptive_runs_agree():
    circuit = StuartLandau(0.25, 0.5)
    asked = {"f": Frequency(of=second), "p": Period(of=second), "l": Period(of=second, level=0.3)}
    run = {"duration": 300.0, "dtype": "float64", "transient": 40.0}
    fixed = rnnjax.measure(circuit, asked, step=0.01, solver=RK4(), **run)
    chosen = rnnjax.measure(circuit, asked, rtol=1e-8, atol=1e-8, **run)
    for name in asked:
        np.testing.assert_allclose(fixed[name], chosen[name], rtol=2e-6)
    np.testing.assert_allclose(chosen["p"], 4 * np.pi, rtol=2e-6)
    short = {"duration": 24.0, "dtype": "float64", "start": np.array([0.5, 0.0])}
    assert np.isnan(rnnjax.measure(circuit, asked["f"], step=0.01, **short))
    assert np.isnan(rnnjax.measure(circuit, asked["f"], **short))


def test_a_frequency_without_a_level_can_be_differentiated():
    with jax.enable_x64(True):

        @jax.jit
        def frequency(omega):
            return rnnjax.measure(
                StuartLandau(0.25, omega), Frequency(of=second), 160.0, step=0.1, transient=60.0,
                solver=diffrax.Tsit5(),
            )  # fmt: skip

        slope = jax.jit(jax.grad(frequency))(0.5)
        assert relative(slope, central_difference(frequency, 0.5, by=1e-6)) < 1e-4
        still = jax.jit(jax.grad(lambda tau: rnnjax.measure(
            eqx.tree_at(lambda c: c.tau, CHAIN, tau), Frequency(of=second), 100.0, DRIVE, step=0.5
        )))(10.0)  # fmt: skip
    np.testing.assert_allclose(slope, 1000 / (2 * np.pi), rtol=2e-3)
    assert still == 0


SAMPLES = 1500


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.floats(2.8, 60.0), st.floats(0, 2 * np.pi), st.floats(-3, 3), st.floats(-1e4, 1e4),
    st.floats(-0.7, 0.7),
)  # fmt: skip
def test_every_sinusoid_has_its_frequency(cycles, phase, decades, offset, bent):
    amplitude = 10.0**decades
    turn = 2 * np.pi * cycles * np.arange(SAMPLES) / (SAMPLES - 1) + phase
    x = offset + amplitude * np.sin(turn + bent * np.sin(turn))
    found = of_signal(Frequency(), x)
    np.testing.assert_allclose(found, 1000 * cycles / (SAMPLES - 1), rtol=0.01)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 4.0), st.sampled_from([-1, 1]), st.floats(-2, 2))
def test_what_only_rises_or_falls_has_none(seed, power, sign, level):
    steps = np.random.default_rng(seed).random(SAMPLES) ** (10 * power)
    x = sign * np.cumsum(steps) / steps.sum()
    assert of_signal(Frequency(), x) == 0
    assert of_signal(Frequency(level=level), x) == 0
    assert of_signal(Period(), x) == np.inf


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.floats(0.05, 3.6), st.floats(0, 2 * np.pi))
def test_a_few_cycles_have_their_frequency_or_none(cycles, phase):
    x = np.sin(2 * np.pi * cycles * np.arange(SAMPLES) / (SAMPLES - 1) + phase)
    found, wanted = of_signal(Frequency(), x), 1000 * cycles / (SAMPLES - 1)
    assert np.isnan(found) or found == 0 or abs(found / wanted - 1) < 0.02
    if cycles < 0.5:
        assert found == 0
    if cycles < 1.99:
        assert np.isnan(found) or found == 0
    if cycles > 1.75:
        assert found != 0
    assume(cycles > 2.8)
    assert found > 0


class Coupled(rnnjax.AbstractCircuit):
    r"""Two van der Pol oscillators, which turn at their own rates.

    $\ddot x = \mu (1 - x^2) \dot x - x + k (y - x),\; \ddot y = \mu (1 - y^2) \dot y - 2.6 y + k (x - y)$
    """

    mu: object = parameter(0.5, "1/ms")
    k: object = parameter(0.1, "1/ms")

    def __call__(self, state, input):
        x, v, y, w = state
        return input + jnp.stack([
            v, self.mu * (1 - x * x) * v - x + self.k * (y - x),
            w, self.mu * (1 - y * y) * w - 2.6 * y + self.k * (x - y),
        ])  # fmt: skip

    def rest(self):
        return jnp.asarray([1.0, 0.0, 0.5, 0.3], jnp.result_type(self.mu))


def neuron(circuit):
    return rnnjax.lyapunov_exponents(
        circuit, 16_000.0, step=0.05, count=2, solver=RK4(), transient=4000.0, blocks=25
    )


def test_a_cycle_that_attracts_weakly_is_neither_a_torus_nor_chaos():
    """Grid points of a map of Hindmarsh-Rose neurons, periodic with ten times the duration."""
    pairs = np.array([[1.3051, 2.7615], [2.3729, 2.7256], [1 + 18 / 59, 2.6 + 6.3 / 39],
                      [1 + 81 / 59, 2.6 + 4.9 / 39]])  # fmt: skip
    over = rnnjax.points(
        rnnjax.axis(lambda c: c.current, pairs[:, 0], name="current"),
        rnnjax.axis(lambda c: c.b, pairs[:, 1], name="b"),
    )
    data = rnnjax.sweep(HindmarshRose(), {"n": neuron}, over, dtype="float64", progress=False)
    found = [Regime(int(r)) for r in data.n_regime]
    assert set(found) <= {Regime.PERIODIC, Regime.UNKNOWN}
    assert found[0] == found[3] == Regime.PERIODIC
    unknown = np.array(found) == Regime.UNKNOWN
    assert np.isnan(data.n_dimension.values[unknown]).all()


def test_a_torus_is_shown_and_too_short_a_run_shows_nothing():
    found = rnnjax.lyapunov_exponents(Coupled(), 1000.0, step=0.02, count=2)
    assert found.regime == Regime.QUASIPERIODIC
    short = rnnjax.lyapunov_exponents(HindmarshRose(current=1.3051, b=2.7615), 2000.0, step=0.05)
    assert short.regime == Regime.UNKNOWN
    assert np.isnan(short.dimension)


def test_chaos_is_shown_by_both_halves():
    found = rnnjax.lyapunov_exponents(Lorenz63(), 200.0, step=0.01, count=2)
    assert found.regime == Regime.CHAOTIC
    short = rnnjax.lyapunov_exponents(Lorenz63(), 12.0, step=0.01, count=2)
    assert short.regime == Regime.UNKNOWN


@pytest.mark.parametrize(("still", "frequency"), [(105.0, np.nan), (157.5, 0.0)])
def test_what_swung_twice_has_come_to_rest_after_twice_as_long_without_a_turn(still, frequency):
    swing = np.sin(2 * np.pi * np.arange(876) * 0.1 / 50)  # from its first rise 62.5 ms to a turn
    x = np.concatenate([swing, np.full(int(still / 0.1), swing[-1])])
    np.testing.assert_equal(of_signal(Frequency(), x, 0.1), frequency)
