"""The excitatory-inhibitory pair: damped and sustained oscillations, and an onset that jumps.

Dayan and Abbott (2001), section 7.5, figures 7.18-7.20. The fixed point (80/3, 50/3) Hz loses its
stability at tau_i = 40 ms exactly. That Hopf bifurcation is degenerate: at 40 ms a continuum of
neutral orbits exists, and above it the swing jumps to 50 Hz at once. Parameters are read; extrema
and periods of the cycles were computed with another integrator (DOP853, 1e-10).
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import ExcitatoryInhibitory, ExcitatoryInhibitoryState
from rnnjax.measures import MinMax, Period

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "0.6"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
AWAY = ExcitatoryInhibitoryState(e=55.0, i=17.0)
GRAZING = ExcitatoryInhibitoryState(e=8 / 3, i=40 / 3)

# tau_i in ms: range of v_e, range of v_i in Hz, period in ms; at 40 ms the grazing neutral orbit
CYCLES = {
    40.0: ((1.3118, 49.9523), (5.0238, 28.3095), 160.411),
    41.0: ((0.7531, 50.8258), (4.9121, 28.6874), 163.990),
    45.0: ((0.3035, 53.3002), (4.9759, 29.6769), 174.596),
    50.0: ((0.12698, 56.18739), (5.13997, 30.79071), 187.3148),
    60.0: ((0.0249, 61.8755), (5.4720, 32.9197), 212.837),
    80.0: ((0.0008, 73.6752), (6.0065, 37.1900), 265.612),
}


def rate_e(state):
    """The excitatory rate."""
    return state.e


MEASURES = {"range": MinMax(), "period": Period(of=rate_e, level=20.0)}


def cycle(tau_i, start=AWAY):
    """Extremes and period from 4 to 6 s, folded in while stepping."""
    return rnnjax.measure(
        ExcitatoryInhibitory(tau_i=tau_i), MEASURES, 6000.0, step=0.05, transient=4000.0,
        start=start, dtype="float64",
    )  # fmt: skip


def run(tau_i, start, duration):
    """A trajectory from `start`."""
    times = np.linspace(0, duration, 2001)
    return rnnjax.simulate(
        ExcitatoryInhibitory(tau_i=tau_i), times, start=start, rtol=1e-8, atol=1e-8, dtype="float64"
    )


def near_fixed_point(tau_i):
    """The only equilibrium, and the circuit linearized there."""
    circuit = ExcitatoryInhibitory(tau_i=tau_i)
    guess = ExcitatoryInhibitoryState(e=20.0, i=10.0)
    found = rnnjax.find_equilibria(circuit, guesses=guess)
    return found[0], found.linearizations[0]


def draw_courses(below, above):
    """Rates against time on either side of the onset."""
    for axes, tau_i, word in ((below, 30.0, "damped"), (above, 50.0, "sustained")):
        trajectory = run(tau_i, AWAY, 1000)
        axes.plot(trajectory.times, trajectory.states.e, color=BLUE, label="$v_E$")
        axes.plot(trajectory.times, trajectory.states.i, color=ORANGE, label="$v_I$")
        axes.set(
            xlabel="time (ms)", ylabel="rate (Hz)", xlim=(0, 1000), ylim=(0, 70),
            title=rf"$\tau_I$ = {tau_i:g} ms: {word}",
        )  # fmt: skip
        axes.legend(ncols=2, loc="upper right", fontsize=8)


def draw_plane(axes):
    """Nullclines, the flow, and a trajectory onto the limit cycle at 50 ms."""
    field = rnnjax.vector_field(ExcitatoryInhibitory(), x=(0, 62), y=(0, 42))
    few = slice(None, None, 14)
    speed = np.hypot(field.dx / 62, field.dy / 42)
    axes.quiver(
        field.x[few], field.y[few], (field.dx / 62 / speed)[few, few],
        (field.dy / 42 / speed)[few, few], color="0.8", scale=28, width=0.004,
    )  # fmt: skip
    for slope, color, name in ((field.dx, BLUE, "$v_E$"), (field.dy, ORANGE, "$v_I$")):
        axes.contour(field.x, field.y, slope, levels=[0], colors=color, linewidths=1.2)
        axes.plot([], [], color=color, lw=1.2, label=f"nullcline of {name}")
    inside = run(50.0, ExcitatoryInhibitoryState(e=27.5, i=50 / 3), 4000)
    early = inside.times < 3000
    axes.plot(inside.states.e[early], inside.states.i[early], color="0.35", lw=0.6)
    axes.plot(
        inside.states.e[~early], inside.states.i[~early], color="k", lw=1.6, label="limit cycle"
    )
    axes.plot(80 / 3, 50 / 3, "o", color="k", mfc="white", ms=5)
    axes.set(
        xlabel="$v_E$ (Hz)", ylabel="$v_I$ (Hz)", xlim=(0, 62), ylim=(0, 42),
        title=r"Phase plane at $\tau_I$ = 50 ms",
    )  # fmt: skip
    axes.legend(fontsize=7, loc="upper left", ncols=2)


def draw_eigenvalues(axes):
    """Growth rate and frequency at the fixed point."""
    taus = np.linspace(20, 80, 61)
    point = near_fixed_point(50.0)[0]  # the same for every tau_i
    near = [rnnjax.linearize(ExcitatoryInhibitory(tau_i=tau_i), point) for tau_i in taus]
    axes.axhline(0, color=GRAY, lw=0.8)
    axes.axvline(40, color=GRAY, lw=0.8, ls="--")
    axes.plot(taus, [1000 * each.growth_rate for each in near], color=BLUE, label="growth (1/s)")
    axes.plot(taus, [each.frequency for each in near], color=ORANGE, label="frequency (Hz)")
    axes.set(
        xlabel=r"$\tau_I$ (ms)", ylabel="1/s or Hz", xlim=(20, 80),
        title="Linearized at the fixed point",
    )  # fmt: skip
    axes.legend(fontsize=8, loc="lower right")


def draw_neutral(axes):
    """Neutral orbits at 40 ms: ellipses, and larger ones up to the one that grazes."""
    shades = mpl.colormaps["viridis"](np.linspace(0.1, 0.8, 4))
    starts = [(20.0, 17.5 - 5 / 6 * 2.5), (10.0, 12.5), (6.0, 13.0), GRAZING]
    for (e, i), color in zip(starts, shades, strict=True):
        orbit = run(40.0, ExcitatoryInhibitoryState(e=e, i=i), 170)
        axes.plot(orbit.states.e, orbit.states.i, color=color)
    e = np.array([0.0, 62.0])
    axes.plot(e, 1.25 * e + 10, color=GRAY, ls="--", lw=1)
    axes.text(0.8, 33.5, "E silent", color="0.4", fontsize=7)
    axes.axvline(10, color=GRAY, ls=":", lw=1)
    axes.text(0.8, 1, "I silent", color="0.4", fontsize=7)
    axes.set(
        xlabel="$v_E$ (Hz)", ylabel="$v_I$ (Hz)", xlim=(0, 62), ylim=(0, 36),
        title=r"$\tau_I$ = 40 ms: every orbit is neutral",
    )  # fmt: skip


def draw_jump(axes):
    """Extremes of the excitatory rate against tau_i."""
    taus = np.concatenate([np.linspace(40.5, 48, 6), np.linspace(50, 80, 11)])
    ranges = [cycle(tau_i)["range"].e for tau_i in taus]
    low, high = CYCLES[40.0][0]
    axes.plot([40, 40], [low, high], color=GREEN, lw=3, alpha=0.5, label="neutral orbits")
    axes.plot([20, 40], [80 / 3] * 2, color="k", label="stable")
    axes.plot([40, 80], [80 / 3] * 2, color="k", ls="--", label="unstable")
    axes.plot(taus, [each.max for each in ranges], color=BLUE, label="cycle, simulated")
    axes.plot(taus, [each.min for each in ranges], color=BLUE)
    expected = [(tau_i, rate) for tau_i, ((a, b), _, _) in CYCLES.items() for rate in (a, b)]
    axes.plot(*np.transpose(expected), "o", ms=4, color=ORANGE, mfc="white", label="reference")
    axes.set(
        xlabel=r"$\tau_I$ (ms)", ylabel="$v_E$ (Hz)", xlim=(20, 80), ylim=(-3, 100),
        title="The swing jumps at 40 ms",
    )  # fmt: skip
    axes.legend(fontsize=7, loc="upper left")


def rows():
    """Expected and found."""
    point, slow = near_fixed_point(50.0)
    _, fast = near_fixed_point(30.0)
    table = [
        ("fixed point, v_E (Hz)", 80 / 3, point.e),
        ("fixed point, v_I (Hz)", 50 / 3, point.i),
        ("growth at 30 ms (1/s)", 1000 * (0.025 - 1 / 30) / 2, 1000 * fast.growth_rate),
        ("growth at 40 ms (1/s)", 0, 1000 * near_fixed_point(40.0)[1].growth_rate),
        ("growth at 50 ms (1/s)", 2.5, 1000 * slow.growth_rate),
        ("ratio per cycle at 30 ms", 0.5913, np.exp(1000 * fast.growth_rate / fast.frequency)),
    ]
    for tau_i, (range_e, range_i, period) in CYCLES.items():
        found = cycle(tau_i, GRAZING if tau_i == 40 else AWAY)
        table += [
            (f"{tau_i:g} ms: v_E, smallest (Hz)", range_e[0], found["range"].e.min),
            (f"{'':7}v_E, largest (Hz)", range_e[1], found["range"].e.max),
            (f"{'':7}v_I, smallest (Hz)", range_i[0], found["range"].i.min),
            (f"{'':7}v_I, largest (Hz)", range_i[1], found["range"].i.max),
            (f"{'':7}period (ms)", period, found["period"]),
        ]
    return table


def print_table(table):
    """Expected, found and their difference."""
    print(f"{'':30}{'expected':>13}{'found':>13}{'error':>10}")
    for name, expected, found in table:
        print(f"{name:30}{expected:13.7g}{float(found):13.7g}{abs(found - expected):10.1e}")


def main(out="out"):
    """Simulate, compare and draw; gives the path of the picture."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 5.8), layout="constrained")
        (below, above, plane), (eigenvalues, neutral, jump) = figure.subplots(2, 3)
        draw_courses(below, above)
        draw_plane(plane)
        draw_eigenvalues(eigenvalues)
        draw_neutral(neutral)
        draw_jump(jump)
        path = Path(out) / "excitatory_inhibitory.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    print_table(rows())
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(parser.parse_args().out)
