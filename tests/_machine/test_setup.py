"""The cache of compiled programs, the word about tuning, and what an import costs."""

import os
import subprocess
import sys

import pytest

import rnnjax

PROGRAM = """
import sys, time, warnings, numpy as np, jax
misses, hits = [], []
jax.monitoring.register_event_listener(
    lambda name, **_: (hits if name.endswith("cache_hits") else misses).append(name)
    if name.endswith(("cache_hits", "cache_misses")) else None)
import rnnjax
print(rnnjax.cache(sys.argv[1]))
# by itself the cache leaves out what compiles fast, which depends on the machine's load
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
from rnnjax import measures
from rnnjax.circuits import ExcitatoryInhibitory
def tau_i(circuit): return circuit.tau_i
scale = float(sys.argv[2])
circuit = ExcitatoryInhibitory(m_ee=1.2 * scale)
rnnjax.simulate(circuit, [0.0, 50.0 * scale], step=0.5 * scale)
rnnjax.simulate(circuit, [0.0, 50.0 * scale], rtol=1e-5 * scale)
rnnjax.sweep(circuit, {"end": measures.Final()}, [rnnjax.axis(tau_i, np.linspace(20, 60, 8))],
             duration=20.0 * scale, progress=False)
rnnjax.sweep(circuit, {"end": measures.Final()}, [rnnjax.axis(tau_i, np.linspace(20, 60, 8))],
             duration=20.0, step=0.5, progress=False)
found = [h for h in hits if "compilation_cache" in h]
print("hits", len(found), "misses", len([m for m in misses if "compilation_cache" in m]))
"""


def fresh(*arguments, code=PROGRAM):
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    env.pop("XLA_FLAGS", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_second_process_compiles_nothing_again(tmp_path):
    folder = str(tmp_path / "kept")
    first = fresh(folder, "1.0")
    assert first[0] == folder
    assert int(first[-1]) >= 4
    second = fresh(folder, "1.1")  # other values, the same programs
    assert int(second[second.index("hits") + 1]) >= 4
    assert int(second[-1]) == 0


def test_a_folder_that_cannot_be_used_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OSError, match="file"):
        rnnjax.cache(file / "folder")


def test_slow_sweeps_say_so_once():
    code = """
import warnings, numpy as np, rnnjax
from rnnjax._machine.setup import mention_tuning
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    mention_tuning()
    mention_tuning()
print(len(said), "tune_cpu" in str(said[0].message))
"""
    assert fresh(code=code) == ["1", "True"]
    tuned = code.replace("import warnings", "import rnnjax; rnnjax.tune_cpu(2)\nimport warnings", 1)
    tuned = tuned.replace(
        'print(len(said), "tune_cpu" in str(said[0].message))', "print(len(said))"
    )
    assert fresh(code=tuned) == ["0"]


def test_the_import_is_cheap():
    code = "import time; import jax; b = time.process_time(); import rnnjax; print(time.process_time() - b)"
    assert min(float(fresh(code=code)[0]) for _ in range(3)) < 0.3
