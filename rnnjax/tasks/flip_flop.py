"""The flip-flop: each output holds the sign of the last pulse of its channel."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.verb import verb
from rnnjax._parameter import counted, parameter
from rnnjax._types import Key, Scalar, is_traced
from rnnjax.tasks._base import AbstractTask, Trial, steps_of


class FlipFlop(AbstractTask):
    r"""Pulses of $\pm 1$ at random times on several channels, each remembered until the next one.

    $y^*_i(t) = s_i(t')$ with $t' \le t$ the last time at which $s_i(t') \ne 0$.

    $s_i$ is $+1$ or $-1$ during a pulse of channel $i$ and 0 elsewhere; the input is $a\, s_i$.
    Time is cut into slots of one pulse each. In the first slot every channel has a pulse, so that
    there is something to remember from the start; in every other one each channel has a pulse with
    probability $q$, independently, of either sign alike. All outputs count all the time; they
    change as the pulse begins.

    Args:
        bits: the number of channels, and of outputs.
        duration: of a trial, ms.
        pulse: of a pulse, and of a slot, ms.
        step: ms.
        probability: $q$.
        amplitude: $a$.

    Raises:
        ValueError: if a time is no multiple of the step, the bits are no positive whole number, or
            the probability is none.

    References:
        Sussillo and Barak (2013), Opening the black box, Neural Computation 25:626-649, the first
        example, with 3 bits. We did not have the statistics of its pulses. Those here are of the
        form published by Golub and Sussillo (2018), FixedPointFinder, Journal of Open Source
        Software 3:1003, which also starts with a pulse on every channel; its numbers, for a
        network in discrete time, are `FlipFlop(duration=64, pulse=1, probability=0.5)`. The
        defaults, for a network with a time constant of about 10 ms, are our choice.
    """

    bits: int = eqx.field(static=True, default=3)
    duration: float = eqx.field(static=True, default=500.0)
    pulse: float = eqx.field(static=True, default=10.0)
    step: float = eqx.field(static=True, default=1.0)
    probability: Scalar = parameter(0.1, "1", doc="of a pulse in a slot")
    amplitude: Scalar = parameter(1.0, "1", doc="height of a pulse")

    def __check_init__(self) -> None:
        """Refuse times that are no multiples of the step, and what is no probability."""
        steps_of(self, "duration")
        steps_of(self, "pulse")
        counted(self.bits, "FlipFlop.bits")
        if not is_traced(self.probability):
            q = np.asarray(self.probability)
            if np.any((q < 0) | (q > 1)):
                raise ValueError(
                    f"FlipFlop.probability: expected a number from 0 to 1, got {self.probability}"
                )

    @property
    def inputs(self) -> int:
        """A channel per bit."""
        return self.bits

    @property
    def outputs(self) -> int:
        """An output per bit."""
        return self.bits

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        return steps_of(self, "duration")

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        dtype, d = jnp.result_type(float), steps_of(self, "pulse")
        slots = -(-self.steps // d)
        slot = jnp.arange(slots)[:, None]
        of_times, of_signs = jax.random.split(key)
        probability = jnp.asarray(self.probability, dtype)
        signs = jax.random.rademacher(of_signs, (slots, self.bits), dtype)
        on = jax.random.bernoulli(of_times, probability, (slots, self.bits)) | (slot == 0)
        last = jax.lax.cummax(jnp.where(on, slot, 0), axis=0)
        held = jnp.take_along_axis(signs, last, axis=0)
        pulses = jnp.asarray(self.amplitude, dtype) * jnp.where(on, signs, 0.0)
        inputs, targets = (jnp.repeat(x, d, axis=0)[: self.steps] for x in (pulses, held))
        return Trial(inputs, targets, jnp.ones(self.steps, dtype))
