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
from matplotlib.lines import Line2D
from scipy.stats import binom

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
    "error 0.01": ErrorForcing(0.01),
}
STYLE = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200,
}  # fmt: skip
STYLES = {
    "none": "0.35", "error 0.1": "#56B4E9", "error 0.4": "#0072B2", "teacher": "#D55E00",
    "generalized teacher 0.1": "#E69F00", "generalized teacher 0.4": "#CC79A7",
}  # fmt: skip
LOCAL = ("none", "error 0.1", "error 0.4")
LATE = ("none", "error 0.1, a step late", "error 0.4, a step late")
MOST = 512 * 200  # trials of training
NEVER = 1.17 * MOST  # where those are drawn that did not learn
KEPT = 5  # every so many-th epoch's validation is in the file
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
    readout: float = 1.0  # times its usual size at first

    @property
    def name(self):
        larger = "" if self.readout == 1 else f", readout x {self.readout:g}"
        return ", ".join(str(x) for x in self[:5]) + larger


def study():
    """The conditions of the figure, the quick ones first: a minute each, the last ones ten."""
    main = list(STYLES)
    found = [Condition("delayed XOR", 20.0, f) for f in main]
    found += [Condition("evidence integration", 20.0, f) for f in main]
    for credit in ("diagonal", "RFLO"):
        for kind in CONNECTIVITIES:
            found += [Condition("delayed XOR", 20.0, f, credit, kind) for f in LATE]
    found += [Condition("delayed XOR", 20.0, f, "BPTT", "Dale") for f in main[:3]]
    found += [Condition("delayed XOR", 100.0, f) for f in main]
    found += [Condition("delayed XOR", 1000.0, f, seeds=10 if f in LOCAL else 3) for f in main]
    found += [Condition("evidence integration", 100.0, f) for f in main]
    found += [Condition("evidence integration", 1000.0, f, seeds=3) for f in main]
    found += [Condition("sine generation", x, f) for x in (-55.0, 0.0) for f in main]
    return found


def why():
    """What was looked into afterwards: a smaller gain, and readouts that need smaller corrections."""
    sines = Condition("sine generation", 0.0, "none")
    local = Condition("delayed XOR", 20.0, "none", "RFLO", "Dale", readout=7.0)
    return [
        sines._replace(forcing="error 0.01"),
        sines._replace(readout=7.0),
        sines._replace(forcing="error 0.1", readout=7.0),
        *(local._replace(forcing=f) for f in LATE),
    ]


def readout_condition(network, key):
    """What keeps the readout invertible: its norm near 1, of two outputs its condition near 1."""
    weights = network.readout.weights
    gram = weights @ weights.T
    if len(weights) == 1:
        return 1e-6 * (1 - jnp.sqrt(gram[0, 0])) ** 2
    center = (gram[0, 0] + gram[1, 1]) / 2  # eigenvalues of a symmetric matrix of two rows
    radius = jnp.hypot((gram[0, 0] - gram[1, 1]) / 2, gram[0, 1])
    largest, smallest = jnp.sqrt(center + radius), jnp.sqrt(jnp.maximum(center - radius, 1e-12))
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
        network = TaskNetwork.random(circuit, task, key=of_network)
        larger = condition.readout * network.readout.weights
        return eqx.tree_at(lambda n: n.readout.weights, network, larger)

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
        "validations": [[rounded(x) for x in row[::KEPT]] for row in validations],
        "test_errors": [rounded(x) for x in errors(fit.circuit)],
        "epochs_to_criterion": [criterion(v, TASKS[condition.task][1]) for v in validations],
        "seconds": rounded(seconds),
    }


def rounded(x):
    """Four digits, which keep the file small."""
    return float(f"{x:.4g}")


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
    return max(middle - half, 0.0), min(middle + half, 1.0)


def middle(values):
    """The median, and the order statistics that hold it with 95 %: the ends where values are few."""
    ordered, count = np.sort(values), len(values)
    left_out = max(1, sum(binom.cdf(k, count, 0.5) <= 0.025 for k in range(count)))
    return np.median(ordered), ordered[left_out - 1], ordered[count - left_out]


def titled(condition):
    """A task and how hard it is."""
    x = condition.difficulty
    if condition.task == "sine generation":
        return f"Sine generation\nof {90 + x:g} to {180 + x:g} ms"
    name = "Evidence" if condition.task.startswith("evidence") else "Delayed XOR"
    return f"{name}\ndelay {x:g} ms"


