"""Zeros of functions of few variables."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._types import Array

_TINY = 1e-300
_TOLERANCE = 1e-10  # of a residual, relative to the size of the Jacobian and of the state
_ROUNDING = 1e-14  # of a residual, relative to the fastest variable


def find_root(field: Callable[[Array], Array], guess: Array, max_steps: int) -> tuple[Array, Array]:
    """A zero of `field` near `guess`, and whether it is finite; without derivatives, see `root_of`.

    Args:
        field: f on vectors `(n,)`.
        guess: where to start, `(n,)`.
        max_steps: the most steps of the search.
    """
    x = dogleg(field, guess, max_steps)
    polished = x - jnp.linalg.solve(jax.jacfwd(field)(x), field(x))
    x = jnp.where(abs(field(polished)).max() <= abs(field(x)).max(), polished, x)
    # A lane that found nothing must not spoil the gradients of the others: 0 times NaN is NaN.
    finite = jnp.isfinite(field(x)).all()
    return jnp.where(finite, x, jnp.zeros_like(x)), finite


def vanishes(value: Array, jacobian: Array, x: Array) -> Array:
    """Whether a function of a vector `(n,)` is zero to rounding, given its derivatives there.

    Row by row, so that a fast variable does not hide that a slow one still drifts.
    """
    rows = (abs(jacobian) * (1 + abs(x))).sum(-1)
    return small_beside(value, rows)


def small_beside(value: Array, rows: Array) -> Array:
    """Whether numbers `(n,)` are zero to rounding beside the sizes of their terms."""
    return (abs(value) <= _TOLERANCE * rows + _ROUNDING * rows.max()).all()


class _Search(NamedTuple):
    x: Array
    f: Array
    radius: Array
    steps: Array
    going: Array


def dogleg(field: Callable[[Array], Array], guess: Array, max_steps: int) -> Array:
    """Powell's trust-region step between steepest descent and Newton, until it stands still.

    Written in plain JAX operations: a library's solver is lowered after the float64 scope of its
    caller has ended, and then fails inside a float32 program.
    """

    def body(now: _Search) -> _Search:
        x, f, radius = now.x, now.f, now.radius
        jacobian = jax.jacfwd(field)(x)
        slope = f @ jacobian
        along = jacobian @ slope
        cauchy = -slope * (slope @ slope) / jnp.maximum(along @ along, _TINY)
        newton = jnp.linalg.solve(jacobian, -f)
        newton = jnp.where(jnp.isfinite(newton).all(), newton, cauchy)
        p = _within(cauchy, newton, radius)
        trial = field(x + p)
        expected = f @ f - jnp.sum((f + jacobian @ p) ** 2)
        ratio = (f @ f - trial @ trial) / jnp.maximum(expected, _TINY)
        good = (ratio > 1e-4) & jnp.isfinite(trial).all()
        size = _norm(p)
        radius = jnp.where(
            good & (ratio > 0.75), jnp.maximum(radius, 2 * size),
            jnp.where(good & (ratio > 0.25), radius, size / 4),
        )  # fmt: skip
        moving = size > 1e-15 * (1 + _norm(x))
        return _Search(
            jnp.where(good, x + p, x), jnp.where(good, trial, f), radius, now.steps + 1,
            moving & (good | (radius > 1e-12 * (1 + _norm(x)))),
        )  # fmt: skip

    first = field(guess)
    start = _Search(
        guess, first, 10 * (1 + _norm(guess)), jnp.zeros((), jnp.int32), jnp.isfinite(first).all()
    )
    return lax.while_loop(lambda s: s.going & (s.steps < max_steps), body, start).x


def _within(cauchy: Array, newton: Array, radius: Array) -> Array:
    """The point of the path 0 - cauchy - newton at most `radius` away."""
    leg = newton - cauchy
    a, b, c = leg @ leg, cauchy @ leg, cauchy @ cauchy - radius**2
    share = (-b + jnp.sqrt(jnp.maximum(b * b - a * c, 0))) / jnp.maximum(a, _TINY)
    short = cauchy * radius / jnp.maximum(_norm(cauchy), _TINY)
    between = jnp.where(_norm(cauchy) >= radius, short, cauchy + jnp.clip(share, 0, 1) * leg)
    return jnp.where(_norm(newton) <= radius, newton, between)


def _norm(x: Array) -> Array:
    return jnp.sqrt(x @ x)
