"""Bifurcation points between the steps of a branch: solved, classified, differentiable."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._follow import Taken, corrected
from rnnjax._linalg import root_of
from rnnjax._small import solve
from rnnjax._types import Array
from rnnjax.bifurcations._base import AbstractBifurcation, Family, jacobian_and_value

_NEWTON = 12  # corrections of a point at most
_SAME = 1e-7  # scaled distance below which two points of one type are one


class Families(NamedTuple):
    """The vector field of state and parameter `(n + 1,)`, as it is needed.

    Attributes:
        of: the vector field of given arrays of the circuit and its input; it captures none.
        arrays: those, which may be differentiated.
        frozen: the field without derivatives.
        scaled: `frozen` in scaled coordinates.
        scale: what one scaled unit of state and parameter is.
    """

    of: Callable[[Any], Family]
    arrays: Any
    frozen: Family
    scaled: Family
    scale: Array

    @property
    def live(self) -> Family:
        """The field with its derivatives."""
        return self.of(self.arrays)


class Located(NamedTuple):
    """Bifurcation points of a branch, each entry one place where a test vanished.

    Attributes:
        u: the point, `(slot, n + 1)`.
        tangent: of the branch there.
        at: how far along the branch, scaled, the start at 0.
        label: the index of its type.
        frequency, coefficient, kind: see `bifurcations._base.Found`.
        found: it is one.
        unsolved: a test vanished, but its equations could not be solved.
        reach: the length of the step in which it did, scaled.
    """

    u: Array
    tangent: Array
    at: Array
    label: Array
    frequency: Array
    coefficient: Array
    kind: Array
    found: Array
    unsolved: Array
    reach: Array


class _Guess(NamedTuple):
    """Where a test vanishes, to begin with, scaled."""

    u: Array
    tangent: Array
    at: Array
    step: Array
    wanted: Array


def locate(
    families: Families, types: tuple[AbstractBifurcation, ...], taken: Taken, length: Array,
    slots: int,
) -> Located:  # fmt: skip
    """Every place in a record of attempts where a test vanished, `slots` of each type at most.

    Args:
        families: the vector field.
        types: the bifurcations looked for.
        taken: the record, attempts in front.
        length: how far along the branch each attempt began, signed.
        slots: how many points of one type there is room for.
    """
    vanishes = jnp.isfinite(taken.root) & taken.taken[:, None]
    chosen = jnp.argsort(~vanishes, axis=0, stable=True)[:slots].T  # (type, slot)

    def guessed(kind: Array, k: Array) -> _Guess:
        begin, end, onward, step, _, root = jax.tree.map(lambda x: x[k], taken)
        share = jnp.where(vanishes[k, kind], root[kind], 0.0)
        tangent = begin.tangent + share * (onward - begin.tangent)
        tangent = tangent / jnp.sqrt(tangent @ tangent)
        guess = begin.u + share * (end - begin.u)
        u, near = corrected(families.scaled, guess, tangent, 1e-8)
        sign = jnp.where(length[k] < 0, -1.0, 1.0)
        return _Guess(
            jnp.where(near, u, guess), tangent, length[k] + sign * share * step, step,
            vanishes[k, kind],
        )  # fmt: skip

    guesses = jax.vmap(jax.vmap(guessed, (None, 0)))(jnp.arange(len(types)), chosen)
    found = [
        jax.vmap(lambda g, index=index, type_=type_: _solved(families, type_, index, g))(
            jax.tree.map(lambda x, index=index: x[index], guesses)
        )
        for index, type_ in enumerate(types)
    ]
    return jax.tree.map(lambda *x: jnp.concatenate(x), *found)


def _solved(families: Families, type_: AbstractBifurcation, index: int, guess: _Guess) -> Located:
    scale = families.scale
    count = scale.size
    u, tangent = guess.u * scale, guess.tangent * scale
    unknowns, constants = lax.stop_gradient(type_.begin(families.frozen, u, tangent))
    units = jnp.ones_like(unknowns).at[:count].set(scale)

    def equations(z: Array) -> Array:
        return type_.equations(families.frozen, z, constants)

    z, size = _newton(equations, unknowns, units)
    moved = z[:count] / scale - guess.u
    solved = (size < 1e-9) & (jnp.sqrt(moved @ moved) <= 2 * guess.step) & guess.wanted
    z = jnp.where(solved, z, unknowns)
    of = families.of
    z = root_of(lambda p, z, c: type_.equations(of(p), z, c), families.arrays, z, constants)
    form = type_.normal_form(families.live, z, constants)
    return Located(
        z[:count], tangent, guess.at, jnp.full((), index, jnp.int32), form.frequency,
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
