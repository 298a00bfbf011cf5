"""The ring: selective amplification, gain modulation, winner-take-all and sustained activity.

Dayan and Abbott (2001), section 7.4, figures 7.8-7.14. Units with preferred angles are coupled by
the cosine of their difference. What the figures show is read; tau = 10 ms, 100 units and the noise
are reconstruction. The rectified ring is compared with its closed form in the continuum,

    v = A [cos(theta) - cos(theta_c)]_+,  -A cos(theta_c) = h0,
    A (1 - (lambda_1 / pi) (theta_c - sin(theta_c) cos(theta_c))) = h1.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import LinearNetwork, RateNetwork
from rnnjax.connectivity import Cosine

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "0.6"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
ANGLES = Cosine().angles()

# (h0, h1): theta_c in degrees, A in Hz; computed from the closed form
TABLE = {
    (0.0, 1.0): (90.0, 20.0),
    (0.1, 1.0): (90.2556, 22.4192),
    (0.25, 1.0): (90.5499, 26.0478),
    (0.5, 1.0): (90.8926, 32.0953),
    (1.0, 1.0): (91.2967, 44.1895),
    (2.0, 1.0): (91.6761, 68.3762),
    (-0.1, 1.0): (89.6741, 17.5809),
    (-0.5, 1.0): (86.3769, 7.9123),
    (1.0, 0.0): (92.36977, 24.18466),
}
WINNERS = {5.1: 55.9, 5.5: 60.3, 6.0: 65.7}  # rate at +90 degrees against 5 at -90; computed


def ring_cosine(units=100):
    """The cosine of the preferred angles."""
    return np.cos(np.deg2rad(Cosine(size=units).angles()))


def settle(drive, start=None, duration=10_000.0):
    """The steady state of the rectified ring with lambda_1 = 1.9 (slowest mode: 200 ms)."""
    ring = RateNetwork(Cosine(lambda_1=1.9, size=len(drive)))
    times = np.array([0.0, duration])
    return rnnjax.simulate(ring, times, drive, start=start, step=5.0, dtype="float64").final


def read_off(rates):
    """theta_c in degrees and A, from a fit of the active units."""
    active = rates > 1e-6 * rates.max()
    basis = np.stack([ring_cosine(len(rates)), np.ones(len(rates))], axis=1)[active]
    (amplitude, offset), *_ = np.linalg.lstsq(basis, rates[active], rcond=None)
    return np.rad2deg(np.arccos(-offset / amplitude)), amplitude


def gaussian(center):
    """A bump of 20 degrees."""
    return np.exp(-0.5 * (((ANGLES - center + 180) % 360 - 180) / 20) ** 2)


def over_angles(axes, title, unit="rate (Hz)"):
    """Label an axis of preferred angles."""
    axes.set(
        title=title, xlabel="preferred angle (degrees)", ylabel=unit, xlim=(-180, 180),
        xticks=np.arange(-180, 181, 90),
    )  # fmt: skip


def draw_noisy(linear, rectified):
    """Both rings on the same noisy input, as in figures 7.8 and 7.9."""
    drive = 5 * ring_cosine() + np.random.default_rng(0).normal(size=100)
    network = LinearNetwork(Cosine(lambda_1=0.9))
    amplified = network.modes().steady_state(drive)
    for axes, rates, title in (
        (linear, amplified, r"Linear, $\lambda_1$ = 0.9: first mode x 10"),
        (rectified, settle(drive), r"Rectified, $\lambda_1$ = 1.9: selective"),
    ):
        axes.plot(ANGLES, drive, color=GRAY, lw=1, label="input")
        axes.plot(ANGLES, rates, color=BLUE, label="response")
        over_angles(axes, title)
        axes.legend(loc="upper left", fontsize=8)
    gain = np.abs(np.fft.rfft(amplified) / np.fft.rfft(drive))
    return gain[1], gain[2:].max()


def draw_gain(axes):
    """A constant background scales the tuning curve and hardly widens it."""
    shades = mpl.colormaps["viridis"](np.linspace(0.05, 0.85, 4))
    for h0, color in zip((0.0, 0.25, 0.5, 1.0), shades, strict=True):
        theta, amplitude = TABLE[h0, 1.0]
        closed = amplitude * np.maximum(ring_cosine() - np.cos(np.deg2rad(theta)), 0)
        axes.plot(ANGLES, closed, color=color, label=f"$h_0$ = {h0:g}")
        rates = settle(h0 + ring_cosine())
        axes.plot(ANGLES[1::4], rates[1::4], "o", ms=3, color=color, mfc="white")
    over_angles(axes, "Background modulates gain")
    axes.plot([], [], color=GRAY, label="closed form")
    axes.plot([], [], "o", ms=3, color=GRAY, mfc="white", label="simulated")
    axes.legend(fontsize=7, loc="upper left", borderaxespad=0)


def draw_competition(axes):
    """Two opposite inputs: the stronger one takes all; gives the winner's rates."""
    found = []
    for amplitude, color in zip(WINNERS, (GREEN, BLUE, ORANGE), strict=True):
        rates = settle(5 * gaussian(-90) + amplitude * gaussian(90), duration=60_000.0)
        axes.plot(ANGLES, rates, color=color, label=f"5 against {amplitude:g}")
        found.append(rates[np.argmin(np.abs(ANGLES - 90))])
    axes.plot(ANGLES, 5 * gaussian(-90) + 5.5 * gaussian(90), color=GRAY, lw=1, label="input")
    over_angles(axes, "Winner takes all")
    axes.legend(fontsize=8, loc="upper left")
    return found


