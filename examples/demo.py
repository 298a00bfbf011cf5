"""The main job: a map of one million circuits, real input, and two fits, in about a minute.

(a) The excitatory-inhibitory circuit of Dayan and Abbott over a grid of inhibitory time constant
    and recurrent excitation, each point simulated from 0.1 Hz beside its own fixed point. Where the
    swing grows is compared with the line on which theory puts the onset of oscillations,
    Re(lambda) = 0 of the exact Jacobian. A coarser, longer sweep shows where each circuit ends.
(b) A ring network and the same circuit driven by a real sound, played to a grasshopper.
(c) Connectivity fitted so that a random network integrates, and so that the circuit oscillates
    at 10 Hz.
(d) A table: what theory and the textbook expect, what was found.

Run it with `make demo`, or `python examples/demo.py --size 200 --out out/demo`.
"""

import argparse
import html
import shutil
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from demo_numbers import (
    cell_numbers,
    excitatory,
    linear_numbers,
    pair_numbers,
    ring_numbers,
)
from diffrax import Heun

import rnnjax
from rnnjax.circuits import ExcitatoryInhibitory, ExcitatoryInhibitoryState, LinearNetwork
from rnnjax.connectivity import Symmetric
from rnnjax.inputs import Recording
from rnnjax.measures import Amplitude, Frequency, Growth
from rnnjax.solvers import RK4

NEAR = ExcitatoryInhibitoryState(e=30.0, i=20.0)  # both active, near the fixed point
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#666666"


def growth_rate(circuit):
    """Largest real part of an eigenvalue of the Jacobian at the fixed point."""
    point = rnnjax.find_equilibria(circuit, guesses=NEAR)[0]
    return rnnjax.linearize(circuit, point).growth_rate


def beside_fixed_point(circuit):
    """The fixed point, 0.1 Hz off."""
    point = rnnjax.find_equilibria(circuit, guesses=NEAR)[0]
    return ExcitatoryInhibitoryState(e=point.e + 0.1, i=point.i)


def grid(size):
    """Inhibitory time constant x recurrent excitation."""
    return [
        rnnjax.axis(lambda c: c.tau_i, np.linspace(5.0, 100.0, size)),
        rnnjax.axis(lambda c: c.m_ee, np.linspace(0.5, 1.5, size)),
    ]


def onset(values, taus):
    """Where each column first turns from negative to positive, along the time constant (ms)."""
    up = (values[:-1] < 0) & (values[1:] >= 0)
    k = np.argmax(up, axis=0)
    column = np.arange(values.shape[1])
    low, high = values[k, column], values[k + 1, column]
    at = taus[k] + (taus[1] - taus[0]) * -low / (high - low)
    return np.where(up.any(axis=0), at, np.nan)


