"""What a run shows of a rhythm: its swings, and when they rise through a level."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._machine.compute_once import computed_once
from rnnjax._types import Array, Float, Numbers, PerUnit, Scalar
from rnnjax.measures._base import AbstractMeasure
from rnnjax.measures._stretch import Piece, Stretch

SMALLEST_TURN = 0.25  # of the whole swing: what goes back by less has not turned
_SETTLED = 1.0001  # by how much the extremes of a run that has settled may widen
_LIKE = 2.0  # by how much they may widen where swings are much the same
_GROWING = 10.0  # by how much the swing may have grown over the last two periods
_WHOLE = 1.999  # periods that the window must hold, to within rounding
_STILL = 2.0  # times as long as it swung: after so long without a turn it has come to rest
_ROUNDINGS = 32.0  # of the largest value: swings that small may be made of roundings
_AHEAD, _CROSSED, _COUNTED = 0, 1, 2  # of a rise: what became of its crossing of the level


class Crossings(NamedTuple):
    """Crossings that belong together.

    Attributes:
        first: when the first of them was, ms.
        number: how many there are.
    """

    first: Float[Array, "*unit"]
    number: Int[Array, "*unit"]

    def forgotten(self, which: Numbers) -> "Crossings":
        """None of them where `which` is true."""
        return Crossings(self.first, jnp.where(which, 0, self.number))

    def with_one(self, here: Numbers, at: PerUnit) -> "Crossings":
        """With one more where there is one `here`."""
        first = jnp.where(here & (self.number == 0), at, self.first)
        return Crossings(first, self.number + jnp.asarray(here, jnp.int32))


class Turns(NamedTuple):
    """Where a signal turned back by more than a share of its whole swing.

    Attributes:
        heading: 1 where it rises, -1 where it falls, 0 where it has not moved.
        furthest: the furthest value in this direction since it turned, times the heading.
        number: how often it has turned.
        from_: the value at the last turn.
        at: when it turned last, ms.
        widest: the widest way from one turn to the next.
    """

    heading: Float[Array, "*unit"]
    furthest: Float[Array, "*unit"]
    number: Int[Array, "*unit"]
    from_: Float[Array, "*unit"]
    at: Float[Array, "*unit"]
    widest: Float[Array, "*unit"]


class Rhythm(eqx.Module):
    """What is carried along a run.

    Attributes:
        begin: when the window began, ms.
        t, x: the last time (ms) and value.
        low, high: the extremes so far.
        turns: where it turned.
        rise: of the rise under way, whether its crossing is ahead, seen or counted.
        crossed: when the level was last crossed upward, ms.
        settled: the crossings that count since the extremes widened last.
        alike: those since the swing was `swing`, which it is no more than twice of.
        swing: see `alike`.
        times: when the last three of all were, ms, the latest first.
        swings: the swing up to then, for each.
        first: the first value, which does not change while stepping.
    """

    begin: Float[Array, ""]
    t: Float[Array, ""]
    x: Float[Array, "*unit"]
    low: Float[Array, "*unit"]
    high: Float[Array, "*unit"]
    turns: Turns
    rise: Int[Array, "*unit"]
    crossed: Float[Array, "*unit"]
    settled: Crossings
    alike: Crossings
    swing: Float[Array, "*unit"]
    times: tuple[Float[Array, "*unit"], ...]
    swings: tuple[Float[Array, "*unit"], ...]
    first: Float[Array, "*unit"]


class _Part(NamedTuple):
    """A part of a run in which the signal turns at most once.

    Attributes:
        begin, end: the values at its ends.
        low, high: the extremes.
        t: when it ends, ms.
        crosses: whether it rises through the level.
        at: when it does, ms.
    """

    begin: PerUnit
    end: PerUnit
    low: PerUnit
    high: PerUnit
    t: Scalar
    crosses: Numbers
    at: PerUnit


def rhythm_begun(t: Scalar, x: PerUnit) -> Rhythm:
    """Nothing seen yet."""
    x = jnp.asarray(x)
    t, none, zero = jnp.asarray(t, x.dtype), jnp.zeros(x.shape, jnp.int32), jnp.zeros_like(x)
    at = jnp.broadcast_to(t, x.shape)
    nothing = Crossings(at, none)
    turns = Turns(zero, zero, none, x, at, zero)
    return Rhythm(
        t, t, x, x, x, turns, none, at, nothing, nothing, zero, (at, at, at), (zero, zero, zero),
        lax.stop_gradient(x),
    )  # fmt: skip


def rhythm_after_step(seen: Rhythm, t: Scalar, x: PerUnit, level: Scalar | None) -> Rhythm:
    """One more fixed step, whose crossing is located by linear interpolation."""
    t = jnp.asarray(t, seen.x.dtype)
    low, high = jnp.minimum(seen.low, x), jnp.maximum(seen.high, x)
    between = (low + high) / 2 if level is None else level
    up = (seen.x < between) & (x >= between)
    rise = jnp.where(up, x - seen.x, 1)
    at = seen.t + (t - seen.t) * jnp.where(up, between - seen.x, 0) / rise
    ends = jnp.minimum(seen.x, x), jnp.maximum(seen.x, x)
    part = _Part(seen.x, x, *ends, t, up, at)
    return _gone_on(seen, low, high, between, [part], level is None)


def rhythm_after_stretch(seen: Rhythm, stretch: Stretch, level: Scalar | None) -> Rhythm:
    """One more stretch of an adaptive run, piece after piece."""
    ranges = [Stretch((piece,)).extremes() for piece in stretch.pieces]
    low, high = seen.low, seen.high
    for least, most in ranges:
        low, high = jnp.minimum(low, least), jnp.maximum(high, most)
    between = (low + high) / 2 if level is None else level

    def part(piece: Piece, ends: tuple[PerUnit, PerUnit]) -> _Part:
        at, times = Stretch((piece,)).crossing(between)
        return _Part(piece.x0, piece.x1, *ends, piece.t1, times > 0, at)

    parts = [part(*each) for each in zip(stretch.pieces, ranges, strict=True)]
    return _gone_on(seen, low, high, between, parts, level is None)


def _gone_on(
    seen: Rhythm, low: PerUnit, high: PerUnit, level: PerUnit, parts: list[_Part], moves: bool
) -> Rhythm:
    """After parts of a run; whether the level moves with the extremes."""
    swing = high - low
    grew = swing > _LIKE * seen.swing
    settled = seen.settled.forgotten(swing > _SETTLED * (seen.high - seen.low))
    alike = seen.alike.forgotten(grew)
    turns, rise, crossed, times, swings = (
        seen.turns, seen.rise, seen.crossed, seen.times, seen.swings,
    )  # fmt: skip
    for part in parts:
        before, turns = turns, _turned(turns, part, SMALLEST_TURN * swing, seen.first)
        if moves:  # the level that a first rise crosses is made of that rise
            rise = jnp.where((before.heading == 0) & (turns.heading > 0), _COUNTED, rise)
        met = _told_once(part.crosses & (rise != _COUNTED), seen.first)
        rise, crossed = jnp.where(met, _CROSSED, rise), jnp.where(met, part.at, crossed)
        rises = (before.heading > 0) | (turns.heading > 0)
        counts = _told_once(rises & (rise == _CROSSED) & (part.end >= level), seen.first)
        settled = settled.with_one(counts, crossed)
        both = counts & (turns.number >= 2) if moves else counts  # extremes are behind it
        alike = alike.with_one(both, crossed)
        times, swings = _with_latest(times, crossed, both), _with_latest(swings, swing, both)
        rise = jnp.where(counts, _COUNTED, rise)
        peaked = (turns.number > before.number) & (turns.heading < 0)
        rise = jnp.where(peaked, _AHEAD, rise).astype(jnp.int32)
    return Rhythm(
        begin=seen.begin, t=jnp.asarray(parts[-1].t), x=jnp.asarray(parts[-1].end),
        low=jnp.asarray(low), high=jnp.asarray(high), turns=turns, rise=rise, crossed=crossed,
        settled=settled, alike=alike, swing=jnp.where(grew, swing, seen.swing),
        times=times, swings=swings, first=seen.first,
    )  # fmt: skip


def _with_latest(last: tuple[Array, ...], new: PerUnit, here: Numbers) -> tuple[Array, ...]:
    """The last few numbers with a new one, the latest first, where there is one `here`."""
    return tuple(jnp.where(here, a, b) for a, b in zip((new, *last[:-1]), last, strict=True))


def _told_once(which: Numbers, like: PerUnit) -> Numbers:
    """What is true, told once for the many numbers that depend on it."""
    return computed_once(jnp.asarray(which, jnp.result_type(like)), like) > 0


def _turned(turns: Turns, part: _Part, smallest: PerUnit, like: PerUnit) -> Turns:
    """After a part of a run: turned where it went back by more than `smallest`; see `computed_once`."""
    first = turns.heading == 0
    heading = jnp.where(first, jnp.sign(part.end - part.begin), turns.heading)
    here = heading * part.end
    reached = jnp.where(heading > 0, part.high, -part.low)
    furthest = jnp.where(first, reached, jnp.maximum(turns.furthest, reached))
    turned = _told_once(~first & (furthest - here > smallest), like)
    peak = heading * furthest
    way = jnp.where(turned & (turns.number > 0), abs(peak - turns.from_), 0)
    return Turns(
        heading=jnp.where(turned, -heading, heading),
        furthest=jnp.where(turned, -here, furthest),
        number=turns.number + jnp.asarray(turned, jnp.int32),
        from_=jnp.where(turned, peak, turns.from_),
        at=jnp.where(turned, part.t, turns.at),
        widest=jnp.maximum(turns.widest, way),
    )


class Periods(NamedTuple):
    """What was found of a rhythm.

    Attributes:
        mean: the mean period (ms), 1 where there is none.
        found: whether there is one.
        too_few: whether it swings, and fewer than two whole periods of it were seen.
    """

    mean: Float[Array, "*unit"]
    found: Bool[Array, "*unit"]
    too_few: Bool[Array, "*unit"]


def periods(seen: Rhythm, t: Scalar, smallest: Scalar, level: Scalar | None) -> Periods:
    """The mean time between crossings that count, at the end (ms) of the window.

    Of the crossings since the extremes settled, where those are enough; else of all of swings that
    are alike; of the last three of swings that still grow. There is no rhythm in a signal that did
    not turn twice, by a quarter of its whole swing each time, nor in one that swung a little and
    then did not turn any more.
    """
    swing, turns = seen.high - seen.low, seen.turns
    rounding = _ROUNDINGS * jnp.finfo(swing.dtype).eps * jnp.maximum(abs(seen.low), abs(seen.high))
    swings = (swing >= jnp.maximum(jnp.asarray(smallest, swing.dtype), rounding)) & (
        turns.widest >= SMALLEST_TURN * swing
    )
    settled, alike = seen.settled, seen.alike
    use = (settled.number >= 2) & (4 * settled.number >= alike.number) & (level is None)
    like = alike.number >= 2
    grows = (seen.swings[-1] > 0) & (_GROWING * seen.swings[-1] >= swing)
    first = jnp.where(use, settled.first, jnp.where(like, alike.first, seen.times[-1]))
    number = jnp.where(use, settled.number, jnp.where(like, alike.number, 3))
    some = swings & (use | like | grows)
    mean = jnp.where(some, (seen.times[0] - first) / (number - 1).astype(swing.dtype), 1)
    end = jnp.asarray(t, swing.dtype)
    few = ~some | (number < 3)
    rests = few & (end - turns.at > _STILL * (turns.at - seen.begin))
    found = some & ~rests & (end - seen.begin >= _WHOLE * mean)
    met = (seen.swings[0] > 0) | (level is None)
    return Periods(jnp.where(found, mean, 1), found, swings & ~found & ~rests & met)


class AbstractCycleMeasure(AbstractMeasure):
    """A measure made of the upward crossings of a level."""

    level: eqx.AbstractVar[Scalar | None]
    smallest: eqx.AbstractVar[Scalar]

    def init(self, t: Scalar, x: PerUnit) -> Rhythm:
        """Nothing seen yet."""
        return rhythm_begun(t, x)

    def update(self, carry: Rhythm, t: Scalar, x: PerUnit) -> Rhythm:
        """Count the crossing, if this step made one."""
        return rhythm_after_step(carry, t, x, self.level)

    def follow(self, carry: Rhythm, stretch: Stretch) -> Rhythm:
        """Count the crossings, if there are any."""
        return rhythm_after_stretch(carry, stretch, self.level)
