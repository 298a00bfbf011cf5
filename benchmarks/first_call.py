"""How long does the first call of an analysis take in a new process, and how large are its programs?

Without a cache. Counted are the instructions of all optimized programs that the call compiles: a program split
in two hides nothing.
"""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from importlib import metadata

from benchmarks._harness import Bar, Tool, Workload


def versions():
    """Those of what is measured: each tool has its own environment."""
    known = ("jax", "rnnjax", "diffrax", "jaxcont")
    return {name: metadata.version(name) for name in known if importlib.util.find_spec(name)}


_CIRCUITS = """
import rnnjax
from rnnjax.circuits import MorrisLecar, WilsonCowan
def drive(c): return c.p
def current(c): return c.current
"""
_DIAGRAM = """
def call(): return rnnjax.continue_equilibria(WilsonCowan(), drive, bounds=(-1.0, 3.0))
"""
_JAXCONT = "from benchmarks.peers.jaxcont import diagram, orbits\n"
# what comes before the call, and what is called
CALLS = {
    "diagram": (_CIRCUITS + _DIAGRAM, "call()"),
    "neuron": (
        _CIRCUITS + "cell = MorrisLecar.snic(current=-30.0)",
        "rnnjax.continue_equilibria(cell, current, bounds=(-30.0, 250.0))",
    ),
    "neuron, JaxCont": (_JAXCONT, "diagram(4.0, -30.0, 250.0)"),
    "gradient": (
        _CIRCUITS
        + """
import equinox as eqx, jax
def place(w):
    circuit = eqx.tree_at(lambda c: c.w_ee, WilsonCowan(), w)
    found = rnnjax.continue_equilibria(circuit, drive, bounds=(-1.0, 3.0))
    return found.first("LP").parameter
at = jax.numpy.asarray(WilsonCowan().w_ee)
""",
        "jax.grad(place)(at).block_until_ready()",
    ),
    "orbits": (
        _CIRCUITS + _DIAGRAM + "hopf = call().first('H')",
        "rnnjax.continue_orbits(WilsonCowan(), drive, hopf, (-1.0, 3.0))",
    ),
    "orbits, JaxCont": (_JAXCONT, "orbits({'intervals': 32})()"),
    "equilibria": (_CIRCUITS, "rnnjax.find_equilibria(WilsonCowan())"),
    "fit": (
        """
import jax, numpy as np, rnnjax
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import Dense
from rnnjax.tasks import DelayedXOR
task = DelayedXOR(delay=10.0)
keys = jax.random.split(jax.random.key(1), 3)
weights = Dense.random(50, gain=1.5, key=keys[0])
circuit = CurrentNetwork(weights, bias=np.zeros(50), tau=10.0)
network = rnnjax.TaskNetwork.random(circuit, task, key=keys[1])
def trained(n): return n.circuit.connectivity, n.circuit.bias, n.readout
""",
        "rnnjax.fit(network, trained, rnnjax.OnTask(task), steps=2, key=keys[2], progress=False)",
    ),
}
_TIMED = """
import json, time
begun = time.perf_counter()
%s
print(json.dumps(time.perf_counter() - begun))
"""
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = ", re.M)


def fresh(spec):
    """A new process each time, with its own clock; one more that writes down what it compiles."""
    before, called = CALLS[spec["call"]]
    where = spec.get("before", spec["root"])
    flags = os.environ.get("XLA_FLAGS", "")
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}

    def run(**more):
        command = [sys.executable, "-c", before + _TIMED % called]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=where, env=environment | more
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-500:])
        return json.loads(done.stdout.splitlines()[-1])

    def count(code):
        with tempfile.TemporaryDirectory() as folder:
            dump = f"{flags} --xla_dump_to={folder} --xla_dump_hlo_as_text"
            command = [sys.executable, "-c", code]
            subprocess.run(
                command, capture_output=True, check=True, cwd=where,
                env=environment | {"XLA_FLAGS": dump},
            )  # fmt: skip
            texts = pathlib.Path(folder).glob("*after_optimizations.txt")
            return sum(len(_INSTRUCTION.findall(t.read_text())) for t in texts)

    instructions = count(f"{before}\n{called}") - count(before)

    def call():
        call.noted = {"seconds": run(), "instructions": instructions}
        return []

    return call


HERE = "first_call.py"


def _tool(name, call, peer=None):
    return Tool(name, HERE, "fresh", peer, spec={"call": call}, compare=False)


WORKLOAD = Workload(
    name="first_call",
    question="the first call of an analysis in a new process, with nothing compiled before",
    spec={},
    small={},
    tools=(
        _tool("rnnjax, a diagram", "diagram"),
        _tool("rnnjax, the gradient of a fold's place", "gradient"),
        _tool("rnnjax, a diagram of a neuron", "neuron"),
        _tool("JaxCont, the same diagram", "neuron, JaxCont", "jaxcont"),
        _tool("rnnjax, a branch of orbits", "orbits"),
        _tool("JaxCont, a part of a branch of orbits", "orbits, JaxCont", "jaxcont"),
        _tool("rnnjax, equilibria", "equilibria"),
        _tool("rnnjax, two steps of training on a task", "fit"),
    ),
    bars=(
        Bar("rnnjax, a diagram of a neuron", "JaxCont, the same diagram", "faster", 1),
        Bar("rnnjax, a branch of orbits", "JaxCont, a part of a branch of orbits", "faster", 1),
        Bar("rnnjax, the gradient of a fold's place", "rnnjax, a diagram", "slower", 2),
    ),
    tolerance=0,
)
