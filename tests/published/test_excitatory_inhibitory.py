"""The excitatory-inhibitory pair of Dayan and Abbott (2001), section 7.5, figures 7.18-7.20.

The equations and parameters are read. The fixed point, the eigenvalues and the onset follow from
them in closed form: inside the active region tr J = 0.025 - 1 / tau_i and det J = 0.075 / tau_i
(ms). Extrema and periods of the cycles were computed with another integrator (DOP853, 1e-10).
"""

import diffrax
import numpy as np
import pytest
from scipy.optimize import brentq

import rnnjax
from rnnjax import Stability
from rnnjax.circuits import ExcitatoryInhibitory, ExcitatoryInhibitoryState
from rnnjax.measures import Amplitude, Growth, MinMax, Period
from rnnjax.solvers import RK4

FIXED_POINT = ExcitatoryInhibitoryState(e=80 / 3, i=50 / 3)
NEAR = ExcitatoryInhibitoryState(e=80 / 3 + 0.1, i=50 / 3)

# tau_i: range of v_e, range of v_i, period in ms
CYCLES = {
    41.0: ((0.7531, 50.8258), (4.9121, 28.6874), 163.990),
    45.0: ((0.3035, 53.3002), (4.9759, 29.6769), 174.596),
    50.0: ((0.12698, 56.18739), (5.13997, 30.79071), 187.3148),
    60.0: ((0.0249, 61.8755), (5.4720, 32.9197), 212.837),
    80.0: ((0.0008, 73.6752), (6.0065, 37.1900), 265.612),
}


def rate_e(state):
    return state.e


EXTREMES_AND_PERIOD = {"range": MinMax(), "period": Period(of=rate_e, level=20.0)}
SWING = {"swing": Amplitude(of=rate_e)}


def cycle(tau_i, start, transient=4000.0, duration=2000.0):
    """Extremes and mean period over two seconds, after the transient."""
    return rnnjax.measure(
        ExcitatoryInhibitory(tau_i=tau_i), EXTREMES_AND_PERIOD, transient + duration,
        step=0.05, transient=transient, start=start, dtype="float64",
    )  # fmt: skip


def fixed_point(circuit):
    near = ExcitatoryInhibitoryState(e=np.array([20.0, 55.0]), i=np.array([10.0, 30.0]))
    return rnnjax.find_equilibria(circuit, guesses=near)


def jacobian(tau_i, m_ii=0.0):
    circuit = ExcitatoryInhibitory(tau_i=tau_i, m_ii=m_ii)
    return rnnjax.linearize(circuit, fixed_point(circuit)[0])


@pytest.mark.parametrize("tau_i", [30.0, 40.0, 50.0])
def test_fixed_point(tau_i):
    found = fixed_point(ExcitatoryInhibitory(tau_i=tau_i))
    assert len(found) == 1
    assert float(found[0].e) == pytest.approx(80 / 3, abs=1e-10)
    assert float(found[0].i) == pytest.approx(50 / 3, abs=1e-10)


def test_fixed_point_is_the_only_one():
    assert len(rnnjax.find_equilibria(ExcitatoryInhibitory())) == 1


@pytest.mark.parametrize(
    ("tau_i", "real", "imaginary", "frequency", "kind"),
    [
        (30.0, -4.1667, 49.826, 7.9301, Stability.STABLE_FOCUS),
        (40.0, 0.0, 43.301, 6.8916, Stability.CENTER),
        (50.0, 2.5, 38.649, 6.1512, Stability.UNSTABLE_FOCUS),
    ],
)
def test_eigenvalues(tau_i, real, imaginary, frequency, kind):
    near = jacobian(tau_i)
    trace, determinant = 0.025 - 1 / tau_i, 0.075 / tau_i
    expected = trace / 2 + 1j * np.sqrt(determinant - trace**2 / 4)
    found = near.eigenvalues[np.argmax(near.eigenvalues.imag)]
    assert abs(found - expected) < 1e-10
    # the rounded values, per second
    assert 1000 * found.real == pytest.approx(real, abs=5e-5)
    assert 1000 * found.imag == pytest.approx(imaginary, abs=5e-4)
    assert near.frequency == pytest.approx(frequency, abs=5e-5)
    assert near.stability == kind


