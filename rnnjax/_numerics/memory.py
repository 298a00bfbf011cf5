"""How a gradient goes back through fixed steps: what is kept, what is computed again.

All give the gradient of the discrete solution itself, the same to rounding.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

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


def _check_steps(name: str, value: Any) -> None:
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


def observed_later(observe: Any, each: Callable[..., Any], states: Any) -> Any:
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


class Stepping(NamedTuple):
    """A step of a run taken apart, so that its gradient can be.

    Attributes:
        field: `(parameters, t, state) -> slope`, for one lane.
        step: `(field, others, n, state, dw) -> state`, one step of one lane from step number n
            on, with `field(t, state)` called as often as there are stages.
        draws: `(others, n, length) -> dw`, or None.
        each: makes a function of one lane one of all lanes: `(function, in_axes, out_axes)`, with
            axes as for `vmap`, 1 standing for the lane's.
    """

    field: Callable[[Any, Any, Any], Any]
    step: Callable[[Any, Any, Any, Any, Any], Any]
    draws: Callable[[Any, Any, int], Any]
    each: Callable[..., Callable[..., Any]]


def adjoint_block(
    make: Callable[[Any], Stepping], context: Any, parameters: Any, others: Any, state: Any, n: Any,
    length: int, every: int,
) -> tuple[Any, Any]:  # fmt: skip
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

    def numbers(n: Any) -> Any:
        return n + jnp.arange(length, dtype=n.dtype)

    def forward(context: Any, parameters: Any, others: Any, state: Any, n: Any) -> tuple[Any, Any]:
        stepping = make(context)

        def one(state: Any, x: Any) -> tuple[Any, Any]:
            number, dw = x

            def of_lane(state: Any, dw: Any) -> Any:
                field = functools.partial(stepping.field, parameters)
                return stepping.step(field, others, number, state, dw)

            after = stepping.each(of_lane, (1, 1), 1)(state, dw)
            return after, after

        dw = stepping.draws(others, n, length)
        last, after = lax.scan(one, state, (numbers(n), dw))
        saved = after if every == 1 else jax.tree.map(lambda x: x[every - 1 :: every], after)
        return (last, saved), after

    @jax.custom_vjp
    def run(context: Any, parameters: Any, others: Any, state: Any, n: Any) -> tuple[Any, Any]:
        return forward(context, parameters, others, state, n)[0]

    def kept(context: Any, parameters: Any, others: Any, state: Any, n: Any) -> Any:
        results, after = forward(context, parameters, others, state, n)
        return results, (context, parameters, others, state, after, n)

    def back(residuals: Any, cotangents: Any) -> Any:
        context, parameters, others, first, after, n = residuals
        stepping = make(context)
        last, saved = cotangents
        arriving = saved
        if every > 1:
            arriving = jax.tree.map(
                lambda x: jnp.zeros((length, *x.shape[1:]), x.dtype).at[every - 1 :: every].set(x),
                saved,
            )
        all_dw, draws_back = jax.vjp(lambda o: stepping.draws(o, n, length), others)
        stages = _count_stages(stepping, parameters, others, first, n)

        def step_back(carry: Any, number: Any) -> tuple[Any, Any]:
            at_end, sums = carry
            place = _as_it_is(number - n)
            dw, more = jax.tree.map(lambda x: x[place], (all_dw, arriving))
            state = jax.tree.map(
                lambda x0, x: jnp.where(place == 0, x0, x[jnp.maximum(place, 1) - 1]), first, after
            )
            at_end = jax.tree.map(jnp.add, at_end, more)
            nothing = [jax.tree.map(jnp.zeros_like, state)] * stages

            def nudged(others: Any, state: Any, dw: Any, nudges: Any) -> Any:
                def of_lane(state: Any, dw: Any, nudges: Any) -> Any:
                    points = []

                    def field(t: Any, z: Any) -> Any:
                        points.append((t, z))
                        slope = stepping.field(parameters, t, z)
                        return jax.tree.map(jnp.add, slope, nudges[len(points) - 1])

                    return stepping.step(field, others, number, state, dw), points

                at = [(None, 1)] * stages
                return stepping.each(of_lane, (1, 1, 1), (1, at))(state, dw, nudges)

            _, go_back, points = jax.vjp(nudged, others, state, dw, nothing, has_aux=True)
            of_others, at_start, of_dw, of_slopes = go_back(at_end)
            sums = jax.tree.map(jnp.add, sums, of_others)
            return (at_start, sums), (points, of_slopes, of_dw)

        start = last, jax.tree.map(jnp.zeros_like, others)
        (at_start, sums), (points, of_slopes, of_dw) = lax.scan(
            step_back, start, numbers(n), reverse=True
        )
        if all_dw is not None:
            sums = jax.tree.map(jnp.add, sums, draws_back(of_dw)[0])

        def slopes(parameters: Any) -> Any:
            def at(t: Any, z: Any) -> Any:
                lanes = stepping.each(lambda z: stepping.field(parameters, t, z), (1,), 1)
                return lanes(z)

            return [jax.vmap(at)(t, z) for t, z in points]

        of_parameters = jax.vjp(slopes, parameters)[1](of_slopes)[0]
        return None, of_parameters, sums, at_start, None

    run.defvjp(kept, back)
    return run(context, parameters, others, state, n)


def _as_it_is(number: Any) -> Any:
    """A whole number, through a sort of two.

    XLA for CPUs, as `tune_cpu` sets it up, compiles small loops whole, and a product with a
    transposed matrix in them to plain sums, ten times slower; it leaves loops with a sort alone.
    """
    return lax.sort(jnp.stack([number, number + 1]))[0]


def _count_stages(stepping: Stepping, parameters: Any, others: Any, state: Any, n: Any) -> int:
    """How often a step calls the field."""
    calls = []

    def of_lane(state: Any, dw: Any) -> Any:
        def field(t: Any, z: Any) -> Any:
            calls.append(None)
            return stepping.field(parameters, t, z)

        return stepping.step(field, others, n, state, dw)

    dw = jax.eval_shape(lambda o: stepping.draws(o, n, 1), others)
    dw = jax.tree.map(lambda x: jnp.zeros(x.shape[1:], x.dtype), dw)
    jax.eval_shape(stepping.each(of_lane, (1, 1), 1), state, dw)
    return len(calls)
