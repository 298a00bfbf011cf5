"""Do backpropagation and random feedback local online learning learn Murray's periodic function?

Eight networks at once, those of `examples/learning_rules.py`; published are the last errors of one.
"""

import pathlib
import runpy

from benchmarks._harness import Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401


def learn(spec):
    """A call that trains all seeds by one rule; the outcome is half the mean square at the end."""
    import numpy as np

    import rnnjax

    rnnjax.tune_cpu()
    example = runpy.run_path(str(pathlib.Path(spec["root"], "examples", "learning_rules.py")))

    def call():
        last = example["murray"](spec["rule"], spec["seeds"], spec["trials"])[:, -1]
        call.noted = {
            "half the mean square, median": float(np.median(last)), "smallest": float(last.min()),
            "largest": float(last.max()), "published": example["PUBLISHED"][spec["rule"]],
        }  # fmt: skip
        return [float(x) for x in last]

    return call


HERE = "learning_rules.py"
BPTT, RFLO = "backpropagation through time", "random feedback local online learning"
WORKLOAD = Workload(
    name="learning_rules",
    question="50 units learn a periodic function (Murray 2019), 10 000 trials: 8 seeds at once",
    spec={"seeds": 8, "trials": 10_000},
    small={"seeds": 2, "trials": 20},
    tools=(
        Tool(BPTT, HERE, "learn", spec={"rule": "BPTT"}, compare=False),
        Tool(RFLO, HERE, "learn", spec={"rule": "RFLO"}, compare=False),
    ),
    bars=(),
    tolerance=0.0,
    repeats=1,
    limits=tuple((tool, "half the mean square, median", 1e-3) for tool in (BPTT, RFLO)),
)
