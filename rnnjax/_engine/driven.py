"""An input as the steps of a run meet it: a function of when a stage is."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool

from rnnjax._machine.identity import identity_of
from rnnjax._machine.kept import traced_once
from rnnjax._numerics.digits import Digits, digits, in_full, in_parts, put_together, two_parts
from rnnjax._numerics.implicit import is_symbolic, without_derivatives
from rnnjax._numerics.moments import AbstractMoment, GridMoment, LaneMoment
from rnnjax._precision import default_dtype
from rnnjax._types import (
    Array,
    Arrays,
    DTypeLike,
    Float,
    Input,
    InputLike,
    PerUnit,
    Scalar,
    State,
    as_given,
)
from rnnjax.inputs._base import AbstractInput

_ASIDE = 2.0**-40  # of the shortest step, how far from a bend an input is looked at
_UNKNOWN = 2.0**-50  # of its size, how far a time may be off from where a function jumps


class DrivenBy(eqx.Module):
    """A function of time, given as the sum of several of its kind, in whose numbers no digit is lost.

    Attributes:
        parts: what adds up to the function; one where it is taken as it is.
        made_of: the numbers that a plain function holds, in a checksum: with others it is another one,
            and is looked at again.
    """

    parts: tuple[Any, ...]
    made_of: str = eqx.field(static=True, default="")

    @property
    def rounded(self) -> Any:
        """The function with its numbers in the dtype of the program."""
        return self.parts[0]

    def whole(self) -> Any:
        """The function with all of its digits; in a float64 scope."""
        taken = len(self.parts) == 1 or not isinstance(self.rounded, eqx.Module)
        return self.parts[0] if taken else put_together(self.parts)

    def at(self, when: AbstractMoment) -> Input:
        """The input at a moment, in the dtype of the program."""
        if isinstance(self.rounded, AbstractInput) and not self.rounded.varies:
            return self.rounded(jnp.zeros(()))
        return _at(self, when) if isinstance(self.rounded, eqx.Module) else _looked_at(self, when)

    def opened(self) -> "DrivenBy":
        """With the numbers that a plain function captured as arrays of its own."""
        if isinstance(self.rounded, eqx.Module):
            return self
        with jax.enable_x64(True):
            held = jnp.zeros((), jnp.float64)
            return DrivenBy((eqx.filter_closure_convert(self.rounded, held),), self.made_of)


def driven_by(input: InputLike | DrivenBy, dtype: DTypeLike | None = None) -> DrivenBy:
    """An input for a run of some dtype, that of the scope unless given."""
    if isinstance(input, DrivenBy):
        return input
    if not isinstance(input, eqx.Module):
        return DrivenBy((input,), identity_of(input=input)["input"])
    return DrivenBy(in_parts(input, default_dtype() if dtype is None else dtype))


def input_at_first(input: DrivenBy) -> Input:
    """The input at time 0."""
    zero = digits(jnp.zeros(()), default_dtype())
    return input.at(GridMoment(zero, zero, jnp.zeros((), jnp.int32)))


def _looked_at(input: DrivenBy, when: AbstractMoment) -> Input:
    return in_full(_value, input, when)


_at = traced_once(_looked_at)


def _value(input: DrivenBy, when: AbstractMoment) -> Input:
    whole = input.whole()
    return whole(_on_its_side(whole, when))


def _on_its_side(input: Callable[[Scalar], Input], when: AbstractMoment) -> Float[Array, "..."]:
    """When an input is looked at: at the end of a step before a jump there, at its start after it."""
    t = found = when.ms()
    jumps = known_jumps(input)
    if when.side != 0 and (jumps is None or any(jnp.ndim(j) for j in jumps)):
        found = t + when.side * _UNKNOWN * when.span()
    if isinstance(input, AbstractInput) and input.bends() != ():
        found = _beside_bends(input, when, found)
    for jump in jumps or ():
        if jnp.ndim(jump):  # each unit has its own, and is told by itself
            continue
        j = lax.stop_gradient(jnp.asarray(jump, t.dtype))
        near, after = when.beside(t, j)
        there = jnp.where(after, j, j - 2.0**-51 * abs(j) - 1e-290)
        found = jnp.where(near, there + (t - lax.stop_gradient(t)), found)
    return found


def _beside_bends(
    input: AbstractInput, when: AbstractMoment, t: Float[Array, "..."]
) -> Float[Array, "..."]:
    """A time `t` (ms) that is not that of a bend, where derivatives by the bend would be of either side."""
    aside = _ASIDE * jnp.minimum(input.longest_step(), 1.0) + _UNKNOWN * when.span()
    if when.placed:
        return t + lax.stop_gradient(when.side * aside) if when.side != 0 else t
    for bends in input.bends() or ():
        bends = jnp.ravel(lax.stop_gradient(jnp.asarray(bends, t.dtype)))
        here = jnp.searchsorted(bends, lax.stop_gradient(t))
        for k in (here - 1, here):
            gap = lax.stop_gradient(t) - bends[jnp.clip(k, 0, bends.size - 1)]
            more = jnp.where(gap >= 0, aside, -aside) - gap
            t = t + lax.stop_gradient(jnp.where(abs(gap) < aside, more, 0))
    return t


def known_jumps(input: InputLike) -> tuple[PerUnit, ...] | None:
    """When (ms) an input jumps; None where that is not known."""
    return input.jumps() if isinstance(input, AbstractInput) else None


def each_jump(jumps: tuple[PerUnit, ...] | None) -> list[Scalar]:
    """The jumps one by one, those of all units where they have their own."""
    return [at for x in jumps or () for at in (jnp.ravel(x) if jnp.ndim(x) else [x])]


def jumps_of(input: DrivenBy) -> tuple[Digits, ...]:
    """When (ms) an input jumps, as far as it is known."""
    if not known_jumps(input.rounded):
        return ()
    dtype = default_dtype()

    def found(input: DrivenBy) -> tuple[tuple[Array, Array], ...]:
        jumps = each_jump(input.whole().jumps())
        return tuple(two_parts(jnp.asarray(j, jnp.float64), dtype) for j in jumps)

    return tuple(Digits(parts) for parts in in_full(found, input))


def moved_by_jumps(
    state: State, jumps: tuple[Digits, ...], slope: Callable[[AbstractMoment, State], State],
    now: GridMoment, after: GridMoment,
) -> State:  # fmt: skip
    r"""The state, with what it would change by if the jumps in the step came later.

    $\partial x / \partial \tau = f(x, u(\tau^-)) - f(x, u(\tau^+))$: steps of fixed length do not
    feel it, since their stages do not move. Second derivatives of which one is by a jump are NaN
    where that one is taken last.

    Args:
        state: at the start of a step.
        jumps: when the input jumps.
        slope: `(moment, state) -> derivative`.
        now: the start of the step.
        after: its end.
    """
    if not jumps:
        return state
    arrays, fixed = eqx.partition((slope, now, after), eqx.is_array)

    @jax.custom_jvp
    def moved(state: State, jumps: tuple[Digits, ...], arrays: Arrays) -> State:
        return state

    def rule(primals: Arrays, tangents: Any) -> tuple[State, State]:
        state, jumps, arrays = primals
        changed = jax.tree.map(_instantiated, tangents[0], is_leaf=is_symbolic)
        slope, now, after = eqx.combine(arrays, fixed)
        for jump, moves in zip(jumps, tangents[1], strict=True):
            if all(is_symbolic(x) for x in moves.parts):
                continue
            by = jnp.stack([_instantiated(x) for x in moves.parts]).sum()
            here = in_full(_lies_between, *as_given((jump, now, after)))
            gap = _gap(state, jump, slope, here)
            changed = jax.tree.map(lambda x, g, by=by: x + by.astype(g.dtype) * g, changed, gap)
        one = without_derivatives(jumps, jnp.ones(()))
        changed = jax.tree.map(lambda x: x * one.astype(x.dtype), changed)
        return moved(state, jumps, arrays), changed

    moved.defjvp(rule, symbolic_zeros=True)
    return moved(state, jumps, arrays)


def _gap(
    state: State, jump: Digits, slope: Callable[[AbstractMoment, State], State],
    here: Bool[Array, ""],
) -> State:  # fmt: skip
    """By how much the slope before a jump exceeds that after it, where it is in the step."""
    zero = Digits((jnp.zeros_like(jump.value),))
    before, after = (slope(LaneMoment(zero, jump, None, side), state) for side in (-1, 1))
    return jax.tree.map(lambda a, b: jnp.where(here, a - b, jnp.zeros_like(a)), before, after)


def _lies_between(jump: Digits, now: GridMoment, after: GridMoment) -> Bool[Array, ""]:
    t, begin, end = jump.whole(), now.ms(), after.ms()
    off = now.off(t)
    return (t >= begin - off) & (t < end - off)


def _instantiated(x: Any) -> Array:
    return jnp.zeros_like(x.aval) if is_symbolic(x) else x
