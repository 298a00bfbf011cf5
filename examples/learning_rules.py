"""Learning rules side by side: how far each one's update is from the gradient, and what it learns.

On ten tasks the updates of the local and of the perturbing rules are compared with the gradient, before
training and after some training, by their cosine, in eight networks with their own random feedback and
perturbations; with random feedback e-prop gives the update of RFLO here, up to its scale. Then Murray's
example (2019): fifty units learn a periodic function in 10,000 trials by backpropagation through time and
by random feedback local online learning; the published final errors, of one network each, are marked.
"""

import argparse
import time
from pathlib import Path

import equinox as eqx
import jax
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure

import rnnjax
from rnnjax import LinearEncoder, OnTask, StateReadout, TaskNetwork, mean_square
from rnnjax.circuits import CurrentNetwork, RateNetwork, tanh
from rnnjax.connectivity import Dense
from rnnjax.credit import (
    BackpropagationThroughTime,
    DiagonalRecurrent,
    EligibilityPropagation,
    NodePerturbation,
    RandomFeedbackLocalOnline,
    TruncatedBackpropagation,
    WeightPerturbation,
)  # fmt: skip
from rnnjax.tasks import (
    ContextIntegration,
    DelayedMatchToSample,
    DelayedXOR,
    EvidenceIntegration,
    FlipFlop,
    FromTrials,
    PerceptualDecision,
    Reaching,
    RingPathIntegration,
    SineGeneration,
)  # fmt: skip

BLUE, ORANGE = "#0072B2", "#D55E00"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
PHASE = 2 * np.pi * np.arange(100) / 100
PERIOD = np.sin(PHASE) + 0.5 * np.sin(2 * PHASE) + 0.25 * np.sin(4 * PHASE)
PERIODIC = FromTrials(np.zeros((1, 100, 1)), PERIOD[None, :, None])
TASKS = {
    "delayed XOR": DelayedXOR(delay=20.0),
    "evidence": EvidenceIntegration(delay=20.0),
    "sines": SineGeneration(),
    "3-bit\nflip-flop": FlipFlop(step=5.0),
    "context\nintegration": ContextIntegration(step=5.0),
    "perceptual\ndecision": PerceptualDecision(),
    "match to\nsample": DelayedMatchToSample(),
    "reaching": Reaching(),
    "path on\na ring": RingPathIntegration(duration=2500.0),
    "periodic\nfunction": PERIODIC,
}
RULES = {
    "truncated, 20 steps": TruncatedBackpropagation(20),
    "diagonal (SnAp-1)": DiagonalRecurrent(),
    "e-prop, symmetric": EligibilityPropagation(symmetric=True),
    "RFLO": RandomFeedbackLocalOnline(),
    "node perturbation": NodePerturbation(1e-3),
    "weight perturbation": WeightPerturbation(1e-3),
}
MURRAY = {"BPTT": BackpropagationThroughTime(), "RFLO": RandomFeedbackLocalOnline()}
PUBLISHED = {"BPTT": 2.3e-4, "RFLO": 1.5e-4}
PATH = "circuit.connectivity.weights"
ADAM, SGD = optax.adam(3e-3), optax.sgd(0.03)


def weights(n):
    """What the rules are compared on, and what Murray's example trains."""
    return n.circuit.connectivity, n.readout.weights


def networks(task, units, keys):
    """Random networks of the size of a task, their time constant ten steps; Murray's for his task."""
    if task is PERIODIC:
        return murrays(len(keys), units)

    def make(key):
        of_weights, of_network = jax.random.split(key)
        circuit = CurrentNetwork(Dense.random(units, key=of_weights), tau=10 * task.step)
        return TaskNetwork.random(circuit, task, key=of_network)

    return eqx.filter_vmap(make)(keys)


def murrays(count, units=50):
    """Initial networks of the published example."""
    made = [murrays_network(seed, units) for seed in range(count)]
    return jax.tree.map(lambda *x: np.stack(x) if isinstance(x[0], np.ndarray) else x[0], *made)


def murrays_network(seed, units):
    """One of them: firing rates, states of 0.1, no input."""
    rng = np.random.default_rng(seed)
    return TaskNetwork(
        RateNetwork(Dense(1.5 * rng.normal(size=(units, units)) / np.sqrt(units)), tanh, tau=10.0),
        LinearEncoder(np.zeros((units, 1))),
        StateReadout(0.1 * rng.uniform(-1, 1, size=(1, units)) / np.sqrt(units)),
        start=np.full(units, 0.1),
    )


def cosines(nets, task, batch, keys):
    """The cosine of each rule's update of the recurrent weights to the gradient, of each network."""

    def updates(credit):
        objective = OnTask(task, credit=credit, batch=batch)
        one = eqx.filter_vmap(lambda n, k: rnnjax.gradient(n, weights, objective, key=k)[1][PATH])
        found = np.asarray(one(nets, keys), np.float64)
        return found / np.linalg.norm(found, axis=(1, 2), keepdims=True)

    exact = updates(BackpropagationThroughTime())
    return {name: (updates(rule) * exact).sum((1, 2)) for name, rule in RULES.items()}


