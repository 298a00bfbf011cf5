"""Measures tools beside each other: one process each, outcomes compared first, calls interleaved."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks"
BEFORE = " (before)"  # a row of an older checkout
_COLUMNS = ("seconds", "cpu_seconds", "peak_mb", "compile_seconds")


@dataclasses.dataclass(frozen=True)
class Tool:
    """One row: what runs, where, and on which share of the work.

    Attributes:
        name: of the row.
        file: the module under `benchmarks/`.
        function: makes the call that is timed, from the specification.
        peer: the venv it needs, a file `peers/PEER.txt`; rnnjax's own where there is none.
        spec: what differs from the workload's specification.
        share: the part of the work that it does; seconds are divided by it.
        compare: whether its outcome must agree with that of the first tool.
    """

    name: str
    file: str
    function: str
    peer: str | None = None
    spec: dict = dataclasses.field(default_factory=dict)
    share: float = 1.0
    compare: bool = True


@dataclasses.dataclass(frozen=True)
class Bar:
    """What is to be reached.

    `faster`: seconds of `against` over those of `tool`, at least `reach`; `slower`: those of `tool`
    over those of `against`, at most `reach`; or the same of `peak_mb` or `compile_seconds`.
    """

    tool: str
    against: str
    kind: str
    reach: float
    of: str = "seconds"


@dataclasses.dataclass(frozen=True)
class Workload:
    """One question: the specification of both sizes, tools, bars, and how closely outcomes agree.

    Without `repeats` the first call is the only one. What is `slow` runs when it is asked for.
    """

    name: str
    question: str
    spec: dict
    small: dict
    tools: tuple
    bars: tuple
    tolerance: float
    repeats: int = 3
    limits: tuple = ()  # (row, column, reach): no more than that, by itself
    slow: bool = False


class MissingError(RuntimeError):
    """Why a tool can't run here."""


def interpreter(peer):
    """The Python of a peer's venv, made once from its pinned file."""
    if peer is None:
        return sys.executable
    pins = HERE / "peers" / f"{peer}.txt"
    venv = HERE / ".peers" / peer
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, wanted = venv / "stamp", hashlib.sha256(pins.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(pins),
        ],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            raise MissingError(
                f"can't install {pins.name}: {done.stderr.strip().splitlines()[-1][:200]}"
            )
    stamp.write_text(wanted)
    return str(python)


def environment():
    """That of every tool: as its makers ship it, whatever this machine says about its libraries."""
    theirs = ("OPENBLAS_", "MKL_", "OMP_", "NUMBA_", "XLA_", "JAX_")
    return {k: v for k, v in os.environ.items() if not k.startswith(theirs) or k == "JAX_PLATFORMS"}


class Worker:
    """A tool in its process."""

    def __init__(self, tool, spec):
        command = [
            interpreter(tool.peer), str(HERE / "_worker.py"), str(HERE / tool.file), tool.function,
            json.dumps(spec | tool.spec | {"root": str(ROOT)}),
        ]  # fmt: skip
        self.tool = tool
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=environment(),
        )  # fmt: skip
        self.first = self._answer()
        if "missing" in self.first:
            raise MissingError(self.first["missing"])

    def run(self):
        """One timed call."""
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise MissingError(f"ended with exit status {self._process.wait()}")
        return json.loads(line)


