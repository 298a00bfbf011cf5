"""Where in the plane of two parameters neurons change: curves of folds and Hopf points.

Wilson and Cowan (1972) under two stimuli, and the Morris-Lecar neuron (the SNIC set of Rinzel and
Ermentrout, 1998) against its current and the half-activation of its potassium channels. The
expected numbers are computed (Newton's method on the defining systems, 40 digits), not read.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import MorrisLecar, WilsonCowan

STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "savefig.dpi": 200}
EXPECTED = {
    "cortex": {
        "BT": [(-1.537748626209081, -4.045736058662897), (0.9628036404296771, 0.09790149086071145)],
        "CP": [(1.156435721503692, 0.5065175260612949)],
        "GH": [(0.2418478590200646, -1.873975149159024)],
    },
    "cell": {
        "BT": [(45.90877720914698, 5.141885675785152)],
        "CP": [(47.86860114304833, 4.291298992037649)],
    },
}


def diagrams():
    """The branches at one value of the second parameter, and the curves through their points."""
    return {
        "cortex": rnnjax.diagram(
            WilsonCowan(), lambda c: c.p, (-3.0, 4.0), second=(lambda c: c.q, (-5.0, 2.0))
        ),
        "cell": rnnjax.diagram(
            MorrisLecar.snic(), lambda c: c.current, (-50.0, 300.0),
            second=(lambda c: c.v_3, (2.0, 20.0)),
        ),
    }  # fmt: skip


def points(diagram):
    """The points of two parameters on all curves by their label, each once."""
    found = {}
    for curve in diagram.curves:
        for point in curve.bifurcations:
            place = tuple(float(p) for p in point.parameter)
            known = found.setdefault(point.label, [])
            if all(max(abs(a - b) for a, b in zip(place, p, strict=True)) > 1e-6 for p in known):
                known.append(place)
    return {label: sorted(places) for label, places in found.items()}


def draw(found):
    """One panel each, and the corner of the second one closer."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    cortex, cell, rest, corner = figure.subplots(2, 2).ravel()
    rnnjax.plot.curves(found["cortex"].curves, cortex)
    cortex.set_title("Wilson-Cowan: stimuli to both populations")
    rnnjax.plot.branches(found["cortex"], rest, variable="e")
    rest.set_title(f"Wilson-Cowan at q = {float(WilsonCowan().q):g}")
    for ax in (cell, corner):
        rnnjax.plot.curves(found["cell"].curves, ax, units=("uA/cm2", "mV"))
    cell.set_title("Morris-Lecar: current and half-activation of potassium")
    corner.set_title("its corner")
    corner.set_xlim(44.0, 49.0)
    corner.set_ylim(3.8, 6.0)
    corner.get_legend().remove()
    return figure


def print_table(found):
    """Expected, found and their difference."""
    for name, expected in EXPECTED.items():
        places = points(found[name])
        for label, known in expected.items():
            for a, b in zip(sorted(known), places[label], strict=False):
                error = max(abs(x - y) for x, y in zip(a, b, strict=True))
                print(f"{name} {label:<4} ({b[0]:.12g}, {b[1]:.12g}) error {error:.1e}")


def main(out="out"):
    """Follow, compare and draw; gives the path of the picture."""
    found = diagrams()
    print_table(found)
    for each in found.values():
        print(each)
    with mpl.rc_context(STYLE):
        path = Path(out) / "two_parameters.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(found).savefig(path)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(parser.parse_args().out)
