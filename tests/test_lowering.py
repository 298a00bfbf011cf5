"""Hot paths lower for NVIDIA GPUs, on a machine without one, and call back to no host."""

import os
import pathlib
import subprocess
import sys

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import ORACLES, Oscillator, StuartLandau

import rnnjax
from rnnjax import TaskNetwork, credit, forcing, measures, noise
from rnnjax._engine.fixed_steps import FixedRun, integrate
from rnnjax._machine.lanes import map_lanes
from rnnjax._machine.plan import Plan
from rnnjax._numerics.memory import BLOCK
from rnnjax._precision import cast
from rnnjax._training.step import Recipe, advance, begin_compiled
from rnnjax._where import choose, free_of
from rnnjax.circuits import CurrentNetwork, RateNetwork
from rnnjax.connectivity import Dense
from rnnjax.solvers import RK4
from rnnjax.tasks import DelayedXOR

LANES = 8


def lowered(function, *arguments):
    """The program's text for CUDA; refused if it needs the host or 64-bit floats unasked."""
    function = function if hasattr(function, "trace") else jax.jit(function)
    text = function.trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()
    assert "callback" not in text
    assert "xla_ffi_python" not in text
    assert "stablehlo" in text
    return text


def lane(values, shared):
    circuit, key = values
    step, shaking = shared
    solver = RK4() if shaking is None else diffrax.Euler()
    out = integrate(
        FixedRun(circuit, jnp.zeros_like, solver, 0.0, step, shaking, key),
        jnp.asarray([1.0, 0.5], step.dtype),
        BLOCK + 10,
        measures=(measures.Amplitude(), measures.Period()),
    )
    return out.measured, out.status


