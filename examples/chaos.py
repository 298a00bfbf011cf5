"""Is it chaotic? Lyapunov exponents with their errors: networks at the onset of chaos, a map of regimes.

Random networks become chaotic as their gain passes 1 (Sompolinsky, Crisanti and Sommers 1988), where the
leading exponent of a very large network is (g - 1)^2 / 2; a small network may be chaotic for a thousand time
constants and then settle to a rhythm; and a Hindmarsh-Rose neuron rests, spikes, bursts or is chaotic.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import CurrentNetwork, HindmarshRose
from rnnjax.connectivity import Dense
from rnnjax.solvers import RK4

STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "savefig.dpi": 200}
GAINS = np.array([0.9, 1.05, 1.15, 1.25, 1.4, 1.6, 1.8, 2.0])


class RandomNetwork(rnnjax.AbstractCircuit):
    r"""$\dot x = -x + g J \tanh x + u$, time in time constants, $J$ of variance $1 / N$."""

    weights: Any
    gain: Any = rnnjax.parameter(1.0, "1")

    def __call__(self, x, input):
        return -x + self.gain * (self.weights @ jnp.tanh(x)) + input

    def rest(self):
        return jnp.zeros(self.weights.shape[0])


def leading(units, seed, duration, step=0.1):
    """The leading exponent and its error at every gain, of one random network."""
    random = np.random.RandomState(seed)
    circuit = RandomNetwork(random.randn(units, units) / np.sqrt(units))
    start = random.randn(units)

    @jax.jit
    @jax.vmap
    def spectrum(gain):
        return rnnjax.lyapunov_exponents(
            eqx.tree_at(lambda c: c.gain, circuit, gain), duration, step=step, count=1, start=start,
            solver=RK4(), transient=0.2 * duration, blocks=40,
        )  # fmt: skip

    with jax.enable_x64(True):
        found = spectrum(jnp.asarray(GAINS))
    return np.asarray(found.exponents)[:, 0], np.asarray(found.standard_errors)[:, 0]


def transient(units=100, gain=3.0, seed=0, duration=6000.0):
    """Exponents of a network whose chaos ends."""
    random = np.random.RandomState(seed)
    weights = random.randn(units, units) * gain / np.sqrt(units)
    return rnnjax.lyapunov_exponents(
        CurrentNetwork(Dense(weights)), duration, step=0.05, count=2, start=random.randn(units),
        solver=RK4(), transient=0.0,
    )  # fmt: skip


def neuron(circuit):
    """What a neuron settles to."""
    return rnnjax.lyapunov_exponents(
        circuit,
        16_000.0,
        step=0.05,
        count=2,
        solver=RK4(),
        transient=4000.0,
        blocks=25,
        throw=False,
    )


def regimes(size):
    """Of Hindmarsh-Rose neurons over the current and the strength of their adaptation."""
    over = [
        rnnjax.axis(lambda c: c.current, np.linspace(1.0, 4.0, size), name="current"),
        rnnjax.axis(lambda c: c.b, np.linspace(2.6, 3.3, 2 * size // 3), name="b"),
    ]
    return rnnjax.sweep(HindmarshRose(), {"neuron": neuron}, over, dtype="float64")


def draw(onset, dying, data, units):
    """Onset, transient chaos and the map."""
    figure = Figure(figsize=(12.5, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.25, 1.3))
    for seed, (value, error) in enumerate(onset):
        label = f"{units} units, {len(onset)} seeds" if seed == 0 else None
        left.errorbar(
            GAINS, value, 2 * error, fmt="o", ms=3, color="#0072B2", alpha=0.7, label=label
        )
    near = np.linspace(1.0, 1.5, 100)
    left.plot(
        near, (near - 1) ** 2 / 2, color="#D55E00", label="$(g - 1)^2 / 2$, N large, g near 1"
    )
    left.axhline(0, color="0.85", zorder=0)
    left.set(
        xlabel="gain g", ylabel="leading exponent (1 / time constant)", title="the onset of chaos"
    )
    left.set_ylim(-0.12, None)
    left.legend(fontsize=7, frameon=False)
    rnnjax.plot.lyapunov(dying, middle)
    middle.set(title="chaos that ends (100 units)", xlabel="time (time constants)")
    rnnjax.plot.sweep_map(data.neuron_regime, right)
    right.set_title("Hindmarsh-Rose neurons")
    return figure


def main(out="out", units=1000, seeds=3, duration=300.0, size=60):
    """Compute, tell and draw; gives the path of the picture."""
    onset = []
    for seed in range(seeds):
        begun = time.perf_counter()
        onset.append(leading(units, seed, duration))
        spent = time.perf_counter() - begun
        values = ", ".join(
            f"{g:g}: {x:.4f} ± {e:.4f}" for g, x, e in zip(GAINS, *onset[-1], strict=True)
        )
        print(f"{units} units, seed {seed}, {spent:.0f} s: {values}")
    dying = transient()
    print(f"100 units, gain 3, seed 0: {dying}")
    begun = time.perf_counter()
    data = regimes(size)
    print(f"{data.neuron_regime.size} neurons in {time.perf_counter() - begun:.0f} s")
    with mpl.rc_context(STYLE):
        path = Path(out) / "chaos.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(onset, dying, data, units).savefig(path)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    parser.add_argument("--units", type=int, default=1000, help="of the large networks")
    parser.add_argument("--seeds", type=int, default=3, help="of them")
    parser.add_argument("--size", type=int, default=60, help="neurons along the current")
    given = parser.parse_args()
    main(given.out, given.units, given.seeds, size=given.size)
