"""A bifurcation as an objective: a network taught when to oscillate, how that begins, and what to do before.

Fifty units that obey Dale's law begin with a subcritical Hopf point at another drive. One loss, one
gradient through the continuation: the Hopf point at a drive of 1, supercritical, while ten units follow
the recorded response of another network below it. At the end Newton's method puts the drive of the Hopf
point where it was asked to be. Everything is then checked by other means: eigenvalues, differences,
simulations on both sides. A test system of ours, not a published circuit.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure

import rnnjax
from rnnjax.bifurcations import Hopf
from rnnjax.circuits import logistic
from rnnjax.connectivity import Dale
from rnnjax.inputs import Pulse
from rnnjax.measures import Amplitude

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "0.6"
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
BOUNDS = (-1.0, 4.5)
GOAL, BEND = 1.0, -5e-4  # the drive of the Hopf point, and the largest l1 that is good enough
SEEN = 0.5  # the drive at which the response is recorded
TIMES = np.arange(0.0, 200.0, 2.0)
# summed weights [to E, to I] from [E, I]: of the network to be trained, and of the recorded one
MEANS = ((17.7, -7.1), (31.6, -1.1))
RECORDED = ((14.0, -12.5), (18.7, -5.9))


class Network(rnnjax.AbstractCircuit):
    r"""$\tau \dot x = -x + W \sigma(x) - 2 + h\, e + u$, the drive $h$ along $e$, the excitatory units."""

    connectivity: Any
    drive: Any = rnnjax.parameter(BOUNDS[0], "1")
    tau: Any = rnnjax.parameter(10.0, "ms", positive=True)

    def __call__(self, x, input):
        drive = self.drive * excitatory(len(x)) - 2.0 + input
        return (-x + self.connectivity(logistic(x)) + drive) / self.tau

    def rest(self):
        return jnp.full(self.connectivity.units, -2.0)


def excitatory(units):
    """1 for the first 80 % of the units, 0 for the others."""
    return 1.0 * (np.arange(units) < 0.8 * units)


def network(units, means=MEANS, seed=0):
    """Random weights around `means`; inhibition is the slower one."""
    cell = 1 - excitatory(units).astype(int)
    share = abs(np.array(means))[cell][:, cell] / np.bincount(cell)[cell]
    weights = share * abs(1 + 0.5 * np.random.default_rng(seed).normal(size=(units, units)))
    return Network(Dale(weights, cell == 0), tau=np.where(cell, 20.0, 10.0))


def drive(circuit):
    """The drive of the excitatory units."""
    return circuit.drive


def weights(circuit):
    """What is trained."""
    return circuit.connectivity.weights


def at_drive(circuit, value):
    """The circuit with another drive."""
    return eqx.tree_at(drive, circuit, np.asarray(value))


def branch(circuit, **how):
    """Its equilibria from the lowest drive on, with the first Hopf point."""
    return rnnjax.continue_equilibria(
        circuit, drive, bounds=BOUNDS, bifurcations=(Hopf(),), both_directions=False,
        max_step=0.2, max_bifurcations=1, **how,
    )  # fmt: skip


def hopf(circuit):
    """The first Hopf point; inside `jit` and `grad` as well."""
    return branch(circuit, throw=False).first("H")


def response(circuit):
    """What every fifth unit does below the Hopf point when a pulse excites all excitatory ones."""
    units = circuit.connectivity.units
    circuit = at_drive(circuit, SEEN)
    pulse = excitatory(units) * Pulse(2.0, onset=20.0, duration=40.0)
    run = rnnjax.simulate(circuit, TIMES, pulse, step=1.0)
    return run.states[:, ::5]


def unexplained(circuit, recorded):
    """The share of the recorded variance that the response misses."""
    return ((response(circuit) - recorded) ** 2).mean() / recorded.var()


def objective(recorded):
    """The three terms of the loss: place, normal form, trajectory."""

    def terms(circuit, key=None):
        point = hopf(circuit)
        return jnp.stack([
            ((point.parameter - GOAL) / 0.2) ** 2,
            jax.nn.softplus((point.coefficient - BEND) / 1e-4),
            30 * unexplained(circuit, recorded),
        ])  # fmt: skip

    return terms


def moved_onto(circuit, goal=GOAL, steps=4):
    """The nearest weights, by Newton's method, whose Hopf point is at the goal."""
    place = eqx.filter_jit(
        jax.value_and_grad(lambda w: hopf(eqx.tree_at(weights, circuit, w)).parameter)
    )
    w = weights(circuit)
    for _ in range(steps):
        value, slope = place(w)
        w = w - slope * (value - goal) / (slope**2).sum()
    return eqx.tree_at(weights, circuit, np.asarray(w))