def arguments(dtype, shaking):
    circuit = cast(Oscillator(np.linspace(0.01, 0.1, LANES), np.full(LANES, 0.3)), dtype)
    keys = jax.random.split(jax.random.key(0), LANES)
    return (circuit, keys), (np.asarray(0.1, dtype), cast(shaking, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shaking", [None, noise.Additive(0.1)], ids=["plain", "noise"])
def test_fixed_steps(dtype, shaking):
    with jax.enable_x64(dtype == "float64"):
        lanes, shared = arguments(dtype, shaking)
        text = lowered(map_lanes(lane, Plan(None, 1)), lanes, shared)
        assert ("f64" in text) == (dtype == "float64")

        def loss(circuit):
            results, _ = jax.vmap(lane, in_axes=(0, None))((circuit, lanes[1]), shared)
            return results[0].sum()

        gradient = lowered(jax.grad(loss), lanes[0])
        assert ("f64" in gradient) == (dtype == "float64")


def test_fixed_steps_over_several_devices():
    lanes, shared = arguments("float32", noise.Additive(0.1))
    text = lowered(map_lanes(lane, Plan(None, 4)), lanes, shared)
    assert "all_gather" not in text
    assert "all_reduce" not in text


ADAPTIVE = """
import jax, numpy as np
import rnnjax
from test_lowering import lowered
from oracles import StuartLandau

def end(mu, start):
    return rnnjax.simulate(StuartLandau(mu), np.linspace(0.0, 5.0, 4), start=start).states

lowered(jax.grad(lambda r: end(r, np.ones(2, np.float32)).sum()), np.float32(0.2))
print("lowered")
"""


def test_gradients_of_adaptive_steps():
    # diffrax checks the times that it saves at through a callback, unless told to give NaN.
    done = subprocess.run(
        [sys.executable, "-c", ADAPTIVE], cwd=pathlib.Path(__file__).parent, text=True,
        env=os.environ | {"EQX_ON_ERROR": "nan"}, capture_output=True, timeout=200,
    )  # fmt: skip
    assert done.stdout.strip() == "lowered", done.stderr[-2000:]


def test_fixed_steps_of_a_network():
    def end(start):
        return rnnjax.simulate(RateNetwork(), [0.0, 5.0], 1.0, start=start, step=0.5).final

    text = lowered(jax.vmap(end), np.ones((LANES, 100), np.float32))
    assert "f64" not in text


def test_measured_runs():
    def swing(mu):
        return rnnjax.measure(StuartLandau(mu), measures.Amplitude(), 20.0, step=0.1)

    assert "f64" not in lowered(jax.vmap(swing), np.full(LANES, 0.2, np.float32))


@pytest.mark.parametrize("mode", [False, True], ids=["x32", "x64"])
def test_equilibria(mode):
    oracle = ORACLES["Stuart-Landau"]
    guesses = np.ones((3, 2))

    def found(mu):
        return rnnjax.find_equilibria(oracle.at(mu), guesses=guesses).states

    with jax.enable_x64(mode):
        rate = np.asarray(0.25, np.float64 if mode else np.float32)
        assert "f64" in lowered(found, rate)
        lowered(jax.grad(lambda mu: found(mu).sum()), rate)
        lowered(jax.vmap(found), np.stack([rate, rate]))


def test_jacobians():
    def jacobian(mu):
        return rnnjax.linearize(StuartLandau(mu), np.ones(2)).jacobian

    lowered(jax.vmap(jacobian), np.full(LANES, 0.2, np.float32))


def test_lyapunov_exponents():
    from chaotic import Lorenz63

    def spectrum(rho):
        circuit = eqx.tree_at(lambda c: c.rho, Lorenz63(), rho)
        return rnnjax.lyapunov_exponents(circuit, 20.0, step=0.01).exponents

    with jax.enable_x64(True):
        lowered(jax.vmap(spectrum), np.array([20.0, 28.0]))
        lowered(jax.grad(lambda rho: spectrum(rho)[0]), np.float64(28.0))


STEPS_OF_TRAINING = {
    "stored": (16, forcing.ErrorForcing(0.2), credit.RandomFeedbackLocalOnline()),
    "blocked": (160, forcing.ErrorForcing(0.2), credit.RandomFeedbackLocalOnline()),
    "backward": (16, forcing.AdaptiveTeacherForcing(), credit.BackpropagationThroughTime()),
    "truncated": (16, forcing.TeacherForcing(every=5), credit.TruncatedBackpropagation(10)),
    "forward": (16, forcing.GeneralizedTeacherForcing(), credit.ForwardSensitivity()),
    "diagonal": (16, forcing.ErrorForcing(0.2, forcing.KalmanGain()), credit.DiagonalRecurrent()),
    "eligibility": (
        16,
        forcing.ErrorForcing(0.2, forcing.RandomFeedback()),
        credit.EligibilityPropagation(),
    ),
    "nodes": (16, forcing.NoForcing(), credit.NodePerturbation()),
    "weights": (16, forcing.NoForcing(), credit.WeightPerturbation()),
}


@pytest.mark.parametrize("name", STEPS_OF_TRAINING)
def test_a_step_of_training(name):
    units, forced, rule = STEPS_OF_TRAINING[name]
    task = DelayedXOR(delay=20.0)
    circuit = CurrentNetwork(Dense.random(units, key=jax.random.key(0)), tau=10.0)
    network = TaskNetwork.random(circuit, task, key=jax.random.key(1))
    objective = rnnjax.OnTask(task, forced, rule, batch=4, validation=4, noise=noise.Additive(0.1))
    network, objective = cast((network, objective), np.float32)
    chosen = choose(network, lambda n: (n.circuit.connectivity, n.readout))
    free = free_of(network, chosen)
    recipe = Recipe(chosen, objective, optax.adam(1e-3), 5, rnnjax.Stop(below=0.1))
    key = jax.random.key(2)
    state = begin_compiled(network, free, key, recipe)

    def step(state, k):
        return advance(state, k, network, key, jnp.asarray(True), recipe)

    assert "f64" not in lowered(step, state, jnp.asarray(3, jnp.int32))
