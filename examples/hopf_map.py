"""How firing can begin: the Hopf points of 4096 Morris-Lecar neurons, counted, placed and classified.

At every point of a grid of two parameters of the potassium channels the equilibria are followed along
the current, all diagrams in one compiled program. The two sets of Rinzel and Ermentrout (1998) that
differ in phi alone lie on the map: firing begins on a saddle-node on the cycle or at a homoclinic
orbit. The expected numbers are computed (Newton's method on the defining systems, 40 digits).
"""

import argparse
import time
from pathlib import Path

import equinox as eqx
import matplotlib as mpl
import matplotlib.patheffects
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import MorrisLecar

STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "savefig.dpi": 200}
BOUNDS = (-300.0, 600.0)
SETS = {"SNIC": (12.0, 0.067, 97.64616392152591), "homoclinic": (12.0, 0.23, 36.31621749620345)}
# (supercritical, subcritical): what it is called
CATEGORIES = {
    (0, 0): "none", (1, 0): "supercritical", (0, 1): "subcritical",
    (2, 0): "two_supercritical", (1, 1): "one_of_each", (0, 2): "two_subcritical",
}  # fmt: skip


def current(circuit):
    """The current into the cell."""
    return circuit.current


def v_3(circuit):
    """The potential at which half of the potassium channels open."""
    return circuit.v_3


def phi(circuit):
    """The rate of the potassium channels."""
    return circuit.phi


def rest(circuit):
    """Equilibria along the current."""
    return rnnjax.continue_equilibria(circuit, current, bounds=BOUNDS, max_bifurcations=4)


def neuron(v_3=12.0, phi=0.067):
    """One neuron of the map; its branch begins at the lowest current."""
    return MorrisLecar.snic(current=BOUNDS[0], v_3=v_3, phi=phi)


def diagrams(size):
    """All diagrams of the grid."""
    over = [
        rnnjax.axis(v_3, np.linspace(-10.0, 20.0, size)),
        rnnjax.axis(phi, np.geomspace(0.01, 0.5, size)),
    ]
    return rnnjax.sweep(neuron(), {"rest": rest}, over, dtype="float64")


def code(array, meaning):
    """The number that stands for a meaning."""
    meanings = array.attrs["flag_meanings"].split()
    return array.attrs["flag_values"][meanings.index(meaning)]


def hopf_points(data, kind=None):
    """Which of the points are Hopf points, of a kind if one is given."""
    found = data.rest_label == code(data.rest_label, "H")
    return found if kind is None else found & (data.rest_kind == code(data.rest_kind, kind))


def categories(data):
    """How many Hopf points of which kind each diagram has."""
    found = data.rest_count_H.copy(data=np.full(data.rest_count_H.shape, np.nan))
    found.attrs = {
        "long_name": "Hopf points",
        "flag_values": list(range(len(CATEGORIES))),
        "flag_meanings": " ".join(CATEGORIES.values()),
    }
    counts = [
        hopf_points(data, kind).sum("rest_bifurcation") for kind in ("supercritical", "subcritical")
    ]
    for number, wanted in enumerate(CATEGORIES):
        here = (counts[0] == wanted[0]) & (counts[1] == wanted[1]) & (data.status == 0)
        found = found.where(~here, number)
    return found


def onset(data):
    """The lowest current at which there is a Hopf point."""
    lowest = data.rest_at.where(hopf_points(data)).min("rest_bifurcation", keep_attrs=True)
    return lowest.assign_attrs(long_name="current at the first Hopf point")


