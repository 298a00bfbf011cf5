"""A run whose solver chooses its steps: by our own lanes, or by diffrax where they can't.

Our lanes take explicit solvers without noise. They hold no host callback, so that the compiled
program is found again in JAX's cache and lowers for accelerators. Their gradient is diffrax's, over
the same steps; so are noise, implicit solvers, dense output, and what is asked for by `adjoint`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._engine.adaptive_steps import (
    AdaptiveLane,
    Tolerances,
    Window,
)
from rnnjax._numerics.trees import fastest_variable
from rnnjax._results import Status
from rnnjax._simulation.diffrax_run import Choice, _longest_step, by_diffrax
from rnnjax._types import is_traced
from rnnjax.solvers._base import explicit_tableau


def run_adaptive(
    circuit: Any, input: Any, state: Any, times: Any, noise: Any, key: Any, tolerances: Any,
    choice: Choice,
) -> dict[str, Any]:  # fmt: skip
    """A run with adaptive steps, or a batch of runs with the lanes in front."""
    explicit = explicit_tableau(choice.solver) is not None
    if noise is None and choice.adjoint is None and not choice.dense and explicit:
        return _by_lanes((circuit, input, state, times, tolerances), choice)

    def until(times: Any) -> dict[str, Any]:
        return by_diffrax(circuit, input, state, times, noise, key, tolerances, choice)

    result = until(times)
    alone = choice.lanes is None
    if not is_traced(result) and alone and result["status"] == Status.NON_FINITE:
        # by now all may be infinite: who was the fastest shortly before?
        end = times[0] + 0.999 * (result["failed_at"] - times[0])
        result["failed_variable"] = until(np.stack([times[0], end]))["failed_variable"]
    return result


@eqx.filter_jit
def _by_lanes(given: Any, choice: Choice) -> dict[str, Any]:
    """Our own lanes; going back, diffrax's."""
    given = jax.tree.map(lambda x: jnp.asarray(x) if eqx.is_array(x) else x, given)
    circuit, input, state, times, tolerances = given
    # what functions hold of numbers under differentiation must be seen, to have a derivative
    if not isinstance(input, eqx.Module):
        input = _opened(input, times[0])
    observe = choice.observe
    if observe is not None:
        observe = _opened(observe, _one_lane(state, choice))
    given = (circuit, input, state, times, tolerances, observe)
    smooth, rest = eqx.partition(given, eqx.is_inexact_array)
    others, fixed = eqx.partition(rest, eqx.is_array)

    def lanes(smooth: Any, others: Any) -> Any:
        return _states_apart(_lanes(eqx.combine(smooth, others, fixed), choice))

    @jax.custom_vjp
    def run(smooth: Any, others: Any) -> Any:
        return lanes(smooth, others)

    def forward(smooth: Any, others: Any) -> Any:
        def solved(smooth: Any) -> Any:
            circuit, input, state, times, tolerances, observe = eqx.combine(smooth, others, fixed)
            chosen = choice._replace(observe=observe)
            found = by_diffrax(circuit, input, state, times, None, None, tolerances, chosen)
            return _states_apart({k: x for k, x in found.items() if x is not None})

        states, back, others_found = jax.vjp(solved, smooth, has_aux=True)
        return (states, others_found), back

    run.defvjp(forward, lambda back, cotangents: (*back(cotangents[0]), None))
    states, found = run(smooth, others)
    return {"states": states} | found


def _one_lane(state: Any, choice: Choice) -> Any:
    return state if choice.lanes is None else jax.tree.map(lambda x: x[0], state)


class _Opened(eqx.Module):
    """A function with the numbers that it captured as its leaves."""

    function: Any
    dtypes: Any = eqx.field(static=True)

    def __call__(self, x: Any) -> Any:
        leaves, structure = jax.tree.flatten(x)
        same = [
            jax.lax.convert_element_type(a, d) for a, d in zip(leaves, self.dtypes, strict=True)
        ]
        return self.function(jax.tree.unflatten(structure, same))


def _opened(function: Any, example: Any) -> _Opened:
    dtypes = tuple(jnp.result_type(x) for x in jax.tree.leaves(example))
    return _Opened(eqx.filter_closure_convert(function, example), dtypes)


def _states_apart(found: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return found.pop("states"), found


def _lanes(given: Any, choice: Choice) -> dict[str, Any]:
    circuit, input, start, times, tolerances, observe = given
    ordered = (jnp.diff(times) > 0).all()
    lane = AdaptiveLane(
        circuit, input, choice.solver, Window(times[0], times[0], times[-1]),
        Tolerances(*tolerances), max_steps=choice.max_steps, longest=_longest_step(input, times),
    )  # fmt: skip

    def one(start: Any) -> dict[str, Any]:
        run, states = lane.path(start, times, observe)
        states = jax.tree.map(lambda x: jnp.where(ordered, x, jnp.full_like(x, jnp.nan)), states)
        derivative = circuit(run.final, input(run.stopped))
        return {
            "states": states,
            "status": jnp.where(ordered, run.status, int(Status.UNORDERED_TIMES)),
            "failed_at": run.stopped,
            "failed_variable": fastest_variable(derivative, run.final),
            "stats": {"steps": run.accepted, "rejected": run.attempts - run.accepted},
        }

    return (one if choice.lanes is None else jax.vmap(one))(start)
