"""How many cycles a second."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Arrays, PerUnit, Scalar
from rnnjax.measures._base import (
    AbstractCycleMeasure,
    CrossingCount,
    Observing,
    mean_period,
    whole_state,
)


class Frequency(AbstractCycleMeasure):
    r"""Upward crossings of a level per second (Hz); 0 without an oscillation.

    $f = 1000\, (n - 1) / (t_n - t_1)$ for crossings at $t_1, \dots, t_n$ (ms)

    Crossings are located between steps by linear interpolation, so that the error is of second
    order in the step; between adaptive steps on the solver's dense output. The measure can be
    differentiated.

    Args:
        of: what is measured.
        level: the level; midway between the extremes unless given.
        smallest: swings below this count as no oscillation.
    """

    of: Observing = eqx.field(static=True, default=whole_state)
    level: Scalar | None = parameter(None, "state", doc="level crossed")
    smallest: Scalar = parameter(1e-3, "1", doc="smallest swing that counts")
    meaning: ClassVar[str] = "frequency"
    unit: ClassVar[str] = "Hz"

    def finish(self, carry: CrossingCount, t: Scalar, x: PerUnit) -> Arrays:
        """The frequency."""
        period, oscillates = mean_period(carry, self.smallest)
        return jnp.where(oscillates, 1000 / jnp.where(oscillates, period, 1), 0)
