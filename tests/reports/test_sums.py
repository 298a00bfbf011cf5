"""Sums that run with time: right to a few roundings however long the run, in float32 as well."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from oracles import Decay

import rnnjax
from rnnjax import measures
from rnnjax._precision import cast
from rnnjax._types import is_traced

EPS = float(np.finfo(np.float32).eps)
STEP = 0.05


def made(measure, signal, steps, dtype=np.float32):
    """A measure of `signal(n)`, n the number of the step, without anything stored."""
    if not is_traced(measure):
        measure = measure.placed(0.0, steps * STEP).stepped(STEP)
    measure = cast(measure, dtype)

    @jax.jit
    def run(measure):
        def one(carry, n):
            x = signal(n)
            return measure.update(carry, (n.astype(x.dtype)) * jnp.asarray(STEP, x.dtype), x), None

        first = signal(jnp.zeros((), jnp.int32))
        zero = jnp.zeros((), first.dtype)
        carry, _ = lax.scan(
            one, measure.init(zero, first), jnp.arange(1, steps + 1, dtype=jnp.int32)
        )
        end = jnp.full((), steps * STEP, first.dtype)
        return measure.finish(carry, end, first)

    return np.asarray(run(measure))


def number(x):
    return jnp.asarray(x, jnp.float32)


def test_a_mean_beside_its_offset_after_ten_million_steps():
    def signal(n):
        return jnp.where(n <= 5_000_000, number(-65.0), number(-60.0))

    found = made(measures.Mean(), signal, 10_000_000)
    assert abs(found + 62.5) <= 62.5 * EPS


def test_a_count_does_not_stop_at_two_to_the_24():
    steps = 40_000_000

    def signal(n):
        return jnp.where(n <= steps // 4, number(1.0), number(0.0))

    assert abs(made(measures.Mean(), signal, steps) - 0.25) <= EPS


def test_terms_smaller_than_a_rounding_of_the_sum_are_counted():
    def signal(n):
        return jnp.where(n == 1, number(1e6), number(0.01))

    expected = (1e6 + 0.01 * 1_999_999) / 2_000_000
    np.testing.assert_allclose(made(measures.Mean(), signal, 2_000_000), expected, rtol=2 * EPS)


def test_what_cancels_is_left_out():
    def signal(n):
        return jnp.where(n % 2 == 0, number(3e4), number(-3e4)) + number(1.0)

    np.testing.assert_allclose(made(measures.Mean(), signal, 2_000_000), 1.0, rtol=2 * EPS)


def test_a_derivative_is_summed_likewise():
    def mean(offset):
        def signal(n):
            return offset * jnp.where(n <= 5_000_000, number(1.0), number(2.0))

        measure = cast(measures.Mean(), np.float32)

        def one(carry, n):
            return measure.update(carry, number(0.0), signal(n)), None

        start = measure.init(number(0.0), signal(jnp.zeros((), jnp.int32)))
        carry, _ = lax.scan(one, start, jnp.arange(1, 10_000_001, dtype=jnp.int32))
        return measure.finish(carry, number(1.0), offset)

    _, slope = jax.jit(lambda x: jax.jvp(mean, (x,), (jnp.ones_like(x),)))(number(-65.0))
    np.testing.assert_allclose(slope, 1.5, rtol=2 * EPS)


def test_a_mean_of_a_long_run_is_that_of_its_states():
    found = rnnjax.measure(Decay(5e3), measures.Mean(), 50_000.0, step=STEP, start=-65.0)
    states = rnnjax.simulate(
        Decay(5e3), np.arange(0.0, 5e4 + STEP / 2, STEP), step=STEP, start=-65.0
    ).states
    np.testing.assert_allclose(found, np.asarray(states[1:], float).mean(), rtol=3 * EPS)


TUNED = """
import rnnjax
rnnjax.tune_cpu(1)
import numpy as np
from rnnjax.circuits import RateNetwork
from rnnjax.connectivity import Dense
import equinox as eqx, jax.numpy as jnp
from rnnjax.inputs import Step
from rnnjax.measures import Mean

class Jump(rnnjax.AbstractCircuit):
    tau: object = rnnjax.parameter(1.0, "ms")
    def __call__(self, state, input):
        return (input - 65.0 - state) / self.tau
    def rest(self):
        return jnp.full((), -65.0, jnp.result_type(self.tau))

