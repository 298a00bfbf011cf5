"""What steps must heed of an input: where it jumps, where it bends, and how fast it changes."""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from rnnjax._engine.step_control import Window
from rnnjax._types import Array, DTypeLike, Float, InputLike, Scalar
from rnnjax.inputs._base import AbstractInput


def jumps_of(input: InputLike) -> tuple[Scalar, ...]:
    """When (ms) an input jumps, as far as it tells."""
    if not isinstance(input, AbstractInput):
        return ()
    # where units have their own, all of them
    return tuple(
        at for each in input.jumps() for at in (jnp.ravel(each) if np.ndim(each) else [each])
    )


def next_stop(input: InputLike, window: Window, t: Float[Array, ""]) -> Float[Array, ""]:
    """The next time (ms) after `t` that a step must end at."""
    stop = jnp.asarray(window.end)
    for other in (window.begin, *jumps_of(input)):
        at = jnp.asarray(other, t.dtype)
        stop = jnp.where((at > t) & (at < stop), at, stop)
    bend = input.next_bend(t) if isinstance(input, AbstractInput) else math.inf
    if _never(bend):
        return stop
    bend = jnp.asarray(bend, t.dtype)
    return jnp.where((bend > t) & (bend < stop), bend, stop)


def longest_step(
    input: InputLike, unknown: Callable[[], Scalar], dtype: DTypeLike
) -> Scalar | None:
    """The longest step (ms) that misses nothing of an input; None for any.

    Args:
        input: the input.
        unknown: that of a plain function, of which nothing is known.
        dtype: of the step.
    """
    if not isinstance(input, AbstractInput):
        return unknown()
    longest = input.longest_step()
    return None if _never(longest) else jnp.asarray(longest, dtype)


def _never(time: Scalar) -> bool:
    """Whether it is infinite, whatever the numbers of the input."""
    return isinstance(time, float) and math.isinf(time)
