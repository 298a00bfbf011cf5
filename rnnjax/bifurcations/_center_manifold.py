"""The flow on the center manifold of a Hopf point as a series."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.dense import solve
from rnnjax._types import Array
from rnnjax.bifurcations._base import Family

_ANGLES = 12  # more than the harmonics from -5 to 5


def second_lyapunov(family: Family, u: Array, a: Array, omega: Array, q: Array, p: Array) -> Array:
    r"""Kuznetsov's second Lyapunov coefficient $l_2 = \mathrm{Re}\, c_2 / \omega$ where $l_1 = 0$.

    On the manifold $x = \sum w_{jk} z^j \bar z^k$, $w_{10} = q$, the flow is
    $\dot z = i \omega z + c_1 z |z|^2 + c_2 z |z|^4$. Order by order
    $(i \omega (j - k) - A)\, w_{jk} = N_{jk} - ((j - 1) c_1 + (k - 1) \bar c_1)\, w_{j-1, k-1}$
    with $N_{jk}$ the series of the nonlinear terms, from derivatives along rays
    $z = \rho e^{i \theta}$.

    Args:
        family: the vector field.
        u: the Hopf point.
        a: the Jacobian there.
        omega: the frequency.
        q: the right eigenvector, of length 1.
        p: the left one, $\langle p, q \rangle = 1$.
    """
    w = {(1, 0): q}
    c1, zero = jnp.zeros_like(q[0]), jnp.zeros_like(a)
    left = jnp.conj(p)
    onto = q[:, None] * left[None]
    for j, k in ((2, 0), (1, 1), (3, 0), (2, 1), (3, 1), (2, 2)):
        right = _harmonic(_along_rays(family, u, w, j + k), j - k)
        turn = (j - k) * omega * jnp.eye(a.shape[0], dtype=a.dtype)
        if (j, k) == (2, 1):
            c1 = (left * right).sum()
            w[j, k] = _solved(onto.real - a, turn + onto.imag, right - c1 * q)
            continue
        if j > 1 and k > 0 and (j - 1, k - 1) in w:
            right = right - ((j - 1) * c1 + (k - 1) * jnp.conj(c1)) * w[j - 1, k - 1]
        w[j, k] = _solved(-a, turn if j != k else zero, right)
    last = _harmonic(_along_rays(family, u, w, 5), 1)
    return (left * last).sum().real / omega


def _along_rays(family: Family, u: Array, w: dict[tuple[int, int], Array], order: int) -> Array:
    """One order of the vector field on the manifold along each ray, `(angle, n)`."""

    def ray(turn: Array) -> Array:
        def at(rho: Array) -> Array:
            x = jnp.zeros_like(w[1, 0].real)
            for (j, k), each in w.items():
                if j + k < order:
                    cosine, sine = turn[abs(j - k), 0], turn[abs(j - k), 1]
                    sides = 1 if j == k else 2  # w_kj is the conjugate
                    x = x + sides * rho ** (j + k) * (each.real * cosine - each.imag * sine)
            return family(u + jnp.concatenate([x, jnp.zeros(u.size - x.size, x.dtype)]))

        derivative = at
        for _ in range(order):
            derivative = _slope(derivative)
        return derivative(jnp.zeros((), u.dtype)) / math.factorial(order)

    angles = 2 * np.pi * np.arange(_ANGLES)[:, None] / _ANGLES * np.arange(6)
    return jax.vmap(ray)(jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], -1), u.dtype))


def _slope(function: Family) -> Family:
    return lambda rho: jax.jvp(function, (rho,), (jnp.ones_like(rho),))[1]


def _harmonic(values: Array, k: int) -> Array:
    angles = 2 * np.pi * k * np.arange(_ANGLES)[:, None] / _ANGLES
    return lax.complex(
        (values * np.cos(angles)).sum(0) / _ANGLES, -(values * np.sin(angles)).sum(0) / _ANGLES
    )


def _solved(real: Array, imaginary: Array, right: Array) -> Array:
    """The solution of a complex system of equations."""
    whole = jnp.block([[real, -imaginary], [imaginary, real]])
    found = solve(whole, jnp.concatenate([right.real, right.imag]))
    return lax.complex(*jnp.split(found, 2))
