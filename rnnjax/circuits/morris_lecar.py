"""The Morris-Lecar neuron: calcium and potassium, in two variables."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Expected, Scalar
from rnnjax.circuits._base import AbstractCircuit


class MorrisLecarState(NamedTuple):
    """Membrane potential in mV and the open fraction of the potassium channels, in `[0, 1]`."""

    v: Scalar
    w: Scalar


class MorrisLecar(AbstractCircuit[MorrisLecarState]):
    r"""A membrane patch whose calcium current follows the potential at once.

    $C \dot v = I + u - g_{Ca} m_\infty(v) (v - E_{Ca}) - g_K w (v - E_K) - g_L (v - E_L)$
    $\dot w = \phi \cosh\!\big(\tfrac{v - v_3}{2 v_4}\big) (w_\infty(v) - w)$ with
    $m_\infty = \tfrac12 (1 + \tanh\tfrac{v - v_1}{v_2})$,
    $w_\infty = \tfrac12 (1 + \tanh\tfrac{v - v_3}{v_4})$

    Three sets of parameters show the three ways into repetitive firing as the current grows:
    `MorrisLecar.hopf()`, which are the defaults, `MorrisLecar.snic()` and
    `MorrisLecar.homoclinic()`. The input is a current in uA/cm2.

    References:
        Morris and Lecar (1981), Biophysical Journal 35:193-213. The sets are those of Rinzel and
        Ermentrout (1998), Methods in Neuronal Modeling, chapter 7; the places of their
        bifurcations that the tests quote were computed, not read.
    """

    current: Scalar = parameter(0.0, "uA/cm2", doc="current into the cell")
    g_ca: Scalar = parameter(4.4, "mS/cm2", positive=True, doc="calcium conductance")
    g_k: Scalar = parameter(8.0, "mS/cm2", positive=True, doc="potassium conductance")
    g_l: Scalar = parameter(2.0, "mS/cm2", positive=True, doc="leak conductance")
    e_ca: Scalar = parameter(120.0, "mV", doc="calcium reversal potential")
    e_k: Scalar = parameter(-84.0, "mV", doc="potassium reversal potential")
    e_l: Scalar = parameter(-60.0, "mV", doc="leak reversal potential")
    v_1: Scalar = parameter(-1.2, "mV", doc="potential at which half of the calcium channels open")
    v_2: Scalar = parameter(18.0, "mV", positive=True, doc="width of that transition")
    v_3: Scalar = parameter(2.0, "mV", doc="potential at which half of the potassium channels open")
    v_4: Scalar = parameter(30.0, "mV", positive=True, doc="width of that transition")
    phi: Scalar = parameter(0.04, "1/ms", positive=True, doc="rate of the potassium channels")
    capacitance: Scalar = parameter(20.0, "uF/cm2", positive=True, doc="membrane capacitance")

    @classmethod
    def hopf(cls, **changes: Expected[Scalar]) -> "MorrisLecar":
        """Firing begins at a subcritical Hopf bifurcation, at 93.86 uA/cm2 (the defaults)."""
        return cls(**changes)

    @classmethod
    def snic(cls, **changes: Expected[Scalar]) -> "MorrisLecar":
        """Firing begins with zero frequency, at a saddle-node on the cycle, at 39.96 uA/cm2."""
        return cls(**{"g_ca": 4.0, "v_3": 12.0, "v_4": 17.4, "phi": 0.067} | changes)

    @classmethod
    def homoclinic(cls, **changes: Expected[Scalar]) -> "MorrisLecar":
        """The cycle begins at a homoclinic orbit of the saddle, at 35.007 uA/cm2."""
        return cls(**{"g_ca": 4.0, "v_3": 12.0, "v_4": 17.4, "phi": 0.23} | changes)

    def __call__(self, state: MorrisLecarState, input: Scalar) -> MorrisLecarState:
        """The time derivatives of potential (mV per ms) and open fraction (per ms)."""
        v, w = state
        m_inf = (1 + jnp.tanh((v - self.v_1) / self.v_2)) / 2
        w_inf = (1 + jnp.tanh((v - self.v_3) / self.v_4)) / 2
        calcium = self.g_ca * m_inf * (v - self.e_ca)
        potassium = self.g_k * w * (v - self.e_k)
        leak = self.g_l * (v - self.e_l)
        return MorrisLecarState(
            v=(self.current + input - calcium - potassium - leak) / self.capacitance,
            w=self.phi * jnp.cosh((v - self.v_3) / (2 * self.v_4)) * (w_inf - w),
        )

    def rest(self) -> MorrisLecarState:
        """-60 mV, the potassium channels closed."""
        v = jnp.full_like(self.capacitance, -60.0)
        return MorrisLecarState(v=v, w=jnp.zeros_like(v))

    def no_input(self) -> Any:
        """No current."""
        return np.zeros(())
