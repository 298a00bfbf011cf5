"""Derivatives of what was solved for, by the equations that it solves."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PyTree

from rnnjax._numerics import krylov
from rnnjax._numerics.dense import solve
from rnnjax._numerics.roots_by_products import (
    _CYCLES,
    _SOLVED,
    DIMENSION,
    Equations,
    _product,
)
from rnnjax._types import Array


def root_of(
    equations: Callable[[PyTree, Array, PyTree], Array],
    parameters: PyTree,
    x: Array,
    constants: PyTree,
) -> Array:
    r"""A solved $x$ of `equations(parameters, x, constants)` = 0, with all its derivatives.

    $dx = -(\partial f / \partial x)^{-1} (\partial f / \partial \theta)\, d\theta$ for the
    parameters $\theta$, which is not finite where the equations are singular. The rule costs
    nothing where no derivative is asked for.

    Args:
        equations: f; it must capture no arrays.
        parameters: what derivatives may be asked by, arrays.
        x: the solution, `(n,)`.
        constants: other arrays.
    """

    @jax.custom_jvp
    def root(parameters: PyTree, x: Array, constants: PyTree) -> Array:
        return x

    @root.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
        parameters, x, constants = primals
        solved = root(parameters, x, constants)
        change = jax.jvp(lambda p: equations(p, solved, constants), (parameters,), (tangents[0],))[
            1
        ]
        derivatives = jax.jacfwd(lambda z: equations(parameters, z, constants))(solved)
        regular = jnp.isfinite(solve(derivatives, jnp.ones_like(solved))).all()
        safe = jnp.where(regular, derivatives, jnp.eye(solved.size, dtype=solved.dtype))
        return solved, only(regular, solve(safe, -change))

    return root(parameters, x, constants)


def refuse(found: Array, x: Array) -> Array:
    """`x`, and NaN where it was not found; so are the derivatives there, if they are asked for."""
    return only(found, x + jnp.where(found, 0.0, jnp.nan))


@jax.custom_jvp
def without_derivatives(given: Any, x: PyTree) -> PyTree:
    """`x`, arrays of floats; its derivatives by the arrays `given`, which it depends on, are NaN."""
    return x


@without_derivatives.defjvp
def _without_derivatives_jvp(primals: Any, tangents: Any) -> Any:
    given, x = primals
    # a sum in which tangents do not cancel: NaN unless it is zero, both ways
    sums = [
        (t.ravel() * jnp.cos(1.0 + jnp.arange(t.size, dtype=t.dtype))).sum()
        for t in jax.tree.leaves(tangents[0])
    ]
    unknown = only(jnp.zeros((), bool), jnp.stack(sums).sum())
    return without_derivatives(given, x), jax.tree.map(lambda a: jnp.zeros_like(a) + unknown, x)


def only(where: Array, x: Array) -> Array:
    """`x`, linear in it, but NaN where it is neither allowed nor zero: both ways through it."""

    def checked(_: Any, y: Array) -> Array:
        return jnp.where(where | (y == 0), y, jnp.nan)

    return lax.custom_linear_solve(lambda y: y, x, checked, checked)


def root_by_products(equations: Equations, arrays: Any, x: Array) -> Array:
    r"""A solved $x$ of `equations(arrays, x)` = 0 with its derivatives, by GMRES.

    $dx = -(\partial f / \partial x)^{-1} (\partial f / \partial \theta)\, d\theta$ for the arrays
    $\theta$; NaN where that system could not be solved. It costs nothing where no derivative is
    asked for.
    """

    @jax.custom_jvp
    def root(arrays: Any, x: Array) -> Array:
        return x

    @root.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
        arrays, x = primals
        solved = root(arrays, x)
        _, change = jax.jvp(lambda a: equations(a, solved), (arrays,), (tangents[0],))
        product = _product(equations, arrays, solved)
        return solved, krylov.solve(product, -change, DIMENSION, _CYCLES, _SOLVED)

    return root(arrays, x)


def opaque(arrays: Any, x: Array) -> Array:
    """`x`, whose derivatives by `arrays` are not known: NaN, if they are asked for."""

    @jax.custom_jvp
    def hidden(arrays: Any, x: Array) -> Array:
        return x

    @hidden.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
        x = hidden(*primals)
        moves = [t.sum() for t in jax.tree.leaves(tangents[0]) if t.dtype == x.dtype]
        return x, only(jnp.zeros((), bool), jnp.broadcast_to(sum(moves), x.shape))

    return hidden(arrays, x)
