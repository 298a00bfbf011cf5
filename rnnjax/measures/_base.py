"""What every measure is: something about a run, folded in while stepping."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._machine.compute_once import kept
from rnnjax._parameter import Parametric
from rnnjax.measures._stretch import Stretch


def whole_state(state: Any) -> Any:
    """The state itself: the measure is taken of each of its variables."""
    return state


class AbstractMeasure(Parametric):
    """Something about a run that is updated at every step, so that no trajectory is stored.

    `of(state)` says what is measured: an array, or several in a structure, each of which is
    measured by itself. Give it a function with a name, defined once: a new lambda at every call
    is a new compilation at every call.

    Write one by subclassing, for a single observed array `x` at time `t` (ms). One that has
    `follow` as well can be taken of runs with adaptive steps.
    """

    of: eqx.AbstractVar[Callable[[Any], Any]]
    meaning: eqx.AbstractClassVar[str]
    unit: eqx.AbstractClassVar[str]  # "state" for that of the observed variable

    def placed(self, begin: float, end: float) -> "AbstractMeasure":
        """This measure for a window from `begin` to `end` (ms); for those that depend on it."""
        return self

    def axes(self) -> dict[str, tuple[Any, str]]:
        """The dimensions it adds in front: name -> (values, unit)."""
        return {}

    @abc.abstractmethod
    def init(self, t: Any, x: Any) -> Any:
        """What is carried along, at the start of the window."""

    @abc.abstractmethod
    def update(self, carry: Any, t: Any, x: Any) -> Any:
        """The carry after one more step."""

    @abc.abstractmethod
    def finish(self, carry: Any, t: Any, x: Any) -> Any:
        """The result, at the end of the window."""

    def follow(self, carry: Any, stretch: Stretch) -> Any:
        """The carry after one more step of a run with adaptive steps, seen between its ends as well.

        Raises:
            NotImplementedError: for a measure that is defined for equal steps only.
        """
        raise NotImplementedError(f"{type(self).__name__} is made for fixed steps: give step=")


def observed(measure: AbstractMeasure, state: Any) -> list[Any]:
    """The arrays that a measure is taken of."""
    return [jnp.asarray(x) for x in jax.tree.leaves(measure.of(state))]


def begun(measures: Sequence[AbstractMeasure], t: Any, state: Any) -> tuple[Any, ...]:
    """What all measures carry at the start of their window."""
    return tuple(tuple(m.init(t, x) for x in observed(m, state)) for m in measures)


def finished(
    measures: Sequence[AbstractMeasure], carried: Any, t: Any, state: Any
) -> tuple[Any, ...]:
    """The results of all measures, each in the structure of what it observes."""
    return tuple(
        jax.tree.structure(m.of(state)).unflatten(
            m.finish(c, t, x) for c, x in zip(folded, observed(m, state), strict=True)
        )
        for m, folded in zip(measures, carried, strict=True)
    )


class Crossings(eqx.Module):
    """Upward crossings of a level, located between steps by linear interpolation.

    Attributes:
        x: the last value.
        t: its time (ms).
        low, high: the extremes so far.
        last: time of the last crossing.
        first, count: the first crossing since the extremes settled, and how many since then.
        first_ever, count_ever: the same since the beginning.
    """

    x: Any
    t: Any
    low: Any
    high: Any
    last: Any
    first: Any
    count: Any
    first_ever: Any
    count_ever: Any


def start_crossings(t: Any, x: Any) -> Crossings:
    """No crossing seen yet."""
    t = jnp.broadcast_to(jnp.asarray(t, jnp.result_type(x)), jnp.shape(x))
    none = jnp.zeros_like(x)
    return Crossings(x, t, x, x, t, t, none, t, none)


def count_crossings(seen: Crossings, t: Any, x: Any, level: Any | None) -> Crossings:
    """One more step.

    Without a level it is midway between the extremes so far; a second count starts afresh whenever
    they widen by more than a ten-thousandth, so that a run that settles is counted once it has.
    """

    def chord(level: Any) -> tuple[Any, Any]:
        up = (seen.x < level) & (x >= level)
        rise = jnp.where(up, x - seen.x, 1)
        at = seen.t + (t - seen.t) * jnp.where(up, level - seen.x, 0) / rise
        return at, up.astype(jnp.int32)

    return _count(seen, t, x, level, (jnp.minimum(seen.low, x), jnp.maximum(seen.high, x)), chord)


def follow_crossings(seen: Crossings, stretch: Stretch, level: Any | None) -> Crossings:
    """One more stretch of an adaptive run, counted likewise."""
    low, high = kept(stretch.extremes(), stretch.t1)
    extremes = jnp.minimum(seen.low, low), jnp.maximum(seen.high, high)
    return _count(seen, stretch.t1, stretch.x1, level, extremes, stretch.crossing)


def _count(
    seen: Crossings, t: Any, x: Any, level: Any, extremes: tuple[Any, Any], crossing: Any
) -> Crossings:
    low, high = extremes
    count = seen.count
    if level is None:
        level = (low + high) / 2
        widened = high - low > 1.0001 * (seen.high - seen.low)
        count = jnp.where(widened, jnp.zeros_like(count), count)
    at, times = crossing(level)
    up, times = times > 0, times.astype(count.dtype)
    # of several crossings in the very first step the last is taken for the first
    return Crossings(
        x=x,
        t=jnp.broadcast_to(jnp.asarray(t, x.dtype), x.shape),
        low=low,
        high=high,
        last=jnp.where(up, at, seen.last),
        first=jnp.where(up & (count == 0), at, seen.first),
        count=jnp.where(up & (count == 0), 1, count + times),
        first_ever=jnp.where(up & (seen.count_ever == 0), at, seen.first_ever),
        count_ever=jnp.where(up & (seen.count_ever == 0), 1, seen.count_ever + times),
    )


class AbstractCycleMeasure(AbstractMeasure):
    """A measure made of the upward crossings of a level."""

    level: eqx.AbstractVar[Any]
    smallest: eqx.AbstractVar[Any]

    def init(self, t: Any, x: Any) -> Crossings:
        """No crossing yet."""
        return start_crossings(t, x)

    def update(self, carry: Crossings, t: Any, x: Any) -> Crossings:
        """Count the crossing, if this step made one."""
        return count_crossings(carry, t, x, self.level)

    def follow(self, carry: Crossings, stretch: Stretch) -> Crossings:
        """Count the crossing, if there is one."""
        return follow_crossings(carry, stretch, self.level)


def mean_period(seen: Crossings, smallest: Any) -> tuple[Any, Any]:
    """The mean time between crossings (ms), and whether there is an oscillation at all.

    Of the crossings since the extremes settled where there are two of them; of all otherwise (an
    oscillation that still grows), whose level has moved.
    """
    settled = seen.count >= 2
    count = jnp.where(settled, seen.count, seen.count_ever)
    first = jnp.where(settled, seen.first, seen.first_ever)
    oscillates = (count >= 2) & (seen.high - seen.low >= smallest)
    return (seen.last - first) / jnp.where(oscillates, count - 1, 1), oscillates
