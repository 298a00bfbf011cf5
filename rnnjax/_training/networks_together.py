"""Several networks trained at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
from jaxtyping import Bool, Int

from rnnjax._machine.devices import all_or_one, placed, spread
from rnnjax._machine.kept import program
from rnnjax._machine.plan import Plan
from rnnjax._machine.setup import tuned_devices
from rnnjax._training.batches import Keys
from rnnjax._training.objective import AbstractObjective, Trained, works_alone
from rnnjax._training.step import FitState, Recipe, Seen, advance, begin
from rnnjax._types import Array, Arrays, Key, lane_of

TreeT = TypeVar("TreeT")
_TOGETHER = 4096  # numbers of state from which on a kernel of a CPU is worth its call


@program
def advance_lanes(
    state: FitState, k: Int[Array, ""], circuit: Trained, key: Keys, moving: Bool[Array, ""],
    recipe: Recipe,
) -> tuple[FitState, Seen]:  # fmt: skip
    """A step of many fits, lanes in front of every array but those of the recipe."""
    lanes, fixed = eqx.partition((state, circuit, key), eqx.is_array)
    count = jax.random.key_data(key).shape[0]
    devices, together, _ = layout(circuit, key, recipe.objective, count)

    def share(lanes: Arrays, shared: tuple[Array, Array]) -> tuple[FitState, Seen]:
        def one(lane: Arrays) -> tuple[FitState, Seen]:
            state, circuit, key = eqx.combine(lane, fixed)
            return advance(state, shared[0], circuit, key, shared[1], recipe)

        return jax.lax.map(one, lanes, batch_size=together if together > 1 else None)

    return spread(share, Plan(None, devices))(lanes, (k, moving))


class Layout(NamedTuple):
    """Where the work of a step is done.

    Attributes:
        fits: over how many devices fits are spread.
        together: how many of them a device takes at once.
        trials: over how many devices the trials of each are spread, where fits are not.
    """

    fits: int
    together: int
    trials: int

    def placed(self, tree: TreeT) -> TreeT:
        """Arrays where a step leaves them, so that it compiles once."""
        many = self.fits > 1
        return placed(tree, self.fits if many else self.trials, shared=not many)


def layout(
    circuit: Trained, key: Key | Keys | None, objective: AbstractObjective[Any], lanes: int | None
) -> Layout:
    """How the steps of one fit, or of many, are laid out.

    Many go all at once on an accelerator. The fits of a CPU do not share their weights, so that
    products of many at once are only longer; small ones still share the call of each kernel.
    """
    one, own = (circuit, key) if lanes is None else lane_of((circuit, key), 0)
    numbers, trials = objective.work(one)
    alone = works_alone(objective, one, own)
    trials = 1 if alone else trials
    if lanes is None or jax.default_backend() != "cpu":
        return Layout(1, lanes or 1, trials)
    fits = 1 if alone else all_or_one(max(tuned_devices(), 1), lanes)
    share = lanes // fits
    return Layout(fits, min(max(1, _TOGETHER // numbers) if numbers else share, share), trials)


@program
def begin_lanes(circuit: Trained, free: Sequence[Array], key: Keys, recipe: Recipe) -> FitState:
    """The states of many fits before the first step."""
    return eqx.filter_vmap(lambda c, f, k: begin(c, f, k, recipe))(circuit, free, key)
