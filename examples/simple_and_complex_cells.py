"""Simple and complex cells of primary visual cortex from recurrent amplification.

Dayan and Abbott (2001), section 7.4, figures 7.10 and 7.11. A ring of orientations sharpens a
nearly flat input to the same width at every contrast (simple cells). Uniform coupling among cells
that prefer different phases amplifies what they have in common, and their rates hardly depend on
the phase any more (complex cells). What the figures show is read; the numbers are reconstruction.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import LinearNetwork, RateNetwork
from rnnjax.connectivity import Cosine

BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "0.6"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
PEAKS = {0.1: 9.007, 0.2: 18.014, 0.4: 36.028, 0.8: 72.056}  # contrast: Hz; computed


def simple_cells(contrast):
    """Orientations in degrees, the input and the rates they settle into, Hz."""
    ring = Cosine(lambda_0=-7.3, lambda_1=5.5, size=100, period=180.0)
    angles = ring.angles()
    drive = 40 * contrast * (0.9 + 0.1 * np.cos(2 * np.deg2rad(angles)))
    times = np.array([0.0, 2000.0])
    run = rnnjax.simulate(RateNetwork(ring), times, drive, step=1.0, dtype="float64")
    return angles, drive, run.final


def complex_cells():
    """Phases in degrees, inputs and rates at 50 stimulus phases, `(stimulus, unit)`, Hz."""
    ring = Cosine(lambda_0=0.95, lambda_1=0.0)
    network, angles = LinearNetwork(ring), ring.angles()
    stimuli = angles[::2]
    drives = np.maximum(np.cos(np.deg2rad(angles[None, :] - stimuli[:, None])), 0)
    times = np.array([0.0, 8000.0])
    rates = [
        rnnjax.simulate(network, times, drive, step=2.0, dtype="float64").final for drive in drives
    ]
    return angles, stimuli, drives, np.stack(rates)


def modulation(responses):
    """The first harmonic over the mean, F1 / F0, of each unit's responses to stimulus phases."""
    mean, first = np.fft.rfft(responses, axis=0)[:2]
    return (2 * np.abs(first) / np.abs(mean)).mean()


def draw_simple(inputs, responses, scaled):
    """Inputs, rates and normalized rates at four contrasts; gives the peaks and half-widths."""
    shades = mpl.colormaps["viridis"](np.linspace(0.85, 0.05, len(PEAKS)))
    styles, rows = ("-", "--", "-.", ":"), []
    for (contrast, peak), color, style in zip(PEAKS.items(), shades, styles, strict=True):
        angles, drive, rates = simple_cells(contrast)
        inputs.plot(angles, drive, color=color, label=f"{contrast:.0%}")
        responses.plot(angles, rates, color=color)
        scaled.plot(angles, rates / rates.max(), color=color, ls=style, lw=2)
        width = np.abs(angles[rates >= rates.max() / 2]).max()
        rows += [
            (f"contrast {contrast:.0%}: peak (Hz)", peak, rates.max()),
            (f"{'':14}half-width (degrees)", 19.8, width),
        ]
    inputs.legend(title="contrast", fontsize=8, ncols=2, loc="upper right")
    scaled.annotate("", (-19.8, 0.5), (19.8, 0.5), arrowprops={"arrowstyle": "<->", "color": "0.4"})
    scaled.text(24, 0.5, r"$\pm$ 20 degrees", color="0.4", va="center")
    for axes, title, label in (
        (inputs, "Simple cells: input", "input (Hz)"),
        (responses, "Response, scaled by contrast", "rate (Hz)"),
        (scaled, "Tuning is the same at every contrast", "rate / peak"),
    ):
        axes.set(
            title=title, xlabel="preferred orientation (degrees)", ylabel=label, xlim=(-90, 90),
            xticks=np.arange(-90, 91, 45),
        )  # fmt: skip
    inputs.set_ylim(0, 48)
    return rows


def draw_complex(profile, course, bars):
    """Input and rates over preferred phases, over stimulus phases, and their modulation."""
    angles, stimuli, drives, rates = complex_cells()
    middle = np.argmin(np.abs(stimuli))
    unit = np.argmin(np.abs(angles - 90))
    for axes, x, values, title, label in (
        (profile, angles, (drives[middle], rates[middle]), "Complex cells: one stimulus",
         "preferred phase (degrees)"),
        (course, stimuli, (drives[:, unit], rates[:, unit]), "One unit: alike at every phase",
         "phase of the stimulus (degrees)"),
    ):  # fmt: skip
        axes.plot(x, values[0], color=GRAY, label="input")
        axes.plot(x, values[1], color=BLUE, label="response")
        axes.set(
            title=title, xlabel=label, ylabel="rate (Hz)", xlim=(-180, 180), ylim=(0, 8),
            xticks=np.arange(-180, 181, 90),
        )  # fmt: skip
        axes.legend(fontsize=8, loc="center right")
    found = modulation(drives), modulation(rates)
    bars.bar(["input", "response"], found, color=[GRAY, BLUE], width=0.6)
    bars.axhline(1, color="0.4", ls="--", lw=1)
    bars.text(1.32, 1.03, "simple above", color="0.4", ha="right")
    bars.text(1.32, 0.97, "complex below", color="0.4", ha="right", va="top")
    bars.set(title="Modulation by phase", ylabel="F1 / F0")
    gain = (rates.mean(1) / drives.mean(1)).mean()
    return [
        ("complex: amplification of the mean", 20, gain),
        ("F1 / F0 of the input", np.pi / 2, found[0]),
        ("F1 / F0 of the response", np.pi / 40, found[1]),
        ("mean rate, spread over phases (Hz)", 0, np.ptp(rates.mean(1))),
    ]


def print_table(rows):
    """Expected, found and their difference."""
    print(f"{'':36}{'expected':>12}{'found':>12}{'error':>10}")
    for name, expected, found in rows:
        print(f"{name:36}{expected:12.6g}{found:12.6g}{abs(found - expected):10.1e}")


def main(out="out"):
    """Simulate, compare and draw; gives the path of the picture."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 5.8), layout="constrained")
        simple, complex_ = figure.subplots(2, 3)
        rows = draw_simple(*simple) + draw_complex(*complex_)
        path = Path(out) / "simple_and_complex_cells.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    print_table(rows)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(parser.parse_args().out)
