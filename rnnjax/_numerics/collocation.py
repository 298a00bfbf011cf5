r"""Periodic orbits as piecewise polynomials that satisfy the vector field at Gauss points.

The period is cut into N intervals of length $h_j$, in each of which the state is the polynomial of
degree `DEGREE` through `DEGREE + 1` nodes; the last is the first of the next interval. At the Gauss
points $\zeta_i$ of each interval $\sum_k L_k'(\zeta_i) x_{jk} = h_j T f(\sum_k L_k(\zeta_i) x_{jk}, p)$:
the error at the ends of the intervals is $O(h^{2 m})$.

References:
    Ascher, Mattheij and Russell (1995), Numerical Solution of Boundary Value Problems; Doedel, Keller
    and Kernevez (1991), Int. J. Bifurcation and Chaos 1:745-772.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._numerics.dense import solve
from rnnjax._numerics.periodic_systems import (
    Condensed,
    Sides,
    back_substituted,
    condensed,
    condensed_sides,
    nodes,
    triangular,
)
from rnnjax._types import AnyArray, Array, numpy_of

Family = Callable[[Array], Array]  # state and parameters (n + k,) -> the vector field (n,)

DEGREE = 4  # of the polynomials; as many Gauss points in each interval


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gauss points and weights on [0, 1]; values and slopes of the Lagrange polynomials there."""
    points, weights = np.polynomial.legendre.leggauss(DEGREE)
    points, weights = (points + 1) / 2, weights / 2
    where = np.linspace(0, 1, DEGREE + 1)
    values, slopes = np.zeros((2, DEGREE, DEGREE + 1))
    top = np.zeros(DEGREE + 1)
    for k in range(DEGREE + 1):
        others = np.delete(where, k)
        polynomial = np.poly1d(others, r=True) / np.prod(where[k] - others)
        values[:, k], slopes[:, k] = polynomial(points), polynomial.deriv()(points)
        top[k] = polynomial.coeffs[0] * np.prod(np.arange(1, DEGREE + 1))
    return where, weights, values, slopes, top


NODES, WEIGHTS, VALUES, SLOPES, TOP = _tables()


class Cycle(NamedTuple):
    """A closed curve, in scaled coordinates.

    Attributes:
        x: the nodes, `(N, DEGREE, n)`.
        period: T.
        parameter: p, one number or several, `(k,)`.
        widths: the lengths of the intervals as shares of the period, `(N,)`.
    """

    x: Array
    period: Array
    parameter: Array
    widths: Array


class Row(NamedTuple):
    """A linear function of a change of a cycle: of its nodes, its period and its parameters."""

    x: Array
    period: Array
    parameter: Array


class Linearized(NamedTuple):
    """The equations at a cycle.

    Attributes:
        value: what must vanish, `(N, DEGREE, n)`.
        inner: the derivatives by the nodes between the ends, `(N, DEGREE n, (DEGREE - 1) n)`.
        begin, end: those by the ends, `(N, DEGREE n, n)`.
        period, parameter: those by T and p, `(N, DEGREE, n)`; of several parameters with one axis
            more, the last.
    """

    value: Array
    inner: Array
    begin: Array
    end: Array
    period: Array
    parameter: Array


def ends_of(widths: Array) -> Array:
    """Where the intervals end, as shares of the period, `(N + 1,)`."""
    return jnp.concatenate([jnp.zeros(1), jnp.cumsum(widths)])


def places_of(widths: Array) -> Array:
    """Where the nodes are, as shares of the period, `(N, DEGREE)`."""
    return ends_of(widths)[:-1, None] + widths[:, None] * jnp.asarray(NODES[:-1])


def closed(x: AnyArray) -> Any:
    """All nodes of each interval, `(N, DEGREE + 1, n)`; on the host as well."""
    xp = numpy_of(x)
    return xp.concatenate([x, xp.roll(x[:, :1], -1, 0)], 1)


def gathered(y: Array) -> Array:
    """The transpose of `closed`."""
    return y[:, :-1].at[:, 0].add(jnp.roll(y[:, -1], 1, 0))


