"""All fixed points, with a proof that there are no others.

Smooth circuits: interval Newton steps in a box. The Wilson-Cowan circuit at P = 1, and the
Morris-Lecar neuron (Rinzel and Ermentrout 1998, the set with a fold on a cycle) at 57 currents: one
or three equilibria, and at the two folds what can't be decided is said. Threshold-linear networks:
every set of active units. Combinatorial networks of Curto and Morrison, and the rectified ring of
Dayan and Abbott (2001). The expected numbers are computed (40 digits; counting rules), not read.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax import Stability
from rnnjax.circuits import (
    MorrisLecar,
    MorrisLecarState,
    RateNetwork,
    WilsonCowan,
    WilsonCowanState,
)
from rnnjax.connectivity import Cosine, Dense

STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 150,
}  # fmt: skip
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "0.6"
STABLE = (Stability.STABLE_NODE, Stability.STABLE_FOCUS)
REST = [0.028254829135443, 0.092069613763632, 0.170792990634709]
FOLDS = (-9.949039322623065, 39.96315309274535)
CELL = MorrisLecarState(-100.0, -0.5), MorrisLecarState(120.0, 1.5)
CYCLE = [(0, 1), (1, 2), (2, 0)]
GRAPHS = {  # edges, nodes, how many fixed points
    "a 3-cycle": (CYCLE, 3, 1),
    "a clique of 4": ([(i, j) for i in range(4) for j in range(4) if i != j], 4, 1),
    "4 isolated nodes": ([], 4, 15),
    "two 3-cycles": (CYCLE + [(i + 3, j + 3) for i, j in CYCLE], 6, 3),
    "a tournament of 5": ([(k, (k + d) % 5) for k in range(5) for d in (1, 2)], 5, 1),
    "six 3-cycles": ([(i + 3 * k, j + 3 * k) for k in range(6) for i, j in CYCLE], 18, 63),
}


def combinatorial(edges, nodes):
    """The network of a graph: weak inhibition along its edges, strong inhibition elsewhere."""
    weights = np.full((nodes, nodes), -1.5)
    for sender, receiver in edges:
        weights[receiver, sender] = -0.75
    np.fill_diagonal(weights, 0)
    return RateNetwork(Dense(weights), bias=1.0, tau=1.0)


def draw_plane(axes):
    """Nullclines and all equilibria of Wilson-Cowan; gives the latter."""
    circuit = WilsonCowan(p=1.0)
    box = WilsonCowanState(-0.5, -0.5), WilsonCowanState(0.6, 0.6)
    found = rnnjax.enumerate_equilibria(circuit, box=box)
    field = rnnjax.vector_field(circuit, x=(-0.05, 0.35), y=(-0.05, 0.3))
    rnnjax.plot.phase_plane(field, axes, equilibria=found)
    axes.set_title(f"Wilson-Cowan, P = 1: {len(found)} equilibria, {found.certificate.summary}")
    return found


def draw_currents(axes):
    """Every equilibrium at each current, and what is left open; gives the counts."""
    currents = np.sort([*np.linspace(-30.0, 80.0, 55), *FOLDS])
    counts = []
    for current in currents:
        found = rnnjax.enumerate_equilibria(MorrisLecar.snic(current=current), box=CELL)
        for v, kind in zip(found.states.v, found.stability, strict=True):
            fill = BLUE if kind in STABLE else "white"
            axes.plot(current, v, "o", ms=4, color=BLUE, mfc=fill, mew=0.8)
        low, high = found.certificate.open_low.v, found.certificate.open_high.v
        axes.plot([current] * len(low), (low + high) / 2, "x", ms=7, color=ORANGE)
        counts.append((len(found), len(low)))
    axes.plot([], [], "o", ms=4, color=BLUE, label="stable")
    axes.plot([], [], "o", ms=4, color=BLUE, mfc="white", mew=0.8, label="unstable")
    axes.plot([], [], "x", ms=7, color=ORANGE, label="open: a fold")
    axes.legend(loc="lower right")
    axes.set(xlabel="current (uA/cm2)", ylabel="v (mV)", title="Morris-Lecar: all at each current")
    return dict(zip(currents, counts, strict=True))


def draw_supports(axes):
    """The fixed points of two graphs, one row each."""
    names = ("4 isolated nodes", "two 3-cycles")
    found = [rnnjax.enumerate_equilibria(combinatorial(*GRAPHS[name][:2])).states for name in names]
    rates = np.full((sum(map(len, found)) + 1, 6), np.nan)
    rates[: len(found[0]), :4], rates[len(found[0]) + 1 :] = found
    shown = axes.imshow(np.ma.masked_less_equal(rates, 0), aspect="auto", cmap="viridis")
    axes.figure.colorbar(shown, ax=axes, label="rate", shrink=0.8)
    axes.axhline(len(found[0]), color=GRAY, lw=0.8)
    for row, name in ((7, names[0]), (len(rates) - 2, names[1])):
        axes.text(-0.75, row, name, rotation=90, ha="right", va="center")
    axes.set(
        xlabel="unit", xticks=range(6), yticks=[],
        title="Fixed points of two graphs: all sets of active units tried",
    )  # fmt: skip
    axes.spines["left"].set_visible(False)


def draw_ring(axes, units=16):
    """All states of the rectified ring that a uniform drive sustains; gives them."""
    ring = RateNetwork(Cosine(lambda_1=1.9, size=units))
    found = rnnjax.enumerate_equilibria(ring, 1.0)
    angles = ring.connectivity.angles()
    for rates, kind in zip(found.states, found.stability, strict=True):
        color = BLUE if kind in STABLE else ORANGE
        bold = rates.argmax() == units // 2 or np.ptp(rates) < 1e-9
        axes.plot(angles, rates, color=color, lw=1.8 if bold else 0.6, alpha=1 if bold else 0.25)
    axes.plot([], [], color=BLUE, label="stable: between two units")
    axes.plot([], [], color=ORANGE, label="unstable: on a unit, or uniform")
    axes.legend(loc="upper right")
    axes.set(
        xlabel="preferred angle (degrees)", ylabel="rate (Hz)", ylim=(0, 34), xlim=(-180, 180),
        xticks=np.arange(-180, 181, 90),
        title=f"Rectified ring of {units}: {len(found)} equilibria, {found.certificate.summary}",
    )  # fmt: skip
    return found


def print_table(rows):
    """Expected, found and their difference."""
    print(f"{'':40}{'expected':>20}{'found':>20}{'error':>10}")
    for name, expected, found in rows:
        print(f"{name:40}{expected:20.15g}{found:20.15g}{abs(found - expected):10.1e}")


def main(out="out"):
    """Enumerate, compare and draw; gives the path of the picture."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 7), layout="constrained")
        (currents, plane), (ring, supports) = figure.subplots(2, 2)
        pair = draw_plane(plane)
        counts = draw_currents(currents)
        draw_supports(supports)
        bumps = draw_ring(ring)
        path = Path(out) / "all_fixed_points.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    rows = [
        (f"Wilson-Cowan: e of equilibrium {k + 1}", expected, float(e))
        for k, (expected, e) in enumerate(zip(REST, pair.states.e, strict=True))
    ]
    for current, (known, left_open) in counts.items():
        expected = 3 if FOLDS[0] < current < FOLDS[1] else 1
        if current in FOLDS:
            rows.append((f"Morris-Lecar at the fold {current:.6f}: open", 1, left_open))
        elif (known, left_open) != (expected, 0):
            rows.append((f"Morris-Lecar at {current:.6f}", expected, known))
    for name, (edges, nodes, expected) in GRAPHS.items():
        found = rnnjax.enumerate_equilibria(combinatorial(edges, nodes))
        rows.append((f"fixed points of {name}", expected, len(found)))
        assert found.complete
    rows.append(("ring of 16: bumps and the uniform state", 33, len(bumps)))
    print_table(rows)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(parser.parse_args().out)
