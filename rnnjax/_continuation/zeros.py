"""Where something vanishes between the steps of a line: by secants, or by equations of its own."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.corrector import hermite, solved_alone
from rnnjax._continuation.followed import Between, Followed, Located, Zero
from rnnjax._continuation.path import Seen
from rnnjax._continuation.problem import Taken
from rnnjax._continuation.several import jumps_in, several, zero_of_several
from rnnjax._numerics.digits import chosen
from rnnjax._numerics.implicit import root_of
from rnnjax._numerics.slots import slots_of
from rnnjax._types import AnyArray, Array, Bool, Float, Int, numpy_of

SeenT = TypeVar("SeenT")

Pair = tuple[Array, Array]

_SECANTS = 50  # looks at most
_NARROW = 1e-15  # of a step, what lies between the last two looks
_SAME = 1e-7  # scaled distance below which two points of one type are one
_BESIDE = 1e-4  # and the same of one at which a test is singular


class Look(eqx.Module, Generic[SeenT]):
    """What is found within a step.

    Attributes:
        value: what is to vanish.
        small: below this it has.
        fine: whether there was something to look at.
        seen: what was there.
    """

    value: Float[Array, ""]
    small: Float[Array, ""]
    fine: Bool[Array, ""]
    seen: SeenT


def secants(
    look: Callable[[Array], Look[SeenT]],
    ends: Pair | None,
    first: Look[SeenT],
    wanted: Bool[Array, ""],
) -> tuple[Float[Array, ""], Look[SeenT], Pair]:
    """Where a number changes its sign within a step, by secants that stay between its ends.

    The method of Anderson and Björck.

    Args:
        look: what is there, at a share of the step.
        ends: the numbers where the step begins and where it ends; if None they are looked at first.
        first: any look, of the shapes of the others.
        wanted: whether to look at all; else `first` is what is found.

    Returns:
        The share of the step, what is there, and the numbers at both ends; NaN where both have one sign.

    References:
        Anderson and Björck (1973), BIT 13:253-264.
    """
    unknown = ends is None
    before, after = (jnp.zeros(()), jnp.zeros(())) if ends is None else ends

    def body(now: _Secants[SeenT]) -> _Secants[SeenT]:
        (a, at_a), (b, at_b), k = now.a, now.b, now.looks
        share = (a * at_b - b * at_a) / (at_b - at_a)
        if unknown:
            share = jnp.where(k < 2, k.astype(share.dtype), share)
        found = look(share)
        new = share, found.value
        # the end that stays counts less, by what a parabola would say, so that it does not stay for long
        beyond = (found.value > 0) == (at_b > 0)
        less = 1 - found.value / at_b
        a = jnp.where(beyond, a, b), jnp.where(beyond, at_a * jnp.where(less > 0, less, 0.5), at_b)
        if not unknown:
            return _Secants(a, new, now.ends, found, k + 1)
        a = chosen(k == 0, new, chosen(k == 1, now.a, a))
        ends = chosen(k < 2, (a[1], found.value), now.ends)
        return _Secants(a, new, ends, found, k + 1)

    def go(now: _Secants[SeenT]) -> Array:
        (a, at_a), (b, at_b), found, k = now.a, now.b, now.found, now.looks
        more = found.fine & (abs(found.value) > found.small) & (abs(b - a) > _NARROW)
        if not unknown:
            return wanted & (k < _SECANTS) & ((k == 0) | more)
        within = found.fine & ((at_a > 0) != (at_b > 0))
        more = (k < 2) & ((k == 0) | found.fine) | within & ((k == 2) | more)
        return wanted & (k < _SECANTS) & more

    zero, one = jnp.zeros(()), jnp.ones(())
    start = _Secants((zero, before), (one, after), (before, after), first, jnp.zeros((), jnp.int32))
    end = lax.while_loop(go, body, start)
    within = (end.ends[0] > 0) != (end.ends[1] > 0)
    return jnp.where(within, end.b[0], jnp.nan), end.found, end.ends


class _Secants(eqx.Module, Generic[SeenT]):
    """Both ends of what is left of a step, with the numbers there; those where it began; the last look."""

    a: Pair
    b: Pair
    ends: Pair
    found: Look[SeenT]
    looks: Int[Array, ""]


class _Guess(NamedTuple):
    """Where a test vanishes, to begin with, scaled."""

    u: Array
    tangent: Array
    at: Array


def locate(
    followed: Followed, taken: Taken, along: Float[Array, " attempt"], slots: int
) -> tuple[Located, Int[Array, ""]]:
    """Every place in a record of attempts where a test vanished, `slots` of each type at most.

    With it, how many there was no room for.

    Args:
        followed: what was followed, with the bifurcations that are looked for.
        taken: the record, attempts in front.
        along: how far along the branch each attempt began, signed.
        slots: how many points of one type there is room for.
    """
    field, types = followed.field, followed.types
    if not types:
        return nothing(field.scale.size), jnp.zeros((), jnp.int32)
    seen: Seen = taken.seen
    vanishes = vanishes_in(taken)
    chosen = _first_of(vanishes, slots)  # (type, slot)

    def between(kind: Array, k: Array) -> Between:
        one: Seen = jax.tree.map(lambda x: x[k], seen)
        wanted, none = vanishes[k, kind], jnp.zeros((), jnp.int32)
        root = jnp.where(wanted, one.root[kind], 0.0)
        return Between(one, root, taken.step[k], along[k], wanted, none)

    steps = jax.vmap(jax.vmap(between, (None, 0)))(jnp.arange(len(types)), chosen)
    found = []
    for index in range(len(types)):
        near = jax.tree.map(lambda x, index=index: x[index], steps)
        if (
            found
        ):  # one after the other: what calls LAPACK must not do so at once, see `numerics.dense`
            near = near._replace(root=_after(near.root, found[-1].kind))
        found.append(_solved_between(followed, index, near))
    lost = jnp.maximum(vanishes.sum(0, dtype=jnp.int32) - slots, 0).sum(dtype=jnp.int32)
    if followed.crossings is not None:
        crossed = jnp.zeros(along.size, jnp.int32)
        for attempts, here, number in zip(chosen, found, followed.crossings, strict=True):
            crossed = crossed.at[attempts].add(jnp.where(here.found, number, 0).astype(jnp.int32))
        jumps = jumps_in(taken, crossed)

        def around(k: Array) -> Between:
            one: Seen = jax.tree.map(lambda x: x[k], seen)
            root = jnp.zeros(())
            return Between(one, root, taken.step[k], along[k], jumps[k] != 0, jumps[k])

        steps = jax.vmap(around)(_first_of((jumps != 0)[:, None], slots)[0])
        steps = steps._replace(root=_after(steps.root, found[-1].kind))
        found.append(_solved_between(followed, len(types), steps))
        lost = lost + jnp.maximum((jumps != 0).sum(dtype=jnp.int32) - slots, 0)
    return jax.tree.map(lambda *x: jnp.concatenate(x), *found), lost


def _first_of(wanted: Bool[Array, "attempt kind"], slots: int) -> Int[Array, "kind slot"]:
    """In which attempts each of the kinds occurs first, so many of them."""
    return jnp.argsort(~wanted, axis=0, stable=True)[:slots].T


def vanishes_in(taken: Taken) -> Bool[AnyArray, "attempt type"]:
    """In which of a record's attempts the test of each type vanished; on the host as well."""
    return numpy_of(taken).isfinite(taken.seen.root) & taken.taken[:, None]