def at_gauss_points(x: Array) -> Array:
    """The state at the Gauss points, `(N, DEGREE, n)`."""
    return jnp.einsum("ik,jkn->jin", jnp.asarray(VALUES), closed(x))


def slopes_at_gauss_points(x: Array) -> Array:
    """Its derivative by the share of an interval there."""
    return jnp.einsum("ik,jkn->jin", jnp.asarray(SLOPES), closed(x))


def residual(field: Family, cycle: Cycle) -> Array:
    """What vanishes on an orbit of the vector field of state and parameter, `(N, DEGREE, n)`."""
    states = at_gauss_points(cycle.x)
    rates = jax.vmap(jax.vmap(lambda x: field(jnp.append(x, cycle.parameter))))(states)
    return slopes_at_gauss_points(cycle.x) - cycle.widths[:, None, None] * cycle.period * rates


def misfit(field: Family, cycle: Cycle) -> Array:
    """By how much a cycle is no orbit of the vector field, as a share of its largest slope."""
    return abs(residual(field, cycle)).max() / abs(slopes_at_gauss_points(cycle.x)).max()


def linearized(field: Family, cycle: Cycle) -> Linearized:
    """The equations and their derivatives at a cycle."""
    count, m, n = cycle.x.shape
    states = at_gauss_points(cycle.x)

    def both(x: Array) -> tuple[Array, Array]:
        u = jnp.append(x, cycle.parameter)
        return field(u), jax.jacfwd(field)(u)

    rates, derivatives = jax.vmap(jax.vmap(both))(states)
    width = cycle.widths[:, None, None]
    # (interval, Gauss point, equation, node, variable)
    by_state = width[..., None, None] * cycle.period * derivatives[..., None, :n]
    blocks = (
        jnp.asarray(SLOPES)[None, :, None, :, None] * jnp.eye(n)[None, None, :, None, :]
        - jnp.asarray(VALUES)[None, :, None, :, None] * by_state
    ).reshape(count, m * n, m + 1, n)
    by_parameter = -width[..., None] * cycle.period * derivatives[..., n:]
    return Linearized(
        value=slopes_at_gauss_points(cycle.x) - width * cycle.period * rates,
        inner=blocks[:, :, 1:-1].reshape(count, m * n, (m - 1) * n),
        begin=blocks[:, :, 0],
        end=blocks[:, :, -1],
        period=-width * rates,
        parameter=by_parameter if cycle.parameter.ndim else by_parameter[..., 0],
    )


class Reduced(NamedTuple):
    """The equations of the ends of the intervals alone, and how the nodes between follow.

    Attributes:
        system: those of the ends.
        upper: R of the nodes between, `(N, k, k)`.
        begin, end: what the ends add to them, `(N, k, n)`.
        turn: the reflections as a matrix, `(N, k + n, k + n)`.
    """

    system: Condensed
    upper: Array
    begin: Array
    end: Array
    turn: Array


def reduced(equations: Linearized) -> Reduced:
    """Eliminate what lies between the ends of the intervals, and then all of them but two."""
    count, rows, n = equations.begin.shape
    k = equations.inner.shape[-1]
    eye = jnp.broadcast_to(jnp.eye(rows), (count, rows, rows))
    whole = jnp.concatenate([equations.inner, equations.begin, equations.end, eye], -1)
    turned = jax.vmap(lambda m: triangular(m, k))(whole)
    begin, end, turn = (
        turned[..., a:b] for a, b in ((k, k + n), (k + n, k + 2 * n), (k + 2 * n, None))
    )
    system = condensed(begin[:, k:], end[:, k:])
    return Reduced(system, turned[:, :k, :k], begin[:, :k], end[:, :k], turn)


class Responses(NamedTuple):
    """What right sides make of the nodes, for whatever rows are to be met beside.

    Attributes:
        alone: the nodes where the first is 0, `(N, DEGREE, n)`, and what is left of the equations.
        others: what the period, the parameters and the first node make of the nodes,
            `(N, DEGREE, n, columns)`, and what is left.
        small: the equations after the elimination.
        several: whether there are several parameters.
    """

    alone: tuple[Array, Array]
    others: tuple[Array, Array]
    small: Reduced
    several: bool


