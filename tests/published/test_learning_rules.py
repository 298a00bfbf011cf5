"""Murray's example of random feedback local online learning: a periodic target, 10,000 trials."""

import jax
import numpy as np
import optax
import pytest

import rnnjax
from rnnjax import LinearEncoder, OnTask, StateReadout, TaskNetwork, mean_square
from rnnjax.circuits import RateNetwork, tanh
from rnnjax.connectivity import Dense
from rnnjax.credit import BackpropagationThroughTime, RandomFeedbackLocalOnline
from rnnjax.tasks import FromTrials

UNITS, STEPS, TRIALS, RATE, SEEDS = 50, 100, 10_000, 0.03, 8
PUBLISHED = {"BPTT": 2.3e-4, "RFLO": 1.5e-4}  # half the mean square error at the end
SGD = optax.sgd(RATE)


def periodic():
    """One period of three sines, no input."""
    phase = 2 * np.pi * np.arange(STEPS) / STEPS
    target = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(4 * phase)
    return FromTrials(np.zeros((1, STEPS, 1)), target[None, :, None])


def network(seed=0):
    """The author's initial network: firing rates, tau of ten steps, states of 0.1."""
    rng = np.random.default_rng(seed)
    return TaskNetwork(
        RateNetwork(
            Dense(1.5 * rng.normal(size=(UNITS, UNITS)) / np.sqrt(UNITS)), nonlinearity=tanh,
            tau=10.0,
        ),
        LinearEncoder(np.zeros((UNITS, 1))),
        StateReadout(0.1 * rng.uniform(-1, 1, size=(1, UNITS)) / np.sqrt(UNITS)),
        start=np.full(UNITS, 0.1),
    )  # fmt: skip


def half(outputs, targets, mask):
    """Half the mean square, whose descent is the published update."""
    return 0.5 * mean_square(outputs, targets, mask)


def weights(n):
    return n.circuit.connectivity, n.readout.weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "credit"),
    [("BPTT", BackpropagationThroughTime()), ("RFLO", RandomFeedbackLocalOnline())],
    ids=PUBLISHED,
)
def test_both_rules_learn_the_target(name, credit):
    made = [network(seed) for seed in range(SEEDS)]
    many = jax.tree.map(lambda *x: np.stack(x) if isinstance(x[0], np.ndarray) else x[0], *made)
    found = rnnjax.fit(
        many, weights, OnTask(periodic(), credit=credit, loss=half, batch=1), optimizer=SGD,
        steps=TRIALS, key=jax.random.split(jax.random.key(0), SEEDS), progress=False,
    )  # fmt: skip
    last = np.sort(found.losses[:, -1])
    print(f"{name}: {last}, median {np.median(last):.2e}; published, one seed {PUBLISHED[name]}")
    assert np.median(last) < 1e-3
    assert last[0] < min(2 * PUBLISHED["BPTT"], 3 * PUBLISHED[name])
