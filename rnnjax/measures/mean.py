"""The average over time."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from rnnjax._types import Arrays, PerUnit, Scalar
from rnnjax.measures._base import AbstractMeasure, Observing, whole_state
from rnnjax.measures._stretch import Stretch


class Mean(AbstractMeasure):
    r"""The average over the steps of the window: $\frac{1}{n} \sum_k x(t_k)$.

    Of adaptive steps the average over time: $\frac{1}{T} \int x(t)\, dt$.
    """

    of: Observing = eqx.field(static=True, default=whole_state)
    meaning: ClassVar[str] = "mean over time"
    unit: ClassVar[str] = "state"

    def init(self, t: Scalar, x: PerUnit) -> Arrays:
        """The mean so far and the number of steps in it."""
        return jnp.zeros_like(x), jnp.zeros((), jnp.result_type(x))

    def update(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """A running mean, which loses no digits over long runs as a sum would."""
        mean, n = carry
        n = n + 1
        return mean + (x - mean) / n, n

    def follow(self, carry: Arrays, stretch: Stretch) -> Arrays:
        """The mean so far and the time (ms) that it is over."""
        mean, elapsed = carry
        length = stretch.length
        elapsed = elapsed + length
        change = stretch.integral() - mean * length
        return mean + change / jnp.where(elapsed > 0, elapsed, 1), elapsed

    def finish(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The mean."""
        return carry[0]