def million(size, out):
    """Part (a): the map, its line, and where the circuits end."""
    circuit = ExcitatoryInhibitory()
    begun = time.perf_counter()
    growth = rnnjax.sweep(
        circuit, {"growth": Growth(of=excitatory, split=500.0)}, grid(size), duration=1000.0,
        step=0.1, start=beside_fixed_point, solver=RK4(), dtype="float64",
        store=out / "growth.zarr",
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    theory = rnnjax.sweep(circuit, {"rate": growth_rate}, grid(size), dtype="float64")
    taus = growth.tau_i.values
    found, expected = onset(growth.growth.values, taus), onset(theory.rate.values, taus)
    cell = taus[1] - taus[0]
    both = np.isfinite(found) & np.isfinite(expected)
    missed = int((np.isfinite(expected) & ~np.isfinite(found)).sum())
    apart = float(np.abs(found - expected)[both].max() / cell)
    if missed or apart > 1:
        raise SystemExit(f"{missed} columns without onset, {apart:.2f} cells apart")

    figure, ax = plt.subplots(figsize=(7, 5.4), layout="constrained")
    rnnjax.plot.sweep_map(
        growth.growth.clip(-4, 4).assign_attrs(growth.growth.attrs), ax, diverging=True,
        contours={"theory: Re λ = 0": (theory.rate, 0.0)},
    )  # fmt: skip
    ax.set_title(f"{size * size:,} circuits, each simulated for 1 s")
    figure.savefig(out / "map_growth.png", dpi=150)
    settled = where_it_ends(max(20, size // 10), theory.rate, out)
    return {
        "size": size, "seconds": seconds, "cells": apart, "columns": int(both.sum()),
        "failed": int((growth.status != 0).sum()) + int((theory.status != 0).sum()), **settled,
    }  # fmt: skip


def where_it_ends(size, line, out):
    """The regime and the amplitude that a longer, coarser sweep settles into."""
    data = rnnjax.sweep(
        ExcitatoryInhibitory(),
        {"amplitude": Amplitude(of=excitatory), "frequency": Frequency(of=excitatory)},
        grid(size), duration=10_000.0, transient=8_000.0, step=0.2, solver=RK4(),
        start=ExcitatoryInhibitoryState(e=55.0, i=17.0), store=out / "settled.zarr",
    )  # fmt: skip
    # the swing of a cycle is above 40 Hz from its birth on; what is smaller still decays, slowly
    swing = data.amplitude.values
    regime = data.amplitude.copy(
        data=np.where(~np.isfinite(swing), 2, np.where(swing > 20, 1, 0)).astype(np.int8)
    )
    regime.attrs = {
        "long_name": "regime after 8 s",
        "flag_values": [0, 1, 2],
        "flag_meanings": "rests oscillates diverged",
    }
    line = {"theory: Re λ = 0": (line.interp(tau_i=data.tau_i, m_ee=data.m_ee), 0.0)}
    figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    rnnjax.plot.sweep_map(regime, axes[0], contours=line)
    shown = data.amplitude.clip(max=150.0).assign_attrs(data.amplitude.attrs)
    rnnjax.plot.sweep_map(shown, axes[1], contours=line)
    axes[1].set_title("swing, cut at 150 Hz")
    figure.savefig(out / "map_settled.png", dpi=150)
    return {"oscillating": float((regime.values == 1).mean())}


def grasshopper():
    """A sound and the spikes of a grasshopper's auditory receptor (nitime, BSD licence).

    The amplitude modulation of a sound (20 kHz, 10 s) and spike times in ms.
    """
    import nitime

    folder = Path(nitime.__file__).parent / "data"
    sound = np.loadtxt(folder / "grasshopper_stimulus1.txt")
    spikes = np.loadtxt(folder / "grasshopper_spike_times1.txt", comments="#") / 1000
    rate = 1e6 / np.diff(sound[:, 0]).mean()
    return sound[:, 1], rate, spikes


def gain(stimulus, response, rate, segment):
    """Transfer gain by averaged cross-spectra of half-overlapping Hann windows: f (Hz), |H|."""
    window = np.hanning(segment)
    starts = range(0, len(stimulus) - segment + 1, segment // 2)

    def spectra(x):
        cut = np.stack([x[s : s + segment] for s in starts])
        return np.fft.rfft((cut - cut.mean(1, keepdims=True)) * window)

    s, r = spectra(stimulus), spectra(response)
    return np.fft.rfftfreq(segment, 1 / rate), np.abs((np.conj(s) * r).sum(0)) / (
        np.abs(s) ** 2
    ).sum(0)


def real_input(out, seconds=10.0):
    """Part (b): what a ring and the damped circuit make of a real sound."""
    sound, rate, spikes = grasshopper()
    step = 0.1
    ratio = round(rate * step / 1000)
    recording = Recording(sound - sound.mean(), sample_rate=rate)
    times = step * np.arange(round(1000 * seconds / step))
    stimulus = (sound - sound.mean())[::ratio][: len(times)]

    ring = LinearNetwork()
    angles = ring.connectivity.angles()
    toward = np.cos(np.deg2rad(angles))  # the sound comes from 0 degrees
    on_ring = rnnjax.simulate(ring, times, toward * recording, step=step, solver=Heun())
    peak = np.asarray(on_ring.states[:, np.argmin(np.abs(angles))], np.float64)

    pair = ExcitatoryInhibitory(tau_i=20.0)  # damped enough for windows of 2 s
    rest = rnnjax.find_equilibria(pair)[0]
    to_e = ExcitatoryInhibitoryState(e=1.0, i=0.0) * recording
    on_pair = rnnjax.simulate(pair, times, to_e, start=rest, step=step, solver=Heun())
    rates = np.asarray(on_pair.states.e, np.float64)

    bins, n = 1000 / step, int(2000 / step)
    f, gain_ring = gain(stimulus, peak, bins, n)
    _, gain_pair = gain(stimulus, rates - rest.e, bins, n)
    turn = 2j * np.pi * f / 1000
    theory_ring = np.abs(1 / (turn * ring.tau + 1 - 0.9))
    jacobian = rnnjax.linearize(pair, rest).jacobian
    kick = np.array([1 / pair.tau_e, 0.0])
    theory_pair = np.abs([np.linalg.solve(w * np.eye(2) - jacobian, kick)[0] for w in turn])

    draw_real_input(
        out, times, stimulus, spikes, [("ring, unit at 0°", peak, gain_ring, theory_ring, BLUE),
        ("E-I, excitatory rate", rates, gain_pair, theory_pair, ORANGE)], f,
    )  # fmt: skip
    band = (f >= 3) & (f <= 40)
    return {
        "ring": float(np.sqrt(np.mean((gain_ring / theory_ring - 1)[band] ** 2))),
        "pair": float(np.sqrt(np.mean((gain_pair / theory_pair - 1)[band] ** 2))),
    }


def draw_real_input(out, times, stimulus, spikes, circuits, f):
    """Stimulus, responses, and gain with the theory on top."""
    figure, axes = plt.subplot_mosaic(
        [["s", "g"], ["r", "g"], ["p", "g"]], figsize=(12, 6.5), layout="constrained",
        width_ratios=[1.5, 1],
    )  # fmt: skip
    shown = times <= 1500
    axes["s"].plot(times[shown], stimulus[shown], color=GRAY, lw=0.6)
    near = spikes[spikes <= 1500]
    axes["s"].plot(near, np.full(near.shape, stimulus.max() * 1.15), "|", color="k", ms=6)
    axes["s"].set(
        ylabel="amplitude (a.u.)", title="sound played to a grasshopper, and its receptor's spikes"
    )
    for name, (label, response, measured, theory, color) in zip("rp", circuits, strict=True):
        axes[name].plot(times[shown], response[shown], color=color, lw=1)
        axes[name].set(ylabel="rate (Hz)", title=label)
        low = (f > 0) & (f <= 100)
        axes["g"].loglog(f[low], measured[low], "o", ms=3, color=color, label=label)
        axes["g"].loglog(f[low], theory[low], color=color, lw=1, label="   linear theory")
    axes["p"].set(xlabel="time (ms)")
    axes["g"].set(xlabel="frequency (Hz)", ylabel="gain (Hz per a.u.)", title="gain")
    axes["g"].legend(frameon=False)
    for name in "srp":
        axes[name].set_xlim(0, 1500)
    figure.savefig(out / "real_input.png", dpi=150)


def integrates(circuit, key):
    """How far from an integrator: the leading eigenvalue 1, the others at most 1/2."""
    values = jnp.linalg.eigvalsh(circuit.connectivity.matrix())
    return (values[-1] - 1) ** 2 + jnp.sum(jax.nn.relu(values[:-1] - 0.5) ** 2)


def ten_hertz(circuit, key):
    """How far from a limit cycle of 10 Hz; the fixed point stays as unstable as it was."""
    found = rnnjax.measure(
        circuit, Frequency(of=excitatory), 1500.0, step=0.2, transient=500.0, solver=RK4(),
        start=ExcitatoryInhibitoryState(e=40.0, i=20.0),
    )  # fmt: skip
    lost = jax.nn.relu(0.0025 - growth_rate(circuit))
    return ((found - 10) / 10) ** 2 + (lost / 0.0025) ** 2


def fits(out):
    """Part (c): a random network made an integrator, the circuit made to run at 10 Hz."""
    weights = np.random.default_rng(0).normal(size=(40, 40)) / np.sqrt(2 * 40)
    before = LinearNetwork(Symmetric((weights + weights.T) / 2))
    integrator = rnnjax.fit(
        before, lambda c: c.connectivity, integrates, steps=400, dtype="float64",
        optimizer=optax.adam(5e-3),
    )  # fmt: skip
    start = ExcitatoryInhibitory()
    oscillator = rnnjax.fit(
        start, lambda c: (c.m_ee, c.m_ei, c.m_ie), ten_hertz, steps=150, dtype="float64",
        optimizer=optax.adam(optax.cosine_decay_schedule(3e-2, 150)),
    )  # fmt: skip
    draw_fits(out, before, integrator, start, oscillator)
    period = rnnjax.measure(
        oscillator.circuit, Frequency(of=excitatory), 4000.0, step=0.1, transient=2000.0,
        solver=RK4(), dtype="float64",
    )  # fmt: skip
    modes = integrator.circuit.modes()
    return {"eigenvalue": float(modes.eigenvalues[0].real), "hertz": float(period),
            "second": float(modes.eigenvalues[1].real)}  # fmt: skip


def draw_fits(out, before, integrator, start, oscillator):
    """Before and after, and the losses."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for k, (network, color, label) in enumerate(
        [(before, GRAY, "random"), (integrator.circuit, BLUE, "fitted")]
    ):
        values = network.modes().eigenvalues.real
        axes[0].plot(values, np.full(values.shape, k), "|", ms=18, color=color, label=label)
    axes[0].axvline(1, color="k", lw=0.8, ls=":")
    axes[0].set(xlabel="eigenvalue of M", yticks=[0, 1], yticklabels=["random", "fitted"],
                ylim=(-0.6, 1.6), title="an integrator: leading eigenvalue 1")  # fmt: skip
    times = np.arange(0.0, 1000.0, 1.0)
    for circuit, color, label in [(start, GRAY, "default"), (oscillator.circuit, ORANGE, "fitted")]:
        run = rnnjax.simulate(circuit, times, start=ExcitatoryInhibitoryState(e=40.0, i=20.0))
        axes[1].plot(times, run.states.e, color=color, label=label)
    axes[1].set(xlabel="time (ms)", ylabel="excitatory rate (Hz)", title="a cycle of 10 Hz")
    axes[1].set_ylim(-2, 68)
    axes[1].legend(frameon=False, loc="upper right", ncols=2)
    for found, color, label in [(integrator, BLUE, "integrator"), (oscillator, ORANGE, "10 Hz")]:
        axes[2].semilogy(np.maximum(found.losses, 1e-16), color=color, label=label)
    axes[2].set(xlabel="step", ylabel="loss", title="losses")
    axes[2].legend(frameon=False)
    figure.savefig(out / "fits.png", dpi=150)


def numbers(first, heard, fitted):
    """Part (d): what is expected and what was found, for the circuits of this page."""
    rows = [
        ("onset in the map against Re λ = 0 (grid cells, at most 1)", 0.0, first["cells"], 1.0),
        ("gain of the ring against theory, 3-40 Hz (rms relative error)", 0.0, heard["ring"], 0.02),
        ("gain of the E-I pair against theory, 3-40 Hz", 0.0, heard["pair"], 0.02),
        ("fitted integrator: leading eigenvalue", 1.0, fitted["eigenvalue"], 1e-4),
        ("fitted oscillator: frequency (Hz)", 10.0, fitted["hertz"], 0.05),
    ]
    return rows + pair_numbers() + linear_numbers() + ring_numbers() + cell_numbers()


def page(out, rows, first, seconds):
    """The folder's index.html."""
    cells = "".join(
        f"<tr class={'ok' if abs(found - wanted) <= bar else 'off'}><td>{html.escape(name)}</td>"
        f"<td>{wanted:.6g}</td><td>{found:.6g}</td><td>{abs(found - wanted):.2g}</td>"
        f"<td>{bar:.2g}</td></tr>"
        for name, wanted, found, bar in rows
    )
    pictures = [
        ("map_growth", f"{first['size'] ** 2:,} excitatory-inhibitory circuits, simulated for 1 s "
         f"each in {first['seconds']:.0f} s, {first['failed']} failed. Color: log ratio of the swing "
         "in the second half to that in the first. Line: Re λ = 0 of the exact Jacobian, at most "
         f"{first['cells']:.3f} grid cells from where the swing starts to grow. In the corner of slow "
         "inhibition and strong excitation circuits reach their full cycle within the first half, "
         "so that the ratio falls again."),
        ("map_settled", "Where the circuits end: regime and swing after 8 s."),
        ("real_input", "A ring network and the damped E-I circuit driven by a sound played to a grasshopper (with the "
         "spikes of its auditory receptor), and their gain beside linear theory."),
        ("fits", "Connectivity fitted by gradient descent."),
    ]  # fmt: skip
    figures = "".join(
        f"<figure><img src={name}.png alt='{html.escape(text)}'><figcaption>{html.escape(text)}"
        "</figcaption></figure>"
        for name, text in pictures
    )
    (out / "index.html").write_text(
        "<!doctype html><meta charset=utf-8><title>rnnjax: the main job</title><style>"
        "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "img{max-width:100%}figure{margin:2rem 0}td,th{padding:.2rem .8rem;text-align:left}"
        ".off{background:#fdd}table{border-collapse:collapse}tr{border-bottom:1px solid #ddd}"
        f"</style><h1>rnnjax: the main job</h1><p>Computed in {seconds:.0f} s.</p>{figures}"
        "<h2>Expected and found</h2><table><tr><th>number<th>expected<th>found<th>error<th>allowed"
        f"</tr>{cells}</table>{ExcitatoryInhibitory()._repr_html_()}",
        encoding="utf-8",
    )


def main():
    """Do all of it, and say what was written where."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--size", type=int, default=1000, help="points a side of the map")
    options.add_argument("--out", type=Path, default=Path("out/demo"), help="where results go")
    given = options.parse_args()
    rnnjax.tune_cpu()
    plt.switch_backend("Agg")
    begun = time.perf_counter()
    out = given.out
    out.mkdir(parents=True, exist_ok=True)
    for name in ("growth.zarr", "settled.zarr"):  # of an earlier run; nothing else is touched
        for each in (out / name, out / f"{name}.partial"):
            shutil.rmtree(each, ignore_errors=True)
    print(f"(a) {given.size} x {given.size} circuits ...", flush=True)
    first = million(given.size, out)
    print(f"    {first['seconds']:.1f} s; onset within {first['cells']:.3f} grid cells of theory")
    print("(b) a real sound ...", flush=True)
    heard = real_input(out)
    print("(c) two fits ...", flush=True)
    fitted = fits(out)
    print("(d) expected and found\n", flush=True)
    rows = numbers(first, heard, fitted)
    for name, wanted, found, bar in rows:
        verdict = "" if abs(found - wanted) <= bar else "   <- OFF"
        print(f"{name:<68}{wanted:>10.5g}{found:>12.6g}{abs(found - wanted):>10.1e}{verdict}")
    seconds = time.perf_counter() - begun
    page(out, rows, first, seconds)
    print(f"\n{seconds:.0f} s. Wrote to {out.resolve()}:")
    for path in sorted(out.iterdir()):
        print(f"  {path.name}")
    print(f"Open {(out / 'index.html').resolve()}")
    if any(abs(found - wanted) > bar for _, wanted, found, bar in rows):
        raise SystemExit("some numbers are off: see the table")


if __name__ == "__main__":
    main()
