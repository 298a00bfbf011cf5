"""The current network: the nonlinearity acts on each unit before the sum."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Array, Float, PerUnit
from rnnjax.circuits._base import AbstractNetwork, ThresholdLinear, is_rectified, tanh
from rnnjax.connectivity._base import AbstractConnectivity
from rnnjax.connectivity.dense import Dense

_WEIGHTS = [[0.9, -1.2, 0.4], [1.2, 0.7, -0.5], [-0.6, 0.8, 1.1]]


def _three_units() -> Dense:
    return Dense(2.0 * np.array(_WEIGHTS))


class CurrentNetwork(AbstractNetwork):
    r"""A network whose units hold currents and send rates: the form of trained and chaotic RNNs.

    $\tau \dot x = -x + W F(x) + b + h$

    $x$ are currents without a unit, `(units,)`; $F(x)$ the rates; $b$ (`bias`) and the input $h$
    are currents; $\tau$ in ms, one or one per unit; $F$ is any function of one number: `rectified`,
    `tanh`, `logistic`, `softplus` of `rnnjax.circuits`, or your own.

    The default, three tanh units with gain 2, is a test system of ours, not a published circuit:
    it oscillates (with bias (0.1, 0.03, -0.02) its Hopf bifurcation is at gain 1.5234).

    References:
        Sompolinsky, Crisanti and Sommers (1988), Physical Review Letters 61:259-262.
    """

    connectivity: AbstractConnectivity = eqx.field(default_factory=_three_units)
    nonlinearity: Callable[[Any], Any] = tanh
    bias: PerUnit = parameter(0.0, "1", doc="constant input")
    tau: PerUnit = parameter(1.0, "ms", positive=True, doc="time constant")

    def __call__(self, state: Float[Any, " units"], input: PerUnit) -> Array:
        """The time derivative of the currents, per ms."""
        return (-state + self.connectivity(self.rates(state)) + self.bias + input) / self.tau

    def rates(self, state: Float[Any, "*batch units"]) -> Array:
        """The rates F(x)."""
        return self.nonlinearity(state)

    def switching_functions(self, state: Float[Any, "*batch units"], input: PerUnit) -> Any:
        """The currents themselves, where F is `rectified`."""
        return state if is_rectified(self.nonlinearity) else None

    def threshold_linear(self, input: PerUnit) -> ThresholdLinear | None:
        """The rates F(x), where F is `rectified`; the state is what drives them."""
        if not is_rectified(self.nonlinearity):
            return None
        return ThresholdLinear(
            self.connectivity.matrix(), self.bias + input, state=lambda rates, currents: currents
        )
