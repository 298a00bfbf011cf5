"""The Wilson-Cowan circuit: one excitatory and one inhibitory population."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, Scalar
from rnnjax.circuits._base import AbstractCircuit


class WilsonCowanState(NamedTuple):
    """Fraction of the cells of each population firing per unit time, in `[0, 1]`."""

    e: Scalar
    i: Scalar


class WilsonCowan(AbstractCircuit[WilsonCowanState]):
    r"""Two populations with refractoriness and sigmoid responses.

    $\tau_e \dot e = -e + (k_e - e)\, S_e(w_{ee} e - w_{ei} i + p + u_e)$
    $\tau_i \dot i = -i + (k_i - i)\, S_i(w_{ie} e - w_{ii} i + q + u_i)$

    $S(x) = 1/(1 + e^{-a (x - \theta)}) - 1/(1 + e^{a \theta})$ is a logistic of slope $a$ and
    threshold $\theta$, shifted so that $S(0) = 0$, and $k = 1 - 1/(1 + e^{a \theta})$ its
    largest value. `w_ab` > 0 is the weight onto `a` from `b`; the minus signs are in the
    equation. Times are in ms and everything else is dimensionless. The defaults oscillate.

    References:
        Wilson and Cowan (1972), Biophysical Journal 12:1-24, equations 11-12, figure 11.
    """

    w_ee: Scalar = parameter(16.0, "1", doc="weight onto E from E")
    w_ei: Scalar = parameter(12.0, "1", doc="weight onto E from I")
    w_ie: Scalar = parameter(15.0, "1", doc="weight onto I from E")
    w_ii: Scalar = parameter(3.0, "1", doc="weight onto I from I")
    p: Scalar = parameter(1.25, "1", doc="drive to E")
    q: Scalar = parameter(0.0, "1", doc="drive to I")
    slope_e: Scalar = parameter(1.3, "1", positive=True, doc="slope of E's response")
    slope_i: Scalar = parameter(2.0, "1", positive=True, doc="slope of I's response")
    threshold_e: Scalar = parameter(4.0, "1", doc="threshold of E's response")
    threshold_i: Scalar = parameter(3.7, "1", doc="threshold of I's response")
    tau_e: Scalar = parameter(1.0, "ms", positive=True, doc="time constant of E")
    tau_i: Scalar = parameter(1.0, "ms", positive=True, doc="time constant of I")

    def __call__(self, state: WilsonCowanState, input: WilsonCowanState) -> WilsonCowanState:
        """The time derivative of both fractions, per ms."""
        e, i = state
        drive_e = self.w_ee * e - self.w_ei * i + self.p + input.e
        drive_i = self.w_ie * e - self.w_ii * i + self.q + input.i
        response_e, k_e = _response(drive_e, self.slope_e, self.threshold_e)
        response_i, k_i = _response(drive_i, self.slope_i, self.threshold_i)
        return WilsonCowanState(
            e=(-e + (k_e - e) * response_e) / self.tau_e,
            i=(-i + (k_i - i) * response_i) / self.tau_i,
        )

    def rest(self) -> WilsonCowanState:
        """Both populations silent."""
        return WilsonCowanState(e=jnp.zeros_like(self.tau_e), i=jnp.zeros_like(self.tau_i))


def _response(drive: Numbers, slope: Numbers, threshold: Numbers) -> tuple[Any, Any]:
    """The shifted logistic and its largest value."""
    shift = jax.nn.sigmoid(-slope * threshold)
    return jax.nn.sigmoid(slope * (drive - threshold)) - shift, 1 - shift
