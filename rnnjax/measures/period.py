"""How long a cycle takes."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Scalar
from rnnjax.measures._base import (
    AbstractMeasure,
    Crossings,
    count_crossings,
    mean_period,
    start_crossings,
    whole_state,
)


class Period(AbstractMeasure):
    r"""The mean time between upward crossings of a level (ms); infinite without an oscillation.

    Crossings are located between steps by linear interpolation, so that the error is of second
    order in the step. The measure can be differentiated.

    Args:
        of: what is measured.
        level: the level; midway between the extremes unless given.
        smallest: swings below this count as no oscillation.
    """

    of: Callable[[Any], Any] = eqx.field(static=True, default=whole_state)
    level: Scalar | None = parameter(None, "state", doc="level crossed")
    smallest: Scalar = parameter(1e-3, "1", doc="smallest swing that counts")
    meaning: ClassVar[str] = "mean period"
    unit: ClassVar[str] = "ms"

    def init(self, t: Any, x: Any) -> Crossings:
        """No crossing yet."""
        return start_crossings(t, x)

    def update(self, carry: Crossings, t: Any, x: Any) -> Crossings:
        """Count the crossing, if this step made one."""
        return count_crossings(carry, t, x, self.level)

    def finish(self, carry: Crossings, t: Any, x: Any) -> Any:
        """The mean period."""
        period, oscillates = mean_period(carry, self.smallest)
        return jnp.where(oscillates, period, jnp.inf)
