"""The same at all times."""

from typing import Any, ClassVar

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.inputs._base import AbstractInput


class Constant(AbstractInput):
    """$u(t) = a$.

    Args:
        value: a number, one per unit, or the circuit's input structure.
    """

    value: Numbers = parameter(1.0, "circuit's", doc="the value")
    varies: ClassVar[bool] = False

    def __call__(self, t: Scalar) -> Any:
        """The value."""
        return self.value

    def jumps(self) -> tuple[Any, ...]:
        """Nowhere."""
        return ()
