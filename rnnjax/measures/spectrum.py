"""How strongly given frequencies are present."""

import dataclasses
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Int, UInt32

from rnnjax._parameter import parameter
from rnnjax._types import Array, Arrays, Float, Numbers, PerUnit, Scalar, Vector, is_traced
from rnnjax.measures._base import AbstractMeasure, Observing, whole_state
from rnnjax.measures._running_sum import RunningSum, nothing_summed

_WORD = 2.0**32


class Turned(NamedTuple):
    """By how much of a cycle something turned: two words of 32 bits after the point, cycles left out."""

    high: UInt32[Array | np.ndarray, " frequencies"]
    low: UInt32[Array | np.ndarray, " frequencies"]

    def plus(self, more: "Turned") -> "Turned":
        """Turned further; exact, since whole cycles fall off at the top."""
        low = self.low + jnp.asarray(more.low)
        carried = (low < self.low).astype(jnp.uint32)
        return Turned(self.high + jnp.asarray(more.high) + carried, low)

    def cycles(self, like: Scalar) -> Float[Array, " frequencies"]:
        """Between minus a half and a half, in the dtype of `like`."""
        dtype = jnp.result_type(like)
        high = lax.bitcast_convert_type(jnp.asarray(self.high), jnp.int32).astype(dtype)
        return (high + jnp.asarray(self.low).astype(dtype) / _WORD) / _WORD


class SpectrumSoFar(NamedTuple):
    """Sums over the steps; `x` is the value from that at the beginning.

    Attributes:
        first: the value at the beginning.
        turned: how far each component is.
        x_cos, x_sin: of x with each component.
        cos, sin: of the components.
        x: of x.
        steps: how many there are.
    """

    first: Float[Array, "*unit"]
    turned: Turned
    x_cos: RunningSum
    x_sin: RunningSum
    cos: RunningSum
    sin: RunningSum
    x: RunningSum
    steps: Int[Array, ""]


class Spectrum(AbstractMeasure):
    r"""The amplitude of the Fourier component at each of the given frequencies.

    $A(f) = \frac{2}{n} \left| \sum_k (x(t_k) - \bar x)\, e^{-2 \pi i f t_k / 1000} \right|$

    A sine wave of amplitude $a$ at $f$ gives $a$ if the window holds whole cycles. The mean is
    taken out. One frequency axis is added in front. Sums are compensated and cycles counted
    exactly, so that a long window gives what a short one does.

    Args:
        of: what is measured.
        frequencies: in Hz, `(frequencies,)`; at most half a cycle a step.

    Raises:
        ValueError: where it is used, for frequencies above the Nyquist frequency of the step.
    """

    of: Observing = eqx.field(static=True, default=whole_state)
    frequencies: Vector = parameter(np.arange(1.0, 21.0), "Hz", positive=True)
    per_step: Turned | None = eqx.field(default=None, repr=False)
    meaning: ClassVar[str] = "amplitude of the Fourier component"
    unit: ClassVar[str] = "state"

    def axes(self) -> dict[str, tuple[Numbers, str]]:
        """The frequencies."""
        return {"frequency": (self.frequencies, "Hz")}

    def stepped(self, step: float) -> "Spectrum":
        """With how far each component turns in a step, or refused.

        Raises:
            ValueError: for a frequency that a run with this step can't hold.
        """
        if is_traced(self.frequencies):
            return self
        asked, nyquist = np.asarray(self.frequencies, np.float64), 500 / step
        if (asked > nyquist * (1 + 1e-12)).any():
            raise ValueError(
                f"Spectrum.frequencies: expected at most {nyquist:g} Hz, half a cycle a step of "
                f"{step:g} ms, got {asked.max():g} Hz: a run with this step can't tell it from a "
                "lower one; give a smaller step="
            )
        high, low = np.divmod(np.round(asked * (step / 1000) * _WORD**2), _WORD)
        per_step = Turned((high % _WORD).astype(np.uint32), low.astype(np.uint32))
        return dataclasses.replace(self, per_step=per_step)

    def init(self, t: Scalar, x: PerUnit) -> SpectrumSoFar:
        """Nothing is summed yet."""
        like = jnp.zeros(jnp.shape(self.frequencies) + jnp.shape(x), jnp.result_type(x))
        component = jnp.zeros((like.shape[0], *(1,) * jnp.ndim(x)), like.dtype)
        start = jnp.zeros(jnp.shape(self.frequencies), jnp.uint32)
        sums, components = nothing_summed(like), nothing_summed(component)
        return SpectrumSoFar(
            lax.stop_gradient(jnp.asarray(x)), Turned(start, start), sums, sums, components,
            components, nothing_summed(x), jnp.zeros((), jnp.int32),
        )  # fmt: skip

    def update(self, carry: SpectrumSoFar, t: Scalar, x: PerUnit) -> SpectrumSoFar:
        """One more term of each sum."""
        one, turned = jnp.ones((), jnp.result_type(x)), carry.turned
        if self.per_step is None:  # only the time tells how far it is
            cycles = jnp.asarray(self.frequencies) * (t / 1000)
            cycles = cycles - lax.stop_gradient(jnp.round(cycles))
        else:
            turned = turned.plus(self.per_step)
            cycles = turned.cycles(one)
        angle = 2 * np.pi * cycles
        c, s = (f(angle).reshape((-1,) + (1,) * jnp.ndim(x)) for f in (jnp.cos, jnp.sin))
        x = x - carry.first
        return SpectrumSoFar(
            carry.first, turned, carry.x_cos.plus(x * c, one), carry.x_sin.plus(x * s, one),
            carry.cos.plus(c, one), carry.sin.plus(s, one), carry.x.plus(x, one), carry.steps + 1,
        )  # fmt: skip

    def finish(self, carry: SpectrumSoFar, t: Scalar, x: PerUnit) -> Arrays:
        """The amplitudes, `(frequencies, ...)`."""
        x_cos, x_sin, cos, sin, total = jax.tree.map(
            lambda each: each.rounded(carry.first.dtype), carry[2:7],
            is_leaf=lambda x: isinstance(x, RunningSum),
        )  # fmt: skip
        n = carry.steps.astype(total.dtype)
        mean = total / n
        return 2 / n * jnp.hypot(x_cos - mean * cos, x_sin - mean * sin)
