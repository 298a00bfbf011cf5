"""Adaptive runs of `simulate`: our own lanes and diffrax give the same, forward and back."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import StuartLandau, central_difference, relative

import rnnjax
from rnnjax.circuits import CurrentNetwork, ExcitatoryInhibitory, ExcitatoryInhibitoryState
from rnnjax.connectivity import Dense
from rnnjax.inputs import Pulse, Recording, Sinusoid

TIMES = np.array([3.0, 3.1, 10.0, 10.5, 47.0, 80.0])
START = ExcitatoryInhibitoryState(e=50.0, i=20.0)
SOLVERS = [diffrax.Heun(), diffrax.Bosh3(), diffrax.Tsit5(), diffrax.Dopri5(), diffrax.Dopri8()]
INPUTS = {
    "none": None,
    "constant": 0.7,
    "pulse": Pulse(2.0, onset=20.3, duration=5.1),
    "function": lambda t: jnp.sin(t),
    "sum": np.arange(3.0) * (Sinusoid(1.0, 30.0) + Pulse(1.0, onset=31.0, duration=2.0)),
}
theirs = {"adjoint": diffrax.RecursiveCheckpointAdjoint()}


def both(circuit=None, input=None, **settings):
    """The run by our lanes, and by diffrax."""
    given = {"start": START, "dtype": "float64"} | settings
    circuit = circuit or ExcitatoryInhibitory(tau_i=30.0)
    own = rnnjax.simulate(circuit, TIMES, input, **given)
    return own, rnnjax.simulate(circuit, TIMES, input, **given, **theirs)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
def test_every_explicit_solver(solver):
    own, other = both(solver=solver, rtol=1e-5, atol=1e-5)
    # rounding decides about a step whose error is just what is tolerated
    assert abs(int(own.stats["steps"]) - int(other.stats["steps"])) <= 3
    for a, b in zip(own.states, other.states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)
        assert a[0] == b[0]  # the start


@pytest.mark.parametrize("name", INPUTS)
def test_every_kind_of_input(name):
    network = CurrentNetwork(tau=5.0)
    own, other = both(network, INPUTS[name], start=np.array([1.0, 0.0, -1.0]), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(own.states, other.states, rtol=1e-5, atol=1e-7)
    assert abs(int(own.stats["steps"]) / int(other.stats["steps"]) - 1) < 0.05


def test_recordings_are_stepped_onto():
    """Between its samples a recording is smooth: the error is that of a smooth input."""
    rough = Recording(np.random.default_rng(0).normal(size=200), sample_rate=1000.0)
    given = {"start": np.array([1.0, 0.0, -1.0]), "dtype": "float64"}
    network = CurrentNetwork(tau=5.0)
    truth = rnnjax.simulate(network, TIMES, rough, step=0.005, **given)
    for tolerance in (1e-4, 1e-6, 1e-8):
        found = rnnjax.simulate(network, TIMES, rough, rtol=tolerance, atol=tolerance, **given)
        assert abs(found.states - truth.states).max() < 20 * tolerance
        assert found.stats["rejected"] < 0.1 * found.stats["steps"]
    assert found.stats["steps"] < 500


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_and_what_is_observed(dtype):
    starts = ExcitatoryInhibitoryState(e=np.array([50.0, 10.0, 0.0]), i=np.array([20.0, 9.0, 0.0]))
    own, other = both(start=starts, observe=sum_of_rates, dtype=dtype)
    assert own.states.shape == (3, len(TIMES))
    assert own.states.dtype == dtype
    np.testing.assert_allclose(own.states, other.states, rtol=2e-4, atol=1e-4)


def sum_of_rates(state):
    return state.e + state.i


def weights_and_start():
    random = np.random.default_rng(2)
    return jnp.asarray(random.standard_normal((6, 6)) / 2), jnp.asarray(random.standard_normal(6))


def test_gradients_are_those_of_diffrax():
    """Over the same steps, and close to central differences of our lanes' own numbers."""
    with jax.enable_x64(True):
        driven = Sinusoid(1.0, 30.0)

        def loss(values, **settings):
            weights, start, amplitude = values
            input = eqx.tree_at(lambda s: s.amplitude, driven, amplitude)
            run = rnnjax.simulate(
                CurrentNetwork(Dense(weights)), TIMES, input, start=start, rtol=1e-9, atol=1e-9,
                **settings,
            )  # fmt: skip
            return (run.states**2).sum() + run.final[0]

        values = (*weights_and_start(), jnp.asarray(0.7))
        alone = jax.jit(loss)(values)
        value, found = jax.jit(jax.value_and_grad(loss))(values)
        np.testing.assert_allclose(value, alone, rtol=1e-7)
        expected = jax.grad(lambda v: loss(v, **theirs))(values)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        near = central_difference(lambda a: loss((*values[:2], a)), values[2], by=1e-4)
        assert relative(found[2], near) < 1e-5


