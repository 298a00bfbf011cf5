"""A run, or a batch of runs from several starts, with fixed steps and saved states."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from rnnjax._engine.driven import DrivenBy, input_at_first
from rnnjax._engine.first_failure import first_failure
from rnnjax._engine.fixed_steps import FixedOutcome, FixedRun, integrate
from rnnjax._engine.one_step import Keys
from rnnjax._gate import own_structure
from rnnjax._machine.devices import all_or_one, may_spread, spread
from rnnjax._machine.kept import program
from rnnjax._machine.plan import Loop, Plan, choose_plan
from rnnjax._machine.programs import has_product
from rnnjax._numerics.digits import digits
from rnnjax._numerics.memory import AbstractMemory
from rnnjax._numerics.trees import fastest_variable
from rnnjax._precision import by_shapes, default_dtype
from rnnjax._results import Status
from rnnjax._types import Array, Arrays, Shapes, State, is_traced, lane_of
from rnnjax.circuits._base import AbstractSystem


@dataclasses.dataclass(frozen=True)
class Grid:
    """Which states of a run with fixed steps are wanted: one leaf, however many they are.

    Attributes:
        steps: how many there are.
        every: how many lie between two states that are saved.
        saved: which of the saved states are wanted, the start being number 0.
    """

    steps: int
    every: int
    saved: tuple[int, ...]


def as_batch(
    circuit: AbstractSystem[Any], start: State | list[float] | None
) -> tuple[State | None, int | None]:
    """The start, and how many lanes there are if it is a batch: one axis more than a state."""
    start = None if start is None else own_structure(start, "start", None)
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
    return start, shapes[0][0]


@by_shapes
def _rest(circuit: AbstractSystem[Any]) -> Shapes:
    """The shapes of the resting state."""
    return jax.eval_shape(circuit.rest)


def devices_for(circuit: Callable[..., State], input: DrivenBy, state: State, lanes: int) -> int:
    """Over how many devices a batch is spread."""
    if not may_spread():
        return 1
    return all_or_one(choose_plan(*_loop_of(circuit, input, state)).devices, lanes)


@by_shapes
def _loop_of(circuit: Callable[..., State], input: DrivenBy, state: State) -> tuple[bool, Loop]:
    """Whether the loop of a lane holds a matrix product, and how many numbers its state has."""
    first = jax.eval_shape(lambda s: lane_of(s, 0), state)
    products = has_product(lambda s: circuit(s, input_at_first(input)), first, looped=True)
    return products, Loop(sum(x.size for x in jax.tree.leaves(first)))


def run_fixed(
    run: FixedRun,
    start: State,
    grid: Grid,
    *,
    memory: AbstractMemory | None = None,
    lanes: int | None = None,
    devices: int = 1,
    observe: Callable[[State], Arrays] | None = None,
) -> dict[str, Arrays]:
    """A run with fixed steps; where it failed, what failed first.

    Args:
        run: what is run.
        start: the first state; of a batch the lanes are in front.
        grid: which states are wanted.
        memory: what reverse mode keeps.
        lanes: how many there are; None for a run alone.
        devices: over how many the lanes are spread.
        observe: what is wanted of each state; all of it unless given.
    """
    outcome, result = _fixed(run, start, grid, memory, lanes is not None, devices, observe)
    if is_traced(outcome):
        return result
    result["failed_at"] = run.time_after(outcome.steps_well)
    if not np.any(np.asarray(outcome.status) != Status.OK):
        return result
    if lanes is None:
        at, variable = first_failure(run, outcome)
        return result | {"failed_at": np.float64(at), "failed_variable": np.int32(variable)}
    # the first lane that failed stands for all
    bad = int(np.argmax(np.asarray(outcome.status) != Status.OK))
    key = None if run.key is None else run.key[bad]
    failed = first_failure(dataclasses.replace(run, key=key), lane_of(outcome, bad))
    for name, value in zip(("failed_at", "failed_variable"), failed, strict=True):
        result[name] = np.array(result[name])
        result[name][bad] = value
    return result


@program
def _fixed(
    run: FixedRun, start: State, grid: Grid, memory: AbstractMemory | None, batch: bool,
    devices: int, observe: Callable[[State], Arrays] | None,
) -> tuple[FixedOutcome, dict[str, Arrays]]:  # fmt: skip
    start = jax.tree.map(jnp.asarray, start)
    shared, fixed = eqx.partition(dataclasses.replace(run, key=None), eqx.is_array)

    def run_all(own: tuple[State, Keys | None], shared: Arrays) -> FixedOutcome:
        state, key = own
        each = dataclasses.replace(eqx.combine(shared, fixed), key=key)
        return integrate(
            each, state, grid.steps, save_every=grid.every, memory=memory, lanes=batch,
            observe=observe,
        )  # fmt: skip

    outcome = spread(run_all, Plan(None, devices))((start, run.key), shared)
    states = outcome.saved
    if grid.saved != tuple(range(1, grid.steps // grid.every + 1)):
        states = _wanted(grid, start, states, observe, batch)

    t0, step = (digits(x, default_dtype()).value for x in (run.t0, run.step))

    def fastest(state: State) -> Int[Array, ""]:
        return fastest_variable(state, state)

    return outcome._replace(saved=None), {
        "states": states,
        "status": outcome.status,
        "failed_at": t0 + outcome.steps_well.astype(step.dtype) * step,
        "failed_variable": (jax.vmap(fastest) if batch else fastest)(outcome.last_well),
        "stats": {"steps": jnp.asarray(grid.steps)},
    }


def _wanted(
    grid: Grid, start: State, saved: Arrays, observe: Callable[[State], Arrays] | None, batch: bool
) -> Arrays:
    """Those of the saved states, the start in front of them, that are wanted."""
    axis = 1 if batch else 0
    if observe is not None:
        start = (jax.vmap(observe) if batch else observe)(start)
    return jax.tree.map(
        lambda first, rest: jnp.concatenate([jnp.expand_dims(first, axis), rest], axis).take(
            np.asarray(grid.saved), axis
        ),
        start,
        saved,
    )
