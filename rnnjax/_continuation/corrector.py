"""Points of a line of solutions of equations: corrected onto it from beside it."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.dense import solve
from rnnjax._numerics.roots import ValueAndJacobian
from rnnjax._types import Array, Float, Function, Value
from rnnjax.bifurcations._base import jacobian_and_value

_CORRECTED = 1e-8  # scaled length of the last correction; the error is about its square
_NEWTON = 8  # corrections of a step at most
_POINT = 12  # and of a point by itself

Point = Float[Array, " unknown"]


def corrected(look: ValueAndJacobian, guess: Array, normal: Array) -> tuple[Array, Array]:
    """The point on the plane through `guess` across `normal`, by Newton's method; whether found."""
    return nearest(look, guess, lambda u: (normal, normal @ (u - guess)))


def nearest(
    look: ValueAndJacobian, guess: Array, across: Callable[[Array], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """The point where the value of `across`, given with its gradient, is zero; whether found."""

    def body(now: tuple[Array, ...]) -> tuple[Array, ...]:
        u, size, _, count = now
        value, derivatives = look(u)
        gradient, off = across(u)
        change = solve(jnp.concatenate([derivatives, gradient[None]]), -jnp.append(value, off))
        new = jnp.sqrt(change @ change)
        fails = ~jnp.isfinite(new) | ((count > 0) & (new > 0.7 * size) & (new > _CORRECTED))
        return jnp.where(fails, u, u + change), new, fails, count + 1

    def go(now: tuple[Array, ...]) -> Array:
        _, size, fails, count = now
        return ~fails & (size > _CORRECTED) & (count < _NEWTON)

    start = (guess, jnp.full((), np.inf), jnp.zeros((), bool), jnp.zeros((), jnp.int32))
    u, size, fails, _ = lax.while_loop(go, body, start)
    return u, ~fails & (size <= _CORRECTED)


def solved_alone(
    equations: Function, start: Point, units: Float[Array, " unknown"]
) -> tuple[Point, Float[Array, ""]]:
    """A point of as many equations as unknowns, and the size of the last correction in their units."""

    def body(now: tuple[Array, ...]) -> tuple[Array, ...]:
        z, _, count = now
        derivatives, value = jacobian_and_value(equations, z)
        change = solve(derivatives, -value)
        new = jnp.sqrt(jnp.sum((change / units) ** 2))
        better = jnp.isfinite(new)
        return jnp.where(better, z + change, z), jnp.where(better, new, jnp.inf), count + 1

    def go(now: tuple[Array, ...]) -> Array:
        _, size, count = now
        return (count < 2) | ((count < _POINT) & (size > 1e-12) & jnp.isfinite(size))

    none = jnp.full((), jnp.inf), jnp.zeros((), jnp.int32)
    z, size, _ = lax.while_loop(go, body, (start, *none))
    return z, size


def hermite(before: Array, after: Array, rise: Array, fall: Array, share: Value) -> Array:
    """The cubic with these values and slopes at 0 and 1."""
    s = share
    return (
        before * (1 + 2 * s) * (1 - s) ** 2 + after * s**2 * (3 - 2 * s)
        + rise * s * (1 - s) ** 2 - fall * s**2 * (1 - s)
    )  # fmt: skip


def unit_vector(which: Array, like: Float[Array, " unknown"]) -> Float[Array, " unknown"]:
    """The direction of one of the unknowns."""
    return (jnp.arange(like.size, dtype=which.dtype) == which).astype(like.dtype)
