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
simulate(circuit, np.linspace(0, %(duration)g, 101), start=starts[0], solver=diffrax.Tsit5(),
         step=%(step)s)
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
        field, diffrax.Tsit5(), 0.0, %(duration)g, %(step)s, starts, args=weights,
        stepsize_controller=diffrax.%(control)s, max_steps=4096,
        saveat=diffrax.SaveAt(ts=jnp.linspace(0, %(duration)g, 101))).ys
np.asarray(solve(jnp.asarray(weights), jnp.asarray(starts[0])))
print(time.perf_counter() - begun)
"""
)
_IMPORT = "import time; %s; b = time.process_time(); import %s; print(time.process_time() - b)"
_IMPORTS = {
    "jax": ("pass", "jax"),
    "rnnjax": ("import jax", "rnnjax"),
    "simulate": ("import jax", "rnnjax, rnnjax.circuits; rnnjax.simulate"),
    "diffrax": ("import jax", "diffrax"),
}
_STEPS = {
    True: {"step": "None", "control": "PIDController(rtol=1e-6, atol=1e-6)"},
    False: {"control": "ConstantStepSize()"},
}


def fresh(spec):
    """A new process each time; its own clock."""
    folder = tempfile.mkdtemp()
    programs = {"rnnjax": _RNNJAX, "diffrax": _DIFFRAX}
    if spec["program"] in programs:
        steps = _STEPS[spec.get("adaptive", False)]
        code = programs[spec["program"]] % (spec | {"folder": folder} | steps)
        command = [sys.executable, "-c", code]
    elif spec["program"] == "help":
        command = [sys.executable, "-c", "import time; b = time.perf_counter(); import sys; "
                   "from rnnjax.cli import main; sys.argv[1:] = ['--help']; "
                   "main(standalone_mode=False); print(time.perf_counter() - b)"]  # fmt: skip
    else:
        command = [sys.executable, "-c", _IMPORT % _IMPORTS[spec["import"]]]

    def call():
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=spec["root"])
        call.noted = {"seconds": float(done.stdout.split()[-1])}
        return []

    call()  # fills the cache
    return call


HERE = "first_result.py"


def _tool(name, program, **more):
    return Tool(name, HERE, "fresh", spec={"program": program} | more, compare=False)


WORKLOAD = Workload(
    name="first_result",
    question="the first result in a new process, with a warm cache",
    spec=SPEC,
    small={},
    tools=(
        _tool("rnnjax simulate(step=), Tsit5", "rnnjax"),
        _tool("diffrax Tsit5, constant steps", "diffrax"),
        _tool("rnnjax simulate, Tsit5, adaptive", "rnnjax", adaptive=True),
        _tool("diffrax Tsit5, adaptive", "diffrax", adaptive=True),
        _tool("import jax", "import", **{"import": "jax"}),
        _tool("import rnnjax, after jax", "import", **{"import": "rnnjax"}),
        _tool("import and touch simulate, after jax", "import", **{"import": "simulate"}),
        _tool("import diffrax, after jax", "import", **{"import": "diffrax"}),
        _tool("rnnjax --help", "help"),
    ),
    bars=(
        Bar("rnnjax simulate(step=), Tsit5", "diffrax Tsit5, constant steps", "faster", 4),
        Bar("rnnjax simulate, Tsit5, adaptive", "diffrax Tsit5, adaptive", "faster", 4),
    ),
    tolerance=0,
    limits=(("rnnjax --help", "seconds", 0.5), ("import rnnjax, after jax", "seconds", 0.3)),
)
