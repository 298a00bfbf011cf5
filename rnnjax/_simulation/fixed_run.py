"""A run, or a batch of runs from several starts, with fixed steps and saved states."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._engine.first_failure import first_failure
from rnnjax._engine.fixed_steps import Run, integrate
from rnnjax._machine.devices import all_or_one, may_spread, spread
from rnnjax._machine.plan import Loop, Plan, choose_plan
from rnnjax._machine.programs import has_product
from rnnjax._numerics.trees import fastest_variable
from rnnjax._precision import by_shapes
from rnnjax._results import Status
from rnnjax._types import is_traced, lane_of


def as_batch(circuit: Any, start: Any) -> tuple[Any, int | None]:
    """The start, and how many lanes there are if it is a batch: one axis more than a state."""
    start = np.asarray(start) if isinstance(start, list) else start
    rest = _rest(circuit)
    if start is None or jax.tree.structure(start) != jax.tree.structure(rest):
        return start, None
    shapes = [np.shape(x) for x in jax.tree.leaves(start)]
    wanted = [x.shape for x in jax.tree.leaves(rest)]
    if len({s[:1] for s in shapes}) > 1 or any(
        s[1:] != w or len(s) != len(w) + 1 for s, w in zip(shapes, wanted, strict=True)
    ):
        return start, None
    if shapes[0][0] == 0:
        raise ValueError("start: expected at least one lane, got a batch of none")
    given = jax.tree.map(lambda x: x if is_traced(x) else np.asarray(x, np.float64), start)
    return given, shapes[0][0]


@by_shapes
def _rest(circuit: Any) -> Any:
    """The shapes of the resting state."""
    return jax.eval_shape(circuit.rest)


def devices_for(circuit: Any, input: Any, state: Any, lanes: int) -> int:
    """Over how many devices a batch is spread."""
    if not may_spread():
        return 1
    return all_or_one(choose_plan(*_loop_of(circuit, input, state)).devices, lanes)


@by_shapes
def _loop_of(circuit: Any, input: Any, state: Any) -> tuple[bool, Loop]:
    """Whether the loop of a lane holds a matrix product, and how many numbers its state has."""
    first = jax.eval_shape(lambda s: lane_of(s, 0), state)
    products = has_product(lambda s: circuit(s, input(jnp.zeros(()))), first, looped=True)
    return products, Loop(sum(x.size for x in jax.tree.leaves(first)))


def run_fixed(
    circuit: Any, input: Any, state: Any, t0: Any, step: Any, noise: Any, key: Any, solver: Any,
    grid: Any, memory: Any, lanes: int | None, devices: int, observe: Any = None,
) -> dict[str, Any]:  # fmt: skip
    """A run with fixed steps; where it failed, what failed first."""
    run, result = _fixed(
        circuit, input, state, t0, step, noise, key, solver, grid, memory, lanes is not None,
        devices, observe,
    )  # fmt: skip
    if is_traced(run) or not np.any(np.asarray(run.status) != Status.OK):
        return result
    if lanes is not None:  # the first lane that failed stands for all
        bad = int(np.argmax(np.asarray(run.status) != Status.OK))
        run, key = lane_of(run, bad), None if key is None else key[bad]
    at, variable = first_failure(
        circuit, input, run, solver=solver, t0=t0, step=step, noise=noise, key=key
    )
    found = {"failed_at": at, "failed_variable": variable}
    if lanes is not None:
        for name, value in found.items():
            found[name] = np.array(result[name])
            found[name][bad] = value
    return result | found


@eqx.filter_jit
def _fixed(
    circuit: Any, input: Any, start: Any, t0: Any, step: Any, noise: Any, key: Any, solver: Any,
    grid: tuple[int, int, tuple[int, ...]], memory: Any, lanes: bool, devices: int,
    observe: Any = None,
) -> tuple[Run, dict[str, Any]]:  # fmt: skip
    steps, every, rows = grid
    start = jax.tree.map(jnp.asarray, start)
    shared, fixed = eqx.partition((circuit, input, t0, step, noise), eqx.is_array)

    def run_all(own: Any, shared: Any) -> Run:
        state, key = own
        circuit, input, t0, step, noise = eqx.combine(shared, fixed)
        return integrate(
            circuit, input, state, solver=solver, t0=t0, step=step, steps=steps, save_every=every,
            noise=noise, key=key, memory=memory, lanes=lanes, observe=observe,
        )  # fmt: skip

    run = spread(run_all, Plan(None, devices))((start, key), shared)
    axis = 1 if lanes else 0
    states = run.saved
    if rows != tuple(range(1, steps // every + 1)):
        keep = np.asarray(rows)
        first = start
        if observe is not None:
            first = (jax.vmap(observe) if lanes else observe)(start)
        states = jax.tree.map(
            lambda first, rest: jnp.concatenate([jnp.expand_dims(first, axis), rest], axis).take(
                keep, axis
            ),
            first,
            states,
        )

    def fastest(state: Any) -> Any:
        return fastest_variable(state, state)

    return run._replace(saved=None), {
        "states": states,
        "status": run.status,
        "failed_at": t0 + run.steps_well.astype(step.dtype) * step,
        "failed_variable": (jax.vmap(fastest) if lanes else fastest)(run.last_well),
        "stats": {"steps": jnp.asarray(steps)},
    }
