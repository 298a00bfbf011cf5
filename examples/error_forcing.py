"""Error forcing and its rivals on three tasks: who learns, how soon, and how well.

The claim of Sagtekin, Bredenberg and Savin (2025): networks of 50 units learn delayed exclusive or,
the integration of evidence and the generation of sines in a larger fraction of seeds, and to lower
error, with error forcing than with teacher forcing or without; under local learning rules as well.

    python examples/error_forcing.py                    # one small comparison, about two minutes
    python examples/error_forcing.py --study FILE.json  # all of it, for hours; goes on where it stopped
    python examples/error_forcing.py --draw FILE.json   # the figure of what is in FILE.json
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure

import rnnjax
from rnnjax import OnTask, TaskNetwork
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import Dale, Dense
from rnnjax.credit import BackpropagationThroughTime, DiagonalRecurrent, RandomFeedbackLocalOnline
from rnnjax.forcing import ErrorForcing, GeneralizedTeacherForcing, NoForcing, TeacherForcing
from rnnjax.tasks import DelayedXOR, EvidenceIntegration, SineGeneration

UNITS, BATCH, EPOCH = 50, 128, 4  # updates in an epoch; ours is 512 trials on every task
IN_A_ROW = 10  # epochs below the threshold
OPTIMIZER = optax.adam(1e-3)

TASKS = {
    "delayed XOR": (lambda x: DelayedXOR(delay=x), 0.01),
    "evidence integration": (lambda x: EvidenceIntegration(delay=x), 0.1),
    "sine generation": (lambda x: SineGeneration(shift=x), 0.01),
}
FORCINGS = {
    "none": NoForcing(),
    "error 0.1": ErrorForcing(0.1),
    "error 0.4": ErrorForcing(0.4),
    "generalized teacher 0.1": GeneralizedTeacherForcing(0.1),
    "generalized teacher 0.4": GeneralizedTeacherForcing(0.4),
    "teacher": TeacherForcing(),
    "error 0.1, a step late": ErrorForcing(0.1, previous_error=True),
    "error 0.4, a step late": ErrorForcing(0.4, previous_error=True),
}
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
COLORS = {
    "none": "0.35", "error 0.1": "#56B4E9", "error 0.4": "#0072B2", "teacher": "#D55E00",
    "generalized teacher 0.1": "#E69F00", "generalized teacher 0.4": "#CC79A7",
}  # fmt: skip
SHORT = {
    "generalized teacher 0.1": "gen. teacher 0.1",
    "generalized teacher 0.4": "gen. teacher 0.4",
}
CREDITS = {
    "BPTT": BackpropagationThroughTime(),
    "diagonal": DiagonalRecurrent(),
    "RFLO": RandomFeedbackLocalOnline(),
}
CONNECTIVITIES = {"free": Dense, "Dale": Dale}


class Condition(NamedTuple):
    """One cell of the comparison: three words that can be changed, a difficulty, and its size."""

    task: str
    difficulty: float  # the delay, or the shift of the periods, ms
    forcing: str
    credit: str = "BPTT"
    connectivity: str = "free"
    seeds: int = 10
    epochs: int = 200

    @property
    def name(self):
        return ", ".join(str(x) for x in self[:5])


def study():
    """All conditions, the quick ones first."""
    main = list(FORCINGS)[:6]
    local = ["none", "error 0.1, a step late", "error 0.4, a step late"]
    found = [Condition("delayed XOR", 20.0, f) for f in main]
    found += [Condition("evidence integration", 20.0, f) for f in main]
    for credit in ("diagonal", "RFLO"):
        for kind in CONNECTIVITIES:
            found += [Condition("delayed XOR", 20.0, f, credit, kind) for f in local]
    found += [Condition("delayed XOR", 20.0, f, "BPTT", "Dale") for f in main[:3]]
    found += [Condition("delayed XOR", 100.0, f) for f in main]
    found += [Condition("evidence integration", 100.0, f) for f in main]
    found += [Condition("sine generation", x, f) for x in (-55.0, 0.0) for f in main]
    found += [Condition("delayed XOR", 1000.0, f, seeds=3) for f in main]
    found += [Condition("evidence integration", 1000.0, f, seeds=3) for f in main]
    return found


def readout_condition(network, key):
    """What keeps the readout invertible: its norm near 1, of several outputs its condition near 1."""
    weights = network.readout.weights
    gram = weights @ weights.T
    if len(weights) == 1:
        return 1e-6 * (1 - jnp.sqrt(gram[0, 0])) ** 2
    largest, smallest = jnp.sqrt(jnp.linalg.eigvalsh(gram)[jnp.array([-1, 0])])
    return 1e-6 * (1 - largest / (smallest + 1e-8)) ** 2


def trained(network):
    """What is trained: recurrent weights and biases, and the readout; the input weights are not."""
    return network.circuit.connectivity, network.circuit.bias, network.readout


def networks(condition, keys):
    """One network per key."""
    task = TASKS[condition.task][0](condition.difficulty)
    kind = CONNECTIVITIES[condition.connectivity]

    def make(key):
        of_weights, of_network = jax.random.split(key)
        weights = kind.random(UNITS, gain=1.5, key=of_weights)
        circuit = CurrentNetwork(weights, bias=np.zeros(UNITS), tau=10.0)
        return TaskNetwork.random(circuit, task, key=of_network)

    return eqx.filter_vmap(make)(keys), task


def run(condition, progress=None):
    """Train all seeds of a condition; what became of them."""
    keys = jax.random.split(jax.random.key(2025), condition.seeds)
    made, task = networks(condition, keys)
    objective = OnTask(
        task, FORCINGS[condition.forcing], CREDITS[condition.credit], batch=BATCH, validation=128,
        activity=1e-5,
    )  # fmt: skip
    begun = time.time()
    fit = rnnjax.fit(
        made, trained, objective + readout_condition, optimizer=OPTIMIZER,
        steps=EPOCH * condition.epochs, key=keys, validate_every=EPOCH, progress=progress,
    )  # fmt: skip
    seconds = time.time() - begun
    validations = fit.validations[:, ::EPOCH]
    test = OnTask(task, validation=1024)
    errors = eqx.filter_jit(eqx.filter_vmap(lambda n: test.validate(n, jax.random.key(7))))
    return {
        **condition._asdict(),
        "validations": np.round(validations, 6).tolist(),
        "test_errors": [float(x) for x in errors(fit.circuit)],
        "epochs_to_criterion": [criterion(v, TASKS[condition.task][1]) for v in validations],
        "seconds": seconds,
    }


def criterion(validations, threshold):
    """The epoch that is the last of so many in a row below the threshold, or None."""
    row = 0
    for epoch, loss in enumerate(validations):
        row = row + 1 if loss < threshold else 0
        if row == IN_A_ROW:
            return epoch
    return None


def keep(path, results):
    """Write all results, at once and whole."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=None))
    partial.replace(path)


