"""An embedded pair turned into one attempted step: the solution, its error, and what lies between."""

import functools
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.compute_once import Keeping
from rnnjax._numerics.moments import Time
from rnnjax._types import Array, Scalar, State
from rnnjax.solvers._base import (
    Field,
    Solver,
    combine,
    explicit_tableau,
    kept_stages,
    order_of,
    stage_time,
)


class TriedStep(NamedTuple):
    """One attempted step.

    Attributes:
        state: the solution at its end.
        error: the estimated error of it, in the structure of the state.
        slopes: the derivatives at the stages.
    """

    state: State
    error: State
    slopes: list[State]


@runtime_checkable
class Attempting(Protocol):
    """Attempts one step."""

    def __call__(
        self, field: Field, t: Time, y: State, dt: Scalar, first: State | None,
        keep: Keeping | None = None, /,
    ) -> TriedStep:  # fmt: skip
        """A step of length `dt` from `t` on, `first` the slope there."""
        ...


class EmbeddedPair(NamedTuple):
    """An explicit Runge-Kutta method with an error estimate.

    Attributes:
        attempt: `(field, t, state, dt, first, keep) -> TriedStep`; `first` is the derivative at the
            start, or None to compute it, `keep` what is computed once.
        order: the order that step control goes by.
        reuses: whether the last stage of a step is the first of the next (FSAL).
    """

    attempt: Attempting
    order: int
    reuses: bool


def embedded_pair(solver: Solver) -> EmbeddedPair:
    """The solver's stages written out, with the error estimate.

    Raises:
        TypeError: for a solver without an explicit tableau.
        ValueError: for one without an error estimate.
    """
    tableau = explicit_tableau(solver)
    if tableau is None:
        raise TypeError(
            f"{type(solver).__name__} can't take adaptive steps in batches, since it is implicit "
            "or has no tableau: use one of Heun, Midpoint, Ralston, Bosh3, Tsit5, Dopri5, Dopri8, "
            "or give step="
        )
    if not np.any(np.asarray(tableau.b_error)):
        raise ValueError(
            f"{type(solver).__name__} has no error estimate, so it can't choose its steps: "
            "give step= in ms, or another solver such as Tsit5()"
        )

    def attempt(
        field: Field, t: Time, y: State, dt: Scalar, first: State | None,
        keep: Keeping | None = None,
    ) -> TriedStep:  # fmt: skip
        field, stage = kept_stages(field, keep)
        slopes = [field(stage_time(t, 0.0, dt), y) if first is None else first]
        z = y
        for row, c in zip(tableau.a_lower, tableau.c, strict=True):
            z = stage(combine(y, dt, row, slopes))
            slopes.append(field(stage_time(t, float(c), dt), z))
        end = z if tableau.ssal else stage(combine(y, dt, tableau.b_sol, slopes))
        zero = jax.tree.map(jnp.zeros_like, y)
        return TriedStep(end, combine(zero, dt, tableau.b_error, slopes), slopes)

    return EmbeddedPair(attempt, order_of(solver), bool(tableau.fsal))


@functools.lru_cache(maxsize=32)
def dense_weights(solver: Solver, parts: int) -> tuple[np.ndarray, np.ndarray]:
    r"""The solver's dense output at the ends of `parts` equal parts of a step, in its stages.

    Returns:
        `(parts + 1, stages)` twice: $w$ and $w'$ in $y(t + \theta h) = y + h \sum_i w_i k_i$ and
        $\dot y(t + \theta h) = \sum_i w'_i k_i$.
    """
    tableau = explicit_tableau(solver)
    assert tableau is not None
    stages = tableau.num_stages

    def value(theta: Array) -> Array:
        between = solver.interpolation_cls(
            t0=jnp.zeros(()), t1=jnp.ones(()), y0=jnp.zeros(stages),
            y1=jnp.asarray(tableau.b_sol, jnp.float64), k=jnp.eye(stages),
        )  # fmt: skip
        return between.evaluate(theta)

    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        thetas = jnp.linspace(0.0, 1.0, parts + 1)
        found = jax.jit(jax.vmap(lambda t: jax.jvp(value, (t,), (jnp.ones(()),))))(thetas)
        return np.asarray(found[0]), np.asarray(found[1])
