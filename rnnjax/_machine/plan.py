"""How many lanes run together, and where: the same results, at very different speeds."""

from typing import Any, NamedTuple

import jax

from rnnjax._machine.setup import tuned_devices
from rnnjax._parameter import counted

UNTUNED_TILE = 4096  # lanes; where each kernel is called by itself, it must be worth the call
LARGE = 512  # variables from which on one product keeps all cores busy by itself
_MOST_NUMBERS = 2**16  # of state in a tile of adaptive lanes
_CACHED = (
    2048  # bytes of each number of a tile: those of a small circuit stay in the first-level cache
)
_COMPILED_WHOLE = 800_000  # bytes that one step may touch; `tune_cpu` sets XLA's limit to a million
_FEWEST_LANES, _LANES_APART = 32, 16  # of a tile: the fewest, and a vector register of them
ROUNDED = 256  # lanes: a tile where none is compiled whole; adaptive chunks are multiples of it


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
        tile = ROUNDED if products else tile
        return Plan(max(8, min(tile, _MOST_NUMBERS // loop.variables)), max(devices, 1))
    if products:
        return Plan(None, 1 if loop.variables >= LARGE else max(devices, 1))
    return Plan(tile if devices else None, max(devices, 1))


def _tile(loop: Loop) -> int:
    """The most lanes whose numbers stay in the cache, and whose loop is still compiled whole."""
    most = int(min(_CACHED, _COMPILED_WHOLE / loop.touched()) / loop.itemsize)
    return ROUNDED if most < _FEWEST_LANES else most // _LANES_APART * _LANES_APART


def checked_plan(plan: Any) -> Plan:
    """A plan that was given, refused where this process can't follow it.

    Raises:
        TypeError: for what is no plan.
        ValueError: for no lanes, or more devices than there are.
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"plan: expected rnnjax.Plan(tile, devices), got {plan!r}")
    if plan.tile is not None:
        counted(plan.tile, "plan.tile")
    if not 1 <= counted(plan.devices, "plan.devices") <= len(jax.devices()):
        raise ValueError(
            f"plan.devices: expected 1 to {len(jax.devices())}, the devices of this process, got "
            f"{plan.devices}: on a CPU call rnnjax.tune_cpu(devices=...) first"
        )
    return plan
