"""How many lanes run together, and where: the same results, at very different speeds."""

import contextlib
import contextvars
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._machine.setup import tuned_devices
from rnnjax._types import is_traced, like, numbers_of

UNTUNED_TILE = 4096  # lanes; where each kernel is called by itself, it must be worth the call
LARGE = 512  # variables from which on one product keeps all cores busy by itself
_MOST_NUMBERS = 2**16  # of state in a tile of adaptive lanes
_CACHED = (
    2048  # bytes of each number of a tile: those of a small circuit stay in the first-level cache
)
_COMPILED_WHOLE = 800_000  # bytes that one step may touch; `tune_cpu` sets XLA's limit to a million
_FEWEST_LANES, _LANES_APART = 32, 16  # of a tile: the fewest, and a vector register of them
_ROUNDED = 256  # lanes: a tile where none is compiled whole; adaptive chunks are multiples of it
_LAPACK = (
    "cholesky", "eig", "eigh", "geqrf", "hessenberg", "householder_product", "lu", "schur", "svd",
    "triangular_solve", "tridiagonal",
)  # fmt: skip
_ALONE = contextvars.ContextVar("alone", default=False)
ROUND = 24  # attempted steps between two looks at which lanes have finished


class Plan(NamedTuple):
    """How lanes are laid out.

    Attributes:
        tile: lanes in one compiled time loop; None for the whole batch at once.
        devices: over how many devices the lanes are spread.
    """

    tile: int | None
    devices: int


class Loop(NamedTuple):
    """What the time loop of a lane is made of.

    Attributes:
        variables: how many numbers the state has.
        arrays: how many arrays hold them; each has kernels of its own.
        stages: of the solver.
        itemsize: bytes of a number.
        adaptive: whether lanes choose their own steps.
        observed: how many numbers are measured.
    """

    variables: int = 1
    arrays: int = 1
    stages: int = 1
    itemsize: int = 8
    adaptive: bool = False
    observed: int = 0

    def touched(self) -> float:
        """About how many numbers the kernels of one step read and write, for one lane."""
        # the slope of a variable is made of all variables, a stage of the slopes before it
        each = self.arrays + self.stages / 2 + (17 if self.adaptive else 6)
        return self.stages * self.variables * each + self.observed * (25 if self.adaptive else 2)


