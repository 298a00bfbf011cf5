"""Gradients are what they are, or NaN: by the times of jumps, and of lanes beside one that failed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnjax
from rnnjax import BlockedAdjoint, Checkpoint, StoreAll, measure, simulate
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Dense
from rnnjax.inputs import Constant, Pulse, Ramp, Recording, Sinusoid, Step
from rnnjax.measures import Amplitude, Final, Mean

TAU = 10.0
UNIT = LinearNetwork(Dense([[0.0]]), tau=TAU)


def end(onset, duration, **settings):
    """The unit at 20 ms, after a pulse."""
    return simulate(UNIT, [0.0, 20.0], Pulse(1.0, onset, duration), **settings).final[0]


def closed(onset, duration):
    """Its derivatives by the onset and the duration: x = (1 - e^(-d/tau)) e^(-(20 - t0 - d)/tau)."""
    after = np.exp(-(20 - onset - duration) / TAU)
    value = (1 - np.exp(-duration / TAU)) * after
    return value / TAU, np.exp(-(20 - onset) / TAU) * np.exp(duration / TAU) / TAU


HOW = {
    "adaptive": {}, "blocks": {"step": 0.1}, "all": {"step": 0.1, "adjoint": StoreAll()},
    "some": {"step": 0.1, "adjoint": Checkpoint(7)},
}  # fmt: skip


@pytest.mark.parametrize(
    "how", [pytest.param(h, marks=[pytest.mark.slow] * (h in ("all", "some"))) for h in HOW]
)
def test_by_the_times_of_a_pulse(how):
    options = HOW[how]
    found = jax.grad(end, (0, 1))(5.0, 5.0, **options)
    np.testing.assert_allclose(found, closed(5.0, 5.0), rtol=1e-3)


SAMPLES = np.random.default_rng(0).normal(size=30)


def by_start(start, end):
    """The derivative of the unit at the end by when a recording of a sample a ms starts."""
    at = np.clip(start + np.arange(30.0), 0, end)
    kernel = np.exp(-(end - at[1:]) / TAU) - np.exp(-(end - at[:-1]) / TAU)
    return -(np.diff(SAMPLES) * kernel).sum()


@pytest.mark.parametrize(
    ("dtype", "step", "rtol"),
    [
        ("float64", None, 1e-6),
        ("float32", 0.5, 1e-4),
        pytest.param("float64", 0.5, 1e-5, marks=pytest.mark.slow),
        pytest.param("float32", None, 1e-3, marks=pytest.mark.slow),
    ],
)
def test_by_the_start_of_a_recording_whose_samples_are_met(dtype, step, rtol):
    how = {"step": step} if step else {"rtol": 1e-5, "atol": 1e-6}

    @jax.jit
    @jax.grad
    def found(start):
        drive = 1.0 * Recording(SAMPLES, 1000.0, start) + Constant(0.0)
        return simulate(UNIT, [0.0, 12.0], drive, **how).final[0]

    starts = [0.0, -0.5, -7.0] if step else [0.0, 0.33, -0.5, -7.0]
    with jax.enable_x64(dtype == "float64"):
        for start in starts:
            np.testing.assert_allclose(found(start), by_start(start, 12.0), rtol=rtol)


def test_forward_mode_and_a_measure():
    def last(onset):
        return measure(UNIT, Final(), 20.0, Step(1.0, onset), step=0.1)[0]

    found = jax.jvp(last, (5.0,), (1.0,))[1]
    np.testing.assert_allclose(found, -np.exp(-1.5) / TAU, rtol=1e-4)
    np.testing.assert_allclose(jax.grad(last)(5.0), found, rtol=1e-5)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(onset=st.integers(1, 90), duration=st.integers(1, 90))
def test_by_any_times_on_the_grid(onset, duration):
    onset, duration = onset / 10, duration / 10
    found = _both(onset, duration)
    np.testing.assert_allclose(found, closed(onset, duration), rtol=2e-3)


_both = jax.jit(jax.grad(lambda onset, duration: end(onset, duration, step=0.1), (0, 1)))


def test_by_the_onset_of_each_unit():
    pair = LinearNetwork(Dense(np.zeros((2, 2))), tau=TAU)

    def ends(onsets):
        return simulate(pair, [0.0, 20.0], Step(1.0, onsets), step=0.1).final

    found = jax.jacobian(ends)(jnp.asarray([5.0, 8.0]))
    right = -np.exp(-(20 - np.array([5.0, 8.0])) / TAU) / TAU
    np.testing.assert_allclose(found, np.diag(right), atol=1e-6)


def test_what_does_not_jump_has_the_derivatives_it_had():
    def last(onset):
        drive = Ramp(1.0, onset, 5.0) + Sinusoid(0.5, 40.0)
        return simulate(UNIT, [0.0, 20.0], drive, step=0.05, dtype="float64").final[0]

    with jax.enable_x64(True):
        found = jax.grad(last)(5.0)
    right = -0.2 * (np.exp(-1.0) - np.exp(-1.5))  # of the ramp: it rises by so much later
    np.testing.assert_allclose(found, right, rtol=1e-3)


def test_where_there_is_none_it_is_nan():
    found = jax.grad(lambda t: end(t, 5.0, step=0.1, adjoint=BlockedAdjoint()))(5.0)
    assert np.isnan(found)
    by_size = jax.grad(
        lambda a: simulate(
            UNIT, [0.0, 20.0], Pulse(a, 5.0, 5.0), step=0.1, adjoint=BlockedAdjoint()
        ).final[0]
    )(1.0)
    np.testing.assert_allclose(by_size, (1 - np.exp(-0.5)) * np.exp(-1.0), rtol=1e-4)


class Square(rnnjax.AbstractCircuit):
    r"""$\dot x = r + w x^2$: infinite before long for r > 0."""

    r: object = rnnjax.parameter(1.0, "1")
    w: object = rnnjax.parameter(1.0, "1")

    def __call__(self, x, input):
        """The derivative."""
        return self.r + self.w * x**2

    def rest(self):
        """Nothing."""
        return np.zeros(())

    def no_input(self):
        """None."""
        return np.zeros(())


RUNS = {
    "simulate": lambda c: simulate(c, [0.0, 50.0], step=0.1, throw=False).final,
    "mean": lambda c: measure(c, Mean(), 50.0, step=0.1, throw=False),
    "amplitude": lambda c: measure(c, Amplitude(), 50.0, step=0.1, throw=False),
}


@pytest.mark.parametrize(
    "run", ["simulate", "mean", pytest.param("amplitude", marks=pytest.mark.slow)]
)
def test_a_lane_that_failed_spoils_no_other(run):
    rates = jnp.asarray([-1.0, -0.5, 3.0])

    def masked(w):
        found = jax.vmap(lambda r: RUNS[run](Square(r, w)))(rates)
        return jnp.where(jnp.isfinite(found), found, 0).sum()

    def sound(w):
        return sum(RUNS[run](Square(r, w)) for r in rates[:2])

    right = jax.grad(sound)(1.0)
    np.testing.assert_allclose(jax.grad(masked)(1.0), right, rtol=1e-5)
    np.testing.assert_allclose(jax.jvp(masked, (1.0,), (1.0,))[1], right, rtol=1e-5)
    assert np.isnan(jax.grad(lambda w: RUNS[run](Square(3.0, w)))(1.0))


def driven_end(p):
    """The end of a run through a pulse, by the time constant of the unit and the pulse's height."""
    unit = LinearNetwork(Dense([[0.0]]), tau=p[0])
    drive = Pulse(p[1] ** 2, onset=5.0, duration=10.0)
    return simulate(unit, [0.0, 40.0], drive, step=0.5).final[0]


