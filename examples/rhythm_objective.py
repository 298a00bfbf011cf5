"""A rhythm as an objective: a network taught to oscillate at 40 Hz, and when in the cycle an input counts.

Thirty rate units with random weights oscillate at some frequency of their own. One loss asks for another
period and for a phase response to a common input of a prescribed form, a sine with a given delay; its
gradient goes through the periodic orbit and its adjoint to every synapse. At the end the trained network is
kicked in simulations, which know nothing of adjoints. A test system of ours, not a published circuit.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure

import rnnjax
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import Dense
from rnnjax.solvers import RK4

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "0.6"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
GOAL = 40.0  # Hz
PHASES = np.arange(16) / 16
DELAY = 0.2  # of a period, at which the wanted response rises through zero
TIMES = np.arange(0.0, 250.25, 0.25)


def network(units, seed=1):
    """A random network, with a common rotation that makes it oscillate."""
    random = np.random.default_rng(seed)
    weights = 0.8 * random.normal(size=(units, units)) / np.sqrt(units)
    a, b = np.linalg.qr(random.normal(size=(units, 2)))[0].T
    turn = np.outer(a, b) - np.outer(b, a)
    weights = weights + 1.8 * (np.outer(a, a) + np.outer(b, b)) + 1.6 * turn
    return CurrentNetwork(Dense(weights), tau=5.0)


def connectivity(circuit):
    """What is trained."""
    return circuit.connectivity


def orbit_of(circuit, intervals):
    """The periodic orbit that a run from one and the same start comes to."""
    start = np.linspace(1.0, -1.0, circuit.connectivity.units)
    run = rnnjax.simulate(circuit, TIMES, start=start, step=0.25, solver=RK4(), throw=False)
    return rnnjax.find_orbit(circuit, run, intervals=intervals, throw=False)


def first(state):
    """Where the phase is 0: the first unit rises through zero."""
    return state[0]


def response(circuit, orbit):
    """The phase response to an input that all units share, as a share of the period per unit of it."""
    found = rnnjax.phase_response(circuit, orbit, origin=first)
    return found(PHASES).sum(-1) / (circuit.tau * orbit.period)


def wanted():
    """The phase response that is asked for."""
    return 0.02 * np.sin(2 * np.pi * (PHASES - DELAY))


def objective(intervals):
    """The loss: the frequency, and the form of the response."""

    def loss(circuit: Any, key: Any = None) -> Any:
        orbit = orbit_of(circuit, intervals)
        off = jnp.log(orbit.frequency / GOAL)
        form = response(circuit, orbit) - wanted()
        return (off / 0.05) ** 2 + (form**2).mean() / (wanted() ** 2).mean()

    return loss


def kicked(circuit, orbit, size=1e-2):
    """The phase response measured by kicks: how far later cycles are ahead."""
    origin = rnnjax.phase_response(circuit, orbit, origin=first).origin
    found = []
    with jax.enable_x64(True):
        phase = jax.jit(lambda x: rnnjax.phase_of(circuit, orbit, x, periods=20, steps=200))
        for each in PHASES:
            at = np.asarray(orbit(each + origin))
            ahead, behind = (
                float(phase(at + sign * size / float(circuit.tau))) for sign in (1.0, -1.0)
            )
            found.append(((ahead - behind + 0.5) % 1.0 - 0.5) / (2 * size))
    return np.array(found)


def draw(before, after, measured, losses):
    """Orbit, phase response and loss."""
    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for (circuit, orbit), color, name in ((before, GRAY, "before"), (after, BLUE, "after")):
        phases = np.linspace(0, 2, 400)
        origin = rnnjax.phase_response(circuit, orbit, origin=first).origin
        rates = np.tanh(np.asarray(orbit(phases + origin)))[:, :3]
        left.plot(phases * float(orbit.period), rates, color=color, lw=1.2)
        middle.plot(PHASES, response(circuit, orbit), color=color, label=name)
    left.set(xlabel="time (ms)", ylabel="rates of three units", title="two periods")
    middle.plot(PHASES, wanted(), "--", color=ORANGE, label="asked for")
    middle.plot(PHASES, measured, ".", color=GREEN, label="after, measured by kicks")
    middle.axhline(0, color="0.85", zorder=0)
    middle.set(xlabel="phase", ylabel="phase response (1)", title="response to a common input")
    middle.legend(fontsize=7)
    right.semilogy(losses, color=BLUE)
    right.set(xlabel="step", ylabel="loss", title="training")
    return figure


def main(out="out", units=30, steps=300, intervals=16):
    """Train, check by simulations, draw; gives the path of the picture."""
    circuit = network(units)
    before = orbit_of(circuit, intervals)
    print(f"before: {before}")
    with jax.enable_x64(True):
        begun = time.perf_counter()
        found = rnnjax.fit(
            circuit, connectivity, objective(intervals), steps=steps,
            optimizer=optax.adam(optax.cosine_decay_schedule(4e-3, steps)),
        )  # fmt: skip
        print(f"trained in {time.perf_counter() - begun:.0f} s: {found}")
    after = orbit_of(found.circuit, 2 * intervals)
    measured = kicked(found.circuit, after)
    given = response(found.circuit, after)
    size = np.sqrt((wanted() ** 2).mean())
    print(f"after: {after}")
    print(f"frequency: asked for {GOAL} Hz, found {float(after.frequency):.6f} Hz")
    print(
        f"phase response: off by {np.sqrt(((given - wanted()) ** 2).mean()) / size:.1%} of its size"
    )
    print(
        f"by kicks: off by {np.sqrt(((given - measured) ** 2).mean()) / size:.1%} of the adjoint's"
    )
    with mpl.rc_context(STYLE):
        path = Path(out) / "rhythm_objective.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw((circuit, before), (found.circuit, after), measured, found.losses).savefig(path)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    parser.add_argument("--units", type=int, default=30)
    parser.add_argument("--steps", type=int, default=300, help="of training")
    given = parser.parse_args()
    main(given.out, given.units, given.steps)
