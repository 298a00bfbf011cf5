"""Which connections make it do that? `fit`."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnnjax._parameter import check, field_of
from rnnjax._results import FitError, Status
from rnnjax._store import fit_dataset
from rnnjax._types import Array, DTypeLike, Float, Key, cast, is_traced, precision, to_host

Objective = Any  # a function of (circuit, key); checked by hand for a clear error


class Fit(eqx.Module):
    """What a fit found.

    Attributes:
        circuit: the last circuit whose loss and gradient were finite.
        losses: `(steps + 1,)`, the loss before each step and at the end; NaN after a failure.
        gradient_norms: `(steps + 1,)`, of the free numbers.
        status: a `Status`.
        steps_taken: how many steps led to `circuit`.
    """

    circuit: Any
    losses: Float[Any, "*batch steps"]
    gradient_norms: Float[Any, "*batch steps"]
    status: Any
    steps_taken: Any

    @property
    def loss(self) -> Any:
        """The loss of `circuit`."""
        return jnp.take_along_axis(
            jnp.asarray(self.losses), jnp.asarray(self.steps_taken)[..., None], -1
        )[..., 0]

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of the losses and gradient norms over the steps."""
        return fit_dataset(self.losses, self.gradient_norms)

    def _repr_html_(self) -> str:
        return self.to_xarray()._repr_html_()

    def __repr__(self) -> str:
        """From which loss to which, and how it ended."""
        if is_traced(self.losses) or np.ndim(self.losses) > 1:
            return f"Fit(losses of shape {np.shape(self.losses)})"
        taken = int(self.steps_taken)
        return (
            f"Fit(loss {self.losses[0]:.4g} -> {self.losses[taken]:.4g} in {taken} steps, "
            f"{Status(int(self.status)).name})"
        )


class _State(NamedTuple):
    free: Any
    optimizer: Any
    good: Any
    taken: Any
    alive: Any


def fit(
    circuit: Any,
    where: Callable[[Any], Any],
    objective: Objective,
    *,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 500,
    key: Key | None = None,
    dtype: DTypeLike | None = None,
    progress: bool | None = None,
    throw: bool = True,
) -> Fit:
    """Change what `where` names, by gradient descent, until `objective` is small.

    Constraints live in the types: a `Symmetric` connectivity stays symmetric, `Dale` keeps its
    signs, and parameters that must be positive are trained by their logarithm. The result is
    the same for the same key.

    Args:
        circuit: a circuit, or `Driven(circuit, input)`.
        where: what is trained, from the circuit: an array, a whole part, or a tuple of them:
            `lambda c: c.connectivity`, `lambda c: (c.m_ee, c.tau_i)`.
        objective: `objective(circuit, key) -> loss`, any function that JAX can differentiate: of
            a simulation, of eigenvalues, of an equilibrium, of a measure.
        optimizer: an optax optimizer; `optax.adam(1e-2)` unless given. Make it once where you fit
            many times: a new one is a new compilation.
        steps: how many steps to take.
        key: for objectives that draw; step k is given `fold_in(key, k)`, or None without a key.
        dtype: as for `simulate`.
        progress: show a bar with the loss; where the output is a terminal unless given.
        throw: raise if a loss or gradient is not finite; without it the status says so. Many
            fits at once go through `eqx.filter_vmap`, where nothing can be raised.

    Raises:
        ValueError: if `where` names no numbers, or the objective gives no single number.
        FitError: with the last good circuit in `fit`, if `throw` is true.
    """
    check(getattr(circuit, "circuit", circuit))
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps: expected a positive number, got {steps!r}")
    optimizer = _default_optimizer() if optimizer is None else optimizer
    traced = is_traced(circuit, key)
    with precision(None if traced else dtype) as found:
        free, chosen = _choose(cast(circuit, found), where)
        circuit = cast(circuit, found)
        _check_objective(objective, circuit, key)
        state = _State(
            free, optimizer.init(free), free, jnp.zeros((), jnp.int32), jnp.asarray(True)
        )
        if traced:
            arrays, static = eqx.partition(circuit, eqx.is_array)

            def body(state: _State, k: Any) -> Any:
                whole = eqx.combine(arrays, static)
                return _advance(state, k, whole, key, chosen, objective, optimizer, k < steps)

            state, (losses, norms) = jax.lax.scan(body, state, jnp.arange(steps + 1))
        else:
            state, losses, norms = _loop(
                state, circuit, key, chosen, objective, optimizer, steps, progress
            )
        best = _rebuild(circuit, chosen, state.good)
        status = jnp.where(state.alive, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int32)
        result = Fit(best, losses, norms, status, state.taken)
    if is_traced(result):
        return result
    result = to_host(result)
    if throw and result.status != Status.OK:
        raise FitError(
            f"the loss or its gradient was not finite after {int(result.steps_taken)} good steps "
            "(the circuit of the last of them is in the `fit` of this error). Usual causes: (a) "
            "steps too large: lower the learning rate, or chain optax.clip_by_global_norm(1.0); "
            "(b) a simulation that blew up; (c) a square root or division at 0 in the objective",
            result,
        )
    return result


@functools.cache
def _default_optimizer() -> optax.GradientTransformation:
    """The same one every time: another is another compilation."""
    return optax.adam(1e-2)


