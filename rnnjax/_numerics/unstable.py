"""How many eigenvalues of a matrix have positive real parts, and which, without an eigenvalue routine."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.dense import inverse, product
from rnnjax._types import Array, Bool, Float, Int

UNSETTLED = -1  # a count that is chance: an eigenvalue is on the axis to rounding
_MOST = 60  # iterations at most; each halves what an eigenvalue near the axis is too small by
_SCALED = 12  # of them with a factor that brings eigenvalues near 1
_SETTLED = 1e-10  # relative change at which an iteration ends; its error is the square
_WHOLE = 1e-3  # how far a trace may be from a whole number
_FEW = 4  # variables of which the characteristic polynomial tells enough
_ROUNDING = 1e-13  # of the size of a matrix, what an eigenvalue must be beside the axis


class Sign(NamedTuple):
    """The sign of a matrix: 1 and -1 for the eigenvalues on either side of the imaginary axis.

    Attributes:
        value: `(n, n)`.
        settled: whether no eigenvalue is on the axis to rounding.
    """

    value: Float[Array, "n n"]
    settled: Bool[Array, ""]


def sign_of(a: Float[Array, "n n"]) -> Sign:
    r"""By Newton's iteration, $X \leftarrow (c X + (c X)^{-1}) / 2$.

    References:
        Higham (2008), Functions of Matrices, chapter 5; the factor is that of section 5.5,
        from the norms of the matrix and of its inverse.
    """
    size = jnp.sqrt((a**2).sum())

    def body(now: tuple[Array, ...]) -> tuple[Array, ...]:
        x, _, nearest, k = now
        other = inverse(x)
        lengths = jnp.sqrt((x**2).sum()), jnp.sqrt((other**2).sum())
        factor = jnp.where(k < _SCALED, jnp.sqrt(lengths[1] / lengths[0]), 1.0)
        new = (factor * x + other / factor) / 2
        change = jnp.sqrt(((new - x) ** 2).sum() / (new**2).sum())
        nearest = jnp.where(k == 0, 1.0 / lengths[1], nearest)
        return new, change, nearest, k + 1

    def go(now: tuple[Array, ...]) -> Array:
        _, change, _, k = now
        return (change > _SETTLED) & (k < _MOST)

    start = a, jnp.full((), jnp.inf), jnp.zeros(()), jnp.zeros((), jnp.int32)
    value, change, nearest, _ = lax.while_loop(go, body, start)
    return Sign(value, (change <= _SETTLED) & (nearest > _ROUNDING * size))


def unstable_count(a: Float[Array, "n n"]) -> Int[Array, ""]:
    r"""How many eigenvalues have positive real parts: $(n + \mathrm{tr}\, \mathrm{sign}\, A) / 2$.

    `UNSETTLED` where one of them is on the axis to rounding, or a is not finite. Of up to four
    variables by the criterion of Routh.
    """
    n = a.shape[0]
    if n <= _FEW:
        return _of_few(a)
    sign = sign_of(a)
    count = (n + jnp.trace(sign.value)) / 2
    whole = jnp.round(count)
    settled = sign.settled & (abs(count - whole) < _WHOLE)
    return jnp.where(settled, whole, UNSETTLED).astype(jnp.int32)


def _of_few(a: Float[Array, "n n"]) -> Int[Array, ""]:
    """The same of up to four variables: sign changes in the first column of Routh's array.

    References:
        Horn and Johnson (2013), Matrix Analysis, section 1.2 (coefficients, by Le Verrier);
        Gantmacher (1959), The Theory of Matrices, chapter XV (Routh).
    """
    n = a.shape[0]
    size = jnp.sqrt((a**2).sum())
    a = a / jnp.where(size > 0, size, 1.0)
    one, power = jnp.ones((), a.dtype), jnp.eye(n, dtype=a.dtype)
    coefficients = [one]
    for k in range(1, n + 1):
        image = product(a, power)
        coefficients.append(-jnp.trace(image) / k)
        power = image + coefficients[-1] * jnp.eye(n, dtype=a.dtype)
    above, below = coefficients[0::2], coefficients[1::2]
    column = [one]
    while below:
        column.append(below[0])
        pivot = jnp.where(below[0] == 0, 1.0, below[0])
        rest = [
            x - above[0] * y / pivot for x, y in zip(above[1:], [*below[1:], 0.0], strict=False)
        ]
        above, below = below, rest
    signs = jnp.stack(column)
    count = ((signs[1:] > 0) != (signs[:-1] > 0)).sum(dtype=jnp.int32)
    settled = (abs(signs) > _ROUNDING).all() & jnp.isfinite(signs).all() & (size > 0)
    return jnp.where(settled, count, UNSETTLED)


def critical_projector(
    a: Float[Array, "n n"],
    count: Float[Array, ""],
    size: Float[Array, ""],
    wanted: Bool[Array, ""],
) -> tuple[Float[Array, "n n"], Bool[Array, ""]]:
    r"""The spectral projector on those `count` eigenvalues that are nearest to the imaginary axis.

    $P = (\mathrm{sign}(A + \epsilon) - \mathrm{sign}(A - \epsilon)) / 2$ holds the eigenvalues whose real
    parts are between $-\epsilon$ and $\epsilon$; of a row of widths the largest with so many is taken.

    Args:
        a: the matrix.
        count: how many.
        size: how large the matrix is around there; it may vanish where all of its eigenvalues do.
        wanted: whether to look at all.

    Returns:
        P, of trace `count`, and whether there is one.
    """
    n = a.shape[0]
    widths = jnp.asarray(np.geomspace(0.3, 1e-7, 24), a.dtype)
    eye = jnp.eye(n, dtype=a.dtype)

    def body(now: tuple[Array, ...]) -> tuple[Array, ...]:
        _, _, k = now
        beside = widths[k] * size * eye
        signs = jax.vmap(sign_of)(jnp.stack([a + beside, a - beside]))
        projector = (signs.value[0] - signs.value[1]) / 2
        whole = abs(jnp.trace(projector) - count) < _WHOLE
        return projector, whole & signs.settled.all(), k + 1

    def go(now: tuple[Array, ...]) -> Array:
        _, found, k = now
        return wanted & ~found & (k < widths.size)

    start = jnp.zeros_like(a), jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    projector, found, _ = lax.while_loop(go, body, start)
    return projector, found


def on_axis(
    a: Float[Array, "n n"], projector: Float[Array, "n n"], count: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""Of the eigenvalues that a projector holds: their mean, real, and minus that of their squares.

    $\mathrm{tr}(P A) / d$ and $-\mathrm{tr}(P A^2) / d$. With P held, both have the derivatives of
    those of the eigenvalues.
    """
    d = jnp.maximum(count, 1.0)
    image = product(a, projector)
    return jnp.trace(image) / d, -jnp.trace(product(a, image)) / d
