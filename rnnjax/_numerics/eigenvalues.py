"""Flat views of a state, and the linear algebra that the analysis verbs share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Complex, PyTree

from rnnjax._numerics.dense import solve
from rnnjax._types import Array, Float, is_traced

_TINY = 1e-300
_TOLERANCE = 1e-10  # of a residual, relative to the size of the Jacobian and of the state
_ROUNDING = 1e-14  # of a residual, relative to the fastest variable


def flatten(state: PyTree) -> tuple[Array, Callable[[Array], PyTree]]:
    """The state as one vector `(n,)`, and the function that undoes it."""
    return ravel_pytree(state)


def variable_names(state: PyTree) -> list[str]:
    """A name for each entry of the flattened state: `e`, `i`, or `v[3]`, or `state[3]`."""
    names = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "state"
        shape = np.shape(leaf)
        if shape == ():
            names.append(name)
        else:
            names += [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]
    return names


def named_leaves(tree: PyTree, name: str = "state") -> dict[str, Any]:
    """The leaves by name: a field of a `NamedTuple` by its own, a bare array as `name`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="_") or name: leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def eigenvalues(matrix: Float[Any, "*batch n n"]) -> Complex[Any, "*batch n"]:
    """Eigenvalues, the one with the largest real part first.

    Concrete matrices go through LAPACK on the host in float64; traced ones through JAX, which
    can be differentiated where the eigenvalues are distinct.
    """
    if is_traced(matrix):
        values = jnp.linalg.eigvals(matrix)
        order = jnp.argsort(-values.real, axis=-1, stable=True)
        return jnp.take_along_axis(values, order, axis=-1)
    matrix = np.asarray(matrix, np.float64)
    values = np.full(matrix.shape[:-1], np.nan + 0j)
    finite = np.isfinite(matrix).all((-1, -2))
    values[finite] = np.linalg.eigvals(matrix[finite])
    order = np.argsort(-np.real(values), axis=-1, kind="stable")
    return np.take_along_axis(values, order, axis=-1)


def find_root(field: Callable[[Array], Array], guess: Array, max_steps: int) -> tuple[Array, Array]:
    """A zero of `field` near `guess`, and whether it is finite; without derivatives, see `root_of`.

    Args:
        field: f on vectors `(n,)`.
        guess: where to start, `(n,)`.
        max_steps: the most steps of the search.
    """
    x = dogleg(field, guess, max_steps)
    polished = x - jnp.linalg.solve(jax.jacfwd(field)(x), field(x))
    x = jnp.where(abs(field(polished)).max() <= abs(field(x)).max(), polished, x)
    # A lane that found nothing must not spoil the gradients of the others: 0 times NaN is NaN.
    finite = jnp.isfinite(field(x)).all()
    return jnp.where(finite, x, jnp.zeros_like(x)), finite


def vanishes(value: Array, jacobian: Array, x: Array) -> Array:
    """Whether a function of a vector `(n,)` is zero to rounding, given its derivatives there.

    Row by row, so that a fast variable does not hide that a slow one still drifts.
    """
    rows = (abs(jacobian) * (1 + abs(x))).sum(-1)
    return (abs(value) <= _TOLERANCE * rows + _ROUNDING * rows.max()).all()


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
        return solved, _only(regular, solve(safe, -change))

    return root(parameters, x, constants)


def refuse(found: Array, x: Array) -> Array:
    """`x`, and NaN where it was not found; so are the derivatives there, if they are asked for."""
    return _only(found, x + jnp.where(found, 0.0, jnp.nan))


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
    unknown = _only(jnp.zeros((), bool), jnp.stack(sums).sum())
    return without_derivatives(given, x), jax.tree.map(lambda a: jnp.zeros_like(a) + unknown, x)


def _only(where: Array, x: Array) -> Array:
    """`x`, linear in it, but NaN where it is neither allowed nor zero: both ways through it."""

    def checked(_: Any, y: Array) -> Array:
        return jnp.where(where | (y == 0), y, jnp.nan)

    return lax.custom_linear_solve(lambda y: y, x, checked, checked)