def compared(units, batch, steps, count):
    """The cosines of all rules on all tasks, before and after training."""
    keys, others = jax.random.split(jax.random.key(0), (2, count))
    table = {}
    for name, task in TASKS.items():
        nets = networks(task, units, keys)
        learned = rnnjax.fit(
            nets, weights, OnTask(task, batch=batch), optimizer=ADAM, steps=steps, key=keys, progress=False
        )  # fmt: skip
        table[name] = [cosines(n, task, batch, others) for n in (nets, learned.circuit)]
        for rule in RULES:
            each = [
                f"{np.median(x):6.3f} ({x.min():6.3f} to {x.max():6.3f})"
                for x in (column[rule] for column in table[name])
            ]
            print(
                f"{' '.join(name.split()):20s} {rule:22s} cosine {each[0]} before, {each[1]} after "
                "training", flush=True,
            )  # fmt: skip
    return table


def half(outputs, targets, mask):
    """Half the mean square, whose descent is the published update."""
    return 0.5 * mean_square(outputs, targets, mask)


def murray(name, seeds=8, trials=10_000):
    """The losses of a rule on the periodic function, `(seeds, trials + 1)`."""
    objective = OnTask(PERIODIC, credit=MURRAY[name], loss=half, batch=1)
    return rnnjax.fit(
        murrays(seeds), weights, objective, optimizer=SGD, steps=trials,
        key=jax.random.split(jax.random.key(0), seeds), progress=False,
    ).losses  # fmt: skip


def draw(table, losses):
    """The cosines as a map, their medians and ranges; the losses as curves."""
    figure = Figure(figsize=(11, 6.8), layout="constrained")
    left, below = figure.subplots(2, 1, height_ratios=(1, 1.1))
    each = np.array([[c[rule] for pair in table.values() for c in pair] for rule in RULES])
    rows = np.median(each, -1)
    image = left.imshow(rows, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(rows):
        shade = "white" if abs(value) > 0.6 else "0.2"
        left.text(
            j,
            i - 0.12,
            f"{round(value, 2) + 0.0:.2f}",
            ha="center",
            va="center",
            fontsize=7.5,
            color=shade,
        )
        ends = np.round([each[i, j].min(), each[i, j].max()], 1) + 0.0  # no -0
        low, high = (f"{x:.1f}".replace("0.", ".") for x in ends)
        left.text(
            j, i + 0.27, f"{low} to {high}", ha="center", va="center", fontsize=4.5, color=shade
        )
    left.set_yticks(range(len(RULES)), list(RULES))
    left.set_xticks(np.arange(2 * len(table)), ["before", "after"] * len(table), fontsize=7)
    for k, name in enumerate(table):
        left.text(2 * k + 0.5, -0.65, name, ha="center", fontsize=8.5)
        left.axvline(2 * k - 0.5, color="white", linewidth=2)
    left.tick_params(length=0)
    left.spines[:].set_visible(False)
    left.set_xlabel("training")
    figure.colorbar(
        image, ax=left, label="cosine to the gradient,\nmedian and range", shrink=0.9, pad=0.01
    )
    for (name, curves), color in zip(losses.items(), (BLUE, ORANGE), strict=True):
        trials = np.unique(np.geomspace(1, curves.shape[1] - 1, 300).astype(int))
        low, high = curves[:, trials].min(0), curves[:, trials].max(0)
        below.fill_between(trials, low, high, color=color, alpha=0.15, linewidth=0)
        below.plot(trials, np.median(curves[:, trials], 0), color=color, label=f"{name}, median")
        below.plot(curves.shape[1] - 1, PUBLISHED[name], "*", color=color, markersize=10,
                   label=f"{name}, published", clip_on=False)  # fmt: skip
    below.set_xscale("log")
    below.set_yscale("log")
    below.set_xlabel("trials")
    below.set_ylabel("half the mean square error")
    below.set_title("A periodic function (Murray 2019)")
    below.legend()
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--units", type=int, default=50)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument(
        "--steps", type=int, default=100, help="training between the two comparisons"
    )
    parser.add_argument("--seeds", type=int, default=8, help="networks")
    parser.add_argument("--trials", type=int, default=10_000)
    options = parser.parse_args()
    rnnjax.tune_cpu()
    begun = time.time()
    table = compared(options.units, options.batch, options.steps, options.seeds)
    losses = {name: murray(name, options.seeds, options.trials) for name in MURRAY}
    for name, curves in losses.items():
        last = curves[:, -1]
        print(
            f"{name}: half the mean square after {options.trials} trials {np.median(last):.2g} (median of "
            f"{options.seeds} networks, {last.min():.2g} to {last.max():.2g}, {(last < 1e-3).sum()} below "
            f"0.001); published, one: {PUBLISHED[name]}"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        draw(table, losses).savefig(options.out / "learning_rules.png")
    print(f"{options.out / 'learning_rules.png'} after {time.time() - begun:.0f} s")


if __name__ == "__main__":
    main()
