"""Runs by diffrax."""

from collections.abc import Callable

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
from jaxtyping import Int, PyTree

from rnnjax._engine.step_control import (
    INTEGRAL,
    PROPORTIONAL,
    Window,
    first_step,
    smallest_step,
)
from rnnjax._engine.stops import jumps_of, longest_step
from rnnjax._numerics.trees import fastest_variable, flatten
from rnnjax._results import Status
from rnnjax._simulation.timed_run import Choice, TimedRun
from rnnjax._types import Array, Arrays, Float, Key, Scalar, State, Vector
from rnnjax.solvers._base import Solver, order_of, stage_time


@eqx.filter_jit
def run_by_diffrax(run: TimedRun, choice: Choice) -> dict[str, Arrays]:
    """A run, or a batch of runs."""
    times = jnp.asarray(run.times)

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
    t0, window = times[0], Window(times[0], times[0], times[-1])
    longest = longest_step(input, widest_gap(times), times.dtype)
    terms, y0, undo = _terms(run, start, times, key, solver)
    first = None
    if noise is None:
        first = _first_step(run, window, start, order_of(solver))
        first = jax.lax.stop_gradient(first if longest is None else jnp.minimum(first, longest))
    save = diffrax.SaveAt(
        subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)], dense=choice.dense
    )
    adjoint = diffrax.RecursiveCheckpointAdjoint() if choice.adjoint is None else choice.adjoint
    solution = diffrax.diffeqsolve(
        terms, solver, t0, times[-1], first, y0, args=(circuit, input, noise), saveat=save,
        stepsize_controller=_control(run, window, longest), adjoint=adjoint,
        max_steps=choice.max_steps, throw=False,
    )  # fmt: skip
    states, last = solution.ys  # pyright: ignore
    last = jax.tree.map(lambda x: x[0], last)
    stopped = solution.ts[1][0]  # pyright: ignore
    derivative = circuit(undo(last), input(stopped))
    stats = solution.stats
    return {
        "states": jax.vmap(undo)(states),
        "status": _status(solution.result, last),
        "failed_at": stopped,
        "failed_variable": fastest_variable(derivative, last),
        "stats": {
            "steps": jnp.asarray(stats["num_accepted_steps"], jnp.int32),
            "rejected": jnp.asarray(stats["num_rejected_steps"], jnp.int32),
        },
        "interpolation": solution.interpolation if choice.dense else None,
    }


def widest_gap(times: Vector) -> Callable[[], Float[Array, ""]]:
    """Of the times that are asked for (ms): the longest step through a plain function of time."""
    return lambda: jnp.max(jnp.diff(times))


def _control(
    run: TimedRun, window: Window, longest: Scalar | None
) -> diffrax.AbstractStepSizeController:
    rtol, atol = run.tolerances
    control = diffrax.PIDController(
        rtol=rtol, atol=atol, dtmin=smallest_step(window), force_dtmin=False, dtmax=longest,
        pcoeff=PROPORTIONAL, icoeff=INTEGRAL,
    )  # fmt: skip
    jumps = jumps_of(run.input)
    if not jumps:
        return control
    at = jnp.sort(jnp.stack([jnp.asarray(j, jnp.result_type(window.end)) for j in jumps]))
    return diffrax.ClipStepSizeController(control, jump_ts=at)


def _first_step(run: TimedRun, window: Window, start: State, order: int) -> Float[Array, ""]:
    """The step (ms) to try first; the guess of our own lanes."""

    def field(t: Scalar, state: State) -> State:
        return run.circuit(state, run.input(t))

    slope = field(stage_time(window.t0, 0.0, window.end - window.t0), start)
    return first_step(field, window, start, slope, run.tolerances, order)


def _terms(
    run: TimedRun, start: State, times: Float[Array, " time"], key: Key | None, solver: Solver
) -> tuple[PyTree[diffrax.AbstractTerm], State, Callable[[State], State]]:
    """The equation in diffrax's terms; under noise on the flattened state."""
    if run.noise is None:
        return diffrax.ODETerm(lambda t, y, a: a[0](y, a[1](t))), start, lambda y: y
    assert key is not None
    vector, unravel = flatten(start)
    drift = diffrax.ODETerm(lambda t, y, a: flatten(a[0](unravel(y), a[1](t)))[0])
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


def _status(result: diffrax.RESULTS, last: State) -> Int[Array, ""]:
    codes = diffrax.RESULTS
    finite = jnp.isfinite(flatten(last)[0]).all()
    return jnp.select(
        [~finite, result == codes.successful, result == codes.dt_min_reached],
        [int(Status.NON_FINITE), int(Status.OK), int(Status.STEP_UNDERFLOW)],
        int(Status.MAX_STEPS),
    ).astype(jnp.int32)
