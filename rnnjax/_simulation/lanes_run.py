"""Runs by our own lanes, with the gradient of diffrax.

They hold no host callback, so that the compiled program is found again in JAX's cache and lowers for
accelerators. Going back is diffrax's, over the same steps.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._engine.adaptive_steps import AdaptiveLane
from rnnjax._engine.step_control import Window
from rnnjax._engine.stops import longest_step
from rnnjax._machine.kept import program
from rnnjax._numerics.implicit import zero_of
from rnnjax._numerics.trees import fastest_variable
from rnnjax._results import Status
from rnnjax._simulation.diffrax_run import run_by_diffrax
from rnnjax._simulation.timed_run import Choice, TimedRun
from rnnjax._types import Arrays, State, lane_of

StatesApart = tuple[Arrays, dict[str, Arrays]]
"""The states of a run, and what else there is to say of it."""


@program
def run_by_lanes(run: TimedRun, choice: Choice) -> dict[str, Arrays]:
    """A run, or a batch of runs."""
    run = jax.tree.map(lambda x: jnp.asarray(x) if eqx.is_array(x) else x, run)
    # what functions hold of numbers under differentiation must be seen, to have a derivative
    run = dataclasses.replace(run, input=run.input.opened())
    observe = choice.observe
    if observe is not None:
        one = run.start if choice.lanes is None else lane_of(run.start, 0)
        observe = _opened(observe, one)
    smooth, rest = eqx.partition((run, observe), eqx.is_inexact_array)
    others, fixed = eqx.partition(rest, eqx.is_array)

    def whole(smooth: Arrays, others: Arrays) -> tuple[TimedRun, Choice]:
        run, observe = eqx.combine(smooth, others, fixed)
        return run, choice._replace(observe=observe)

    @jax.custom_vjp
    def result(smooth: Arrays, others: Arrays) -> StatesApart:
        return _states_apart(_of_all(smooth, _lanes(*whole(smooth, others))))

    def forward(
        smooth: Arrays, others: Arrays
    ) -> tuple[StatesApart, Callable[[Arrays], tuple[Arrays]]]:
        def solved(smooth: Arrays) -> StatesApart:
            found = run_by_diffrax(*whole(smooth, others))
            found = {k: x for k, x in found.items() if x is not None}
            return _states_apart(_of_all(smooth, found))

        states, back, found = jax.vjp(solved, smooth, has_aux=True)
        return (states, found), back

    result.defvjp(forward, lambda back, cotangents: (*back(cotangents[0]), None))
    states, found = result(smooth, others)
    return {"states": states} | found


class _Opened(eqx.Module):
    """A function with the numbers that it captured as its leaves."""

    function: Callable[[Arrays], Arrays]
    dtypes: tuple[jnp.dtype, ...] = eqx.field(static=True)

    def __call__(self, x: Arrays) -> Arrays:
        leaves, structure = jax.tree.flatten(x)
        same = [
            jax.lax.convert_element_type(a, d) for a, d in zip(leaves, self.dtypes, strict=True)
        ]
        return self.function(jax.tree.unflatten(structure, same))


def _opened(function: Callable[..., Arrays], example: Arrays) -> _Opened:
    dtypes = tuple(jnp.result_type(x) for x in jax.tree.leaves(example))
    return _Opened(eqx.filter_closure_convert(function, example), dtypes)


def _of_all(smooth: Arrays, found: dict[str, Arrays]) -> dict[str, Arrays]:
    """The same, as depending on all that is given: what one way is of each lane is so the other way."""
    none = jnp.asarray(jax.lax.stop_gradient(zero_of(smooth)))
    return jax.tree.map(lambda x: x + none.astype(x.dtype), found)


def _states_apart(found: dict[str, Arrays]) -> StatesApart:
    return found.pop("states"), found


def _lanes(run: TimedRun, choice: Choice) -> dict[str, Arrays]:
    ordered = (run.gaps() > 0).all()
    first, last = (jax.tree.map(lambda x, k=k: x[k], run.times) for k in (0, -1))
    lane = AdaptiveLane(
        run.circuit, run.input, choice.solver, Window(run.begin, first, last),
        run.tolerances, max_steps=choice.max_steps,
        longest=longest_step(run.input, run.gap, last.value.dtype),
    )  # fmt: skip

    def one(start: State) -> dict[str, Arrays]:
        found, states = lane.path(start, run.times, choice.observe)
        states = jax.tree.map(lambda x: jnp.where(ordered, x, jnp.full_like(x, jnp.nan)), states)
        derivative = run.circuit(found.final, run.input.at(lane.moment(found.stopped)))
        return {
            "states": states,
            "status": jnp.where(ordered, found.status, int(Status.UNORDERED_TIMES)),
            "failed_at": found.stopped,
            "failed_variable": fastest_variable(derivative, found.final),
            "stats": {"steps": found.accepted, "rejected": found.attempts - found.accepted},
        }

    return (one if choice.lanes is None else jax.vmap(one))(run.start)
