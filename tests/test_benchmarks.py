"""The benchmark suite: whole reports, fair verdicts, nothing silently dropped."""

import json
import pathlib
import py_compile
import subprocess
import sys

import jax
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import _harness, _table, training
from benchmarks.__main__ import NAMES

COLUMNS = {"tool", "seconds", "cpu_seconds", "peak_mb", "compile_seconds", "outcome", "note"}


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip


def test_every_question_is_listed():
    listed = run("--list")
    assert all(name in listed for name in NAMES)
    files = {p.stem for p in (ROOT / "benchmarks").glob("[a-z]*.py")}
    assert files == set(NAMES)


def test_a_report_is_whole(tmp_path):
    file = tmp_path / "network.json"
    run("network", "--own", "--size", "small", "--repeats", "2", "--json", str(file))
    report = json.loads(file.read_text())
    assert set(report) >= {"name", "machine", "versions", "rows", "bars"}
    assert [row["tool"] for row in report["rows"]] == ["rnnjax", "bare products (XLA)", "numpy"]
    for row in report["rows"]:
        assert set(row) >= COLUMNS
        assert row["seconds"] > 0
        assert row["outcome"] in ("agrees", "not compared")
    assert {bar["against"] for bar in report["bars"]} == {
        "bare products (XLA)", "numpy", "torch eager",
    }  # fmt: skip
    absent = next(bar for bar in report["bars"] if bar["against"] == "torch eager")
    assert absent["holds"] is None


def row(tool, seconds, outcome="agrees"):
    return _harness._row(tool, seconds=seconds, peak_mb=10.0, outcome=outcome)


def workload(**changes):
    bars = (
        _harness.Bar("ours", "theirs", "faster", 3), _harness.Bar("ours", "limit", "slower", 1.5),
    )  # fmt: skip
    settings = {"spec": {}, "small": {}, "tools": (), "bars": bars, "tolerance": 1e-3}
    return _harness.Workload("name", "question", **(settings | changes))


def test_a_training_step_is_that_of_a_plain_program():
    spec = training.SPEC | {"units": 8, "batch": 3, "steps": 12, "compared": 12, "gpu": True}
    with jax.numpy_dtype_promotion("standard"):  # of the plain program
        wanted = training.diffrax_adjoint(spec)()
    np.testing.assert_allclose(training.training(spec)(), wanted, rtol=1e-3)
    np.testing.assert_allclose(training.training(spec | {"seeds": 2})(), wanted, rtol=1e-3)


def test_bars():
    rows = {"ours": row("ours", 2.0), "theirs": row("theirs", 8.0), "limit": row("limit", 1.0)}
    faster, slower = _harness.judge(workload(), rows)
    assert (faster["ratio"], faster["reach"], faster["holds"]) == (4.0, ">= 3x", True)
    assert (slower["ratio"], slower["reach"], slower["holds"]) == (2.0, "<= 1.5x", False)


def test_a_tool_that_disagrees_holds_no_bar():
    rows = {"ours": row("ours", 2.0, "differs by 0.1"), "theirs": row("theirs", 8.0)}
    assert _harness.judge(workload(), rows)[0]["holds"] is False
    tool = _harness.Tool("ours", "x.py", "f")
    assert _harness._verdict(tool, [1.0, 2.0], [1.0, 2.0005], 1e-3) == "agrees"
    assert _harness._verdict(tool, [1.0, 2.1], [1.0, 2.0], 1e-3).startswith("differs by")
    assert _harness._verdict(tool, [1.0, float("nan")], [1.0, 2.0], 1e-3) == "differs by inf"
    assert _harness._verdict(tool, [1.0], [1.0, 2.0], 1e-3).startswith("differs")


def test_a_peer_that_is_missing_is_reported(monkeypatch):
    def refused(peer):
        raise _harness.MissingError("can't install it: no network")

    monkeypatch.setattr(_harness, "interpreter", refused)
    tools = (_harness.Tool("theirs", "peers/numba.py", "sweep", "numba"),)
    report = _harness.measure(workload(tools=tools))
    assert report["rows"][0]["outcome"] == "missing: can't install it: no network"
    assert report["rows"][0]["seconds"] is None
    assert report["bars"][0]["holds"] is None


