"""A path followed outside of all transformations: each of its parts is compiled when it is needed.

The numbers are those of `whole_path`, without derivatives. The march is one program, and each type of
bifurcation that occurs another, so that what does not occur is never compiled.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._continuation.both_ways import Both, Way, put_in_order
from rnnjax._continuation.followed import AbstractRecipe, Between, Followed, Located, Start, Zero
from rnnjax._continuation.path import Place, Seen
from rnnjax._continuation.problem import March, Taken
from rnnjax._continuation.several import jumps_in
from rnnjax._continuation.whole_path import Whole, marched, points_of, way_of, whole_of
from rnnjax._continuation.zeros import (
    all_located,
    located,
    nothing,
    vanishes_in,
    zero_between,
)
from rnnjax._machine.parts import compiled_part
from rnnjax._numerics.dense import in_loops
from rnnjax._results import BranchEnd
from rnnjax._types import AnyArray, Array, Float, Int, numpy_of

_NONE = np.zeros((), np.int32)


class Direction(NamedTuple):
    """What was found in one of the directions, without derivatives.

    Attributes:
        sign: which.
        end: a `BranchEnd`.
        taken: its attempts.
        at: how far along from the start each began, signed.
        zeros: the places where the test of each type vanished, stacked; None where it never does.
        located: the bifurcations there, likewise.
        lost: how many of them there was no room for.
    """

    sign: Float[np.ndarray, ""]
    end: Int[AnyArray, ""]
    taken: Taken
    at: Float[np.ndarray, " attempt"]
    zeros: tuple[Zero | None, ...]
    located: tuple[Located | None, ...]
    lost: Int[np.ndarray, ""]


def found_by_parts(
    recipe: AbstractRecipe,
    start: Start,
    directions: tuple[float, ...],
    attempts: int,
    slots: int,
    new: bool,
) -> tuple[Direction, ...]:
    """Follow it in each of the directions (signs).

    Args:
        recipe: of what is followed.
        start: where it begins, on the host; its offset is a number, which decides what runs.
        directions: signs.
        attempts: the most of them in each direction.
        slots: room for bifurcations of one type in each direction.
        new: whether it is followed for the first time: what occurs is compiled side by side.
    """
    attempts = attempts if int(start.end) == BranchEnd.GOING else 1
    marches = [_marched(recipe, start, np.asarray(sign), attempts) for sign in directions]
    occurs = np.any([vanishes_in(taken).any(0) for _, taken in marches], axis=0)
    for index in np.flatnonzero(occurs & new):
        _zero.ahead(recipe, int(index), _between(marches[0][1], 0, int(index), np.zeros(())))
    return tuple(
        _one_way(recipe, start, np.asarray(sign), march, slots)
        for sign, march in zip(directions, marches, strict=True)
    )


def march_ahead(recipe: AbstractRecipe, start: Start, attempts: int) -> None:
    """Begin to compile the march, for others like these: their numbers do not matter."""
    _marched.ahead(recipe, start, np.ones(()), attempts)


def whole_by_parts(
    recipe: AbstractRecipe, start: Start, found: tuple[Direction, ...], slots: int
) -> Whole:
    """All of it in order, without derivatives."""
    both = _in_order(recipe, start, found, slots, [way.located for way in found])
    return whole_of(both, both.points[0] * recipe.units, recipe.scale, _room(found, slots))


def whole_attached(
    recipe: AbstractRecipe, start: Start, found: tuple[Direction, ...], slots: int
) -> Whole:
    """The same with derivatives by what the recipe is made of, in a program that follows nothing."""
    with in_loops():
        followed = recipe.followed()
        kinds = range(len(found[0].zeros))
        every = [_of_type(followed, [way.zeros[k] for way in found], k) for k in kinds]
        ways = [[of_type[number] for of_type in every] for number in range(len(found))]
        both = _in_order(recipe, start, found, slots, ways)
        return whole_of(both, points_of(followed, both), recipe.scale, _room(found, slots))


def _room(found: tuple[Direction, ...], slots: int) -> int:
    """For how many bifurcations there is room: those at which several eigenvalues cross have none of their own."""
    return sum(way.taken.seen.root.shape[1] for way in found) * slots


def _of_type(followed: Followed, zeros: Sequence[Zero | None], index: int) -> list[Located | None]:
    """The bifurcations of a type in each of the directions, all of them at once."""
    there = [each for each in zeros if each is not None]
    if not there:
        return [None for _ in zeros]
    together = jax.tree.map(lambda *x: jnp.concatenate(x), *there)
    every = all_located(followed, index, together)
    ends = np.cumsum([0, *(0 if each is None else each.at.shape[0] for each in zeros)])
    parts = [jax.tree.map(lambda x, a=a, b=b: x[a:b], every) for a, b in itertools.pairwise(ends)]
    return [None if z is None else part for z, part in zip(zeros, parts, strict=True)]


def _in_order(
    recipe: AbstractRecipe, start: Start, found: tuple[Direction, ...], slots: int,
    located: Sequence[Sequence[Located | None]],
) -> Both:  # fmt: skip
    """What was found in each direction as one line."""
    within, types = (recipe.scale, recipe.bounds), len(found[0].zeros)
    ways = []
    for way, every in zip(found, located, strict=True):
        own = [each for each in every if each is not None]
        room = nothing(recipe.scale.size, types * slots - sum(x.at.shape[0] for x in own))
        xp = numpy_of(own)
        whole = jax.tree.map(lambda *x, xp=xp: xp.concatenate(x), *own, room)
        ways.append(way_of(way.end, way.taken, (whole, way.lost), way.at, way.sign, within))
    xp = numpy_of(ways)
    stacked: Way = jax.tree.map(lambda *x: xp.stack(x), *ways)
    return put_in_order(stacked, (start.u, start.along, start.frame), start.end)


def _one_way(
    recipe: AbstractRecipe,
    start: Start,
    sign: Float[np.ndarray, ""],
    march: tuple[March[Place], Taken],
    slots: int,
) -> Direction:
    """In one of its directions."""
    now, taken = march
    at = np.asarray(sign * (start.offset + taken.length))
    there, crossed = vanishes_in(taken), np.zeros(at.size, np.int32)
    found, lost = [], 0

    def solve(index: int, attempts: np.ndarray, jumps: np.ndarray) -> Located | None:
        nonlocal lost
        lost += max(attempts.size - slots, 0)
        chosen = attempts[:slots]
        steps = [_between(taken, int(k), index, at[k], jumps[k]) for k in chosen]
        each = [_zero(recipe, index, step) for step in steps]
        found.append(jax.tree.map(lambda *x: np.stack(x), *each) if each else (None, None))
        return found[-1][1]

    for index in range(there.shape[1]):
        attempts = np.flatnonzero(there[:, index])
        located = solve(index, attempts, np.zeros_like(crossed))
        if located is not None and recipe.crossings is not None:
            crossed[attempts[:slots]] += recipe.crossings[index] * located.found
    if recipe.crossings is not None:
        jumps = jumps_in(taken, crossed)
        solve(there.shape[1], np.flatnonzero(jumps), jumps)
    zeros, places = zip(*found, strict=True) if found else ((), ())
    return Direction(sign, now.end, taken, at, zeros, places, np.asarray(lost, np.int32))


def _between(
    taken: Taken, k: int, index: int, at: Float[AnyArray, ""], jump: AnyArray = _NONE
) -> Between:
    """The step of an attempt, for the zero of one of the tests, or for what none of them explains."""
    near: Seen = jax.tree.map(lambda x: x[k], taken.seen)
    root = near.root[index] if index < near.root.size else np.zeros(())
    return Between(near, root, taken.step[k], at, np.ones((), bool), jump)


@compiled_part
def _marched(
    recipe: AbstractRecipe, start: Start, sign: Float[Array, ""], attempts: int
) -> tuple[March[Place], Taken]:
    with in_loops():
        return marched(recipe.followed(), start, sign, attempts)


@compiled_part
def _zero(recipe: AbstractRecipe, index: int, between: Between) -> tuple[Zero, Located]:
    with in_loops():
        followed = recipe.followed()
        zero = zero_between(followed, index, between)
        return zero, located(followed, index, zero)
