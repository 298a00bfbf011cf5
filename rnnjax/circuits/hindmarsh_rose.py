"""The Hindmarsh-Rose neuron: bursts and chaos in three polynomial equations."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Scalar
from rnnjax.circuits._base import AbstractCircuit


class HindmarshRoseState(NamedTuple):
    """Potential, recovery and slow adaptation, all dimensionless."""

    x: Scalar
    y: Scalar
    z: Scalar


class HindmarshRose(AbstractCircuit[HindmarshRoseState]):
    r"""A spiking neuron whose slow third variable groups the spikes into bursts.

    $\dot x = y - a x^3 + b x^2 + I + u - z$
    $\dot y = c - d x^2 - y$
    $\dot z = \mu\, (s\, (x - x_r) - z)$

    Everything is dimensionless; the unit of time is read as ms. The defaults burst.

    References:
        Hindmarsh and Rose (1984), Proceedings of the Royal Society B 221:87-102. The values are
        those in general use; the tests' numbers were computed, not read.
    """

    current: Scalar = parameter(2.0, "1", doc="drive")
    a: Scalar = parameter(1.0, "1", doc="strength of the cubic term")
    b: Scalar = parameter(3.0, "1", doc="strength of the quadratic term")
    c: Scalar = parameter(1.0, "1", doc="constant drive of the recovery")
    d: Scalar = parameter(5.0, "1", doc="strength of the recovery")
    mu: Scalar = parameter(0.006, "1/ms", positive=True, doc="rate of the adaptation")
    s: Scalar = parameter(4.0, "1", doc="strength of the adaptation")
    x_r: Scalar = parameter(-1.6, "1", doc="potential at which the adaptation rests")

    def __call__(self, state: HindmarshRoseState, input: Scalar) -> HindmarshRoseState:
        """The time derivative of the three variables, per ms."""
        x, y, z = state
        return HindmarshRoseState(
            x=y - self.a * x**3 + self.b * x**2 + self.current + input - z,
            y=self.c - self.d * x**2 - y,
            z=self.mu * (self.s * (x - self.x_r) - z),
        )

    def rest(self) -> HindmarshRoseState:
        """The potential at `x_r`, the recovery in its steady state there, no adaptation."""
        x = jnp.asarray(self.x_r)
        return HindmarshRoseState(x=x, y=self.c - self.d * x**2, z=jnp.zeros_like(x))

    def no_input(self) -> Any:
        """No drive."""
        return np.zeros(())
