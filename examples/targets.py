"""Three targets, one network: an integrator, a choice between two groups, and a 40 Hz oscillator.

Twenty rate units with random weights, four in five excitatory, have rates relative to a baseline. Their
weights are fitted three times, to properties of the dynamics and not to trajectories: one time constant of
2 s at the equilibrium; two stable states, in each of which one group of excitatory units is active, and an
unstable one between them; an oscillation at 40 Hz. Each unit stays excitatory or inhibitory throughout.
At the end the networks are simulated. A test system of ours, not a published circuit.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import RateNetwork, tanh
from rnnjax.connectivity import Dale
from rnnjax.targets import HasEigenvalues, OscillatesAt, RestsAt, TimeConstant

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "0.6"
STYLE = {
    "font.size": 8, "axes.titlesize": 8, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
UNITS, EXCITATORY = 20, 16
SLOW, FREQUENCY = 2000.0, 40.0  # ms, Hz
A, B = np.arange(0, 8), np.arange(8, 16)  # the groups
PULSES = ((500.0, 1.0), (1500.0, 1.0), (2500.0, -1.0))  # ms, sign
WIDTH = 100.0  # ms


def network(seed=1):
    """A random network that obeys Dale's law."""
    weights = Dale.random(UNITS, key=jax.random.key(seed), gain=0.6)
    return RateNetwork(weights, tanh)


def strengths(circuit):
    """What is trained."""
    return circuit.connectivity.weights


def states():
    """Rates of the two states to choose between, and of the one in the middle."""
    found = np.zeros((3, UNITS))
    found[0, A], found[0, B] = 0.8, -0.8
    found[1] = -found[0]
    return found


def targets():
    """What is asked for, with the number of steps and the learning rate."""
    chosen, middle = states()[:2], states()[2]
    # how fast the difference of the groups grows follows from where it ends; all else shall decay
    grows = (np.arctanh(0.8) / 0.8 - 1) / 10.0
    choice = 10.0 * RestsAt(chosen, growth_rate=-0.04) + HasEigenvalues([grows, -0.04], middle)
    return {
        "integrator": (TimeConstant(SLOW, others=0.02), 400, 2e-2),
        "choice": (choice, 400, 2e-2),
        "oscillator": (OscillatesAt(FREQUENCY, intervals=16), 60, 3e-2),
    }


def obeys(circuit):
    """Whether each unit still has the sign that it had."""
    signs = circuit.connectivity.signs()
    return bool((np.asarray(circuit.connectivity.matrix()) * signs >= 0).all())


def trained(circuit):
    """The three networks, by name, and their losses."""
    found = {}
    for name, (target, steps, rate) in targets().items():
        begun = time.perf_counter()
        fit = rnnjax.fit(
            circuit, strengths, target, steps=steps, dtype="float64",
            optimizer=optax.adam(optax.cosine_decay_schedule(rate, steps)),
        )  # fmt: skip
        assert obeys(fit.circuit), "Dale's law is broken"
        print(f"{name}: {fit}, {time.perf_counter() - begun:.0f} s")
        found[name] = fit
    return found


def resting(circuit):
    """The equilibrium near rest, linearized."""
    return rnnjax.find_equilibria(circuit, guesses=np.zeros(UNITS)).linearizations[0]


def integrated(circuit, times):
    """What the slowest mode holds of pulses along it."""
    rest = resting(circuit)
    left = rest.left_eigenvectors[0].real
    direction = rest.eigenvectors[:, 0].real
    direction = direction / (left @ direction)

    def pulses(t):
        on = sum(sign * jnp.where((t >= at) & (t < at + WIDTH), 1.0, 0.0) for at, sign in PULSES)
        return 1e-4 * on * direction

    run = rnnjax.simulate(circuit, times, pulses, start=rest.state, step=1.0, dtype="float64")
    return (
        (np.asarray(run.states) - rest.state) @ left / 1e-3
    )  # in shares of what the first one adds


def choices(circuit, count=24):
    """The mean rates of both groups, from random starts."""
    random = np.random.default_rng(0)
    starts = 0.3 * random.normal(size=(count, UNITS))
    starts[:, A] += random.uniform(-0.8, 0.8, (count, 1))
    starts[:, B] += random.uniform(-0.8, 0.8, (count, 1))
    run = rnnjax.simulate(circuit, np.arange(0.0, 501.0), start=starts, dtype="float64")
    return np.asarray(run.states)[..., A].mean(-1), np.asarray(run.states)[..., B].mean(-1)


def wave(circuit, times):
    """The rates of three units."""
    start = np.linspace(0.5, -0.5, UNITS)
    run = rnnjax.simulate(circuit, times, start=start, dtype="float64")
    return np.asarray(run.states)[:, [0, 8, 17]]


def spectrum(axes, before, after, label="after"):
    """Eigenvalues before and after."""
    axes.axvline(0, color="0.85", lw=1, zorder=0)
    axes.plot(before.real, before.imag, "o", ms=3, color=GRAY, label="before")
    axes.plot(after.real, after.imag, "o", ms=3.5, color=BLUE, label=label)
    largest = max(abs(before.imag).max(), abs(after.imag).max(), 0.05)
    axes.set(xlabel="real part (1/ms)", ylabel="imaginary part (1/ms)")
    axes.set_ylim(-1.2 * largest, 2.6 * largest)