def responses(equations: Linearized, value: Array, small: Reduced | None = None) -> Responses:
    """Of equations, and of what the derivatives times the change must be, `(N, DEGREE, n)`.

    Args:
        equations: see `linearized`.
        value: the right side.
        small: the equations after the elimination, where they are known.
    """
    n = value.shape[-1]
    small = reduced(equations) if small is None else small
    several = equations.parameter.ndim > equations.period.ndim
    by_parameter = equations.parameter if several else equations.parameter[..., None]
    columns = jnp.concatenate(
        [value[..., None], -equations.period[..., None], -by_parameter,
         jnp.zeros((*value.shape, n))], -1,
    )  # fmt: skip
    k = columns.shape[-1] - n
    first = jnp.concatenate([jnp.zeros((n, k)), jnp.eye(n)], 1)
    sides = eliminated(small, columns)
    found, left = nodes_between(small, sides, first, first)[:, :-1], sides[1].whole
    return Responses((found[..., 0], left[:, 0]), (found[..., 1:], left[:, 1:]), small, several)


def meeting(found: Responses, rows: Sequence[Row], wanted: Array, share: float = 1.0) -> Row:
    """The change of nodes, period and parameters that meets the equations and as many rows.

    Args:
        found: what right sides make of the nodes.
        rows: linear functions of the change, one more than there are parameters.
        wanted: what these must be, `(rows,)`.
        share: of the equations' right side, 1 or 0.
    """
    (alone, left), (others, right), system = found.alone, found.others, found.small.system
    n = alone.shape[-1]
    k = others.shape[-1] - n
    alone, left = share * alone, share * left
    upper = jnp.concatenate([-right[:, :k], system.first + system.last], 1)
    lower = [
        (row.x[..., None] * others).sum((0, 1, 2)).at[:k].add(jnp.append(row.period, row.parameter))
        for row in rows
    ]
    matrix = jnp.concatenate([upper, jnp.stack(lower)])
    off = wanted - jnp.stack([(row.x * alone).sum() for row in rows])
    z = solve(matrix, jnp.append(left, off))
    return Row(alone + others @ z, z[0], z[1:k] if found.several else z[1])


def solved(
    equations: Linearized, value: Array, rows: Sequence[Row], wanted: Array,
    small: Reduced | None = None,
) -> tuple[Row, Reduced]:  # fmt: skip
    """The change that meets the equations and as many rows; see `responses` and `meeting`.

    It is linear in `value` and `wanted`, both ways: they go through it apart from what they are multiplied by.
    """
    found = responses(equations, jnp.zeros_like(value), small)
    sides, none = eliminated(found.small, value[..., None]), jnp.zeros((value.shape[-1], 1))
    alone = nodes_between(found.small, sides, none, none)[:, :-1, :, 0]
    found = found._replace(alone=(alone, sides[1].whole[:, 0]))
    return meeting(found, rows, wanted), found.small


def eliminated(small: Reduced, value: Array) -> tuple[Array, Sides]:
    """Right sides `(N, DEGREE, n, columns)` after the elimination."""
    count, m, n, columns = value.shape
    k = small.upper.shape[-1]
    turned = jnp.einsum("jab,jbc->jac", small.turn, value.reshape(count, m * n, columns))
    return turned[:, :k], condensed_sides(small.system, turned[:, k:])


def nodes_between(small: Reduced, sides: tuple[Array, Sides], first: Array, last: Array) -> Array:
    """All nodes of each interval, `(N, DEGREE + 1, n, columns)`, from the first and the last."""
    known, of_ends = sides
    ends = nodes(small.system, of_ends, first, last)
    known = (
        known
        - jnp.einsum("jkn,jnc->jkc", small.begin, ends[:-1])
        - jnp.einsum("jkn,jnc->jkc", small.end, ends[1:])
    )
    between = jax.vmap(back_substituted)(small.upper, known)
    between = between.reshape(known.shape[0], -1, *first.shape)
    return jnp.concatenate([ends[:-1, None], between, ends[1:, None]], 1)


