"""LAPACK's own threads: of many matrices of hundreds of rows they cost more than they gain."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

_SHARED = 64  # rows from which on a matrix may be shared among threads


@contextlib.contextmanager
def one_blas_thread(rows: int = _SHARED) -> Iterator[None]:
    """Within it the BLAS of NumPy and of SciPy, which XLA calls on CPUs, runs in the calling thread.

    It would share each matrix of 200 rows or more among its own threads, which wait for each other
    and, on cores that others use as well, mostly for a core: many matrices one by one then take ten
    times as long. The setting is the process's; it is as before when the scope ends.

    Args:
        rows: of the matrices; of few nothing is done.
    """
    with (
        _libraries().limit(limits=1, user_api="blas")
        if rows >= _SHARED
        else contextlib.nullcontext()
    ):
        yield


@functools.cache
def _libraries() -> Any:
    """Those that are loaded, looked for once, which takes a millisecond."""
    from threadpoolctl import ThreadpoolController  # which sets a variable of the environment

    return ThreadpoolController()
