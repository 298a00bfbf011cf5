"""How neurons begin to fire, with the rhythms: every periodic orbit of four neurons along the current.

The three sets of Rinzel and Ermentrout (1998) for the Morris-Lecar neuron, and Hodgkin and Huxley (1952)
with the leak reversal at -54.4 mV: orbits born at Hopf points, followed through folds and period
doublings to where they end, at another Hopf point, on a fold of equilibria (SNIC) or at a homoclinic
orbit. The expected numbers are those of AUTO-07p and of solvers in higher precision.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import HodgkinHuxley, MorrisLecar

STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "savefig.dpi": 200}
# circuit, bounds of the current, expected (label, current, period in ms)
NEURONS = {
    "Morris-Lecar: Hopf points": (
        MorrisLecar.hopf(), (0.0, 300.0),
        (("LPC", 88.293250543074, 135.3861436), ("LPC", 216.899801389431, 77.92905180)),
    ),
    "Morris-Lecar: a fold on the orbit (SNIC)": (
        MorrisLecar.snic(), (-30.0, 250.0), (("LPC", 115.948721487818, 37.03584848),),
    ),
    "Morris-Lecar: a homoclinic orbit": (
        MorrisLecar.homoclinic(), (-30.0, 60.0), (("LPC", 40.593351958291, 21.11005516),),
    ),
    "Hodgkin-Huxley": (
        HodgkinHuxley(e_l=-54.4), (-10.0, 180.0),
        (
            ("LPC", 7.846247120194, 16.7137969), ("PD", 7.849237414, 17.15852188),
            ("LPC", 7.921685494358, 20.7072957), ("LPC", 6.264221274509, 19.8952407),
        ),
    ),
}  # fmt: skip


def current(circuit):
    """The current into the cell."""
    return circuit.current


def followed(circuit, bounds, intervals=64):
    """Equilibria, and the orbits that are born at the first Hopf point."""
    rest = rnnjax.continue_equilibria(circuit, current, bounds=bounds)
    return rest, rnnjax.continue_orbits(
        circuit, current, rest.first("H"), bounds, intervals=intervals
    )


def draw(found):
    """One panel for each neuron."""
    figure = Figure(figsize=(11, 7.6), layout="constrained")
    for ax, (name, (rest, orbits)) in zip(
        figure.subplots(2, 2).ravel(), found.items(), strict=True
    ):
        rnnjax.plot.branches(rest, ax, unit="mV")
        rnnjax.plot.orbits(orbits, ax)
        ax.set_title(name)
        ax.set_xlabel("current")
    return figure


def table(found):
    """Expected, found and their difference."""
    print(f"{'':42}{'expected':>18}{'found':>18}{'error':>10}{'period (ms)':>14}")
    for name, (_, orbits) in found.items():
        points = list(orbits.bifurcations)
        for label, place, _ in NEURONS[name][2]:
            near = min(
                (b for b in points if b.label == label), key=lambda b: abs(b.parameter - place)
            )
            off = abs(float(near.parameter) - place)
            print(
                f"{name[:34]:34}{label:8}{place:18.12g}{float(near.parameter):18.12g}{off:10.1e}"
                f"{float(near.orbit.period):14.8g}"
            )


def main(out="out", intervals=64):
    """Follow, compare and draw; gives the path of the picture."""
    found = {}
    for name, (circuit, bounds, _) in NEURONS.items():
        followed(circuit, bounds, intervals)  # compiles
        begun = time.perf_counter()
        found[name] = followed(circuit, bounds, intervals)
        spent = 1000 * (time.perf_counter() - begun)
        print(f"{name}: {len(found[name][1])} orbits in {spent:.0f} ms")
    table(found)
    with mpl.rc_context(STYLE):
        path = Path(out) / "oscillations.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(found).savefig(path)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    parser.add_argument("--intervals", type=int, default=64, help="intervals of each mesh")
    given = parser.parse_args()
    main(given.out, given.intervals)