def phase_row(cycle: Cycle) -> Row:
    r"""$\int \langle \delta x, \dot x \rangle$: what a shift along the orbit changes, and nothing else."""
    slopes = slopes_at_gauss_points(cycle.x)
    weighted = jnp.asarray(WEIGHTS)[None, :, None] * slopes
    x = gathered(jnp.einsum("ik,jin->jkn", jnp.asarray(VALUES), weighted))
    return Row(x, jnp.zeros(()), jnp.zeros_like(cycle.parameter))


def weights(cycle: Cycle) -> Array:
    """What each node counts in a mean square over the orbit, `(N, DEGREE)`."""
    begin = (cycle.widths + jnp.roll(cycle.widths, 1)) / 2
    inner = jnp.broadcast_to(cycle.widths[:, None], (cycle.widths.size, DEGREE - 1))
    return jnp.concatenate([begin[:, None], inner], 1) / DEGREE


def remeshed(
    cycle: Cycle, others: tuple[Array, ...] = (), count: int | None = None
) -> tuple[Cycle, tuple[Array, ...]]:
    """The same orbit with as many intervals, or `count`, in which its highest derivative is the same.

    Nodes of `others`, `(N, DEGREE, n)` each, are brought to the same places.

    References:
        de Boor (1973), Springer Lecture Notes in Mathematics 363:12-20.
    """
    count = cycle.widths.size if count is None else count
    ends = ends_of(cycle.widths)
    top = jnp.einsum("k,jkn->jn", jnp.asarray(TOP), closed(cycle.x))
    top = top / cycle.widths[:, None] ** DEGREE
    jump = abs(jnp.roll(top, -1, 0) - top) / (cycle.widths + jnp.roll(cycle.widths, -1))[:, None]
    steep = ((jump + jnp.roll(jump, 1, 0)).max(-1) + 1e-30) ** (1 / (DEGREE + 1))
    mass = steep * cycle.widths
    mass = mass + 0.1 * mass.mean()  # no interval grows without bound
    total = jnp.concatenate([jnp.zeros(1), jnp.cumsum(mass)])
    new = jnp.interp(jnp.linspace(0, 1, count + 1) * total[-1], total, ends)
    new = new.at[0].set(0.0).at[-1].set(1.0)
    widths = jnp.diff(new)
    places = new[:-1, None] + widths[:, None] * jnp.asarray(NODES[:-1])
    moved = [interpolated(x, ends, places) for x in (cycle.x, *others)]
    return cycle._replace(x=moved[0], widths=widths), tuple(moved[1:])


def split(cycle: Cycle, parts: int, *others: AnyArray) -> tuple[Any, ...]:
    """The same polynomials with every interval cut into so many, and nodes of others there; on the host as well."""
    xp = numpy_of(cycle, others)
    values = _polynomials((np.arange(parts)[:, None] + NODES[:-1]) / parts)

    def there(x: AnyArray) -> AnyArray:
        return xp.einsum("pik,jkn->jpin", values, closed(x)).reshape(-1, DEGREE, x.shape[-1])

    finer = cycle._replace(x=there(cycle.x), widths=xp.repeat(cycle.widths / parts, parts))
    return finer, *(there(x) for x in others)


def interpolated(x: Array, ends: Array, places: Array) -> Array:
    """The state at shares of the period, by the polynomials; `ends` are those of the intervals."""
    inside = jnp.clip(jnp.searchsorted(ends, places, side="right") - 1, 0, ends.size - 2)
    share = (places - ends[inside]) / (ends[inside + 1] - ends[inside])
    return jnp.einsum("...k,...kn->...n", _polynomials(share), closed(x)[inside])


def _polynomials(share: Array | np.ndarray) -> Any:
    """The Lagrange polynomials at shares of an interval, the last axis."""
    xp: Any = np if isinstance(share, np.ndarray) else jnp
    return xp.stack([
        xp.prod(xp.stack([(share - NODES[i]) / (NODES[k] - NODES[i])
                          for i in range(DEGREE + 1) if i != k]), 0)
        for k in range(DEGREE + 1)
    ], -1)  # fmt: skip