def wilson(successes, trials, z=1.96):
    """The 95 % interval of a fraction."""
    share = successes / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return middle - half, middle + half


def draw(results):
    """Who learns, and how well: a column per task and difficulty, and one per local rule."""
    groups = {}
    for each in results.values():
        name = f"{each['task']}, {each['difficulty']:g} ms"
        if (each["credit"], each["connectivity"]) != ("BPTT", "free"):
            name += f"\n{each['credit']}, {each['connectivity']}"
        groups.setdefault(name, []).append(each)
    figure = Figure(figsize=(1.2 + 2.0 * len(groups), 4.6), layout="constrained")
    axes = figure.subplots(2, len(groups), sharey="row", squeeze=False)
    for (name, group), (above, below) in zip(groups.items(), axes.T, strict=True):
        for k, each in enumerate(group):
            color = COLORS[each["forcing"].split(",")[0]]
            learned = sum(e is not None for e in each["epochs_to_criterion"])
            share = learned / each["seeds"]
            low, high = wilson(learned, each["seeds"])
            above.errorbar(
                k, share, [[share - low], [high - share]], fmt="o", color=color, capsize=3
            )
            errors = np.asarray(each["test_errors"])
            below.plot(np.full(len(errors), k), errors, ".", color=color, alpha=0.5, markersize=5)
            below.plot(k, np.median(errors), "_", color=color, markersize=18, markeredgewidth=2)
        above.set_title(name)
        above.set_xticks([])
        below.set_xticks(
            range(len(group)),
            [SHORT.get(g["forcing"], g["forcing"]) for g in group],
            rotation=60,
            ha="right",
        )
        below.set_yscale("log")
        above.set_xlim(-0.6, len(group) - 0.4)
        below.set_xlim(-0.6, len(group) - 0.4)
    axes[0, 0].set_ylim(-0.03, 1.03)
    axes[0, 0].set_ylabel("fraction of seeds that learn")
    axes[1, 0].set_ylabel("test error, unforced")
    return figure


def summary(result):
    """One line of what became of a condition."""
    learned = [e for e in result["epochs_to_criterion"] if e is not None]
    low, high = wilson(len(learned), result["seeds"])
    when = f"{512 * np.median(learned):8.0f}" if learned else "       -"
    return (
        f"{result['task']:20s} {result['difficulty']:6g} {result['credit']:8s} "
        f"{result['connectivity']:5s} {result['forcing']:24s} "
        f"{len(learned):2d}/{result['seeds']:<2d} [{low:.2f}, {high:.2f}] {when} trials, "
        f"test error {np.median(result['test_errors']):.2g}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, help="compute everything, and keep it in this file")
    parser.add_argument("--draw", type=Path, help="draw what is in this file")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    rnnjax.tune_cpu()
    if options.draw is not None:
        results = json.loads(options.draw.read_text())
        for result in results.values():
            print(summary(result))
        options.out.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(STYLE):
            draw(results).savefig(options.out / "error_forcing.png")
        return
    path = options.study
    results = json.loads(path.read_text()) if path is not None and path.exists() else {}
    small = [
        Condition("delayed XOR", 10.0, f, seeds=4, epochs=60)
        for f in ("none", "error 0.1", "generalized teacher 0.4")
    ]
    for condition in small if path is None else study():
        if condition.name not in results:
            results[condition.name] = run(condition)
            if path is not None:
                keep(path, results)
        print(summary(results[condition.name]), flush=True)


if __name__ == "__main__":
    main()
