"""The Wong-Wang decision circuit: two populations that compete through slow synapses."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.circuits._base import AbstractCircuit, exp_linear


class WongWangState(NamedTuple):
    """Open fraction of the NMDA synapses of each population; an input has the same two fields."""

    s1: Scalar
    s2: Scalar


class WongWang(AbstractCircuit[WongWangState]):
    r"""Two selective populations, reduced from a spiking network to their synapses.

    $\dot s_i = -s_i / \tau_s + (1 - s_i)\, \gamma\, H(x_i)$ with
    $H(x) = (a x - b) / (1 - e^{-d (a x - b)})$ in Hz and
    $x_1 = J_s s_1 - J_x s_2 + I_0 + J_{ext}\, \mu\, (1 + c) + u_1$, $x_2$ alike with $1 - c$.

    $\mu$ is the rate of the stimulus and $c$ its coherence, from -1 to 1. Without coherence the
    circuit is symmetric: between two pitchforks, at 10.677 and 43.018 Hz, it must decide. The
    input is a current in nA to each population.

    References:
        Wong and Wang (2006), Journal of Neuroscience 26:1314-1328, equations of the reduced
        two-variable model. The tests' bifurcations were computed, not read.
    """

    mu: Scalar = parameter(30.0, "Hz", doc="rate of the stimulus")
    coherence: Scalar = parameter(0.0, "1", doc="share of the stimulus that favors population 1")
    i_0: Scalar = parameter(0.3255, "nA", doc="background current")
    j_self: Scalar = parameter(0.2609, "nA", doc="strength of a population's own synapses")
    j_cross: Scalar = parameter(0.0497, "nA", doc="strength of the inhibition by the other")
    j_ext: Scalar = parameter(0.00052, "nA/Hz", doc="strength of the stimulus")
    a: Scalar = parameter(270.0, "Hz/nA", positive=True, doc="gain of the response")
    b: Scalar = parameter(108.0, "Hz", doc="threshold of the response")
    d: Scalar = parameter(0.154, "s", positive=True, doc="curvature of the response")
    gamma: Scalar = parameter(0.641, "1", positive=True, doc="synapses opened per spike")
    tau_s: Scalar = parameter(100.0, "ms", positive=True, doc="time constant of the synapses")

    def __call__(self, state: WongWangState, input: WongWangState) -> WongWangState:
        """The time derivative of both fractions, per ms."""
        s1, s2 = state
        stimulus = self.i_0 + self.j_ext * self.mu
        favored = self.j_ext * self.mu * self.coherence
        x1 = self.j_self * s1 - self.j_cross * s2 + stimulus + favored + input.s1
        x2 = self.j_self * s2 - self.j_cross * s1 + stimulus - favored + input.s2
        return WongWangState(
            s1=-s1 / self.tau_s + (1 - s1) * self.gamma * self._rate(x1) / 1000,
            s2=-s2 / self.tau_s + (1 - s2) * self.gamma * self._rate(x2) / 1000,
        )

    def rest(self) -> WongWangState:
        """A tenth of the synapses open."""
        s = jnp.full_like(self.tau_s, 0.1)
        return WongWangState(s1=s, s2=s)

    def _rate(self, x: Numbers) -> Any:
        """The firing rate at a current, Hz."""
        return exp_linear(self.d * (self.a * x - self.b)) / self.d
