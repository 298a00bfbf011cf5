"""What every measure is: something about a run, folded in while stepping."""

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._gate import check_gave
from rnnjax._machine.compute_once import computed_once
from rnnjax._machine.tracing import shapes_of
from rnnjax._parameter import Parametric
from rnnjax._precision import by_shapes, default_dtype
from rnnjax._types import Array, Arrays, Float, Numbers, PerUnit, Scalar, Shapes, State
from rnnjax.measures._stretch import LevelCrossing, Stretch

if TYPE_CHECKING:  # which a type checker knows by this name alone
    from typing import ClassVar as AbstractClassVar
else:
    from equinox import AbstractClassVar

Observing = Callable[[State], Arrays]
"""What is observed of a state: an array, or several in a structure."""


def whole_state(state: State) -> State:
    """The state itself: the measure is taken of each of its variables."""
    return state


class AbstractMeasure(Parametric):
    """Something about a run that is updated at every step, so that no trajectory is stored.

    `of(state)` says what is measured: an array, or several in a structure, each of which is
    measured by itself. Give it a function with a name, defined once: a new lambda at every call
    is a new compilation at every call.

    Write one by subclassing, for a single observed array `x` at time `t`, in ms since the window
    that is measured began: `placed` tells when that is. One that has `follow` as well can be taken
    of runs with adaptive steps.
    """

    of: eqx.AbstractVar[Observing]
    meaning: AbstractClassVar[str]
    unit: AbstractClassVar[str]  # "state" for that of the observed variable

    def __check_init__(self) -> None:
        """Refuse what is no function of the state."""
        if not callable(self.of):
            raise TypeError(
                f"{type(self).__name__}.of: expected a function of the state, e.g. lambda s: s.v, got "
                f"{self.of!r}"
            )

    def placed(self, begin: float, end: float) -> "AbstractMeasure":
        """This measure for a window from `begin` to `end` (ms); for those that depend on it."""
        return self

    def axes(self) -> dict[str, tuple[Numbers, str]]:
        """The dimensions it adds in front: name -> (values, unit)."""
        return {}

    @abc.abstractmethod
    def init(self, t: Scalar, x: PerUnit) -> Arrays:
        """What is carried along, at the start of the window."""

    @abc.abstractmethod
    def update(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The carry after one more step."""

    @abc.abstractmethod
    def finish(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The result, at the end of the window."""

    def follow(self, carry: Arrays, stretch: Stretch) -> Arrays:
        """The carry after one more step of a run with adaptive steps, seen between its ends as well.

        Raises:
            NotImplementedError: for a measure that is defined for equal steps only.
        """
        raise NotImplementedError(f"{type(self).__name__} is made for fixed steps: give step=")


def observed(measure: AbstractMeasure, state: State) -> list[Array]:
    """The arrays that a measure is taken of."""
    seen = check_gave(measure.of(state), f"{type(measure).__name__}.of", "numbers of the state")
    return [jnp.asarray(x) for x in jax.tree.leaves(seen)]


@by_shapes
def check_measure(measure: AbstractMeasure, state: Shapes) -> None:
    """Refuse one that JAX can't trace, by shapes alone.

    Raises:
        TypeError: says which of its functions.
    """
    name, time = type(measure).__name__, jax.ShapeDtypeStruct((), default_dtype())
    shapes_of(f"{name}.of", measure.of, state)

    def taken(t: Scalar, state: State) -> Arrays:
        carried = tuple(
            measure.update(carry, t, x)
            for carry, x in zip(
                begun([measure], t, state)[0], observed(measure, state), strict=True
            )
        )
        return finished([measure], (carried,), t, state)

    shapes_of(name, taken, time, state)


def begun(measures: Sequence[AbstractMeasure], t: Scalar, state: State) -> tuple[Arrays, ...]:
    """What all measures carry at the start of their window."""
    return tuple(tuple(m.init(t, x) for x in observed(m, state)) for m in measures)


def finished(
    measures: Sequence[AbstractMeasure], carried: tuple[Arrays, ...], t: Scalar, state: State
) -> tuple[Arrays, ...]:
    """The results of all measures, each in the structure of what it observes."""
    return tuple(
        jax.tree.structure(m.of(state)).unflatten(
            m.finish(c, t, x) for c, x in zip(folded, observed(m, state), strict=True)
        )
        for m, folded in zip(measures, carried, strict=True)
    )


class CrossingCount(eqx.Module):
    """Upward crossings of a level, located between steps by linear interpolation.

    Attributes:
        x: the last value.
        t: its time (ms).
        low, high: the extremes so far.
        last: time of the last crossing.
        first, count: the first crossing since the extremes settled, and how many since then.
        first_ever, count_ever: the same since the beginning.
    """

    x: Float[Array, "*unit"]
    t: Float[Array, "*unit"]
    low: Float[Array, "*unit"]
    high: Float[Array, "*unit"]
    last: Float[Array, "*unit"]
    first: Float[Array, "*unit"]
    count: Float[Array, "*unit"]
    first_ever: Float[Array, "*unit"]
    count_ever: Float[Array, "*unit"]


def start_crossings(t: Scalar, x: PerUnit) -> CrossingCount:
    """No crossing seen yet."""
    t = jnp.broadcast_to(jnp.asarray(t, jnp.result_type(x)), jnp.shape(x))
    x, none = jnp.asarray(x), jnp.zeros_like(x)
    return CrossingCount(x, t, x, x, t, t, none, t, none)


def count_crossings(
    seen: CrossingCount, t: Scalar, x: PerUnit, level: Scalar | None
) -> CrossingCount:
    """One more step.

    Without a level it is midway between the extremes so far; a second count starts afresh whenever
    they widen by more than a ten-thousandth, so that a run that settles is counted once it has.
    """

    def chord(level: PerUnit) -> LevelCrossing:
        up = (seen.x < level) & (x >= level)
        rise = jnp.where(up, x - seen.x, 1)
        at = seen.t + (t - seen.t) * jnp.where(up, level - seen.x, 0) / rise
        return at, up.astype(jnp.int32)

    return _count(seen, t, x, level, (jnp.minimum(seen.low, x), jnp.maximum(seen.high, x)), chord)


def follow_crossings(seen: CrossingCount, stretch: Stretch, level: Scalar | None) -> CrossingCount:
    """One more stretch of an adaptive run, counted likewise."""
    low, high = computed_once(stretch.extremes(), stretch.t1)
    extremes = jnp.minimum(seen.low, low), jnp.maximum(seen.high, high)
    return _count(seen, stretch.t1, stretch.x1, level, extremes, stretch.crossing)


def _count(
    seen: CrossingCount, t: Scalar, x: PerUnit, level: PerUnit | None,
    extremes: tuple[PerUnit, PerUnit], crossing: Callable[[PerUnit], LevelCrossing],
) -> CrossingCount:  # fmt: skip
    low, high = extremes
    count = seen.count
    if level is None:
        level = (low + high) / 2
        widened = high - low > 1.0001 * (seen.high - seen.low)
        count = jnp.where(widened, jnp.zeros_like(count), count)
    at, times = crossing(level)
    up, times = times > 0, times.astype(count.dtype)
    # of several crossings in the very first step the last is taken for the first
    return CrossingCount(
        x=jnp.asarray(x),
        t=jnp.broadcast_to(jnp.asarray(t, jnp.result_type(x)), jnp.shape(x)),
        low=jnp.asarray(low),
        high=jnp.asarray(high),
        last=jnp.where(up, at, seen.last),
        first=jnp.where(up & (count == 0), at, seen.first),
        count=jnp.where(up & (count == 0), 1, count + times),
        first_ever=jnp.where(up & (seen.count_ever == 0), at, seen.first_ever),
        count_ever=jnp.where(up & (seen.count_ever == 0), 1, seen.count_ever + times),
    )


class AbstractCycleMeasure(AbstractMeasure):
    """A measure made of the upward crossings of a level."""

    level: eqx.AbstractVar[Scalar | None]
    smallest: eqx.AbstractVar[Scalar]

    def init(self, t: Scalar, x: PerUnit) -> CrossingCount:
        """No crossing yet."""
        return start_crossings(t, x)

    def update(self, carry: CrossingCount, t: Scalar, x: PerUnit) -> CrossingCount:
        """Count the crossing, if this step made one."""
        return count_crossings(carry, t, x, self.level)

    def follow(self, carry: CrossingCount, stretch: Stretch) -> CrossingCount:
        """Count the crossing, if there is one."""
        return follow_crossings(carry, stretch, self.level)


def mean_period(seen: CrossingCount, smallest: Scalar) -> tuple[Array, Array]:
    """The mean time between crossings (ms), and whether there is an oscillation at all.

    Of the crossings since the extremes settled where there are two of them; of all otherwise (an
    oscillation that still grows), whose level has moved.
    """
    settled = seen.count >= 2
    count = jnp.where(settled, seen.count, seen.count_ever)
    first = jnp.where(settled, seen.first, seen.first_ever)
    oscillates = (count >= 2) & (seen.high - seen.low >= smallest)
    return (seen.last - first) / jnp.where(oscillates, count - 1, 1), oscillates