def draw_memory(profiles, course):
    """A cue, and what outlasts it with and without a background; gives the peaks and the decay."""
    ring, times = RateNetwork(Cosine(lambda_1=1.9)), np.arange(0, 1501, 5.0)
    cue = 1 + 4 * np.maximum(ring_cosine(), 0) ** 4
    cued = settle(cue)
    run = rnnjax.simulate(ring, times, 1.0, start=cued, step=0.5, dtype="float64")
    for rates, color, label in (
        (cued, ORANGE, "cue on"),
        (run.states[100], BLUE, "500 ms later"),
        (settle(np.ones(100), cued), GREEN, "settled"),
    ):
        profiles.plot(ANGLES, rates, color=color, label=label)
    over_angles(profiles, "Sustained activity")
    profiles.legend(fontsize=8, loc="upper left", borderaxespad=0)
    held = settle(ring_cosine())
    fading = rnnjax.simulate(ring, times, 0.0, start=held, step=0.5, dtype="float64")
    course.semilogy(times, run.states.max(axis=1), color=BLUE, label="$h_0$ = 1: stays")
    course.semilogy(times, fading.states.max(axis=1), color=ORANGE, label="$h_0$ = 0: decays")
    course.semilogy(
        times[::20], 20 * np.exp(-times[::20] / 200), "o", ms=3, color=ORANGE, mfc="white",
        label=r"$20\, e^{-t / 20 \tau}$",
    )  # fmt: skip
    course.set(
        xlabel="time after the cue (ms)", ylabel="peak rate (Hz)", ylim=(0.01, 150), xlim=(0, 1500),
        title="It needs a background",
    )  # fmt: skip
    course.legend(fontsize=8, loc="lower left")
    return cued.max(), fading.states[40].max() / held.max()


def print_table(rows):
    """Expected, found and their difference."""
    print(f"{'':40}{'expected':>12}{'found':>12}{'error':>10}")
    for name, expected, found in rows:
        print(f"{name:40}{expected:12.7g}{found:12.7g}{abs(found - expected):10.1e}")


def steady_states(units=3600):
    """Rows of the table for a ring fine enough to stand for the continuum."""
    rows = []
    for (h0, h1), (theta, amplitude) in TABLE.items():
        cosine = ring_cosine(units)
        start = None if h1 else 30 * np.maximum(cosine, 0)
        found = read_off(settle(h0 + h1 * cosine, start))
        rows += [
            (f"h0 = {h0:4g}, h1 = {h1:g}: theta_c (degrees)", theta, found[0]),
            (f"{'':17} A (Hz)", amplitude, found[1]),
        ]
    return rows


def main(out="out"):
    """Simulate, compare and draw; gives the path of the picture."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 5.8), layout="constrained")
        (linear, rectified, gain), (competition, profiles, course) = figure.subplots(2, 3)
        first, others = draw_noisy(linear, rectified)
        draw_gain(gain)
        winners = draw_competition(competition)
        cued, ratio = draw_memory(profiles, course)
        path = Path(out) / "ring.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    rows = [
        ("linear: amplification of the first mode", 10, first),
        ("linear: largest of the others", 1, others),
        *steady_states(),
    ]
    rows += [
        (f"5 against {amplitude}: winner (Hz)", expected, found)
        for (amplitude, expected), found in zip(WINNERS.items(), winners, strict=True)
    ]
    rows += [("cue: peak (Hz)", 80.8, cued), ("left after 20 tau, h0 = 0", np.exp(-1), ratio)]
    print_table(rows)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(parser.parse_args().out)