class _Leaf:
    """Stands for a leaf while `where` names it."""

    def __init__(self, index: int):
        self.index = index


class _Chosen(NamedTuple):
    """Which leaves are trained, and which of them by their logarithm."""

    leaves: tuple[int, ...]
    by_logarithm: tuple[bool, ...]


def _choose(circuit: Any, where: Callable[[Any], Any]) -> tuple[list[Array], _Chosen]:
    """The free numbers, as the optimizer sees them."""
    leaves, structure = jax.tree.flatten(circuit)
    numbered = jax.tree.unflatten(structure, [_Leaf(k) for k in range(len(leaves))])
    try:
        named = where(numbered)
        others = [x for x in jax.tree.leaves(named) if not isinstance(x, _Leaf)]
        if others:
            raise TypeError(f"it gave {others[0]!r}, which is no array of the circuit")
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"where: it must name arrays of {type(circuit).__name__}: {error}"
        ) from None
    picked = sorted({x.index for x in jax.tree.leaves(named)})
    picked = [k for k in picked if eqx.is_inexact_array(leaves[k])]
    if not picked:
        raise ValueError(
            "where: expected arrays of the circuit, e.g. lambda c: c.connectivity, got "
            f"{type(named).__name__} without any"
        )
    paths = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, _ in jax.tree_util.tree_leaves_with_path(circuit)
    ]
    fields = [field_of(circuit, paths[k]) for k in picked]
    chosen = _Chosen(tuple(picked), tuple(f is not None and f.positive for f in fields))
    free = [
        jnp.log(leaves[k]) if log else jnp.asarray(leaves[k])
        for k, log in zip(picked, chosen.by_logarithm, strict=True)
    ]
    return free, chosen


def _rebuild(circuit: Any, chosen: _Chosen, free: list[Array]) -> Any:
    """The circuit with its free numbers put in."""
    leaves, structure = jax.tree.flatten(circuit)
    for k, log, value in zip(chosen.leaves, chosen.by_logarithm, free, strict=True):
        leaves[k] = jnp.exp(value) if log else value
    return jax.tree.unflatten(structure, leaves)


def _advance(
    state: _State, k: Any, circuit: Any, key: Any, chosen: _Chosen, objective: Objective,
    optimizer: optax.GradientTransformation, moving: Any,
) -> tuple[_State, tuple[Any, Any]]:  # fmt: skip
    """Evaluate, and take one step if all is finite and `moving`."""
    own = None if key is None else jax.random.fold_in(key, k)
    loss, gradient = jax.value_and_grad(
        lambda free: objective(_rebuild(circuit, chosen, free), own)
    )(state.free)
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in gradient))
    alive = state.alive & jnp.isfinite(loss) & jnp.isfinite(norm)
    with jax.numpy_dtype_promotion("standard"):  # optax counts its steps in integers
        updates, memory = optimizer.update(gradient, state.optimizer, state.free)
    go = alive & moving

    def keep(new: Any, old: Any, when: Any = go) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(when, a, b), new, old)

    nan = jnp.full_like(loss, jnp.nan)
    following = _State(
        free=keep(optax.apply_updates(state.free, updates), state.free),
        optimizer=keep(memory, state.optimizer),
        good=keep(state.free, state.good, alive),
        taken=jnp.where(alive, jnp.asarray(k, jnp.int32), state.taken),
        alive=alive,
    )
    return following, (jnp.where(alive, loss, nan), jnp.where(alive, norm, nan))


_advance_compiled = eqx.filter_jit(_advance)


def _loop(
    state: _State, circuit: Any, key: Any, chosen: _Chosen, objective: Objective,
    optimizer: optax.GradientTransformation, steps: int, progress: bool | None,
) -> tuple[_State, Array, Array]:  # fmt: skip
    from tqdm.auto import tqdm

    hidden = None if progress is None else not progress
    history = []
    with tqdm(total=steps, unit="step", disable=hidden) as bar:
        for k in range(steps + 1):
            state, found = _advance_compiled(
                state, jnp.asarray(k, jnp.int32), circuit, key, chosen, objective, optimizer,
                jnp.asarray(k < steps),
            )  # fmt: skip
            history.append(found)
            if k % 10 == 0 or k == steps:  # asking for a value waits for the device
                bar.set_postfix(loss=f"{float(found[0]):.4g}", refresh=False)
                if not state.alive:
                    break
            bar.update(k < steps)
    missing = steps + 1 - len(history)
    losses, norms = (np.array([float(h[j]) for h in history] + [np.nan] * missing) for j in (0, 1))
    dtype = history[0][0].dtype
    return state, jnp.asarray(losses, dtype), jnp.asarray(norms, dtype)


def _check_objective(objective: Objective, circuit: Any, key: Any) -> None:
    if not callable(objective):
        raise TypeError(f"objective: expected a function of (circuit, key), got {objective!r}")
    shape = eqx.filter_eval_shape(objective, circuit, key)
    if getattr(shape, "shape", None) != ():
        raise ValueError(
            f"objective: expected one number, got {jax.tree.map(lambda x: x.shape, shape)}: "
            "return a scalar loss, e.g. a mean of squares"
        )
