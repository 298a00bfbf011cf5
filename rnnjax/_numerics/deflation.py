"""Further zeros from the same guesses: those that are known are divided out."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.roots import find_root, from_each, vanishes
from rnnjax._types import Array

_SAME = 1e-6  # relative distance below which two zeros are one
_ASIDE = 0.1  # units: how far beside the guesses a round begins
_LONGEST = 10.0  # steps, relative to the state: enough to jump over a known zero
_TINY = 1e-300
_AT_ONCE = 2**20  # distances that are looked at together

Zeros = tuple[Array, Array]


def repeats(x: Array, solved: Array, units: Array) -> Array:
    """Whether an earlier guess led to the same zero, to rounding in each variable's unit."""
    near = _SAME * (units + abs(x))
    places = jnp.arange(x.shape[0], dtype=jnp.int32)

    def repeated(each: tuple[Array, Array, Array]) -> Array:
        zero, width, place = each
        same = (abs(zero - x) <= width).all(-1)
        return (same & solved & (places < place)).any()

    rows = x, near, places
    if x.shape[0] * x.size <= _AT_ONCE:
        return jax.vmap(repeated)(rows)
    return lax.map(repeated, rows)


def deflated(
    field: Callable[[Array], Array], guesses: Array, first: Zeros, units: Array, rounds: int,
    max_steps: int,
) -> Zeros:  # fmt: skip
    r"""Zeros of `field`, and of what is left of it when those found so far are divided out.

    Newton's method for $M(x) f(x)$ with $M = \prod_k (1 / |x - x_k|^2 + 1)$ can't come to a known
    zero $x_k$. Where it ends, the search goes on for $f$ itself.

    Args:
        field: f on vectors `(n,)`.
        guesses: `(guess, n)`; every round starts beside all of them, each round elsewhere.
        first: what was found without deflation, `(guess, n)`, and whether it is finite, `(guess,)`.
        units: in which distances are measured, `(n,)`.
        rounds: how many there are.
        max_steps: the most steps from one guess, of either search.

    Returns:
        As `first`, for `guess * (1 + rounds)` entries.

    References:
        Farrell, Birkisson and Funke (2015), SIAM Journal on Scientific Computing 37:A2026-A2045.
    """
    count, n = guesses.shape
    room = count * (rounds + 1)
    x = jnp.zeros((room, n), guesses.dtype).at[:count].set(first[0])
    finite = jnp.zeros(room, bool).at[:count].set(first[1])

    def one_round(k: Array, now: Zeros) -> Zeros:
        x, finite = now
        solved = finite & jax.vmap(
            lambda x: vanishes(field(x), jax.jacfwd(field)(x), x)
        )(x)  # fmt: skip
        known = solved & ~repeats(x, solved, units)

        # a zero itself would lead nowhere, and what led nowhere before would do so again
        aside = (
            _ASIDE
            * units
            * jnp.cos(k.astype(units.dtype) * jnp.arange(1, n + 1, dtype=units.dtype))
        )

        def again(guess: Array) -> Zeros:
            return find_root(field, _away(field, guess, x, known, units, max_steps), max_steps)

        more, well = from_each(again, guesses + aside)
        place = k * count
        return (
            lax.dynamic_update_slice(x, more, (place, jnp.zeros_like(place))),
            lax.dynamic_update_slice(finite, well, (place,)),
        )

    start = jnp.ones((), jnp.int32)
    return lax.fori_loop(start, start + rounds, one_round, (x, finite))


def _away(
    field: Callable[[Array], Array], guess: Array, zeros: Array, known: Array, units: Array,
    max_steps: int,
) -> Array:  # fmt: skip
    r"""Where Newton's method for the deflated field ends.

    With $m = \nabla \log M$ its step is $\delta / (1 - m \cdot \delta)$, where $\delta$ is that of
    `field` alone. No decrease is asked for: around each known zero $|M f|$ has a valley.
    """

    def squares(x: Array) -> Array:
        return jnp.where(known, (((x - zeros) / units) ** 2).sum(-1), jnp.inf)

    def body(now: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, _, steps = now
        newton = jnp.linalg.solve(jax.jacfwd(field)(x), -field(x))
        square = jnp.maximum(squares(x), _TINY)
        pull = jnp.where(known, -2 / (square * (1 + square)), 0)
        slope = (pull[:, None] * (x - zeros)).sum(0) / units**2
        step = newton / (1 - slope @ newton)
        longest = _LONGEST * (1 + jnp.sqrt(((x / units) ** 2).sum()))
        length = jnp.sqrt(((step / units) ** 2).sum())
        step = step * jnp.minimum(1, longest / jnp.maximum(length, _TINY))
        fine = jnp.isfinite(step).all()
        going = fine & (length > 1e-10 * longest)
        return jnp.where(fine, x + step, x), going, steps + 1

    begin = guess, jnp.ones((), bool), jnp.zeros((), jnp.int32)
    return lax.while_loop(lambda now: now[1] & (now[2] < max_steps), body, begin)[0]
