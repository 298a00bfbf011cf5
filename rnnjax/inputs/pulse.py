"""On for a while."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.inputs._base import AbstractInput


class Pulse(AbstractInput):
    r"""$u(t) = a$ for $t_0 \le t < t_0 + d$, and 0 elsewhere.

    Args:
        amplitude: a number, one per unit, or the circuit's input structure.
        onset: $t_0$ in ms.
        duration: $d$ in ms.
    """

    amplitude: Numbers = parameter(1.0, "circuit's", doc="value during the pulse")
    onset: Scalar = parameter(100.0, "ms", doc="when it starts")
    duration: Scalar = parameter(100.0, "ms", positive=True, doc="how long it lasts")

    def __call__(self, t: Scalar) -> Any:
        """The value at time `t`."""
        on = (t >= self.onset) & (t < self.onset + self.duration)
        return jax.tree.map(lambda a: jnp.where(on, a, jnp.zeros_like(a)), self.amplitude)

    def jumps(self) -> tuple[Any, ...]:
        """The onset and the end."""
        return (self.onset, self.onset + self.duration)
