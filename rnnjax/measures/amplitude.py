"""The size of an oscillation."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from rnnjax._types import Arrays, PerUnit, Scalar
from rnnjax.measures._base import AbstractMeasure, Observing, whole_state
from rnnjax.measures._stretch import Stretch


class Amplitude(AbstractMeasure):
    r"""The swing over the window, from trough to peak: $\max_k x(t_k) - \min_k x(t_k)$.

    With fixed steps the peak is the largest of the steps' values, and its derivative is that of the
    value at that step: by what moves the peak in time, such as the frequency of a drive, that is off by
    the slope there. Adaptive steps find the peak between their ends.
    """

    of: Observing = eqx.field(static=True, default=whole_state)
    meaning: ClassVar[str] = "swing (trough to peak)"
    unit: ClassVar[str] = "state"

    def init(self, t: Scalar, x: PerUnit) -> Arrays:
        """The extremes so far."""
        return x, x

    def update(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The extremes so far."""
        return jnp.minimum(carry[0], x), jnp.maximum(carry[1], x)

    def follow(self, carry: Arrays, stretch: Stretch) -> Arrays:
        """The extremes so far."""
        low, high = stretch.extremes()
        return jnp.minimum(carry[0], low), jnp.maximum(carry[1], high)

    def finish(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The swing."""
        return carry[1] - carry[0]
