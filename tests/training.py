"""Task networks and an independent program for them: plain loops, written from the equations."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax import LinearEncoder, StateReadout, TaskNetwork
from rnnjax._precision import cast
from rnnjax._training.trials import pass_through
from rnnjax._where import choose, free_of, rebuild
from rnnjax.circuits import CurrentNetwork, tanh
from rnnjax.connectivity import Dense
from rnnjax.tasks import Trial

QUICK = {"xla_backend_optimization_level": 0}  # compiles in less time
UNITS, INPUTS, STEPS, TRIALS, TAU = 6, 2, 8, 3, 10.0


def network(outputs=1, form=CurrentNetwork, units=UNITS, seed=0, diagonal=False, scale=1.3):
    """A network of known numbers, in float64."""
    rng = np.random.default_rng(seed)
    weights = scale * rng.normal(size=(units, units)) / np.sqrt(units)
    if diagonal:
        weights = np.diag(np.diag(weights))
    return TaskNetwork(
        form(
            Dense(weights), nonlinearity=tanh, bias=0.1 * rng.normal(size=units), tau=TAU
        ),
        LinearEncoder(rng.normal(size=(units, INPUTS))),
        StateReadout(0.5 * rng.normal(size=(outputs, units)), 0.1 * rng.normal(size=outputs)),
        start=0.3 * rng.normal(size=units),
    )  # fmt: skip


def trials(outputs=1, seed=1, masked=True):
    """Random trials; the outputs count at the end of each."""
    rng = np.random.default_rng(seed)
    mask = np.ones((TRIALS, STEPS, outputs))
    if masked:
        mask[:, : STEPS // 2] = 0
    inputs = rng.normal(size=(TRIALS, STEPS, INPUTS))
    return Trial(inputs, mask * rng.normal(size=(TRIALS, STEPS, outputs)), mask)


def everything(net):
    """All that a loop depends on."""
    return (
        net.circuit.connectivity.weights, net.circuit.bias, net.encoder.weights,
        net.readout.weights, net.readout.bias, net.start,
    )  # fmt: skip


def given_by(objective, net, trial, where=everything, key=None):
    """The loss and gradient that an objective's rule gives for these trials, by name."""
    with jax.enable_x64(True):
        objective, net, trial = cast((objective, net, trial), np.float64)
        names = [each.path for each in choose(net, where)]
        key = jax.random.key(5) if key is None else key
        loss, gradients = _given_by(objective, net, trial, key, where)
        named = dict(zip(names, gradients, strict=True))
        return jax.tree.map(np.asarray, (loss, named))


@functools.partial(eqx.filter_jit, compiler_options=QUICK)
def _given_by(objective, net, trial, key, where):
    chosen = choose(net, where)
    free = free_of(net, chosen)
    of_forcing, of_credit = objective.begin(net, key)
    keys = jax.random.split(key, len(trial.inputs))
    run = pass_through(objective, net, trial, keys, of_forcing)
    return objective.credit.value_and_gradient(
        run, lambda free: rebuild(net, chosen, free), free, of_credit, key
    )


NAMES = {
    "m": "circuit.connectivity.weights", "bias": "circuit.bias", "w_in": "encoder.weights",
    "w_out": "readout.weights", "b_out": "readout.bias", "start": "start",
}  # fmt: skip


def numbers(net):
    """What a loop needs of a network: a dictionary of arrays."""
    return {
        "m": net.circuit.connectivity.weights, "bias": net.circuit.bias,
        "w_in": net.encoder.weights, "w_out": net.readout.weights, "b_out": net.readout.bias,
        "start": net.start,
    }  # fmt: skip


def gradient(net, trial, force, **options):
    """The loop's loss and gradient in float64, by name."""
    with jax.enable_x64(True):
        p = {k: jnp.asarray(v, float) for k, v in numbers(net).items()}
        trial = jax.tree.map(lambda x: jnp.asarray(x, float), trial)
        found = jax.jit(
            jax.value_and_grad(lambda p: mean_loss(p, trial, force, **options)),
            compiler_options=QUICK,
        )(p)
        return jax.tree.map(np.asarray, found)


def agree(found, wanted, tolerance, names=NAMES):
    """The gradients of a rule and of a loop are the same."""
    np.testing.assert_allclose(found[0], wanted[0], rtol=tolerance)
    for name in names:
        size = abs(wanted[1][name]).max()
        np.testing.assert_allclose(
            found[1][NAMES[name]], wanted[1][name], rtol=0, atol=tolerance * max(size, 1e-12),
            err_msg=name,
        )  # fmt: skip


def step(p, h, x, form=CurrentNetwork):
    """One Euler step: equation (1), or with the nonlinearity outside the sum."""
    if form is CurrentNetwork:
        return h + (-h + p["m"] @ jnp.tanh(h) + p["bias"] + p["w_in"] @ x) / TAU
    return h + (-h + jnp.tanh(p["m"] @ h + p["bias"] + p["w_in"] @ x)) / TAU


def loop(p, x, target, mask, force, form=CurrentNetwork, nudges=None):
    """The outputs, and the states after forcing, of one trial."""
    h, error, outputs, states = p["start"], jnp.zeros(target.shape[1]), [], []
    for t in range(len(x)):
        before = step(p, h, x[t], form)
        y = p["w_out"] @ before + p["b_out"]
        now = mask[t] * (target[t] - y)
        h = before if force is None else force(p, before, now, target[t], mask[t], error)
        if nudges is not None:
            h = h + nudges[t]
        error = now
        outputs.append(y)
        states.append(h)
    return jnp.stack(outputs), jnp.stack(states)


def mean_loss(p, trial, force, activity=0.0, **options):
    """The masked mean square and what the states after forcing cost, their mean over the trials."""

    def one(trial):
        x, target, mask = trial
        y, states = loop(p, x, target, mask, force, **options)
        error = jnp.sum(mask * (y - target) ** 2) / jnp.sum(mask)
        return error + activity * jnp.mean(states**2)

    return jnp.mean(jax.vmap(one)(trial))
