"""Numbers of the first circuits, computed beside what theory and the textbook expect.

Each function gives rows (name, expected, found, allowed error). The main job prints them all.

References:
    Dayan and Abbott (2001), Theoretical Neuroscience, sections 7.4 and 7.5. The circuits and what they
    do are read; the digits of cycles, rings and cells were computed from closed forms and by
    high-order integration.
"""

import numpy as np

import rnnjax
from rnnjax.circuits import ExcitatoryInhibitory, LinearNetwork, RateNetwork
from rnnjax.connectivity import Cosine, Symmetric
from rnnjax.inputs import Pulse
from rnnjax.measures import MinMax, Period
from rnnjax.solvers import RK4


def excitatory(state):
    """The excitatory rate."""
    return state.e


def pair_numbers():
    """The excitatory-inhibitory pair: equilibrium, eigenvalues, limit cycle."""
    circuit = ExcitatoryInhibitory()
    point = rnnjax.find_equilibria(circuit)[0]
    rows = [
        ("E-I fixed point, E (Hz)", 80 / 3, float(point.e), 1e-10),
        ("E-I fixed point, I (Hz)", 50 / 3, float(point.i), 1e-10),
    ]
    for tau, real, turning in [(30.0, -4.1667, 49.826), (40.0, 0.0, 43.301), (50.0, 2.5, 38.649)]:
        value = 1000 * rnnjax.linearize(ExcitatoryInhibitory(tau_i=tau), point).eigenvalues[0]
        rows += [
            (f"E-I eigenvalue at tau_i = {tau:g} ms, real part (1/s)", real, value.real, 1e-4),
            (
                f"E-I eigenvalue at tau_i = {tau:g} ms, imaginary part (1/s)",
                turning,
                value.imag,
                1e-3,
            ),
        ]
    damped = rnnjax.linearize(ExcitatoryInhibitory(tau_i=30.0), point)
    left = np.exp(damped.growth_rate * 1000 / damped.frequency)
    rows.append(("E-I at 30 ms: what is left after a cycle", 0.5913, left, 1e-4))
    cycle = rnnjax.measure(
        circuit, {"range": MinMax(), "period": Period(of=excitatory, level=20.0)}, 20_000.0,
        step=0.1, transient=10_000.0, solver=RK4(), dtype="float64",
    )  # fmt: skip
    e, i = cycle["range"]
    return [
        *rows,
        ("E-I cycle at 50 ms: smallest E (Hz)", 0.12698, float(e.min), 1e-3),
        ("E-I cycle at 50 ms: largest E (Hz)", 56.18739, float(e.max), 1e-3),
        ("E-I cycle at 50 ms: smallest I (Hz)", 5.13997, float(i.min), 1e-3),
        ("E-I cycle at 50 ms: largest I (Hz)", 30.79071, float(i.max), 1e-3),
        ("E-I cycle at 50 ms: period (ms)", 187.315, float(cycle["period"]), 0.01),
    ]


def linear_numbers():
    """Linear networks: closed form, amplification, the integrator."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(20, 20))
    weights = weights + weights.T
    network = LinearNetwork(Symmetric(0.9 * weights / np.abs(np.linalg.eigvalsh(weights)).max()))
    drive, times = rng.normal(size=20), np.linspace(0, 300, 31)
    run = rnnjax.simulate(network, times, drive, rtol=1e-9, atol=1e-9, dtype="float64")
    apart = np.abs(run.states - network.modes().solution(times, drive)).max()
    linear = LinearNetwork()
    angles = np.deg2rad(linear.connectivity.angles())
    first, third = (linear.modes().steady_state(np.cos(k * angles)).max() for k in (1, 3))
    pulse = np.cos(angles) * Pulse(1.0, 0.0, 100.0)
    held = rnnjax.simulate(
        LinearNetwork(Cosine(lambda_1=1.0)), [0.0, 100.0, 1100.0], pulse, step=0.1, solver=RK4(),
        dtype="float64",
    ).states[:, 49]  # fmt: skip
    return [
        ("symmetric network, N = 20: closed form - simulation (Hz)", 0.0, apart, 1e-6),
        ("linear ring: gain of the first mode", 10.0, first, 1e-9),
        ("linear ring: gain of the third mode", 1.0, third, 1e-9),
        ("integrator: relative drift in 1 s", 0.0, abs(held[2] / held[1] - 1), 1e-9),
    ]


def settled(network, drive, start=None, duration=8000.0):
    """Where a network settles under a constant drive."""
    return rnnjax.simulate(network, [0.0, duration], drive, start=start, dtype="float64").final


def ring_numbers():
    """The rectified ring: amplification, gain modulation, competition, memory."""
    ring = RateNetwork()
    degrees = ring.connectivity.angles()
    cos = np.cos(np.deg2rad(degrees))
    rows = []
    for h0, peak in [(0.0, 20.0), (0.5, 32.5953), (1.0, 45.1895)]:
        found = settled(ring, h0 + cos).max()
        rows.append(
            (f"rectified ring: peak for h0 = {h0:g}, h1 = 1 (Hz)", peak, found, 1e-3 * peak)
        )
    gain = (settled(ring, 1 + 2 * cos).max() - 1.0) - (settled(ring, 2 * cos).max())
    rows.append(("rectified ring: A added by h0 = 1 at h1 = 2 (Hz)", 24.19, gain, 0.03))

    def bump(center):
        return np.exp(-0.5 * ((degrees - center) / 20) ** 2)

    for strong, rate in [(5.1, 55.9), (5.5, 60.3), (6.0, 65.7)]:
        found = settled(ring, 5 * bump(-90) + strong * bump(90))
        rows.append(
            (f"winner-take-all, 5 against {strong:g}: winner (Hz)", rate, found.max(), 0.05)
        )
    rows.append(("winner-take-all: where it is (degrees)", 90.0, degrees[np.argmax(found)], 1e-9))
    cued = settled(ring, 1 + 4 * np.maximum(cos, 0) ** 4, duration=500.0)
    kept = settled(ring, np.ones(100), start=cued).max()
    before = settled(ring, cos)
    left = settled(ring, 0 * cos, start=before, duration=200.0).max() / before.max()
    return [
        *rows,
        ("rectified ring: bump that outlives its cue (Hz)", 25.18466, kept, 2.5e-2),
        ("rectified ring: left after 20 tau without background", np.exp(-1.0), left, 1e-4),
    ]


def cell_numbers():
    """Simple cells keep their tuning at every contrast; complex cells lose the phase."""
    simple = RateNetwork(Cosine(lambda_0=-7.3, lambda_1=5.5, period=180.0))
    tuned = np.cos(2 * np.deg2rad(simple.connectivity.angles()))
    rows = []
    for contrast, peak in [(0.1, 9.007), (0.2, 18.014), (0.4, 36.028), (0.8, 72.056)]:
        found = settled(simple, 40 * contrast * (0.9 + 0.1 * tuned), duration=2000.0).max()
        rows.append((f"simple cells: peak at contrast {contrast:g} (Hz)", peak, found, 1e-3))
    complex_ = RateNetwork(Cosine(lambda_0=0.95, lambda_1=0.0))
    phase = np.deg2rad(complex_.connectivity.angles())
    drive = np.maximum(np.cos(phase), 0)
    gain = settled(complex_, drive).mean() / drive.mean()
    return [*rows, ("complex cells: gain of the mean", 20.0, gain, 1e-4)]
