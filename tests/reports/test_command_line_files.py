"""Files that the command line is given: what is wrong with them is one line, with exit status 2."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from rnnjax import cli

GOOD = """
import jax.numpy as jnp
import rnnjax

class Decay(rnnjax.AbstractCircuit):
    rate: float = rnnjax.parameter(0.1, "1/ms")
    def __call__(self, state, input):
        return -self.rate * state + input
    def rest(self):
        return jnp.zeros(())

class Needy(rnnjax.AbstractCircuit):
    given: float = rnnjax.parameter(unit="1")
    def __call__(self, state, input):
        return -state
    def rest(self):
        return jnp.zeros(())

class WithNumPy(Decay):
    def __call__(self, state, input):
        import numpy as np
        return np.tanh(state)

class Exits(Decay):
    def __call__(self, state, input):
        raise SystemExit(0)

class Divides(Decay):
    def __call__(self, state, input):
        return 1 / 0

class NoCircuit:
    pass

number = 3
"""


def line(text):
    """The number of the line of the good file with this text."""
    return str(1 + next(k for k, each in enumerate(GOOD.splitlines()) if text in each))


BAD = {
    "raises": ("1 / 0\n", "Decay", ["line 1", "ZeroDivisionError", "division by zero"]),
    "exits": ("import sys\nsys.exit(0)\n", "Decay", ["line 2", "exit(0)"]),
    "exits without a word": ("exit()\n", "Decay", ["line 1", "exit("]),
    "no Python": ("this is no Python\n", "Decay", ["line 1", "SyntaxError"]),
    "imports what there is not": ("import no_such_thing\n", "Decay", ["No module named"]),
    "nothing of the name": (GOOD, "Circuit", ["has no Circuit", "Decay"]),
    "no name": (GOOD, "", ["has no name", "Decay"]),
    "an empty file": ("", "Decay", ["has no Decay"]),
    "a number": (GOOD, "number", ["expected a Class", "got int"]),
    "a class of something else": (GOOD, "NoCircuit", ["expected a circuit", "NoCircuit"]),
    "a field without a default": (GOOD, "Needy", ["without arguments"]),
    "NumPy in the equation": (GOOD, "WithNumPy", ["WithNumPy.__call__", "jnp."]),
    "an exit in the equation": (GOOD, "Exits", ["line " + line("raise SystemExit"), "exit(0)"]),
    "an error in the equation": (GOOD, "Divides", ["line " + line("1 / 0"), "ZeroDivisionError"]),
}


@pytest.fixture(autouse=True)
def _untuned(monkeypatch):
    monkeypatch.setattr("rnnjax.cache", lambda folder=None: None, raising=False)


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def check(done, *words):
    assert done.exit_code == 2, done.output
    assert done.output.startswith("error: ")
    assert len(done.output.strip().splitlines()) == 1
    for word in words:
        assert word in done.output


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_fails_is_told_in_a_line(name, tmp_path):
    text, attribute, words = BAD[name]
    path = tmp_path / "mine.py"
    path.write_text(text)
    check(run("stability", f"{path}:{attribute}"), str(path) if "line" in words[0] else "", *words)


def test_no_file_a_folder_and_no_python_file(tmp_path):
    check(run("stability", tmp_path / "no.py:Decay"), "no.py", "there is no such file")
    check(run("stability", f"{tmp_path}:Decay"), "folder")
    (tmp_path / "mine.txt").write_text(GOOD)
    check(run("stability", f"{tmp_path / 'mine.txt'}:Decay"), "ends in .py")
    (tmp_path / "binary.py").write_bytes(bytes(range(256)))
    check(run("stability", f"{tmp_path / 'binary.py'}:Decay"), "binary.py")


@pytest.mark.parametrize("name", ["random", "types", "jax", "numpy", "rnnjax"])
def test_a_file_may_bear_the_name_of_a_module(name, tmp_path):
    before = sys.modules.get(name)
    path = tmp_path / f"{name}.py"
    path.write_text(GOOD)
    done = run("stability", f"{path}:Decay")
    assert done.exit_code == 0, done.output
    assert sys.modules.get(name) is before


def test_as_a_process_in_its_folder(tmp_path):
    (tmp_path / "random.py").write_text(GOOD)
    command = os.path.join(os.path.dirname(sys.executable), "rnnjax")
    if not os.path.exists(command):
        pytest.skip("the command is not installed")
    done = subprocess.run(
        [command, "stability", "random.py:Decay"], cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
