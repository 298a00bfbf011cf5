"""Batches of starts, and gradients through fixed steps: the same numbers, however they are made."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
from rnnjax import noise
from rnnjax._engine.fixed_steps import FixedRun, integrate
from rnnjax._precision import cast
from rnnjax._simulation.fixed_run import Grid, run_fixed
from rnnjax.circuits import CurrentNetwork, ExcitatoryInhibitory, ExcitatoryInhibitoryState
from rnnjax.connectivity import Dense
from rnnjax.connectivity._base import product
from rnnjax.inputs import Sinusoid
from rnnjax.solvers import RK4

UNITS, LANES = 6, 4
RANDOM = np.random.default_rng(0)
CIRCUIT = CurrentNetwork(Dense(RANDOM.standard_normal((UNITS, UNITS)) / 2))
STARTS = RANDOM.standard_normal((LANES, UNITS))
INPUT = 0.1 * np.arange(UNITS) * Sinusoid(1.0, 200.0, 0.3)
TIMES = np.linspace(0, 7, 11)
MEMORIES = [
    rnnjax.StoreAll(), rnnjax.Checkpoint(), rnnjax.Checkpoint(3), rnnjax.BlockedAdjoint(),
    rnnjax.BlockedAdjoint(4),
]  # fmt: skip
METHODS = [
    (diffrax.Euler(), None), (RK4(), None), (diffrax.Tsit5(), None),
    (diffrax.Euler(), noise.Additive(0.1)), (diffrax.Heun(), noise.Additive(0.1)),
]  # fmt: skip
methods = pytest.mark.parametrize(("solver", "shaking"), METHODS, ids=lambda x: type(x).__name__)


def simulated(circuit, start, solver, shaking=None, adjoint=None, input=INPUT, **settings):
    key = None if shaking is None else jax.random.key(1)
    return rnnjax.simulate(
        circuit, TIMES, input, start=start, step=0.1, solver=solver, noise=shaking, key=key,
        adjoint=adjoint, **settings,
    )  # fmt: skip


@methods
def test_a_batch_is_its_lanes(solver, shaking):
    batch = simulated(CIRCUIT, STARTS, solver, shaking, dtype="float64")
    assert batch.states.shape == (LANES, len(TIMES), UNITS)
    assert batch.status.shape == (LANES,)
    assert batch.to_xarray().sizes == {"batch_0": LANES, "time": len(TIMES), "unit": UNITS}
    for k in (0, LANES - 1):
        key = None if shaking is None else jax.random.fold_in(jax.random.key(1), k)
        alone = rnnjax.simulate(
            CIRCUIT, TIMES, INPUT, start=STARTS[k], step=0.1, solver=solver, noise=shaking, key=key,
            dtype="float64",
        )  # fmt: skip
        np.testing.assert_allclose(batch.states[k], alone.states, rtol=1e-12, atol=1e-13)


def test_a_batch_of_adaptive_runs():
    batch = rnnjax.simulate(CIRCUIT, TIMES, INPUT, start=STARTS, dtype="float64")
    alone = rnnjax.simulate(CIRCUIT, TIMES, INPUT, start=STARTS[2], dtype="float64")
    np.testing.assert_allclose(batch.states[2], alone.states, rtol=1e-9)


def test_a_batch_of_named_states():
    starts = ExcitatoryInhibitoryState(e=np.array([10.0, 50.0, 30.0]), i=np.array([5.0, 20.0, 1.0]))
    batch = rnnjax.simulate(
        ExcitatoryInhibitory(), [0.0, 20.0], start=starts, step=0.5, dtype="float64"
    )
    assert batch.final.e.shape == (3,)
    alone = rnnjax.simulate(
        ExcitatoryInhibitory(), [0.0, 20.0], start=ExcitatoryInhibitoryState(30.0, 1.0), step=0.5,
        dtype="float64",
    )  # fmt: skip
    np.testing.assert_allclose(batch.final.e[2], alone.final.e, rtol=1e-12)


def test_a_lane_that_fails_is_named_and_the_others_finish():
    class Explodes(rnnjax.AbstractCircuit):
        a: object = rnnjax.parameter(1.0, "1")

        def __call__(self, state, input):
            return self.a * state**3

        def rest(self):
            return jnp.zeros(2, jnp.result_type(self.a))

        def no_input(self):
            return 0.0

    starts = np.array([[0.1, 0.1], [0.1, 40.0], [0.2, 0.1]])
    run = {"start": starts, "step": 0.1, "solver": RK4()}
    batch = rnnjax.simulate(Explodes(), [0.0, 10.0], throw=False, **run)
    np.testing.assert_array_equal(batch.status, [0, 1, 0])
    assert np.isfinite(batch.states[[0, 2]]).all()
    with pytest.raises(rnnjax.SimulationError, match=r"lane 1.*state\[1\]"):
        rnnjax.simulate(Explodes(), [0.0, 10.0], **run)


def test_wrong_batches_are_refused():
    with pytest.raises(ValueError, match="start"):
        rnnjax.simulate(CIRCUIT, TIMES, start=np.zeros((3, UNITS + 1)), step=0.1)
    with pytest.raises(ValueError, match="at least one lane"):
        rnnjax.simulate(CIRCUIT, TIMES, start=np.zeros((0, UNITS)), step=0.1)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_devices_do_not_matter(devices):
    """Draws bit for bit, states within rounding."""
    with jax.enable_x64(True):
        circuit, starts, shaking = cast((CIRCUIT, STARTS, noise.Additive(0.1)), np.float64)
        keys = jax.random.split(jax.random.key(3), LANES)

        def states(devices, shaking, circuit=circuit):
            run = FixedRun(
                circuit, lambda t: jnp.zeros(UNITS), diffrax.Euler(), np.float64(0), np.float64(0.1),
                shaking, None if shaking is None else keys,
            )  # fmt: skip
            grid = Grid(50, 10, (1, 2, 3, 4, 5))
            return run_fixed(run, starts, grid, lanes=LANES, devices=devices)["states"]

        np.testing.assert_allclose(states(devices, None), states(1, None), rtol=1e-12)
        still = eqx.tree_at(lambda c: c.connectivity.weights, circuit, np.zeros((UNITS, UNITS)))
        np.testing.assert_allclose(
            states(devices, shaking, still), states(1, shaking, still), rtol=1e-14
        )


def loss(values, solver, shaking, adjoint):
    circuit, input, start = values
    run = simulated(circuit, start, solver, shaking, adjoint, input)
    return (run.states**2).sum() + (run.final**3).sum()


@methods
@pytest.mark.parametrize("lanes", [True, False], ids=["batch", "alone"])
def test_every_memory_gives_the_same_gradient(solver, shaking, lanes):
    with jax.enable_x64(True):
        values = CIRCUIT, INPUT, jnp.asarray(STARTS if lanes else STARTS[0])
        plain = eqx.filter_grad(loss)(values, solver, shaking, None)
        plain = jax.flatten_util.ravel_pytree(plain)[0]
        assert abs(plain).max() > 1
        chosen = MEMORIES if type(solver) is RK4 and lanes else MEMORIES[-1:]
        for memory in chosen:
            found = eqx.filter_grad(loss)(values, solver, shaking, memory)
            found = jax.flatten_util.ravel_pytree(found)[0]
            np.testing.assert_allclose(found, plain, rtol=1e-11, atol=1e-12 * abs(plain).max())


@pytest.mark.parametrize("lanes", [None, 0, 1])
def test_products_have_the_derivatives_of_products(lanes):
    """Backward they go through a transpose of their own; of any order, in both modes, it is exact."""
    with jax.enable_x64(True):
        weights, rates = jnp.asarray(RANDOM.standard_normal((5, 6))), jnp.asarray(STARTS)
        rates = {None: rates[0], 0: rates, 1: rates.T}[lanes]

        def of(times):
            each = times if lanes is None else jax.vmap(times, (None, lanes), lanes)
            return lambda w, r: (jnp.tanh(each(w, r)) ** 2).sum()

        given, plain = of(product), of(jnp.matmul)
        for derivative in (
            lambda f: jax.grad(f, (0, 1)), lambda f: jax.jacfwd(f, (0, 1)),
            lambda f: jax.jacfwd(f), lambda f: jax.jacfwd(f, 1),
            lambda f: jax.hessian(f, (0, 1)), lambda f: jax.jacrev(jax.jacrev(f, (0, 1)), (0, 1)),
        ):  # fmt: skip
            found, true = derivative(given)(weights, rates), derivative(plain)(weights, rates)
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(true), strict=True):
                assert abs(b).max() > 0.01
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_the_gradient_is_that_of_central_differences():
    with jax.enable_x64(True):
        adjoint = rnnjax.BlockedAdjoint(8)

        def of_weights(weights):
            circuit = eqx.tree_at(lambda c: c.connectivity.weights, CIRCUIT, weights)
            return loss((circuit, INPUT, STARTS), RK4(), None, adjoint)

        weights = jnp.asarray(CIRCUIT.connectivity.weights)
        found = jax.grad(of_weights)(weights)
        for i, j in ((0, 0), (2, 5), (4, 1)):
            nudge = jnp.zeros_like(weights).at[i, j].set(1e-5)
            near = (of_weights(weights + nudge) - of_weights(weights - nudge)) / 2e-5
            np.testing.assert_allclose(found[i, j], near, rtol=1e-7)


def test_the_step_and_the_noise_have_gradients():
    """What is no parameter of the circuit goes through the blocked adjoint as well."""
    with jax.enable_x64(True):
        increments = jnp.asarray(np.random.default_rng(1).standard_normal((40, UNITS)) * 0.1)

        def end(values, memory):
            step, strength, increments, t0 = values
            given = FixedRun(CIRCUIT, INPUT, diffrax.Euler(), t0, step, noise.Additive(strength))
            run = integrate(given, jnp.asarray(STARTS[0]), 40, increments=increments, memory=memory)
            return (run.final**2).sum()

        values = jnp.asarray(0.1), jnp.asarray(0.3), increments, jnp.asarray(1.5)
        plain = jax.grad(end)(values, None)
        blocked = jax.grad(end)(values, rnnjax.BlockedAdjoint(16))
        for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(blocked), strict=True):
            assert abs(a).max() > 0
            np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("memory", [None, rnnjax.BlockedAdjoint()], ids=["blocks", "adjoint"])
def test_gradients_of_batches_lower_for_cuda(dtype, memory):
    with jax.enable_x64(dtype == "float64"):
        weights, starts = (np.asarray(x, dtype) for x in (CIRCUIT.connectivity.weights, STARTS))

        def of_weights(weights):
            circuit = eqx.tree_at(lambda c: c.connectivity.weights, CIRCUIT, weights)
            run = rnnjax.simulate(
                circuit, TIMES, start=starts, step=0.1, solver=diffrax.Euler(), adjoint=memory
            )
            return (run.states**2).sum()

        program = jax.jit(jax.value_and_grad(of_weights))
        text = program.trace(weights).lower(lowering_platforms=("cuda",)).as_text()
        assert "callback" not in text
        assert ("f64" in text) == (dtype == "float64")


def test_the_wrong_adjoint_is_refused():
    with pytest.raises(ValueError, match="Checkpoint is for fixed steps"):
        rnnjax.simulate(CIRCUIT, TIMES, adjoint=rnnjax.Checkpoint())
    with pytest.raises(ValueError, match="with step="):
        simulated(CIRCUIT, STARTS, RK4(), adjoint=diffrax.DirectAdjoint())
    with pytest.raises(ValueError, match="positive number of steps"):
        rnnjax.Checkpoint(0)
    with pytest.raises(ValueError, match="positive number of steps"):
        rnnjax.BlockedAdjoint(-3)


def first_unit(state):
    return {"first": state[0], "sum": state.sum()}


@pytest.mark.parametrize("memory", [None, rnnjax.BlockedAdjoint()], ids=["blocks", "adjoint"])
def test_what_is_observed_is_what_is_returned(memory):
    whole = simulated(CIRCUIT, STARTS, RK4(), dtype="float64")
    part = simulated(CIRCUIT, STARTS, RK4(), adjoint=memory, observe=first_unit, dtype="float64")
    np.testing.assert_allclose(part.states["first"], whole.states[..., 0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(part.states["sum"], whole.states.sum(-1), rtol=1e-12, atol=1e-13)
    alone = simulated(CIRCUIT, STARTS[1], RK4(), observe=first_unit, dtype="float64")
    np.testing.assert_allclose(alone.states["first"], whole.states[1, :, 0], rtol=1e-12, atol=1e-14)


def test_adaptive_runs_are_observed_as_well():
    whole = rnnjax.simulate(CIRCUIT, TIMES, INPUT, start=STARTS, dtype="float64")
    part = rnnjax.simulate(CIRCUIT, TIMES, INPUT, start=STARTS, observe=first_unit, dtype="float64")
    np.testing.assert_allclose(part.states["first"], whole.states[..., 0], rtol=1e-12)
