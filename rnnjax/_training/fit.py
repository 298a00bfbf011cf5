"""Which connections make it do that? `fit`."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnnjax._files.datasets import fit_dataset
from rnnjax._machine.devices import unplaced
from rnnjax._parameter import check, counted
from rnnjax._precision import cast, precision, to_host
from rnnjax._results import FitError, FitInterrupted, Status
from rnnjax._training.audit import Audit, Every
from rnnjax._training.loop import Course, shown
from rnnjax._training.objective import as_objective
from rnnjax._training.step import Recipe, Seen, State, advance, begin, first_gradient
from rnnjax._training.stop import Stop
from rnnjax._types import DTypeLike, Float, is_key, is_traced, lane_of
from rnnjax._where import choose, free_of, rebuild

Objective = Any  # an AbstractObjective, or a function of (circuit, key)


class Fit(eqx.Module):
    """What a fit found; of many fits with the lanes in front.

    Attributes:
        circuit: the last circuit whose loss and gradient were finite.
        losses: `(steps + 1,)`, the loss before each step and at the end, with the forcing of
            `OnTask`, as its credit rule reports it; NaN after a failure, and after it stopped early.
        gradient_norms: `(steps + 1,)`, of the free numbers.
        status: a `Status`.
        steps_taken: how many steps led to `circuit`.
        validations: `(steps + 1,)`, the validation loss before each step that had one, and at the
            end; else NaN. Of `OnTask` it is the task's loss alone, without forcing and without
            `activity`, of each fit on its own trials; of a sum the weighted sum of all parts.
        best: the circuit with the lowest validation loss; `circuit` where none was finite.
        stopped: whether it stopped early, by its `Stop`.
        audits: what was found out about the dynamics on the way, an `Audit`, or None.
    """

    circuit: Any
    losses: Float[Any, "*batch steps"]
    gradient_norms: Float[Any, "*batch steps"]
    status: Any
    steps_taken: Any
    validations: Float[Any, "*batch steps"]
    best: Any
    stopped: Any
    audits: Audit | None = None

    @property
    def loss(self) -> Any:
        """The loss of `circuit`."""
        xp: Any = jnp if is_traced(self.losses) else np
        return xp.take_along_axis(self.losses, xp.asarray(self.steps_taken)[..., None], -1)[..., 0]

    @property
    def validation(self) -> Any:
        """The lowest validation loss, that of `best`; NaN without any."""
        xp = jnp if is_traced(self.validations) else np
        known = xp.isfinite(self.validations)
        lowest = xp.min(xp.where(known, self.validations, np.inf), -1)
        return xp.where(known.any(-1), lowest, np.nan)

    def __getitem__(self, k: Any) -> "Fit":
        """Fit k of many: `found[found.best_seed]` is the best.

        Raises:
            IndexError: for one fit, or if there is no such one.
        """
        if np.ndim(self.losses) < 2:
            raise IndexError("this is one fit; an array of keys makes many")
        return lane_of(self, k)

    @property
    def best_seed(self) -> int:
        """Of many fits the one with the lowest validation, or loss where none was validated.

        One that failed only where all have.

        Raises:
            IndexError: for one fit.
            ValueError: if none has a finite one.
        """
        if np.ndim(self.losses) < 2:
            raise IndexError("this is one fit; an array of keys makes many")
        lowest = np.asarray(self.validation)
        lowest = np.asarray(self.loss) if np.isnan(lowest).all() else lowest
        known = np.isfinite(lowest)
        if not known.any():
            raise ValueError("best_seed: no fit has a finite loss: see their `status`")
        well = known & (np.asarray(self.status) == Status.OK)
        return int(np.argmin(np.where(well if well.any() else known, lowest, np.inf)))

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of losses, gradient norms and validations over the steps."""
        return fit_dataset(self.losses, self.gradient_norms, self.validations)

    def _repr_html_(self) -> str:
        return self.to_xarray()._repr_html_()

    def __repr__(self) -> str:
        """From which loss to which, and how it ended."""
        if is_traced(self.losses) or np.ndim(self.losses) > 2:
            return f"Fit(losses of shape {np.shape(self.losses)})"
        if np.ndim(self.losses) == 2:
            failed = int((np.asarray(self.status) != Status.OK).sum())
            first, last = shown(self.losses[:, 0]), shown(self.loss)
            return f"Fit({len(self.losses)} fits, median loss {first} -> {last}, {failed} failed)"
        taken = int(self.steps_taken)
        early = ", stopped early" if self.stopped else ""
        return (
            f"Fit(loss {self.losses[0]:.4g} -> {self.losses[taken]:.4g} in {taken} steps"
            f"{early}, {Status(int(self.status)).name})"
        )


