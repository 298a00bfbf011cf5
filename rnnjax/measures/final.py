"""The last value."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx

from rnnjax.measures._base import AbstractMeasure, whole_state
from rnnjax.measures._stretch import Stretch


class Final(AbstractMeasure):
    """The value at the end of the run: $x(T)$."""

    of: Callable[[Any], Any] = eqx.field(static=True, default=whole_state)
    meaning: ClassVar[str] = "value at the end"
    unit: ClassVar[str] = "state"

    def init(self, t: Any, x: Any) -> Any:
        """Nothing is carried."""
        return ()

    def update(self, carry: Any, t: Any, x: Any) -> Any:
        """Nothing is carried."""
        return ()

    def follow(self, carry: Any, stretch: Stretch) -> Any:
        """Nothing is carried."""
        return ()

    def finish(self, carry: Any, t: Any, x: Any) -> Any:
        """The value."""
        return x
