"""The one engine for fixed steps: any vector field, any explicit solver, measures on the way.

`integrate` runs one lane: one state, no batch axis. Everything in it is a value except the
number of steps, so that new parameters, inputs, steps and durations of the same number of steps
never compile again. `_plan.py` runs many lanes.

A run is a scan over blocks of at most `BLOCK` scanned steps. A block is the unit in which noise is
drawn, in which the state is checked for being finite, and which reverse-mode differentiation
computes again instead of storing. Increment n of a lane depends on its key and n alone: what is
measured or saved, and how lanes are grouped, never changes a draw.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._machine.compute_once import Keeping, what_to_keep
from rnnjax._numerics.memory import (
    AbstractMemory,
    BlockedAdjoint,
    Checkpoint,
    Stepping,
    StoreAll,
    adjoint_block,
    block_length,
    observed_later,
)
from rnnjax._numerics.trees import flatten
from rnnjax._results import Status
from rnnjax.measures._base import AbstractMeasure, begun, finished, observed
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Iteration, noisy_step_function, step_function, with_displacements

Solver = diffrax.AbstractSolver


class Run(NamedTuple):
    """What one lane gave; of a batch with the lanes in front.

    Attributes:
        final: the last state.
        measured: one result per measure, in the structure of what it observes.
        saved: the states at every `save_every`-th step, time first; None if not asked for.
        status: a `Status`.
        steps_well: the number of steps up to the last block that ended finite.
        last_well: the state then.
    """

    final: Any
    measured: tuple[Any, ...]
    saved: Any
    status: Any
    steps_well: Any
    last_well: Any


class _Carry(NamedTuple):
    n: Any
    state: Any
    measures: tuple[Any, ...]
    well: Any
    last_well: Any


_LANES = _Carry(None, -1, -1, -1, -1)  # pyright: ignore


def integrate(
    circuit: Callable[[Any, Any], Any],
    input: Callable[[Any], Any],
    start: Any,
    *,
    solver: Solver,
    t0: Any,
    step: Any,
    steps: int,
    transient: int = 0,
    measures: Sequence[AbstractMeasure] = (),
    save_every: int | None = None,
    observe: Callable[[Any], Any] | None = None,
    noise: AbstractNoise | None = None,
    key: Any = None,
    increments: Any = None,
    first: Any = 0,
    memory: AbstractMemory | None = None,
    lanes: bool = False,
    along: Any = None,
    rows: Any = None,
    normals: int = 0,
) -> Run:
    """Step one lane from `t0` by `transient + steps` fixed steps, or a batch of lanes.

    Args:
        circuit: `circuit(state, input) -> derivative` per ms.
        input: `input(t)`, t in ms.
        start: the first state; all of its leaves in one float dtype.
        solver: a diffrax solver with an explicit tableau, or Euler, or ItoMilstein under noise.
        t0: time of the start, ms.
        step: the step, ms.
        steps: steps in the window that is measured and saved.
        transient: steps before it.
        measures: what to fold in over the window.
        save_every: keep every so many-th state of the window; it divides `steps`.
        observe: what to keep of it, a function of the state; all of it unless given.
        noise: the diffusion, diagonal and Ito.
        key: for the noise; with `lanes` one per lane.
        increments: Wiener increments `(transient + steps, variables)` instead of drawing them.
        first: the number of steps already taken, for a run that goes on.
        memory: what reverse mode keeps; blocks of `BLOCK` steps are computed again unless given.
        lanes: `start` is a batch, lanes in front. Inside the loop they are last, so that a
            matrix times the rates of all lanes is one product without a transposition.
        along: the circuit once more, as displacements meet it: `start` is then a pair, the state
            and displacements, with one axis more in front, that follow the derivative of every
            step under the same noise.
        rows: numbers for each step, `(steps, ...)`, with `lanes` one such table per lane. Then the
            field is `circuit(state, (row, draws))`, and they have no gradient.
        normals: how many standard normals each step is given beside its row, drawn with `key`.
    """
    if lanes:
        start = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), start)
    example = jax.tree.map(lambda x: x[..., 0], start) if lanes else start
    example = example if along is None else example[0]
    vector, unravel = flatten(example)
    t0, step = (jnp.asarray(x, vector.dtype) for x in (t0, step))
    if rows is not None and lanes:
        rows = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), rows)

    def field(given: Any, t: Any, state: Any) -> Any:
        return given[0](*state) if rows is not None else given[0](state, given[1](t))

    lane = _Lane(
        field=field,
        parameters=(circuit, input),
        others=(t0, step, noise, increments),
        key=key,
        solver=solver,
        unravel=unravel,
        size=vector.size if rows is None else normals,
        memory=memory,
        lanes=lanes,
        along=None if along is None else (along, input),
        measures=(),
        observe=observe,
        keep=what_to_keep(functools.partial(field, (circuit, input)), t0, example, step)
        if rows is None
        else None,
        rows=rows,
    )
    measuring = dataclasses.replace(lane, measures=tuple(measures))
    begin = jnp.asarray(first, jnp.int32)
    well = jnp.full(jax.tree.leaves(start)[0].shape[-1:], begin) if lanes else begin
    carry = _Carry(begin, start, (), well, start)
    if transient:
        carry, _ = lane.run(carry, transient, None)
    carry, saved = measuring.run(measuring.begin(carry), steps, save_every)
    finite = lane.each(_finite, (1,), 1)(carry.state)
    status = jnp.where(finite, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int32)
    run = Run(carry.state, measuring.finish(carry), saved, status, carry.well, carry.last_well)
    return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), run) if lanes else run


@dataclasses.dataclass(frozen=True)
class _Lane:
    """The loop of one lane, or of a batch with the lanes last.

    Attributes:
        field: `(parameters, t, state) -> slope`.
        parameters: what the field depends on: the circuit and its input.
        others: what else a step depends on: t0, step, noise, increments.
        key: for the noise.
        solver: the method.
        unravel: from a vector to the structure of the state.
        size: how many normals a step draws: one per variable, or as many as go with a row.
        memory: what reverse mode keeps.
        lanes: whether it is a batch.
        along: the parameters of the field that displacements follow.
        measures: what is folded in at every step.
        observe: what is kept of a saved state.
        keep: what of a step is computed once.
        rows: numbers for each step, steps in front.
    """

    field: Callable[[Any, Any, Any], Any]
    parameters: Any
    others: Any
    key: Any
    solver: Solver
    unravel: Callable[[Any], Any]
    size: int
    memory: AbstractMemory | None
    lanes: bool
    along: Any
    measures: tuple[AbstractMeasure, ...]
    observe: Callable[[Any], Any] | None = None
    keep: Keeping | None = None
    rows: Any = None

    def each(self, function: Callable[..., Any], in_axes: Any, out_axes: Any) -> Any:
        """`function` of one lane, for all lanes; 1 in the axes stands for the lane's."""
        if not self.lanes:
            return function

        def last(axes: Any) -> Any:
            return jax.tree.map(lambda a: -1 if a == 1 else a, axes, is_leaf=lambda a: a is None)

        return jax.vmap(function, last(in_axes), last(out_axes))

    def _time(self, n: Any) -> Any:
        """The time (ms) after n steps."""
        t0, step, _, _ = self.others
        return t0 + n.astype(step.dtype) * step

    def begin(self, carry: _Carry) -> _Carry:
        """The carry at the start of the window that is measured."""

        def of_lane(state: Any) -> Any:
            return begun(self.measures, self._time(carry.n), state)

        return carry._replace(measures=self.each(of_lane, (1,), 1)(carry.state))

    def finish(self, carry: _Carry) -> tuple[Any, ...]:
        """The measures' results, each in the structure of what it observes."""

        def of_lane(state: Any, carried: Any) -> Any:
            return finished(self.measures, carried, self._time(carry.n), state)

        return self.each(of_lane, (1, 1), 1)(carry.state, carry.measures)

    def step(self, field: Any, others: Any, n: Any, state: Any, dw: Any) -> Any:
        """One step of one lane, from step number n on, with `field(t, state)`."""
        if self.rows is not None:
            return step_function(self.solver)(field, others[0], (state, dw), others[1])
        if self.along is None:
            return self._advanced(field, others, n, state, dw)
        if others[2] is None and not isinstance(self.solver, Iteration):
            both = with_displacements(field, lambda t, z: self.field(self.along, t, z))
            return step_function(self.solver)(both, self._time(n), state, others[1])
        state, moved = state
        after, push = jax.linearize(lambda z: self._advanced(field, others, n, z, dw), state)
        return after, jax.vmap(push)(moved)

    def _advanced(self, field: Any, others: Any, n: Any, state: Any, dw: Any) -> Any:
        t0, step, noise, _ = others
        t = t0 + n.astype(step.dtype) * step
        if noise is None:
            keep = None if self.keep is None else self.keep._replace(like=step)
            return step_function(self.solver)(field, t, state, step, keep)
        advance = noisy_step_function(self.solver, noise.additive)
        return advance(field, lambda _, s: noise(s), t, state, step, self.unravel(dw))

    def draws(self, others: Any, n: Any, length: int) -> Any:
        """`(length, variables[, lanes])`: increment n depends on the key and n alone."""
        _, step, noise, increments = others
        if self.rows is not None:
            cut = functools.partial(lax.dynamic_slice_in_dim, start_index=n, slice_size=length)
            row = jax.tree.map(lambda x: cut(lax.stop_gradient(x)), self.rows)
            return row, self._normals(n, length, step.dtype) if self.size else None
        if noise is None:
            return None
        if increments is not None:
            table = jnp.asarray(increments, step.dtype)
            return lax.dynamic_slice_in_dim(table, n, length)
        return jnp.sqrt(step) * self._normals(n, length, step.dtype)

    def _normals(self, n: Any, length: int, dtype: Any) -> Any:
        def draw(key: Any, n: Any) -> Any:
            return jax.random.normal(jax.random.fold_in(key, n), (self.size,), dtype)

        numbers = n + jnp.arange(length, dtype=n.dtype)
        return self.each(lambda key: jax.vmap(lambda n: draw(key, n))(numbers), (0,), 1)(self.key)

    def one(self, carry: _Carry, dw: Any) -> tuple[_Carry, None]:
        """One step of one lane."""
        state = self.step(
            lambda t, z: self.field(self.parameters, t, z), self.others, carry.n, carry.state, dw
        )
        t = self._time(carry.n + 1)
        folded = tuple(
            tuple(m.update(c, t, x) for c, x in zip(before, observed(m, state), strict=True))
            for m, before in zip(self.measures, carry.measures, strict=True)
        )
        return carry._replace(n=carry.n + 1, state=state, measures=folded), None

    def block(self, carry: _Carry, length: int, every: int | None) -> tuple[_Carry, Any]:
        """A block of steps, with the states after every `every`-th of them."""
        if isinstance(self.memory, BlockedAdjoint):
            state, saved = self._adjoint_block(carry, length, every or length)
            saved = None if every is None else observed_later(self.observe, self.each, saved)
            return self._checked(carry._replace(n=carry.n + length, state=state)), saved
        dw = self.draws(self.others, carry.n, length)
        one = self.each(self.one, (_LANES, 1), (_LANES, None))
        if every is None:
            carry, saved = lax.scan(one, carry, dw, length)
        elif every == 1:
            whole = isinstance(self.memory, StoreAll)  # every state is stored anyway
            carry, saved = lax.scan(
                lambda c, x: (c := one(c, x)[0], c.state if whole else self._kept(c.state)),
                carry,
                dw,
                length,
            )
            saved = observed_later(self.observe, self.each, saved) if whole else saved
        else:

            def group(carry: _Carry, dw: Any) -> tuple[_Carry, Any]:
                carry, _ = lax.scan(one, carry, dw, every)
                return carry, self._kept(carry.state)

            if dw is not None:
                dw = dw.reshape(length // every, every, *dw.shape[1:])
            carry, saved = lax.scan(group, carry, dw, length // every)
        return self._checked(carry), saved

    def run(self, carry: _Carry, length: int, every: int | None) -> tuple[_Carry, Any]:
        """Any number of steps, block after block."""
        most = block_length(self.memory, length)
        if every is not None and every > most:
            return lax.scan(
                lambda c, _: (c := self.run(c, every, None)[0], self._kept(c.state)),
                carry,
                None,
                length // every,
            )
        size = most if every is None else most // every * every
        blocks, rest = divmod(length, size)
        again = self.memory is None or isinstance(self.memory, Checkpoint)
        saved = []
        if blocks:
            part = self._part(size, every, again)
            carry, states = lax.scan(lambda c, _: part(c), carry, None, blocks)
            saved.append(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), states))
        if rest:
            carry, states = self._part(rest, every, again)(carry)
            saved.append(states)
        return carry, None if every is None else jax.tree.map(lambda *x: jnp.concatenate(x), *saved)

    def _kept(self, state: Any) -> Any:
        return state if self.observe is None else self.each(self.observe, (1,), 1)(state)

    def _part(self, size: int, every: int | None, again: bool) -> Callable[[_Carry], Any]:
        def part(carry: _Carry) -> Any:
            return self.block(carry, size, every)

        return jax.checkpoint(part) if again else part

    def _checked(self, carry: _Carry) -> _Carry:
        """Remember the last state that was finite."""

        def of_lane(state: Any, well: Any, last_well: Any) -> Any:
            finite = _finite(state)
            kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), state, last_well)
            return jnp.where(finite, carry.n, well), kept

        state, well, last_well = carry.state, carry.well, carry.last_well
        well, last_well = self.each(of_lane, (1, 1, 1), 1)(state, well, last_well)
        return carry._replace(well=well, last_well=last_well)

    def _adjoint_block(self, carry: _Carry, length: int, every: int) -> tuple[Any, Any]:
        (given, others), rest = eqx.partition((self.parameters, self.others), eqx.is_inexact_array)
        arrays, fixed = eqx.partition(rest, eqx.is_array)
        implementation = None if self.key is None else jax.random.key_impl(self.key)
        raw = None if self.key is None else jax.random.key_data(self.key)

        def make(context: Any) -> Stepping:
            arrays, raw, rows = context
            of_field, of_step = eqx.combine(arrays, fixed)
            key = None if raw is None else jax.random.wrap_key_data(raw, impl=implementation)
            lane = dataclasses.replace(self, key=key, rows=rows)
            return Stepping(
                field=lambda given, t, z: self.field(eqx.combine(given, of_field), t, z),
                step=lambda f, o, n, z, dw: lane.step(f, eqx.combine(o, of_step), n, z, dw),
                draws=lambda o, n, length: lane.draws(eqx.combine(o, of_step), n, length),
                each=self.each,
            )

        given, others = jax.tree.map(jnp.asarray, (given, others))
        return adjoint_block(
            make, (arrays, raw, self.rows), given, others, carry.state, carry.n, length, every
        )


def _finite(state: Any) -> Any:
    return functools.reduce(
        jnp.logical_and, [jnp.isfinite(x).all() for x in jax.tree.leaves(state)]
    )
