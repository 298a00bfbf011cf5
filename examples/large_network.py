"""A thousand units without a Jacobian: rest, leading eigenvalues, and where oscillation begins.

Random weights of gain 1.2 with a bias: the six eigenvalues with the largest real parts, beside all
thousand of the dense Jacobian. Weights of rank two whose overlap is gain (1 + 0.7 i): the origin
oscillates from gain 1 on, with frequency 0.7 / (2 pi tau), in closed form.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import AbstractConnectivity, Dense, LowRank

STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "savefig.dpi": 200}
UNITS, TAU, TURN = 1000, 10.0, 0.7


class Scaled(AbstractConnectivity):
    """Another connectivity times one number."""

    weights: Any
    gain: float = rnnjax.parameter(1.0, "1")

    def matrix(self):
        return self.gain * self.weights.matrix()

    def __call__(self, rates):
        return self.gain * self.weights(rates)

    @property
    def units(self):
        return self.weights.units


def gain(circuit):
    """The number that the branch follows."""
    return circuit.connectivity.gain


def random_network(units=UNITS):
    """Gaussian weights and a bias."""
    draw = np.random.default_rng(0).normal
    weights = 1.2 * draw(size=(units, units)) / np.sqrt(units)
    return CurrentNetwork(Dense(weights), bias=0.3 * draw(size=units), tau=TAU)


def planar_network(units=UNITS):
    """Weights of rank two that turn a plane; gain 0.5 to begin with."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(units, 2)))
    m, n = np.sqrt(units) * q.T
    weights = LowRank(np.stack([m, n], 1), np.stack([m - TURN * n, n + TURN * m], 1))
    return CurrentNetwork(Scaled(weights, 0.5), tau=TAU)


def timed(call):
    """The second of two calls, and its seconds: the first compiles."""
    call()
    begun = time.perf_counter()
    return call(), time.perf_counter() - begun


def table(rows):
    """Expected, found and their difference."""
    print(f"{'':34}{'expected':>20}{'found':>20}{'error':>10}")
    for name, expected, found in rows:
        print(f"{name:34}{expected:20.14g}{found:20.14g}{abs(found - expected):10.1e}")


def draw(every, leading, branch):
    """The spectrum, and the branch."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    spectrum, along = figure.subplots(1, 2)
    spectrum.plot(every.real, every.imag, ".", ms=2.5, color="0.7", label="dense Jacobian")
    spectrum.plot(leading.real, leading.imag, "o", mfc="none", color="C3", label="leading six")
    spectrum.axvline(0, color="k", lw=0.6)
    spectrum.set(xlabel="real part (1/ms)", ylabel="imaginary part (rad/ms)", aspect="equal")
    spectrum.set_title(f"{len(every)} random units at rest")
    spectrum.set_ylim(top=1.35 * every.imag.max())  # room for the legend
    spectrum.legend(frameon=False, loc="upper left", ncols=2, fontsize=8)
    along.axhline(0, color="k", lw=0.6)
    ends = branch.parameter[[0, -1]]
    along.plot(ends, (ends - 1) / TAU, color="0.7", lw=4, label="(gain - 1) / tau")
    along.plot(branch.parameter, branch.real[:, 0], ".-", color="C0", label="along the branch")
    for point in branch.crossings:
        along.plot(point.parameter, 0, "o", color="C3", ms=7, label=repr(point))
    along.set(xlabel="gain", ylabel="largest real part (1/ms)")
    along.set_title(f"{branch.states.shape[1]} units of rank two: where oscillation begins")
    along.legend(frameon=False, fontsize=8)
    return figure


def main(out="out", units=UNITS):
    """Find, follow, compare and draw; gives the path of the picture."""
    network = random_network(units)
    rest, spent = timed(lambda: rnnjax.find_equilibria(network, matrix_free=True))
    print(
        f"rest of {units} random units: {1000 * spent:.0f} ms, residual {rest.residual[0]:.0e}/ms"
    )
    leading, spent = timed(lambda: rnnjax.leading_eigenvalues(network, rest[0]))
    print(f"six leading eigenvalues: {1000 * spent:.0f} ms, {int(leading.products)} products")
    begun = time.perf_counter()
    every = rnnjax.linearize(network, rest[0]).eigenvalues
    print(f"all eigenvalues of the Jacobian: {1000 * (time.perf_counter() - begun):.0f} ms")
    branch, spent = timed(
        lambda: rnnjax.continue_large(planar_network(units), gain, bounds=(0.4, 1.6), count=3)
    )
    print(f"branch of rank two, {len(branch)} points: {1000 * spent:.0f} ms")
    rows = [(f"real part {k + 1} (1/ms)", every[k].real, leading.real[k]) for k in range(6)]
    (hopf,) = branch.crossings
    rows += [
        ("gain of the Hopf point", 1.0, float(hopf.parameter)),
        ("its frequency (Hz)", 1000 * TURN / (2 * np.pi * TAU), float(hopf.frequency)),
    ]
    table(rows)
    with mpl.rc_context(STYLE):
        path = Path(out) / "large_network.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(every, leading.values, branch).savefig(path)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    parser.add_argument("--units", type=int, default=UNITS, help="units of each network")
    given = parser.parse_args()
    main(given.out, given.units)
