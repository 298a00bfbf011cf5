"""A sine wave."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.inputs._base import AbstractInput


class Sinusoid(AbstractInput):
    r"""$u(t) = a \sin(2 \pi f t / 1000 + \phi)$, with $f$ in Hz and $t$ in ms.

    Args:
        amplitude: a number, one per unit, or the circuit's input structure.
        frequency: $f$ in Hz.
        phase: $\phi$ in radians.
    """

    amplitude: Numbers = parameter(1.0, "circuit's", doc="largest value")
    frequency: Scalar = parameter(10.0, "Hz", positive=True, doc="cycles per second")
    phase: Scalar = parameter(0.0, "rad", doc="phase at time 0")

    def __call__(self, t: Scalar) -> Any:
        """The value at time `t`."""
        cycles = self.frequency * t / 1000
        # of large angles the sine costs, or loses, digits
        wave = jnp.sin(2 * np.pi * (cycles - lax.stop_gradient(jnp.floor(cycles))) + self.phase)
        return jax.tree.map(lambda a: a * wave, self.amplitude)

    def longest_step(self) -> Any:
        """A quarter of a cycle (ms)."""
        return 250 / self.frequency

    def shortest_cycle(self) -> Any:
        """Its cycle (ms)."""
        return 1000 / self.frequency

    def jumps(self) -> tuple[Any, ...]:
        """Nowhere."""
        return ()
