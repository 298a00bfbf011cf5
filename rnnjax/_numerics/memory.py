"""How a gradient goes back through fixed steps: what is kept, what is computed again.

All give the gradient of the discrete solution itself, the same to rounding.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Int, PyTree

from rnnjax._numerics.moments import AbstractMoment
from rnnjax._types import Array, Arrays, State

BLOCK = 200  # steps whose noise is drawn together


class AbstractMemory(eqx.Module):
    """What reverse-mode differentiation through fixed steps keeps."""


class StoreAll(AbstractMemory):
    """Keep what every step needs to be differentiated: most memory, nothing computed twice."""


class Checkpoint(AbstractMemory):
    r"""Keep the state every so many steps, and compute the steps between them again.

    Memory is that of $T / k + k$ states for $T$ steps and checkpoints $k$ steps apart, least at
    $k = \sqrt T$, for one more pass forward.

    Args:
        every: $k$; the square root of the number of steps unless given.

    References:
        Griewank and Walther (2000), ACM Transactions on Mathematical Software 26:19-45.
    """

    every: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        """Refuse what is no number of steps."""
        _check_steps("Checkpoint.every", self.every)


class BlockedAdjoint(AbstractMemory):
    r"""Keep the states alone; go back step by step, and sum weight gradients block by block.

    With the slopes $k_i = f(z_i)$ of a step and their cotangents $\kappa_i$, the gradient with
    respect to the circuit is $\sum_i (\partial f / \partial \theta)(z_i)^\top \kappa_i$. Here the
    $\kappa_i$ of a block of steps are collected first, so that for a matrix of weights the sum is
    one product, instead of one small product and one sum of matrices a step. The fastest for
    networks, in memory one state a step. Reverse mode only. A batch goes as one, `start=` with an
    axis more: under `jax.vmap` the weight gradient of every lane would be formed by itself.

    Args:
        block: steps in a block.
    """

    block: int = eqx.field(static=True, default=32)

    def __check_init__(self) -> None:
        """Refuse what is no number of steps."""
        _check_steps("BlockedAdjoint.block", self.block)


def _check_steps(name: str, value: int | None) -> None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise ValueError(f"{name}: expected a positive number of steps, got {value!r}")


def block_length(memory: AbstractMemory | None, steps: int) -> int:
    """How many steps are one block: at most `BLOCK`, the most whose noise is drawn at once."""
    if isinstance(memory, BlockedAdjoint):
        wanted = memory.block
    elif isinstance(memory, Checkpoint):
        wanted = memory.every or max(1, math.isqrt(steps))
    else:
        wanted = BLOCK
    return max(1, min(wanted, steps))


def observed_later(
    observe: Callable[[State], Arrays] | None, each: "Each", states: State
) -> Arrays:
    """What `observe` makes of the states of a block, steps in front.

    Its arrays get the axis of the steps as well: XLA for CPUs would otherwise turn all states before
    it multiplies a matrix by them.

    Args:
        observe: a function of one state, or None for all of it.
        each: as in `Stepping`.
        states: the states.
    """
    if observe is None:
        return states
    steps = jax.tree.leaves(states)[0].shape[0]
    arrays, fixed = eqx.partition(observe, eqx.is_array)
    arrays = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, *x.shape)), arrays)
    return jax.vmap(lambda a, state: each(eqx.combine(a, fixed), (1,), 1)(state))(arrays, states)


ResultT = TypeVar("ResultT")
Axes = PyTree[int | None]
"""Axes as for `vmap`, 1 standing for the lane's."""
Field = Callable[[AbstractMoment, State], State]
"""`(moment, state) -> slope`."""


@runtime_checkable
class Each(Protocol):
    """Makes a function of one lane one of all lanes."""

    def __call__(
        self, function: Callable[..., ResultT], in_axes: Axes, out_axes: Axes, /
    ) -> Callable[..., ResultT]:
        """`function` of all lanes."""
        ...


