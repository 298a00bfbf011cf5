"""What training does to the dynamics: a network learns a flip-flop, and its equilibria come one by one.

Twenty-four tanh units learn to hold the signs of the last pulses of two channels. Every 25 steps of the
fit its equilibria are found, with their stability, and its leading Lyapunov exponent. Drawn are loss and
dynamics on one axis, and what the last readout makes of the equilibria at three times: two attractors at
first, in the end one in each corner, with saddles between them. Searches from 64 guesses can miss a saddle
now and then. A test system of ours; the task and what networks make of it are those of Sussillo and Barak
(2013), Neural Computation 25:626-649, with two bits.
"""

import argparse
from pathlib import Path

import jax
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import Dense
from rnnjax.tasks import FlipFlop

UNITS, STEPS, EVERY = 24, 600, 25
SHOWN = (0, 50, 600)  # steps of training
BLUE = "#0072B2"
STYLE = {
    "font.size": 8, "axes.titlesize": 8, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip


def trained(network):
    """What is trained: recurrent weights and biases, and the readout."""
    return network.circuit.connectivity, network.circuit.bias, network.readout


def learn():
    """The fit, and what it found on its way."""
    task = FlipFlop(bits=2, step=5.0)
    of_weights, of_network, of_fit = jax.random.split(jax.random.key(0), 3)
    weights = Dense.random(UNITS, gain=1.5, key=of_weights)
    circuit = CurrentNetwork(weights, bias=np.zeros(UNITS), tau=10.0)
    network = rnnjax.TaskNetwork.random(circuit, task, key=of_network)
    return rnnjax.fit(
        network, trained, rnnjax.OnTask(task, batch=32), steps=STEPS, key=of_fit,
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(3e-3)),
        validate_every=EVERY, audit=rnnjax.every(EVERY, duration=8e3, step=5.0),
    )  # fmt: skip


def seen(audits, k, network):
    """The equilibria of audit k through the readout of a network, and which of them are stable."""
    found = audits.found[k]
    weights, bias = np.asarray(network.readout.weights), np.asarray(network.readout.bias)
    return audits.states[k][found] @ weights.T + bias, audits.growth_rates[k][found] < 0


def trial(network):
    """The outputs of the network during one trial."""
    task = FlipFlop(bits=2, step=5.0, duration=2000.0)
    return rnnjax.perform(network, task, key=jax.random.key(3), trials=1)[0].outputs


def draw(fit):
    """Loss and dynamics on one axis; the equilibria at three times."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.7, 1.0))
    above, below = left.subplots(2, 1, sharex=True)
    rnnjax.plot.fit(fit, above).legend(loc="upper right")
    rnnjax.plot.audit(fit.audits, below).legend(loc="center right", bbox_to_anchor=(1.0, 0.37))
    above.set_xlabel("")
    below.set_xlabel("step of training")
    axes = right.subplots(len(SHOWN), 1, sharex=True, sharey=True)
    for step, ax in zip(SHOWN, axes, strict=True):
        if step == STEPS:
            ax.plot(*trial(fit.circuit).T, color="0.8", linewidth=0.5, zorder=0)
        points, stable = seen(fit.audits, step // EVERY, fit.circuit)
        ax.plot(*points[~stable].T, "o", color=BLUE, markersize=4, markerfacecolor="white")
        ax.plot(*points[stable].T, "o", color=BLUE, markersize=4)
        ax.set_title(f"after {step} steps: {stable.sum()} stable of {len(points)}")
        ax.set(aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1), ylabel="output 2")
    axes[-1].set_xlabel("output 1 (of the last readout)")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    rnnjax.tune_cpu()
    fit = learn()
    print(fit)
    for k, step in enumerate(fit.audits.steps):
        print(
            f"step {step:4d}: {fit.audits.stable[k]} stable equilibria of {fit.audits.found[k].sum()}, "
            f"leading exponent {1e3 * fit.audits.exponents[k]:6.1f} +- "
            f"{1e3 * fit.audits.exponent_errors[k]:.1f} per s"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        draw(fit).savefig(options.out / "train_and_audit.png")


if __name__ == "__main__":
    main()
