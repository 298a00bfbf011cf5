"""The threshold-linear excitatory-inhibitory pair of Dayan and Abbott."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Input, Scalar
from rnnjax.circuits._base import AbstractCircuit, ThresholdLinear, rectified


class ExcitatoryInhibitoryState(NamedTuple):
    """Firing rates of the two populations in Hz; an input to them has the same two fields."""

    e: Scalar
    i: Scalar


class ExcitatoryInhibitory(AbstractCircuit[ExcitatoryInhibitoryState]):
    r"""Two threshold-linear populations that oscillate when inhibition is slow.

    $\tau_e \dot v_e = -v_e + [m_{ee} v_e + m_{ei} v_i - \gamma_e + u_e]_+$
    $\tau_i \dot v_i = -v_i + [m_{ie} v_e + m_{ii} v_i - \gamma_i + u_i]_+$

    Weights are signed and `m_ab` is the weight onto `a` from `b`; rates and thresholds are in
    Hz, times in ms. The fixed point is (80/3, 50/3) Hz and loses its stability at
    `tau_i` = 40 ms exactly. The default `tau_i` = 50 ms is on a limit cycle of 187.3 ms;
    30 ms is damped.

    That Hopf bifurcation is degenerate, which is a property of the circuit and not an error: at
    40 ms the flow is divergence-free wherever the inhibitory unit obeys `m_ii` = 0, so a
    continuum of neutral periodic orbits exists there. Above 40 ms the amplitude jumps to about
    24 Hz instead of growing like a square root, and below it (divergence < 0 everywhere,
    Bendixson) there is no cycle. Convergence close to 40 ms is very slow. Explicit Euler with
    step dt moves the onset to 40 - 3 dt.

    Some courses use `m_ii` = -1: fixed point (60, 25) Hz, onset at `tau_i` = 80 ms.

    References:
        Dayan and Abbott (2001), Theoretical Neuroscience, section 7.5, figures 7.18-7.20. The
        values are those of the text; the cycles' extrema and periods quoted by the tests were
        computed (DOP853, 1e-10), not read.
    """

    m_ee: Scalar = parameter(1.25, "1", doc="weight onto E from E")
    m_ei: Scalar = parameter(-1.0, "1", doc="weight onto E from I, signed")
    m_ie: Scalar = parameter(1.0, "1", doc="weight onto I from E")
    m_ii: Scalar = parameter(0.0, "1", doc="weight onto I from I, signed")
    gamma_e: Scalar = parameter(-10.0, "Hz", doc="threshold of E")
    gamma_i: Scalar = parameter(10.0, "Hz", doc="threshold of I")
    tau_e: Scalar = parameter(10.0, "ms", positive=True, doc="time constant of E")
    tau_i: Scalar = parameter(50.0, "ms", positive=True, doc="time constant of I")

    state_unit = "Hz"

    def __call__(
        self, state: ExcitatoryInhibitoryState, input: ExcitatoryInhibitoryState
    ) -> ExcitatoryInhibitoryState:
        """The time derivative of both rates, Hz per ms."""
        e, i = state
        drive_e, drive_i = self.switching_functions(state, input)
        return ExcitatoryInhibitoryState(
            e=(-e + rectified(drive_e)) / self.tau_e,
            i=(-i + rectified(drive_i)) / self.tau_i,
        )

    def rest(self) -> ExcitatoryInhibitoryState:
        """Both populations silent."""
        return ExcitatoryInhibitoryState(e=jnp.zeros_like(self.tau_e), i=jnp.zeros_like(self.tau_i))

    def switching_functions(self, state: ExcitatoryInhibitoryState, input: Input) -> Any:
        """What each population is driven by, less its threshold, Hz."""
        e, i = state
        drive_e = self.m_ee * e + self.m_ei * i - self.gamma_e + input.e
        drive_i = self.m_ie * e + self.m_ii * i - self.gamma_i + input.i
        return drive_e, drive_i

    def threshold_linear(self, input: ExcitatoryInhibitoryState) -> ThresholdLinear:
        """The two rates."""
        weights = jnp.stack([self.m_ee, self.m_ei, self.m_ie, self.m_ii]).reshape(2, 2)
        drive = jnp.stack([input.e - self.gamma_e, input.i - self.gamma_i])
        return ThresholdLinear(
            weights, drive, state=lambda rates, _: ExcitatoryInhibitoryState(*rates)
        )
