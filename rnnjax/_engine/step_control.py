"""How long the next step is: the window of a run, its tolerances, and the PI control of its steps.

Steps are chosen as diffrax's `PIDController(pcoeff=0.4, icoeff=0.3)` does, the first one apart.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from rnnjax._numerics.digits import Digits, digits, two_digits
from rnnjax._numerics.trees import flatten
from rnnjax._precision import default_dtype
from rnnjax._types import Array, Float, Scalar, State
from rnnjax.solvers._embedded import TriedStep

MAX_STEPS = 65536
_RESOLVED = 2.0**-46  # of a time of two parts of a float32
_LEAST = 1e-9  # of a float32 run: so few steps as are allowed would not come to its end
PROPORTIONAL, INTEGRAL = 0.4, 0.3
_SAFETY, _SMALLEST_FACTOR, _LARGEST_FACTOR = 0.9, 0.2, 10.0


class Window(NamedTuple):
    """When a run starts (ms), and when it begins to be measured and ends (ms since then).

    The last two are of two parts.
    """

    start: Digits
    begin: Digits
    end: Digits


def window(start: Scalar, begin: Scalar, end: Scalar) -> Window:
    """When a run starts, begins to be measured, and ends, all in ms, with all their digits."""
    return Window(
        digits(start, default_dtype()), two_digits(begin - start), two_digits(end - start)
    )


class Tolerances(NamedTuple):
    """Relative, and absolute in the unit of the state."""

    rtol: Scalar
    atol: Scalar


class Judgment(NamedTuple):
    """What the error of an attempted step says.

    Attributes:
        good: whether it is small enough for the step to be taken.
        finite: whether it is a number.
        memory: log2 of its inverse, which the next judgment looks back at.
        factor: by how much the step to try next is longer than this one.
    """

    good: Bool[Array, ""]
    finite: Bool[Array, ""]
    memory: Float[Array, ""]
    factor: Float[Array, ""]


def judged(
    state: State, tried: TriedStep, tolerances: Tolerances, before: Float[Array, ""], order: int,
    h: Float[Array, ""],
) -> Judgment:  # fmt: skip
    """Whether a step is good enough, and how long the next one should be.

    Args:
        state: the state at its start.
        tried: the step.
        tolerances: of a step.
        before: log2 of the inverse error of the last step taken.
        order: the order that step control goes by.
        h: its length, ms.
    """
    squared = _squared_error(state, tried, tolerances)
    good = jnp.less(squared, 1)
    finite = jnp.isfinite(squared)
    # single precision is plenty for the size of a step, and several times faster on CPUs
    bounded = jnp.clip(jnp.where(finite, squared, 1), 1e-30, 1e30).astype(jnp.float32)
    inverse = -0.5 * jnp.log2(bounded)
    exponent = (PROPORTIONAL + INTEGRAL) * inverse - PROPORTIONAL * before
    factor = (_SAFETY * jnp.exp2(exponent / order)).astype(h.dtype)
    factor = jnp.where(
        good,
        jnp.clip(factor, 1.0, _LARGEST_FACTOR),
        jnp.where(finite, jnp.clip(factor, _SMALLEST_FACTOR, _SAFETY), _SMALLEST_FACTOR),
    )
    return Judgment(good, finite, jnp.where(squared > 0, inverse, 0), factor)


def _squared_error(state: State, tried: TriedStep, tolerances: Tolerances) -> Scalar:
    """The mean square of the error in units of what is tolerated; above 1 it is too large."""

    def leaf(y0: Array, y1: Array, error: Array) -> Array:
        size = jnp.maximum(abs(y0), abs(y1))
        return jnp.square(error / (tolerances.atol + size * tolerances.rtol))

    squares = jax.tree.leaves(jax.tree.map(leaf, state, tried.state, tried.error))
    return sum(x.sum() for x in squares) / sum(x.size for x in squares)


def smallest_step(window: Window) -> Float[Array, ""]:
    """The smallest step (ms) that counts: below it, time plus a step is time again."""
    start, end = jnp.asarray(window.start.value), jnp.asarray(window.end.value)
    if end.dtype == jnp.float32:
        return jnp.maximum(_RESOLVED * abs(start), _LEAST * abs(end))
    return float(jnp.finfo(end.dtype).eps) * jnp.maximum(abs(start), abs(end))


def first_step(
    field: Callable[[Float[Array, ""], State], State], window: Window, start: State, slope: State,
    tolerances: Tolerances, order: int,
) -> Float[Array, ""]:  # fmt: skip
    """The step (ms) to try first: Hairer, Norsett and Wanner's guess, section II.4.

    Args:
        field: `(t, state) -> slope`, t in ms since the start.
        window: the times.
        start: the first state.
        slope: the derivative there.
        tolerances: of a step.
        order: the order that step control goes by.
    """
    (y0, unravel), f0 = flatten(start), flatten(slope)[0]
    scale = tolerances.atol + abs(y0) * tolerances.rtol
    d0, d1 = _rms(y0 / scale), _rms(f0 / scale)
    small = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = jnp.where(small, 1e-6, 0.01 * (d0 / jnp.where(small, 1, d1)))
    f1 = flatten(field(h0, unravel(y0 + h0 * f0)))[0]
    d2 = _rms((f1 - f0) / scale) / h0
    most = jnp.maximum(d1, d2)
    safe = jnp.where(most <= 1e-15, 1, most)
    h1 = jnp.where(
        most <= 1e-15, jnp.maximum(1e-6, h0 * 1e-3), jnp.exp2(jnp.log2(0.01 / safe) / order)
    )
    smallest = smallest_step(window)
    guess = jnp.maximum(jnp.minimum(100 * h0, h1).astype(y0.dtype), smallest)
    # a trial point outside of the field's domain says nothing: then let the step grow from nothing
    return jnp.where(jnp.isfinite(d1) & jnp.isfinite(d2) & jnp.isfinite(h0), guess, smallest)


def _rms(x: Array) -> Array:
    """The root of the mean square; where that is 0, its derivative is 0 as well, and not NaN."""
    mean = jnp.mean(jnp.square(x))
    return jnp.where(mean > 0, jnp.sqrt(jnp.where(mean > 0, mean, 1)), mean)
