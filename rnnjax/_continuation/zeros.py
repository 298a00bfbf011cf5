"""Where something vanishes between the steps of a line: by secants, or by equations of its own."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._continuation.corrector import corrected, solved_alone
from rnnjax._continuation.followed import Followed, Located, Type
from rnnjax._continuation.path import Seen
from rnnjax._continuation.problem import Taken
from rnnjax._numerics.implicit import root_of
from rnnjax._types import Array, Float

SeenT = TypeVar("SeenT")

Pair = tuple[Array, Array]

_SECANTS = 50  # looks at most
_NARROW = 1e-15  # of a step, what lies between the last two looks
_SAME = 1e-7  # scaled distance below which two points of one type are one


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
    ends: tuple[Float[Array, ""], Float[Array, ""]],
    first: Look[SeenT],
    wanted: Bool[Array, ""],
) -> tuple[Float[Array, ""], Look[SeenT]]:
    """Where a number changes its sign within a step, by secants that stay between its ends.

    The Illinois method.

    Args:
        look: what is there, at a share of the step.
        ends: the numbers where the step begins and where it ends.
        first: any look, of the shapes of the others.
        wanted: whether to look at all; else `first` is what is found.

    Returns:
        The share of the step, and what is there.
    """

    def body(now: tuple[Pair, Pair, Look[SeenT], Array]) -> tuple[Pair, Pair, Look[SeenT], Array]:
        (a, at_a), (b, at_b), _, k = now
        share = (a * at_b - b * at_a) / (at_b - at_a)
        found = look(share)
        # the end that stays counts half, so that it does not stay for long
        beyond = (found.value > 0) == (at_b > 0)
        a = jnp.where(beyond, a, b), jnp.where(beyond, at_a / 2, at_b)
        return a, (share, found.value), found, k + 1

    def go(now: tuple[Pair, Pair, Look[SeenT], Array]) -> Array:
        (a, _), (b, _), found, k = now
        more = found.fine & (abs(found.value) > found.small) & (abs(b - a) > _NARROW)
        return wanted & (k < _SECANTS) & ((k == 0) | more)

    before, after = ends
    start = (jnp.zeros(()), before), (jnp.ones(()), after), first, jnp.zeros((), jnp.int32)
    _, (share, _), found, _ = lax.while_loop(go, body, start)
    return share, found


class _Guess(NamedTuple):
    """Where a test vanishes, to begin with, scaled."""

    u: Array
    tangent: Array
    at: Array
    step: Array
    wanted: Array


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
        return _nothing(field.scale.size), jnp.zeros((), jnp.int32)
    seen: Seen = taken.seen
    vanishes = jnp.isfinite(seen.root) & taken.taken[:, None]
    chosen = jnp.argsort(~vanishes, axis=0, stable=True)[:slots].T  # (type, slot)

    def guessed(kind: Array, k: Array) -> _Guess:
        (begin, end, onward, root), step = jax.tree.map(lambda x: x[k], (seen, taken.step))
        share = jnp.where(vanishes[k, kind], root[kind], 0.0)
        tangent = begin.tangent + share * (onward - begin.tangent)
        tangent = tangent / jnp.sqrt(tangent @ tangent)
        guess = begin.u + share * (end - begin.u)
        u, near = corrected(followed.path.in_frame(begin.frame), guess, tangent)
        sign = jnp.where(along[k] < 0, -1.0, 1.0)
        return _Guess(
            jnp.where(near, u, guess), tangent, along[k] + sign * share * step, step,
            vanishes[k, kind],
        )  # fmt: skip

    guesses = jax.vmap(jax.vmap(guessed, (None, 0)))(jnp.arange(len(types)), chosen)
    found = []
    for index, type_ in enumerate(types):
        near = jax.tree.map(lambda x, index=index: x[index], guesses)
        if (
            found
        ):  # one after the other: what calls LAPACK must not do so at once, see `numerics.dense`
            near = near._replace(u=_after(near.u, found[-1].kind))
        found.append(
            jax.vmap(lambda g, index=index, type_=type_: _solved(followed, type_, index, g))(near)
        )
    lost = jnp.maximum(vanishes.sum(0, dtype=jnp.int32) - slots, 0).sum(dtype=jnp.int32)
    return jax.tree.map(lambda *x: jnp.concatenate(x), *found), lost


def _after(x: Array, kind: Array) -> Array:
    """`x`, which waits for `kind`, an index that is never negative."""
    return jnp.where((kind < 0).any(), jnp.nan, x)


def _nothing(count: int) -> Located:
    """What is found if nothing is looked for."""
    u, number, no = jnp.zeros((0, count)), jnp.zeros(0), jnp.zeros(0, bool)
    which = jnp.zeros(0, jnp.int32)
    return Located(u, u, number, which, number, number, which, no, no, number)


def _solved(followed: Followed, type_: Type, index: int, guess: _Guess) -> Located:
    field, units, member = followed.field, followed.units, type_.member
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
    solved = (size < 1e-9) & (jnp.sqrt(moved @ moved) <= 2 * guess.step) & guess.wanted
    # how far along is known as well as the point is, so that close ones keep their order
    ahead = jnp.where(solved, guess.tangent[:count] @ moved, 0.0)
    at = guess.at + jnp.where(guess.at < 0, -ahead, ahead)
    z = jnp.where(solved, z, unknowns)
    z = root_of(lambda p, z, c: member.equations(field.of(p), z, c), field.arrays, z, constants)
    form = member.normal_form(field, z, constants)
    return Located(
        z[:count], tangent, at, jnp.full((), index, jnp.int32), form.frequency,
        form.coefficient, form.kind, solved & form.genuine, guess.wanted & ~solved, guess.step,
    )  # fmt: skip


def sorted_once(found: Located, scale: Array) -> Located:
    """In the order of the branch, the found ones first, each of them once.

    A test whose equations are singular because another bifurcation happens in the same step (that
    of the fold, at a pitchfork) counts as solved.
    """
    distance = abs(found.u[:, None] - found.u[None]) / scale
    same = (distance <= _SAME).all(-1) & (found.label[:, None] == found.label[None])
    earlier = jnp.tril(jnp.ones(same.shape, bool), -1) & found.found[None]
    beside = abs(found.at[:, None] - found.at[None]) <= found.reach[:, None]
    explained = (beside & found.found[None]).any(-1)
    found = found._replace(
        found=found.found & ~(same & earlier).any(-1), unsolved=found.unsolved & ~explained
    )
    order = jnp.argsort(jnp.where(found.found, found.at, jnp.inf), stable=True)
    return jax.tree.map(lambda x: x[order], found)
