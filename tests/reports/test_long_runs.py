"""A long sweep is cut into parts, with the same numbers, between which Ctrl-C is heard."""

import os
import signal
import threading
import time

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import rnnjax
from rnnjax import axis, sweep
from rnnjax._engine.fixed_steps import FixedRun
from rnnjax._engine.long_run import LongRun
from rnnjax._machine.programs import equations, traced
from rnnjax._sweep import point
from rnnjax.circuits import WilsonCowan, WilsonCowanState
from rnnjax.inputs import AbstractInput, Constant, Sinusoid
from rnnjax.measures import Amplitude, Mean
from rnnjax.noise import Additive
from rnnjax.solvers import RK4

OVER = [axis(lambda c: c.p, np.linspace(0.0, 2.0, 4))]


def run(**asked):
    """Four points, whose transient and window are no whole numbers of blocks."""
    measures = {"mean": Mean(), "swing": Amplitude()}
    return sweep(WilsonCowan(), measures, OVER, step=0.05, progress=False, **asked)


@pytest.mark.parametrize("transient", [0.0, 31.3])
def test_parts_give_the_same_numbers(monkeypatch, transient):
    asked = {"duration": 131.5, "transient": transient}
    noisy = asked | {"noise": Additive(0.01), "key": jax.random.key(0)}
    whole = run(**asked), run(**noisy)
    monkeypatch.setattr(point, "LONG", 0)
    for before, now in zip(whole, (run(**asked), run(**noisy)), strict=True):
        for name in before.data_vars:
            np.testing.assert_allclose(before[name], now[name], rtol=5e-7)


@pytest.mark.parametrize("part", [0, 1])
def test_lanes_share_the_time_and_what_is_made_of_it(part):
    drive = Sinusoid(1.0, 40.0) * WilsonCowanState(1.0, 0.5)
    run = FixedRun(WilsonCowan(), drive, RK4(), np.float32(0.0), np.float32(0.05))
    start = jax.tree.map(lambda x: x.astype(np.float32), WilsonCowan().rest())
    long = LongRun(run, start, 600, 2000, (Mean(),))
    begun = long.turn(long.begin()) if part else long.begin()
    lanes = jax.tree.map(lambda x: jax.numpy.stack([x] * 4), begun)
    one = jax.numpy.ones((), np.int32)
    program = traced(jax.vmap(lambda carry: long.go_on(carry, one, one, part)), lanes)
    waves = [each for each, _ in equations(program) if each.primitive.name in ("sin", "cos")]
    assert waves
    assert all(each.outvars[0].aval.shape == () for each in waves)


@pytest.mark.usefixtures("listening")
@pytest.mark.filterwarnings("ignore:this sweep could run")
def test_ctrl_c_is_heard_within_two_seconds():
    pressed = []

    def press():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(20.0, press)
    timer.start()
    with pytest.raises(rnnjax.SweepInterrupted):
        run_long()
    assert time.monotonic() - pressed[0] < 2.0


def run_long():
    """Days of computing."""
    sweep(WilsonCowan(), {"mean": Mean()}, OVER, duration=1e9, step=1.0, progress=False)


class Bump(AbstractInput):
    """A smooth bump of 10 ms that says nothing of itself."""

    at: object = rnnjax.parameter(1500.0, "ms")
    width: object = rnnjax.parameter(5.0, "ms")

    def __call__(self, t):
        """The value at time t."""
        import jax.numpy as jnp

        return jnp.exp(-0.5 * ((t - self.at) / self.width) ** 2)


class Said(Bump):
    """The same, which says that it jumps nowhere."""

    def jumps(self):
        """Nowhere."""
        return ()


def test_an_input_that_says_nothing_is_not_stepped_over():
    from rnnjax.circuits import LinearNetwork
    from rnnjax.connectivity import Dense

    unit, times = LinearNetwork(Dense([[0.0]]), tau=10.0), np.arange(0.0, 2001.0, 2.0)
    fine = rnnjax.simulate(unit, times, Bump(), step=0.1, dtype="float64").states.max()
    for drive in (Bump(), Bump() + Sinusoid(0.0), 1.0 * Bump()):
        found = rnnjax.simulate(unit, times, drive, dtype="float64")
        np.testing.assert_allclose(found.states.max(), fine, rtol=1e-4)
    assert Said().jumps() == ()
    assert rnnjax.simulate(unit, times, Said(), dtype="float64").stats["steps"] < 500


@pytest.mark.parametrize("drive", [Sinusoid(1.0, 990.0), 2 * Sinusoid(1.0, 990.0) + Constant(1.0)])
def test_a_drive_faster_than_the_steps_is_refused(drive):
    from rnnjax.circuits import LinearNetwork
    from rnnjax.connectivity import Dense

    unit, run = LinearNetwork(Dense([[0.0]]), tau=10.0), {"duration": 100.0, "step": 1.0}
    with pytest.raises(ValueError, match=r"half a cycle of the input, .* at 990 Hz, got 1 ms"):
        rnnjax.simulate(unit, [0.0, 100.0], drive, step=1.0)
    with pytest.raises(ValueError, match="half a cycle of the input"):
        rnnjax.measure(unit, Mean(), input=drive, **run)
    swept = [axis(lambda d: d.input.frequency, [10.0, 990.0])]
    with pytest.raises(ValueError, match="half a cycle of the input"):
        sweep(rnnjax.Driven(unit, Sinusoid()), {"m": Mean()}, swept, progress=False, **run)
    rnnjax.simulate(unit, [0.0, 100.0], drive, step=0.1)
    rnnjax.simulate(unit, [0.0, 100.0], drive)


BETWEEN = st.floats(0.0, 1.0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(BETWEEN, BETWEEN, st.booleans())
def test_a_bump_anywhere_is_met(place, width, drifting):
    """Against the closed form, from the start at 0: a Gaussian through a unit of 10 ms."""
    from rnnjax.circuits import LinearNetwork
    from rnnjax.connectivity import Dense

    unit, times, tau = LinearNetwork(Dense([[0.0]]), tau=10.0), np.arange(0.0, 2001.0, 2.0), 10.0
    at, w = 60.0 + 1900.0 * place, 2.0 + 8.0 * width
    drive = Bump(at, w) + Sinusoid(0.0) if drifting else Bump(at, w)
    found = rnnjax.simulate(unit, times, drive).states[:, 0]
    through = norm.cdf((times - at) / w - w / tau) - norm.cdf(-at / w - w / tau)
    late = np.minimum(w**2 / (2 * tau**2) - (times - at) / tau, 100.0)  # times no response yet
    right = w * np.sqrt(2 * np.pi) / tau * np.exp(late) * through
    np.testing.assert_allclose(found, right, atol=2e-3 * right.max())
