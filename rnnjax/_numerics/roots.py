"""Zeros of functions of few variables."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._types import Array, Function

ValueAndJacobian: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""The value of a function at a vector `(n,)`, and its derivatives `(n, n)`."""

_TINY = 1e-300
_TOLERANCE = 1e-10  # of a residual, relative to the size of the Jacobian and of the state
_ROUNDING = 1e-14  # of a residual, relative to the fastest variable
_TOGETHER = 2**18  # numbers that the Jacobians of searches side by side hold
_FEWEST = 16  # of them; LAPACK of larger batches of large matrices waits for its own threads


def find_root(field: Function, guess: Array, max_steps: int) -> tuple[Array, Array]:
    """A zero of `field` near `guess`, and whether it is finite; without derivatives, see `root_of`.

    Args:
        field: f on vectors `(n,)`.
        guess: where to start, `(n,)`.
        max_steps: the most steps of the search.
    """
    x, value, jacobian = dogleg(looking(field), jnp.asarray(guess), max_steps)
    polished = x - jnp.linalg.solve(jacobian, value)
    after = field(polished)
    better = abs(after).max() <= abs(value).max()
    x, value = jnp.where(better, polished, x), jnp.where(better, after, value)
    # A lane that found nothing must not spoil the gradients of the others: 0 times NaN is NaN.
    finite = jnp.isfinite(value).all()
    return jnp.where(finite, x, jnp.zeros_like(x)), finite


def from_each(search: Callable[[Array], Any], guesses: Array) -> Any:
    """What a search from each of the guesses `(guess, n)` gives: some side by side, then the next.

    Side by side all go on until the last one stands still, so that of large systems not all of
    them should.
    """
    count, n = guesses.shape
    together = max(_FEWEST, _TOGETHER // n**2)
    if count <= together:
        return jax.vmap(search)(guesses)
    blocks = -(-count // together)
    rows = np.resize(np.arange(count), (blocks, -(-count // blocks)))
    found = lax.map(jax.vmap(search), guesses[rows])
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], found)


def looking(field: Function) -> ValueAndJacobian:
    """Its value and derivatives, worked out together."""

    def twice(x: Array) -> tuple[Array, Array]:
        value = field(x)
        return value, value

    def look(x: Array) -> tuple[Array, Array]:
        jacobian, value = jax.jacfwd(twice, has_aux=True)(x)
        return value, jacobian

    return look


def vanishes(value: Array, jacobian: Array, x: Array) -> Array:
    """Whether a function of a vector `(n,)` is zero to rounding, given its derivatives there.

    Row by row, so that a fast variable does not hide that a slow one still drifts.
    """
    rows = (abs(jacobian) * (1 + abs(x))).sum(-1)
    return small_beside(value, rows)


def small_beside(value: Array, rows: Array) -> Array:
    """Whether numbers `(n,)` are zero to rounding beside the sizes of their terms."""
    return (abs(value) <= _TOLERANCE * rows + _ROUNDING * rows.max()).all()


class Stop(NamedTuple):
    """Where a search stands still: the vector, the value there, and the derivatives."""

    x: Array
    value: Array
    jacobian: Array


class _Search(NamedTuple):
    at: Stop
    radius: Array
    steps: Array
    going: Array


def dogleg(look: ValueAndJacobian, guess: Array, max_steps: int) -> Stop:
    """Powell's trust-region step between steepest descent and Newton, until it stands still.

    Written in plain operations: a library's solver is lowered after the float64 scope of its
    caller has ended, and then fails inside a float32 program.

    Args:
        look: what is to vanish.
        guess: where to start, `(n,)`.
        max_steps: the most steps.
    """

    def body(now: _Search) -> _Search:
        (x, f, jacobian), radius = now.at, now.radius
        slope = f @ jacobian
        along = jacobian @ slope
        cauchy = -slope * (slope @ slope) / jnp.maximum(along @ along, _TINY)
        newton = jnp.linalg.solve(jacobian, -f)
        newton = jnp.where(jnp.isfinite(newton).all(), newton, cauchy)
        p = _within(cauchy, newton, radius)
        trial, after = look(x + p)
        expected = f @ f - jnp.sum((f + jacobian @ p) ** 2)
        ratio = (f @ f - trial @ trial) / jnp.maximum(expected, _TINY)
        good = (ratio > 1e-4) & jnp.isfinite(trial).all()
        size = jnp.sqrt(p @ p)
        radius = jnp.where(
            good & (ratio > 0.75), jnp.maximum(radius, 2 * size),
            jnp.where(good & (ratio > 0.25), radius, size / 4),
        )  # fmt: skip
        least = 1 + jnp.sqrt(x @ x)
        going = (size > 1e-15 * least) & (good | (radius > 1e-12 * least))
        at = (jnp.where(good, a, b) for a, b in zip((x + p, trial, after), now.at, strict=True))
        return _Search(Stop(*at), radius, now.steps + 1, going)

    first = Stop(guess, *look(guess))
    radius = 10 * (1 + jnp.sqrt(guess @ guess))
    start = _Search(first, radius, jnp.zeros((), np.int32), jnp.isfinite(first.value).all())
    return lax.while_loop(lambda s: s.going & (s.steps < max_steps), body, start).at


def _within(cauchy: Array, newton: Array, radius: Array) -> Array:
    """The point of the path 0 - cauchy - newton at most `radius` away."""
    leg = newton - cauchy
    a, b, c = leg @ leg, cauchy @ leg, cauchy @ cauchy - radius**2
    share = (-b + jnp.sqrt(jnp.maximum(b * b - a * c, 0))) / jnp.maximum(a, _TINY)
    length = jnp.sqrt(cauchy @ cauchy)
    short = cauchy * radius / jnp.maximum(length, _TINY)
    between = jnp.where(length >= radius, short, cauchy + jnp.clip(share, 0, 1) * leg)
    return jnp.where(jnp.sqrt(newton @ newton) <= radius, newton, between)
