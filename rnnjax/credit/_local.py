"""Networks as local learning rules see them: the same values, with fewer paths for the gradient."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._types import Array, Arrays, Float, Key, State, as_given
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._task_network import AbstractReadout, TaskNetwork
from rnnjax.connectivity._base import AbstractConnectivity, times
from rnnjax.credit._base import AbstractBackward
from rnnjax.forcing._base import AbstractForcing

_held = jax.lax.stop_gradient


class Cut(AbstractConnectivity):
    """A connectivity whose drive has no gradient with respect to the rates that cause it.

    The weights have theirs: that of unit i on unit j is what j gains times the rate of i.

    Attributes:
        whole: the connectivity.
        keep_self: keep the way of each unit's rate to itself.
    """

    whole: AbstractConnectivity
    keep_self: bool = eqx.field(static=True, default=False)

    def matrix(self) -> Array:
        """Refused: through the weights as numbers the rates would keep their gradient.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "local learning rules cut what comes to a unit by connectivity(rates), and this circuit "
            "asks for connectivity.matrix(): call the connectivity, or use "
            "BackpropagationThroughTime() or ForwardSensitivity()"
        )

    def __call__(self, rates: Float[Array, " pre"]) -> Float[Array, " post"]:
        """The drive."""
        drive = self.whole(_held(rates))
        if self.keep_self:
            own = _held(jnp.diagonal(self.whole.matrix()))
            drive = drive + own * (rates - _held(rates))
        return drive

    @property
    def units(self) -> int:
        """The number of units."""
        return self.whole.units


class WithFeedback(AbstractReadout):
    """A readout whose errors come back to what it reads along other weights, or not at all.

    Attributes:
        whole: the readout.
        back: `(outputs, variables)` over what it reads; None for not at all.
    """

    whole: AbstractReadout
    back: Float[Array | np.ndarray, "outputs variables"] | None = None

    @property
    def channels(self) -> int:
        """The number of outputs."""
        return self.whole.channels

    def reads(self, circuit: AbstractCircuit[Any], state: State) -> Float[Array, " read"]:
        """What is read."""
        return self.whole.reads(circuit, state)

    def __call__(self, circuit: AbstractCircuit[Any], state: State) -> Float[Array, " outputs"]:
        """The outputs."""
        if self.back is None:
            return self.whole(circuit, _held(state))
        outputs = self.whole(as_given(circuit), _held(state))
        read = self.whole.reads(circuit, state)
        return outputs + times(_held(self.back), read - _held(read))


def local(network: TaskNetwork, *, keep_self: bool = False) -> TaskNetwork:
    """The network with no gradient from unit to unit, as a rule of `AbstractBackward` may see it.

    What comes to a unit by a connectivity of the circuit is the same number, without the derivative
    with respect to the rates it comes from; that with respect to the weights stays.

    Args:
        network: a `TaskNetwork`.
        keep_self: keep the way of each unit's rate to itself.
    """

    def is_connectivity(x: Any) -> bool:
        return isinstance(x, AbstractConnectivity)

    cut = jax.tree.map(
        lambda x: Cut(x, keep_self) if is_connectivity(x) else x,
        network.circuit,
        is_leaf=is_connectivity,
    )
    return eqx.tree_at(lambda n: n.circuit, network, cut)


def with_feedback(
    network: TaskNetwork, back: Float[Array | np.ndarray, "outputs variables"] | None
) -> TaskNetwork:
    """The network whose errors come back along other weights than the readout's.

    Args:
        network: a `TaskNetwork`.
        back: `(outputs, variables)` over what the readout reads; None where no error comes back.
    """
    return eqx.tree_at(lambda n: n.readout, network, WithFeedback(network.readout, back))


def check_local(network: TaskNetwork, forcing: AbstractForcing, owner: str) -> None:
    """Refuse a circuit whose recurrence is not a connectivity, and a forcing that mixes units.

    Raises:
        ValueError: says what is there instead.
    """
    parts = jax.tree.leaves(network.circuit, is_leaf=lambda x: isinstance(x, AbstractConnectivity))
    if not any(isinstance(x, AbstractConnectivity) for x in parts):
        raise ValueError(
            f"{owner} needs to know what comes to a unit from others: expected a circuit with a "
            f"connectivity, such as CurrentNetwork or RateNetwork, got "
            f"{type(network.circuit).__name__}: use BackpropagationThroughTime() or "
            "ForwardSensitivity()"
        )
    if forcing.mixes_units:
        raise ValueError(
            f"{owner} keeps each unit's way to itself alone, and {type(forcing).__name__} as it is "
            "set has a gradient from unit to unit: leave hold and keep_unseen as they are by "
            "default, or use BackpropagationThroughTime()"
        )


def feedback_weights(
    given: Float[Array | np.ndarray, "..."] | None, network: TaskNetwork, key: Key | None, owner: str,
    scale: Callable[[int, int], float],
) -> Float[Array, "outputs variables"]:  # fmt: skip
    """`(outputs, variables)`: those that were given, or drawn from the key.

    Raises:
        ValueError: for weights that do not fit, or none and no key.
    """
    shape = (network.readout.channels, network.readout.width(network.circuit))
    if given is not None:
        if np.shape(given) != shape:
            raise ValueError(
                f"{owner}.feedback: expected (outputs, variables read) = {shape}, got "
                f"{np.shape(given)}"
            )
        return jnp.asarray(given, jnp.result_type(float))
    if key is None:
        raise ValueError(
            f"{owner} draws its feedback weights: give the fit key=, e.g. jax.random.key(0), or "
            "the weights as feedback="
        )
    drawn = jax.random.normal(key, shape, jnp.result_type(float))
    return jnp.asarray(scale(*shape), drawn.dtype) * drawn


class AbstractLocal(AbstractBackward):
    """A rule that knows each unit's way to itself alone, in a circuit with a connectivity."""

    def check(self, network: TaskNetwork, forcing: AbstractForcing) -> None:
        """Refuse a circuit without a connectivity, and a forcing that mixes units."""
        check_local(network, forcing, type(self).__name__)

    @abc.abstractmethod
    def seen(self, network: TaskNetwork, memory: Arrays) -> TaskNetwork:
        """The network with the paths that the rule keeps."""
