r"""Zeros of large vector fields, without a Jacobian.

Only products with it are taken, by forward differentiation: of a network of N units they cost as
much as its vector field, O(N^2) with dense weights and O(N r) with weights of rank r.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.implicit import DIMENSION
from rnnjax._numerics.krylov import gmres, length_of
from rnnjax._numerics.roots import small_beside
from rnnjax._types import Array

_CYCLES = 2  # the most restarts of GMRES for a Newton step
_SLOW, _PATIENCE = 0.98, 5  # so many steps may leave more of the residual than that
_FORCING = 1e-4  # relative residual of a Newton step's linear system
_DECREASE = 1e-4  # of the predicted decrease, what a step must reach
_PROBES = 8  # products that tell the size of the Jacobian's rows


def search(field: Callable[[Array], Array], guess: Array, max_steps: int) -> Array:
    r"""A zero of `field` near `guess`, by Newton steps from GMRES that are halved until $|f|$ falls.

    It goes on until the residual no longer falls, which is to rounding near a zero, or falls too
    slowly: where eigenvalues of the Jacobian surround zero, GMRES needs about as many products as
    there are variables. No derivatives.

    References:
        Knoll and Keyes (2004), Journal of Computational Physics 193:357-397.
    """

    def body(now: tuple[Array, Array, Array, Array]) -> Any:
        x, _, slow, count = now
        value, product = jax.linearize(field, x)
        size = length_of(value)
        step = gmres(product, -value, DIMENSION, _CYCLES, _FORCING).x

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
    return small_beside(value, rows)
