"""Bifurcation points between the steps of a branch: solved, classified, differentiable."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._continuation.corrector import corrected
from rnnjax._continuation.problem import Located, Path, Taken, Type
from rnnjax._numerics.dense import solve
from rnnjax._numerics.implicit import root_of
from rnnjax._types import Array
from rnnjax.bifurcations._base import Family, jacobian_and_value
from rnnjax.circuits._flat import FlatField

_NEWTON = 12  # corrections of a point at most
_SAME = 1e-7  # scaled distance below which two points of one type are one


class _Guess(NamedTuple):
    """Where a test vanishes, to begin with, scaled."""

    u: Array
    tangent: Array
    at: Array
    step: Array
    wanted: Array


def locate(
    field: FlatField, path: Path, units: Array, types: tuple[Type, ...], taken: Taken,
    length: Array, slots: int,
) -> tuple[Located, Array]:  # fmt: skip
    """Every place in a record of attempts where a test vanished, `slots` of each type at most.

    With it, how many there was no room for.

    Args:
        field: the vector field, with its scale.
        path: what was followed, in scaled coordinates.
        units: what a scaled unit of its unknowns is.
        types: the bifurcations looked for.
        taken: the record, attempts in front.
        length: how far along the branch each attempt began, signed.
        slots: how many points of one type there is room for.
    """
    if not types:
        return _nothing(field.scale.size), jnp.zeros((), jnp.int32)
    vanishes = jnp.isfinite(taken.root) & taken.taken[:, None]
    chosen = jnp.argsort(~vanishes, axis=0, stable=True)[:slots].T  # (type, slot)

    def guessed(kind: Array, k: Array) -> _Guess:
        begin, end, onward, step, _, root = jax.tree.map(lambda x: x[k], taken)
        share = jnp.where(vanishes[k, kind], root[kind], 0.0)
        tangent = begin.tangent + share * (onward - begin.tangent)
        tangent = tangent / jnp.sqrt(tangent @ tangent)
        guess = begin.u + share * (end - begin.u)
        u, near = corrected(lambda z: path.equations(z, begin.frame), guess, tangent)
        sign = jnp.where(length[k] < 0, -1.0, 1.0)
        return _Guess(
            jnp.where(near, u, guess), tangent, length[k] + sign * share * step, step,
            vanishes[k, kind],
        )  # fmt: skip

    guesses = jax.vmap(jax.vmap(guessed, (None, 0)))(jnp.arange(len(types)), chosen)
    found = []
    for index, type_ in enumerate(types):
        near = jax.tree.map(lambda x, index=index: x[index], guesses)
        if found:  # one after the other: what calls LAPACK must not do so at once, see `_small`
            near = near._replace(u=_after(near.u, found[-1].kind))
        found.append(
            jax.vmap(lambda g, index=index, type_=type_: _solved(field, units, type_, index, g))(
                near
            )
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


def _solved(field: FlatField, units: Array, type_: Type, index: int, guess: _Guess) -> Located:
    scale, member = field.scale, type_.member
    count = scale.size
    near, tangent = guess.u * units, guess.tangent * units
    still = field.frozen
    unknowns, constants = lax.stop_gradient(type_.begin(still, near, tangent))
    # what a type has beside state and parameters counts in units of its own size
    others = jnp.where(unknowns == 0, 1.0, abs(unknowns)).at[:count].set(scale)

    def equations(z: Array) -> Array:
        return member.equations(still, z, constants)

    z, size = _newton(equations, unknowns, others)
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


def _newton(equations: Family, start: Array, units: Array) -> tuple[Array, Array]:
    """Newton's method; the solution and the size of the last change in its units."""

    def body(now: Any) -> Any:
        z, _, count = now
        derivatives, value = jacobian_and_value(equations, z)
        change = solve(derivatives, -value)
        new = jnp.sqrt(jnp.sum((change / units) ** 2))
        better = jnp.isfinite(new)
        return jnp.where(better, z + change, z), jnp.where(better, new, jnp.inf), count + 1

    def go(now: Any) -> Any:
        _, size, count = now
        return (count < 2) | ((count < _NEWTON) & (size > 1e-12) & jnp.isfinite(size))

    none = jnp.full((), jnp.inf), jnp.zeros((), jnp.int32)
    z, size, _ = lax.while_loop(go, body, (start, *none))
    return z, size


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
