r"""Linear systems of periodic boundary value problems, by structured elimination.

$A_j x_j + B_j x_{j+1} = C_j$ for j = 0 .. N - 1 with N + 1 nodes $x_j$ of n numbers: neighbors are
combined by Householder reflections, which leaves half as many equations, until one is left,
$A x_0 + B x_N = C$. Nothing grows on the way, however strongly the flow expands or contracts, and
each of the $\log_2 N$ stages is one batch.

References:
    Wright (1992), SIAM J. Sci. Stat. Comput. 13:742-764 (structured orthogonal factorization).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.dense import determinant
from rnnjax._types import Array


class Stage(NamedTuple):
    r"""A node y between two others x and z: $R y = C - A x - B z$, R upper triangular.

    Attributes:
        left: A, `(count, n, n)`; x is the node before it.
        middle: R, `(count, n, n)`.
        right: B, `(count, n, n)`; z is the node behind it.
        turn: the reflections as a matrix, of the two equations that were combined,
            `(count, 2 n, 2 n)`; the first n rows give C, the others what is left of them.
    """

    left: Array
    middle: Array
    right: Array
    turn: Array


class Condensed(NamedTuple):
    """What is left of all equations, A x_0 + B x_N = C, and how the nodes between follow from them.

    Attributes:
        first: A, `(n, n)`.
        last: B, `(n, n)`.
        sign: of det B, from those of all equations: B itself may be singular to rounding.
        stages: the nodes that were eliminated, those of the first stage first.
    """

    first: Array
    last: Array
    sign: Array
    stages: tuple[Stage, ...]


class Sides(NamedTuple):
    """Right sides after the elimination.

    Attributes:
        whole: of what is left, `(n, columns)`.
        between: of the nodes of each stage, `(count, n, columns)` each.
    """

    whole: Array
    between: tuple[Array, ...]


def condensed(left: Array, right: Array) -> Condensed:
    """Eliminate all nodes but the first and the last.

    Args:
        left: A, `(N, n, n)`, N a power of two.
        right: B, the same.
    """
    n, stages = left.shape[-1], []
    sign = jnp.sign(jax.vmap(determinant)(lax.stop_gradient(right)))
    while left.shape[0] > 1:
        (a, d), (b, e) = ((x[::2], x[1::2]) for x in (left, right))
        zero, eye = jnp.zeros_like(a), jnp.broadcast_to(jnp.eye(n), a.shape)
        stacked = jnp.concatenate(
            [
                jnp.concatenate([b, a, zero, eye, zero], -1),
                jnp.concatenate([d, zero, e, zero, eye], -1),
            ],
            1,
        )
        turned = jax.vmap(lambda m: triangular(m, n))(stacked)
        middle, first, last = (turned[:, :n, k : k + n] for k in (0, n, 2 * n))
        stages.append(Stage(first, middle, last, turned[..., 3 * n :]))
        # n reflections, and what they leave of [[b, 0], [d, e]] is triangular in blocks
        turns = jnp.sign(jnp.diagonal(lax.stop_gradient(middle), 0, 1, 2)).prod(-1)
        sign = (-1.0) ** n * sign[::2] * sign[1::2] * turns
        left, right = turned[:, n:, n : 2 * n], turned[:, n:, 2 * n : 3 * n]
    return Condensed(left[0], right[0], sign[0], tuple(stages))


def condensed_sides(system: Condensed, value: Array) -> Sides:
    """The right sides C, `(N, n, columns)`, after the elimination; linear in them."""
    n, between = value.shape[1], []
    for stage in system.stages:
        both = jnp.concatenate([value[::2], value[1::2]], 1)
        turned = jnp.einsum("kij,kjc->kic", stage.turn, both)
        between.append(turned[:, :n])
        value = turned[:, n:]
    return Sides(value[0], tuple(between))


def nodes(system: Condensed, sides: Sides, first: Array, last: Array) -> Array:
    """All nodes, `(N + 1, n, columns)`, from the first and the last, `(n, columns)`."""
    found = jnp.stack([first, last])
    for stage, value in zip(reversed(system.stages), reversed(sides.between), strict=True):
        known = (
            value
            - jnp.einsum("kij,kjc->kic", stage.left, found[:-1])
            - jnp.einsum("kij,kjc->kic", stage.right, found[1:])
        )
        between = jax.vmap(back_substituted)(stage.middle, known)
        woven = jnp.stack([found[:-1], between], 1).reshape(-1, *first.shape)
        found = jnp.concatenate([woven, found[-1:]])
    return found


def triangular(matrix: Array, columns: int) -> Array:
    """Householder reflections that make the first `columns` of a matrix upper triangular.

    In a loop: written out they compile in twice the time, and run slower.
    """
    rows = matrix.shape[0]

    def reflected(m: Array, j: Array) -> Array:
        places = lax.broadcasted_iota(jnp.int32, (rows,), 0)
        column = jnp.where(places >= j, m[:, j], 0.0)
        length = (column**2).sum()
        size = jnp.where(length > 0, jnp.sqrt(jnp.where(length > 0, length, 1.0)), 0.0)
        at = places == j
        pivot = jnp.where(at, column, 0.0).sum()
        sign = jnp.where(pivot < 0, -1.0, 1.0)
        v = column + jnp.where(at, sign * size, 0.0)
        square = (v**2).sum()
        v = v / jnp.sqrt(jnp.where(square > 0, square, 1.0))
        return m - 2 * v[:, None] * (v @ m)

    steps = jnp.arange(columns, dtype=jnp.int32)
    return lax.scan(lambda m, j: (reflected(m, j), None), matrix, steps)[0]


def back_substituted(upper: Array, value: Array) -> Array:
    """The solution of R x = C for an upper triangular R `(n, n)`, `(n, columns)`."""
    n = upper.shape[0]

    def step(x: Array, j: Array) -> Array:
        row = value[j] - upper[j] @ x
        places = lax.broadcasted_iota(jnp.int32, (n, 1), 0)
        return jnp.where(places == j, row / upper[j, j], x)

    x = jnp.zeros_like(value)
    steps = jnp.arange(n, dtype=jnp.int32)[::-1]
    return lax.scan(lambda x, j: (step(x, j), None), x, steps)[0]
