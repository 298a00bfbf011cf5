"""What is critical at a fold or a Hopf point, for the types that are defined on curves of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.dense import bordered, inverse, product, solve
from rnnjax._types import Array, Float
from rnnjax.bifurcations._base import Family, bordered_null, directional, normalized_determinant

_LEAST = 1e-6  # of what a parameter would do a little beside a point, what counts as a push


class Plane(NamedTuple):
    r"""A frame near the plane on which $A^2 = -\kappa$: that of the eigenvalues $\pm i \sqrt\kappa$.

    Attributes:
        right, left: orthonormal bases of the null spaces of $A^2 + \kappa$ and of its transpose,
            `(n, 2)`.
        conditions: the two directions in which $A^2 + \kappa$ on the plane must vanish: those of
            its trace and of $A$, `(2, 2, 2)`. In others it does so by itself.
    """

    right: Float[Array, "n 2"]
    left: Float[Array, "n 2"]
    conditions: Float[Array, "2 2 2"]


def on_plane(a: Array, square: Array, plane: Plane) -> tuple[Array, Array, Array]:
    r"""How far $\kappa$ and a Jacobian are from a pair $\pm i \sqrt\kappa$, and the null spaces.

    Solves $\begin{pmatrix} A^2 + \kappa & W \\ V^T & 0 \end{pmatrix} (X, G)^T = (0, I)^T$ and its
    transpose. On the plane $A^2 + \kappa$ is $\mathrm{tr} A\, A + (\kappa - \det A)$ by Cayley
    and Hamilton, so that two numbers of the four in $G$ decide.

    Returns:
        Those two, and the null spaces $X$ and $Y$, `(n, 2)` each.
    """
    n = a.shape[0]
    m = product(a, a) + square * jnp.eye(n, dtype=a.dtype)
    upper = jnp.concatenate([m, plane.left], 1)
    lower = jnp.concatenate([plane.right.T, jnp.zeros((2, 2), a.dtype)], 1)
    found = inverse(jnp.concatenate([upper, lower]))
    left_over = found[n:, n:]
    return (plane.conditions * left_over).sum((1, 2)), found[:n, n:], found[n:, :n].T


def framed(a: Array, right: Array, left: Array) -> Plane:
    """The frame that two null spaces make, without derivatives."""
    a, right, left = lax.stop_gradient((a, right, left))
    right, left = orthonormal(right), orthonormal(left)
    turn = inverse(product(left.T, right))
    block = product(turn, product(left.T, product(a, right)))
    middle = (block[0, 0] + block[1, 1]) / 2
    block = block - middle * jnp.eye(2, dtype=a.dtype)
    block = block / jnp.sqrt((block**2).sum())
    return Plane(right, left, jnp.stack([turn.T, product(turn.T, block)]))


def reframed(a: Array, square: Array, plane: Plane) -> Plane:
    """The frame at a place near the one where another was made."""
    _, right, left = on_plane(a, square, plane)
    return framed(a, right, left)


def plane_of(a: Array, square: Float[Array, ""]) -> Plane:
    r"""The frame at a place, given $\kappa$, from one that is fixed and generic."""
    n = a.shape[0]
    size = (a**2).mean()
    rows = np.random.default_rng(1).normal(size=(2, n, 2))
    beside, below = (size * jnp.asarray(r, a.dtype) for r in rows)
    generic = Plane(beside, below, jnp.zeros((2, 2, 2), a.dtype))

    def again(plane: Plane, _: None) -> tuple[Plane, None]:
        return reframed(a, square, plane), None

    return lax.scan(again, generic, None, length=2)[0]


def eigenvectors(a: Array, omega: Array, right: Array, left: Array) -> tuple[Array, Array]:
    r"""$q$ and $p$ with $A q = i \omega q$, $A^T p = -i \omega p$, $\langle q, q \rangle = \langle p, q \rangle = 1$.

    $(A + i \omega) x$ is an eigenvector for any $x$ of the plane.
    """
    x, y = right[:, 0], left[:, 0]
    q = lax.complex((a * x).sum(-1), omega * x)
    p = lax.complex((a.T * y).sum(-1), -omega * y)
    length = jnp.sqrt((q.real**2 + q.imag**2).sum())
    q = lax.complex(q.real / length, q.imag / length)
    return q, p / jnp.conj((jnp.conj(p) * q).sum())


def product_of_others(a: Array, right: Array, left: Array) -> Array:
    """The product of all eigenvalues but the critical pair, but for a factor that is never zero.

    What is orthogonal to `left` is the invariant space of the others.
    """
    lower = jnp.concatenate([left.T, jnp.zeros((2, 2), a.dtype)], 1)
    return normalized_determinant(jnp.concatenate([jnp.concatenate([a, right], 1), lower]))


def cubic_terms(family: Family, u: Array, a: Array, omega: Array, q: Array, p: Array) -> Array:
    r"""The real parts of the three terms of $2\, c_1$, the cubic coefficient at a Hopf point.

    $\langle p, C(q, q, \bar q) \rangle$, $-2 \langle p, B(q, A^{-1} B(q, \bar q)) \rangle$ and
    $\langle p, B(\bar q, (2 i \omega - A)^{-1} B(q, q)) \rangle$.
    """
    r, i = (padded(part, u) for part in (q.real, q.imag))

    @jax.vmap
    def second(x: Array, y: Array) -> Array:
        return directional(family, u, x, y)

    @jax.vmap
    def third(x: Array, y: Array, z: Array) -> Array:
        return directional(family, u, x, y, z)

    def stacked(*rows: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(jnp.stack(column) for column in zip(*rows, strict=True))

    rr, ii, ri = second(*stacked((r, r), (i, i), (r, i)))
    mean = solve(a, rr + ii)  # A^-1 B(q, conj q)
    turn = 2 * omega * jnp.eye(a.shape[0], dtype=a.dtype)
    # (2 i omega - A)^-1 B(q, q), real and imaginary parts apart
    double = solve(jnp.block([[-a, -turn], [turn, -a]]), jnp.concatenate([rr - ii, 2 * ri]))
    m, dr, di = (padded(part, u) for part in (mean, *jnp.split(double, 2)))
    rm, im, rdr, rdi, idr, idi = second(
        *stacked((r, m), (i, m), (r, dr), (r, di), (i, dr), (i, di))
    )
    rrr, rii, rri, iii = third(*stacked((r, r, r), (r, i, i), (r, r, i), (i, i, i)))
    left = jnp.conj(p)
    return jnp.stack(
        [
            left @ lax.complex(rrr + rii, rri + iii),  # C(q, q, conj q)
            -2 * (left @ lax.complex(rm, im)),
            left @ lax.complex(rdr + idi, rdi - idr),  # B(conj q, double)
        ]
    ).real


def bend_and_cubic(family: Family, u: Array, a: Array, v: Array, w: Array) -> tuple[Array, Array]:
    r"""$B(v, v)$ and the cubic coefficient $\tfrac16 \langle w, C(v, v, v) - 3 B(v, h) \rangle$.

    $A h = B(v, v)$ on the complement of the null vector $v$; $\langle w, v \rangle = 1$.
    """
    along = padded(v, u)
    bend = directional(family, u, along, along)
    right = bend - (w @ bend) * v
    h = solve(bordered(a, w, w), jnp.append(right, 0.0))[:-1]
    cubic = directional(family, u, along, along, along)
    return bend, w @ (cubic - 3 * directional(family, u, along, padded(h, u))) / 6


def padded(x: Array, u: Array) -> Array:
    """A direction of the state as one of the point, along which the parameters stay."""
    return jnp.concatenate([x, jnp.zeros(u.size - x.size, x.dtype)])


def is_pushed(family: Family, u: Array, derivatives: Array, v: Array, w: Array) -> Array:
    """Whether the first parameter moves the state along $w$; where it does not, branches cross.

    What it does along $w$ is compared with all that it does, and with what it would do a little
    beside the point, along $v$; states count in units of their own size.
    """
    n = w.size
    parameter = jnp.zeros_like(u).at[n].set(1.0)
    units = jnp.maximum(abs(u[:n]), 1.0)
    beside = units.max() * directional(family, u, padded(v, u), parameter)
    push = derivatives[:, n]
    every = ((push / units) ** 2).sum() + ((beside / units) ** 2).sum()
    return abs(w @ push) > _LEAST * jnp.sqrt(((w * units) ** 2).sum() * every)


def null_of(a: Array, borders: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """How singular a Jacobian is, and its unit null vectors, oriented as the borders are."""
    g, v, w = bordered_null(a, borders)
    return g, v / jnp.sqrt((v**2).sum()), w / jnp.sqrt((w**2).sum())


def orthonormal(x: Array) -> Array:
    """An orthonormal basis of a plane `(n, 2)`, of the same orientation."""
    first = x[:, 0] / jnp.sqrt((x[:, 0] ** 2).sum())
    second = x[:, 1] - (first * x[:, 1]).sum() * first
    return jnp.stack([first, second / jnp.sqrt((second**2).sum())], 1)
