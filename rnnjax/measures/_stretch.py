"""What an adaptive step shows of an observed number between its ends: a few cubics."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnjax._machine.compute_once import computed_once
from rnnjax._types import Array, Arrays, Float, Numbers, PerUnit, Scalar

LevelCrossing = tuple[Arrays, Arrays]
"""When (ms) a level was crossed last, and how often."""

_NEWTON_STEPS = 4  # from the chord: the root of a short piece of a smooth curve to rounding


class Piece(NamedTuple):
    r"""The Hermite cubic through the values and slopes at both ends of a part of a step.

    $x(t_0 + \theta h) = x_0 + c\,\theta + b\,\theta^2 + a\,\theta^3$ with $h = t_1 - t_0$,
    $c = h \dot x_0$, $b = 3 (x_1 - x_0) - h (2 \dot x_0 + \dot x_1)$ and
    $a = h (\dot x_0 + \dot x_1) - 2 (x_1 - x_0)$. It is off by $h^4 |x''''| / 384$ at most.

    Attributes:
        t0, t1: its ends in ms.
        length: what lies between them in ms, with more digits than their difference.
        x0, x1: the values there.
        slope0, slope1: the time derivatives there, per ms.
    """

    t0: Float[Array, ""]
    t1: Float[Array, ""]
    length: Float[Array, ""]
    x0: Float[Array, "*unit"]
    x1: Float[Array, "*unit"]
    slope0: Float[Array, "*unit"]
    slope1: Float[Array, "*unit"]

    def coefficients(self) -> tuple[PerUnit, PerUnit, PerUnit]:
        """a, b and c."""
        h, rise = self.length, self.x1 - self.x0
        start, end = h * self.slope0, h * self.slope1
        return start + end - 2 * rise, 3 * rise - 2 * start - end, start


class Stretch(NamedTuple):
    """One adaptive step: an observed number `x` from `t0` to `t1` (ms), in a few pieces.

    Times are those since the window that is measured began.

    Each piece turns at most once: a rise and a fall within one piece are not seen.

    Attributes:
        pieces: the cubics, one after the other.
    """

    pieces: tuple[Piece, ...]

    @property
    def t0(self) -> Scalar:
        """When it starts, ms."""
        return self.pieces[0].t0

    @property
    def t1(self) -> Scalar:
        """When it ends, ms."""
        return self.pieces[-1].t1

    @property
    def length(self) -> Scalar:
        """How long it is, ms."""
        return sum(piece.length for piece in self.pieces[1:]) + self.pieces[0].length

    @property
    def x0(self) -> PerUnit:
        """The value at its start."""
        return self.pieces[0].x0

    @property
    def x1(self) -> PerUnit:
        """The value at its end."""
        return self.pieces[-1].x1

    def extremes(self) -> tuple[PerUnit, PerUnit]:
        """The smallest and the largest value, ends included."""
        low = high = self.x0
        for piece in self.pieces:
            low, high = jnp.minimum(low, piece.x1), jnp.maximum(high, piece.x1)
        return jnp.minimum(low, -self._peak(-1)), jnp.maximum(high, self._peak(1))

    def integral(self) -> PerUnit:
        """The integral over time."""
        total = 0.0
        for piece in self.pieces:
            h = piece.length
            slopes = h * (piece.slope0 - piece.slope1) / 12
            total = total + h * ((piece.x0 + piece.x1) / 2 + slopes)
        return total

    def crossing(self, level: PerUnit) -> LevelCrossing:
        """When it last rises through the level (ms), and how often: below before, not after."""
        ups = [(p.x0 < level) & (p.x1 >= level) for p in self.pieces]
        piece, up = _first(ups[::-1], self.pieces[::-1])
        # in units of the rise, so that the iterations start from quotients, which are kept
        rise = jnp.where(up, piece.x1 - piece.x0, 1)
        a, b, c = (x / rise for x in piece.coefficients())
        theta = gap = jnp.where(up, level - piece.x0, 0) / rise
        for _ in range(_NEWTON_STEPS):
            slope = c + theta * (2 * b + theta * 3 * a)
            off = theta * (c + theta * (b + theta * a)) - gap
            theta = jnp.clip(
                theta - jnp.where(slope > 0, off / jnp.where(slope > 0, slope, 1), 0), 0, 1
            )
        return computed_once(piece.t0 + theta * piece.length, self.t1), sum(
            each.astype(jnp.int32) for each in ups
        )

    def _peak(self, sign: int) -> PerUnit:
        r"""The highest point between the ends of pieces, of $-x$ for a negative sign.

        Of several pieces with a maximum, that of the one with the highest end.

        Where a piece rises at its start and falls at its end, its one maximum is at
        $\theta = c / (\sqrt{b^2 - 3 a c} - b)$.
        """
        turns = [(sign * p.slope0 > 0) & (sign * p.slope1 < 0) for p in self.pieces]
        heights = [
            jnp.where(turn, jnp.maximum(sign * p.x0, sign * p.x1), -jnp.inf)
            for turn, p in zip(turns, self.pieces, strict=True)
        ]
        highest = heights[0]
        for height in heights[1:]:
            highest = jnp.maximum(highest, height)
        found = [t & (h == highest) for t, h in zip(turns, heights, strict=True)]
        piece, turned = _first(found, self.pieces)
        a, b, c = (sign * x for x in piece.coefficients())
        root = jnp.sqrt(jnp.where(turned, b * b - 3 * a * c, 1))
        bottom = root - b
        theta = jnp.clip(jnp.where(turned, c, 0) / jnp.where(bottom > 0, bottom, 1), 0, 1)
        return sign * piece.x0 + theta * (c + theta * (b + theta * a))


def _first(chosen: Sequence[Numbers], pieces: tuple[Piece, ...]) -> tuple[Piece, Numbers]:
    """The first chosen piece, and whether there is one; without one the last of them."""
    piece, some = pieces[-1], chosen[-1]
    for choose, other in zip(chosen[-2::-1], pieces[-2::-1], strict=True):
        piece = jax.tree.map(lambda a, b, c=choose: jnp.where(c, a, b), other, piece)
        some = jnp.logical_or(some, choose)
    return piece, some
