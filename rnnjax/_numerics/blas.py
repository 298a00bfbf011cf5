"""LAPACK's own threads: of many matrices of hundreds of rows they cost more than they gain."""

import contextlib
import ctypes
import functools
import importlib.util
import pathlib
import threading
from collections.abc import Callable, Iterator

import numpy as np

_SUFFIXES = ("64_", "")  # of the names in NumPy's library, which counts in 64 bits, and in SciPy's
_LOCK = threading.Lock()
_INSIDE: list[list[int]] = []  # how many threads there were, once for each scope that is open


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it the OpenBLAS of NumPy and of SciPy, which XLA calls on CPUs, runs in the calling thread.

    It would share each matrix of 200 rows or more among its own threads, which wait for each other
    and, on cores that others use as well, mostly for a core: many matrices one by one then take ten
    times as long. The setting is the process's; it is as before when the last such scope ends. Of
    another BLAS nothing is changed.
    """
    with _LOCK:
        _INSIDE.append(_INSIDE[0] if _INSIDE else [get() for get, _ in _libraries()])
        for _, put in _libraries():
            put(1)
    try:
        yield
    finally:
        with _LOCK:
            before = _INSIDE.pop()
            if not _INSIDE:
                for (_, put), count in zip(_libraries(), before, strict=True):
                    put(count)


@functools.cache
def _libraries() -> tuple[tuple[Callable[[], int], Callable[[int], None]], ...]:
    """How many threads each OpenBLAS has, and how to say so; of those in wheels of NumPy and SciPy."""
    found = []
    for path in _paths():
        library = ctypes.CDLL(str(path))
        for suffix in _SUFFIXES:
            names = [f"scipy_openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
            if all(hasattr(library, name) for name in names):
                get, put = (getattr(library, name) for name in names)
                get.argtypes, get.restype = [], ctypes.c_int
                put.argtypes, put.restype = [ctypes.c_int], None
                found.append((get, put))
                break
    return tuple(found)


def _paths() -> list[pathlib.Path]:
    """Where wheels keep it, on Linux beside the package and elsewhere within."""
    folders = [pathlib.Path(np.__file__).parent]
    scipy = importlib.util.find_spec("scipy")
    if scipy is not None and scipy.origin is not None:
        folders.append(pathlib.Path(scipy.origin).parent)
    places = [p for f in folders for p in (f.with_name(f"{f.name}.libs"), f / ".dylibs")]
    return [file for place in places for file in sorted(place.glob("*openblas*"))]
