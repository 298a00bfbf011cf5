"""Lanes side by side."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._machine.devices import spread
from rnnjax._machine.plan import ROUNDED, Plan
from rnnjax._types import Array, Arrays

ROUND = 24  # attempted steps between two looks at which lanes have finished

TreeT = TypeVar("TreeT")
Lanes = Callable[[Arrays, Arrays], Arrays]
"""`(lanes, shared) -> results`, lanes in front."""


def lanes_together(plan: Plan, adaptive: bool = False) -> int:
    """The number of lanes that `map_lanes` takes a multiple of, and `map_workers` should."""
    tile = plan.tile or 1
    return (min(tile, ROUNDED) if adaptive else tile) * plan.devices


def map_lanes(lane: Lanes, plan: Plan) -> Lanes:
    """`mapped(lanes, shared)` of `lane(values, shared)`: lanes in front, compiled once per shape.

    The number of lanes must be a multiple of `lanes_together(plan)`; pad on the host.
    """

    def tiles(lanes: Arrays, shared: Arrays) -> Arrays:
        batched = jax.vmap(lane, in_axes=(0, None))
        if plan.tile is None:
            return batched(lanes, shared)
        cut = jax.tree.map(lambda x: x.reshape(-1, plan.tile, *x.shape[1:]), lanes)
        out = lax.map(lambda part: batched(part, shared), cut)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out)

    return jax.jit(spread(tiles, plan), compiler_options=_options(plan))


class Worker(NamedTuple):
    """A lane cut into attempted steps, so that it can stop when it has finished.

    Attributes:
        begin: `(values, shared) -> carry`.
        attempt: `(values, shared, carry) -> carry`; no change once the lane has finished.
        running: `(values, shared, carry) -> bool`.
        finish: `(values, shared, carry) -> results`.
    """

    begin: Callable[[Arrays, Arrays], Arrays]
    attempt: Callable[[Arrays, Arrays, Arrays], Arrays]
    running: Callable[[Arrays, Arrays, Arrays], Bool[Array, ""]]
    finish: Callable[[Arrays, Arrays, Arrays], Arrays]


class _Round(NamedTuple):
    """Where the lanes of a device are: how many points are finished and begun, and what is carried.

    Attributes:
        finished: how many points are.
        begun: how many are.
        rounds: how many there were.
        place: the point that each lane works on; the number of points or more for none.
        values: of these points.
        carry: of these lanes.
        results: of all points.
    """

    finished: Int[Array, ""]
    begun: Int[Array, ""]
    rounds: Int[Array, ""]
    place: Int[Array, " lane"]
    values: Arrays
    carry: Arrays
    results: Arrays


def map_workers(
    worker: Worker, plan: Plan
) -> Callable[[Arrays, Arrays], tuple[Arrays, Int[Array, " device"]]]:
    """`mapped(lanes, shared)` of a worker: results, and attempted steps per device, idle included.

    A tile of lanes works through all points of its device: a lane that has finished hands its
    results in and takes the next point. What it computes does not depend on its neighbors. The
    number of points must be a multiple of `plan.devices`.
    """

    def device(lanes: Arrays, shared: Arrays) -> Arrays:
        count = jax.tree.leaves(lanes)[0].shape[0]
        return _work_through(worker, lanes, shared, count, min(plan.tile or count, count))

    def dealt(lanes: Arrays, shared: Arrays) -> Arrays:
        # one point to each device in turn: neighbors, which take about as long, are shared out
        results, tried = spread(device, plan)(_dealt(lanes, plan.devices), shared)
        count = jax.tree.leaves(lanes)[0].shape[0]
        return _dealt(results, count // plan.devices), tried

    return jax.jit(dealt, compiler_options=_options(plan))


def _dealt(tree: TreeT, hands: int) -> TreeT:
    """Dealt into so many hands, one after the other; dealing them out again undoes it."""
    return jax.tree.map(
        lambda x: x.reshape(-1, hands, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape), tree
    )


def _work_through(
    worker: Worker, lanes: Arrays, shared: Arrays, count: int, width: int
) -> tuple[Arrays, Int[Array, " device"]]:
    begin = jax.vmap(worker.begin, (0, None))
    attempt = jax.vmap(worker.attempt, (0, None, 0))
    running = jax.vmap(worker.running, (0, None, 0))
    finish = jax.vmap(worker.finish, (0, None, 0))

    def points(index: Int[Array, " lane"]) -> Arrays:
        return jax.tree.map(lambda x: x[jnp.minimum(index, count - 1)], lanes)

    def some_left(now: _Round) -> Bool[Array, ""]:
        return now.finished < count

    def one_round(now: _Round) -> _Round:
        finished, begun, rounds, index, values, carry, results = now
        carry = lax.fori_loop(0, ROUND, lambda _, c: attempt(values, shared, c), carry)
        done = ~running(values, shared, carry) & (index < count)
        place = jnp.where(done, index, count)  # no such place: not written
        results = jax.tree.map(
            lambda all, x: all.at[place].set(x, mode="drop"), results, finish(values, shared, carry)
        )
        index = jnp.where(done, begun + jnp.cumsum(done, dtype=jnp.int32) - 1, index)
        done_here = done.sum(dtype=jnp.int32)
        fresh = points(index)
        # a lane without a point keeps the carry that it has finished with
        taken = done & (index < count)
        values, carry = _where(taken, (fresh, begin(fresh, shared)), (values, carry))
        return _Round(
            finished + done_here, begun + done_here, rounds + 1, index, values, carry, results
        )

    index = jnp.arange(width, dtype=jnp.int32)
    values = points(index)
    carry = begin(values, shared)
    shapes = jax.eval_shape(finish, values, shared, carry)
    results = jax.tree.map(lambda s: jnp.zeros((count, *s.shape[1:]), s.dtype), shapes)
    zero = jnp.int32(0)
    first = _Round(zero, jnp.int32(width), zero, index, values, carry, results)
    last = lax.while_loop(some_left, one_round, first)
    return last.results, jnp.full((1,), last.rounds * (ROUND * width))


def _where(taken: Bool[Array, " lane"], new: TreeT, old: TreeT) -> TreeT:
    def leaf(a: Array, b: Array) -> Array:
        return jnp.where(taken.reshape(taken.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(leaf, new, old)


def _options(plan: Plan) -> dict[str, str | bool]:
    if plan.tile is None or jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_prefer_vector_width": "512", "xla_cpu_enable_fast_min_max": True}
