"""Measures on signals whose amplitude, period and spectrum are known."""

from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import Decay, Oscillator, StuartLandau, central_difference, relative

import rnnjax
from rnnjax import inputs, measures, parameter
from rnnjax._numerics.memory import BLOCK


class Follow(rnnjax.AbstractCircuit):
    r"""The integral of its input.

    $\dot x = u$
    """

    gain: Any = parameter(1.0, "1")

    def __call__(self, state, input):
        return self.gain * input

    def rest(self):
        return jnp.zeros_like(self.gain)


def of_wave(chosen, frequency=8.0, duration=1000.0, step=0.5, amplitude=3.0, **settings):
    """Measures of `amplitude * sin(2 pi f t)`, made by integrating its derivative."""
    turn = 2 * np.pi * frequency / 1000
    drive = inputs.Sinusoid(amplitude * turn, frequency, np.pi / 2)
    settings = {"dtype": "float64", "solver": diffrax.Tsit5(), **settings}
    return rnnjax.measure(Follow(), chosen, duration, drive, step=step, **settings)


@pytest.fixture(scope="module")
def wave():
    return of_wave(
        {
            "amplitude": measures.Amplitude(),
            "extremes": measures.MinMax(),
            "mean": measures.Mean(),
            "end": measures.Final(),
            "frequency": measures.Frequency(),
            "period": measures.Period(),
            "crossing": measures.Period(level=1.0),
            "spectrum": measures.Spectrum(frequencies=[4.0, 8.0, 16.0, 20.0]),
        }
    )


def test_a_wave(wave):
    np.testing.assert_allclose(wave["amplitude"], 6.0, rtol=1e-4)
    np.testing.assert_allclose(wave["extremes"], [-3.0, 3.0], rtol=1e-4)
    assert isinstance(wave["extremes"], measures.Range)
    np.testing.assert_allclose([wave["mean"], wave["end"]], [0, 0], atol=1e-9)
    np.testing.assert_allclose(wave["frequency"], 8.0, rtol=1e-5)
    np.testing.assert_allclose(wave["period"], 125.0, rtol=1e-5)
    np.testing.assert_allclose(wave["crossing"], 125.0, rtol=1e-5)
    np.testing.assert_allclose(wave["spectrum"], [0, 3, 0, 0], atol=1e-9)


def test_crossings_are_of_second_order_in_the_step():
    # Its period is no multiple of a step: the error of the crossings is that of interpolation.
    errors = []
    for step in (4.0, 2.0, 1.0):
        found = of_wave(measures.Period(level=1.3), 7.3, 500 * step, step, transient=0.0)
        errors.append(abs(found - 1000 / 7.3) * 500 * step)
    # times the span, since the error of the mean period falls with the cycles counted
    assert errors[0] / errors[2] > 8


def test_silence_does_not_oscillate():
    chosen = {"f": measures.Frequency(), "p": measures.Period(), "a": measures.Amplitude()}
    found = rnnjax.measure(Decay(), chosen, 100.0, step=1.0, start=0.0)
    assert found["f"] == 0
    assert np.isinf(found["p"])
    assert found["a"] == 0
    # a swing below `smallest` is none, and above it one
    small = {"f": measures.Frequency(smallest=1e-3), "g": measures.Frequency(smallest=1e-5)}
    found = of_wave(small, amplitude=1e-4)
    assert found["f"] == 0
    np.testing.assert_allclose(found["g"], 8.0, rtol=1e-4)


def test_the_transient_is_left_out():
    found = rnnjax.measure(
        Decay(10.0), {"range": measures.MinMax(), "mean": measures.Mean()}, 50.0, step=0.5,
        transient=20.0, dtype="float64",
    )  # fmt: skip
    np.testing.assert_allclose(found["range"], np.exp([-5.0, -2.0]), rtol=1e-8)
    t = np.arange(20.5, 50.5, 0.5)
    np.testing.assert_allclose(found["mean"], np.exp(-t / 10).mean(), rtol=1e-8)


def test_settling_runs_are_counted_once_settled():
    chosen = {"p": measures.Period(), "f": measures.Frequency()}
    found = rnnjax.measure(StuartLandau(0.25, 0.5), chosen, 400.0, step=0.05, dtype="float64")
    np.testing.assert_allclose(found["p"], 4 * np.pi, rtol=1e-4)
    np.testing.assert_allclose(found["f"], 1000 / (4 * np.pi), rtol=1e-4)


@pytest.mark.parametrize("sigma", [0.002, -0.002])
def test_growth_is_the_rate_times_half_the_window(sigma):
    # whole cycles in each half, and no extremum at the ends: both see the same part of the wave
    circuit = Oscillator(sigma=sigma, omega=2 * np.pi / 50)
    found = rnnjax.measure(
        circuit, measures.Growth(split=500.0), 1000.0, step=0.5, dtype="float64",
        start=np.array([0.6, 0.8]),
    )  # fmt: skip
    np.testing.assert_allclose(found, -sigma * 500, rtol=1e-3)


