"""Simple and complex cells of Dayan and Abbott (2001), section 7.4, figures 7.10 and 7.11.

What the figures show is read. Their numbers are reconstruction: orientations in (-90, 90]
degrees, M = (-7.3 + 11 cos 2(theta - theta')) / pi, h = 40 Hz c (1 - eps + eps cos 2 theta) with
eps = 0.1, contrasts 0.1 to 0.8; phases coupled uniformly with lambda = 0.95; tau = 10 ms and 100
units. Peaks and widths were computed for 100 units.
"""

import numpy as np
import pytest

import rnnjax
from rnnjax.circuits import LinearNetwork, RateNetwork
from rnnjax.connectivity import Cosine

PEAKS = {0.1: 9.007, 0.2: 18.014, 0.4: 36.028, 0.8: 72.056}


def simple_cells(contrast):
    """Orientations in degrees, the input and the settled rates, `(units,)`, Hz."""
    # the mean over orientations of cos^2 is a half: 11 / 2
    ring = Cosine(lambda_0=-7.3, lambda_1=5.5, size=100, period=180.0)
    angles = ring.angles()
    drive = 40 * contrast * (0.9 + 0.1 * np.cos(2 * np.deg2rad(angles)))
    times = np.array([0.0, 2000.0])
    run = rnnjax.simulate(RateNetwork(ring), times, drive, step=1.0, dtype="float64")
    return angles, drive, run.final


@pytest.fixture(scope="module")
def responses():
    return {contrast: simple_cells(contrast) for contrast in PEAKS}


@pytest.mark.parametrize("contrast", PEAKS)
def test_simple_cells_peak(responses, contrast):
    angles, _, rates = responses[contrast]
    assert angles[rates.argmax()] == pytest.approx(0.0, abs=1e-9)
    assert rates.max() == pytest.approx(PEAKS[contrast], abs=5e-4)


@pytest.mark.parametrize("contrast", PEAKS)
def test_simple_cells_width_does_not_depend_on_contrast(responses, contrast):
    angles, drive, rates = responses[contrast]
    # 19.8 degrees on the grid of 1.8 degrees: the last unit that fires at half the peak or more
    above = np.abs(angles[rates >= rates.max() / 2])
    assert above.max() == pytest.approx(19.8, abs=1e-9)
    assert drive.min() / drive.max() == pytest.approx(0.8, abs=1e-3)  # the input is nearly flat


def test_simple_cells_width_between_the_units(responses):
    """The profile is a cosine above threshold: its exact half-width is 20.00 degrees."""
    angles, _, rates = responses[0.4]
    active = rates > 1e-6
    basis = np.stack([np.cos(2 * np.deg2rad(angles)), np.ones_like(angles)], axis=1)[active]
    (cos, offset), *_ = np.linalg.lstsq(basis, rates[active], rcond=None)
    half = np.rad2deg(np.arccos(((cos + offset) / 2 - offset) / cos)) / 2
    assert half == pytest.approx(20.0, abs=0.01)
    np.testing.assert_allclose(basis @ (cos, offset), rates[active], atol=1e-9)


def test_simple_cells_tuning_is_the_same_at_all_contrasts(responses):
    _, _, reference = responses[0.8]
    for contrast, (_, _, rates) in responses.items():
        np.testing.assert_allclose(
            rates / contrast, reference / 0.8, rtol=1e-10, atol=1e-10 * reference.max()
        )


def test_simple_cells_sharpen_their_input(responses):
    angles, drive, rates = responses[0.4]
    assert rates[np.abs(angles) > 45] == pytest.approx(0.0, abs=1e-9)
    assert (drive[np.abs(angles) > 45] > 0.75 * drive.max()).all()


@pytest.fixture(scope="module")
def complex_cells():
    """Rates of a phase network for stimuli at each of its 100 phases, `(stimulus, unit)`, Hz."""
    ring = Cosine(lambda_0=0.95, lambda_1=0.0)
    network, phases = LinearNetwork(ring), np.deg2rad(ring.angles())
    drives = np.maximum(np.cos(phases[None, :] - phases[:, None]), 0)
    times = np.array([0.0, 8000.0])
    rates = [
        rnnjax.simulate(network, times, drive, step=2.0, dtype="float64").final for drive in drives
    ]
    return drives, np.stack(rates), network


def test_complex_cells_amplify_the_mean_twenty_times(complex_cells):
    drives, rates, network = complex_cells
    np.testing.assert_allclose(rates.mean(1), 20 * drives.mean(1), rtol=1e-10)
    gain = np.fft.rfft(rates[0])[:2] / np.fft.rfft(drives[0])[:2]
    np.testing.assert_allclose(gain, [20.0, 1.0], rtol=1e-9)
    np.testing.assert_allclose(network.modes().amplification[0], 20.0, rtol=1e-12)
    np.testing.assert_allclose(network.modes().amplification[1:], 1.0, rtol=1e-12)


def test_complex_cells_respond_alike_to_every_phase(complex_cells):
    """F1 / F0 over stimulus phases: pi / 2 for the input (simple), pi / 40 for the rates."""
    drives, rates, _ = complex_cells

    def modulation(responses):
        first, mean = np.fft.rfft(responses, axis=0)[[1, 0]] / len(responses)
        return 2 * np.abs(first) / np.abs(mean)

    # 100 phases give the integral over phases to about (2 pi / 100)^2 / 12
    np.testing.assert_allclose(modulation(drives), np.pi / 2, rtol=1e-3)
    np.testing.assert_allclose(modulation(rates), np.pi / 40, rtol=1e-3)
    np.testing.assert_allclose(modulation(rates), modulation(drives) / 20, rtol=1e-9)
    assert np.ptp(rates.mean(1)) < 1e-9
    assert rates.min() > 0.85 * rates.max()