def draw(data):
    """How many of which kind, and where."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    kinds, places = figure.subplots(1, 2)
    folds = {"two folds to the right": (data.rest_count_LP, 1.0)}
    rnnjax.plot.sweep_map(categories(data), kinds, contours=folds)
    kinds.set_title(f"Hopf points on {data.status.size} diagrams along the current")
    rnnjax.plot.sweep_map(onset(data), places, contours=folds)
    places.set_title("Where the first of them is")
    halo = [matplotlib.patheffects.withStroke(linewidth=2.5, foreground="white")]
    for ax in (kinds, places):
        for name, (x, y, _) in SETS.items():
            ax.plot(x, y, "o", ms=5, mfc="white", mec="black")
            ax.annotate(
                name, (x, y), (6, 0), textcoords="offset points", va="center", path_effects=halo
            )
    return figure


def largest_difference(data, count=8):
    """Between the map and single diagrams at random points of the grid, parameter and coefficient."""
    worst = 0.0
    for i, j in np.random.default_rng(0).integers(data.status.shape, size=(count, 2)):
        here = data.isel(v_3=i, phi=j)
        alone = rest(neuron(float(here.v_3), float(here.phi))).bifurcations
        assert len(alone) == int((here.rest_label >= 0).sum())
        for k, point in enumerate(alone):
            for found, exact in (
                (here.rest_at[k], point.parameter),
                (here.rest_coefficient[k], point.coefficient),
            ):
                worst = max(worst, abs(float(found) - float(exact)) / max(1, abs(float(exact))))
    return worst


def zeros_of_the_trace(v_3, phi):
    """The number of Hopf points, by scanning the potential.

    At rest w is that of the potential and the current a function of it; where that rises the
    determinant is positive, and a zero of the trace a Hopf point.
    """
    c = neuron(v_3, phi)
    v = np.linspace(-150.0, 150.0, 30001)
    m, w = ((1 + np.tanh((v - a) / b)) / 2 for a, b in ((c.v_1, c.v_2), (c.v_3, c.v_4)))
    slope_m, slope_w = 2 * m * (1 - m) / c.v_2, 2 * w * (1 - w) / c.v_4
    through = c.g_ca * m * (v - c.e_ca) + c.g_k * w * (v - c.e_k) + c.g_l * (v - c.e_l)
    at_once = c.g_ca * (m + slope_m * (v - c.e_ca)) + c.g_k * w + c.g_l
    slope = at_once + c.g_k * slope_w * (v - c.e_k)
    trace = -at_once / c.capacitance - c.phi * np.cosh((v - c.v_3) / (2 * c.v_4))
    within = (through > BOUNDS[0]) & (through < BOUNDS[1])
    zeros = np.flatnonzero(np.diff(trace > 0) & within[:-1])
    share = trace[zeros] / (trace[zeros] - trace[zeros + 1])
    return int((slope[zeros] + share * np.diff(slope)[zeros] > 0).sum())


def print_table(data):
    """Expected, found and their difference; how many diagrams there are of each kind."""
    print(f"{'last Hopf point':24}{'expected':>18}{'found':>18}{'error':>10}")
    for name, (x, y, expected) in SETS.items():
        points = rest(eqx.tree_at(lambda c: (c.v_3, c.phi), neuron(), (np.array(x), np.array(y))))
        found = [float(b.parameter) for b in points.bifurcations if b.label == "H"][-1]
        print(f"{name:24}{expected:18.12g}{found:18.12g}{abs(found - expected):10.1e}")
    kinds = categories(data)
    for number, name in enumerate(CATEGORIES.values()):
        print(f"{name.replace('_', ' '):24}{int((kinds == number).sum()):18d} diagrams")
    expected = [[zeros_of_the_trace(x, y) for y in data.phi.values] for x in data.v_3.values]
    wrong = int((data.rest_count_H != np.array(expected)).sum())
    print(f"diagrams with another number than the trace has zeros: {wrong}")
    print(f"largest difference from diagrams one at a time: {largest_difference(data):.1e}")


def main(out="out", size=64):
    """Follow, compare and draw; gives the path of the picture."""
    begun = time.perf_counter()
    data = diagrams(size)
    spent = time.perf_counter() - begun
    print(f"{size**2} diagrams in {spent:.0f} s, compiling included")
    print_table(data)
    with mpl.rc_context(STYLE):
        path = Path(out) / "hopf_map.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(data).savefig(path)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    parser.add_argument("--size", type=int, default=64, help="diagrams along each axis")
    given = parser.parse_args()
    main(given.out, given.size)
