"""Run: python -m benchmarks [NAME ...] [--json FILE] [--size small|full] [--slow] [--list] [--table]."""

import argparse
import importlib
import json
import pathlib
import sys

from benchmarks import _table
from benchmarks._harness import HERE, measure

NAMES = (
    "sweep_fixed", "sweep_adaptive", "sweep_million", "sweep_neuron", "network", "gradient",
    "training", "seeds", "learning_rules", "error_forcing", "diagrams", "orbits", "lyapunov",
    "large", "misses", "first_result", "first_call",
)  # fmt: skip


def main(arguments=None):
    """Measure, write the JSON, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all but the slow unless given")
    parser.add_argument("--json", type=pathlib.Path, help="write the report of one workload here")
    parser.add_argument("--save", type=pathlib.Path, help="write every report into this folder")
    parser.add_argument("--size", choices=("full", "small"), default="full")
    parser.add_argument("--repeats", type=int, help="calls per tool")
    parser.add_argument("--slow", action="store_true", help="the slow ones only")
    parser.add_argument("--own", action="store_true", help="only what runs in this environment")
    parser.add_argument("--before", type=pathlib.Path, help="an older checkout: rows of it, too")
    parser.add_argument("--gpu", action="store_true", help="on a GPU; refused without one")
    parser.add_argument("--list", action="store_true", help="name the workloads")
    parser.add_argument("--table", action="store_true", help="write the tables from the results")
    given = parser.parse_args(arguments)
    workloads = {n: importlib.import_module(f"benchmarks.{n}").WORKLOAD for n in NAMES}
    if given.list:
        for name, workload in workloads.items():
            print(f"{name:<16} {workload.question}{' (slow)' * workload.slow}")
        return
    if given.table and given.gpu:
        _table.write(HERE / "results" / "gpu", HERE / "GPU.md", order=NAMES)
        return
    if given.table:
        _table.write(HERE / "results", HERE / "README.md", HERE.parent / "README.md", NAMES)
        return
    unknown = [n for n in given.names if n not in workloads]
    if unknown:
        parser.error(f"expected names among {', '.join(NAMES)}, got {', '.join(unknown)}")
    if given.json and len(given.names) != 1:
        parser.error("--json is for one workload: name it")
    if given.gpu:
        import jax

        if jax.default_backend() != "gpu":
            sys.exit(f"no GPU: JAX's default backend here is {jax.default_backend()!r}")
    for name in given.names or [n for n in NAMES if workloads[n].slow == given.slow]:
        only = (lambda t: t.peer is None and "limits" not in t.file) if given.own else None
        report = measure(
            workloads[name], given.size, only, given.repeats, {"gpu": given.gpu}, given.before
        )
        print(_table.markdown(report), flush=True)
        text = json.dumps(report, indent=1) + "\n"
        if given.json:
            given.json.write_text(text)
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            (given.save / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