class _Search(NamedTuple):
    x: Array
    f: Array
    radius: Array
    steps: Array
    going: Array


def dogleg(field: Callable[[Array], Array], guess: Array, max_steps: int) -> Array:
    """Powell's trust-region step between steepest descent and Newton, until it stands still.

    Written in plain JAX operations: a library's solver is lowered after the float64 scope of its
    caller has ended, and then fails inside a float32 program.
    """

    def body(now: _Search) -> _Search:
        x, f, radius = now.x, now.f, now.radius
        jacobian = jax.jacfwd(field)(x)
        slope = f @ jacobian
        along = jacobian @ slope
        cauchy = -slope * (slope @ slope) / jnp.maximum(along @ along, _TINY)
        newton = jnp.linalg.solve(jacobian, -f)
        newton = jnp.where(jnp.isfinite(newton).all(), newton, cauchy)
        p = _within(cauchy, newton, radius)
        trial = field(x + p)
        expected = f @ f - jnp.sum((f + jacobian @ p) ** 2)
        ratio = (f @ f - trial @ trial) / jnp.maximum(expected, _TINY)
        good = (ratio > 1e-4) & jnp.isfinite(trial).all()
        size = _norm(p)
        radius = jnp.where(
            good & (ratio > 0.75), jnp.maximum(radius, 2 * size),
            jnp.where(good & (ratio > 0.25), radius, size / 4),
        )  # fmt: skip
        moving = size > 1e-15 * (1 + _norm(x))
        return _Search(
            jnp.where(good, x + p, x), jnp.where(good, trial, f), radius, now.steps + 1,
            moving & (good | (radius > 1e-12 * (1 + _norm(x)))),
        )  # fmt: skip

    first = field(guess)
    start = _Search(
        guess, first, 10 * (1 + _norm(guess)), jnp.zeros((), jnp.int32), jnp.isfinite(first).all()
    )
    return lax.while_loop(lambda s: s.going & (s.steps < max_steps), body, start).x


def _within(cauchy: Array, newton: Array, radius: Array) -> Array:
    """The point of the path 0 - cauchy - newton at most `radius` away."""
    leg = newton - cauchy
    a, b, c = leg @ leg, cauchy @ leg, cauchy @ cauchy - radius**2
    share = (-b + jnp.sqrt(jnp.maximum(b * b - a * c, 0))) / jnp.maximum(a, _TINY)
    short = cauchy * radius / jnp.maximum(_norm(cauchy), _TINY)
    between = jnp.where(_norm(cauchy) >= radius, short, cauchy + jnp.clip(share, 0, 1) * leg)
    return jnp.where(_norm(newton) <= radius, newton, between)


def _norm(x: Array) -> Array:
    return jnp.sqrt(x @ x)


def index_of_largest(x: Array) -> Array:
    """The first index of the largest entry along the first axis, as int32.

    `argmax` is lowered after the float64 scope of its caller has ended, and then fails inside a
    float32 program.
    """
    places = lax.broadcasted_iota(jnp.int32, x.shape, 0)
    return jnp.where(x == x.max(0), places, x.shape[0] - 1).min(0)


def first_of(conditions: list[Array], choices: list[int], otherwise: Any) -> Array:
    """The choice of the first condition that holds, as int32; for the same reason no `jnp.select`."""
    chosen = jnp.asarray(otherwise, jnp.int32)
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        chosen = jnp.where(condition, jnp.asarray(choice, jnp.int32), chosen)
    return chosen


def fastest_variable(derivative: Any, state: Any) -> Any:
    """The variable that moves fastest; of several that move infinitely fast, the largest."""
    speed, size = (abs(flatten(x)[0]) for x in (derivative, state))
    speed = jnp.where(jnp.isfinite(speed), speed, jnp.inf)
    size = jnp.where(jnp.isfinite(size), size, jnp.inf)
    fastest = speed == speed.max()
    return jnp.argmax(jnp.where(fastest, size, -1)).astype(jnp.int32)
