"""From a guess to a periodic orbit: the part of a run that comes back, Newton's method, multipliers."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.collocation import (
    Cycle,
    Family,
    Row,
    eliminated,
    linearized,
    nodes_between,
    phase_row,
    places_of,
    reduced,
    remeshed,
    residual,
    solved,
    weights,
)
from rnnjax._numerics.dense import null_vectors
from rnnjax._types import Array

_ROUNDS, _NEWTON, _HALVINGS = 3, 25, 6
_CONVERGED = 1e-9  # scaled length of the last correction; the error is about its square
_LEFT, _BACK = 0.3, 0.1  # of a run's extent: how far away it must go, and how near come back
STILL = 1e-7  # of the state's size, the range of an orbit that has shrunk to rest


def cut_to_orbit(samples: Array, times: Array, widths: Array, whole: bool) -> tuple[Cycle, Array]:
    """The last part of a run that comes back to its end, on the mesh; whether there is one."""
    last = times.size - 1
    if whole:
        begin, found = jnp.zeros((), jnp.int32), jnp.ones((), bool)
    else:
        distance = jnp.sqrt(((samples - samples[-1]) ** 2).sum(1))
        extent = jnp.where(jnp.arange(times.size) > last // 2, distance, 0.0).max()
        left = lax.cummax((distance > _LEFT * extent).astype(jnp.int32), reverse=True) > 0
        before = jnp.concatenate([jnp.full(1, jnp.inf), distance[:-1]])
        after = jnp.concatenate([distance[1:], jnp.zeros(1)])
        near = left & (distance <= before) & (distance <= after) & (distance < _BACK * extent)
        places = jnp.arange(times.size, dtype=jnp.int32)
        begin = jnp.where(near, places, -1).max()
        found = (begin >= 0) & (extent > STILL)
        begin = jnp.maximum(begin, 0)
    start = times[begin]
    period = times[-1] - start
    at = start + places_of(widths) * period
    x = jax.vmap(lambda y: jnp.interp(at, times, y), 1, -1)(samples)
    return Cycle(x, period, jnp.zeros(()), widths), found


def refined(field: Family, cycle: Cycle) -> tuple[Cycle, Array]:
    """Newton's method, on a mesh that follows what was found."""

    def once(now: tuple[Cycle, Array], first: Array) -> tuple[tuple[Cycle, Array], None]:
        cycle, good = now
        begin = jax.tree.map(lambda a, b: jnp.where(first, a, b), cycle, remeshed(cycle)[0])
        again, solved_ = _newton(field, begin)
        kept = jax.tree.map(lambda a, b: jnp.where(solved_ | first, a, b), again, cycle)
        return (kept, good & solved_), None

    rounds = jnp.asarray([k == 0 for k in range(_ROUNDS)])
    (cycle, good), _ = lax.scan(once, (cycle, jnp.ones((), bool)), rounds)
    return cycle, good


def _newton(field: Family, cycle: Cycle) -> tuple[Cycle, Array]:
    """Newton's method with the parameter held, in steps that are halved until the residual falls."""
    zero = jnp.zeros(())
    hold = Row(jnp.zeros_like(cycle.x), zero, jnp.ones(()))

    def size_of(c: Cycle) -> Array:
        return jnp.sqrt((residual(field, c) ** 2).sum())

    def moved(c: Cycle, change: Row, share: Array) -> Cycle:
        return c._replace(x=c.x + share * change.x, period=c.period + share * change.period)

    def body(now: tuple[Cycle, Array, Array, Array]) -> Any:
        c, _, _, count = now
        equations = linearized(field, c)
        change, _ = solved(equations, -equations.value, (phase_row(c), hold), jnp.zeros(2))
        before = size_of(c)

        def fails(share: Array) -> Array:
            there = moved(c, change, share)
            return ~(size_of(there) <= (1 - 0.1 * share) * before) | ~(there.period > 0)

        small = jnp.sqrt(
            (weights(c)[..., None] * change.x**2).sum() + (change.period / c.period) ** 2
        )
        one, least = jnp.ones(()), 0.5**_HALVINGS
        share = lax.while_loop(
            lambda s: (s > least) & fails(s) & (small > 1e-6), lambda s: s / 2, one
        )
        bad = ~jnp.isfinite(small)
        new = moved(c, change, share)
        return jax.tree.map(lambda a, b: jnp.where(bad, b, a), new, c), small, bad, count + 1

    def go(now: tuple[Cycle, Array, Array, Array]) -> Array:
        _, size, bad, count = now
        return ~bad & (size > _CONVERGED) & (count < _NEWTON)

    start = cycle, jnp.full((), jnp.inf), jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    cycle, size, bad, _ = lax.while_loop(go, body, start)
    return cycle, ~bad & (size <= _CONVERGED)


def floquet(field: Family, cycle: Cycle) -> Array:
    r"""The Floquet multipliers, the largest absolute value first, complex.

    Of $A x_0 + B x_N = 0$, what is left of the variational equation: $x_N = \mu x_0$.
    """
    system = reduced(linearized(field, cycle)).system
    return sorted_multipliers(system.first, system.last)


def antiperiodic(field: Family, cycle: Cycle) -> Array:
    """The variation that is turned around in a period, where a multiplier is -1: its nodes."""
    small = reduced(linearized(field, cycle))
    first = null_vectors(small.system.first - small.system.last)[0][:, None]
    sides = eliminated(small, jnp.zeros((*cycle.x.shape, 1)))
    return nodes_between(small, sides, first, -first)[:, :-1, :, 0]


def sorted_multipliers(first: Array, last: Array) -> Array:
    r"""The $\mu$ of $A x + \mu B x = 0$, `(..., n, n)` each, the largest absolute value first."""
    monodromy = -jnp.linalg.solve(last, first)
    finite = jnp.isfinite(monodromy).all((-1, -2), keepdims=True)
    values = jnp.linalg.eigvals(jnp.where(finite, monodromy, 0.0))
    order = jnp.argsort(-abs(values), axis=-1, stable=True)
    return jnp.take_along_axis(values, order, axis=-1)
