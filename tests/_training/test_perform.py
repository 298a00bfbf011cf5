"""`perform`: what a network does on trials of a task, the same as validations and as plain loops."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _training.test_training import NETWORK, TASK, parts
from training import network, numbers

import rnnjax
from rnnjax import OnTask, RateReadout, StateReadout, plot
from rnnjax._training.batches import drawn
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import Dense
from rnnjax.tasks import FromTrials


def test_states_and_outputs_are_those_of_a_plain_loop():
    net, rng = network(2), np.random.default_rng(4)
    inputs, targets = rng.normal(size=(3, 8, 2)), rng.normal(size=(3, 8, 2))
    task = FromTrials(inputs, targets, step=0.5)
    found = rnnjax.perform(net, task, key=jax.random.key(0), dtype="float64")
    np.testing.assert_array_equal(found.trials.inputs, inputs)  # all of them, each once
    p = {name: np.asarray(value) for name, value in numbers(net).items()}
    assert found.states.shape == (3, 8, 6)
    for k in range(3):
        state = np.asarray(net.start)
        for n in range(8):
            with jax.enable_x64(True):
                slope = np.asarray(net(state, inputs[k, n]))
            state = state + 0.5 * slope
            np.testing.assert_allclose(found.states[k, n], state, rtol=1e-12)
            wanted = p["w_out"] @ state + net.readout.bias
            np.testing.assert_allclose(found.outputs[k, n], wanted, rtol=1e-10)
    np.testing.assert_allclose(found.times, 0.5 * np.arange(1, 9))
    assert found[1].outputs.shape == (8, 2)
    assert repr(found[1]) == "Performance(one trial(s), 8 steps, 2 output(s))"
    with pytest.raises(IndexError, match="this is one trial"):
        found[1][0]


def test_it_is_what_a_validation_judges():
    key = jax.random.key(3)
    found = rnnjax.perform(NETWORK, TASK, key=key, trials=5)
    asked = found.trials.mask > 0
    wanted = np.mean([
        np.square(y - t)[m].mean()
        for y, t, m in zip(found.outputs, found.trials.targets, asked, strict=True)
    ])  # fmt: skip
    loss = OnTask(TASK, validation=5).validate(NETWORK, key)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    assert len(rnnjax.perform(NETWORK, TASK, key=key).outputs) == 16


def test_of_given_trials_a_validation_sees_none_twice():
    inputs = np.random.default_rng(0).normal(size=(6, 8, 3))
    task, key = FromTrials(inputs, inputs.sum(-1, keepdims=True)), jax.random.key(1)
    whole = rnnjax.perform(NETWORK, task, key=key)
    each = np.square(whole.outputs - whole.trials.targets).mean((1, 2))
    loss = OnTask(task, validation=100).validate(NETWORK, key)
    np.testing.assert_allclose(loss, each.mean(), rtol=1e-5)
    many = np.arange(20.0)[:, None, None] * np.ones((20, 8, 3))
    seen = rnnjax.perform(NETWORK, FromTrials(many, many[..., :1]), key=key)
    np.testing.assert_array_equal(seen.trials.inputs, many)  # more than are drawn of other tasks
    some = rnnjax.perform(NETWORK, task, key=key, trials=4).trials.inputs
    apart, _, _ = drawn(task, key, 4, whole=True)
    assert len(np.unique(np.asarray(apart.inputs)[:, 0, 0])) == 4
    assert len(some) == 4  # these are drawn as in training


def test_a_start_is_where_every_run_begins():
    net = parts(start=np.full(16, 0.5))
    times = np.arange(0.0, 3.0)
    np.testing.assert_array_equal(rnnjax.simulate(net, times).states[0], np.full(16, 0.5))
    circuit = CurrentNetwork(Dense(np.zeros((3, 3))))
    made = rnnjax.TaskNetwork.random(circuit, TASK, key=jax.random.key(0), start=np.ones(3))
    np.testing.assert_array_equal(made.rest(), np.ones(3))


def test_equilibria_are_sought_from_the_states_of_trials():
    done = rnnjax.perform(NETWORK, TASK, key=jax.random.key(0), trials=3)
    held = np.array([0.0, 0.0, 1.0])
    along = rnnjax.find_equilibria(NETWORK, held, guesses=done, throw=False)
    states = done.states.reshape(-1, 16)
    chosen = np.linspace(0, len(states) - 1, 64).round().astype(int)
    given = rnnjax.find_equilibria(NETWORK, held, guesses=states[chosen], throw=False)
    assert along.found.any()
    np.testing.assert_array_equal(along.found, given.found)
    np.testing.assert_array_equal(along[0], given[0])
    one = rnnjax.find_equilibria(NETWORK, held, guesses=done[1], throw=False)
    assert one.found.any()


def test_a_penalty_may_be_of_what_is_performed():
    def size(scale):
        net = eqx.tree_at(lambda n: n.circuit.bias, NETWORK, scale * jnp.ones(16))
        done = rnnjax.perform(net, TASK, key=jax.random.key(0), trials=2)
        return jnp.mean(done.states**2)

    slope = jax.jit(jax.grad(size))(0.1)
    wide = [float(size(np.float32(s))) for s in (0.105, 0.095)]
    np.testing.assert_allclose(slope, (wide[0] - wide[1]) / 0.01, rtol=1e-2)


def test_a_network_that_is_read_out_by_its_rates():
    circuit = CurrentNetwork(Dense(np.zeros((3, 3))))
    made = rnnjax.TaskNetwork.random(circuit, TASK, key=jax.random.key(0), readout=RateReadout)
    state = np.array([0.5, -1.0, 2.0])
    wanted = made.readout.weights @ np.asarray(circuit.rates(state))
    np.testing.assert_allclose(made.outputs(state), wanted, rtol=1e-6)
    plain = rnnjax.TaskNetwork.random(circuit, TASK, key=jax.random.key(0))
    np.testing.assert_array_equal(made.readout.weights, plain.readout.weights)
    with pytest.raises(TypeError, match="no rates to read out"):
        rnnjax.TaskNetwork.random(
            rnnjax.circuits.ExcitatoryInhibitory(), TASK, key=jax.random.key(0), readout=RateReadout
        )


def test_a_performance_is_drawn_over_its_trial():
    found = rnnjax.perform(NETWORK, TASK, key=jax.random.key(0), trials=2)
    ax = plot.trial(found[1])
    assert ax.get_xlim() == (0, TASK.steps * TASK.step)
    plain = plot.trial(jax.tree.map(lambda x: x[1], found.trials))
    assert len(ax.lines) == len(plain.lines) + 1


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rnnjax.perform(NETWORK.circuit, TASK, key=jax.random.key(0)), TypeError, "TaskNetwork"),
        (lambda: rnnjax.perform(NETWORK, "xor", key=jax.random.key(0)), TypeError, "task"),
        (lambda: rnnjax.perform(NETWORK, TASK, key=jax.random.key(0), trials=0), ValueError, "trials"),
        (
            lambda: rnnjax.perform(parts(readout=StateReadout(np.eye(2, 16))), TASK, key=jax.random.key(0)),
            ValueError, "has 1 outputs, the network 2",
        ),
    ],
)  # fmt: skip
def test_what_can_not_be_performed(call, error, words):
    with pytest.raises(error, match=words):
        call()
