"""The exact mean field of quadratic integrate-and-fire neurons with spike-frequency adaptation."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Scalar
from rnnjax.circuits._base import AbstractCircuit


class AdaptiveQuadraticMeanFieldState(NamedTuple):
    """Firing rate per ms, mean potential, adaptation and its slope per ms, dimensionless."""

    r: Scalar
    v: Scalar
    a: Scalar
    b: Scalar


class AdaptiveQuadraticMeanField(AbstractCircuit[AdaptiveQuadraticMeanFieldState]):
    r"""Quadratic integrate-and-fire neurons that excite each other and tire.

    $\tau \dot r = \Delta / (\pi \tau) + 2 r v$
    $\tau \dot v = v^2 + \eta + J r \tau + u - a - (\pi \tau r)^2$
    $\dot a = b$, $\dot b = \alpha r / \tau_a - 2 b / \tau_a - a / \tau_a^2$

    The adaptation $a$ is the rate filtered by an alpha function of time constant $\tau_a$.

    References:
        Gast, Schmidt and Knoesche (2020), Neural Computation 32:1615-1634; the values are those
        of a published program of it. The tests' bifurcations were computed, not read.
    """

    eta: Scalar = parameter(-5.5, "1", doc="center of the drives")
    j: Scalar = parameter(15 * 2**0.5, "1", doc="strength of the recurrent synapses")
    delta: Scalar = parameter(2.0, "1", positive=True, doc="half width of the drives")
    alpha: Scalar = parameter(0.5, "1", doc="strength of the adaptation")
    tau: Scalar = parameter(1.0, "ms", positive=True, doc="membrane time constant")
    tau_a: Scalar = parameter(10.0, "ms", positive=True, doc="time constant of the adaptation")

    def __call__(
        self, state: AdaptiveQuadraticMeanFieldState, input: Scalar
    ) -> AdaptiveQuadraticMeanFieldState:
        """The time derivatives, per ms."""
        r, v, a, b = state
        drive = self.eta + self.j * r * self.tau + input - a
        return AdaptiveQuadraticMeanFieldState(
            r=(self.delta / (np.pi * self.tau) + 2 * r * v) / self.tau,
            v=(v**2 + drive - (np.pi * self.tau * r) ** 2) / self.tau,
            a=b,
            b=self.alpha * r / self.tau_a - 2 * b / self.tau_a - a / self.tau_a**2,
        )

    def rest(self) -> AdaptiveQuadraticMeanFieldState:
        """Nearly silent, the potential at -2, no adaptation."""
        v = jnp.full_like(self.tau, -2.0)
        r = -self.delta / (2 * np.pi * self.tau * v)
        return AdaptiveQuadraticMeanFieldState(r=r, v=v, a=jnp.zeros_like(v), b=jnp.zeros_like(v))

    def no_input(self) -> Any:
        """No further drive."""
        return np.zeros(())
