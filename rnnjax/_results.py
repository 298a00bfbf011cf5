"""How a computation ended: every failure that can happen at run time, and what to do about it."""

import enum
import sys
import types
import warnings
from typing import Any

import numpy as np

from rnnjax._types import Numbers


class Status(enum.IntEnum):
    """The outcome of one lane: one simulation, one equilibrium, one point of a sweep.

    `message` says what happened, what usually causes it, and which argument to change.
    """

    OK = 0
    NON_FINITE = 1
    MAX_STEPS = 2
    STEP_UNDERFLOW = 3
    NOT_CONVERGED = 4
    UNDEFINED = 5
    UNORDERED_TIMES = 6
    AT_REST = 7
    NOT_PERIODIC = 8
    NOT_RUN = 255

    @property
    def message(self) -> str:
        """What happened, its usual causes, and what to change."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.OK: "finished",
    Status.NON_FINITE: (
        "the state became infinite or not a number. Usual causes: (a) the circuit is unstable and "
        "nothing bounds its growth, (b) the step is too large for the fastest time constant, "
        "(c) an input or a parameter is not finite. Try a smaller `step=`, a shorter run, or "
        "weaker recurrent weights."
    ),
    Status.MAX_STEPS: (
        "the solver used up its steps before the last time. Usual causes: (a) the state grows "
        "without bound, (b) the circuit is stiff, (c) the run is long. Try `solver=Kvaerno5()`, "
        "a larger `max_steps=`, or larger `rtol=` and `atol=`."
    ),
    Status.STEP_UNDERFLOW: (
        "the step size fell below the smallest that time can resolve. Usual causes: (a) the state "
        "runs away in finite time, (b) the vector field jumps, (c) the tolerances are too tight "
        "for the dtype. Try `dtype='float64'`, larger `rtol=` and `atol=`, or `step=`."
    ),
    Status.NOT_CONVERGED: (
        "the iteration stopped before the residual was small enough. Usual causes: (a) there is "
        "no solution near the guess, (b) the Jacobian is singular there. Try other `guesses=`."
    ),
    Status.UNDEFINED: (
        "a measure is not a number although the run finished. Usual causes: (a) no equilibrium was "
        "found at this point (try other `guesses=`), (b) it swings, and fewer than two whole periods "
        "fit into what is measured (try a longer `duration=`), (c) a measure of your own divides by "
        "zero or takes the root of a negative number."
    ),
    Status.UNORDERED_TIMES: (
        "the times do not increase. They were made inside a JAX transformation, where they can't "
        "be looked at beforehand. Sort them."
    ),
    Status.AT_REST: (
        "the orbit shrank to an equilibrium. Usual causes: (a) the circuit rests at these "
        "parameters, (b) the guess lies too close to rest. Simulate it until it oscillates and give "
        "that run, or follow the orbit from a Hopf point."
    ),
    Status.NOT_PERIODIC: (
        "the run does not come back to where it ends. Usual causes: (a) it decays to rest, (b) it is "
        "shorter than one period after its transient, (c) it is chaotic or quasi-periodic, (d) its "
        "samples are coarse. Try a longer run with more `times`, or states and their `period=`."
    ),
    Status.NOT_RUN: "not computed: the sweep was interrupted before this point.",
}


class BranchEnd(enum.IntEnum):
    """Where a branch of equilibria ended, or why it could not be followed further."""

    MAX_POINTS = 0
    BOUND = 1
    CLOSED = 2
    UNDERFLOW = 3
    FAR = 4
    NO_START = 5
    SINGULAR = 6
    INDEPENDENT = 7
    ZERO_FREQUENCY = 8
    HOPF = 9
    LONG_PERIOD = 10
    GOING = 11

    @property
    def reached(self) -> bool:
        """Whether the branch was followed to an end of its own."""
        return self in (
            BranchEnd.BOUND, BranchEnd.CLOSED, BranchEnd.ZERO_FREQUENCY, BranchEnd.HOPF,
            BranchEnd.LONG_PERIOD,
        )  # fmt: skip

    @property
    def message(self) -> str:
        """What happened, its usual causes, and what to change."""
        return _ENDS[self]


_ENDS = {
    BranchEnd.MAX_POINTS: (
        "the branch used up its points before it reached a bound. Usual causes: (a) it is long or "
        "bends often, (b) `max_step=` is small. Try a larger `max_points=`, or narrower bounds."
    ),
    BranchEnd.BOUND: "reached a bound",
    BranchEnd.CLOSED: "came back to where it began",
    BranchEnd.UNDERFLOW: (
        "the branch could not be followed further with the smallest step. Usual causes: (a) the "
        "vector field has a kink there (a rectified unit switches) of which the circuit's "
        "`switching_functions` don't tell, or a curve in two parameters meets one, (b) the "
        "Jacobian is singular everywhere, a continuum of equilibria, (c) the field is not finite, "
        "(d) of periodic orbits, the mesh is too coarse: more `intervals=`. "
        "Begin a new branch beyond the kink, or follow a parameter that the equilibrium depends on."
    ),
    BranchEnd.FAR: (
        "the state ran away along the branch: the equilibrium goes to infinity at a finite value "
        "of the parameter. Try narrower bounds."
    ),
    BranchEnd.NO_START: (
        "the start is not an equilibrium. Usual causes: (a) it was found for other parameters or "
        "another input, (b) it lies too far from one. Give one of `find_equilibria(circuit, "
        "input)`, with the same circuit and input."
    ),
    BranchEnd.SINGULAR: (
        "the derivatives by state and parameter are singular at the start: there is a continuum of "
        "equilibria (a perfect integrator, a symmetry that can be turned continuously), or the "
        "start is a branch point. Begin elsewhere, or break the symmetry by a small input."
    ),
    BranchEnd.INDEPENDENT: (
        "the vector field does not depend on this number, at the start and around it. Follow "
        "another, or begin where it has an effect."
    ),
    BranchEnd.HOPF: "the orbits shrank to an equilibrium, at a Hopf point",
    BranchEnd.LONG_PERIOD: (
        "the period grew beyond `longest_period=`: see `limits`, which says SNIC or homoclinic where the fold or the "
        "saddle for that was found"
    ),
    BranchEnd.ZERO_FREQUENCY: "the frequency of the Hopf points fell to zero",
}


class Regime(enum.IntEnum):
    """What a circuit settles to, by the signs of its Lyapunov exponents, where these are shown.

    Of an autonomous circuit. One that is driven by an input in time or by noise is FIXED where it
    follows the drive from whatever state nearby (it is entrained, or reliable).
    """

    UNKNOWN = -1
    FIXED = 0
    PERIODIC = 1
    QUASIPERIODIC = 2
    CHAOTIC = 3
    HYPERCHAOTIC = 4


class SimulationError(RuntimeError):
    """A run failed; the message names the lane, the time, the variable and what to change."""


class ConvergenceError(RuntimeError):
    """An iteration did not converge; the message says which and what to change.

    Attributes:
        branch: of a branch that did not reach its end, the part that was followed.
    """

    def __init__(self, message: str, branch: Any = None):
        super().__init__(message)
        self.branch = branch


class FitError(RuntimeError):
    """A fit ran into a loss or gradient that is not finite; `fit` holds the last good circuit."""

    def __init__(self, message: str, fit: Any = None):
        super().__init__(message)
        self.fit = fit


class FitInterrupted(KeyboardInterrupt):
    """A fit was stopped by the user; `fit` holds what was reached."""

    def __init__(self, message: str, fit: Any = None):
        super().__init__(message)
        self.fit = fit


class SweepInterrupted(KeyboardInterrupt):
    """A sweep was stopped by the user; `partial` holds the points that were finished.

    Attributes:
        partial: the dataset so far, points not computed marked `Status.NOT_RUN`, or None if it
            went to a store (the message says where).
    """

    def __init__(self, message: str, partial: Any = None):
        super().__init__(message)
        self.partial = partial


def describe_failure(
    status: Numbers,
    failed_at: Numbers,
    failed_variable: Numbers,
    names: list[str],
    what: str = "lane",
) -> str:
    """One sentence per failure: which lane, when, which variable, and what to change.

    Args:
        status: codes of `Status`, any shape (the batch).
        failed_at: the last time (ms) at which the lane was well, same shape.
        failed_variable: index into `names` of the variable to blame, same shape.
        names: the flattened state's variables.
        what: what an index of the batch stands for.
    """
    codes, at, variable = (
        np.atleast_1d(np.asarray(x)) for x in (status, failed_at, failed_variable)
    )
    bad = np.argwhere(codes != Status.OK)
    lines = []
    for index in bad[:3]:
        position = tuple(int(k) for k in index)
        lane = (
            f"{what} {position[0] if len(position) == 1 else position}: " if codes.size > 1 else ""
        )
        code = Status(int(codes[position]))
        lines.append(
            f"{lane}{code.name} after t = {float(at[position]):g} ms in "
            f"`{names[int(variable[position])]}`: {code.message}"
        )
    if len(bad) > 3:
        lines.append(f"... and {len(bad) - 3} more of {codes.size}; see `.status`.")
    return "\n".join(lines)


def warn_caller(message: str) -> None:
    """Warn at the line outside of this package that led here."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and _inside(frame):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, stacklevel=depth)


_mentioned: set[str] = set()


def mention_large(verb: str, variables: int, most: int, other: str) -> None:
    """Say, once a process and verb, that another one is meant for circuits of so many variables.

    Args:
        verb: what was called.
        variables: how many there are.
        most: up to which nothing is said.
        other: what to call, and what it does.
    """
    if variables <= most or verb in _mentioned:
        return
    _mentioned.add(verb)
    warn_caller(
        f"{verb}: of {variables} variables it takes long, since it works with all of the Jacobian: {other}"
    )


def _inside(frame: types.FrameType) -> bool:
    """Whether code of this package runs there, or what calls its methods."""
    name = frame.f_globals.get("__name__", "").split(".")[0]
    return name in {"rnnjax", "equinox", "jaxtyping", "beartype"}
