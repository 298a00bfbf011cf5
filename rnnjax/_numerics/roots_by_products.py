r"""Zeros of large vector fields, and leading eigenvalues there, without a Jacobian.

Only products with it are taken, by forward differentiation: of a network of N units they cost as
much as its vector field, O(N^2) with dense weights and O(N r) with weights of rank r.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.krylov import Product, Ritz, by_parts, gmres, leading, length_of
from rnnjax._types import Array

Equations = Callable[[Any, Array], Array]  # (arrays, state (n,)) -> f (n,); captures no arrays

# of GMRES: products between restarts; LAPACK's threads get in the way of XLA's beyond about 128
DIMENSION = 100
_STEP_CYCLES, _CYCLES = 2, 20  # the most restarts, for a Newton step and for derivatives
_SLOW, _PATIENCE = 0.98, 5  # so many steps may leave more of the residual than that
_FORCING = 1e-4  # relative residual of a Newton step's linear system
_SOLVED = 1e-9  # that of the systems that derivatives need
_DECREASE = 1e-4  # of the predicted decrease, what a step must reach
_PROBES = 8  # products that tell the size of the Jacobian's rows
_TOLERANCE, _ROUNDING = 1e-10, 1e-14  # as for small systems, see `_linalg.vanishes`
_MATCHED = 1e-8  # of the matrix's size, how near an eigenvalue of the transpose must be


def search(field: Callable[[Array], Array], guess: Array, max_steps: int) -> Array:
    r"""A zero of `field` near `guess`, by Newton steps from GMRES that are halved until $|f|$ falls.

    It goes on until the residual no longer falls, which is to rounding near a zero, or falls too
    slowly: where eigenvalues of the Jacobian surround zero, GMRES needs about as many products as
    there are variables. No derivatives.

    References:
        Knoll and Keyes (2004), Journal of Computational Physics 193:357-397.
    """

    def body(now: Any) -> Any:
        x, _, slow, count = now
        value, product = jax.linearize(field, x)
        size = length_of(value)
        step = gmres(product, -value, DIMENSION, _STEP_CYCLES, _FORCING).x

        def fails(share: Array) -> Array:
            there = length_of(field(x + share * step))
            return ~(there <= (1 - _DECREASE * share) * size)

        share, failed = lax.while_loop(
            lambda s: s[1] & (s[0] > 1e-6),
            lambda s: (s[0] / 2, fails(s[0] / 2)),
            (jnp.ones(()), fails(jnp.ones(()))),
        )
        moved = jnp.where(failed, 0.0, share * step)
        slow = jnp.where(length_of(field(x + moved)) > _SLOW * size, slow + 1, 0)
        going = ~failed & (length_of(moved) > 1e-15 * (1 + length_of(x))) & (slow < _PATIENCE)
        return x + moved, going, slow, count + 1

    zero = jnp.zeros((), jnp.int32)
    first = guess, jnp.isfinite(field(guess)).all(), zero, zero
    return lax.while_loop(lambda now: now[1] & (now[3] < max_steps), body, first)[0]


def rests(field: Callable[[Array], Array], x: Array) -> Array:
    """Whether `field` is zero at `x` to rounding, row by row, by random products.

    Their mean square tells the length of each row of the Jacobian, whose columns count by the size
    of the variable.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(_PROBES, x.size))
    value, product = jax.linearize(field, x)
    images = lax.map(lambda s: product(s * (1 + abs(x))), jnp.asarray(signs))
    rows = jnp.sqrt((images**2).mean(0))
    return (abs(value) <= _TOLERANCE * rows + _ROUNDING * rows.max()).all()


def eigenvalues_by_products(
    equations: Equations, arrays: Any, x: Array, random: Array, effort: tuple[int, int, float]
) -> tuple[Ritz, Array]:
    r"""The leading eigenvalues of the derivatives of `equations` by the state, and which are right.

    $d\lambda = w^T (dA) v / (w^T v)$ with $w$ from the leading eigenvalues of the transpose, which
    are found where a derivative is asked for; NaN where none is the same. The derivatives of the
    vectors are NaN.

    Args:
        equations: f.
        arrays: what it is computed from.
        x: where, `(n,)`.
        random: see `leading`.
        effort: how many eigenvalues, the most restarts, and the relative tolerance.
    """
    count, restarts, tolerance = effort

    def found_by(product: Product, random: Array) -> tuple[Ritz, Array]:
        ritz = leading(product, random, count, restarts, tolerance)
        return ritz, ritz.residuals <= 10 * tolerance * ritz.size

    @jax.custom_jvp
    def found(arrays: Any, x: Array, random: Array) -> tuple[Ritz, Array]:
        return found_by(_product(equations, arrays, x), random)

    @found.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        arrays, x, random = primals
        ritz, right = found(arrays, x, random)
        turned = jax.linear_transpose(_product(equations, arrays, x), x)
        other, well = found_by(lambda v: turned(v)[0], random)
        off = jnp.where(well, abs(ritz.values[:, None] - other.values), jnp.inf)
        same = off <= _MATCHED * ritz.size  # of equal eigenvalues, more than one
        left = same.astype(ritz.vectors.dtype) @ other.vectors

        def changed(v: Array) -> Array:
            def image(arrays: Any, x: Array) -> Array:
                return jax.jvp(lambda z: equations(arrays, z), (x,), (v,))[1]

            return jax.jvp(image, (arrays, x), tangents[:2])[1]

        images = by_parts(jax.vmap(changed), ritz.vectors)
        slope = (left * images).sum(-1) / (left * ritz.vectors).sum(-1)
        slope = _only(right & (same.sum(1) == 1), slope)
        none = _only(jnp.zeros((), bool), jnp.broadcast_to(slope[:, None], ritz.vectors.shape))
        zero = jnp.zeros_like(ritz.residuals)
        still: Any = np.zeros((), jax.dtypes.float0)
        change = Ritz(slope, none, zero, zero[0], still)
        return (ritz, right), (change, np.zeros(right.shape, jax.dtypes.float0))

    return found(arrays, x, random)


def _product(equations: Equations, arrays: Any, x: Array) -> Product:
    """The product of a vector with the derivatives by the state."""
    return jax.linearize(lambda z: equations(arrays, z), x)[1]


def _only(where: Array, x: Array) -> Array:
    """`x`, linear in it, but NaN where it is neither allowed nor zero: both ways through it."""

    def checked(_: Any, y: Array) -> Array:
        return jnp.where(where | (y == 0), y, jnp.nan)

    return lax.custom_linear_solve(lambda y: y, x, checked, checked)
