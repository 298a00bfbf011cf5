"""The Tsodyks-Markram network: one excitatory population with depression and facilitation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Scalar
from rnnjax.circuits._base import AbstractCircuit


class TsodyksMarkramState(NamedTuple):
    """Firing rate in Hz, the available share of transmitter and the share used per spike."""

    e: Scalar
    x: Scalar
    u: Scalar


class TsodyksMarkram(AbstractCircuit[TsodyksMarkramState]):
    r"""A population that excites itself through synapses with short-term plasticity.

    $\tau \dot e = -e + \alpha \log(1 + e^{(J u x e + E_0 + i) / \alpha})$
    $\dot x = (1 - x) / \tau_D - u x e$
    $\dot u = (U_0 - u) / \tau_F + U_0 (1 - u)\, e$

    with rates in Hz, so that $e$ per ms is a thousandth of it. The input $i$ adds to $E_0$.

    References:
        Tsodyks and Markram (1997), PNAS 94:719-723; as a population with this response in Cortes
        et al. (2013), PNAS 110:16610-16615. The values are those of a tutorial on it; the tests'
        bifurcations were computed, not read.
    """

    e_0: Scalar = parameter(-2.0, "Hz", doc="drive")
    alpha: Scalar = parameter(1.4, "Hz", positive=True, doc="width of the threshold")
    weight: Scalar = parameter(3.07, "1", doc="strength of the recurrent synapses, J")
    u_0: Scalar = parameter(0.3, "1", positive=True, doc="share used by a spike at rest")
    tau: Scalar = parameter(13.0, "ms", positive=True, doc="time constant of the rate")
    tau_d: Scalar = parameter(200.0, "ms", positive=True, doc="recovery from depression")
    tau_f: Scalar = parameter(1500.0, "ms", positive=True, doc="decay of facilitation")

    def __call__(self, state: TsodyksMarkramState, input: Scalar) -> TsodyksMarkramState:
        """The time derivatives, per ms."""
        e, x, u = state
        drive = self.weight * u * x * e + self.e_0 + input
        return TsodyksMarkramState(
            e=(-e + self.alpha * jax.nn.softplus(drive / self.alpha)) / self.tau,
            x=(1 - x) / self.tau_d - u * x * e / 1000,
            u=(self.u_0 - u) / self.tau_f + self.u_0 * (1 - u) * e / 1000,
        )

    def rest(self) -> TsodyksMarkramState:
        """Silent, all transmitter available."""
        e = jnp.zeros_like(self.tau)
        return TsodyksMarkramState(e=e, x=jnp.ones_like(e), u=jnp.asarray(self.u_0))

    def no_input(self) -> Any:
        """No further drive."""
        return np.zeros(())
