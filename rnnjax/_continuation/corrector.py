"""Points of what is followed: corrected onto it, with their tangents and tests."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._continuation.problem import Path, Place
from rnnjax._numerics.dense import solve
from rnnjax._types import Array
from rnnjax.bifurcations._base import Family, jacobian, jacobian_and_value

_CORRECTED = 1e-8  # scaled length of the last correction; the error is about its square
_NEWTON = 8  # corrections of a step at most


def corrected(family: Family, guess: Array, normal: Array) -> tuple[Array, Array]:
    """The point of the branch on the plane through `guess`, by Newton's method; whether found."""
    return nearest(family, guess, lambda u: (normal, normal @ (u - guess)))


def nearest(
    family: Family, guess: Array, across: Callable[[Array], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """The point of the branch where the value of `across`, given with its gradient, is zero."""
    tolerance = _CORRECTED

    def body(now: Any) -> Any:
        u, size, _, count = now
        derivatives, value = jacobian_and_value(family, u)
        gradient, off = across(u)
        matrix = jnp.concatenate([derivatives, gradient[None]])
        rest = jnp.append(value, off)
        change = solve(matrix, -rest)
        new = jnp.sqrt(change @ change)
        fails = ~jnp.isfinite(new) | ((count > 0) & (new > 0.7 * size) & (new > tolerance))
        return jnp.where(fails, u, u + change), new, fails, count + 1

    def go(now: Any) -> Any:
        _, size, fails, count = now
        return ~fails & (size > tolerance) & (count < _NEWTON)

    start = (guess, jnp.full((), jnp.inf), jnp.zeros((), bool), jnp.zeros((), jnp.int32))
    u, size, fails, _ = lax.while_loop(go, body, start)
    return u, ~fails & (size <= tolerance)


def place(path: Path, u: Array, frame: Any, along: Array) -> Place:
    """The tangent and the tests at a point, and the slopes of the tests along the branch."""

    def looked_at(v: Array) -> tuple[Array, Array]:
        derivatives = jacobian(lambda z: path.equations(z, frame), v)
        matrix = jnp.concatenate([derivatives, along[None]])
        direction = solve(matrix, jnp.zeros_like(v).at[-1].set(1.0))
        direction = direction / jnp.sqrt(direction @ direction)
        values = [test(v, frame, derivatives, direction) for test in path.tests]
        return direction, jnp.stack(values) if values else jnp.zeros(0)

    # the tangent is needed before the slopes along it: one linearization serves both
    (tangent, values), slope = jax.linearize(looked_at, u)
    return Place(u, tangent, values, slope(tangent)[1], path.reframe(u, frame))


def hermite(before: Array, after: Array, rise: Array, fall: Array, share: Any) -> Array:
    """The cubic with these values and slopes at 0 and 1."""
    s = share
    return (
        before * (1 + 2 * s) * (1 - s) ** 2 + after * s**2 * (3 - 2 * s)
        + rise * s * (1 - s) ** 2 - fall * s**2 * (1 - s)
    )  # fmt: skip
