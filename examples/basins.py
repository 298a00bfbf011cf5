"""From where a neuron and two populations come to rest, or keep oscillating: basins of attraction.

The Morris-Lecar neuron of Rinzel and Ermentrout (1998), `MorrisLecar.hopf()`, rests or fires between
88.29 and 93.86 uA/cm2: it comes to rest from inside of an unstable cycle. The area inside was computed
by shooting, and here it is found by sampling. The populations of Wilson and Cowan (1972) have three
equilibria at p = 1, of which one is stable, and all starts lead to it; at p = 1.08, between the
homoclinic orbit at 1.0682 and the fold at 1.0873, a cycle attracts as well.
"""

import argparse
from pathlib import Path

import jax
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import MorrisLecar, MorrisLecarState, WilsonCowan

STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "savefig.dpi": 200}
AREAS = {90.0: 1.817400085940, 91.0: 0.970594116234, 92.5: 0.342643586848}
BOXES = {
    90.0: ((-38.0, -12.5), (0.105, 0.227)),
    91.0: ((-35.0, -15.5), (0.110, 0.197)),
    92.5: ((-31.5, -19.0), (0.119, 0.170)),
}


def v(state):
    """The potential."""
    return state.v


def w(state):
    """The open fraction."""
    return state.w


def e(state):
    """The excitatory population."""
    return state.e


def i(state):
    """The inhibitory population."""
    return state.i


class Backwards(rnnjax.AbstractCircuit):
    """A circuit in reversed time: in the plane, an unstable cycle attracts there."""

    circuit: rnnjax.AbstractCircuit

    def __call__(self, state, input):
        return jax.tree.map(lambda x: -x, self.circuit(state, input))

    def rest(self):
        return self.circuit.rest()

    def no_input(self):
        return self.circuit.no_input()


def unstable_cycle(circuit):
    """One turn of it, from beside the focus inside."""
    focus = rnnjax.find_equilibria(circuit)[0]
    begin = MorrisLecarState(focus.v + 1.0, focus.w)
    times = np.array([0.0, *np.linspace(3000, 3200, 801)])
    run = rnnjax.simulate(
        Backwards(circuit), times, start=begin, rtol=1e-9, atol=1e-9, dtype="float64"
    )
    return run.states.v[1:], run.states.w[1:]


def cycle(circuit):
    """A turn of the stable one, from far outside."""
    times = np.array([0.0, *np.linspace(1000, 1200, 801)])
    begin = MorrisLecarState(-60.0, 0.0)
    run = rnnjax.simulate(circuit, times, start=begin, rtol=1e-9, atol=1e-9, dtype="float64")
    return run.states.v[1:], run.states.w[1:]


def area(current, count=4000):
    """The area of the basin of rest by sampling, and its standard error."""
    across, up = BOXES[current]
    sample = rnnjax.random_points(
        rnnjax.axis(v, across),
        rnnjax.axis(w, up),
        count=count,
        key=jax.random.key(int(10 * current)),
    )
    found = rnnjax.basins(MorrisLecar.hopf(current=current), sample, duration=1000.0)
    box = np.ptp(across) * np.ptp(up)
    return found.share(0) * box, found.error(0) * box


def one_attractor():
    """The populations at p = 1: three equilibria, and all starts come to the lowest."""
    plane = [rnnjax.axis(f, np.linspace(0, 0.4, 41)) for f in (e, i)]
    return rnnjax.basins(WilsonCowan(p=1.0), plane, duration=200.0)


def draw(points):
    """The two maps."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    neuron = MorrisLecar.hopf(current=90.0)
    plane = [
        rnnjax.axis(v, np.linspace(-60, 40, points)), rnnjax.axis(w, np.linspace(0, 0.5, points)),
    ]  # fmt: skip
    resting = rnnjax.basins(neuron, plane, duration=1000.0)
    rnnjax.plot.basins(resting, left)
    (inner,) = left.plot(
        *unstable_cycle(neuron), "--", color="black", lw=1.2, label="unstable cycle"
    )
    (outer,) = left.plot(*cycle(neuron), color="black", lw=1.2, label="stable cycle")
    handles = [*left.get_legend().legend_handles, inner, outer]
    left.legend(handles=handles, loc="upper left", framealpha=0.9, edgecolor="none")
    left.set(xlabel="v (mV)", title="Morris-Lecar neuron at 90 uA/cm2")
    plane = [
        rnnjax.axis(e, np.linspace(0, 0.3, points)),
        rnnjax.axis(i, np.linspace(0, 0.2, points)),
    ]
    exciting = rnnjax.basins(WilsonCowan(p=1.08), plane, duration=200.0)
    rnnjax.plot.basins(exciting, right)
    right.set(title="Wilson-Cowan populations at p = 1.08")
    print(resting, exciting, sep="\n")
    return figure


def main(out="out", points=201):
    """Compute, compare and draw; gives the path of the picture."""
    print(f"{'area of the basin of rest':28}{'expected':>12}{'found':>12}{'std. error':>12}")
    for current, expected in AREAS.items():
        found, error = area(current)
        print(f"{f'at {current:g} uA/cm2':28}{expected:12.5f}{found:12.5f}{error:12.5f}")
    with mpl.rc_context(STYLE):
        figure = draw(points)
        path = Path(out) / "basins.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    print(one_attractor())
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    parser.add_argument(
        "--points", type=int, default=201, help="points along each axis of the maps"
    )
    options = parser.parse_args()
    main(options.out, options.points)