TOOL = """
def versions():
    return {"abacus": "1"}


def make(spec):
    def call():
        call.noted["calls"] += 1
        call.noted["found"] = None if call.noted["calls"] == spec["none_at"] else 2.0
        return [call.noted["calls"]]

    call.noted = {"calls": 0}
    return call
"""


def test_without_repeats_the_first_call_is_the_measurement(tmp_path):
    file = tmp_path / "tool.py"
    file.write_text(TOOL)
    tools = (_harness.Tool("ours", str(file), "make"),)
    once = workload(tools=tools, bars=(), repeats=0, spec={"none_at": 0})
    (only,) = _harness.measure(once)["rows"]
    assert (only["calls"], only["found"]) == (1, 2.0)
    assert only["seconds"] == only["compile_seconds"]
    assert set(only) >= COLUMNS
    (more,) = _harness.measure(once, repeats=3)["rows"]
    assert more["calls"] > 2  # the median of the calls after the first
    (lost,) = _harness.measure(workload(tools=tools, bars=(), spec={"none_at": 3}))["rows"]
    assert lost["found"] is None  # it was missing once


def test_what_is_slow_runs_when_it_is_asked_for(monkeypatch, capsys):
    from benchmarks import __main__ as command

    ran = []

    def measure(work, *rest):
        ran.append(work.name)
        return {"name": work.name, "question": "", "rows": [], "bars": []}

    monkeypatch.setattr(command, "measure", measure)
    command.main([])
    assert set(ran) == set(NAMES) - {"error_forcing"}
    ran.clear()
    command.main(["--slow"])
    command.main(["error_forcing"])
    assert ran == ["error_forcing"] * 2
    assert capsys.readouterr().out.count("### error_forcing") == 2


def test_what_was_found_has_its_longer_side_downwards():
    few = [_harness._row(t, found=float(k), other=None) for k, t in enumerate("abc")]
    assert "| found | found | other |\n|---|---|---|\n| a | 0 |  |" in "\n".join(_table._noted(few))
    many = [_harness._row("a", found=1.0, other=2.0)]
    assert "| found | a |\n|---|---|\n| found | 1 |" in "\n".join(_table._noted(many))


def test_tables(tmp_path):
    report = {
        "name": "name", "question": "what?", "machine": _harness.machine(), "versions": {"a": "1"},
        "rows": [
            row("ours", 2.0), row("limit", 1.0), _harness._row("theirs", outcome="missing: no wheel"),
        ],
        "bars": _harness.judge(workload(), {"ours": row("ours", 2.0), "limit": row("limit", 1.0)}),
    }  # fmt: skip
    (tmp_path / "name.json").write_text(json.dumps(report))
    other = report | {"name": "other", "machine": report["machine"] | {"processor": "abacus"}}
    (tmp_path / "other.json").write_text(json.dumps(other))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{_table.BEGIN}\nstale\n{_table.END}\nafter\n")
    front = tmp_path / "FRONT.md"
    front.write_text(f"before\n{_table.BEGIN}\n{_table.END}\nafter\n")
    _table.write(tmp_path, readme, front)
    assert "| **what?** | | |\n| ours | limit | 2 times its time |" in front.read_text()
    assert "| **what? (on another processor, abacus)** | | |" in front.read_text()
    assert "theirs" not in front.read_text()  # it is missing
    text = readme.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "stale" not in text
    assert "missing: no wheel" in text
    assert "| ours | limit | 2 | <= 1.5x | **no** |" in text
    assert "not measured" in text
    with pytest.raises(FileNotFoundError, match="make bench"):
        _table.write(tmp_path / "none", readme)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks").rglob("peers/*.py")), ids=lambda p: p.stem
)
def test_peers_have_pins_and_compile(path, tmp_path):
    py_compile.compile(str(path), cfile=str(tmp_path / "x.pyc"), doraise=True)
    pins = path.with_suffix(".txt").read_text().split()
    assert pins
    assert all("==" in pin for pin in pins)
