"""What is checked of a run in time: its solver, its step, its duration."""

from typing import Any

import diffrax
import numpy as np

from rnnjax._gate import check_made, one_number
from rnnjax._types import Numbers, is_traced
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import (
    Solver,
    check_noisy,
    has_error_estimate,
    noisy_step_function,
    step_function,
)


def whole_steps(duration: float, step: float, name: str) -> int:
    """How many steps make up a duration.

    Raises:
        ValueError: if it is not a whole, positive number of them.
    """
    count = duration / step
    if not on_grid(count) or round(count) < 0:
        raise ValueError(
            f"{name}: expected a whole number of steps of {step:g} ms, got {duration:g} ms "
            f"({count:g} steps): change {name} or step"
        )
    return countable(round(count), name)


def on_grid(steps: Numbers) -> np.ndarray:
    """Whether a number of steps is whole, but for rounding: to a thousandth of a step however many."""
    with np.errstate(invalid="ignore"):  # infinitely many are not
        off = np.abs(steps - np.round(steps))
    return np.asarray(off <= np.clip(1e-6 * np.abs(steps), 1e-6, 1e-3))


def countable(steps: int, name: str) -> int:
    """So many steps, refused where a whole number of 32 bits can't count them."""
    most = np.iinfo(np.int32).max
    if steps > most:
        raise ValueError(
            f"{name}: expected at most {most} steps, got {steps}: take longer steps, or go on from the "
            "end of a first run with start="
        )
    return steps


def checked_solver(
    solver: Solver | None, noise: AbstractNoise | None, step: float | None, dense: bool
) -> Solver:
    """The solver, refused where it can't do what it is asked for."""
    if solver is None:
        solver = diffrax.Tsit5() if noise is None else diffrax.Euler()
    check_made(solver, "solver")
    if not isinstance(solver, diffrax.AbstractSolver):
        raise TypeError(f"solver: expected a diffrax solver such as Tsit5(), got {solver!r}")
    if noise is not None:
        check_noisy(solver, noise.additive)
    if step is not None:
        if noise is None:
            step_function(solver)
        else:
            noisy_step_function(solver, noise.additive)
        if dense:
            raise ValueError("dense output needs adaptive steps: leave out step=, or dense=True")
    elif dense and noise is not None:
        raise ValueError("dense output is for runs without noise: leave out dense=True, or noise=")
    elif not has_error_estimate(solver):
        raise ValueError(
            f"{type(solver).__name__} has no error estimate, so it can't choose its steps: "
            "give step= in ms, or another solver (Tsit5(); under noise ShARK())"
        )
    return solver


def positive(value: Any, name: str, unit: str = "1") -> float:
    """One positive number, or a ValueError that names it."""
    try:
        found = one_number(value, name, unit)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected one positive number, got {value!r} ({error})") from None
    if found <= 0:
        raise ValueError(f"{name}: expected one positive number, got {value!r}")
    return found


def check_tolerances(rtol: Any, atol: Any, dtype: np.dtype) -> None:
    """Refuse tolerances that are no numbers, or finer than the dtype resolves."""
    if is_traced(rtol, atol):
        return
    positive(rtol, "rtol")
    positive(atol, "atol")
    eps = float(np.finfo(dtype).eps)
    if rtol < eps:
        raise ValueError(
            f"rtol: expected at least {eps:.2g}, the resolution of {dtype}, got {rtol:g}: "
            "raise it, or give dtype='float64'"
        )
