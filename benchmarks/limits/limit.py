"""The C++ limit of the sweep, compiled for this machine."""

import ctypes
import pathlib
import subprocess
import tempfile

import numpy as np

from benchmarks._points import checked, grid

METHODS = ("Euler", "RK4", "Tsit5")


def versions():
    """The compiler's."""
    first = subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout.splitlines()
    return {"g++": first[0].split()[-1] if first else ""}


def sweep(spec):
    """All points with fixed steps."""
    source = pathlib.Path(__file__).with_name("sweep.cpp")
    library = pathlib.Path(tempfile.mkdtemp()) / "limit.so"
    cpu = pathlib.Path("/proc/cpuinfo")
    wide = "avx512f" in (cpu.read_text() if cpu.exists() else "")
    subprocess.run(
        ["g++", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-std=c++17", "-shared", "-fPIC",
         f"-mprefer-vector-width={512 if wide else 256}", "-DREAL=float",
         f"-DBYTES={64 if wide else 32}", str(source), "-o", str(library)],
        check=True,
    )  # fmt: skip
    code = ctypes.CDLL(str(library))
    number = np.ctypeslib.ndpointer(np.float32)
    code.run.argtypes = [
        ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_float, number, number, number,
    ]  # fmt: skip
    tau, weight = (np.asarray(x, np.float32) for x in grid(spec["points"]))
    extra = -len(tau) % code.lanes()
    padded = [np.concatenate([x, np.repeat(x[-1:], extra)]) for x in (tau, weight)]
    out = np.zeros((len(padded[0]), 3), np.float32)

    def call():
        method = METHODS.index(spec["method"])
        code.run(method, len(padded[0]), spec["steps"], spec["step"], *padded, out)
        return checked(out[:, 0], out[:, 1])

    return call
