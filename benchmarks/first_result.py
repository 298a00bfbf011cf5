"""How soon is the first result there in a new process, and what does the import cost?"""

import subprocess
import sys
import tempfile

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {"units": 256, "batch": 64, "step": 0.1, "duration": 100.0}

_NETWORK = """
import time, numpy as np
from benchmarks._networks import network
weights, starts = network({"units": %(units)d, "batch": %(batch)d})
"""
_RNNJAX = (
    _NETWORK
    + """
import rnnjax, diffrax
from rnnjax import simulate
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import Dense
rnnjax.tune_cpu()
rnnjax.cache(%(folder)r)
begun = time.perf_counter()
circuit = CurrentNetwork(Dense(weights))
simulate(circuit, np.linspace(0, %(duration)g, 101), start=starts[0], step=%(step)g,
         solver=diffrax.Tsit5())
print(time.perf_counter() - begun)
"""
)
_DIFFRAX = (
    _NETWORK
    + """
import jax, diffrax, jax.numpy as jnp
jax.config.update("jax_compilation_cache_dir", %(folder)r)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
begun = time.perf_counter()
field = diffrax.ODETerm(lambda t, x, w: w @ jnp.tanh(x) - x)
@jax.jit
def solve(weights, starts):
    return diffrax.diffeqsolve(
        field, diffrax.Tsit5(), 0.0, %(duration)g, %(step)g, starts, args=weights,
        stepsize_controller=diffrax.ConstantStepSize(), max_steps=4096,
        saveat=diffrax.SaveAt(ts=jnp.linspace(0, %(duration)g, 101))).ys
np.asarray(solve(jnp.asarray(weights), jnp.asarray(starts[0])))
print(time.perf_counter() - begun)
"""
)
_IMPORT = "import time; b = time.process_time(); import %s; print(time.process_time() - b)"
_IMPORTS = {"import jax": "jax", "import rnnjax": "rnnjax, rnnjax.circuits; rnnjax.simulate",
            "import diffrax": "diffrax"}  # fmt: skip


def fresh(spec):
    """A new process each time; its own clock."""
    folder = tempfile.mkdtemp()
    programs = {"rnnjax": _RNNJAX, "diffrax": _DIFFRAX}
    if spec["program"] in programs:
        code = programs[spec["program"]] % (spec | {"folder": folder})
        command = [sys.executable, "-c", code]
    elif spec["program"] == "help":
        command = [sys.executable, "-c", "import time; b = time.perf_counter(); import sys; "
                   "from rnnjax.cli import main; sys.argv[1:] = ['--help']; "
                   "main(standalone_mode=False); print(time.perf_counter() - b)"]  # fmt: skip
    else:
        command = [sys.executable, "-c", _IMPORT % _IMPORTS[spec["program"]]]

    def call():
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=spec["root"])
        call.noted = {"seconds": float(done.stdout.split()[-1])}
        return []

    call()  # fills the cache
    return call


HERE = "first_result.py"


def _tool(name, program):
    return Tool(name, HERE, "fresh", spec={"program": program}, compare=False)


WORKLOAD = Workload(
    name="first_result",
    question="the first result in a new process, with a warm cache; CPU seconds of imports",
    spec=SPEC,
    small={},
    tools=(
        _tool("rnnjax simulate(step=), Tsit5", "rnnjax"),
        _tool("diffrax Tsit5, constant steps", "diffrax"),
        _tool("import jax", "import jax"),
        _tool("import rnnjax and use simulate", "import rnnjax"),
        _tool("import diffrax", "import diffrax"),
        _tool("rnnjax --help", "help"),
    ),
    bars=(Bar("rnnjax simulate(step=), Tsit5", "diffrax Tsit5, constant steps", "faster", 4),),
    tolerance=0,
    repeats=3,
    limits=(("rnnjax --help", "seconds", 0.5),),
)
