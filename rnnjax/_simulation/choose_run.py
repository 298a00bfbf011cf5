"""A run whose solver chooses its steps: by our own lanes, or by diffrax where they can't."""

import dataclasses

import jax
import numpy as np

from rnnjax._numerics.digits import two_digits
from rnnjax._precision import cast, default_dtype, to_host
from rnnjax._results import Status
from rnnjax._simulation.diffrax_run import run_by_diffrax
from rnnjax._simulation.lanes_run import run_by_lanes
from rnnjax._simulation.timed_run import Choice, TimedRun
from rnnjax._types import Arrays, is_traced
from rnnjax.solvers._base import explicit_tableau

_SHORT = 1000.0  # ms, which a float32 divides finely enough for any step


def run_timed(run: TimedRun, choice: Choice) -> dict[str, Arrays]:
    """A run with the steps of its solver, or a batch of runs with the lanes in front.

    Our lanes take explicit solvers without noise; noise, implicit solvers, dense output, and what is
    asked for by `adjoint` are diffrax's.
    """
    explicit = explicit_tableau(choice.solver) is not None
    if run.noise is None and choice.adjoint is None and not choice.dense and explicit:
        return run_by_lanes(run, choice)
    result = _by_diffrax(run, choice)
    alone = choice.lanes is None
    if not is_traced(result) and alone and result["status"] == Status.NON_FINITE:
        # by now all may be infinite: who was the fastest shortly before?
        times = np.stack([0.0, 0.999 * result["failed_at"].on_host()])
        before = _by_diffrax(dataclasses.replace(run, times=two_digits(times)), choice)
        result["failed_variable"] = before["failed_variable"]
    return result


def _by_diffrax(run: TimedRun, choice: Choice) -> dict[str, Arrays]:
    """A run by diffrax, which counts time in the dtype of the run: of a long one in float64."""
    lasts = run.times.value
    if (
        is_traced(run) or choice.dense or default_dtype() == np.float64
        or float(lasts[-1]) <= _SHORT
    ):  # fmt: skip
        return run_by_diffrax(run, choice)
    with jax.enable_x64(True):
        found = run_by_diffrax(cast(run, np.float64), choice)
    return cast(to_host(found), np.float32)