@pytest.mark.slow
def test_gradients_under_vmap_and_of_batches():
    with jax.enable_x64(True):
        weights, start = weights_and_start()
        starts = jnp.stack([start, -start, 2 * start])

        def ends(weights, starts):
            return rnnjax.simulate(CurrentNetwork(Dense(weights)), TIMES, start=starts).final

        one = jax.jit(jax.grad(lambda w, s: (ends(w, s) ** 2).sum()))
        each = jnp.stack([one(weights, s) for s in starts])
        mapped = jax.vmap(one, (None, 0))(weights, starts)
        np.testing.assert_allclose(mapped, each, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(one(weights, starts), each.sum(0), rtol=1e-5, atol=1e-8)


@pytest.mark.slow
def test_gradients_through_what_functions_captured():
    network, start = CurrentNetwork(tau=5.0), np.array([1.0, 0.0, -1.0])

    def of_input(a):
        run = rnnjax.simulate(network, TIMES, lambda t: a * jnp.sin(t), start=start, rtol=1e-8)
        return jnp.sum(run.final)

    def of_observed(w):
        many = np.stack([start, 2 * start])
        return jnp.sum(rnnjax.simulate(network, TIMES, start=many, observe=lambda s: w * s).states)

    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(jax.grad(of_input)))(np.array([0.7, 0.2]))
        slope = central_difference(jax.jit(of_input), 0.7)
        np.testing.assert_allclose(found[0], slope, rtol=1e-5)
        value, slope = jax.jit(jax.value_and_grad(of_observed))(0.7)
        np.testing.assert_allclose(slope, value / 0.7, rtol=1e-6)


class Logarithmic(rnnjax.AbstractCircuit):
    r"""Calcium decays, and the potential follows its reversal potential.

    $\dot v = (12.5 \log(2 / c) - v) / 10,\; \dot c = (5 \cdot 10^{-5} - c) / 5$
    """

    tau: Any = rnnjax.parameter(5.0, "ms", positive=True)

    def __call__(self, state, input):
        v, c = state
        return jnp.stack([(12.5 * jnp.log(2 / c) - v) / 10, (5e-5 - c) / self.tau])

    def rest(self):
        return jnp.asarray([12.5 * np.log(2e3), 1e-3], jnp.result_type(self.tau))

    def no_input(self):
        return np.zeros(())


@pytest.mark.parametrize(
    "solver", [diffrax.Tsit5(), diffrax.Kvaerno5()], ids=lambda s: type(s).__name__
)
def test_a_first_guess_that_leaves_the_domain(solver):
    run = {"dtype": "float64", "rtol": 1e-8, "atol": 1e-8}
    found = rnnjax.simulate(Logarithmic(), [0.0, 25.0, 50.0], solver=solver, **run)
    truth = rnnjax.simulate(Logarithmic(), [0.0, 25.0, 50.0], step=0.01, dtype="float64")
    np.testing.assert_allclose(found.states, truth.states, rtol=1e-6)
    assert found.stats["steps"] < 500


@pytest.mark.parametrize("start", [[np.nan, 1e-3], [90.0, -1.0]], ids=["start", "slope"])
def test_what_is_no_number_ends_at_once(start):
    def run(start):  # where values are known, a start that is none is refused
        return rnnjax.simulate(Logarithmic(), [0.0, 50.0], start=start, throw=False)

    found = jax.jit(run)(np.array(start))
    assert found.status == rnnjax.Status.NON_FINITE
    assert found.stats["rejected"] <= 3


@pytest.mark.parametrize("times", [[0.0, 5.0, 3.0, 10.0], [3.0, 1.0]])
def test_traced_times_that_do_not_increase(times):
    def run(times):
        return rnnjax.simulate(Logarithmic(), times)

    found = jax.jit(run)(jnp.asarray(times))
    assert found.status == rnnjax.Status.UNORDERED_TIMES
    assert np.isnan(found.states).all()
    with pytest.raises(rnnjax.SimulationError, match="the times do not increase"):
        found.raise_failures()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_without_a_callback_to_the_host(dtype):
    """Alone, mapped and in batches: so that programs are cached, and lower for accelerators."""
    with jax.enable_x64(dtype == "float64"):

        def end(mu, start):
            return rnnjax.simulate(StuartLandau(mu), np.linspace(0.0, 5.0, 4), start=start).states

        rates, starts = np.full(3, 0.2, dtype), np.ones((3, 2), dtype)
        for program, given in (
            (end, (rates[0], starts[0])), (jax.vmap(end), (rates, starts)), (end, (rates[0], starts)),
        ):  # fmt: skip
            lowered = jax.jit(program).trace(*given).lower(lowering_platforms=("cuda",))
            assert "callback" not in lowered.as_text()
            assert ("f64" in lowered.as_text()) == (dtype == "float64")
        exported = jax.export.export(jax.jit(jax.vmap(end)), platforms=("cuda",))(rates, starts)
        assert exported.platforms == ("cuda",)


def test_failures_are_the_same():
    class Explodes(rnnjax.AbstractCircuit):
        a: object = rnnjax.parameter(1.0, "1/ms")

        def __call__(self, state, input):
            return self.a * state**2 * jnp.array([1.0, 0.1], state.dtype)

        def rest(self):
            return jnp.ones(2, jnp.result_type(self.a))

        def no_input(self):
            return 0.0

    given = {"throw": False, "dtype": "float64"}
    own = rnnjax.simulate(Explodes(), [0.0, 0.5, 0.9, 2.0, 3.0], **given)
    other = rnnjax.simulate(Explodes(), [0.0, 0.5, 0.9, 2.0, 3.0], **given, **theirs)
    for found in (own, other):
        assert found.status != 0
        assert abs(found.failed_at - 1) < 1e-3
        assert found.failed_variable == 0
        assert np.isfinite(found.states[:3]).all()
        assert not np.isfinite(found.states[3:]).any()
    np.testing.assert_allclose(own.states[:3], other.states[:3], rtol=1e-4)
