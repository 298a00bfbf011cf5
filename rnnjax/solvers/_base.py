"""A diffrax solver turned into one step, its stages written out."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.compute_once import Keeping
from rnnjax._numerics.moments import AbstractMoment, Time
from rnnjax._types import Numbers, Scalar, State, Vector

Solver = diffrax.AbstractSolver
Euler = diffrax.Euler
Field = Callable[[Any, State], State]
"""(t, state) -> derivative, or diffusion."""


class Iteration(diffrax.Euler):
    """One application of a map: what the field gives is the next state, not a slope."""


@runtime_checkable
class StepFunction(Protocol):
    """One step of an ordinary differential equation."""

    def __call__(
        self, field: Field, t: Time, y: State, dt: Scalar, keep: Keeping | None = None, /
    ) -> State:
        """The state after a step of length `dt` from `t` on."""
        ...


@runtime_checkable
class NoisyStepFunction(Protocol):
    """One step of an Ito equation with diagonal noise."""

    def __call__(
        self, field: Field, diffusion: Field, t: Time, y: State, dt: Scalar, dw: State, /
    ) -> State:
        """The state after a step of length `dt` from `t` on, with Wiener increments `dw`."""
        ...


def step_function(solver: Solver) -> StepFunction:
    """One step of an ordinary differential equation, `step(field, t, state, dt, keep) -> state`.

    The stages of the solver's tableau are unrolled, so that a step compiles to straight-line
    code. Zero coefficients cost nothing. `keep` says what of the step is computed once.

    Raises:
        TypeError: for a solver that has no explicit tableau; the message lists those that do.
    """
    if isinstance(solver, Iteration):
        return lambda field, t, y, dt, keep=None: field(_counted(t), y)
    if isinstance(solver, diffrax.Euler):
        return lambda field, t, y, dt, keep=None: combine(
            y, dt, (1.0,), [field(stage_time(t, 0.0, dt), y)]
        )
    tableau = explicit_tableau(solver)
    if tableau is None:
        raise TypeError(
            f"{type(solver).__name__} can't take fixed steps here, since it is implicit or has no "
            f"tableau: use one of {', '.join(explicit_solvers())}, or leave out `step=`"
        )

    def step(field: Field, t: Time, y: State, dt: Scalar, keep: Keeping | None = None) -> State:
        field, stage = kept_stages(field, keep)
        slopes = [field(stage_time(t, 0.0, dt), y)]
        for row, c in zip(tableau.a_lower, tableau.c, strict=True):
            z = stage(combine(y, dt, row, slopes))
            if tableau.ssal and len(slopes) == tableau.num_stages - 1:
                return z  # the last stage is the solution
            slopes.append(field(stage_time(t, float(c), dt), z))
        return stage(combine(y, dt, tableau.b_sol, slopes))

    return step


def kept_stages(field: Field, keep: Keeping | None) -> tuple[Field, Callable[[State], State]]:
    """The field, and what the state at a stage goes through, with what is to be computed once."""
    if keep is None:
        return field, lambda state: state
    return lambda t, y: keep.slope(field(t, y)), keep.stage


def with_displacements(field: Field, along: Field) -> Field:
    """The field of a state and of displacements of it, `(count, ...)`, which follow that of `along`.

    A Runge-Kutta step of both is the step of the state, and its derivative.
    """

    def both(t: Time, pair: tuple[State, State]) -> tuple[State, State]:
        state, moved = pair

        def push(each: State) -> State:
            return jax.jvp(lambda z: along(t, z), (state,), (each,))[1]

        if jax.tree.leaves(moved)[0].shape[0] > 1:
            return field(t, state), jax.vmap(push)(moved)
        one = push(jax.tree.map(lambda x: x[0], moved))  # a matrix times one vector
        return field(t, state), jax.tree.map(lambda x: x[None], one)

    return both


def noisy_step_function(solver: Solver, additive: bool) -> NoisyStepFunction:
    """One step of an Ito equation with diagonal noise.

    Returns:
        `step(field, diffusion, t, state, dt, dw) -> state`, with the Wiener increments `dw` in
        the structure of the state.

    Raises:
        TypeError: for a solver that is not made for stochastic equations.
        ValueError: for a Stratonovich solver under multiplicative noise.
    """
    check_noisy(solver, additive)
    if isinstance(solver, Iteration):
        return _noisy_iteration
    if isinstance(solver, diffrax.Euler):
        return _euler_maruyama
    if isinstance(solver, diffrax.ItoMilstein):
        return _milstein
    tableau = explicit_tableau(solver)
    if tableau is None:
        raise TypeError(
            f"{type(solver).__name__} can't take fixed noisy steps here: use Euler, Heun, "
            "Midpoint, Ralston or ItoMilstein"
        )

    def step(field: Field, diffusion: Field, t: Time, y: State, dt: Scalar, dw: State) -> State:
        def increment(t: Time, z: State) -> State:
            return jax.tree.map(lambda f, g, w: f * dt + g * w, field(t, z), diffusion(t, z), dw)

        slopes = [increment(stage_time(t, 0.0, dt), y)]
        for row, c in zip(tableau.a_lower, tableau.c, strict=True):
            slopes.append(increment(stage_time(t, float(c), dt), combine(y, 1.0, row, slopes)))
        return combine(y, 1.0, tableau.b_sol, slopes)

    return step


def check_noisy(solver: Solver, additive: bool) -> None:
    """Refuse solvers that would solve another stochastic equation than the one asked for.

    Raises:
        TypeError: for a solver that is not made for stochastic equations.
        ValueError: for a Stratonovich solver under multiplicative noise.
    """
    ito = isinstance(solver, diffrax.AbstractItoSolver)
    if not ito and not isinstance(solver, diffrax.AbstractStratonovichSolver):
        raise TypeError(
            f"{type(solver).__name__} does not solve stochastic equations: use Euler (Euler-"
            "Maruyama), Heun or ItoMilstein"
        )
    if not ito and not additive:
        raise ValueError(
            f"{type(solver).__name__} solves Stratonovich equations, and noise here is Ito; they "
            "differ under multiplicative noise: use Euler or ItoMilstein"
        )


def has_error_estimate(solver: Solver) -> bool:
    """Whether the solver can choose its own steps."""
    tableau = getattr(solver, "tableau", None)
    weights = getattr(tableau, "b_error", None)
    if tableau is not None:
        return weights is not None and bool(np.any(np.asarray(weights)))
    return isinstance(solver, diffrax.AbstractAdaptiveSolver)


def order_of(solver: Solver) -> int:
    """Its order of convergence, which the control of its steps goes by."""
    order = solver.order(None)
    return 1 if order is None else order


def explicit_solvers() -> list[str]:
    """Names of the solvers that take fixed steps."""
    return ["Euler", "Heun", "Midpoint", "Ralston", "Bosh3", "RK4", "Tsit5", "Dopri5", "Dopri8"]


def explicit_tableau(solver: Solver) -> diffrax.ButcherTableau | None:
    tableau = getattr(solver, "tableau", None)
    if not isinstance(solver, diffrax.AbstractERK) or not isinstance(
        tableau, diffrax.ButcherTableau
    ):
        return None
    return None if tableau.implicit else tableau


def _counted(t: Time) -> Time:
    """When a step of a map is: its number."""
    return t.exactly() if isinstance(t, AbstractMoment) else t


def stage_time(t: Time, c: float, dt: Scalar) -> Time:
    """When a stage is; a moment knows on which side of a jump of the input that is."""
    return t.stage(c, dt) if isinstance(t, AbstractMoment) else t + c * dt


def combine(
    y: State, dt: Scalar, coefficients: Vector | tuple[float, ...], slopes: list[State]
) -> State:
    """`y + dt * sum(c_k slope_k)`, zeros left out."""
    terms = [(float(c), k) for c, k in zip(coefficients, slopes, strict=False) if c != 0]

    def leaf(y: Numbers, *slopes: Numbers) -> Numbers:
        for (c, _), slope in zip(terms, slopes, strict=True):
            y = y + (dt * c) * slope
        return y

    return jax.tree.map(leaf, y, *[slope for _, slope in terms])


def _euler_maruyama(
    field: Field, diffusion: Field, t: Time, y: State, dt: Scalar, dw: State
) -> State:
    return jax.tree.map(lambda y, f, g, w: y + f * dt + g * w, y, field(t, y), diffusion(t, y), dw)


def _noisy_iteration(
    field: Field, diffusion: Field, t: Time, y: State, dt: Scalar, dw: State
) -> State:
    after = field(_counted(t), y)
    return jax.tree.map(lambda f, g, w: f + g * w, after, diffusion(t, y), dw)


def _milstein(field: Field, diffusion: Field, t: Time, y: State, dt: Scalar, dw: State) -> State:
    """Euler-Maruyama plus g g' (dw^2 - dt) / 2, for noise that acts on each variable alone."""
    g = diffusion(t, y)
    _, slope = jax.jvp(lambda z: diffusion(t, z), (y,), (g,))
    return jax.tree.map(
        lambda y, f, g, s, w: y + f * dt + g * w + s * (jnp.square(w) - dt) / 2,
        y, field(stage_time(t, 0.0, dt), y), g, slope, dw,
    )  # fmt: skip
