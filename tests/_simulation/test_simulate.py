"""`simulate` and `measure`: accuracy, precision, jumps, batches, statuses and gradients."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import ORACLES, Decay, StuartLandau, central_difference, relative

import rnnjax
from rnnjax import Status, inputs, measures, noise, parameter
from rnnjax.circuits import CurrentNetwork, ExcitatoryInhibitory, ExcitatoryInhibitoryState
from rnnjax.connectivity import Dense

TIMES = np.linspace(0.0, 12.0, 25)
oracles = pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES)


class Exploding(rnnjax.AbstractCircuit):
    r"""One variable that leaves for infinity in finite time, and one that does not.

    $\dot x = a x^2,\; \dot y = -y$
    """

    a: object = parameter(1.0, "1/ms")

    def __call__(self, state, input):
        return {"x": self.a * state["x"] ** 2, "y": -state["y"]}

    def rest(self):
        return {"x": jnp.ones_like(self.a), "y": jnp.ones_like(self.a)}


@oracles
def test_both_ways_solve_the_oracles(oracle, both_modes):
    expected = oracle.solution(oracle.value, TIMES)
    free = rnnjax.simulate(
        oracle.circuit, TIMES, start=oracle.start, rtol=1e-10, atol=1e-10, dtype="float64"
    )
    fixed = rnnjax.simulate(oracle.circuit, TIMES, start=oracle.start, step=0.01, dtype="float64")
    for found in (free, fixed):
        assert isinstance(found.states, np.ndarray)
        assert found.states.dtype == np.float64
        assert found.times.dtype == np.float64
        np.testing.assert_allclose(found.states, expected, atol=1e-8)
    assert jax.config.jax_enable_x64 == both_modes


@oracles
def test_gradients_of_both_ways(oracle):
    expected = oracle.sensitivity(oracle.value, TIMES)[-1]

    def end(value, **settings):
        return rnnjax.simulate(oracle.at(value), TIMES, start=oracle.start, **settings).final

    with jax.enable_x64(True):
        tight = {"rtol": 1e-11, "atol": 1e-11}
        forward_mode = {"adjoint": diffrax.ForwardMode(), **tight}
        backward = jax.jit(jax.jacrev(lambda v: end(v, **tight)))(oracle.value)
        forward = jax.jit(jax.jacfwd(lambda v: end(v, **forward_mode)))(oracle.value)
        fixed = jax.jit(jax.jacfwd(lambda v: end(v, step=0.01)))(oracle.value)
        for found in (backward, forward, fixed):
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_gradients_against_central_differences():
    oracle = ORACLES["Stuart-Landau"]

    def end(value, **settings):
        return rnnjax.simulate(oracle.at(value), TIMES, start=oracle.start, **settings).final

    with jax.enable_x64(True):
        for settings in ({"rtol": 1e-12, "atol": 1e-12}, {"step": 0.05}):
            run = jax.jit(lambda v, s=settings: end(v, **s))
            expected = central_difference(run, oracle.value, by=1e-3)
            found = jax.jit(jax.jacrev(lambda v, s=settings: end(v, **s)))(oracle.value)
            assert relative(found, expected) < 1e-6


def test_tighter_tolerances_give_smaller_errors():
    oracle = ORACLES["Stuart-Landau"]
    expected = oracle.solution(oracle.value, TIMES)
    errors, steps = [], []
    for tolerance in (1e-3, 1e-5, 1e-7, 1e-9):
        found = rnnjax.simulate(
            oracle.circuit,
            TIMES,
            start=oracle.start,
            rtol=tolerance,
            atol=tolerance,
            dtype="float64",
        )
        scale = tolerance * (1 + np.abs(expected))
        assert np.sqrt(np.mean(((found.states - expected) / scale) ** 2)) < 5
        errors.append(np.max(np.abs(found.states - expected)))
        steps.append(int(found.stats["steps"]))
    assert errors == sorted(errors, reverse=True)
    assert steps == sorted(steps)
    assert errors[-1] < 1e-7


def test_the_default_precision_is_that_of_jax(both_modes):
    wanted = np.float64 if both_modes else np.float32
    for settings in ({}, {"step": 0.5}):
        found = rnnjax.simulate(Decay(), TIMES, **settings)
        assert found.states.dtype == wanted
        assert found.times.dtype == np.float64  # they lose no digits
        asked = rnnjax.simulate(Decay(), TIMES, dtype="float32", **settings)
        assert asked.states.dtype == np.float32


def test_pulses_are_not_missed():
    pulse = inputs.Pulse(10.0, onset=4000.0, duration=1.0)
    times = np.array([0.0, 4000.0, 4001.0, 5000.0])
    peak = 10 * (1 - np.exp(-1 / 10))
    for extra, share in ((None, 1.0), (inputs.Constant(0.0), 1.0), (None, -2.0)):
        given = share * pulse if share != 1.0 else pulse
        given = given if extra is None else extra + given
        found = rnnjax.simulate(Decay(), times, given, start=0.0, dtype="float64")
        np.testing.assert_allclose(found.states[:3], [0, 0, share * peak], rtol=1e-5, atol=1e-9)


def test_ramps_and_recordings_are_followed():
    click = np.zeros(2001)
    click[1500] = 5.0
    recording = inputs.Recording(click, sample_rate=1000.0)
    times = np.array([0.0, 1499.0, 1501.0, 1600.0])
    found = rnnjax.simulate(Decay(), times, recording, start=0.0, dtype="float64")
    # a triangle of 2 ms and height 5 through a filter of 10 ms
    tau = 10.0
    rising = 5 * (1 - tau * (1 - np.exp(-1 / tau)))
    end = rising * np.exp(-1 / tau) + 5 * (tau - (1 + tau) * np.exp(-1 / tau))
    np.testing.assert_allclose(found.states[:3], [0, 0, end], rtol=1e-5, atol=1e-5)


def test_dense_output():
    oracle = ORACLES["oscillator"]
    settings = {"start": oracle.start, "rtol": 1e-9, "atol": 1e-9, "dtype": "float64"}
    found = rnnjax.simulate(oracle.circuit, TIMES[[0, -1]], dense=True, **settings)
    for t in (0.0, 0.77, 11.3):
        np.testing.assert_allclose(found(t), oracle.solution(oracle.value, np.array(t)), atol=1e-6)
    with pytest.raises(ValueError, match="dense=True"):
        rnnjax.simulate(oracle.circuit, TIMES, **settings)(1.0)


@pytest.mark.parametrize("settings", [{}, {"step": 0.1}], ids=["adaptive", "fixed"])
def test_batches_equal_a_loop(settings):
    taus = np.array([5.0, 10.0, 20.0, 40.0])
    # Step sizes follow error estimates, which are differences near rounding.
    tolerance = 1e-12 if settings else 1e-8
    with jax.enable_x64(True):

        def one(circuit):
            return rnnjax.simulate(circuit, TIMES, np.float64(0.5), **settings)

        circuits = Decay(taus)
        together = eqx.filter_vmap(one)(circuits)
        for k, tau in enumerate(taus):
            alone = one(Decay(tau))
            np.testing.assert_allclose(together.states[k], alone.states, rtol=tolerance)
            assert together.stats["steps"][k] == alone.stats["steps"]
            assert together.status[k] == alone.status == Status.OK
        assert together.final.shape == (4,)
        assert "OK" in repr(together)


def test_batches_of_starts_and_keys():
    shaken = noise.Additive(0.3)

    def one(start, key):
        return rnnjax.simulate(
            Decay(), TIMES, start=start, step=0.5, noise=shaken, key=key, dtype="float64"
        ).states

    starts, keys = jnp.linspace(0.0, 1.0, 3), jax.random.split(jax.random.key(0), 3)
    together = jax.vmap(one)(starts, keys)
    for k in range(3):
        alone = rnnjax.simulate(
            Decay(), TIMES, start=starts[k], step=0.5, noise=shaken, key=keys[k]
        )
        np.testing.assert_allclose(together[k], alone.states, rtol=1e-5, atol=1e-6)
    assert len(np.unique(np.asarray(together[:, -1]))) == 3


def test_failures_of_a_batch_name_lane_time_and_variable():
    def one(a, **settings):
        return rnnjax.simulate(Exploding(a), np.array([0.0, 1.5]), **settings)

    rates = np.array([0.1, 0.2, 1.0, 0.3])  # x is infinite at 1 / a
    with jax.enable_x64(True):
        free = eqx.filter_vmap(lambda a: one(a, max_steps=500))(rates)
        fixed = eqx.filter_vmap(lambda a: one(a, step=0.001))(rates)
    for found in (free, fixed):
        codes = np.asarray(found.status)
        assert (codes == Status.OK).tolist() == [True, True, False, True]
        assert np.isfinite(np.asarray(found.states["x"])[[0, 1, 3]]).all()
        with pytest.raises(rnnjax.SimulationError) as caught:
            found.raise_failures()
        message = str(caught.value)
        assert message.startswith(f"lane 2: {Status(int(codes[2])).name} after t = ")
        assert "in `x`" in message
        assert "Try" in message
    assert abs(float(free.failed_at[2]) - 1) < 1e-5
    assert 0.7 < float(fixed.failed_at[2]) < 1.2
    expected = 1 / (1 - rates[[0, 1, 3]] * 1.5)
    np.testing.assert_allclose(np.asarray(free.final["x"])[[0, 1, 3]], expected, rtol=1e-4)


def test_one_failure_raises_or_is_kept():
    times = np.array([0.0, 1.5])
    for settings in ({"max_steps": 300}, {"step": 0.001}):
        with pytest.raises(rnnjax.SimulationError, match="in `x`"):
            rnnjax.simulate(Exploding(), times, **settings)
        kept = rnnjax.simulate(Exploding(), times, throw=False, **settings)
        assert kept.status != Status.OK
        assert Status(int(kept.status)).name in repr(kept)


def test_too_few_steps():
    found = rnnjax.simulate(StuartLandau(), [0.0, 1000.0], max_steps=20, throw=False)
    assert found.status == Status.MAX_STEPS
    assert 0 < found.failed_at < 1000
    assert found.stats["steps"] + found.stats["rejected"] == 20
    with pytest.raises(rnnjax.SimulationError, match="max_steps="):
        found.raise_failures()


class Jumping(rnnjax.AbstractCircuit):
    r"""A vector field that jumps so far that no step is small enough.

    $\dot x = s\,[x \ge 1] + 1$
    """

    s: object = parameter(-1e12, "1/ms")

    def __call__(self, state, input):
        return jnp.where(state >= 1, self.s, jnp.ones_like(state))

    def rest(self):
        return jnp.zeros_like(self.s)


def test_step_underflow():
    found = rnnjax.simulate(Jumping(), [0.0, 10.0], throw=False)
    assert found.status == Status.STEP_UNDERFLOW
    assert abs(found.failed_at - 1) < 1e-3
    with pytest.raises(rnnjax.SimulationError, match=r"STEP_UNDERFLOW after t = (1|0\.9999)"):
        found.raise_failures()


def test_inputs_that_become_infinite():
    class Sudden(inputs.AbstractInput):
        """$u(t) = 1 / 0$ from 3 ms on."""

        def __call__(self, t):
            return jnp.where(t >= 3.0, jnp.inf, jnp.zeros_like(t))

        def jumps(self):
            return (3.0,)

    kept = rnnjax.simulate(Decay(), TIMES, Sudden(), throw=False)
    assert kept.status != Status.OK
    assert 2.9 < kept.failed_at <= 3.01
    kept = rnnjax.simulate(Decay(), TIMES, Sudden(), step=0.5, solver=diffrax.Euler(), throw=False)
    assert kept.status == Status.NON_FINITE
    assert np.isfinite(kept.states).tolist() == (TIMES <= 3.0).tolist()


def test_failures_keep_no_gradient():
    with jax.enable_x64(True):
        gradient = jax.grad(
            lambda a: rnnjax.simulate(Exploding(a), [0.0, 1.5], step=0.001).final["x"]
        )
        assert not np.isfinite(gradient(1.0))
        assert np.isfinite(gradient(0.1))


def test_stiff_circuits():
    circuit = CurrentNetwork(Dense([[0.5, -1.0], [1.0, 0.2]]), tau=[1e-3, 30.0], bias=0.3)
    times = np.linspace(0, 100, 5)
    implicit = rnnjax.simulate(circuit, times, solver=diffrax.Kvaerno5(), dtype="float64")
    explicit = rnnjax.simulate(circuit, times, dtype="float64", max_steps=200_000)
    assert implicit.stats["steps"] < explicit.stats["steps"] / 20
    np.testing.assert_allclose(implicit.final, explicit.final, rtol=1e-3)


def test_noise_by_adaptive_steps():
    scale, tau = 0.5, 10.0

    @jax.jit
    @jax.vmap
    def ends(key):
        return rnnjax.simulate(
            Decay(tau), [0.0, 20.0], noise=noise.Additive(scale), key=key, solver=diffrax.ShARK(),
            rtol=1e-2, atol=1e-2, start=1.0,
        ).final  # fmt: skip

    found = np.asarray(ends(jax.random.split(jax.random.key(1), 2000)))
    mean, variance = np.exp(-2.0), scale**2 * tau / 2 * (1 - np.exp(-4.0))
    assert abs(found.mean() - mean) / np.sqrt(variance / 2000) < 5
    assert abs(found.var() / variance - 1) / np.sqrt(2 / 2000) < 5


def test_the_same_key_gives_the_same_path():
    run = {"noise": noise.Additive(0.3), "step": 0.5}
    first, again, other = (
        rnnjax.simulate(Decay(), TIMES, key=jax.random.key(k), **run).states for k in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_times_may_be_uneven_multiples_of_the_step():
    uneven = np.array([3.0, 4.5, 5.0, 11.0])
    found = rnnjax.simulate(Decay(), uneven, step=0.5, dtype="float64")
    even = rnnjax.simulate(Decay(), np.arange(3.0, 11.5, 0.5), step=0.5, dtype="float64")
    np.testing.assert_allclose(found.states, even.states[[0, 3, 4, 16]], rtol=1e-14)
    assert found.states[0] == 1


def test_states_by_name():
    found = rnnjax.simulate(ExcitatoryInhibitory(), TIMES, ExcitatoryInhibitoryState(1.0, 0.0))
    assert found.variables == ["e", "i"]
    assert isinstance(found.final, ExcitatoryInhibitoryState)
    assert found.unit == "Hz"
    assert found.states.e.shape == (25,)


def test_measure_follows_the_cycle():
    circuit = StuartLandau(0.25, 0.5)
    found = rnnjax.measure(
        circuit,
        {"amplitude": measures.Amplitude(), "period": measures.Period(), "end": measures.Final()},
        200.0,
        step=0.05,
        transient=100.0,
        dtype="float64",
    )
    np.testing.assert_allclose(found["amplitude"], 1.0, rtol=1e-3)
    np.testing.assert_allclose(found["period"], 4 * np.pi, rtol=1e-5)
    assert abs(np.hypot(*found["end"]) - 0.5) < 1e-8


def radius(state):
    return jnp.sum(state**2)


def test_gradients_of_measures():
    with jax.enable_x64(True):

        @jax.jit
        def loss(mu):
            return rnnjax.measure(StuartLandau(mu), measures.Mean(of=radius), 60.0, step=0.1)

        found = jax.jit(jax.grad(loss))(0.25)
        assert relative(found, central_difference(loss, 0.25, by=1e-4)) < 1e-6


def test_failed_measures_are_not_numbers():
    chosen = {"mean": measures.Mean(), "end": measures.Final()}
    with pytest.raises(rnnjax.SimulationError, match=r"NON_FINITE after t = .* in `x`"):
        rnnjax.measure(Exploding(), chosen, 2.0, step=0.01)
    kept = rnnjax.measure(Exploding(), chosen, 2.0, step=0.01, throw=False)
    assert all(np.isnan(x) for x in jax.tree.leaves(kept))