def measure(workload, size="full", only=None, repeats=None, more=None, before=None):
    """Run one workload and return its report; with rnnjax as it is in the checkout `before`, too."""
    spec = workload.spec | (workload.small if size == "small" else {}) | (more or {})
    tools = [t for t in workload.tools if only is None or only(t)]
    bars = list(workload.bars)
    for tool in [t for t in tools if before and t.peer is None]:
        old = dataclasses.replace(
            tool, name=tool.name + BEFORE, spec=tool.spec | {"before": str(before)}
        )
        tools.insert(tools.index(tool) + 1, old)
        bars.append(Bar(tool.name, old.name, "slower", 1))
    workload = dataclasses.replace(workload, bars=tuple(bars))
    rows, workers, versions = {}, [], {}
    with contextlib.ExitStack() as stack:
        for tool in tools:
            print(f"{workload.name}: {tool.name} ...", file=sys.stderr, flush=True)
            try:
                worker = Worker(tool, spec)
            except (MissingError, OSError) as reason:
                rows[tool.name] = _row(tool.name, outcome=f"missing: {reason}")
                continue
            stack.callback(worker.close)
            versions |= worker.first["versions"]
            workers.append(worker)
        reference = next((w.first["outcome"] for w in workers if w.tool.compare), None)
        count = workload.repeats if repeats is None else repeats
        samples = {w.tool.name: [] if count else [w.first["call"]] for w in workers}
        for _ in range(count):
            for worker in workers:
                samples[worker.tool.name].append(worker.run())
    for worker in workers:
        tool, found = worker.tool, samples[worker.tool.name]
        middle = {k: _median([x[k] for x in found]) for k in found[0]}
        rows[tool.name] = _row(
            tool.name,
            seconds=middle["seconds"] / tool.share,
            cpu_seconds=middle["cpu_seconds"] / tool.share,
            peak_mb=middle["peak_mb"],
            compile_seconds=worker.first["compile_seconds"],
            outcome=_verdict(tool, worker.first["outcome"], reference, workload.tolerance),
            note=f"1/{1 / tool.share:g} of the work, scaled" if tool.share != 1 else "",
            **{k: v for k, v in middle.items() if k not in _COLUMNS},
        )
    ordered = [rows[t.name] for t in tools]
    return {
        "name": workload.name, "question": workload.question, "size": size, "machine": machine(),
        "versions": versions, "rows": ordered, "bars": judge(workload, rows),
    }  # fmt: skip


def _row(tool, **found):
    empty = dict.fromkeys(_COLUMNS)
    return {"tool": tool, **empty, "outcome": "", "note": "", **found}


def _median(values):
    return None if None in values else statistics.median(values)


def _verdict(tool, outcome, reference, tolerance):
    if not tool.compare or reference is None:
        return "not compared"
    if len(outcome) != len(reference):
        return f"differs: {len(outcome)} numbers instead of {len(reference)}"
    off = max(
        abs(a - b) / (1 + abs(b)) if a == a else float("inf")
        for a, b in zip(outcome, reference, strict=True)
    )
    return "agrees" if off <= tolerance else f"differs by {off:.2g}"


def judge(workload, rows):
    """Every bar with its ratio, and whether it holds; None where a tool is missing."""
    found = []
    for bar in workload.bars:
        a, b = rows.get(bar.tool), rows.get(bar.against)
        ratio = holds = None
        if a and b and a[bar.of] and b[bar.of]:
            ratio = b[bar.of] / a[bar.of] if bar.kind == "faster" else a[bar.of] / b[bar.of]
            agrees = not any(r["outcome"].startswith("differs") for r in (a, b))
            reached = ratio >= bar.reach if bar.kind == "faster" else ratio <= bar.reach
            holds = bool(agrees and reached)
        sign = ">=" if bar.kind == "faster" else "<="
        what = "" if bar.of == "seconds" else f" ({bar.of})"
        found.append(
            {"tool": bar.tool, "against": bar.against + what, "ratio": ratio,
             "reach": f"{sign} {bar.reach:g}x", "holds": holds}
        )  # fmt: skip
    for name, column, reach in workload.limits:
        value = rows.get(name, {}).get(column)
        holds = None if value is None else value <= reach
        found.append(
            {
                "tool": name,
                "against": column,
                "ratio": value,
                "reach": f"<= {reach:g}",
                "holds": holds,
            }
        )
    return found


def machine():
    """What the numbers were measured on."""
    model, flags = platform.processor() or platform.machine(), ""
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines if ":" in line)
        values = {k.strip(): v.strip() for k, v in values.items()}
        model, flags = values.get("model name", model), values.get("flags", "")
    memory = None
    with contextlib.suppress(ValueError, OSError, AttributeError):
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": model, "cores": cores, "memory_gib": memory, "avx512": "avx512f" in flags,
        "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(),
    }  # fmt: skip
