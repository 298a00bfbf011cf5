"""Does a million points cost ten times a hundred thousand, in flat memory?"""

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import SPEC, sweep, versions  # noqa: F401

HERE = "sweep_million.py"
WORKLOAD = Workload(
    name="sweep_million",
    question="a million E-I circuits against a hundred thousand, RK4, float32",
    spec=SPEC,
    small={"steps": 100},
    tools=(
        Tool("100 000 points", HERE, "sweep"),
        Tool("1 000 000 points", HERE, "sweep", spec={"points": 1_000_000}),
    ),
    bars=(Bar("1 000 000 points", "100 000 points", "slower", 10.5),),
    tolerance=1e-6,
    limits=(("1 000 000 points", "peak_mb", 200),),
)
