"""On from a moment on."""

from typing import Any

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.inputs._base import AbstractInput, between


class Step(AbstractInput):
    r"""$u(t) = a$ for $t \ge t_0$, and 0 before.

    Args:
        amplitude: a number, one per unit, or the circuit's input structure.
        onset: $t_0$ in ms.
    """

    amplitude: Numbers = parameter(1.0, "circuit's", doc="value after the onset")
    onset: Scalar = parameter(100.0, "ms", doc="when it starts")

    def __call__(self, t: Scalar) -> Any:
        """The value at time `t`."""
        return between(t, self.onset, self.amplitude)

    def jumps(self) -> tuple[Any, ...]:
        """The onset."""
        return (self.onset,)
