"""Steps along a branch of equilibria by products with vectors alone, and crossings between them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.implicit import DIMENSION
from rnnjax._numerics.krylov import gmres
from rnnjax._numerics.roots_by_products import rests, search
from rnnjax._precision import first_of
from rnnjax._results import BranchEnd
from rnnjax._types import Array

Family = Callable[[Array], Array]  # scaled state and parameter (n + 1,) -> the field (n,)
Spectrum = Callable[[Array], Any]  # the same -> leading eigenvalues, and which are right

_FIRST, _SMALLEST = 1e-2, 1e-6  # steps, scaled
_NEWTON = 12  # corrections of a step at most
_STRAIGHT, _BENT = 0.99, 0.9  # cosines of the angle between tangents: to grow, and to be taken
_TANGENT = 1e-9  # relative residual of a tangent's linear system
_SECANTS = 50  # steps to a crossing at most
_ZERO = 1e-14  # of the size of the Jacobian, what a real part that vanishes may be
_CROSSED = 1e-9  # what one may be that counts as vanishing
_TURNS = 1e-7  # of the size of the Jacobian, the imaginary part of a pair
_FOLD, _HOPF, _BRANCH = 0, 1, 2  # labels


class Effort(NamedTuple):
    """The most attempts, room for crossings, and that for the eigenvalues."""

    points: int
    crossings: int
    eigenvalues: tuple[int, int, float]


class Limits(NamedTuple):
    """The bounds of the parameter, scaled, the longest step, and whether it grows (1) at first."""

    low: Array
    high: Array
    largest: Array
    sign: float


class Record(NamedTuple):
    """A branch as it grows.

    Attributes:
        u, tangent: points of the branch and its direction there, scaled, `(point, n + 1)`.
        values: the leading eigenvalues, `(point, count)`, complex.
        right: whether all of them have converged.
        found: `(point,)`.
        crossing: points where an eigenvalue crosses the axis, scaled, `(slot, n + 1)`.
        which: the rank of that eigenvalue, `(slot,)`.
        frequency: its imaginary part, `(slot,)`.
        label: what happens, `(slot,)`; -1 where there is none.
        missed: crossings that are known of and not listed.
        end: a `BranchEnd`.
    """

    u: Array
    tangent: Array
    values: Array
    right: Array
    found: Array
    crossing: Array
    which: Array
    frequency: Array
    label: Array
    missed: Array
    end: Array


class _March(NamedTuple):
    u: Array
    tangent: Array
    values: Array
    step: Array
    points: Array
    crossings: Array
    attempts: Array
    going: Array
    record: Record


def follow(field: Family, spectrum: Spectrum, u: Array, limits: Limits, effort: Effort) -> Record:
    """Follow a branch from near `u` to a bound of the parameter."""
    count, m = effort.eigenvalues[0], u.size
    zero, none = jnp.zeros((), jnp.int32), jnp.zeros(effort.crossings)
    record = Record(
        u=jnp.zeros((effort.points + 1, m)),
        tangent=jnp.zeros((effort.points + 1, m)),
        values=jnp.zeros((effort.points + 1, count), complex),
        right=jnp.zeros(effort.points + 1, bool),
        found=jnp.zeros(effort.points + 1, bool),
        crossing=jnp.zeros((effort.crossings, m)) + u,
        which=jnp.zeros(effort.crossings, jnp.int32),
        frequency=none,
        label=jnp.full(effort.crossings, -1, jnp.int32),
        missed=zero,
        end=zero + BranchEnd.MAX_POINTS,
    )
    upward = jnp.zeros(m).at[-1].set(limits.sign)
    start = _March(
        u, upward, jnp.zeros(count, complex), jnp.minimum(_FIRST, limits.largest), zero, zero,
        zero, jnp.ones((), bool), record,
    )  # fmt: skip
    return lax.while_loop(
        lambda now: now.going & (now.attempts <= effort.points),
        lambda now: _attempt(field, spectrum, limits, now),
        start,
    ).record


def _attempt(field: Family, spectrum: Spectrum, limits: Limits, now: _March) -> _March:
    """One step; the first is from the guess onto the branch, with the parameter held."""
    first = now.points == 0
    upward = jnp.zeros_like(now.u).at[-1].set(1.0)
    step = jnp.where(first, 0.0, now.step)
    guess = now.u + step * now.tangent
    bound = jnp.where(guess[-1] > limits.high, limits.high, limits.low)
    over = ~first & ((guess[-1] > limits.high) | (guess[-1] < limits.low))
    share = jnp.where(over, (bound - now.u[-1]) / now.tangent[-1], step)
    guess = jnp.where(over, (now.u + share * now.tangent).at[-1].set(bound), guess)
    normal = jnp.where(first | over, upward, now.tangent)
    u, solved = _on_plane(field, guess, normal)
    moved = u - guess
    solved &= first | (jnp.sqrt(moved @ moved) <= 0.5 * share + 1e-8)
    solved &= over | ((u[-1] <= limits.high) & (u[-1] >= limits.low))
    u = jnp.where(solved, u, now.u)
    tangent, regular = _tangent(field, u, now.tangent)
    ritz, right = spectrum(u)
    cosine = tangent @ now.tangent
    regular &= solved & jnp.isfinite(ritz.values).all() & (first | (cosine > _BENT))
    growing, before = (ritz.values.real > 0).sum(), (now.values.real > 0).sum()
    rank = jnp.minimum(growing, before).astype(jnp.int32)
    changes = jnp.where(first, 0, abs(growing - before))
    pair = (ritz.values.imag[rank] > 0) | (now.values.imag[rank] > 0)
    simple = (changes <= 1) | ((changes == 2) & pair)
    finest = now.step <= _SMALLEST
    good = regular & (simple | finest)
    crossed = good & (changes > 0)
    at, value, frequency, size = _crossing(
        field, spectrum, (now.u, now.values.real[rank]), (u, ritz.values.real[rank]), normal, rank,
        crossed,
    )  # fmt: skip
    turned = tangent[-1] * now.tangent[-1] < 0
    label = first_of([frequency > _TURNS * size, turned], [_HOPF, _FOLD], _BRANCH)
    known = crossed & simple & (abs(value) <= _CROSSED * size)
    end = first_of(
        [first & ~good, finest & ~good, good & over],
        [BranchEnd.NO_START, BranchEnd.UNDERFLOW, BranchEnd.BOUND],
        BranchEnd.MAX_POINTS,
    )
    record = _kept(now, good, (u, tangent, ritz.values, right.all()))
    record = _crossed(record, now.crossings, known, (at, rank, frequency, label))
    missed = crossed & (~known | (now.crossings >= record.label.size))
    grown = jnp.where(cosine > _STRAIGHT, 1.5, 1.0) * now.step
    following = jnp.where(first, now.step, jnp.where(good, grown, now.step / 2))
    return _March(
        u=jnp.where(good, u, now.u),
        tangent=jnp.where(good, tangent, now.tangent),
        values=jnp.where(good, ritz.values, now.values),
        step=jnp.minimum(following, limits.largest),
        points=now.points + good.astype(jnp.int32),
        crossings=now.crossings + known.astype(jnp.int32),
        attempts=now.attempts + 1,
        going=end == BranchEnd.MAX_POINTS,
        record=record._replace(missed=record.missed + missed.astype(jnp.int32), end=end),
    )


def _kept(now: _March, good: Array, new: tuple[Array, ...]) -> Record:
    """The record with one point more."""
    record, k = now.record, now.points
    old = record.u, record.tangent, record.values, record.right, record.found
    u, tangent, values, right, found = (
        a.at[k].set(jnp.where(good, b, a[k])) for a, b in zip(old, (*new, good), strict=True)
    )
    return record._replace(u=u, tangent=tangent, values=values, right=right, found=found)


def _crossed(record: Record, k: Array, known: Array, new: tuple[Array, ...]) -> Record:
    """The record with one crossing more, where there is room."""
    old = record.crossing, record.which, record.frequency, record.label
    crossing, which, frequency, label = (
        a.at[k].set(jnp.where(known, b, a[jnp.minimum(k, a.shape[0] - 1)]), mode="drop")
        for a, b in zip(old, new, strict=True)
    )
    return record._replace(crossing=crossing, which=which, frequency=frequency, label=label)


def _on_plane(field: Family, guess: Array, normal: Array) -> tuple[Array, Array]:
    """The point of the branch on the plane through `guess`, and whether there is one."""

    def equations(u: Array) -> Array:
        return jnp.append(field(u), normal @ (u - guess))

    u = search(equations, guess, _NEWTON)
    return u, rests(equations, u)


def _tangent(field: Family, u: Array, along: Array) -> tuple[Array, Array]:
    """The direction of the branch, and whether there is one."""
    _, product = jax.linearize(field, u)
    upward = jnp.zeros_like(u).at[-1].set(1.0)
    x, residual = gmres(
        lambda v: jnp.append(product(v), along @ v), upward, DIMENSION, 20, 0.1 * _TANGENT
    )
    size = jnp.sqrt(x @ x)
    return x / size, (residual <= _TANGENT) & jnp.isfinite(x).all() & (size > 0)


def _crossing(
    field: Family, spectrum: Spectrum, begin: Any, end: Any, normal: Array, rank: Array,
    wanted: Array,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Where the real part of a rank vanishes between two points, by secants that stay between them.

    The Illinois method: the real parts in order of size are continuous along the branch.

    Returns:
        The point, the real part, the imaginary part and the size of the Jacobian.
    """
    (u, before), (v, after) = begin, end

    def looked_at(share: Array) -> Any:
        at, _ = _on_plane(field, u + share * (v - u), normal)
        ritz, _ = spectrum(at)
        return at, ritz.values[rank], ritz.size

    def body(now: Any) -> Any:
        (a, at_a), (b, at_b), _, k = now
        share = (a * at_b - b * at_a) / (at_b - at_a)
        found = looked_at(share)
        value = found[1].real
        # the end that stays counts half, so that it does not stay for long
        beyond = (value > 0) == (at_b > 0)
        a = jnp.where(beyond, a, b), jnp.where(beyond, at_a / 2, at_b)
        return a, (share, value), found, k + 1

    def go(now: Any) -> Array:
        (a, _), (b, _), (_, value, size), k = now
        unsolved = abs(value.real) > _ZERO * size
        return wanted & (k < _SECANTS) & ((k == 0) | (unsolved & (abs(b - a) > 1e-15)))

    one = jnp.ones(())
    blank = u, jnp.zeros((), complex), one
    first = (0 * one, before), (one, after), blank, jnp.zeros((), jnp.int32)
    at, value, size = lax.while_loop(go, body, first)[2]
    return at, value.real, abs(value.imag), size
