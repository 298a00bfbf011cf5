"""The exact mean field of quadratic integrate-and-fire neurons."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Scalar
from rnnjax.circuits._base import AbstractCircuit


class QuadraticMeanFieldState(NamedTuple):
    """Firing rate (per time unit of the neurons) and mean membrane potential, dimensionless."""

    r: Scalar
    v: Scalar


class QuadraticMeanField(AbstractCircuit[QuadraticMeanFieldState]):
    r"""Infinitely many quadratic integrate-and-fire neurons that excite each other.

    $\tau \dot r = \Delta / \pi + 2 r v$
    $\tau \dot v = v^2 + \eta + J r + u - \pi^2 r^2$

    $\eta$ is the center and $\Delta$ the half width of the Lorentzian distribution of drives.
    Rest and activity coexist within a cusp at $(\eta, J) = (-\sqrt3 \Delta, 7.796217 \sqrt\Delta)$.

    References:
        Montbrio, Pazo and Roxin (2015), Physical Review X 5:021028, equations 12. The defaults
        lie where two states are stable; the tests' folds were computed, not read.
    """

    eta: Scalar = parameter(-5.0, "1", doc="center of the drives")
    j: Scalar = parameter(15.0, "1", doc="strength of the recurrent synapses")
    delta: Scalar = parameter(1.0, "1", positive=True, doc="half width of the drives")
    tau: Scalar = parameter(1.0, "ms", positive=True, doc="membrane time constant")

    def __call__(self, state: QuadraticMeanFieldState, input: Scalar) -> QuadraticMeanFieldState:
        """The time derivatives of rate and potential, per ms."""
        r, v = state
        return QuadraticMeanFieldState(
            r=(self.delta / np.pi + 2 * r * v) / self.tau,
            v=(v**2 + self.eta + self.j * r + input - np.pi**2 * r**2) / self.tau,
        )

    def rest(self) -> QuadraticMeanFieldState:
        """Nearly silent, the potential at -2."""
        v = jnp.full_like(self.tau, -2.0)
        return QuadraticMeanFieldState(r=-self.delta / (2 * np.pi * v), v=v)

    def no_input(self) -> Any:
        """No further drive."""
        return np.zeros(())