def columns(results):
    """What stands side by side: a task and its difficulty; a rule and a constraint."""
    tasks, rules = {}, {f"{credit}, {kind}": [] for credit in CREDITS for kind in CONNECTIVITIES}
    for condition in study():
        if condition.name not in results:
            continue
        each = results[condition.name]
        if (condition.credit, condition.connectivity) == ("BPTT", "free"):
            tasks.setdefault(titled(condition), []).append(each)
        kind = each["forcing"].split(",")[0]
        if (condition.task, condition.difficulty) == ("delayed XOR", 20.0) and kind in LOCAL:
            rules[f"{condition.credit}, {condition.connectivity}"].append(each)
    by_task = sorted(tasks.items(), key=lambda item: list(TASKS).index(item[1][0]["task"]))
    return dict(by_task), rules


def draw(results):
    """Who learns, how soon, and how well: above on each task, below under local rules and Dale's law.

    A network has learned once its validation has been below a threshold, the gray line beside the test
    errors, for ten epochs of 512 trials in a row. Bars are 95 % intervals: of shares (Wilson), and of
    medians by order statistics, which of three seeds are the whole range.
    """
    figure = Figure(figsize=(12, 8.8), layout="constrained")
    above, below = figure.subfigures(2, 1)
    below.suptitle(
        "Delayed XOR, delay 20 ms, under learning rules and Dale's law (diagonal and RFLO: forced by the "
        "error of the step before)", fontsize=9, x=0.01, ha="left",
    )  # fmt: skip
    for part, groups in zip((above, below), columns(results), strict=True):
        axes = part.subplots(3, len(groups), sharey="row", squeeze=False)
        for (name, group), column in zip(groups.items(), axes.T, strict=True):
            column[0].set_title(name)
            for each in group:
                one_condition(column, each)
            for ax in column:
                ax.set(xticks=[], xlim=(-0.7, (len(STYLES) if part is above else len(LOCAL)) - 0.3))
            column[2].axhline(TASKS[group[0]["task"]][1], color="0.6", linewidth=0.7, zorder=0)
        axes[0, 0].set(ylim=(-0.04, 1.2), yticks=(0, 0.5, 1), ylabel="share of\nseeds that learn")
        axes[1, 0].set(ylim=(0, 1.25 * MOST), yticks=(0, 5e4, 1e5, NEVER))
        axes[1, 0].set(
            yticklabels=["0", "50 000", "100 000", "never"], ylabel="trials to\ncriterion"
        )
        axes[2, 0].set(yscale="log", ylabel="test error,\nunforced")
    above.suptitle(
        "By backpropagation through time (digits: seeds where they are fewer than ten)",
        fontsize=9, x=0.01, ha="left",
    )  # fmt: skip
    handles = [Line2D([], [], marker="o", linestyle="", color=c) for c in STYLES.values()]
    figure.legend(
        handles, [k.replace("teacher", "teacher forcing").replace("error", "error forcing") for k in STYLES],
        loc="outside upper center", ncols=3,
    )  # fmt: skip
    return figure


def one_condition(column, each):
    """The seeds of a condition in three axes: who learned, how soon, how well."""
    kind = each["forcing"].split(",")[0]
    k, color = list(STYLES).index(kind), STYLES[kind]
    soon = [NEVER if e is None else 512 * e for e in each["epochs_to_criterion"]]
    learned = sum(e is not None for e in each["epochs_to_criterion"])
    share = learned / each["seeds"]
    if each["seeds"] < 10:
        column[0].text(k, 1.1, each["seeds"], color=color, ha="center", fontsize=7)
    for ax, values, (center, low, high) in (
        (column[0], [], (share, *wilson(learned, each["seeds"]))),
        (column[1], soon, middle(soon)),
        (column[2], each["test_errors"], middle(each["test_errors"])),
    ):
        ax.plot(np.full(len(values), k), values, ".", color=color, alpha=0.35, markersize=4)
        ax.errorbar(
            k,
            center,
            [[center - low], [high - center]],
            fmt="o",
            color=color,
            capsize=3,
            markersize=5,
        )


def summary(result):
    """One line of what became of a condition."""
    learned = [e for e in result["epochs_to_criterion"] if e is not None]
    low, high = wilson(len(learned), result["seeds"])
    forcing = result["forcing"]
    if result["readout"] != 1:
        forcing += f", readout x {result['readout']:g}"
    when = f"{512 * np.median(learned):8.0f}" if learned else "       -"
    return (
        f"{result['task']:20s} {result['difficulty']:6g} {result['credit']:8s} "
        f"{result['connectivity']:5s} {forcing:36s} "
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
    for condition in small if path is None else study() + why():
        known = results.get(condition.name, {})
        if (known.get("seeds"), known.get("epochs")) != (condition.seeds, condition.epochs):
            results[condition.name] = run(condition)
            if path is not None:
                keep(path, results)
        print(summary(results[condition.name]), flush=True)


if __name__ == "__main__":
    main()