def amplitudes(circuit, point, distances, duration=6000.0):
    """Half the swing of the mean excitatory state above the Hopf point, from near rest."""
    mean = Amplitude(of=lambda x: x[: int(0.8 * circuit.connectivity.units)].mean())

    def swing(distance):
        there = eqx.tree_at(drive, circuit, point.parameter + distance)
        start = point.state + 0.05
        return rnnjax.measure(
            there, mean, duration, step=0.5, transient=0.75 * duration, start=start
        )

    return np.asarray(jax.vmap(swing)(np.asarray(distances))) / 2


def predicted(circuit, point, distances):
    r"""The same by the normal form: $\rho^2 = -\mathrm{Re}\lambda / (\omega l_1)$, $x = 2 \mathrm{Re} (z q)$."""
    h = 1e-4
    growth = []
    for k in (-1, 1):
        there = at_drive(circuit, point.parameter + k * h)
        found = rnnjax.find_equilibria(there, guesses=point.state)[0]
        growth.append(rnnjax.linearize(there, found).growth_rate)
    slope = (growth[1] - growth[0]) / (2 * h)
    values, vectors = np.linalg.eig(rnnjax.linearize(
        at_drive(circuit, point.parameter), point.state).jacobian)  # fmt: skip
    critical = np.argmax(np.where(values.imag > 0, values.real, -np.inf))
    q = vectors[:, critical] / np.linalg.norm(vectors[:, critical])
    omega = values[critical].imag
    rho = np.sqrt(-slope * np.asarray(distances) / (omega * point.coefficient))
    return 2 * rho * abs(q[: int(0.8 * len(q))].mean())


def checks(circuit, seed=0, h=1e-3):
    """Rows `(name, expected, found)`: eigenvalue, place, gradients against differences."""
    point = hopf(circuit)
    there = at_drive(circuit, point.parameter)
    values = rnnjax.linearize(there, point.state).eigenvalues
    along = weights(circuit) * np.random.default_rng(seed).normal(size=weights(circuit).shape)

    @eqx.filter_jit
    def both(s):
        found = hopf(eqx.tree_at(weights, circuit, weights(circuit) + s * along))
        return jnp.stack([found.parameter, found.coefficient])

    slopes = np.asarray(jax.jit(jax.jacfwd(both))(0.0))
    near = [np.asarray(both(k * h)) for k in (-2, -1, 1, 2)]
    differences = (8 * (near[2] - near[1]) - (near[3] - near[0])) / (12 * h)
    return [
        ("drive of the Hopf point", GOAL, float(point.parameter)),
        ("real part of its eigenvalue (1/ms)", 0.0, float(values[0].real)),
        ("d drive / d weights", differences[0], slopes[0]),
        ("d l1 / d weights", differences[1], slopes[1]),
    ]


def trained(units=50, steps=400):
    """The network before, the one after, the recording and the fit."""
    before = network(units)
    recorded = response(network(units, RECORDED, seed=1))
    terms = objective(recorded)
    schedule = optax.cosine_decay_schedule(2e-2, steps)
    found = rnnjax.fit(
        before, weights, lambda c, key: terms(c).sum(), optimizer=optax.adam(schedule),
        steps=steps,
    )  # fmt: skip
    return before, moved_onto(found.circuit), recorded, found


