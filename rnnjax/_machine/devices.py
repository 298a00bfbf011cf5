"""Which devices share the lanes."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax

from rnnjax._machine.plan import Plan
from rnnjax._machine.setup import tuned_devices
from rnnjax._types import Arrays, is_traced, like, numbers_of

TreeT = TypeVar("TreeT")
LanesT = TypeVar("LanesT")

_ALONE = contextvars.ContextVar("alone", default=False)


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


def spread(
    tiles: Callable[[LanesT, Arrays], TreeT], plan: Plan
) -> Callable[[LanesT, Arrays], TreeT]:
    """`tiles(lanes, shared)` on every device of the plan, each with its share of the lanes.

    What is a device's share already is not spread again.
    """
    if plan.devices == 1 or not may_spread():
        return tiles
    own, same = jax.sharding.PartitionSpec("lanes"), jax.sharding.PartitionSpec()
    return jax.shard_map(
        tiles, mesh=_mesh(plan.devices), in_specs=(own, same), out_specs=own, check_vma=False
    )


def placed(tree: TreeT, devices: int, shared: bool) -> TreeT:
    """Arrays where a program that spreads its lanes leaves them: `shared` by all devices, or dealt.

    A program compiles again for arrays that lie elsewhere.
    """
    if devices == 1:
        return tree
    spec = jax.sharding.PartitionSpec(*(() if shared else ("lanes",)))
    where = jax.sharding.NamedSharding(_mesh(devices), spec)
    return jax.tree.map(lambda x: jax.device_put(x, where) if isinstance(x, jax.Array) else x, tree)


def unplaced(tree: TreeT) -> TreeT:
    """Arrays as if they had just been made: a program for several devices refuses those put on one."""
    if tuned_devices() <= 1:
        return tree

    return jax.tree.map(
        lambda x: like(numbers_of(x), x) if isinstance(x, jax.Array) and not is_traced(x) else x,
        tree,
    )


def _mesh(devices: int) -> jax.sharding.Mesh:
    return jax.make_mesh((devices,), ("lanes",), axis_types=(jax.sharding.AxisType.Auto,))