def test_hopf_bifurcation_is_at_forty():
    onset = brentq(lambda tau_i: np.trace(jacobian(tau_i).jacobian), 30.0, 50.0, xtol=1e-12)
    assert onset == pytest.approx(40.0, abs=1e-8)
    assert 1000 / jacobian(40.0).frequency == pytest.approx(145.104, abs=5e-4)


@pytest.mark.parametrize(("tau_i", "ratio"), [(30.0, 0.5913), (50.0, 1.5014)])
def test_perturbations_change_by_a_factor_per_cycle(tau_i, ratio):
    """After one period of the linear flow the state is back on its ray, shorter or longer."""
    period = 1000 / jacobian(tau_i).frequency
    run = rnnjax.simulate(
        ExcitatoryInhibitory(tau_i=tau_i), np.array([0.0, period, 2 * period]), start=NEAR,
        rtol=1e-10, atol=1e-12, dtype="float64",
    )  # fmt: skip
    away = np.stack([run.states.e - FIXED_POINT.e, run.states.i - FIXED_POINT.i], axis=1)
    found = np.linalg.norm(away, axis=1)
    np.testing.assert_allclose(found[1:] / found[:-1], ratio, rtol=0, atol=5e-5)
    assert away[1, 0] / found[1] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("tau_i", CYCLES)
def test_limit_cycle(tau_i):
    result = cycle(tau_i, ExcitatoryInhibitoryState(e=55.0, i=17.0))
    range_e, range_i, period = CYCLES[tau_i]
    np.testing.assert_allclose(result["range"].e, range_e, rtol=0, atol=5e-4)
    np.testing.assert_allclose(result["range"].i, range_i, rtol=0, atol=5e-4)
    assert result["period"] == pytest.approx(period, abs=1e-3)


def test_limit_cycle_at_fifty_in_all_digits():
    result = cycle(50.0, ExcitatoryInhibitoryState(e=55.0, i=17.0))
    np.testing.assert_allclose(result["range"].e, (0.12698, 56.18739), rtol=0, atol=1e-5)
    np.testing.assert_allclose(result["range"].i, (5.13997, 30.79071), rtol=0, atol=1e-5)
    assert result["period"] == pytest.approx(187.3148, abs=5e-5)
    assert 1000 / result["period"] == pytest.approx(5.3386, abs=5e-5)


def test_limit_cycle_is_reached_from_inside():
    result = cycle(50.0, NEAR, transient=10_000.0)
    np.testing.assert_allclose(result["range"].e, CYCLES[50.0][0], rtol=0, atol=1e-3)
    assert result["period"] == pytest.approx(CYCLES[50.0][2], abs=0.01)


def test_limit_cycle_by_adaptive_steps():
    times = np.arange(0, 5001, 1.0)
    start = ExcitatoryInhibitoryState(e=55.0, i=17.0)
    run = rnnjax.simulate(
        ExcitatoryInhibitory(), times, start=start, rtol=1e-9, atol=1e-9, dtype="float64"
    )
    settled = run.states.e[4000:]
    # one sample a ms misses the extremes by up to v'' / 8
    assert settled.max() == pytest.approx(56.18739, abs=0.02)
    assert settled.min() == pytest.approx(0.12698, abs=0.02)


# The degeneracy at tau_i = 40 ms is a property of the circuit: with m_ii = 0 the flow is
# divergence-free where both units are active and where I alone is silent.


def test_divergence_vanishes_at_forty_unless_e_is_silent():
    points = {(26.0, 17.0): 0.0, (5.0, 5.0): 0.0, (12.0, 40.0): -0.125, (1.0, 30.0): -0.125}
    for (e, i), expected in points.items():
        near = rnnjax.linearize(
            ExcitatoryInhibitory(tau_i=40.0), ExcitatoryInhibitoryState(e=e, i=i)
        )
        assert np.trace(near.jacobian) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("e", "i"), [(10.0, 12.5), (55 / 3, 175 / 12)])