class Stepping(NamedTuple):
    """A step of a run taken apart, so that its gradient can be.

    Attributes:
        field: `(parameters, moment, state) -> slope`, for one lane.
        step: `(field, others, n, state, dw) -> state`, one step of one lane from step number n
            on, with `field(moment, state)` called as often as there are stages.
        draws: `(others, n, length) -> dw`, or None.
        each: makes a function of one lane one of all lanes: `(function, in_axes, out_axes)`, with
            axes as for `vmap`, 1 standing for the lane's.
    """

    field: Callable[[Arrays, AbstractMoment, State], State]
    step: Callable[[Field, Arrays, Int[Array, ""], State, Arrays], State]
    draws: Callable[[Arrays, Int[Array, ""], int], Arrays]
    each: Each


class _Start(NamedTuple):
    """Where a block of steps begins.

    Attributes:
        context: arrays without a gradient: keys, whole numbers.
        parameters: what the field depends on; arrays.
        others: what else a step depends on; arrays.
        state: the first state.
        n: number of the first step.
    """

    context: Arrays
    parameters: Arrays
    others: Arrays
    state: State
    n: Int[Array, ""]


def adjoint_block(
    make: Callable[[Arrays], Stepping], context: Arrays, parameters: Arrays, others: Arrays,
    state: State, n: Int[Array, ""], length: int, every: int,
) -> tuple[State, State]:  # fmt: skip
    """`length` steps from step number `n` on: the last state, and every `every`-th one.

    Args:
        make: from the context to the step.
        context: arrays without a gradient: keys, whole numbers.
        parameters: what the field depends on; arrays.
        others: what else a step depends on; arrays.
        state: the first state.
        n: number of the first step.
        length: how many steps.
        every: keep every so many-th state; it divides `length`.
    """

    def results_of(last: State, after: State) -> tuple[State, State]:
        saved = after if every == 1 else jax.tree.map(lambda x: x[every - 1 :: every], after)
        return last, saved

    @jax.custom_vjp
    def run(*start: Arrays) -> tuple[State, State]:
        return results_of(*_stepped(make, _Start(*start), length))

    def forward(*start: Arrays) -> tuple[tuple[State, State], tuple[_Start, State]]:
        last, after = _stepped(make, _Start(*start), length)
        return results_of(last, after), (_Start(*start), after)

    def back(
        residuals: tuple[_Start, State], cotangents: tuple[State, State]
    ) -> tuple[Arrays, ...]:
        start, after = residuals
        last, saved = cotangents
        if every > 1:
            saved = jax.tree.map(
                lambda x: jnp.zeros((length, *x.shape[1:]), x.dtype).at[every - 1 :: every].set(x),
                saved,
            )
        return None, *_went_back(make(start.context), start, after, last, saved), None

    run.defvjp(forward, back)
    return run(context, parameters, others, state, n)


def _stepped(make: Callable[[Arrays], Stepping], start: _Start, length: int) -> tuple[State, State]:
    """The last state of a block, and those after each step."""
    stepping = make(start.context)

    def one(state: State, x: tuple[Int[Array, ""], Arrays]) -> tuple[State, State]:
        number, dw = x

        def of_lane(state: State, dw: Arrays) -> State:
            field = functools.partial(stepping.field, start.parameters)
            return stepping.step(field, start.others, number, state, dw)

        after = stepping.each(of_lane, (1, 1), 1)(state, dw)
        return after, after

    dw = stepping.draws(start.others, start.n, length)
    return lax.scan(one, start.state, (_numbers(start.n, length), dw))