def draw(before, after, recorded, found):
    """The branches, the response, the amplitude above the Hopf point, the loss."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    (along, run), (onset, loss) = figure.subplots(2, 2)
    excited = int(0.8 * before.connectivity.units)
    for circuit, color, name in ((before, GRAY, "before"), (after, BLUE, "after")):
        path, point = branch(circuit), hopf(circuit)
        mean = np.asarray(path.states)[:, :excited].mean(1)
        for stable, style in ((True, "-"), (False, "--")):
            part = np.where(path.stable == stable, mean, np.nan)
            along.plot(path.parameter, part, style, color=color)
        along.plot(
            point.parameter, np.mean(point.state[:excited]), "o", color=color,
            label=f"{name}: {point.kind}, l1 = {float(point.coefficient):.1e}",
        )  # fmt: skip
    along.axvline(GOAL, color=ORANGE, lw=0.8, zorder=0)
    along.set(xlabel="drive", ylabel="mean of the excitatory units")
    along.set_title("Equilibria (solid: stable) and Hopf points")
    along.legend(loc="upper left", bbox_to_anchor=(0.0, 0.98))
    for unit, shift in enumerate((0.0, 4.0, 8.0)):
        of = 3 * unit
        for x, color, style in (
            (recorded, "k", "-"), (response(before), GRAY, "-"), (response(after), BLUE, "--"),
        ):  # fmt: skip
            run.plot(TIMES, np.asarray(x)[:, of] + shift, style, color=color)
    names = (("recorded", "k", "-"), ("before", GRAY, "-"), ("after", BLUE, "--"))
    for name, color, style in names:
        run.plot([], [], style, color=color, label=name)
    run.set(xlabel="time (ms)", ylabel="state, shifted")
    run.set_title("Three of ten units that are fitted")
    run.legend(ncols=3, loc="upper right")
    distances = np.linspace(0.01, 0.3, 12)
    fine = np.linspace(0, 0.3, 200)
    point = hopf(after)
    onset.plot(fine, predicted(after, point, fine), color=ORANGE, label="normal form")
    onset.plot(distances, amplitudes(after, point, distances), "o", ms=4, color=BLUE,
               label="simulated")  # fmt: skip
    onset.set(xlabel="drive beyond the Hopf point", ylabel="amplitude of the mean")
    onset.set_title("After: the oscillation begins small")
    onset.legend()
    loss.semilogy(found.losses, color=BLUE)
    loss.set(xlabel="step", ylabel="loss")
    loss.set_title("One loss: place, normal form and trajectory")
    return figure


def main(out="out", units=50, steps=400):
    """Train, check and draw; gives the path of the picture."""
    with jax.enable_x64(True):
        begun = time.perf_counter()
        before, after, recorded, found = trained(units, steps)
        spent = time.perf_counter() - begun
        print(f"{steps} steps in {spent:.0f} s, compiling included; {found}")
        for name, circuit in (("before", before), ("after", after)):
            share = 100 * float(unexplained(circuit, recorded))
            print(f"{name}: {hopf(circuit)!r}; {share:.1f} % of the response unexplained")
        print(f"{'':36}{'expected':>20}{'found':>20}{'error':>10}")
        for name, expected, value in checks(after):
            print(f"{name:36}{expected:20.12g}{value:20.12g}{abs(value - expected):10.1e}")
        with mpl.rc_context(STYLE):
            path = Path(out) / "hopf_objective.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(before, after, recorded, found).savefig(path)
    print(f"wrote {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out", help="folder for the picture")
    parser.add_argument("--units", type=int, default=50, help="units of the network")
    parser.add_argument("--steps", type=int, default=400, help="gradient steps")
    given = parser.parse_args()
    main(given.out, given.units, given.steps)