def test_orbits_at_forty_are_neutral_ellipses(e, i):
    """The larger one grazes the line v_e = 10 Hz below which I is silent; both take 145.104 ms."""
    result = cycle(40.0, ExcitatoryInhibitoryState(e=e, i=i))
    share = (80 / 3 - e) / (50 / 3)
    expected_e = 80 / 3 + share * np.array([-50 / 3, 50 / 3])
    expected_i = 50 / 3 + share * np.array([-25 / 3, 25 / 3])
    np.testing.assert_allclose(result["range"].e, expected_e, rtol=0, atol=1e-3)
    np.testing.assert_allclose(result["range"].i, expected_i, rtol=0, atol=1e-3)
    assert result["period"] == pytest.approx(145.104, abs=1e-3)


def test_grazing_orbit_at_forty():
    """The neutral orbit through (8/3, 40/3), tangent to the line where E falls silent."""
    result = cycle(40.0, ExcitatoryInhibitoryState(e=8 / 3, i=40 / 3))
    np.testing.assert_allclose(result["range"].e, (1.3118, 49.9523), rtol=0, atol=1e-3)
    np.testing.assert_allclose(result["range"].i, (5.0238, 28.3095), rtol=0, atol=1e-3)
    assert result["period"] == pytest.approx(160.411, abs=1e-3)


def test_below_forty_even_large_swings_decay():
    circuit = ExcitatoryInhibitory(tau_i=39.9)
    start = ExcitatoryInhibitoryState(e=55.0, i=17.0)
    swings = [
        float(rnnjax.measure(circuit, SWING, at + 2000.0, step=0.25, transient=at, start=start,
                             dtype="float64")["swing"])
        for at in (0.0, 30_000.0, 60_000.0, 120_000.0)
    ]  # fmt: skip
    assert swings[0] > 50
    # once it is inside the active region it follows the eigenvalues
    assert swings[1] > swings[2] > swings[3]
    expected = np.exp(-60_000 * (1 / 39.9 - 1 / 40) / 2)
    assert swings[3] / swings[2] == pytest.approx(expected, rel=1e-2)


def test_above_forty_the_cycle_is_large_at_once():
    """No square-root growth: at 41 ms, 2.5 % above the onset, the swing is 50 Hz already."""
    low, high = CYCLES[41.0][0]
    swings = [high - low for (low, high), _, _ in CYCLES.values()]
    assert high - low > 0.65 * swings[-1]
    result = cycle(40.5, ExcitatoryInhibitoryState(e=55.0, i=17.0), transient=20_000.0)
    assert result["range"].e.max - result["range"].e.min > 48.6
    assert result["period"] > 160.411


@pytest.mark.parametrize("step", [1.0, 0.5])
def test_explicit_euler_moves_the_onset_by_three_steps(step):
    onset = 40 - 3 * step

    def growth(tau_i, solver):
        return float(
            rnnjax.measure(
                ExcitatoryInhibitory(tau_i=tau_i), {"growth": Growth(of=rate_e, split=10_000.0)},
                20_000.0, step=step, start=NEAR, solver=solver, dtype="float64",
            )["growth"]
        )  # fmt: skip

    assert growth(onset - 0.02, diffrax.Euler()) < 0 < growth(onset + 0.02, diffrax.Euler())
    assert growth(onset + 0.02, RK4()) < 0


def test_variant_with_inhibition_of_inhibition():
    """Some courses take m_ii = -1: fixed point (60, 25) Hz, onset at 80 ms."""
    found = fixed_point(ExcitatoryInhibitory(m_ii=-1.0))
    assert float(found[0].e) == pytest.approx(60.0, abs=1e-10)
    assert float(found[0].i) == pytest.approx(25.0, abs=1e-10)
    onset = brentq(lambda tau_i: jacobian(tau_i, -1.0).growth_rate, 60.0, 100.0, xtol=1e-12)
    assert onset == pytest.approx(80.0, abs=1e-8)