def _after(x: Array, kind: Array) -> Array:
    """`x`, which waits for `kind`, an index that is never negative."""
    return jnp.where((kind < 0).any(), jnp.nan, x)


def nothing(count: int, slots: int = 0) -> Located:
    """What is found if nothing is looked for, or there is nothing: so many times."""
    u, number, no = np.zeros((slots, count)), np.zeros(slots), np.zeros(slots, bool)
    which = np.zeros(slots, np.int32)
    return Located(u, u, number, which, number, number, which, no, no, number, which + 1)


def _solved_between(followed: Followed, index: int, between: Between) -> Located:
    """What is of one of the types, solved for from within each of the steps in which it is."""
    zeros = jax.vmap(lambda b: zero_between(followed, index, b))(between)
    return all_located(followed, index, zeros)


def all_located(followed: Followed, index: int, zeros: Zero) -> Located:
    """Zeros of the test of one of the types with their derivatives; of one that is none, those of another."""
    slots = slots_of(zeros.solved, followed.field.arrays)
    z, constants = slots.filled((zeros.z, zeros.constants))
    live = followed._replace(field=followed.field.of(slots.given))
    return jax.vmap(lambda zero: located(live, index, zero))(
        zeros._replace(z=z, constants=constants)
    )


def zero_between(followed: Followed, index: int, between: Between) -> Zero:
    """What is of one of the types, solved for from within the step in which it is, without derivatives.

    Beyond the last of the types it is where several eigenvalues cross.
    """
    if index == len(followed.types):
        return zero_of_several(followed, between)
    type_ = followed.types[index]
    field, units, member = followed.field, followed.units, type_.member
    guess = _guessed(between)
    scale, still = field.scale, field.frozen
    count = scale.size
    near, tangent = guess.u * units, guess.tangent * units
    unknowns, constants = lax.stop_gradient(type_.begin(still, near, tangent))
    # what a type has beside state and parameters counts in units of its own size
    others = jnp.where(unknowns == 0, 1.0, abs(unknowns)).at[:count].set(scale)

    def equations(z: Array) -> Array:
        return member.equations(still, z, constants)

    z, size = solved_alone(equations, unknowns, others)
    moved = z[:count] / scale - guess.u[:count]
    solved = (size < 1e-9) & (jnp.sqrt(moved @ moved) <= 2 * between.step) & between.wanted
    # how far along is known as well as the point is, so that close ones keep their order
    ahead = jnp.where(solved, guess.tangent[:count] @ moved, 0.0)
    at = guess.at + jnp.where(jnp.signbit(between.at), -ahead, ahead)
    z = jnp.where(solved, z, unknowns)
    return Zero(z, constants, tangent, at, between.step, solved, between.wanted & ~solved)


