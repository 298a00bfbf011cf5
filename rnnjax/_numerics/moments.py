"""Times (ms) that lose no digits because they are late."""

import abc
from typing import ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from rnnjax._numerics.digits import Digits
from rnnjax._types import AnyArray, Array, Float, Scalar

_ROUNDING = 2.0**-44  # of its size, how far a sum of times may be off


class AbstractMoment(eqx.Module):
    """When a stage of a step is.

    What is worked out of it in float64 is computed in a float64 scope.
    """

    placed: ClassVar[bool] = True  # it is known where in its step it is

    @abc.abstractmethod
    def stage(self, share: float, step: Scalar) -> "AbstractMoment":
        """The time of a stage, `share` of the step after its start, which this is."""

    def exactly(self) -> "AbstractMoment":
        """The same on no side of a jump, as the steps of a map are counted."""
        return self

    @property
    @abc.abstractmethod
    def side(self) -> int:
        """1 for the start of a step, -1 for its end, 0 between, or where it is not known.

        What an input is at its jump counts from the step on that starts there.
        """

    @abc.abstractmethod
    def beside(
        self, t: Float[Array, "..."], jump: Float[Array, ""]
    ) -> tuple[Bool[Array, "..."], Bool[Array, "..."]]:
        """Whether it is at a jump (ms), and then whether after it; both in float64.

        Args:
            t: its time, ms.
            jump: the time of the jump, ms.
        """

    @abc.abstractmethod
    def ms(self) -> Float[Array, ""]:
        """The time in float64, ms."""

    @abc.abstractmethod
    def span(self) -> Float[Array, ""]:
        """How large the numbers are that it is the sum of, float64, ms."""


class GridMoment(AbstractMoment):
    """A time on or between the points of a grid: $t_0 + (n + c) h$.

    Attributes:
        start: $t_0$.
        step: $h$.
        number: $n$.
        share: $c$, as a whole number of $2^{-30}$ and one of $2^{-60}$: so stages are traced once.
        side_of: whether it is the start or the end of a step.
    """

    start: Digits
    step: Digits
    number: Int[Array, "..."]
    share: tuple[Int[AnyArray, ""], Int[AnyArray, ""]] | None = None
    side_of: int = eqx.field(static=True, default=1)

    def stage(self, share: float, step: Scalar) -> "GridMoment":
        """The time of a stage of the step."""
        side = self.side_of and _side(share)
        if side > 0:
            return GridMoment(self.start, self.step, self.number, None, side)
        first, rest = divmod(float(share) * 2**30, 1.0)
        parts = np.asarray(first, np.int32), np.asarray(round(rest * 2**30), np.int32)
        return GridMoment(self.start, self.step, self.number, parts, side)

    def exactly(self) -> "GridMoment":
        """The number of a step, taken as it is."""
        return GridMoment(self.start, self.step, self.number, self.share, 0)

    @property
    def side(self) -> int:
        """Whether it is the start or the end of a step."""
        return self.side_of

    def _steps(self) -> Float[Array, "..."]:
        """How many have passed, in float64."""
        n = self.number.astype(jnp.float64)
        if self.share is None:
            return n
        first, rest = (jax.lax.convert_element_type(x, jnp.float64) for x in self.share)
        return n + (first * 2.0**-30 + rest * 2.0**-60)

    def ms(self) -> Float[Array, "..."]:
        """The time in float64, ms."""
        return self.start.whole() + self._steps() * self.step.whole()

    def off(self, jump: Float[Array, "..."]) -> Float[Array, "..."]:
        """How far (ms) a jump may be off to count as on the grid: it may have a float32's digits."""
        few = jnp.minimum(2.0**-22 * abs(jump), 1e-3 * self.step.whole())
        return few + _ROUNDING * self.span()

    def beside(
        self, t: Float[Array, "..."], jump: Float[Array, ""]
    ) -> tuple[Bool[Array, "..."], Bool[Array, "..."]]:
        """At the ends of a step."""
        near = abs(t - jump) <= self.off(jump)
        return near & (self.side != 0), jnp.full(near.shape, self.side > 0)

    def span(self) -> Float[Array, "..."]:
        """The sizes of its start and of what was added to it."""
        return abs(self.start.whole()) + abs(self._steps() * self.step.whole())


class LaneMoment(AbstractMoment):
    """A time of a lane that chooses its own steps: $t_0 + t + c h$.

    Attributes:
        start: $t_0$.
        since: $t$, the start of the step.
        offset: $c h$; None at the start of the step.
        side_of: whether it is the start or the end of a step.
    """

    start: Digits
    since: Digits
    offset: Float[Array, "..."] | None = None
    side_of: int = eqx.field(static=True, default=1)

    def stage(self, share: float, step: Scalar) -> "LaneMoment":
        """The time of a stage of the step."""
        offset = None if share == 0 else share * jnp.asarray(step)
        return LaneMoment(self.start, self.since, offset, _side(share))

    @property
    def side(self) -> int:
        """Whether it is the start or the end of a step."""
        return self.side_of

    def beside(
        self, t: Float[Array, "..."], jump: Float[Array, ""]
    ) -> tuple[Bool[Array, "..."], Bool[Array, "..."]]:
        """At the ends of a step: a lane stops at jumps."""
        near = abs(t - jump) <= _ROUNDING * self.span()
        return near & (self.side != 0), jnp.full(near.shape, self.side > 0)

    def ms(self) -> Float[Array, "..."]:
        """The time in float64, ms."""
        since = self.since.whole()
        if self.offset is not None:
            since = since + jax.lax.convert_element_type(self.offset, jnp.float64)
        return self.start.whole() + since

    def span(self) -> Float[Array, "..."]:
        """The sizes of its start and of what was added to it."""
        return abs(self.start.whole()) + abs(self.since.whole())


class RoundedMoment(AbstractMoment):
    """A time that another library counts, since the start of a run, in the dtype of the program.

    Attributes:
        start: of the run.
        since: what has passed since.
    """

    start: Digits
    since: Float[Array, "..."]
    placed: ClassVar[bool] = False

    def stage(self, share: float, step: Scalar) -> "RoundedMoment":
        """The time of a stage of the step."""
        return RoundedMoment(self.start, self.since + share * step)

    @property
    def side(self) -> int:
        """Not known."""
        return 0

    def beside(
        self, t: Float[Array, "..."], jump: Float[Array, ""]
    ) -> tuple[Bool[Array, "..."], Bool[Array, "..."]]:
        """Where the rounded times are the same, or next to each other."""
        dtype = self.since.dtype
        rounded = jax.lax.convert_element_type(jump - self.start.whole(), dtype)
        near = abs(self.since - rounded) <= 2 * float(jnp.finfo(dtype).eps) * abs(rounded)
        return near, self.since > rounded

    def ms(self) -> Float[Array, "..."]:
        """The time in float64, ms."""
        return self.start.whole() + jax.lax.convert_element_type(self.since, jnp.float64)

    def span(self) -> Float[Array, "..."]:
        """The sizes of its start and of what was added to it."""
        return abs(self.start.whole()) + abs(jax.lax.convert_element_type(self.since, jnp.float64))


Time: TypeAlias = Scalar | AbstractMoment  # a number of ms, or a moment


def _side(share: float) -> int:
    return 1 if share == 0 else -1 if share == 1 else 0
