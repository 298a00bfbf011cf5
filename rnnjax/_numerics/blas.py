"""LAPACK's own threads: of many matrices of hundreds of rows they cost more than they gain."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it the BLAS of NumPy and of SciPy, which XLA calls on CPUs, runs in the calling thread.

    It would share each matrix of 200 rows or more among its own threads, which wait for each other
    and, on cores that others use as well, mostly for a core: many matrices one by one then take ten
    times as long. The setting is the process's; it is as before when the scope ends.
    """
    from threadpoolctl import threadpool_limits  # which sets a variable of the environment

    with threadpool_limits(1, user_api="blas"):
        yield
