"""Which connections make it do that? `fit`."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int

from rnnjax._machine.devices import unplaced
from rnnjax._machine.verb import verb_of_many
from rnnjax._parameter import counted
from rnnjax._precision import cast, precision, to_host
from rnnjax._results import FitError, FitInterrupted, Status
from rnnjax._training.arguments import (
    AnyKey,
    check_circuit,
    check_file,
    check_traced,
    checked_optimizer,
    lanes_of,
)
from rnnjax._training.audit import Every
from rnnjax._training.fitted import Fit
from rnnjax._training.loop import Loop, Outcome, PathLike
from rnnjax._training.objective import ObjectiveLike, Trained, as_objective
from rnnjax._training.step import FitState, Recipe, Seen, advance, begin, first_gradient
from rnnjax._training.stop import Stop
from rnnjax._types import Array, DTypeLike, Float, Key, Where, is_traced, lane_of
from rnnjax._where import choose, free_of, rebuild


@verb_of_many
def fit(
    circuit: Trained,
    where: Where,
    objective: ObjectiveLike,
    *,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 500,
    key: AnyKey = None,
    validate_every: int | None = None,
    stop: Stop | None = None,
    audit: Every | None = None,
    checkpoint: PathLike | None = None,
    checkpoint_interval: float = 30.0,
    dtype: DTypeLike | None = None,
    progress: bool | None = None,
    throw: bool = True,
) -> Fit:
    """Change what `where` names by gradient descent, so that `objective` becomes small.

    Constraints live in the types: a `Symmetric` connectivity stays symmetric, `Dale` keeps its
    signs, and parameters that must be positive are trained by their logarithm. The result is
    the same for the same key.

    Many fits at once: give an array of keys, one per fit, and circuits with one axis more in
    front, as `eqx.filter_vmap(make)(keys)` makes them. They share the program and its progress;
    `found[k]` is one of them. After `tune_cpu()` the fits, or the trials of each, are spread over
    the cores.
    `eqx.filter_vmap` and `jax.jit` around `fit` work as well, without progress, checkpoints and
    audits.

    Args:
        circuit: a circuit, `Driven(circuit, input)`, or a `TaskNetwork`.
        where: what is trained, from the circuit: an array, a whole part, or a tuple of them:
            `lambda c: c.connectivity`, `lambda c: (c.m_ee, c.tau_i)`.
        objective: `OnTask(...)` or a sum of objectives, or `objective(circuit, key) -> loss`, any
            function that JAX can differentiate: of a simulation, of eigenvalues, of an
            equilibrium, of a measure.
        optimizer: an optax optimizer; `optax.adam(1e-2)` unless given. Schedules and clipping are
            optax's: `optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))`. It is
            given a list of the trained arrays in the order of the circuit's leaves, as `gradient`
            names them, of positive parameters the logarithm: weight decay draws those to 1. Make
            it once where you fit many times: a new one is a new compilation.
        steps: how many steps to take at most.
        key: for objectives that draw; step k is given `fold_in(key, k)`, or None without a key.
        validate_every: steps between validations, which `OnTask` makes without forcing, on trials
            drawn apart that stay the same; the last circuit has one too. None unless given.
        stop: when to stop earlier, by the validations.
        audit: `every(k)` looks at the equilibria and exponents of the circuit every k steps.
        checkpoint: a file in which the fit is kept while it runs; where it is there already, the
            fit goes on from it, to the same bits (on as many devices). A finished one can be given
            more `steps`. It knows functions, those of the optimizer among them, by their names, the
            numbers in them and what they hold, not by their code or what they find in their module,
            and objects by their attributes; what can't be told from others is said in a warning.
            While a fit runs no other one can write there.
        checkpoint_interval: at least so many seconds between writing it; 0 for every step.
        dtype: as for `simulate`.
        progress: show a bar with the loss; where the output is a terminal unless given.
        throw: raise if a loss or gradient is not finite; without it the status says so. Of many
            fits one that fails is only told in its status.

    Raises:
        TypeError: for an objective, optimizer, `stop` or `audit` that is none, or a circuit that the
            objective is not for.
        ValueError: if `where` names no numbers, or the objective gives no single number; for a
            checkpoint that is damaged or of another fit.
        OSError: if the checkpoint can't be written, or another process does so.
        FitError: with the last good circuit in `fit`, if `throw` is true.
        FitInterrupted: after Ctrl-C, with what was reached in `fit`, and in the checkpoint.
    """
    check_circuit(circuit)
    steps, goal = counted(steps, "steps"), as_objective(objective)
    optimizer = checked_optimizer(optimizer, validate_every, stop, audit)
    check_file(checkpoint, checkpoint_interval)
    traced, lanes = is_traced(circuit, key), lanes_of(circuit, key)
    if traced:
        check_traced(lanes, audit, checkpoint)
    elif lanes and audit is not None:
        raise ValueError("audit: only of one fit at a time; find_equilibria takes its circuits")
    with precision(None if traced else dtype) as found:
        circuit, keys = _placed(circuit, key, found)
        chosen = choose(circuit if lanes is None else lane_of(circuit, 0), where)
        free = free_of(circuit, chosen)
        goal, stop = cast((goal, stop), found)
        recipe = Recipe(chosen, goal, optimizer, validate_every, stop)
        (goal.check if lanes is None else goal.check_many)(circuit, keys)
        if traced:
            outcome = _scanned(free, circuit, keys, recipe, steps)
        else:
            loop = Loop(circuit, keys, recipe, steps, lanes, audit, checkpoint, checkpoint_interval)
            outcome = loop.run(free, progress)
        result = _result(outcome, circuit, recipe, lanes)
    if is_traced(result):
        return result
    result = to_host(result)
    _raise_if_cut_short(outcome.interrupted, result, checkpoint)
    if throw and lanes is None:
        _raise_if_failed(result, checkpoint)
    goal.judge(result.circuit)
    return result


@verb_of_many
def gradient(
    circuit: Trained,
    where: Where,
    objective: ObjectiveLike,
    *,
    key: AnyKey = None,
    dtype: DTypeLike | None = None,
) -> tuple[Float[Array | np.ndarray, ""], dict[str, Float[Array | np.ndarray, "..."]]]:
    """The loss, and what the first step of a fit would take for its gradient: that of its credit rule.

    Args:
        circuit: as for `fit`.
        where: as for `fit`.
        objective: as for `fit`.
        key: as for `fit`.
        dtype: as for `fit`.

    Returns:
        The loss, and one array per trained array, by its path: `circuit.connectivity.weights`. For
        a parameter that must be positive it is the gradient with respect to its logarithm.

    Raises:
        ValueError, TypeError: as `fit` does.
    """
    check_circuit(circuit)
    if lanes_of(circuit, key) is not None:
        raise ValueError("key: gradient is of one network: give it one key, or use jax.vmap")
    goal = as_objective(objective)
    with precision(None if is_traced(circuit, key) else dtype) as found:
        goal = cast(goal, found)
        circuit, keys = _placed(circuit, key, found)
        chosen = choose(circuit, where)
        goal.check(circuit, keys)
        loss, arrays = first_gradient(circuit, where, goal, keys)
    if not is_traced(loss, arrays):
        loss, arrays = to_host((loss, arrays))
    return loss, {each.path: x for each, x in zip(chosen, arrays, strict=True)}


def _placed(circuit: Trained, key: AnyKey, dtype: np.dtype) -> tuple[Trained, Any]:
    """The circuit in its precision, and the key or the keys, as if they had just been made."""
    return unplaced((cast(circuit, dtype), key))


def _scanned(
    free: Sequence[Array], circuit: Trained, key: Key | None, recipe: Recipe, steps: int
) -> Outcome:
    """All steps in one program."""
    arrays, static = eqx.partition(circuit, eqx.is_array)

    def body(state: FitState, k: Int[Array, ""]) -> tuple[FitState, Seen]:
        return advance(state, k, eqx.combine(arrays, static), key, k < steps, recipe)

    numbers = jnp.arange(steps + 1, dtype=jnp.int32)
    return Outcome(None, *jax.lax.scan(body, begin(circuit, free, key, recipe), numbers), None)


def _result(outcome: Outcome, circuit: Trained, recipe: Recipe, lanes: int | None) -> Fit:
    state, seen = outcome.state, outcome.seen

    def built(
        circuit: Trained, good: Sequence[Array], best: Sequence[Array], lowest: Float[Array, ""]
    ) -> tuple[Trained, ...]:
        judged = jnp.isfinite(lowest)
        best = [jnp.where(judged, b, g) for b, g in zip(best, good, strict=True)]
        return tuple(rebuild(circuit, recipe.chosen, free) for free in (good, best))

    each = built if lanes is None else eqx.filter_vmap(built)
    good, best = each(circuit, state.good, state.best, state.lowest)
    status = jnp.where(state.alive, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int32)
    return Fit(
        good, seen.loss, seen.norm, status, state.taken, seen.validation, best, ~state.going,
        outcome.audits,
    )  # fmt: skip


def _raise_if_cut_short(interrupted: int | None, result: Fit, checkpoint: PathLike | None) -> None:
    """After Ctrl-C, with what was reached."""
    if interrupted is not None:
        goes_on = f"; the same call goes on from {checkpoint}" if checkpoint is not None else ""
        raise FitInterrupted(
            f"stopped after {interrupted} steps; `fit` of this error holds what was reached{goes_on}",
            result,
        )


def _raise_if_failed(result: Fit, checkpoint: PathLike | None) -> None:
    """Of one fit that failed, with its last good circuit."""
    if result.status != Status.OK:
        there = f"; {checkpoint} holds this failed fit: delete it" if checkpoint is not None else ""
        raise FitError(
            f"the loss or its gradient was not finite after {int(result.steps_taken)} good steps "
            "(the circuit of the last of them is in the `fit` of this error). Usual causes: (a) "
            "steps too large: lower the learning rate, or chain optax.clip_by_global_norm(1.0); "
            "(b) a simulation that blew up; (c) a square root or division at 0 in the objective; "
            "(d) targets of a task that are not finite" + there,
            result,
        )
