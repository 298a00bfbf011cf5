"""The ring of Dayan and Abbott (2001), section 7.4, equations 7.26-7.35, figures 7.8-7.14.

The weights (lambda_1 / pi) cos(theta - theta'), the values of lambda_1 (0.9 linear, 1.9
rectified) and what each figure shows are read; tau = 10 ms and 100 units are reconstruction. The
steady states are computed from the closed form of the continuum,

    v = A [cos(theta) - cos(theta_c)]_+,  -A cos(theta_c) = h0,
    A (1 - (lambda_1 / pi) (theta_c - sin(theta_c) cos(theta_c))) = h1,

for an input h0 + h1 cos(theta). A ring of N units deviates by an amount of order 1 / N^2.
"""

import diffrax
import numpy as np
import pytest
from scipy.optimize import brentq

import rnnjax
from rnnjax.circuits import LinearNetwork, RateNetwork
from rnnjax.connectivity import Cosine

LAMBDA_1 = 1.9

# h0, h1: theta_c in degrees, A, largest rate; computed, in the digits quoted
TABLE = {
    (0.0, 1.0): (90.0, 20.0, 20.0),
    (0.1, 1.0): (90.2556, 22.4192, 22.5192),
    (0.25, 1.0): (90.5499, 26.0478, 26.2978),
    (0.5, 1.0): (90.8926, 32.0953, 32.5953),
    (1.0, 1.0): (91.2967, 44.1895, 45.1895),
    (2.0, 1.0): (91.6761, 68.3762, 70.3762),
    (-0.1, 1.0): (89.6741, 17.5809, 17.4809),
    (-0.5, 1.0): (86.3769, 7.9123, 7.4123),
    (1.0, 0.0): (92.36977, 24.18466, 25.18466),
}
DRIVES = list(TABLE)


def last_digit(drive):
    """One unit of the last digit quoted (0.1, 1.0 is rounded up: A is 22.41915)."""
    return 1e-5 if drive == (1.0, 0.0) else 1e-4


def recurrence(theta):
    """Share of its own amplitude that a bump of half-width `theta` (radians) sends to itself."""
    return LAMBDA_1 / np.pi * (theta - np.sin(theta) * np.cos(theta))


def closed_form(h0, h1):
    """theta_c in degrees, A and the peak of the continuum."""
    if h0 == 0:
        return 90.0, h1 / (1 - LAMBDA_1 / 2), h1 / (1 - LAMBDA_1 / 2)
    widest = brentq(lambda t: recurrence(t) - 1, 0.1, np.pi, xtol=1e-15)
    theta = widest
    if h1:
        theta = brentq(lambda t: h1 * np.cos(t) + h0 * (1 - recurrence(t)), 0.2, widest, xtol=1e-15)
    amplitude = -h0 / np.cos(theta)
    return np.rad2deg(theta), amplitude, amplitude + h0


def angles(units):
    return np.deg2rad(Cosine(size=units).angles())


def bump(units, center=0.0):
    return np.maximum(np.cos(angles(units) - center), 0)


def settle(units, drive, start=None, duration=10_000.0):
    """The rates after 50 of the slowest time constants (20 tau), `(units,)`, Hz."""
    ring = RateNetwork(Cosine(lambda_1=LAMBDA_1, size=units))
    times = np.array([0.0, duration])
    return rnnjax.simulate(ring, times, drive, start=start, step=5.0, dtype="float64").final


def read_off(rates):
    """theta_c in degrees, A and the peak of a profile, by a fit of its active units."""
    theta = angles(len(rates))
    active = rates > 1e-6 * rates.max()
    basis = np.stack([np.cos(theta), np.sin(theta), np.ones_like(theta)], axis=1)[active]
    (cos, sin, offset), *_ = np.linalg.lstsq(basis, rates[active], rcond=None)
    amplitude = np.hypot(cos, sin)
    return np.rad2deg(np.arccos(-offset / amplitude)), amplitude, rates.max()


def steady(units):
    """Rates at the steady state of every drive of the table."""
    theta = angles(units)
    return {
        (h0, h1): settle(units, h0 + h1 * np.cos(theta), 10 * bump(units) if h1 == 0 else None)
        for h0, h1 in DRIVES
    }


@pytest.fixture(scope="module")
def coarse():
    return steady(100)


@pytest.fixture(scope="module")
def fine():
    return steady(3600)


def relative(found, expected):
    return np.abs(np.array(found) / np.array(expected) - 1).max()


