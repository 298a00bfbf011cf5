"""Fixed steps block after block, with measures on the way.

A run is a scan over blocks of at most `BLOCK` scanned steps. A block is the unit in which noise is
drawn, in which the state is checked for being finite, and which reverse-mode differentiation
computes again instead of storing.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._engine.one_step import Beside, OneStep
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
from rnnjax._types import Array, Arrays, State
from rnnjax.measures._base import AbstractMeasure, begun, finished, observed


class Carry(NamedTuple):
    """What goes from step to step.

    Attributes:
        n: how many steps there were.
        state: after them.
        measures: what each measure carries.
        well: the number of steps up to the last block that ended finite.
        last_well: the state then.
    """

    n: Int[Array, ""]
    state: State
    measures: tuple[Arrays, ...]
    well: Int[Array, "*lane"]
    last_well: State


_LANES = Carry(None, -1, -1, -1, -1)  # pyright: ignore


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Steps of one lane, or of a batch with the lanes last.

    Attributes:
        step: a step.
        memory: what reverse mode keeps.
        measures: what is folded in at every step.
        observe: what is saved of a state; all of it unless given.
    """

    step: OneStep
    memory: AbstractMemory | None
    measures: tuple[AbstractMeasure, ...] = ()
    observe: Callable[[State], Arrays] | None = None

    def begin(self, carry: Carry) -> Carry:
        """The carry at the start of the window that is measured."""

        def of_lane(state: State) -> tuple[Arrays, ...]:
            return begun(self.measures, self.step.time(carry.n), state)

        return carry._replace(measures=self.step.each(of_lane, (1,), 1)(carry.state))

    def finish(self, carry: Carry) -> tuple[Arrays, ...]:
        """The measures' results, each in the structure of what it observes."""

        def of_lane(state: State, carried: tuple[Arrays, ...]) -> tuple[Arrays, ...]:
            return finished(self.measures, carried, self.step.time(carry.n), state)

        return self.step.each(of_lane, (1, 1), 1)(carry.state, carry.measures)

    def run(self, carry: Carry, length: int, every: int | None) -> tuple[Carry, Arrays]:
        """Any number of steps, and what is saved after every `every`-th of them."""
        most = block_length(self.memory, length)
        if every is not None and every > most:
            return lax.scan(
                lambda c, _: (c := self.run(c, every, None)[0], self._saved(c.state)),
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

    def _part(
        self, size: int, every: int | None, again: bool
    ) -> Callable[[Carry], tuple[Carry, Arrays]]:
        def part(carry: Carry) -> tuple[Carry, Arrays]:
            return self._block(carry, size, every)

        return jax.checkpoint(part) if again else part

    def _block(self, carry: Carry, length: int, every: int | None) -> tuple[Carry, Arrays]:
        if isinstance(self.memory, BlockedAdjoint):
            state, saved = self._adjoint_block(carry, length, every or length)
            saved = None if every is None else observed_later(self.observe, self.step.each, saved)
            return self._checked(carry._replace(n=carry.n + length, state=state)), saved
        dw = self.step.draws(self.step.beside, carry.n, length)
        one = self.step.each(self._one, (_LANES, 1), (_LANES, None))
        if every is None:
            carry, saved = lax.scan(one, carry, dw, length)
        elif every == 1:
            whole = isinstance(self.memory, StoreAll)  # every state is stored anyway
            carry, saved = lax.scan(
                lambda c, x: (c := one(c, x)[0], c.state if whole else self._saved(c.state)),
                carry,
                dw,
                length,
            )
            saved = observed_later(self.observe, self.step.each, saved) if whole else saved
        else:

            def group(carry: Carry, dw: Arrays) -> tuple[Carry, Arrays]:
                carry, _ = lax.scan(one, carry, dw, every)
                return carry, self._saved(carry.state)

            if dw is not None:
                dw = dw.reshape(length // every, every, *dw.shape[1:])
            carry, saved = lax.scan(group, carry, dw, length // every)
        return self._checked(carry), saved

    def _one(self, carry: Carry, dw: Arrays) -> tuple[Carry, None]:
        """One step of one lane."""
        field = functools.partial(self.step.field, self.step.parameters)
        state = self.step(field, self.step.beside, carry.n, carry.state, dw)
        t = self.step.time(carry.n + 1)
        folded = tuple(
            tuple(m.update(c, t, x) for c, x in zip(before, observed(m, state), strict=True))
            for m, before in zip(self.measures, carry.measures, strict=True)
        )
        return carry._replace(n=carry.n + 1, state=state, measures=folded), None

    def _saved(self, state: State) -> Arrays:
        return state if self.observe is None else self.step.each(self.observe, (1,), 1)(state)

    def _checked(self, carry: Carry) -> Carry:
        """Remember the last state that was finite."""

        def of_lane(
            state: State, well: Int[Array, ""], last_well: State
        ) -> tuple[Int[Array, ""], State]:
            fine = finite(state)
            last = jax.tree.map(lambda new, old: jnp.where(fine, new, old), state, last_well)
            return jnp.where(fine, carry.n, well), last

        state, well, last_well = carry.state, carry.well, carry.last_well
        well, last_well = self.step.each(of_lane, (1, 1, 1), 1)(state, well, last_well)
        return carry._replace(well=well, last_well=last_well)

    def _adjoint_block(self, carry: Carry, length: int, every: int) -> tuple[State, State]:
        step = self.step
        (given, beside), rest = eqx.partition((step.parameters, step.beside), eqx.is_inexact_array)
        arrays, fixed = eqx.partition(rest, eqx.is_array)
        implementation = None if step.key is None else jax.random.key_impl(step.key)
        raw = None if step.key is None else jax.random.key_data(step.key)

        def make(context: Arrays) -> Stepping:
            arrays, raw, rows = context
            of_field, of_step = eqx.combine(arrays, fixed)
            key = None if raw is None else jax.random.wrap_key_data(raw, impl=implementation)
            lane = dataclasses.replace(step, key=key, rows=rows)

            def whole(beside: Beside) -> Beside:
                return eqx.combine(beside, of_step)

            return Stepping(
                field=lambda given, t, z: step.field(eqx.combine(given, of_field), t, z),
                step=lambda f, b, n, z, dw: lane(f, whole(b), n, z, dw),
                draws=lambda b, n, length: lane.draws(whole(b), n, length),
                each=step.each,
            )

        given, beside = jax.tree.map(jnp.asarray, (given, beside))
        context = arrays, raw, step.rows
        return adjoint_block(make, context, given, beside, carry.state, carry.n, length, every)


def finite(state: State) -> Bool[Array, ""]:
    """Whether all of a state is."""
    return functools.reduce(
        jnp.logical_and, [jnp.isfinite(x).all() for x in jax.tree.leaves(state)]
    )
