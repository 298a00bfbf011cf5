"""What an adaptive run shows of an observed number between two of its times: a cubic."""

from typing import Any, NamedTuple

import jax.numpy as jnp

_NEWTON_STEPS = 4  # from the chord: the root of a short piece of a smooth curve to rounding


class Piece(NamedTuple):
    r"""The Hermite cubic through the values and slopes at both ends of a stretch of time.

    $x(t_0 + \theta h) = x_0 + c\,\theta + b\,\theta^2 + a\,\theta^3$ with $h = t_1 - t_0$,
    $c = h \dot x_0$, $b = 3 (x_1 - x_0) - h (2 \dot x_0 + \dot x_1)$ and
    $a = h (\dot x_0 + \dot x_1) - 2 (x_1 - x_0)$. It is off by $h^4 |x''''| / 384$ at most.

    Attributes:
        t0, t1: its ends in ms.
        x0, x1: the values there.
        slope0, slope1: the time derivatives there, per ms.
    """

    t0: Any
    t1: Any
    x0: Any
    x1: Any
    slope0: Any
    slope1: Any

    def coefficients(self) -> tuple[Any, Any, Any]:
        """a, b and c."""
        h, rise = self.t1 - self.t0, self.x1 - self.x0
        start, end = h * self.slope0, h * self.slope1
        return start + end - 2 * rise, 3 * rise - 2 * start - end, start

    def extremes(self) -> tuple[Any, Any]:
        """The smallest and the largest value, ends included."""
        a, b, c = self.coefficients()
        low, high = jnp.minimum(self.x0, self.x1), jnp.maximum(self.x0, self.x1)
        square = b * b - 3 * a * c
        turns = square > 0
        root = jnp.sqrt(jnp.where(turns, square, 1))
        q = -(b + jnp.where(b < 0, -root, root))  # the sum of like signs: no digits are lost
        for top, bottom in ((q, 3 * a), (c, q)):
            theta = top / jnp.where(bottom == 0, 1, bottom)
            inside = turns & (bottom != 0) & (theta > 0) & (theta < 1)
            theta = jnp.where(inside, theta, 0)
            value = self.x0 + theta * (c + theta * (b + theta * a))
            low, high = jnp.minimum(low, value), jnp.maximum(high, value)
        return low, high

    def integral(self) -> Any:
        """The integral over time."""
        h = self.t1 - self.t0
        return h * ((self.x0 + self.x1) / 2 + h * (self.slope0 - self.slope1) / 12)

    def crossing(self, level: Any) -> tuple[Any, Any]:
        """When it rises through the level (ms), and whether it does: below before, at or above after."""
        up = (self.x0 < level) & (self.x1 >= level)
        a, b, c = self.coefficients()
        gap = jnp.where(up, level - self.x0, 0)
        theta = gap / jnp.where(up, self.x1 - self.x0, 1)
        for _ in range(_NEWTON_STEPS):
            slope = c + theta * (2 * b + theta * 3 * a)
            off = theta * (c + theta * (b + theta * a)) - gap
            theta = jnp.clip(
                theta - jnp.where(slope > 0, off / jnp.where(slope > 0, slope, 1), 0), 0, 1
            )
        return self.t0 + theta * (self.t1 - self.t0), up