over = [rnnjax.axis(lambda c: c.tau, np.linspace(0.5, 2, 64), name="tau")]
data = rnnjax.sweep(Jump(), {"m": Mean()}, over, duration=1e5, step=0.05, input=Step(5.0, 5e4), progress=False)
off = np.abs(data.m.values + 62.5 + 5 * np.linspace(0.5, 2, 64) / 1e5)
print(off.max())
"""


def test_no_optimization_takes_it_away():
    alone = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TUNED], capture_output=True, text=True, env=alone
    )
    assert found.returncode == 0, found.stderr
    # states stand still where a step moves them by less than half a rounding, 1e-4 from rest;
    # a running mean stood still at -65
    assert float(found.stdout) < 2e-4


def test_a_spectrum_beside_its_offset_after_a_long_time():
    """Cycles of 100 steps: every component has whole cycles in the window."""
    wave = np.float32(np.sin(2 * np.pi * np.arange(100) / 100 + 0.3))

    def signal(n):
        return number(-65.0) + jnp.asarray(wave)[n % 100]

    asked = measures.Spectrum(frequencies=[100.0, 200.0, 300.0])  # 200 Hz is one in 100 steps
    found = made(asked, signal, 5_000_000)
    stored = np.float64(np.float32(-65) + wave)  # what float32 leaves of the wave
    expected = 2 / 100 * np.abs(np.fft.fft(stored))[1]
    np.testing.assert_allclose(found, [0, expected, 0], atol=5 * EPS)


def test_the_phase_of_a_component_is_exact_late_in_a_run():
    """A window that begins late has the phases that it should, to the last step."""
    steps = 3_000_000
    asked = measures.Spectrum(frequencies=[7.3]).stepped(STEP)
    turned = asked.init(number(0.0), number(0.0)).turned
    assert asked.per_step is not None

    @jax.jit
    def last(per_step):
        return lax.scan(lambda at, _: (at.plus(per_step), None), turned, None, steps)[0]

    cycles = last(asked.per_step).cycles(number(0.0))
    exact = 7.3 * STEP / 1000 * steps
    np.testing.assert_allclose(cycles, exact - round(exact), atol=1e-7)


COUNT = 512
rows = st.tuples(
    st.floats(-1e5, 1e5), st.floats(1e-4, 1e4), st.floats(-6, 6), st.integers(0, 2**32 - 1),
)  # fmt: skip


def drawn(row):
    """Noise beside an offset, with a few terms that are much larger."""
    offset, scatter, decades, seed = row
    random = np.random.default_rng(seed)
    x = offset + scatter * random.standard_normal(COUNT)
    x[random.integers(0, COUNT, 5)] *= 10.0**decades
    return x.astype(np.float32)


@jax.jit
def mean_of(x):
    measure = cast(measures.Mean(), np.float32)
    start = measure.init(number(0.0), x[0])
    carry, _ = lax.scan(lambda c, v: (measure.update(c, number(0.0), v), None), start, x)
    return measure.finish(carry, number(1.0), x[-1])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(rows)
def test_every_mean_is_right_to_a_rounding(row):
    x = drawn(row)
    exact = np.asarray(x, np.float64).mean()
    assert abs(float(mean_of(x)) - exact) <= EPS * abs(exact) + 1e-9 * np.abs(x).mean()


@jax.jit
def spectrum_of(x, measure):
    start = measure.init(number(0.0), x[0])
    carry, _ = lax.scan(lambda c, v: (measure.update(c, number(0.0), v), None), start, x)
    return measure.finish(carry, number(1.0), x[-1])


@settings(max_examples=200, derandomize=True, deadline=None)
@given(rows, st.floats(0.1, 490.0))
def test_every_component_is_right_to_a_rounding_of_the_signal(row, frequency):
    x = drawn(row)
    measure = cast(measures.Spectrum(frequencies=[frequency]).stepped(1.0), np.float32)
    found = spectrum_of(x, measure)
    wide = np.asarray(x, np.float64)
    wave = np.exp(-2j * np.pi * frequency * np.arange(1, COUNT + 1) / 1000)
    expected = 2 / COUNT * abs(wave @ (wide - wide.mean()))
    away = np.abs(wide - wide[0]).mean()
    np.testing.assert_allclose(found[0], expected, rtol=2 * EPS, atol=8 * EPS * away)


@pytest.mark.parametrize("frequencies", [[40.0, 10_001.0], [2e4]])
def test_what_a_step_cannot_hold_is_refused(frequencies):
    asked = {"s": measures.Spectrum(frequencies=frequencies)}
    over = [rnnjax.axis(lambda c: c.tau, [1.0, 2.0])]
    words = r"Spectrum.frequencies: expected at most 10000 Hz.*got (10001|20000) Hz.*smaller step="
    with pytest.raises(ValueError, match=words):
        rnnjax.measure(Decay(), asked, 10.0, step=0.05)
    with pytest.raises(ValueError, match=words):
        rnnjax.sweep(Decay(), asked, over, duration=10.0, step=0.05, progress=False)
    rnnjax.measure(Decay(), measures.Spectrum(frequencies=[1e4]), 10.0, step=0.05)


def test_a_mean_of_adaptive_steps_is_that_over_time():
    found = rnnjax.measure(Decay(10.0), measures.Mean(), 50.0, start=-65.0, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found, -65 * 10 / 50 * (1 - np.exp(-5)), rtol=1e-5)