@pytest.mark.parametrize(
    ("second", "wide"),
    [
        (jax.hessian, False),
        pytest.param(jax.hessian, True, marks=pytest.mark.slow),
        pytest.param(lambda f: jax.jacfwd(jax.jacfwd(f)), False, marks=pytest.mark.slow),
    ],
)
def test_second_derivatives(second, wide):
    def closed(p):
        return p[1] ** 2 * (jnp.exp(-25 / p[0]) - jnp.exp(-35 / p[0]))

    with jax.enable_x64(True):
        right = np.asarray(jax.hessian(closed)(jnp.array([10.0, 2.0])))
    with jax.enable_x64(wide):
        found = second(driven_end)(jnp.array([10.0, 2.0]))
    np.testing.assert_allclose(found, right, atol=1e-6)


def test_second_derivatives_by_a_jump_are_not_numbers():
    def end(onset):
        unit = LinearNetwork(Dense([[0.0]]), tau=10.0)
        return simulate(unit, [0.0, 40.0], Pulse(1.0, onset=onset), step=0.5).final[0]

    assert np.isfinite(jax.grad(end)(5.0))
    assert np.isnan(jax.hessian(end)(5.0))


def test_gradients_of_a_batch_with_its_own_steps():
    def ends(tau):
        unit = LinearNetwork(Dense([[0.0]]), tau=tau)

        def end(start):
            return simulate(unit, [0.0, 40.0], Constant(1.0), start=start[None]).final[0]

        return jax.vmap(end)(jnp.array([1.0, 2.0, 5.0])).sum()

    right = 5 * np.exp(-4.0) * 40 / 10**2  # of 3 + 5 exp(-40 / tau)
    np.testing.assert_allclose(jax.grad(ends)(10.0), right, rtol=1e-4)


def test_a_run_from_rest_has_derivatives():
    def end(amplitude):
        unit = LinearNetwork(Dense([[0.0]]), tau=10.0)
        return measure(unit, Final(), 50.0, amplitude * Sinusoid(1.0, frequency=40.0))[0]

    value, slope = jax.jvp(end, (1.0,), (1.0,))
    np.testing.assert_allclose(slope, value, rtol=1e-4)


def test_by_the_later_of_two_jumps():
    def last(onset):
        return simulate(UNIT, [0.0, 20.0], Step(1.0, 3.0) + Step(1.0, onset), step=0.1).final[0]

    np.testing.assert_allclose(jax.grad(last)(8.0), -np.exp(-12 / TAU) / TAU, rtol=2e-3)
