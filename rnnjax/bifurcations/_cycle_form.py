r"""Normal forms of bifurcations of periodic orbits, by the equations that the orbit itself is solved by.

With the orbit $u_0$, $\tau$ the place on it, and $v' = A v$ with $v(T) = \mu v(0)$, the center manifold is
$u = u_0(\tau) + \xi v + \dots$. What each order asks for, $h' - A h = g$ with $h(T) = \sigma h(0)$, is one more
right side of the eliminated equations; where they are singular, the left null vector of what is left of
them says what $g$ must be free of. No adjoint solution is needed.

References:
    Kuznetsov, Govaerts, Doedel and Dhooge (2005), SIAM J. Numer. Anal. 43:1407-1435.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.collocation import (
    VALUES,
    WEIGHTS,
    Cycle,
    Family,
    Linearized,
    Reduced,
    Row,
    at_gauss_points,
    eliminated,
    linearized,
    nodes_between,
    phase_row,
    reduced,
    solved,
)
from rnnjax._types import Array

_TINY = 1e-14  # what keeps an inverse iteration finite


class Orbiting(NamedTuple):
    """An orbit with its eliminated equations.

    Attributes:
        field: the vector field of state and parameter, scaled.
        cycle: the orbit.
        scale: of the variables.
        equations, small: its linear equations, and those after the elimination.
    """

    field: Family
    cycle: Cycle
    scale: Array
    equations: Linearized
    small: Reduced

    def along(self, count: int) -> Callable[..., Array]:
        """The `count`-th derivative of the field at the Gauss points, in directions `(N, DEGREE, n)`."""
        states = at_gauss_points(self.cycle.x)

        def at(x: Array, *directions: Array) -> Array:
            def once(function: Callable[[Array], Array], v: Array) -> Callable[[Array], Array]:
                return lambda y: jax.jvp(function, (y,), (v,))[1]

            function: Callable[[Array], Array] = lambda y: self.field(  # noqa: E731
                jnp.append(y, self.cycle.parameter)
            )
            for v in directions:
                function = once(function, v)
            return function(x)

        each = jax.vmap(jax.vmap(at))
        return lambda *directions: each(states, *directions[:count])

    def left(self, value: Array) -> Array:
        """What is left of complex right sides `(N, DEGREE, n)`, `(n,)`."""
        return self._eliminated(value)[1]

    def _eliminated(self, value: Array) -> tuple[tuple[Array, object], Array]:
        sides = eliminated(
            self.small, jnp.stack([value.real, value.imag], -1) * times(self.cycle)[..., None]
        )
        whole = sides[1].whole
        return sides, lax.complex(whole[:, 0], whole[:, 1])

    def solve(self, value: Array, sigma: Array) -> Array:
        r"""The solution h at the Gauss points of $h' - A h = g$, $h(T) = \sigma h(0)$, complex."""
        sides, whole = self._eliminated(value)
        first = jnp.linalg.solve(self.matrix(sigma), whole)
        return self.inside(sides, first, sigma)

    def inside(self, sides: tuple[Array, object], first: Array, sigma: Array) -> Array:
        """The solution at the Gauss points, from where it begins."""
        last = sigma * first
        ends = [jnp.stack([x.real, x.imag], -1) for x in (first, last)]
        all_ = nodes_between(self.small, sides, *ends)  # pyright: ignore
        found = jnp.einsum("ik,jknc->jinc", jnp.asarray(VALUES), all_)
        return lax.complex(found[..., 0], found[..., 1])

    def matrix(self, sigma: Array) -> Array:
        """What is singular where sigma is a multiplier."""
        system = self.small.system
        zero = jnp.zeros_like(system.first)
        return lax.complex(system.first, zero) + sigma * lax.complex(system.last, zero)

    def eigenfunction(self, sigma: Array) -> tuple[Array, Array]:
        """The function v at the Gauss points, with the mean square 1 over time, and the left null vector."""
        right, left = null_vectors(self.matrix(sigma))
        none = jnp.zeros_like(at_gauss_points(self.cycle.x))
        sides, _ = self._eliminated(lax.complex(none, none))
        v = self.inside(sides, right, sigma)
        return v / as_complex(self.size(v)), left

    def size(self, v: Array) -> Array:
        r"""The root of $\int |v|^2 dt$, unscaled, of v at the Gauss points."""
        weight = jnp.asarray(WEIGHTS)[:, None] * times(self.cycle)
        return jnp.sqrt((weight * (self.scale * abs(v)) ** 2).sum())

    def periodic(self, value: Array) -> tuple[Array, Array]:
        r"""The solution h at the Gauss points, and a, of $h' - A h = g - a f$, periodic, for real g."""
        zero = jnp.zeros(())
        rows = phase_row(self.cycle), Row(jnp.zeros_like(self.cycle.x), zero, jnp.ones(()))
        wanted = jnp.zeros(2)
        found, _ = solved(self.equations, value * times(self.cycle), rows, wanted, self.small)
        return at_gauss_points(found.x), -found.period / self.cycle.period


def times(cycle: Cycle) -> Array:
    """The length in time of each interval, to multiply right sides `(N, DEGREE, n)`."""
    return (cycle.widths * cycle.period)[:, None, None]


def orbiting(field: Family, cycle: Cycle, scale: Array) -> Orbiting:
    """An orbit with its eliminated equations."""
    equations = linearized(field, cycle)
    return Orbiting(field, cycle, scale, equations, reduced(equations))


def null_vectors(matrix: Array) -> tuple[Array, Array]:
    """The right and the left null vector of an almost singular complex matrix, by inverse iteration."""
    n = matrix.shape[0]
    size = jnp.sqrt((abs(matrix) ** 2).mean())
    shift = lax.complex(_TINY * size * jnp.eye(n), jnp.zeros((n, n)))
    found = []
    for each in (matrix + shift, matrix.T + shift):
        x = lax.complex(1.0 + 0.3 * jnp.arange(1.0, n + 1) % 1.0, jnp.zeros(n))
        for _ in range(2):
            x = jnp.linalg.solve(each, x)
            x = x / lax.complex(jnp.sqrt((abs(x) ** 2).sum()), jnp.zeros(()))
        found.append(x)
    return found[0], found[1]


def as_complex(x: Array) -> Array:
    """A real array as a complex one."""
    return lax.complex(x, jnp.zeros_like(x))
