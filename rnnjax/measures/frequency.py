"""How many cycles a second."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Arrays, PerUnit, Scalar
from rnnjax.measures._base import Observing, whole_state
from rnnjax.measures._rhythm import AbstractCycleMeasure, Rhythm, periods


class Frequency(AbstractCycleMeasure):
    r"""Upward crossings of a level per second (Hz); 0 without an oscillation.

    $f = 1000\, (n - 1) / (t_n - t_1)$ for crossings at $t_1, \dots, t_n$ (ms)

    A crossing counts where the signal has turned before it, from falling to rising, by more than a
    quarter of its whole swing in the window, so that each rise counts once, whatever jitters on it.
    At rest, on the way to it (after a rise, a single bump, or a swing or two that have ended in the
    first third of the window) the value is 0; what lies far outside of the swing, such as a
    start elsewhere, is best left out by `transient=`. NaN, and `Status.UNDEFINED` in a sweep, only
    where it swings and fewer than two whole periods were seen: measure for longer.

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

    def finish(self, carry: Rhythm, t: Scalar, x: PerUnit) -> Arrays:
        """The frequency."""
        seen = periods(carry, t, self.smallest, self.level)
        return jnp.where(seen.too_few, jnp.nan, jnp.where(seen.found, 1000 / seen.mean, 0))
