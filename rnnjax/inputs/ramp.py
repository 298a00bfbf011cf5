"""From nothing to a value, in a straight line."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.inputs._base import AbstractInput


class Ramp(AbstractInput):
    r"""$u(t) = a \min(\max((t - t_0) / d, 0), 1)$.

    Args:
        amplitude: the value reached: a number, one per unit, or the circuit's input structure.
        onset: $t_0$ in ms.
        duration: $d$ in ms.
    """

    amplitude: Numbers = parameter(1.0, "circuit's", doc="value reached")
    onset: Scalar = parameter(0.0, "ms", doc="when it starts to rise")
    duration: Scalar = parameter(1000.0, "ms", positive=True, doc="how long it rises")

    def __call__(self, t: Scalar) -> Any:
        """The value at time `t`."""
        part = jnp.clip((t - self.onset) / self.duration, 0, 1)
        return jax.tree.map(lambda a: a * part, self.amplitude)

    def jumps(self) -> tuple[Any, ...]:
        """Where it bends."""
        return (self.onset, self.onset + self.duration)
