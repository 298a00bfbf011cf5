"""The last value."""

from typing import ClassVar

import equinox as eqx

from rnnjax._types import Arrays, PerUnit, Scalar
from rnnjax.measures._base import AbstractMeasure, Observing, whole_state
from rnnjax.measures._stretch import Stretch


class Final(AbstractMeasure):
    """The value at the end of the run: $x(T)$."""

    of: Observing = eqx.field(static=True, default=whole_state)
    meaning: ClassVar[str] = "value at the end"
    unit: ClassVar[str] = "state"

    def init(self, t: Scalar, x: PerUnit) -> Arrays:
        """Nothing is carried."""
        return ()

    def update(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """Nothing is carried."""
        return ()

    def follow(self, carry: Arrays, stretch: Stretch) -> Arrays:
        """Nothing is carried."""
        return ()

    def finish(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The value."""
        return x
