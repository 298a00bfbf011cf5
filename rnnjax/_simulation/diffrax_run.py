"""Runs by diffrax."""

import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
from jaxtyping import Int, PyTree

from rnnjax._engine.driven import DrivenBy
from rnnjax._engine.step_control import (
    INTEGRAL,
    PROPORTIONAL,
    Window,
    first_step,
)
from rnnjax._engine.stops import bends_since, longest_step, stops_since
from rnnjax._machine.kept import program
from rnnjax._numerics.digits import Digits
from rnnjax._numerics.moments import LaneMoment, RoundedMoment
from rnnjax._numerics.trees import fastest_variable, flatten
from rnnjax._results import Status
from rnnjax._simulation.timed_run import Choice, TimedRun
from rnnjax._types import Array, Arrays, Float, Input, Key, Scalar, State
from rnnjax.solvers._base import Solver, order_of


@program
def run_by_diffrax(run: TimedRun, choice: Choice) -> dict[str, Arrays]:
    """A run, or a batch of runs."""
    run = dataclasses.replace(run, input=run.input.opened())
    times = jnp.asarray(run.times.value)

    def one(start: State, key: Key | None) -> dict[str, Arrays]:
        found = _one(run, start, times, key, choice)
        if choice.observe is not None:
            found["states"] = jax.vmap(choice.observe)(found["states"])
        return found

    start = jax.tree.map(jnp.asarray, run.start)
    return (one if choice.lanes is None else eqx.filter_vmap(one))(start, run.key)


def _one(
    run: TimedRun, start: State, times: Float[Array, " time"], key: Key | None, choice: Choice
) -> dict[str, Arrays]:
    circuit, input, noise, solver = run.circuit, run.input, run.noise, choice.solver
    longest = longest_step(input, run.gap, times.dtype)
    terms, y0, undo = _terms(run, start, times, key, solver)
    first = None
    if noise is None:
        first = _first_step(run, start, order_of(solver))
        first = jax.lax.stop_gradient(first if longest is None else jnp.minimum(first, longest))
    save = diffrax.SaveAt(
        subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)], dense=choice.dense
    )
    adjoint = diffrax.RecursiveCheckpointAdjoint() if choice.adjoint is None else choice.adjoint
    solution = diffrax.diffeqsolve(
        terms, solver, times[0], times[-1], first, y0, args=(circuit, input, noise, run.begin, times[-1]),
        saveat=save, stepsize_controller=_control(run, times, longest), adjoint=adjoint,
        max_steps=choice.max_steps, throw=False,
    )  # fmt: skip
    states, last = solution.ys  # pyright: ignore
    last = jax.tree.map(lambda x: x[0], last)
    stopped = solution.ts[1][0]  # pyright: ignore
    derivative = circuit(undo(last), input.at(RoundedMoment(run.begin, stopped)))
    stats = solution.stats
    return {
        "states": jax.vmap(undo)(states),
        "status": _status(solution.result, last),
        "failed_at": Digits((stopped, jnp.zeros_like(stopped))),
        "failed_variable": fastest_variable(derivative, last),
        "stats": {
            "steps": jnp.asarray(stats["num_accepted_steps"], jnp.int32),
            "rejected": jnp.asarray(stats["num_rejected_steps"], jnp.int32),
        },
        "interpolation": solution.interpolation if choice.dense else None,
    }


def _window(run: TimedRun) -> Window:
    """From the first time to the last."""
    first, last = (jax.tree.map(lambda x, k=k: x[k], run.times) for k in (0, -1))
    return Window(run.begin, first, last)


def _control(
    run: TimedRun, times: Float[Array, " time"], longest: Scalar | None
) -> diffrax.AbstractStepSizeController:
    rtol, atol = run.tolerances
    # below it, time plus a step is time again
    smallest = jnp.finfo(times.dtype).eps * times[-1]
    control = diffrax.PIDController(
        rtol=rtol, atol=atol, dtmin=smallest, force_dtmin=False, dtmax=longest,
        pcoeff=PROPORTIONAL, icoeff=INTEGRAL,
    )  # fmt: skip
    stops = [*stops_since(run.input, run.begin), *bends_since(run.input, run.begin)]
    if not stops:
        return control
    at = jnp.sort(jnp.concatenate([jnp.ravel(j.value) for j in stops]))
    return diffrax.ClipStepSizeController(control, jump_ts=at)


def _first_step(run: TimedRun, start: State, order: int) -> Float[Array, ""]:
    """The step (ms) to try first; the guess of our own lanes."""
    window = _window(run)

    def field(h: Float[Array, ""] | None, state: State) -> State:
        when = LaneMoment(run.begin, window.begin, h, 1 if h is None else 0)
        return run.circuit(state, run.input.at(when))

    return first_step(field, window, start, field(None, start), run.tolerances, order)


def _terms(
    run: TimedRun, start: State, times: Float[Array, " time"], key: Key | None, solver: Solver
) -> tuple[PyTree[diffrax.AbstractTerm], State, Callable[[State], State]]:
    """The equation in diffrax's terms; under noise on the flattened state."""
    if run.noise is None:
        return diffrax.ODETerm(lambda t, y, a: a[0](y, _at(a, t))), start, lambda y: y
    assert key is not None
    vector, unravel = flatten(start)
    drift = diffrax.ODETerm(lambda t, y, a: flatten(a[0](unravel(y), _at(a, t)))[0])
    levy = (
        diffrax.SpaceTimeLevyArea if isinstance(solver, diffrax.AbstractSRK)
        else diffrax.BrownianIncrement
    )  # fmt: skip
    path = diffrax.VirtualBrownianTree(
        times[0], times[-1], tol=(times[-1] - times[0]) * 2.0**-16, shape=vector.shape, key=key,
        levy_area=levy,
    )  # fmt: skip
    diffusion = diffrax.ControlTerm(
        lambda t, y, a: lineax.DiagonalLinearOperator(flatten(a[2](unravel(y)))[0]), path
    )
    return diffrax.MultiTerm(drift, diffusion), vector, unravel


def _at(a: tuple[Any, DrivenBy, Any, Digits, Array], t: Scalar) -> Input:
    """The input so many ms after the beginning; at the end what it was before a jump there."""
    t, end = jnp.asarray(t), jax.lax.stop_gradient(a[4])
    late = t - jnp.nextafter(end, jnp.zeros_like(end))
    t = t - jax.lax.stop_gradient(jnp.maximum(late, 0))
    return a[1].at(RoundedMoment(a[3], t))


def _status(result: diffrax.RESULTS, last: State) -> Int[Array, ""]:
    codes = diffrax.RESULTS
    finite = jnp.isfinite(flatten(last)[0]).all()
    return jnp.select(
        [~finite, result == codes.successful, result == codes.dt_min_reached],
        [int(Status.NON_FINITE), int(Status.OK), int(Status.STEP_UNDERFLOW)],
        int(Status.MAX_STEPS),
    ).astype(jnp.int32)
