"""How neurons begin to fire: bifurcation diagrams of Morris and Lecar, Hodgkin and Huxley, and a decision.

The three sets of Rinzel and Ermentrout (1998) for the Morris-Lecar neuron, Hodgkin and Huxley (1952)
with the leak reversal at -54.4 mV, and the decision circuit of Wong and Wang (2006). The expected
numbers are computed (Newton's method on the defining systems, 40 digits), not read.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import HodgkinHuxley, MorrisLecar, WongWang

STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "savefig.dpi": 200}
EXPECTED = {
    "hopf": [93.85761837372545, 212.0188161003744],
    "snic": [-9.949039322623065, 39.96315309274535, 97.64616392152591],
    "homoclinic": [-9.949039322623065, 36.31621749620345, 39.96315309274535],
    "axon": [9.779337995393126, 154.526333665808],
    "decision": [10.67680576467845, 43.0181867770167],
}


def current(circuit):
    """The current into the cell."""
    return circuit.current


def stimulus(circuit):
    """The rate of the stimulus."""
    return circuit.mu


def diagrams():
    """Every diagram by its name."""
    sets = {name: getattr(MorrisLecar, name)() for name in ("hopf", "snic", "homoclinic")}
    found = {
        name: rnnjax.diagram(circuit, current, (-30.0, 250.0)) for name, circuit in sets.items()
    }
    found["axon"] = rnnjax.diagram(HodgkinHuxley(e_l=-54.4), current, (0.0, 180.0), values=1)
    found["decision"] = rnnjax.diagram(WongWang(), stimulus, (-15.0, 80.0))
    return found


def draw(found):
    """One panel each."""
    titles = {
        "hopf": ("Morris-Lecar: a Hopf bifurcation", "mV", None),
        "snic": ("Morris-Lecar: a fold on a cycle", "mV", None),
        "homoclinic": ("Morris-Lecar: a homoclinic orbit", "mV", None),
        "axon": ("Hodgkin-Huxley", "mV", None),
        "decision": ("Wong-Wang: a decision", "", "s1"),
    }
    figure = Figure(figsize=(11, 9), layout="constrained")
    panels = figure.subplots(3, 2).ravel()
    for ax, (name, (title, unit, variable)) in zip(panels, titles.items(), strict=False):
        rnnjax.plot.branches(found[name], ax, variable=variable, unit=unit)
        ax.set_title(title)
        ax.set_xlabel("stimulus (Hz)" if name == "decision" else "current (uA/cm2)")
    panels[-1].set_axis_off()
    return figure


def print_table(found):
    """Expected, found and their difference."""
    print(f"{'':24}{'expected':>18}{'found':>18}{'error':>10}")
    for name, expected in EXPECTED.items():
        kinds = ("BP",) if name == "decision" else ("LP", "H")
        places = [float(b.parameter) for b in found[name].bifurcations if b.label in kinds]
        for k, (a, b) in enumerate(zip(expected, places, strict=True)):
            print(f"{name + f' {k + 1}':24}{a:18.12g}{b:18.12g}{abs(a - b):10.1e}")


def main(out="out"):
    """Follow, compare and draw; gives the path of the picture."""
    found = diagrams()
    print_table(found)
    for name, each in found.items():
        print(name, each)
    with mpl.rc_context(STYLE):
        path = Path(out) / "bifurcations.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(found).savefig(path)
    print(f"wrote {path}")
    assert all(np.isfinite(branch.parameter).all() for each in found.values() for branch in each)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(parser.parse_args().out)
