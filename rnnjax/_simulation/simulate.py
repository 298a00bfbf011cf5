"""How does it move? `simulate` and the `Trajectory` it gives."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._engine.driven import driven_by
from rnnjax._engine.fixed_steps import FixedRun
from rnnjax._engine.step_control import MAX_STEPS, Tolerances
from rnnjax._gate import own_numbers
from rnnjax._machine.verb import verb
from rnnjax._numerics.digits import digits, two_digits
from rnnjax._numerics.memory import AbstractMemory
from rnnjax._numerics.trees import variable_names
from rnnjax._parameter import counted
from rnnjax._precision import cast, check_range, precision, to_host
from rnnjax._simulation.choose_run import run_timed
from rnnjax._simulation.fixed_run import Grid, as_batch, devices_for, run_fixed
from rnnjax._simulation.timed_run import Choice, TimedRun
from rnnjax._simulation.trajectory import Trajectory
from rnnjax._types import (
    Arrays,
    DTypeLike,
    InputLike,
    Key,
    Scalar,
    StartLike,
    State,
    Vector,
    is_traced,
    lane_of,
)
from rnnjax.circuits._base import AbstractSystem
from rnnjax.circuits._checks import (
    as_input,
    check_noise,
    check_observe,
    check_run,
    check_step,
    first_state,
    iterated,
    starting_state,
)
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._checks import check_tolerances, checked_solver, countable, on_grid, positive

Adjoint = diffrax.AbstractAdjoint | AbstractMemory


@verb
def simulate(
    circuit: AbstractSystem[Any],
    times: Vector | Sequence[float],
    input: InputLike | None = None,
    *,
    start: StartLike | None = None,
    noise: AbstractNoise | None = None,
    key: Key | None = None,
    solver: diffrax.AbstractSolver | None = None,
    step: float | None = None,
    rtol: Scalar = 1e-6,
    atol: Scalar = 1e-6,
    max_steps: int = MAX_STEPS,
    adjoint: Adjoint | None = None,
    dense: bool = False,
    observe: Callable[[State], Arrays] | None = None,
    dtype: DTypeLike | None = None,
    throw: bool = True,
) -> Trajectory:
    r"""Solve $\dot x = f(x, u(t))$ from the first of `times` to the last.

    Without `step` the solver chooses its steps, by the PI control of diffrax with relative
    tolerance `rtol` and absolute `atol` in the state's unit. Explicit solvers without noise run in
    the package's own lanes; their gradients, and everything else, are diffrax's. With `step` the
    package's fixed-step engine takes them; `times` must then lie on its grid, and so should the
    jumps of the input. A batch of starts runs as one program, in which a network's weights meet the
    rates of all lanes in one product; batches of circuits or inputs come by `jax.vmap` or
    `eqx.filter_vmap`.

    Args:
        circuit: the circuit, or a map, whose times are numbers of iterations.
        times: `(time,)` in ms, increasing; the state is returned at each.
        input: a function of time in ms, or a constant in the circuit's input structure; None
            for no input. Adaptive steps know where the inputs of `rnnjax.inputs` jump; through a
            function of your own they are at most as long as the longest gap of `times`.
        start: the first state, or a function from the circuit to it; `circuit.rest()` unless
            given. One axis more, in front, is a batch: the results have it in front as well.
        noise: the diffusion of an Ito equation; it needs `key`.
        key: a JAX random key; lane k of a batch draws with `fold_in(key, k)`.
        solver: a diffrax solver; `Tsit5()` unless given, `Euler()` under noise. `Kvaerno5()`
            for stiff circuits.
        step: a fixed step in ms.
        rtol: relative tolerance of adaptive steps.
        atol: absolute tolerance of adaptive steps.
        max_steps: the most steps an adaptive solver may take.
        adjoint: how reverse mode goes back. Through adaptive steps diffrax's
            `RecursiveCheckpointAdjoint()` unless given, `ForwardMode()` for forward mode. Through
            fixed steps `StoreAll()`, `Checkpoint()` or, fastest for networks, `BlockedAdjoint()`
            of rnnjax; blocks of 200 steps are computed again unless given. Fixed steps
            differentiate forward as well, but for `BlockedAdjoint()`.
        dense: keep the dense output, so that the trajectory can be called at any time.
        observe: what to return of each state, a function of it (defined once, with a name: a new
            lambda compiles again); all of it unless given. With fixed steps nothing else is kept.
        dtype: float32 or float64; JAX's current default unless given. Where a JAX transformation
            is under way its own precision holds.
        throw: raise on failure. Where a JAX transformation is under way nothing can be
            raised: the status is in the result, see `Trajectory.raise_failures`.

    Raises:
        SimulationError: if the run failed and `throw` is true.
        ValueError, TypeError: for arguments that can't be right, before anything compiles.
    """
    check_run(circuit, input, noise, key, maps=True)
    solver, step = iterated(circuit, solver, step)
    traced = is_traced(circuit, times, input, start, noise, key, rtol, atol)
    at = jnp.asarray(times) if is_traced(times) else own_numbers(times, "times", "ms")
    solver = checked_solver(solver, noise, step, dense)
    if observe is not None and not callable(observe):
        raise TypeError(
            f"observe: expected a function of the state, e.g. lambda s: s.v, got {observe!r}"
        )
    memory, adjoint = _checked_adjoint(adjoint, step)
    start = first_state(start, circuit)
    with precision(None if traced else dtype) as found:
        check_range((circuit, input, start, noise), found, ("circuit", "input", "start", "noise"))
        check_step(circuit, step, input)
        start, lanes = as_batch(circuit, start)
        state = starting_state(circuit, input, start if lanes is None else lane_of(start, 0))
        state = state if lanes is None else start
        check_observe(observe, state if lanes is None else lane_of(state, 0))
        check_noise(noise, state if lanes is None else lane_of(state, 0))
        if step is None:
            check_tolerances(rtol, atol, found)
            max_steps = counted(max_steps, "max_steps")
        grid = _grid(at, step)
        driven = driven_by(as_input(circuit, input), found)
        circuit, state, noise = cast((circuit, state, noise), found, ("circuit", "start", "noise"))
        if lanes is not None and key is not None:
            key = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(lanes))
        if grid is not None:
            devices = 1 if lanes is None else devices_for(circuit, driven, state, lanes)
            t0, long = digits(at[0], found), digits(np.float64(step), found)
            run = FixedRun(circuit, driven, solver, t0, long, noise, key)
            result = run_fixed(
                run, state, grid, memory=memory, lanes=lanes, devices=devices, observe=observe
            )
        else:
            given = (x if is_traced(x) else np.float64(x) for x in (rtol, atol))
            tolerances = cast(Tolerances(*given), found)
            begin, since = digits(at[0], found), two_digits(at - at[0])
            result = run_timed(
                TimedRun(circuit, driven, state, begin, since, tolerances, noise, key),
                Choice(solver, max_steps, adjoint, dense, lanes, observe),
            )
            stopped = result["failed_at"]
            result["failed_at"] = (
                begin.value + stopped.value if is_traced(stopped, begin)
                else begin.on_host() + stopped.on_host()
            )  # fmt: skip
    if lanes is not None:
        at = np.broadcast_to(at, (lanes, *np.shape(at)))
    one = state if lanes is None else lane_of(state, 0)
    names = () if observe is None else tuple(variable_names(one))
    trajectory = Trajectory(times=at, **result, unit=getattr(circuit, "state_unit", ""), of=names)
    if is_traced(trajectory):
        return trajectory
    # on the host the interpolation would lose its weak types, which strict promotion needs
    interpolation = trajectory.interpolation
    trajectory = to_host(dataclasses.replace(trajectory, interpolation=None))
    trajectory = dataclasses.replace(trajectory, interpolation=interpolation)
    return trajectory.raise_failures() if throw else trajectory


def _checked_adjoint(
    adjoint: Adjoint | None, step: float | None
) -> tuple[AbstractMemory | None, diffrax.AbstractAdjoint | None]:
    """How to go back through fixed steps, or through diffrax's; refused where it is the other."""
    if step is None:
        if isinstance(adjoint, AbstractMemory):
            raise ValueError(
                f"{type(adjoint).__name__} is for fixed steps: give step=, or an adjoint of "
                "diffrax such as RecursiveCheckpointAdjoint()"
            )
        if adjoint is not None and not isinstance(adjoint, diffrax.AbstractAdjoint):
            raise TypeError(
                "adjoint: expected one of diffrax such as RecursiveCheckpointAdjoint(), got "
                f"{adjoint!r}"
            )
        return None, adjoint
    if adjoint is not None and not isinstance(adjoint, AbstractMemory):
        raise ValueError(
            "adjoint: with step= expected StoreAll(), Checkpoint() or BlockedAdjoint() of rnnjax, "
            f"got {adjoint!r}"
        )
    return adjoint, None


def _grid(times: Vector, step: float | None) -> Grid | None:
    """Which states of a run with fixed steps are those at the times; checked."""
    shape = np.shape(times)
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(f"times: expected at least two, (time,) in ms, got shape {shape}")
    if is_traced(times):
        if step is not None:
            raise ValueError("times must be concrete with step=: make them outside of jit and vmap")
        return None
    values = np.asarray(times, np.float64)
    if not np.isfinite(values).all() or (np.diff(values) <= 0).any():
        raise ValueError(f"times: expected finite, increasing times in ms, got {values[:5]}...")
    if step is None:
        return None
    step = positive(step, "step", "ms")
    offsets = (values - values[0]) / step
    index = np.round(offsets).astype(int)
    off = ~on_grid(offsets)
    if off.any():
        raise ValueError(
            f"times: expected multiples of step = {step:g} ms after the first, got "
            f"{values[off][0]:g} ms: choose times on the grid, or leave out step="
        )
    countable(int(index[-1]), "times")
    every = int(functools.reduce(math.gcd, np.diff(index).tolist()))
    return Grid(int(index[-1]), every, tuple((index // every).tolist()))
