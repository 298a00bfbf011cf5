"""The Jansen-Rit column: pyramidal cells, excitatory and inhibitory interneurons."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.circuits._base import AbstractCircuit


class JansenRitState(NamedTuple):
    """Postsynaptic potentials in mV and their slopes in mV per second.

    `y0` is the output of the pyramidal cells, `y1` their excitatory and `y2` their inhibitory
    input; `y1 - y2` is what an EEG shows.
    """

    y0: Scalar
    y1: Scalar
    y2: Scalar
    y3: Scalar
    y4: Scalar
    y5: Scalar


class JansenRit(AbstractCircuit[JansenRitState]):
    r"""A cortical column of three populations that makes alpha rhythms and spikes of an EEG.

    $\dot y_0 = y_3$, $\dot y_3 = A a\, S(y_1 - y_2) - 2 a y_3 - a^2 y_0$
    $\dot y_1 = y_4$, $\dot y_4 = A a\, (p + u + 0.8\, C\, S(C y_0)) - 2 a y_4 - a^2 y_1$
    $\dot y_2 = y_5$, $\dot y_5 = B b\, 0.25\, C\, S(0.25\, C y_0) - 2 b y_5 - b^2 y_2$

    with $S(v) = 2 e_0 / (1 + e^{r (v_0 - v)})$ in Hz. Rates and slopes are per second as in the
    paper; the derivative that a call returns is per ms, as of every circuit. The input is a rate
    in Hz that is added to `p`.

    References:
        Jansen and Rit (1995), Biological Cybernetics 73:357-366. `p` is the mean of the noise
        used there. The tests' bifurcations were computed, not read.
    """

    p: Scalar = parameter(220.0, "Hz", doc="rate of the input from elsewhere")
    c: Scalar = parameter(135.0, "1", positive=True, doc="number of synapses, C")
    gain_e: Scalar = parameter(3.25, "mV", positive=True, doc="excitatory gain, A")
    gain_i: Scalar = parameter(22.0, "mV", positive=True, doc="inhibitory gain, B")
    rate_e: Scalar = parameter(100.0, "1/s", positive=True, doc="excitatory rate, a")
    rate_i: Scalar = parameter(50.0, "1/s", positive=True, doc="inhibitory rate, b")
    e0: Scalar = parameter(2.5, "Hz", positive=True, doc="half of the largest firing rate")
    v0: Scalar = parameter(6.0, "mV", doc="potential at which half of that is reached")
    r: Scalar = parameter(0.56, "1/mV", positive=True, doc="slope of the response")

    def __call__(self, state: JansenRitState, input: Scalar) -> JansenRitState:
        """The time derivatives, in mV and mV per second, per ms."""
        y0, y1, y2, y3, y4, y5 = state
        a, b, c = self.rate_e, self.rate_i, self.c
        from_pyramidal = self._rate(y1 - y2)
        from_excitatory = 0.8 * c * self._rate(c * y0)
        from_inhibitory = 0.25 * c * self._rate(0.25 * c * y0)
        drive = self.p + input + from_excitatory
        return JansenRitState(
            y0=y3 / 1000,
            y1=y4 / 1000,
            y2=y5 / 1000,
            y3=(self.gain_e * a * from_pyramidal - 2 * a * y3 - a**2 * y0) / 1000,
            y4=(self.gain_e * a * drive - 2 * a * y4 - a**2 * y1) / 1000,
            y5=(self.gain_i * b * from_inhibitory - 2 * b * y5 - b**2 * y2) / 1000,
        )

    def rest(self) -> JansenRitState:
        """All potentials at zero."""
        return JansenRitState(*(jnp.zeros_like(self.p) for _ in range(6)))

    def no_input(self) -> Any:
        """No further rate."""
        return np.zeros(())

    def _rate(self, v: Numbers) -> Any:
        """The firing rate at a potential, Hz."""
        return 2 * self.e0 * jax.nn.sigmoid(self.r * (v - self.v0))
