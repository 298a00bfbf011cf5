"""The squid axon of Hodgkin and Huxley: one compartment with sodium and potassium channels."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.circuits._base import AbstractCircuit, exp_linear


class HodgkinHuxleyState(NamedTuple):
    """Membrane potential in mV and the open fractions of the three gates, in `[0, 1]`."""

    v: Scalar
    m: Scalar
    h: Scalar
    n: Scalar


class HodgkinHuxley(AbstractCircuit[HodgkinHuxleyState]):
    r"""A membrane patch with a fast sodium, a delayed potassium and a leak current.

    $C \dot v = I + u - g_{Na} m^3 h (v - E_{Na}) - g_K n^4 (v - E_K) - g_L (v - E_L)$
    $\dot x = \alpha_x(v) (1 - x) - \beta_x(v)\, x$ for $x = m, h, n$, with

    $\alpha_m = 0.1 (v + 40) / (1 - e^{-(v + 40)/10})$, $\beta_m = 4 e^{-(v + 65)/18}$,
    $\alpha_h = 0.07 e^{-(v + 65)/20}$, $\beta_h = 1 / (1 + e^{-(v + 35)/10})$,
    $\alpha_n = 0.01 (v + 55) / (1 - e^{-(v + 55)/10})$, $\beta_n = 0.125 e^{-(v + 65)/80}$
    per ms, at 6.3 degrees Celsius, with the resting potential at -65 mV.

    As the current $I$ grows, rest is unstable between two Hopf bifurcations, at 9.7754 and
    154.522 uA/cm2, where it fires repetitively; with the leak reversal rounded to -54.4 mV, as
    many tutorials have it, they are at 9.7793 and 154.526. The input is a current in uA/cm2.

    References:
        Hodgkin and Huxley (1952), Journal of Physiology 117:500-544, table 3 (potentials there
        are measured from rest and of opposite sign). The bifurcations were computed, not read.
    """

    current: Scalar = parameter(0.0, "uA/cm2", doc="current into the cell")
    g_na: Scalar = parameter(120.0, "mS/cm2", positive=True, doc="sodium conductance")
    g_k: Scalar = parameter(36.0, "mS/cm2", positive=True, doc="potassium conductance")
    g_l: Scalar = parameter(0.3, "mS/cm2", positive=True, doc="leak conductance")
    e_na: Scalar = parameter(50.0, "mV", doc="sodium reversal potential")
    e_k: Scalar = parameter(-77.0, "mV", doc="potassium reversal potential")
    e_l: Scalar = parameter(-54.387, "mV", doc="leak reversal potential")
    capacitance: Scalar = parameter(1.0, "uF/cm2", positive=True, doc="membrane capacitance")

    def __call__(self, state: HodgkinHuxleyState, input: Scalar) -> HodgkinHuxleyState:
        """The time derivatives of potential (mV per ms) and gates (per ms)."""
        v, m, h, n = state
        sodium = self.g_na * m**3 * h * (v - self.e_na)
        potassium = self.g_k * n**4 * (v - self.e_k)
        leak = self.g_l * (v - self.e_l)
        (a_m, b_m), (a_h, b_h), (a_n, b_n) = _rates(v)
        return HodgkinHuxleyState(
            v=(self.current + input - sodium - potassium - leak) / self.capacitance,
            m=a_m * (1 - m) - b_m * m,
            h=a_h * (1 - h) - b_h * h,
            n=a_n * (1 - n) - b_n * n,
        )

    def rest(self) -> HodgkinHuxleyState:
        """-65 mV, the gates in their steady state there."""
        v = jnp.full_like(self.capacitance, -65.0)
        return HodgkinHuxleyState(v, *(a / (a + b) for a, b in _rates(v)))

    def no_input(self) -> Any:
        """No current."""
        return np.zeros(())


def _rates(v: Numbers) -> tuple[tuple[Any, Any], ...]:
    """Opening and closing rates of `m`, `h` and `n`, per ms."""
    return (
        (exp_linear((v + 40) / 10), 4 * jnp.exp(-(v + 65) / 18)),
        (0.07 * jnp.exp(-(v + 65) / 20), jax.nn.sigmoid((v + 35) / 10)),
        (0.1 * exp_linear((v + 55) / 10), 0.125 * jnp.exp(-(v + 65) / 80)),
    )
