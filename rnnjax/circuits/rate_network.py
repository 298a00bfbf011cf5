"""The rate network: the nonlinearity acts on the sum of the inputs."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from rnnjax._parameter import parameter
from rnnjax._types import Array, Float, PerUnit
from rnnjax.circuits._base import AbstractNetwork, ThresholdLinear, is_rectified, rectified
from rnnjax.connectivity._base import AbstractConnectivity
from rnnjax.connectivity.cosine import Cosine


def _ring() -> Cosine:
    return Cosine(lambda_1=1.9)


class RateNetwork(AbstractNetwork):
    r"""A network whose units turn the sum of their inputs into a rate.

    $\tau \dot v = -v + F(M v + b + h)$

    $v$ are rates in Hz, `(units,)`; $b$ (`bias`) and the input $h$ are in Hz; $\tau$ in ms, one or
    one per unit; $F$ is any function of one number: `rectified`, `tanh`, `logistic`,
    `softplus` of `rnnjax.circuits`, or your own.

    The default is the rectified ring of figures 7.9 and 7.12-7.14, with $\lambda_1$ = 1.9: it
    selects, sustains and modulates the gain of its inputs. $\tau$ = 10 ms and 100 units are
    reconstruction, not read.

    References:
        Dayan and Abbott (2001), Theoretical Neuroscience, equation 7.11 and section 7.4.
    """

    connectivity: AbstractConnectivity = eqx.field(default_factory=_ring)
    nonlinearity: Callable[[Any], Any] = rectified
    bias: PerUnit = parameter(0.0, "Hz", doc="constant input")
    tau: PerUnit = parameter(10.0, "ms", positive=True, doc="time constant")

    state_unit = "Hz"

    def __call__(self, state: Float[Any, " units"], input: PerUnit) -> Array:
        """The time derivative of the rates, Hz per ms."""
        return (-state + self.nonlinearity(self.connectivity(state) + self.bias + input)) / self.tau

    def rates(self, state: Float[Any, "*batch units"]) -> Array:
        """The state itself."""
        return state

    def switching_functions(self, state: Float[Any, "*batch units"], input: PerUnit) -> Any:
        """The sums of the inputs, where F is `rectified`."""
        if not is_rectified(self.nonlinearity):
            return None
        return self.connectivity(state) + self.bias + input

    def threshold_linear(self, input: PerUnit) -> ThresholdLinear | None:
        """The rates themselves, where F is `rectified`."""
        if not is_rectified(self.nonlinearity):
            return None
        return ThresholdLinear(self.connectivity.matrix(), self.bias + input)
