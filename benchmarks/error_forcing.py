"""Who learns delayed exclusive or, with error forcing, with teacher forcing, and without?

The networks, the training and the criterion are those of `examples/error_forcing.py`, which has
all tasks, longer delays, local learning rules and Dale's law as well. Every row is trained once, so
that its seconds hold the compilation.
"""

import pathlib
import runpy

from benchmarks._harness import Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401


def learn(spec):
    """A call that trains all seeds of a condition; the outcome is the errors of their tests."""
    import numpy as np

    import rnnjax

    rnnjax.tune_cpu()
    example = runpy.run_path(str(pathlib.Path(spec["root"], "examples", "error_forcing.py")))
    condition = example["Condition"](
        "delayed XOR", spec["delay"], spec["forcing"], seeds=spec["seeds"], epochs=spec["epochs"]
    )

    def call():
        found = example["run"](condition, progress=False)
        learned = [512.0 * e for e in found["epochs_to_criterion"] if e is not None]
        low, high = example["wilson"](len(learned), spec["seeds"])
        call.noted = {
            "seeds that learn": len(learned), "of": spec["seeds"],
            "share, lower end of 95 %": float(low), "share, upper end": float(high),
            "trials to criterion, median": float(np.median(learned)) if learned else None,
            "test error, median": float(np.median(found["test_errors"])),
        }  # fmt: skip
        return found["test_errors"]

    return call


HERE = "error_forcing.py"
FORCINGS = (
    "none", "error 0.1", "error 0.4", "generalized teacher 0.1", "generalized teacher 0.4", "teacher",
)  # fmt: skip
WORKLOAD = Workload(
    name="error_forcing",
    question="50 units, 800 updates, 10 seeds: who learns delayed exclusive or, by which forcing?",
    spec={"seeds": 10, "epochs": 200},
    small={"seeds": 2, "epochs": 1},
    tools=tuple(
        Tool(f"{f}, {d:g} ms", HERE, "learn", spec={"forcing": f, "delay": d}, compare=False)
        for d in (20.0, 100.0)
        for f in FORCINGS
    ),
    bars=(),
    tolerance=0.0,
    repeats=0,
    slow=True,
)
