"""What do twenty fits at once cost, beside one, and beside twenty one after another?"""

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401
from benchmarks.training import SPEC as ONE

SPEC = ONE | {"units": 50, "batch": 128, "steps": 100, "updates": 10}
SMALL = {"units": 20, "batch": 16, "updates": 2}
HERE = "training.py"
WORKLOAD = Workload(
    name="seeds",
    question="10 training steps of 50 tanh units, a batch of 128, 100 Euler steps: 1 and 20 seeds",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("one seed", HERE, "training"),
        Tool("20 seeds at once", HERE, "training", spec={"seeds": 20}),
        Tool("20 seeds, one by one", HERE, "training", spec={"one_by_one": 20}),
    ),
    bars=(
        Bar("20 seeds at once", "20 seeds, one by one", "faster", 1),
        Bar("20 seeds at once", "one seed", "slower", 20),
    ),
    tolerance=1e-3,
    repeats=7,
)
