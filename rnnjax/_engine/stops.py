"""What steps must heed of an input: where it jumps, where it bends, and how fast it changes."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from rnnjax._engine.driven import DrivenBy, each_jump, known_jumps
from rnnjax._engine.step_control import Window
from rnnjax._numerics.digits import Digits, beyond, chosen, in_full, two_parts
from rnnjax._numerics.moments import LaneMoment
from rnnjax._types import Array, DTypeLike, Scalar
from rnnjax.inputs._base import AbstractInput


def next_stop(input: DrivenBy, window: Window, t: Digits) -> Digits:
    """The next time (ms since the start) after `t` that a step must end at."""
    stop = window.end
    for other in (window.begin, *stops_since(input, window.start, t)):
        ahead = (beyond(other, t) > 0) & (beyond(stop, other) > 0)
        stop = chosen(ahead, other, stop)
    return stop


def stops_since(input: DrivenBy, start: Digits, t: Digits | None = None) -> list[Digits]:
    """When (ms since a start) an input jumps, and when it bends next after `t`, if that is given."""
    rounded = input.rounded
    if not isinstance(rounded, AbstractInput):
        return []
    bends = t is not None and not _never(rounded.next_bend(t.value))
    if not known_jumps(rounded) and not bends:
        return []

    def found(input: DrivenBy, start: Digits, t: Digits | None) -> list[tuple[Array, Array]]:
        whole, begin = input.whole(), start.whole()
        times = each_jump(known_jumps(whole))
        if bends and t is not None:
            times.append(whole.next_bend(LaneMoment(start, t).ms()))
        dtype = start.value.dtype
        return [two_parts(jnp.asarray(x, begin.dtype) - begin, dtype) for x in times]

    return [Digits(parts) for parts in in_full(found, input, start, t)]


def bends_since(input: DrivenBy, start: Digits) -> list[Digits]:
    """All times (ms since a start) at which an input bends, as far as they are known; without derivatives.

    Where steps end changes nothing as long as the input is continuous there.
    """
    rounded = input.rounded
    if not isinstance(rounded, AbstractInput) or not rounded.bends():
        return []

    def found(input: DrivenBy, start: Digits) -> list[tuple[Array, ...]]:
        begin = start.whole()
        bends = [jnp.asarray(x, begin.dtype) - begin for x in input.whole().bends()]
        return [two_parts(x, start.value.dtype) for x in bends]

    return [Digits(parts) for parts in in_full(found, *lax.stop_gradient((input, start)))]


def longest_step(input: DrivenBy, unknown: Callable[[], Scalar], dtype: DTypeLike) -> Scalar | None:
    """The longest step (ms) that misses nothing of an input; None for any.

    Args:
        input: the input.
        unknown: that of a function of which nothing is known.
        dtype: of the step.
    """
    rounded = input.rounded
    if not isinstance(rounded, AbstractInput):
        return unknown()
    longest = rounded.longest_step()
    if rounded.jumps() is None:
        return jnp.minimum(unknown(), jnp.asarray(longest, dtype))
    return None if _never(longest) else jnp.asarray(longest, dtype)


def _never(time: Scalar) -> bool:
    """Whether it is infinite, whatever the numbers of the input."""
    return isinstance(time, float) and math.isinf(time)
