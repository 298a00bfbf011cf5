"""Inputs: their values at known times, their sums, and where solvers must look."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax import inputs
from rnnjax._precision import cast
from rnnjax.circuits import ExcitatoryInhibitoryState


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def at(given, *times):
    return np.array([given(np.float64(t)) for t in times])


def test_step_and_pulse_hold_their_ends():
    assert at(inputs.Step(2.0, onset=5.0), 4.999, 5.0, 1e9).tolist() == [0, 2, 2]
    pulse = inputs.Pulse(2.0, onset=5.0, duration=3.0)
    assert at(pulse, 4.999, 5.0, 7.999, 8.0).tolist() == [0, 2, 2, 0]
    assert [float(j) for j in pulse.jumps()] == [5.0, 8.0]
    assert [float(j) for j in inputs.Step(onset=7.0).jumps()] == [7.0]


def test_ramp_is_straight_and_stops():
    ramp = inputs.Ramp(10.0, onset=100.0, duration=50.0)
    np.testing.assert_allclose(at(ramp, 0, 100, 110, 150, 1000), [0, 0, 2, 10, 10])
    assert [float(j) for j in ramp.jumps()] == [100.0, 150.0]


def test_sinusoid_has_its_frequency_in_hz():
    wave = inputs.Sinusoid(3.0, frequency=10.0, phase=np.pi / 6)
    np.testing.assert_allclose(at(wave, 0, 25, 100), [1.5, 3 * np.cos(np.pi / 6), 1.5])
    assert float(wave.longest_step()) == 25.0


def test_recording_interpolates_and_holds_its_ends():
    recording = inputs.Recording([1.0, 3.0, -1.0], sample_rate=100.0, start=20.0)
    expected = [1, 1, 2, 3, 1, -1, -1]
    np.testing.assert_allclose(at(recording, 0, 20, 25, 30, 35, 40, 1e6), expected, atol=1e-12)
    assert float(recording.longest_step()) == 10.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recordings_bend_at_each_sample(dtype):
    with jax.enable_x64(dtype is np.float64):
        recording = cast(inputs.Recording(np.ones(300), sample_rate=700.0, start=-3.0), dtype)
        t, seen = dtype(-10.0), []
        while np.isfinite(t):
            after = np.asarray(recording.next_bend(t), dtype)[()]
            assert after > t
            t = after
            seen.append(t)
        np.testing.assert_allclose(seen[:-1], -3.0 + np.arange(300) / 0.7, rtol=1e-6, atol=1e-6)
        both = np.array([1.0, 2.0], dtype) * (recording + cast(inputs.Sinusoid(), dtype))
        assert float(both.next_bend(dtype(-10.0))) == -3.0
        assert float(inputs.Sinusoid().next_bend(0.0)) == np.inf


def test_recordings_of_several_channels():
    samples = np.stack([np.arange(5.0), -2 * np.arange(5.0)], 1)
    recording = inputs.Recording(samples, sample_rate=1000.0)
    np.testing.assert_allclose(recording(np.float64(2.25)), [2.25, -4.5])
    np.testing.assert_allclose(jax.vmap(recording)(np.array([0.0, 3.5])), [[0, 0], [3.5, -7]])


def test_a_long_recording_keeps_its_place_in_float32():
    """A minute at 20 kHz: sample numbers are still exact, and time is good to a sample."""
    count = 1_200_000
    recording = inputs.Recording(np.arange(count) % 1000, sample_rate=20_000.0)
    with jax.enable_x64(False):
        single = cast(recording, np.float32)
        t = np.float32(1000 * 555_555 / 20_000)
        value = float(single(t))
        assert single(t).dtype == np.float32
    # float32 time resolves 1/512 ms here, 0.04 samples
    assert abs(value - 555) < 0.1


def test_a_profile_drives_each_by_its_share():
    shares = np.array([1.0, 0.0, -2.0])
    for given in (shares * inputs.Step(3.0), inputs.Step(3.0) * shares):
        np.testing.assert_allclose(given(200.0), [3, 0, -6])
    named = ExcitatoryInhibitoryState(1.0, 0.5) * inputs.Pulse(4.0, 0.0, 10.0)
    value = named(5.0)
    assert isinstance(value, ExcitatoryInhibitoryState)
    assert (float(value.e), float(value.i)) == (4, 2)


def test_sums_share_what_is_for_all():
    both = inputs.Constant(1.0) + np.array([1.0, 2.0]) * inputs.Step(10.0)
    np.testing.assert_allclose(both(150.0), [11, 21])
    np.testing.assert_allclose(both(50.0), [1, 1])
    named = inputs.Step(2.0, 0.0) + inputs.Constant(ExcitatoryInhibitoryState(1.0, -1.0))
    assert [float(x) for x in named(1.0)] == [3, 1]
    three = inputs.Step() + inputs.Pulse() + inputs.Sinusoid(frequency=50.0)
    assert len(three.jumps()) == 3
    assert float(three.longest_step()) == 5.0
    with pytest.raises(ValueError, match="do not fit together"):
        (inputs.Constant({"a": 1.0}) + inputs.Constant(ExcitatoryInhibitoryState(1.0, 1.0)))(0.0)
    with pytest.raises(TypeError):
        inputs.Step() + 3.0


def test_their_numbers_can_be_fitted():
    def value(amplitude, onset, frequency):
        given = inputs.Ramp(amplitude, onset, 100.0) + inputs.Sinusoid(amplitude, frequency)
        return given(np.float64(50.0))

    slopes = jax.grad(value, argnums=(0, 1, 2))(2.0, 10.0, 3.0)
    angle = 2 * np.pi * 3.0 * 0.05
    expected = (0.4 + np.sin(angle), -2.0 / 100, 2.0 * 2 * np.pi * 0.05 * np.cos(angle))
    np.testing.assert_allclose(slopes, expected, rtol=1e-12)


def test_lanes_of_inputs():
    lanes = inputs.Step(np.array([1.0, 2.0]), np.array([10.0, 20.0]))
    values = jax.vmap(lambda step: step(np.float64(15.0)))(lanes)
    np.testing.assert_allclose(values, [1, 0])
    assert jnp.shape(jax.vmap(inputs.Recording(np.ones(4), 10.0))(jnp.arange(3.0))) == (3,)