def draw(before, after):
    """One row per target: before, after, eigenvalues."""
    figure = Figure(figsize=(8, 6.4), layout="constrained")
    rows = figure.subplots(3, 3)
    times = np.arange(0.0, 4001.0, 5.0)
    for axes, circuit, name in (
        (rows[0, 0], before, "before"), (rows[0, 1], after["integrator"], "after"),
    ):  # fmt: skip
        for at, sign in PULSES:
            axes.axvspan(
                at / 1000,
                (at + WIDTH) / 1000,
                color=GREEN if sign > 0 else ORANGE,
                alpha=0.25,
                lw=0,
            )
        held = integrated(circuit, times)
        axes.plot(times / 1000, held, color=BLUE)
        axes.set(xlabel="time (s)", ylabel="held by the slowest mode", title=f"integrator, {name}")
    for axes in rows[0, :2]:
        axes.set_ylim(-1.2, 2.1)
    old = resting(before).eigenvalues
    new = resting(after["integrator"])
    spectrum(rows[0, 2], old, new.eigenvalues)
    rows[0, 2].set_title(f"slowest: {float(new.time_constant):.0f} ms")
    rows[0, 2].legend(loc="upper left")
    for axes, circuit, name in (
        (rows[1, 0], before, "before"), (rows[1, 1], after["choice"], "after"),
    ):  # fmt: skip
        a, b = choices(circuit)
        axes.plot(a.T, b.T, color=BLUE, lw=0.6, alpha=0.7)
        axes.plot(a[:, -1], b[:, -1], "o", ms=4, color=BLUE)
        x, y = states()[:, A].mean(1), states()[:, B].mean(1)
        axes.plot(x[:2], y[:2], "o", ms=9, mfc="none", color=ORANGE, label="asked for: stable")
        axes.plot(x[2:], y[2:], "x", ms=6, color=ORANGE, label="asked for: unstable")
        axes.set(xlabel="mean rate of group A", ylabel="mean rate of group B", title=f"choice, {name}",
                 xlim=(-1.05, 1.05), ylim=(-1.05, 1.8))  # fmt: skip
    rows[1, 0].legend(loc="upper right")
    ends = [rnnjax.linearize(after["choice"], x).eigenvalues for x in states()]
    spectrum(rows[1, 2], old, np.concatenate(ends[:2]), "after, both ends")
    rows[1, 2].plot(ends[2].real, ends[2].imag, "x", ms=4, color=ORANGE, label="after, middle")
    tallest = np.abs(np.concatenate(ends).imag).max()
    rows[1, 2].set_ylim(-1.2 * tallest, 3.2 * tallest)
    rows[1, 2].set_title("stable ends, unstable middle")
    rows[1, 2].legend(loc="upper left")
    times = np.arange(0.0, 200.5, 0.5)
    for axes, circuit, name in (
        (rows[2, 0], before, "before"), (rows[2, 1], after["oscillator"], "after"),
    ):  # fmt: skip
        for values, color in zip(wave(circuit, times).T, (BLUE, GREEN, ORANGE), strict=True):
            axes.plot(times, values, color=color)
        axes.set(xlabel="time (ms)", ylabel="rates of three units", ylim=(-1.05, 1.05))
        axes.set_title(f"oscillator, {name}")
    spectrum(rows[2, 2], old, resting(after["oscillator"]).eigenvalues)
    turn = 2 * np.pi * FREQUENCY / 1000
    for sign in (1, -1):
        rows[2, 2].axhline(sign * turn, color=ORANGE, lw=0.8, ls="--", zorder=0)
    rows[2, 2].text(0.02, turn, f"{FREQUENCY:g} Hz", color=ORANGE, va="bottom",
                    transform=rows[2, 2].get_yaxis_transform())  # fmt: skip
    return figure


def main(out="out"):
    """Train, check and draw; gives the path of the picture."""
    before = network()
    print(f"before: {resting(before)}")
    found = trained(before)
    after = {name: fit.circuit for name, fit in found.items()}
    slow = resting(after["integrator"])
    print(f"integrator: asked for {SLOW:.0f} ms, found {float(slow.time_constant):.3f} ms, "
          f"the next {-1 / slow.eigenvalues[1].real:.1f} ms")  # fmt: skip
    rest = rnnjax.find_equilibria(after["choice"], guesses=states())
    for state, kind in zip(states(), ("end A", "end B", "middle"), strict=True):
        off = min(np.abs(rest[k] - state).max() for k in range(len(rest)))
        rate = float(rnnjax.linearize(after["choice"], state).growth_rate)
        print(f"choice, {kind}: an equilibrium within {off:.1e}, growth rate {rate:.4f} per ms")
    times = np.arange(0.0, 500.0, 0.25)
    run = rnnjax.simulate(
        after["oscillator"], times, start=np.linspace(0.5, -0.5, UNITS), dtype="float64"
    )
    orbit = rnnjax.find_orbit(after["oscillator"], run, intervals=32)
    print(f"oscillator: asked for {FREQUENCY:g} Hz, found {float(orbit.frequency):.6f} Hz, "
          f"{'stable' if orbit.stable else 'unstable'}")  # fmt: skip
    with mpl.rc_context(STYLE):
        path = Path(out) / "targets.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure = draw(before, after)
        figure.axes[-1].set_title(f"the orbit: {float(orbit.frequency):.4f} Hz")
        figure.savefig(path)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    given = parser.parse_args()
    main(given.out)