def fit(
    circuit: Any,
    where: Callable[[Any], Any],
    objective: Objective,
    *,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 500,
    key: Any = None,
    validate_every: int | None = None,
    stop: Stop | None = None,
    audit: Every | None = None,
    checkpoint: Any = None,
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
            more `steps`. It knows functions, those of the optimizer among them, by their names and
            the numbers in them, not by their code.
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
        OSError: if the checkpoint can't be written.
        FitError: with the last good circuit in `fit`, if `throw` is true.
        FitInterrupted: after Ctrl-C, with what was reached in `fit`, and in the checkpoint.
    """
    _check_circuit(circuit)
    steps = counted(steps, "steps")
    recipe, traced = _recipe(optimizer, objective, validate_every, stop, audit, circuit, key)
    lanes = _lanes_of(circuit, key)
    if traced and lanes:
        raise ValueError(
            "key: inside of a JAX transformation one key makes one fit: put eqx.filter_vmap around "
            "fit, or give it the keys outside"
        )
    if (traced or lanes) and audit is not None:
        raise ValueError("audit: only of one fit at a time; find_equilibria takes its circuits")
    if traced and checkpoint is not None:
        raise ValueError(
            "checkpoint: not inside of a JAX transformation: give fit the keys instead"
        )
    with precision(None if traced else dtype) as found:
        circuit, key = unplaced((cast(circuit, found), key))
        chosen = choose(circuit if lanes is None else lane_of(circuit, 0), where)
        free = free_of(circuit, chosen)
        recipe = recipe._replace(
            chosen=chosen, objective=cast(recipe.objective, found), stop=cast(stop, found)
        )
        objective = recipe.objective
        (objective.check if lanes is None else objective.check_many)(circuit, key)
        audits, interrupted = None, None
        if traced:
            state, seen = _scanned(free, circuit, key, recipe, steps)
        else:
            course = Course(
                circuit, key, recipe, steps, lanes, audit, checkpoint, checkpoint_interval
            )
            interrupted, state, seen, audits = course.run(free, progress)
        result = _result(state, seen, circuit, recipe, lanes, audits)
    if is_traced(result):
        return result
    result = to_host(result)
    if interrupted is not None:
        kept = f"; the same call goes on from {checkpoint}" if checkpoint is not None else ""
        raise FitInterrupted(
            f"stopped after {interrupted} steps; `fit` of this error holds what was reached{kept}",
            result,
        )
    if throw and lanes is None and result.status != Status.OK:
        kept = f"; {checkpoint} holds this failed fit: delete it" if checkpoint is not None else ""
        raise FitError(
            f"the loss or its gradient was not finite after {int(result.steps_taken)} good steps "
            "(the circuit of the last of them is in the `fit` of this error). Usual causes: (a) "
            "steps too large: lower the learning rate, or chain optax.clip_by_global_norm(1.0); "
            "(b) a simulation that blew up; (c) a square root or division at 0 in the objective; "
            "(d) targets of a task that are not finite" + kept,
            result,
        )
    recipe.objective.judge(result.circuit)
    return result


def gradient(
    circuit: Any,
    where: Callable[[Any], Any],
    objective: Objective,
    *,
    key: Any = None,
    dtype: DTypeLike | None = None,
) -> tuple[Any, dict[str, Any]]:
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
    _check_circuit(circuit)
    if _lanes_of(circuit, key) is not None:
        raise ValueError("key: gradient is of one network: give it one key, or use jax.vmap")
    objective = as_objective(objective)
    with precision(None if is_traced(circuit, key) else dtype) as found:
        circuit, objective = cast((circuit, objective), found)
        circuit, key = unplaced((circuit, key))
        chosen = choose(circuit, where)
        objective.check(circuit, key)
        loss, arrays = first_gradient(circuit, where, objective, key)
    result = loss, {each.path: x for each, x in zip(chosen, arrays, strict=True)}
    return result if is_traced(result) else to_host(result)


def _check_circuit(circuit: Any) -> None:
    """Refuse parameters that can't be right, of a circuit, or of one that is driven and its input."""
    check(circuit)
    check(getattr(circuit, "circuit", circuit))
    check(getattr(circuit, "input", None))


def _recipe(
    optimizer: Any,
    objective: Any,
    validate_every: Any,
    stop: Any,
    audit: Any,
    circuit: Any,
    key: Any,
) -> tuple[Recipe, bool]:
    if validate_every is not None:
        counted(validate_every, "validate_every")
    if stop is not None and not isinstance(stop, Stop):
        raise TypeError(f"stop: expected Stop(below=...) or Stop(patience=...), got {stop!r}")
    if stop is not None and validate_every is None:
        raise ValueError("stop: it goes by validations, and there are none: give validate_every=")
    if audit is not None and not isinstance(audit, Every):
        raise TypeError(f"audit: expected e.g. rnnjax.every(100), got {audit!r}")
    optimizer = _default_optimizer() if optimizer is None else optimizer
    if not hasattr(optimizer, "init") or not hasattr(optimizer, "update"):
        raise TypeError(f"optimizer: expected e.g. optax.adam(1e-2), got {optimizer!r}")
    recipe = Recipe(None, as_objective(objective), optimizer, validate_every, stop)  # pyright: ignore
    return recipe, is_traced(circuit, key)


@functools.cache
def _default_optimizer() -> optax.GradientTransformation:
    """The same one every time: another is another compilation."""
    return optax.adam(1e-2)


def _lanes_of(circuit: Any, key: Any) -> int | None:
    """How many fits there are, None for one.

    Raises:
        ValueError: for keys in another shape, or circuits that do not have their axis.
    """
    if key is None:
        return None
    if not is_key(key) and np.shape(key) != (2,):
        raise ValueError(
            f"key: expected jax.random.key(0), or jax.random.split(key, n) of it for n fits, got {key!r}"
        )
    shape = key.shape if is_key(key) else ()
    if shape == ():
        return None
    arrays = [x for x in jax.tree.leaves(circuit) if eqx.is_inexact_array(x)]
    if len(shape) != 1 or any(np.shape(x)[:1] != shape for x in arrays):
        raise ValueError(
            f"key: {shape} keys mean as many fits, whose circuits have an axis of that length in "
            "front of every array: make them by eqx.filter_vmap(make)(keys)"
        )
    return shape[0]


def _scanned(free: Any, circuit: Any, key: Any, recipe: Recipe, steps: int) -> tuple[State, Seen]:
    """All steps in one program."""
    arrays, static = eqx.partition(circuit, eqx.is_array)

    def body(state: State, k: Any) -> tuple[State, Seen]:
        return advance(state, k, eqx.combine(arrays, static), key, k < steps, recipe)

    numbers = jnp.arange(steps + 1, dtype=jnp.int32)
    return jax.lax.scan(body, begin(circuit, free, key, recipe), numbers)


def _result(
    state: State, seen: Seen, circuit: Any, recipe: Recipe, lanes: int | None, audits: Any
) -> Fit:
    def built(circuit: Any, good: Any, best: Any, lowest: Any) -> tuple[Any, Any]:
        judged = jnp.isfinite(lowest)
        best = [jnp.where(judged, b, g) for b, g in zip(best, good, strict=True)]
        return tuple(rebuild(circuit, recipe.chosen, free) for free in (good, best))

    each = built if lanes is None else eqx.filter_vmap(built)
    good, best = each(circuit, state.good, state.best, state.lowest)
    status = jnp.where(state.alive, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int32)
    return Fit(
        good, seen.loss, seen.norm, status, state.taken, seen.validation, best, ~state.going,
        audits,
    )  # fmt: skip