def located(followed: Followed, index: int, zero: Zero) -> Located:
    """A zero of the test of one of the types with its derivatives, and its normal form."""
    if index == len(followed.types):
        return several(followed, zero)
    field, member, constants = followed.field, followed.types[index].member, zero.constants
    z = root_of(
        lambda p, z, c: member.equations(field.of(p), z, c), field.arrays, zero.z, constants
    )
    form = member.normal_form(field, z, constants)
    return Located(
        z[: field.scale.size], zero.tangent, zero.at, jnp.full((), index, jnp.int32),
        form.frequency, form.coefficient, form.kind, zero.solved & form.genuine, zero.unsolved,
        zero.reach, jnp.ones((), jnp.int32),
    )  # fmt: skip


def _guessed(between: Between) -> _Guess:
    """By the cubic through both ends of the step along their tangents."""
    (begin, end, onward, *_), share, step = between.seen, between.root, between.step
    u = hermite(begin.u, end, step * begin.tangent, step * onward, share)
    tangent = begin.tangent + share * (onward - begin.tangent)
    tangent = tangent / jnp.sqrt(tangent @ tangent)
    at = between.at + jnp.where(jnp.signbit(between.at), -share, share) * step
    return _Guess(u, tangent, at)


def sorted_once(found: Located, scale: AnyArray) -> Located:
    """In the order of the branch, the found ones first, each of them once; on the host as well.

    A test whose equations are singular because another bifurcation happens in the same step (that
    of the fold, at a pitchfork) counts as solved.
    """
    xp = numpy_of(found, scale)
    distance = abs(found.u[:, None] - found.u[None]) / scale
    alike = found.label[:, None] == found.label[None]
    first = xp.tril(xp.ones(alike.shape, bool), -1)
    # where several eigenvalues cross, what the equations of one lead to is not worth much
    number, other = found.multiplicity[:, None], found.multiplicity[None]
    earlier = ((first & (number == other)) | (number < other)) & found.found[None]
    within = xp.where(number < other, _BESIDE, _SAME)
    rests = found.frequency == 0
    alike |= (number < other) & (rests[:, None] == rests[None])
    same = (distance <= within[..., None]).all(-1) & alike
    beside = abs(found.at[:, None] - found.at[None]) <= found.reach[:, None]
    explained = (beside & found.found[None]).any(-1)
    found = found._replace(
        found=found.found & ~(same & earlier).any(-1), unsolved=found.unsolved & ~explained
    )
    order = xp.argsort(xp.where(found.found, found.at, np.inf), stable=True)
    return jax.tree.map(lambda x: x[order], found)