class Longest(measures.AbstractMeasure):
    r"""The largest absolute value: $\max_k |x(t_k)|$."""

    of: Any = eqx.field(static=True, default=measures._base.whole_state)
    meaning: ClassVar[str] = "largest absolute value"
    unit: ClassVar[str] = "state"

    def init(self, t, x):
        return jnp.abs(x)

    def update(self, carry, t, x):
        return jnp.maximum(carry, jnp.abs(x))

    def finish(self, carry, t, x):
        return carry


class Clock(measures.AbstractMeasure):
    r"""The times since the window began: that of its start, the sum of $t_k$, and the last."""

    of: Any = eqx.field(static=True, default=measures._base.whole_state)
    meaning: ClassVar[str] = "times"
    unit: ClassVar[str] = "ms"

    def init(self, t, x):
        return t, jnp.zeros_like(t)

    def update(self, carry, t, x):
        return carry[0], carry[1] + t

    def finish(self, carry, t, x):
        return jnp.stack([*carry, t])


def test_measures_of_ones_own():
    found = of_wave({"own": Longest(), "range": measures.MinMax()})
    assert found["own"] == max(abs(found["range"].min), abs(found["range"].max))


def test_measures_see_every_step_once():
    steps, transient = BLOCK + 70, 30
    found = rnnjax.measure(
        Decay(),
        Clock(),
        (steps + transient) * 0.5,
        step=0.5,
        transient=transient * 0.5,
        dtype="float64",
    )
    times = 0.5 * np.arange(1, steps + 1)
    np.testing.assert_allclose(found, [0.0, times.sum(), times[-1]], rtol=1e-13)


def second(state):
    return state[1]


def scaled(state):
    return {"sum": state.sum(), "both": 2 * state}


def test_observables():
    start = np.array([1.0, 0.0])
    run = {"step": 0.5, "start": start, "dtype": "float64"}
    whole = rnnjax.measure(Oscillator(), measures.Mean(), 40.0, **run)
    assert rnnjax.measure(Oscillator(), measures.Mean(of=second), 40.0, **run) == whole[1]
    found = rnnjax.measure(Oscillator(), measures.Mean(of=scaled), 40.0, **run)
    np.testing.assert_allclose(found["both"], 2 * whole, rtol=1e-13)
    np.testing.assert_allclose(found["sum"], whole.sum(), rtol=1e-12)


def test_new_values_do_not_compile_again():
    counted = eqx.debug.assert_max_traces(Longest.update, max_traces=2)

    class Counted(Longest):
        r"""The same: $\max_k |x(t_k)|$."""

        def update(self, carry, t, x):
            return counted(self, carry, t, x)

    results = [
        rnnjax.measure(Decay(tau), Counted(), 20.0, u, step=h * 20, start=s)
        for tau, u, h, s in [(5.0, 0.0, 0.05, 1.0), (9.0, 2.0, 0.05, 1.0), (9.0, 2.0, 0.05, 3.0)]
    ]
    np.testing.assert_allclose(results, [1.0, 2 - np.exp(-20 / 9), 3.0], rtol=1e-4)


def test_measures_differentiate():
    with jax.enable_x64(True):

        @jax.jit
        def period(omega):
            return rnnjax.measure(
                StuartLandau(0.25, omega), measures.Period(of=second, level=0.0), 120.0, step=0.1,
                transient=60.0,
            )  # fmt: skip

        slope = jax.jit(jax.grad(period))(0.5)
        assert relative(slope, central_difference(period, 0.5, by=1e-6)) < 1e-6
    np.testing.assert_allclose(slope, -2 * np.pi / 0.5**2, rtol=2e-3)  # T = 2 pi / omega


@pytest.mark.parametrize("settings", [{"step": 0.1}, {}], ids=["fixed", "adaptive"])
def test_of_what_is_true_and_of_what_is_whole(settings):
    """A share of time, and of steps: x = 1 - exp(-t / 10) is above one half from 10 ln 2 on."""
    unit = rnnjax.circuits.LinearNetwork(rnnjax.connectivity.Dense([[0.0]]), tau=10.0)
    share = rnnjax.measure(unit, measures.Mean(of=lambda x: x > 0.5), 100.0, 1.0, **settings)
    np.testing.assert_allclose(share, 1 - 0.1 * np.log(2), atol=2e-3)
    whole = rnnjax.measure(
        unit, measures.MinMax(of=lambda x: (10 * x).astype(int)), 100.0, 1.0, **settings
    )
    assert (whole.min, whole.max) == (0, 9)
