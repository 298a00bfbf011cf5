"""Derivatives of what was solved for, by the equations that it solves: all of them are here."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from rnnjax._numerics.dense import solve
from rnnjax._numerics.krylov import solve as solve_by_products
from rnnjax._types import AnyArray, Array, Arrays, Bool, Expected, Function, Scalar

SolutionT = TypeVar("SolutionT")

# (given, solution, constants) -> what vanishes; captures no arrays that are differentiated
Equations: TypeAlias = Callable[[Arrays, SolutionT, Arrays], Arrays]
# (equations, (given, solution, constants), right side) -> the change of the solution that makes it
LinearSolve: TypeAlias = Callable[
    [Equations[SolutionT], tuple[Arrays, SolutionT, Arrays], Arrays], SolutionT
]

DIMENSION = 100  # products between restarts of GMRES; beyond, LAPACK's threads get in XLA's way
_CYCLES = 20  # the most restarts
_SOLVED = 1e-9  # relative residual of the systems that derivatives need


def by_elimination(
    equations: Equations[Array], at: tuple[Arrays, Array, Arrays], right_side: Array
) -> Array:
    """The change of a vector that makes equations change so much; NaN where they are singular."""
    given, solution, constants = at
    derivatives = jax.jacfwd(lambda z: equations(given, z, constants))(solution)
    regular = jnp.isfinite(solve(derivatives, jnp.ones_like(solution))).all()
    safe = jnp.where(regular, derivatives, jnp.eye(solution.size, dtype=solution.dtype))
    return only(regular, solve(safe, right_side))


def by_products(
    equations: Equations[Array], at: tuple[Arrays, Array, Arrays], right_side: Array
) -> Array:
    """The same for many variables, by GMRES; NaN where that did not come to an end."""
    given, solution, constants = at
    _, product = jax.linearize(lambda z: equations(given, z, constants), solution)
    return solve_by_products(product, right_side, DIMENSION, _CYCLES, _SOLVED)


def root_of(
    equations: Equations[SolutionT],
    given: Arrays,
    solution: SolutionT,
    constants: Arrays = None,
    *,
    linear_solve: LinearSolve[SolutionT] = by_elimination,
) -> SolutionT:
    r"""A solved $x$ of `equations(given, x, constants)` = 0, with all its derivatives.

    $dx = -(\partial f / \partial x)^{-1} (\partial f / \partial \theta)\, d\theta$ for what is given,
    $\theta$. The rule costs nothing where no derivative is asked for.

    Args:
        equations: f; it must capture no arrays.
        given: what derivatives may be asked by.
        solution: x, a vector `(n,)` unless `linear_solve` knows its structure.
        constants: other arrays.
        linear_solve: solves with $\partial f / \partial x$; it may solve equations of its own that
            mean the same. Those of a vector unless given: `by_elimination`, or `by_products`.
    """

    @jax.custom_jvp
    def root(given: Arrays, solution: SolutionT, constants: Arrays) -> SolutionT:
        return solution

    @root.defjvp
    def _(
        primals: tuple[Arrays, SolutionT, Arrays], tangents: tuple[Arrays, Arrays, Arrays]
    ) -> tuple[SolutionT, SolutionT]:
        given, solution, constants = primals
        solved = root(given, solution, constants)
        _, change = jax.jvp(lambda g: equations(g, solved, constants), (given,), (tangents[0],))
        right_side = jax.tree.map(jnp.negative, change)
        return solved, linear_solve(equations, (given, solved, constants), right_side)

    return root(given, solution, constants)


def refuse(found: Bool[AnyArray, "..."], x: AnyArray) -> AnyArray:
    """`x`, and NaN where it was not found; so are the derivatives there, if they are asked for."""
    if not isinstance(x, jax.Array):
        return np.where(found, x, np.nan)
    nothing = jnp.full((), jnp.nan, x.dtype)
    return only(found, x + jnp.where(found, jnp.zeros_like(nothing), nothing))


def without_derivatives(given: Arrays, x: Arrays) -> Arrays:
    """`x`, floats; its derivatives by the arrays `given`, which it depends on, are NaN if asked for."""
    return _opaque(eqx.filter(given, eqx.is_inexact_array), x)


@jax.custom_jvp
def _opaque(given: Arrays, x: Arrays) -> Arrays:
    return x


@_opaque.defjvp
def _opaque_jvp(
    primals: tuple[Arrays, Arrays], tangents: tuple[Arrays, Arrays]
) -> tuple[Arrays, Arrays]:
    given, x = primals
    # a sum in which tangents do not cancel: NaN unless it is zero, both ways
    sums = [
        (t.ravel() * jnp.cos(1.0 + jnp.arange(t.size, dtype=t.dtype))).sum()
        for t in jax.tree.leaves(tangents[0])
    ]
    unknown = only(jnp.zeros((), bool), jnp.stack(sums).sum())
    return _opaque(given, x), jax.tree.map(lambda a: jnp.zeros_like(a) + unknown, x)


def wanted_where(wanted: Bool[Array, ""], given: Arrays) -> Arrays:
    """`given` as it is, but without derivatives by its floats where these are not wanted.

    Chosen, not multiplied: whatever comes back there, NaN as well, is gone.
    """
    smooth, others = eqx.partition(given, eqx.is_inexact_array)
    return eqx.combine(
        jax.tree.map(lambda x: jnp.where(wanted, x, lax.stop_gradient(x)), smooth), others
    )


def zero_of(tree: Arrays) -> Scalar:
    """Zero, as depending on each array of a tree; whatever is in them, NaN as well."""
    never = jnp.zeros((), bool)  # chosen, not multiplied: nothing times what is NaN would be NaN
    leaves = [leaf for leaf in jax.tree.leaves(tree) if leaf.size]
    return sum((jnp.where(never, leaf.ravel()[0], 0.0) for leaf in leaves), start=0.0)


def is_symbolic(tangent: Expected[Array]) -> bool:
    """Whether a tangent is known to be zero before anything runs."""
    return isinstance(tangent, SymbolicZero)


def only(where: Bool[Array, "..."], x: Array) -> Array:
    """`x`, linear in it, but NaN where it is neither allowed nor zero: both ways through it."""

    def checked(_: Function, y: Array) -> Array:
        return jnp.where(where | (y == 0), y, jnp.nan)

    return lax.custom_linear_solve(lambda y: y, x, checked, checked)


def linear_map(
    push: Callable[[Arrays], Arrays], pull: Callable[[Arrays], Arrays], at: Arrays, x: Arrays
) -> Arrays:
    """`push(x)`, linear in x, which goes back by `pull`, its transpose, and not by what JAX would do.

    Going back, its derivatives by `at` are those that JAX finds for the transpose of `push`.

    Args:
        push: the map; it may compute in float64 in a float32 program.
        pull: its transpose.
        at: what both depend on.
        x: arrays.
    """
    touched = zero_of(x)  # of what is solved for no part may be a constant
    x = jax.tree.map(lambda leaf: leaf + touched, x)
    nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype) + touched, jax.eval_shape(push, x))

    def product(pair: tuple[Arrays, Arrays]) -> tuple[Arrays, Arrays]:
        # all of it depends on all: JAX takes no tangents of which some are known to be none
        one = 1.0 + zero_of(at)
        x, y = jax.tree.map(lambda leaf: leaf * one, pair)
        return x, jax.tree.map(jnp.subtract, y, push(x))

    def forth(_: Function, pair: tuple[Arrays, Arrays]) -> tuple[Arrays, Arrays]:
        x, y = pair
        return x, jax.tree.map(jnp.add, y, push(x))

    def back(_: Function, pair: tuple[Arrays, Arrays]) -> tuple[Arrays, Arrays]:
        x, y = pair
        return jax.tree.map(jnp.add, x, pull(y)), y

    with jax.enable_x64(True):
        return lax.custom_linear_solve(product, (x, nothing), forth, back)[1]