def test_linear_ring_amplifies_the_first_mode_ten_times():
    modes = LinearNetwork(Cosine(lambda_1=0.9)).modes()
    np.testing.assert_allclose(modes.amplification[:2], 10.0, rtol=1e-12)
    np.testing.assert_allclose(modes.amplification[2:], 1.0, rtol=1e-12)
    np.testing.assert_allclose(modes.time_constants[:2], 100.0, rtol=1e-12)


def test_linear_ring_amplifies_each_fourier_component():
    drive = np.random.default_rng(0).normal(5.0, 1.0, 100)
    network = LinearNetwork(Cosine(lambda_1=0.9))
    settled = rnnjax.simulate(
        network, np.array([0.0, 4000.0]), drive, step=2.0, dtype="float64"
    ).final
    gain = np.fft.rfft(settled) / np.fft.rfft(drive)
    expected = np.ones(51)
    expected[1] = 10.0
    np.testing.assert_allclose(gain, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("units", [20, 21, 360])
def test_ring_has_two_eigenvalues(units):
    values = np.linalg.eigvalsh(np.asarray(Cosine(lambda_1=0.9, size=units).matrix(), np.float64))
    np.testing.assert_allclose(values[-2:], 0.9, rtol=1e-6)  # matrix() is in the scope's float32
    assert np.abs(values[:-2]).max() < 1e-6


@pytest.mark.parametrize("drive", DRIVES)
def test_closed_form_gives_the_table(drive):
    np.testing.assert_allclose(closed_form(*drive), TABLE[drive], rtol=0, atol=last_digit(drive))


@pytest.mark.parametrize("drive", DRIVES)
def test_hundred_units_give_the_table_to_a_thousandth(coarse, drive):
    assert relative(read_off(coarse[drive]), TABLE[drive]) < 1e-3


@pytest.mark.parametrize("drive", DRIVES)
def test_many_units_give_the_closed_form_to_a_millionth(fine, drive):
    found = read_off(fine[drive])
    assert relative(found, closed_form(*drive)) < 1e-6
    np.testing.assert_allclose(found, TABLE[drive], rtol=0, atol=last_digit(drive))


@pytest.mark.parametrize("drive", DRIVES)
def test_profile_is_a_rectified_cosine(fine, drive):
    theta, amplitude, _ = read_off(fine[drive])
    expected = amplitude * np.maximum(np.cos(angles(3600)) - np.cos(np.deg2rad(theta)), 0)
    np.testing.assert_allclose(fine[drive], expected, rtol=0, atol=1e-8 * amplitude)


@pytest.mark.parametrize("units", [4, 6, 10, 50, 102, 360])
def test_without_background_the_ring_is_exact_for_every_even_size(units):
    rates = settle(units, np.cos(angles(units)))
    np.testing.assert_allclose(rates, 20 * bump(units), rtol=0, atol=1e-9)


def test_error_falls_with_the_square_of_the_units(coarse, fine):
    for drive in DRIVES[1:]:
        error_100 = relative(read_off(coarse[drive]), closed_form(*drive))
        error_3600 = relative(read_off(fine[drive]), closed_form(*drive))
        # its sign and size hang on where theta_c falls between two units, so no exact ratio
        assert error_100 * 100**2 < 6
        assert error_3600 * 3600**2 < 6
        assert error_3600 < error_100 / 100


def test_background_modulates_gain(fine):
    for h0, h1 in DRIVES:
        if h0 >= 0 and h1 == 1:
            theta, amplitude, _ = read_off(fine[h0, h1])
            assert amplitude == pytest.approx(20 * h1 + 24.19 * h0, rel=1e-4)
            assert 0 <= theta - 90 < 2
    assert fine[1.0, 1.0].max() / fine[0.0, 1.0].max() == pytest.approx(2.26, abs=0.005)


def test_response_scales_with_the_whole_input(coarse):
    rates = settle(100, 2 * (0.5 + np.cos(angles(100))))
    np.testing.assert_allclose(rates, 2 * coarse[0.5, 1.0], rtol=1e-9, atol=1e-9)


def gaussian(center, width=20.0):
    away = (Cosine().angles() - center + 180) % 360 - 180
    return np.exp(-0.5 * (away / width) ** 2)


def population_angle(rates):
    return np.rad2deg(np.angle((rates * np.exp(1j * angles(len(rates)))).sum()))


def peaks(rates):
    higher = (rates > np.roll(rates, 1)) & (rates > np.roll(rates, -1))
    return Cosine(size=len(rates)).angles()[higher & (rates > 1e-6)]


@pytest.mark.parametrize(("amplitude", "rate"), [(5.1, 55.9), (5.5, 60.3), (6.0, 65.7)])
def test_stronger_of_two_opposite_inputs_takes_all(amplitude, rate):
    rates = settle(100, 5 * gaussian(-90) + amplitude * gaussian(90), duration=60_000.0)
    winner, loser = (np.argmin(np.abs(Cosine().angles() - at)) for at in (90, -90))
    np.testing.assert_allclose(peaks(rates), [90.0], rtol=1e-12)
    assert population_angle(rates) == pytest.approx(90.0, abs=1e-6)
    assert rates[winner] == pytest.approx(rate, abs=0.05)
    assert rates[loser] == pytest.approx(0.0, abs=1e-9)


def test_inputs_at_sixty_degrees_pull_the_winner():
    """The ring selects the first Fourier mode: only opposite inputs leave the winner in place."""
    rates = settle(100, 5 * gaussian(-60) + 6 * gaussian(60), duration=60_000.0)
    assert Cosine().angles()[rates.argmax()] == pytest.approx(57.6)
    assert population_angle(rates) == pytest.approx(53.4, abs=0.05)


@pytest.fixture(scope="module")
def cued():
    return settle(100, 1 + 4 * bump(100) ** 4)


def test_activity_outlasts_its_cue(cued):
    assert cued.max() == pytest.approx(80.8, abs=0.05)
    sustained = settle(100, 1.0, start=cued)
    assert sustained.max() == pytest.approx(25.1836, abs=5e-5)
    assert sustained.max() == pytest.approx(25.18466, rel=1e-3)
    assert Cosine().angles()[sustained.argmax()] == pytest.approx(0.0, abs=1e-9)


def test_half_a_second_after_the_cue(cued):
    """29.63 Hz was computed with explicit Euler at 0.5 ms; the exact flow gives 29.643."""
    ring, times = RateNetwork(Cosine(lambda_1=LAMBDA_1)), np.array([0.0, 500.0])
    arguments = {"start": cued, "step": 0.5, "dtype": "float64"}
    euler = rnnjax.simulate(ring, times, 1.0, solver=diffrax.Euler(), **arguments).final
    exact = rnnjax.simulate(ring, times, 1.0, **arguments).final
    assert euler.max() == pytest.approx(29.63, abs=0.005)
    assert exact.max() == pytest.approx(29.6429, abs=1e-4)


@pytest.mark.parametrize("background", [0.5, 2.0])
def test_sustained_peak_is_proportional_to_the_background(background):
    rates = settle(3600, background, start=30 * bump(3600))
    assert rates.max() == pytest.approx(25.18466 * background, rel=1e-6)


def test_sustained_bump_may_be_anywhere():
    """Its position is marginal: where the cue was, in steps of the ring's units."""
    units = 100
    rates = settle(units, 1.0, start=30 * bump(units, center=np.deg2rad(72.0)))
    assert Cosine().angles()[rates.argmax()] == pytest.approx(72.0)


def test_sustained_bump_needs_a_background(cued):
    assert settle(100, 0.0, start=cued).max() < 1e-9
    assert settle(100, -0.1, start=cued).max() < 1e-9


def test_uniform_state_is_an_unstable_equilibrium():
    ring = RateNetwork(Cosine(lambda_1=LAMBDA_1))
    uniform = np.ones(100)
    slope = np.asarray(ring(uniform, 1.0))
    assert np.abs(slope).max() < 1e-6  # called directly it computes in float32
    near = rnnjax.linearize(ring, uniform, 1.0)
    assert near.growth_rate == pytest.approx(0.9 / 10, rel=1e-12)
    assert not near.stable


def test_without_background_a_bump_decays_twenty_times_slower_than_a_unit():
    held = settle(100, np.cos(angles(100)))
    ring = RateNetwork(Cosine(lambda_1=LAMBDA_1))
    run = rnnjax.simulate(
        ring, np.array([0.0, 100.0, 200.0, 400.0]), 0.0, start=held, step=0.5, dtype="float64"
    )
    ratio = run.states.max(axis=1) / held.max()
    np.testing.assert_allclose(ratio, np.exp(-run.times / 200), rtol=1e-9)


def test_steady_states_are_equilibria(coarse):
    """A root finder that starts nearby finds what the simulations settled into."""
    ring = RateNetwork(Cosine(lambda_1=LAMBDA_1))
    drive = 0.5 + np.cos(angles(100))
    found = rnnjax.find_equilibria(ring, drive, guesses=1.01 * coarse[0.5, 1.0])
    np.testing.assert_allclose(found[0], coarse[0.5, 1.0], rtol=0, atol=1e-9)
    assert found.linearizations[0].stable
