"""The linear network of Dayan and Abbott (2001), section 7.4, equations 7.17-7.24.

The closed form c(t) and the amplification 1 / (1 - lambda) are read; the random matrix (20 units,
spectral radius 0.9), tau = 10 ms and the pulse of 100 ms are our choices.
"""

import numpy as np
import pytest

import rnnjax
from rnnjax import Status
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Cosine, Symmetric
from rnnjax.inputs import Pulse

TAU = 10.0


@pytest.fixture(scope="module")
def network():
    """Twenty units, symmetric Gaussian weights scaled to a spectral radius of 0.9."""
    weights = np.random.default_rng(0).normal(size=(20, 20))
    weights = (weights + weights.T) / 2
    weights *= 0.9 / np.abs(np.linalg.eigvalsh(weights)).max()
    return LinearNetwork(Symmetric(weights))


@pytest.fixture(scope="module")
def drive_and_start():
    rng = np.random.default_rng(1)
    return rng.normal(size=20), rng.normal(size=20)


def test_weights_have_the_spectral_radius(network):
    values = network.modes().eigenvalues
    assert np.abs(values).max() == pytest.approx(0.9, rel=1e-12)
    assert np.isrealobj(values)
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("step", [None, 0.5])
def test_simulation_follows_closed_form(network, drive_and_start, step):
    drive, start = drive_and_start
    times = np.arange(0, 301, 5.0)
    run = rnnjax.simulate(
        network, times, drive, start=start, step=step, rtol=1e-9, atol=1e-9, dtype="float64"
    )
    closed = network.modes().solution(times, drive, start)
    assert np.abs(closed[-1] - closed[0]).max() > 0.1
    np.testing.assert_allclose(run.states, closed, rtol=0, atol=1e-6)


def test_simulation_settles_where_modes_say(network, drive_and_start):
    drive, _ = drive_and_start
    # 40 times the slowest time constant, tau / (1 - 0.9)
    final = rnnjax.simulate(
        network, np.array([0.0, 4000.0]), drive, step=2.0, dtype="float64"
    ).final
    np.testing.assert_allclose(final, network.modes().steady_state(drive), rtol=0, atol=1e-10)


def test_each_mode_is_amplified_and_slowed_by_the_same_factor(network):
    modes = network.modes()
    np.testing.assert_allclose(modes.amplification, 1 / (1 - modes.eigenvalues), rtol=1e-12)
    np.testing.assert_allclose(modes.time_constants, TAU * modes.amplification, rtol=1e-12)
    for mode in (0, -1):
        drive = modes.right[:, mode]
        settled = modes.steady_state(drive)
        np.testing.assert_allclose(settled, drive * modes.amplification[mode], atol=1e-12)
    assert set(modes.verdicts) == {"decays"}


def test_jacobian_agrees_with_modes(network):
    found = rnnjax.linearize(network, np.zeros(20)).eigenvalues
    expected = (network.modes().eigenvalues - 1) / TAU
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def integrator():
    """One mode at 1, the other 19 of the random matrix well below it."""
    rng = np.random.default_rng(2)
    directions, _ = np.linalg.qr(rng.normal(size=(20, 20)))
    values = np.concatenate([[1.0], rng.uniform(-0.9, 0.5, 19)])
    weights = (directions * values) @ directions.T
    return LinearNetwork(Symmetric((weights + weights.T) / 2)), directions[:, 0]


@pytest.mark.parametrize("step", [None, 1.0])
def test_integrator_holds_a_pulse(integrator, step):
    network, line = integrator
    drive = np.random.default_rng(3).normal(size=20)
    drive *= 2 / (line @ drive)
    pulse = Pulse(drive, onset=100.0, duration=100.0)
    # 200 ms after the pulse the other modes (at most 20 ms slow) are gone
    times = np.array([0.0, 100.0, 400.0, 700.0, 1000.0, 1400.0])
    run = rnnjax.simulate(
        network, times, pulse, step=step, rtol=1e-10, atol=1e-10, max_steps=10_000, dtype="float64"
    )
    integral = run.states @ line
    assert network.modes().verdicts[0] == "integrates"
    # the integral of the drive over tau: 2 Hz for 100 ms over 10 ms
    assert integral[2] == pytest.approx(20.0, rel=1e-6)
    held = integral[2:]
    assert np.abs(held / held[0] - 1).max() < 1e-9
    # all that is left is on the line
    off = run.states[-1] - integral[-1] * line
    assert np.abs(off).max() < 1e-6


def test_integrator_in_closed_form(integrator):
    network, line = integrator
    modes = network.modes()
    grown = modes.solution([100.0], 2 * line)[0]
    np.testing.assert_allclose(grown, 20 * line, atol=1e-9)
    with pytest.raises(ValueError, match="integrates"):
        modes.steady_state(line)
    assert np.isinf(modes.amplification[0])
    assert np.isinf(modes.time_constants[0])


@pytest.fixture(scope="module")
def explosive():
    return LinearNetwork(Cosine(lambda_1=1.5, size=20))


def test_explosion_is_foretold(explosive):
    modes = explosive.modes()
    assert modes.verdicts[:3] == ["explodes", "explodes", "decays"]
    assert np.isinf(modes.amplification[:2]).all()
    np.testing.assert_allclose(modes.time_constants[:2], -20.0, rtol=1e-9)
    with pytest.raises(ValueError, match=r"does not settle.*explodes"):
        modes.steady_state(1.0)


def test_explosion_follows_closed_form_while_finite(explosive):
    drive = np.cos(np.deg2rad(explosive.connectivity.angles()))
    times = np.arange(0, 401, 20.0)
    run = rnnjax.simulate(explosive, times, drive, step=1.0, dtype="float64")
    closed = explosive.modes().solution(times, drive)
    assert closed.max() > 1e8
    error = np.abs(run.states - closed).max(axis=1)
    assert (error[1:] < 1e-6 * closed.max(axis=1)[1:]).all()


def test_explosion_is_reported(explosive):
    drive = np.cos(np.deg2rad(explosive.connectivity.angles()))
    arguments = {"step": 1.0, "dtype": "float64"}
    run = rnnjax.simulate(explosive, np.array([0.0, 20_000.0]), drive, throw=False, **arguments)
    assert run.status == Status.NON_FINITE
    # v(t) = 2 (e^(t / 20) - 1) passes the largest float64 here
    overflow = 20 * (np.log(np.finfo(np.float64).max) - np.log(2))
    assert overflow - 500 < run.failed_at <= overflow
    with pytest.raises(rnnjax.SimulationError, match=r"NON_FINITE after t = .*unstable"):
        rnnjax.simulate(explosive, np.array([0.0, 20_000.0]), drive, **arguments)


def test_adaptive_run_of_an_explosion_ends_with_a_status(explosive):
    drive = np.cos(np.deg2rad(explosive.connectivity.angles()))
    run = rnnjax.simulate(
        explosive, np.array([0.0, 20_000.0]), drive, max_steps=2000, dtype="float64", throw=False
    )
    assert run.status in (Status.NON_FINITE, Status.MAX_STEPS, Status.STEP_UNDERFLOW)
    assert not np.isfinite(run.final).all()
