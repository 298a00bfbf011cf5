"""The Wilson-Cowan circuit: rest, bistability and oscillation as the drive grows.

Wilson and Cowan (1972), equations 11-12 and figure 11; the weights, slopes and thresholds are
read, and p is the drive to the excitatory population. The Hopf bifurcation, the folds and the
three equilibria at p = 1 are computed (Newton's method on the defining system, 40 digits). The
cycle is born at infinite period, from a homoclinic orbit at p = 1.0682.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import brentq

import rnnjax
from rnnjax.circuits import WilsonCowan, WilsonCowanState
from rnnjax.measures import MinMax, Period

BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "0.6"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
HOPF, HOPF_OMEGA = 1.87931319808418, 2.664313227396696
FOLDS = 0.9086834273018245, 1.08733045617231
AT_ONE = 0.028254829135443, 0.092069613763632, 0.170792990634709
GUESSES = np.linspace(0, 0.5, 40)


def rate_e(state):
    """The excitatory fraction."""
    return state.e


MEASURES = {"range": MinMax(of=rate_e), "period": Period(of=rate_e)}


def equilibria(p):
    """Everything found from 40 guesses, by growing activity of E."""
    guesses = WilsonCowanState(e=GUESSES, i=GUESSES)
    found = rnnjax.find_equilibria(WilsonCowan(p=p), guesses=guesses)
    each = zip([float(found[k].e) for k in range(len(found))], found.linearizations, strict=True)
    return sorted(each, key=lambda pair: pair[0])


def highest(p):
    """The linearization of the most active equilibrium."""
    return equilibria(p)[-1][1]


def count_changes(low, high):
    """The p between two values at which the number of equilibria changes, by bisection."""
    first = len(equilibria(low))
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if len(equilibria(middle)) == first else (low, middle)
    return (low + high) / 2


def cycle(p):
    """Extremes and period in the second half of a run that starts next to the unstable focus."""
    focus = highest(p).state
    start = WilsonCowanState(e=float(focus.e) + 0.01, i=float(focus.i))
    return rnnjax.measure(
        WilsonCowan(p=p), MEASURES, 600.0, step=0.04, transient=300.0, start=start, dtype="float64"
    )


def draw_plane(axes):
    """Nullclines, the flow and the limit cycle of the defaults."""
    field = rnnjax.vector_field(WilsonCowan(), x=(0, 0.4), y=(0, 0.4))
    few = slice(None, None, 14)
    speed = np.hypot(field.dx / 0.4, field.dy / 0.4)
    axes.quiver(
        field.x[few], field.y[few], (field.dx / 0.4 / speed)[few, few],
        (field.dy / 0.4 / speed)[few, few], color="0.8", scale=28, width=0.004,
    )  # fmt: skip
    for slope, color, name in ((field.dx, BLUE, "E"), (field.dy, ORANGE, "I")):
        axes.contour(field.x, field.y, slope, levels=[0], colors=color, linewidths=1.2)
        axes.plot([], [], color=color, lw=1.2, label=f"nullcline of {name}")
    times = np.arange(0, 60.01, 0.05)
    run = rnnjax.simulate(WilsonCowan(), times, rtol=1e-8, atol=1e-8, dtype="float64")
    axes.plot(run.states.e[:401], run.states.i[:401], color="0.35", lw=0.7)
    axes.plot(run.states.e[800:], run.states.i[800:], color="k", lw=1.6, label="limit cycle")
    rest = equilibria(1.25)[-1][1].state
    axes.plot(rest.e, rest.i, "o", color="k", mfc="white", ms=5)
    axes.set(
        xlabel="E, fraction active", ylabel="I, fraction active", xlim=(0, 0.4), ylim=(0, 0.4),
        title="Phase plane at p = 1.25",
    )  # fmt: skip
    axes.legend(fontsize=8, loc="upper left")
    return run


def draw_course(axes, run):
    """Both populations against time."""
    axes.plot(run.times, run.states.e, color=BLUE, label="E")
    axes.plot(run.times, run.states.i, color=ORANGE, label="I")
    axes.set(
        xlabel="time (ms)", ylabel="fraction active", xlim=(0, 40), ylim=(0, 0.36),
        title="Oscillation at p = 1.25",
    )  # fmt: skip
    axes.legend(fontsize=8, ncols=2, loc="upper right")


def draw_diagram(axes):
    """Equilibria and cycles against the drive."""
    stable, unstable = [], []
    for p in np.linspace(0.5, 2.5, 301):
        for e, near in equilibria(p):
            (stable if near.stable else unstable).append((p, e))
    axes.plot(*np.transpose(stable), ".", ms=2.5, color="k", label="stable")
    axes.plot(*np.transpose(unstable), ".", ms=1.5, color=GRAY, label="unstable")
    near_birth, near_hopf = np.geomspace(1e-3, 0.04, 5), (1.82, 1.85, 1.87, 1.878)
    drives = np.concatenate([1.0682 + near_birth, np.linspace(1.13, 1.8, 14), near_hopf])
    ranges = [cycle(p)["range"] for p in drives]
    for name in ("min", "max"):
        label = "cycle" if name == "max" else None
        axes.plot(drives, [getattr(each, name) for each in ranges], color=BLUE, label=label)
    for p, name in zip((*FOLDS, HOPF), ("fold", "fold", "Hopf"), strict=True):
        axes.axvline(p, color=ORANGE, lw=0.8, ls=":")
        axes.text(p - 0.02, 0.44, name, rotation=90, ha="right", va="top", color=ORANGE, fontsize=8)
    axes.set(
        xlabel="drive p", ylabel="E, fraction active", xlim=(0.5, 2.5), ylim=(0, 0.45),
        title="Equilibria and cycles",
    )  # fmt: skip
    axes.legend(fontsize=8, loc="lower right")


def rows():
    """Expected and found."""
    hopf = brentq(lambda p: highest(p).growth_rate, 1.6, 2.2, xtol=1e-13)
    omega = np.abs(highest(hopf).eigenvalues[0].imag)
    table = [
        (f"p = 1: equilibrium {k + 1}, E", expected, found)
        for k, (expected, (found, _)) in enumerate(zip(AT_ONE, equilibria(1.0), strict=True))
    ]
    return [
        *table,
        ("lower fold, p", FOLDS[0], count_changes(0.8, 1.0)),
        ("upper fold, p", FOLDS[1], count_changes(1.0, 1.2)),
        ("Hopf bifurcation, p", HOPF, hopf),
        ("its frequency (rad/ms)", HOPF_OMEGA, omega),
    ]


def print_table(table):
    """Expected, found and their difference."""
    print(f"{'':30}{'expected':>14}{'found':>14}{'error':>10}")
    for name, expected, found in table:
        print(f"{name:30}{expected:14.9g}{found:14.9g}{abs(found - expected):10.1e}")


def main(out="out"):
    """Simulate, compare and draw; gives the path of the picture."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.3), layout="constrained")
        plane, course, diagram = figure.subplots(1, 3)
        draw_course(course, draw_plane(plane))
        draw_diagram(diagram)
        path = Path(out) / "wilson_cowan.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    print_table(rows())
    print(f"period at p = 1.25 (computed here): {float(cycle(1.25)['period']):.5f} ms")
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(parser.parse_args().out)
