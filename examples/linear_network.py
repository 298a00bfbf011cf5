"""The linear network: modes that amplify, integrate or explode.

Dayan and Abbott (2001), section 7.4. Each eigenmode of symmetric weights with eigenvalue lambda
amplifies its share of the input 1 / (1 - lambda) times and is slower by the same factor. At
lambda = 1 the network integrates, above 1 it explodes. The simulation is compared with the
solution in closed form. The 20 random units and tau = 10 ms are our choice.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import LinearNetwork
from rnnjax.connectivity import Cosine, Symmetric
from rnnjax.inputs import Pulse

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "0.6"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip


def random_network():
    """Twenty units, symmetric weights of spectral radius 0.9."""
    weights = np.random.default_rng(0).normal(size=(20, 20))
    weights = (weights + weights.T) / 2
    return LinearNetwork(Symmetric(weights * 0.9 / np.abs(np.linalg.eigvalsh(weights)).max()))


def draw_modes(axes, network, drive):
    """Coefficients of three modes, in closed form and simulated; gives the largest difference."""
    times, modes = np.arange(0, 401, 2.0), network.modes()
    run = rnnjax.simulate(network, times, drive, rtol=1e-9, atol=1e-9, dtype="float64")
    closed = modes.coefficients(times, drive)
    found = run.states @ modes.left.T
    for k, color in ((0, ORANGE), (9, GREEN), (19, BLUE)):
        share = modes.left[k] @ drive
        axes.plot(times, closed[:, k] / share, color=color)
        axes.plot(times[::10], found[::10, k] / share, "o", ms=3.5, color=color, mfc="white")
        axes.annotate(
            rf"$\lambda$ = ${modes.eigenvalues[k]:.2f}$", (400, closed[-1, k] / share), color=color,
            xytext=(0, 6 if k == 9 else -14), textcoords="offset points", ha="right",
        )  # fmt: skip
    axes.set(
        xlabel="time (ms)", ylabel="mode / its input", ylim=(-0.5, 8.5), xlim=(0, 400),
        title="Each mode at its own pace",
    )  # fmt: skip
    return np.abs(run.states - modes.solution(times, drive)).max()


def draw_amplification(axes, network, drive):
    """Measured and predicted amplification of all modes; gives the largest relative error."""
    modes = network.modes()
    times = np.array([0.0, 4000.0])
    final = rnnjax.simulate(network, times, drive, step=2.0, dtype="float64").final
    found = (modes.left @ final) / (modes.left @ drive)
    line = np.linspace(-0.95, 0.92, 200)
    axes.plot(line, 1 / (1 - line), color=GRAY, label=r"$1 / (1 - \lambda)$")
    axes.plot(modes.eigenvalues, found, "o", ms=4, color=BLUE, label="simulated, 20 modes")
    axes.set(xlabel=r"eigenvalue $\lambda$", ylabel="amplification", title="Amplification")
    axes.legend()
    return np.abs(found / modes.amplification - 1).max()


def draw_integrator(axes):
    """A pulse and the integral that outlasts it; gives the value held and its drift."""
    ring = LinearNetwork(Cosine(lambda_1=1.0))
    profile = np.cos(np.deg2rad(ring.connectivity.angles()))
    times = np.arange(0, 1301, 10.0)
    pulse = Pulse(2 * profile, onset=100.0, duration=100.0)
    run = rnnjax.simulate(ring, times, pulse, rtol=1e-11, atol=1e-11, dtype="float64")
    peak = run.states.max(axis=1)
    held = peak[times >= 300]
    axes.axvspan(100, 200, color="0.9", lw=0)
    axes.text(215, 0.4, "input: 2 Hz for 100 ms", color="0.4")
    axes.plot(times, peak, color=BLUE)
    axes.set(
        xlabel="time (ms)", ylabel="peak rate (Hz)", title=r"$\lambda$ = 1 integrates and holds",
    )  # fmt: skip
    return held[0], np.abs(held / held[0] - 1).max()


def draw_explosion(axes):
    """A mode with lambda = 1.5 grows until the run fails; gives its growth rate (1/s)."""
    ring = LinearNetwork(Cosine(lambda_1=1.5, size=20))
    drive = np.cos(np.deg2rad(ring.connectivity.angles()))
    times = np.arange(0, 16_001, 200.0)
    run = rnnjax.simulate(ring, times, drive, step=1.0, dtype="float64", throw=False)
    peak = run.states.max(axis=1)
    well = np.isfinite(peak) & (peak > 0)
    log = np.log10(peak[well])
    axes.plot(times[well] / 1000, log, color=ORANGE)
    axes.axhline(np.log10(np.finfo(float).max), color=GRAY, lw=1)
    axes.text(0.2, 300, "largest float64", color="0.4", va="top")
    at, status = run.failed_at / 1000, rnnjax.Status(int(run.status)).name
    axes.axvline(at, color=GRAY, ls="--", lw=1)
    axes.text(at - 0.2, 5, f"status {status}", rotation=90, ha="right", color="0.4")
    axes.set(
        xlabel="time (s)", ylabel=r"$\log_{10}$ of peak rate (Hz)", xlim=(0, 16),
        title=rf"$\lambda$ = 1.5 {ring.modes().verdicts[0]}",
    )  # fmt: skip
    return np.polyfit(times[well][5:] / 1000, np.log(10) * log[5:], 1)[0]


def print_table(rows):
    """Expected, found and their difference."""
    print(f"{'':44}{'expected':>14}{'found':>14}{'error':>11}")
    for name, expected, found in rows:
        print(f"{name:44}{expected:14.7g}{found:14.7g}{abs(found - expected):11.1e}")


def main(out="out"):
    """Simulate, compare and draw; gives the path of the picture."""
    network, drive = random_network(), np.random.default_rng(1).normal(size=20)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 5.6), layout="constrained")
        (modes, gain), (integrator, explosion) = figure.subplots(2, 2)
        difference = draw_modes(modes, network, drive)
        gain_error = draw_amplification(gain, network, drive)
        held, drift = draw_integrator(integrator)
        growth = draw_explosion(explosion)
        path = Path(out) / "linear_network.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    print_table(
        [
            ("closed form - simulation, largest (Hz)", 0, difference),
            ("amplification, largest relative error", 0, gain_error),
            ("integral of 2 Hz for 100 ms over 10 ms (Hz)", 20, held),
            ("its relative drift in 1 s", 0, drift),
            ("lambda = 1.5: growth rate (1/s)", 50, growth),
        ]
    )  # fmt: skip
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(parser.parse_args().out)