def choose_plan(products: bool, loop: Loop) -> Plan:
    """The plan for a lane's program on this backend.

    Small circuits on a tuned CPU run in tiles, each of which is compiled whole, over all host
    devices. With a matrix product in the time loop, or without `tune_cpu`, the whole batch goes
    together, one product a step; so it does on an accelerator. Adaptive lanes always come in
    tiles on a CPU, since a lane that has finished takes the next point.

    Args:
        products: whether the time loop of a lane holds a matrix product.
        loop: what else it is made of.
    """
    if jax.default_backend() != "cpu":
        return Plan(None, 1)
    devices = tuned_devices()
    tile = _tile(loop) if devices else UNTUNED_TILE
    if loop.adaptive:
        tile = _ROUNDED if products else tile
        return Plan(max(8, min(tile, _MOST_NUMBERS // loop.variables)), max(devices, 1))
    if products:
        return Plan(None, 1 if loop.variables >= LARGE else max(devices, 1))
    return Plan(tile if devices else None, max(devices, 1))


def _tile(loop: Loop) -> int:
    """The most lanes whose numbers stay in the cache, and whose loop is still compiled whole."""
    most = int(min(_CACHED, _COMPILED_WHOLE / loop.touched()) / loop.itemsize)
    return _ROUNDED if most < _FEWEST_LANES else most // _LANES_APART * _LANES_APART


def checked_plan(plan: Any) -> Plan:
    """A plan that was given, refused where this process can't follow it.

    Raises:
        TypeError: for what is no plan.
        ValueError: for no lanes, or more devices than there are.
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"plan: expected rnnjax.Plan(tile, devices), got {plan!r}")
    if plan.tile is not None and plan.tile < 1:
        raise ValueError(f"plan.tile: expected a positive number of lanes or None, got {plan.tile}")
    if not 1 <= plan.devices <= len(jax.devices()):
        raise ValueError(
            f"plan.devices: expected 1 to {len(jax.devices())}, the devices of this process, got "
            f"{plan.devices}: on a CPU call rnnjax.tune_cpu(devices=...) first"
        )
    return plan


def lanes_together(plan: Plan, adaptive: bool = False) -> int:
    """The number of lanes that `map_lanes` takes a multiple of, and `map_workers` should."""
    tile = plan.tile or 1
    return (min(tile, _ROUNDED) if adaptive else tile) * plan.devices


def map_lanes(lane: Callable[[Any, Any], Any], plan: Plan) -> Callable[[Any, Any], Any]:
    """`mapped(lanes, shared)` of `lane(values, shared)`: lanes in front, compiled once per shape.

    The number of lanes must be a multiple of `lanes_together(plan)`; pad on the host.
    """

    def tiles(lanes: Any, shared: Any) -> Any:
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

    begin: Callable[[Any, Any], Any]
    attempt: Callable[[Any, Any, Any], Any]
    running: Callable[[Any, Any, Any], Any]
    finish: Callable[[Any, Any, Any], Any]


def map_workers(worker: Worker, plan: Plan) -> Callable[[Any, Any], tuple[Any, Any]]:
    """`mapped(lanes, shared)` of a worker: results, and attempted steps per device, idle included.

    A tile of lanes works through all points of its device: a lane that has finished hands its
    results in and takes the next point. What it computes does not depend on its neighbors. The
    number of points must be a multiple of `plan.devices`.
    """

    def device(lanes: Any, shared: Any) -> Any:
        count = jax.tree.leaves(lanes)[0].shape[0]
        return _work_through(worker, lanes, shared, count, min(plan.tile or count, count))

    def dealt(lanes: Any, shared: Any) -> Any:
        # one point to each device in turn: neighbors, which take about as long, are shared out
        results, tried = spread(device, plan)(_dealt(lanes, plan.devices), shared)
        count = jax.tree.leaves(lanes)[0].shape[0]
        return _dealt(results, count // plan.devices), tried

    return jax.jit(dealt, compiler_options=_options(plan))


def _dealt(tree: Any, hands: int) -> Any:
    """Dealt into so many hands, one after the other; dealing them out again undoes it."""
    return jax.tree.map(
        lambda x: x.reshape(-1, hands, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape), tree
    )


def _work_through(worker: Worker, lanes: Any, shared: Any, count: int, width: int) -> Any:
    begin = jax.vmap(worker.begin, (0, None))
    attempt = jax.vmap(worker.attempt, (0, None, 0))
    running = jax.vmap(worker.running, (0, None, 0))
    finish = jax.vmap(worker.finish, (0, None, 0))

    def points(index: Any) -> Any:
        return jax.tree.map(lambda x: x[jnp.minimum(index, count - 1)], lanes)

    def some_left(state: Any) -> Any:
        return state[0] < count

    def one_round(state: Any) -> Any:
        finished, begun, rounds, index, values, carry, results = state
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
        return finished + done_here, begun + done_here, rounds + 1, index, values, carry, results

    index = jnp.arange(width, dtype=jnp.int32)
    values = points(index)
    carry = begin(values, shared)
    shapes = jax.eval_shape(finish, values, shared, carry)
    results = jax.tree.map(lambda s: jnp.zeros((count, *s.shape[1:]), s.dtype), shapes)
    zero = jnp.int32(0)
    state = zero, jnp.int32(width), zero, index, values, carry, results
    _, _, rounds, *_, results = lax.while_loop(some_left, one_round, state)
    return results, jnp.full((1,), rounds * (ROUND * width))


def _where(taken: Any, new: Any, old: Any) -> Any:
    def leaf(a: Any, b: Any) -> Any:
        return jnp.where(taken.reshape(taken.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(leaf, new, old)


def all_or_one(devices: int, lanes: int) -> int:
    """All devices if they have an even share of the lanes, else one.

    Never some of them: one program can't hold parts for different numbers of devices.
    """
    return devices if lanes % devices == 0 else 1


@contextlib.contextmanager
def one_device(alone: bool) -> Iterator[None]:
    """Within, no batch is spread over devices if it is `alone`."""
    token = _ALONE.set(alone or _ALONE.get())
    try:
        yield
    finally:
        _ALONE.reset(token)


def may_spread() -> bool:
    """Whether a batch may be spread over devices here: not in the share of one of them."""
    return not (_ALONE.get() or jax.sharding.get_abstract_mesh().manual_axes)


def spread(tiles: Callable[[Any, Any], Any], plan: Plan) -> Callable[[Any, Any], Any]:
    """`tiles(lanes, shared)` on every device of the plan, each with its share of the lanes.

    What is a device's share already is not spread again.
    """
    if plan.devices == 1 or not may_spread():
        return tiles
    own, same = jax.sharding.PartitionSpec("lanes"), jax.sharding.PartitionSpec()
    return jax.shard_map(
        tiles, mesh=_mesh(plan.devices), in_specs=(own, same), out_specs=own, check_vma=False
    )


def placed(tree: Any, devices: int, shared: bool) -> Any:
    """Arrays where a program that spreads its lanes leaves them: `shared` by all devices, or dealt.

    A program compiles again for arrays that lie elsewhere.
    """
    if devices == 1:
        return tree
    spec = jax.sharding.PartitionSpec(*(() if shared else ("lanes",)))
    where = jax.sharding.NamedSharding(_mesh(devices), spec)
    return jax.tree.map(lambda x: jax.device_put(x, where) if isinstance(x, jax.Array) else x, tree)


def unplaced(tree: Any) -> Any:
    """Arrays as if they had just been made: a program for several devices refuses those put on one."""
    if tuned_devices() <= 1:
        return tree

    def leaf(x: Any) -> Any:
        return like(numbers_of(x), x) if isinstance(x, jax.Array) and not is_traced(x) else x

    return jax.tree.map(leaf, tree)


def _mesh(devices: int) -> jax.sharding.Mesh:
    return jax.make_mesh((devices,), ("lanes",), axis_types=(jax.sharding.AxisType.Auto,))


def _options(plan: Plan) -> dict[str, Any]:
    if plan.tile is None or jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_prefer_vector_width": "512", "xla_cpu_enable_fast_min_max": True}


def has_product(function: Callable[..., Any], *arguments: Any, looped: bool = False) -> bool:
    """Whether a time loop (a scan) of the program holds a matrix product; any, if it is `looped`."""
    return _holds(
        ("dot_general", "conv_general_dilated"), jax.make_jaxpr(function)(*arguments).jaxpr, looped
    )


def has_lapack(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether the program calls LAPACK, on a CPU."""
    return _holds(_LAPACK, jax.make_jaxpr(function)(*arguments).jaxpr, True)


def _holds(names: Collection[str], jaxpr: Any, stepping: bool) -> bool:
    for equation in jaxpr.eqns:
        if stepping and equation.primitive.name in names:
            return True
        inside = stepping or equation.primitive.name == "scan"
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns") and _holds(names, inner, inside):
                    return True
    return False
