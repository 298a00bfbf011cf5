"""Runs by diffrax."""

import functools
import math
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax

from rnnjax._engine.adaptive_steps import Tolerances, Window, first_step, smallest_step
from rnnjax._numerics.trees import fastest_variable, flatten
from rnnjax._results import Status
from rnnjax.inputs._base import AbstractInput
from rnnjax.solvers._base import stage_time


class Choice(NamedTuple):
    """What is fixed when an adaptive run compiles.

    Attributes:
        solver: a diffrax solver.
        max_steps: the most it may take.
        adjoint: diffrax's; None for its usual one.
        dense: whether the dense output is kept.
        lanes: the number of lanes of a batch; None for a run alone.
        observe: what is returned of each state; None for all of it.
    """

    solver: Any
    max_steps: int
    adjoint: Any
    dense: bool
    lanes: int | None
    observe: Any


@eqx.filter_jit
def by_diffrax(
    circuit: Any, input: Any, state: Any, times: Any, noise: Any, key: Any, tolerances: Any,
    choice: Choice,
) -> dict[str, Any]:  # fmt: skip
    state, times = jax.tree.map(jnp.asarray, (state, times))

    def one(state: Any, key: Any) -> dict[str, Any]:
        found = _one_by_diffrax(circuit, input, state, times, noise, key, tolerances, choice)
        if choice.observe is not None:
            found["states"] = jax.vmap(choice.observe)(found["states"])
        return found

    return one(state, key) if choice.lanes is None else eqx.filter_vmap(one)(state, key)


def _one_by_diffrax(
    circuit: Any, input: Any, start: Any, times: Any, noise: Any, key: Any, tolerances: Any,
    choice: Choice,
) -> dict[str, Any]:  # fmt: skip
    solver, t0 = choice.solver, times[0]
    window = Window(t0, t0, times[-1])
    longest = _longest_step(input, times)
    control: Any = diffrax.PIDController(
        rtol=tolerances[0], atol=tolerances[1], dtmin=smallest_step(window),
        force_dtmin=False, dtmax=longest, pcoeff=0.4, icoeff=0.3,
    )  # fmt: skip
    jumps = input.jumps() if isinstance(input, AbstractInput) else ()
    if jumps:
        at = jnp.sort(jnp.stack([jnp.asarray(j, times.dtype) for j in jumps]))
        control = diffrax.ClipStepSizeController(control, jump_ts=at)
    terms, y0, undo = _terms(start, noise, key, times, solver)
    step = None
    if noise is None:
        field = functools.partial(_field, circuit, input)
        slope = field(stage_time(t0, 0.0, times[-1] - t0), start)
        order = solver.order(terms)
        step = first_step(field, window, start, slope, Tolerances(*tolerances), order)
        step = jax.lax.stop_gradient(step if longest is None else jnp.minimum(step, longest))
    save = diffrax.SaveAt(
        subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)], dense=choice.dense
    )
    adjoint = diffrax.RecursiveCheckpointAdjoint() if choice.adjoint is None else choice.adjoint
    solution = diffrax.diffeqsolve(
        terms, solver, t0, times[-1], step, y0, args=(circuit, input, noise), saveat=save,
        stepsize_controller=control, adjoint=adjoint, max_steps=choice.max_steps, throw=False,
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


def _field(circuit: Any, input: Any, t: Any, state: Any) -> Any:
    return circuit(state, input(t))


def _terms(start: Any, noise: Any, key: Any, times: Any, solver: Any) -> tuple[Any, Any, Any]:
    """The equation in diffrax's terms; under noise on the flattened state."""
    if noise is None:
        return diffrax.ODETerm(lambda t, y, a: a[0](y, a[1](t))), start, lambda y: y
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


def _status(result: Any, last: Any) -> Any:
    codes = diffrax.RESULTS
    finite = jnp.isfinite(flatten(last)[0]).all()
    return jnp.select(
        [~finite, result == codes.successful, result == codes.dt_min_reached],
        [int(Status.NON_FINITE), int(Status.OK), int(Status.STEP_UNDERFLOW)],
        int(Status.MAX_STEPS),
    ).astype(jnp.int32)


def _longest_step(input: Any, times: Any) -> Any:
    """The longest step that misses nothing of the input; of a plain function, what is asked for."""
    if not isinstance(input, AbstractInput):
        return jnp.max(jnp.diff(times))
    longest = input.longest_step()
    unlimited = isinstance(longest, float) and math.isinf(longest)
    return None if unlimited else jnp.asarray(longest, times.dtype)
