"""One step of a fit: the loss, its gradient, the update, a validation now and then."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Int

from rnnjax._machine.devices import one_device
from rnnjax._machine.kept import program
from rnnjax._training.objective import AbstractObjective, Trained, works_alone
from rnnjax._training.stop import Stop
from rnnjax._types import Array, Arrays, Float, Key, Where
from rnnjax._where import Named, choose, free_of, rebuild

TreeT = TypeVar("TreeT")
# Keys of a fit: step k is given `fold_in(key, k)`; these lie beyond any number of steps.
_VALIDATION, _BEGIN = 2**31 - 1, 2**31 - 2


class Recipe(NamedTuple):
    """What stays the same over the steps of a fit."""

    chosen: tuple[Named, ...]
    objective: AbstractObjective[Any]
    optimizer: optax.GradientTransformation
    validate_every: int | None
    stop: Stop | None


class FitState(NamedTuple):
    """What goes from one step of a fit to the next.

    Attributes:
        free: the free numbers.
        optimizer: what the optimizer remembers.
        memory: what the objective remembers.
        good: the last free numbers whose loss and gradient were finite.
        taken: how many steps led to them.
        alive: whether all was finite so far.
        going: whether it has not stopped early.
        best: the free numbers with the lowest validation loss.
        lowest: that loss.
        low: how many validations in a row were low enough.
        since: how many validations in a row were no better than the best.
    """

    free: Sequence[Array]
    optimizer: optax.OptState
    memory: Arrays
    good: Sequence[Array]
    taken: Int[Array, "*fits"]
    alive: Bool[Array, "*fits"]
    going: Bool[Array, "*fits"]
    best: Sequence[Array]
    lowest: Float[Array, "*fits"]
    low: Int[Array, "*fits"]
    since: Int[Array, "*fits"]


class Seen(NamedTuple):
    """What is kept of a step: NaN where there was nothing."""

    loss: Float[Array, "*fits"]
    norm: Float[Array, "*fits"]
    validation: Float[Array, "*fits"]


def _own(key: Key | None, number: Int[Array, ""] | int) -> Key | None:
    """The key of a step, or of what comes once; None without keys."""
    return None if key is None else jax.random.fold_in(key, number)


def begin(circuit: Trained, free: Sequence[Array], key: Key | None, recipe: Recipe) -> FitState:
    """The state before the first step."""
    zero = jnp.zeros((), jnp.int32)
    return FitState(
        free=free,
        optimizer=recipe.optimizer.init(free),
        memory=recipe.objective.begin(circuit, _own(key, _BEGIN)),
        good=free,
        taken=zero,
        alive=jnp.asarray(True),
        going=jnp.asarray(True),
        best=free,
        lowest=jnp.full((), jnp.inf, free[0].dtype),
        low=zero,
        since=zero,
    )


def advance(
    state: FitState, k: Int[Array, ""], circuit: Trained, key: Key | None, moving: Bool[Array, ""],
    recipe: Recipe,
) -> tuple[FitState, Seen]:  # fmt: skip
    """Evaluate, and take one step if all is finite, the fit goes on, and it is `moving`."""
    own = _own(key, k)

    def built(free: Sequence[Array]) -> Trained:
        return rebuild(circuit, recipe.chosen, free)

    with one_device(works_alone(recipe.objective, circuit, own)):
        loss, gradient = recipe.objective.value_and_gradient(built, state.free, own, state.memory)
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in gradient))
        running = state.alive & state.going
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        well = running & finite
        state, validation = _validated(state, k, key, well, moving, built, recipe)
    go = well & state.going & moving
    with jax.numpy_dtype_promotion("standard"):  # optax counts its steps in integers
        updates, optimizer = _updates(recipe.optimizer, gradient, state, loss)
    memory = recipe.objective.advance(state.memory, built(state.free), own, k)
    following = state._replace(
        free=_either(go, optax.apply_updates(state.free, updates), state.free),
        optimizer=_either(go, optimizer, state.optimizer),
        memory=_either(go, memory, state.memory),
        good=_either(well, state.free, state.good),
        taken=jnp.where(well, jnp.asarray(k, jnp.int32), state.taken),
        alive=state.alive & (finite | ~running),
    )
    nan = jnp.full_like(loss, jnp.nan)
    return following, Seen(jnp.where(well, loss, nan), jnp.where(well, norm, nan), validation)


def _updates(
    optimizer: optax.GradientTransformation, gradient: Sequence[Array], state: FitState,
    loss: Float[Array, ""],
) -> tuple[optax.Updates, optax.OptState]:  # fmt: skip
    """What an optax optimizer makes of a gradient; some look at the loss as well."""
    update = optax.with_extra_args_support(optimizer).update
    try:
        return update(gradient, state.optimizer, state.free, value=loss, grad=gradient)
    except TypeError as error:
        raise TypeError(
            f"optimizer: it asks for more than a loss and a gradient ({error}): take one that does "
            "not search along a line, e.g. optax.adam(1e-2)"
        ) from error


def _either(condition: Bool[Array, ""], new: TreeT, old: TreeT) -> TreeT:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _validated(
    state: FitState, k: Int[Array, ""], key: Key | None, well: Bool[Array, ""],
    moving: Bool[Array, ""], built: Callable[[Sequence[Array]], Trained], recipe: Recipe,
) -> tuple[FitState, Float[Array, ""]]:  # fmt: skip
    """The state after a validation, where step k has one or is the last, and its loss."""
    nan = jnp.full_like(state.lowest, jnp.nan)
    every, stop = recipe.validate_every, recipe.stop
    if every is None:
        return state, nan
    own = _own(key, _VALIDATION)
    due = (k % every == 0) | ~moving
    loss = jax.lax.cond(
        due,
        lambda free: recipe.objective.validate(built(free), own).astype(nan.dtype),
        lambda free: nan,
        state.free,
    )
    counts = due & well
    better = counts & (loss < state.lowest)
    low, since = state.low, jnp.where(better, 0, state.since + 1)
    going = state.going
    if stop is not None and stop.below is not None:
        low = jnp.where(loss < jnp.asarray(stop.below, loss.dtype), low + 1, 0)
        going = going & ~(counts & (low >= stop.times))
    if stop is not None and stop.patience is not None:
        going = going & ~(counts & (since >= stop.patience))
    following = state._replace(
        best=_either(better, state.free, state.best),
        lowest=jnp.where(better, loss, state.lowest),
        low=jnp.where(counts, low, state.low).astype(jnp.int32),
        since=jnp.where(counts, since, state.since).astype(jnp.int32),
        going=going,
    )
    return following, jnp.where(counts, loss, nan)


@program
def first_gradient(
    circuit: Trained, where: Where, objective: AbstractObjective[Any], key: Key | None
) -> tuple[Float[Array, ""], Sequence[Array]]:
    """The loss of the first step, and the gradients of the free arrays."""
    chosen = choose(circuit, where)
    free = free_of(circuit, chosen)
    memory = objective.begin(circuit, _own(key, _BEGIN))
    with one_device(works_alone(objective, circuit, key)):
        return objective.value_and_gradient(
            lambda free: rebuild(circuit, chosen, free), free, _own(key, 0), memory
        )


advance_compiled = program(advance)
begin_compiled = program(begin)
