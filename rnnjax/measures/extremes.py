"""The smallest and the largest value."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from rnnjax._types import Array, Float, PerUnit, Scalar
from rnnjax.measures._base import AbstractMeasure, Observing, whole_state
from rnnjax.measures._stretch import Stretch


class Range(NamedTuple):
    """The smallest and the largest value of a window."""

    min: Float[Array, "*unit"]
    max: Float[Array, "*unit"]


class MinMax(AbstractMeasure):
    r"""The smallest and the largest value over the window: $\min_k x(t_k)$, $\max_k x(t_k)$."""

    of: Observing = eqx.field(static=True, default=whole_state)
    meaning: ClassVar[str] = "smallest and largest value"
    unit: ClassVar[str] = "state"

    def init(self, t: Scalar, x: PerUnit) -> Range:
        """The extremes so far."""
        return Range(jnp.asarray(x), jnp.asarray(x))

    def update(self, carry: Range, t: Scalar, x: PerUnit) -> Range:
        """The extremes so far."""
        return Range(jnp.minimum(carry.min, x), jnp.maximum(carry.max, x))

    def follow(self, carry: Range, stretch: Stretch) -> Range:
        """The extremes so far."""
        low, high = stretch.extremes()
        return Range(jnp.minimum(carry.min, low), jnp.maximum(carry.max, high))

    def finish(self, carry: Range, t: Scalar, x: PerUnit) -> Range:
        """The extremes."""
        return carry
