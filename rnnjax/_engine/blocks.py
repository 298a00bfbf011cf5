"""Fixed steps block after block, with measures on the way.

A run is a scan over blocks of at most `BLOCK` scanned steps. A block is the unit in which noise is
drawn, in which the state is checked for being finite, and which reverse-mode differentiation
computes again instead of storing.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._engine.failed_lanes import FAILED, apart_from_failures
from rnnjax._engine.one_step import Beside, OneStep
from rnnjax._numerics.digits import Digits, chosen
from rnnjax._numerics.implicit import only
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
from rnnjax._types import Array, Arrays, Float, State
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


_HARDLY = 2.0**-40  # of its length, the step of a lane that failed
_LANES = Carry(None, -1, -1, -1, -1)  # pyright: ignore


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Steps of one lane, or of a batch with the lanes last.

    Attributes:
        step: a step.
        memory: what reverse mode keeps.
        measures: what is folded in at every step.
        observe: what is saved of a state; all of it unless given.
        began: the number of steps before the window that is measured.
        safe: a state from which lanes that failed are stepped where derivatives go back.
    """

    step: OneStep
    memory: AbstractMemory | None
    measures: tuple[AbstractMeasure, ...] = ()
    observe: Callable[[State], Arrays] | None = None
    began: Int[Array, ""] | int = 0
    safe: State | None = None

    def since(self, n: Int[Array, ""]) -> Float[Array, ""]:
        """The time (ms) after n steps since the window that is measured began."""
        step = self.step.beside.step
        return (n - self.began).astype(step.dtype) * step

    def begin(self, carry: Carry) -> Carry:
        """The carry at the start of the window that is measured."""

        def of_lane(state: State) -> tuple[Arrays, ...]:
            return begun(self.measures, self.since(carry.n), state)

        return carry._replace(measures=self.step.each(of_lane, (1,), 1)(carry.state))

    def finish(self, carry: Carry) -> tuple[Arrays, ...]:
        """The measures' results, each in the structure of what it observes."""

        def of_lane(state: State, carried: tuple[Arrays, ...]) -> tuple[Arrays, ...]:
            return finished(self.measures, carried, self.since(carry.n), state)

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
            return self.block(carry, size, every)

        if not again:
            return part
        if self.safe is None:
            return jax.checkpoint(part)
        policy = jax.checkpoint_policies.save_only_these_names(FAILED)
        return jax.checkpoint(_guarded(self, size, every), policy=policy)

    def block(self, carry: Carry, length: int, every: int | None) -> tuple[Carry, Arrays]:
        """Steps that are drawn, checked and differentiated together, and what is saved of them."""
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
        t = self.since(carry.n + 1)
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
            return chosen(fine, (carry.n, state), (well, last_well))

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
                field=lambda given, when, z: step.field(eqx.combine(given, of_field), when, z),
                step=lambda f, b, n, z, dw: lane(f, whole(b), n, z, dw),
                draws=lambda b, n, length: lane.draws(whole(b), n, length),
                each=step.each,
            )

        given, beside = jax.tree.map(jnp.asarray, (given, beside))
        context = arrays, raw, step.rows
        return adjoint_block(make, context, given, beside, carry.state, carry.n, length, every)


def _guarded(
    blocks: Blocks, size: int, every: int | None
) -> Callable[[Carry], tuple[Carry, Arrays]]:
    """A block of which the lanes that fail have no part in the derivatives of the others."""

    def part(carry: Carry) -> tuple[Carry, Arrays]:
        arrays, fixed = eqx.partition((_context(blocks), carry), eqx.is_array)
        smooth, others = eqx.partition(arrays, eqx.is_inexact_array)

        def whole(smooth: Arrays, others: Arrays) -> tuple[Blocks, Carry]:
            context, carry = eqx.combine(smooth, others, fixed)
            (parameters, beside, key), rest = context
            step = dataclasses.replace(blocks.step, parameters=parameters, beside=beside, key=key)
            return Blocks(step, blocks.memory, *rest), carry

        def block(smooth: Arrays, others: Arrays) -> tuple[Arrays, Arrays]:
            own, carry = whole(smooth, others)
            return eqx.partition(own.block(carry, size, every), eqx.is_inexact_array)

        def failed(found: Arrays) -> Bool[Array, "*lane"]:
            return ~blocks.step.each(finite, (1,), 1)(found[0].state)

        def instead(bad: Bool[Array, "*lane"], smooth: Arrays, others: Arrays) -> Arrays:
            own, carry = whole(smooth, others)
            own, carry = _safely(own, bad, carry)
            return eqx.filter((_context(own), carry), eqx.is_inexact_array)

        found, rest = apart_from_failures(block, failed, instead, _refused)(smooth, others)
        return eqx.combine(found, rest)

    return part


def _context(blocks: Blocks) -> tuple[Any, Any]:
    """All that its steps depend on."""
    step = blocks.step
    rest = blocks.measures, blocks.observe, blocks.began, blocks.safe
    return (step.parameters, step.beside, step.key), rest


def _safely(blocks: Blocks, bad: Bool[Array, "*lane"], carry: Carry) -> tuple[Blocks, Carry]:
    """For lanes that failed: a state that lasts, since they hardly step."""
    step, safe = blocks.step, blocks.safe

    def state_of(bad: Bool[Array, ""], carry: Carry) -> Carry:
        measured = ()
        if carry.measures:
            measured = begun(blocks.measures, blocks.since(carry.n), safe)
        new = carry._replace(state=safe, measures=measured, last_well=safe)
        return chosen(bad, new, carry)._replace(n=carry.n)  # shared by the lanes

    if not step.lanes:  # of a batch the step is that of all
        slow = jnp.where(bad, _HARDLY, 1.0)
        grid = Digits(tuple(x * slow.astype(x.dtype) for x in step.beside.grid.parts))
        step = dataclasses.replace(step, beside=step.beside._replace(grid=grid))
    carry = step.each(state_of, (1, _LANES), _LANES)(bad, carry)
    return dataclasses.replace(blocks, step=step), carry


def _refused(bad: Bool[Array, "*lane"], change: tuple[Carry, Arrays]) -> tuple[Carry, Arrays]:
    """Derivatives of what lanes that failed came to, NaN if asked for; their measures are NaN anyway."""
    carry, saved = change
    state, saved = jax.tree.map(lambda x: only(~bad, x), (carry.state, saved))
    return carry._replace(state=state), saved


def finite(state: State) -> Bool[Array, ""]:
    """Whether all of a state is."""
    return functools.reduce(
        jnp.logical_and, [jnp.isfinite(x).all() for x in jax.tree.leaves(state)]
    )