def _went_back(
    stepping: Stepping, start: _Start, after: State, last: State, arriving: State
) -> tuple[Arrays, Arrays, State]:
    """What arrives at the parameters, at what else a step depends on, and at the first state.

    Args:
        stepping: the step.
        start: where the block begins.
        after: the states after each step.
        last: the cotangent of the last state.
        arriving: the cotangents of the states after each step.
    """
    length = jax.tree.leaves(after)[0].shape[0]
    all_dw, draws_back = jax.vjp(lambda o: stepping.draws(o, start.n, length), start.others)
    stages = _count_stages(stepping, start)

    def step_back(carry: tuple[State, Arrays], number: Int[Array, ""]) -> tuple[Arrays, Arrays]:
        at_end, sums = carry
        place = _as_it_is(number - start.n)
        dw, more = jax.tree.map(lambda x: x[place], (all_dw, arriving))
        state = jax.tree.map(
            lambda x0, x: jnp.where(place == 0, x0, x[jnp.maximum(place, 1) - 1]),
            start.state, after,
        )  # fmt: skip
        at_end = jax.tree.map(jnp.add, at_end, more)
        go_back, points = _nudged(stepping, start, number, state, dw, stages)
        of_others, at_start, of_dw, of_slopes = go_back(at_end)
        sums = jax.tree.map(jnp.add, sums, of_others)
        return (at_start, sums), (points, of_slopes, of_dw)

    begin = last, jax.tree.map(jnp.zeros_like, start.others)
    (at_start, sums), (points, of_slopes, of_dw) = lax.scan(
        step_back, begin, _numbers(start.n, length), reverse=True
    )
    if all_dw is not None:
        sums = jax.tree.map(jnp.add, sums, draws_back(of_dw)[0])
    return _of_parameters(stepping, start.parameters, points, of_slopes), sums, at_start


def _nudged(
    stepping: Stepping, start: _Start, number: Int[Array, ""], state: State, dw: Arrays, stages: int
) -> tuple[
    Callable[[State], tuple[Arrays, State, Arrays, State]], list[tuple[AbstractMoment, State]]
]:
    """One step as a function of nudges to its slopes, to go back through; and where they are taken."""

    def step(
        others: Arrays, state: State, dw: Arrays, nudges: list[State]
    ) -> tuple[State, list[tuple[AbstractMoment, State]]]:
        def of_lane(
            state: State, dw: Arrays, nudges: list[State]
        ) -> tuple[State, list[tuple[AbstractMoment, State]]]:
            points = []

            def field(t: AbstractMoment, z: State) -> State:
                points.append((t, z))
                slope = stepping.field(start.parameters, t, z)
                return jax.tree.map(jnp.add, slope, nudges[len(points) - 1])

            return stepping.step(field, others, number, state, dw), points

        at = [(None, 1)] * stages
        return stepping.each(of_lane, (1, 1, 1), (1, at))(state, dw, nudges)

    nothing = [jax.tree.map(jnp.zeros_like, state)] * stages
    _, go_back, points = jax.vjp(step, start.others, state, dw, nothing, has_aux=True)
    return go_back, points


def _of_parameters(
    stepping: Stepping,
    parameters: Arrays,
    points: list[tuple[AbstractMoment, State]],
    arriving: State,
) -> Arrays:
    """What arrives at the parameters from the slopes at all points of a block at once."""

    def slopes(parameters: Arrays) -> list[State]:
        def at(t: AbstractMoment, z: State) -> State:
            lanes = stepping.each(lambda z: stepping.field(parameters, t, z), (1,), 1)
            return lanes(z)

        return [jax.vmap(at)(t, z) for t, z in points]

    return jax.vjp(slopes, parameters)[1](arriving)[0]


def _numbers(n: Int[Array, ""], length: int) -> Int[Array, " step"]:
    return n + jnp.arange(length, dtype=n.dtype)


def _as_it_is(number: Int[Array, ""]) -> Int[Array, ""]:
    """A whole number, through a sort of two.

    XLA for CPUs, as `tune_cpu` sets it up, compiles small loops whole, and a product with a
    transposed matrix in them to plain sums, ten times slower; it leaves loops with a sort alone.
    """
    return lax.sort(jnp.stack([number, number + 1]))[0]


def _count_stages(stepping: Stepping, start: _Start) -> int:
    """How often a step calls the field."""
    calls = []

    def of_lane(state: State, dw: Arrays) -> State:
        def field(t: AbstractMoment, z: State) -> State:
            calls.append(None)
            return stepping.field(start.parameters, t, z)

        return stepping.step(field, start.others, start.n, state, dw)

    dw = jax.eval_shape(lambda o: stepping.draws(o, start.n, 1), start.others)
    dw = jax.tree.map(lambda x: jnp.zeros(x.shape[1:], x.dtype), dw)
    jax.eval_shape(stepping.each(of_lane, (1, 1), 1), start.state, dw)
    return len(calls)
