"""What every credit rule is: how the gradient of a task's loss is obtained."""

import abc
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._numerics.memory import AbstractMemory, BlockedAdjoint, StoreAll
from rnnjax._parameter import Parametric
from rnnjax._types import Array, Arrays, Float, Key
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.forcing._base import AbstractForcing

_LARGE = 128  # state variables


class Passed(NamedTuple):
    r"""What a pass through the trials gave, lanes in front.

    Attributes:
        losses: the task's loss of each trial.
        totals: the same with what activity costs.
        overlaps: $\sum_t \langle s_t, h^-_t \rangle$ with the signals that were given, else 0.
    """

    losses: Float[Array, " lane"]
    totals: Float[Array, " lane"]
    overlaps: Float[Array, " lane"]


@runtime_checkable
class Run(Protocol):
    """One pass of a network through the trials of a step of training.

    Args:
        network: the network.
        seen: the network as the gradient is to see it, with the same values; itself unless given.
        memory: what reverse mode keeps.
        cut: the gradient passes from no block of so many steps to the one before.
        nudges: added to the state after each step, before the readout, `(lanes, steps, variables)`.
        signals: weighted into `Passed.overlaps`, `(lanes, steps, variables)`.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lanes, steps, variables."""
        ...

    def __call__(
        self, network: TaskNetwork, *, seen: TaskNetwork | None = None,
        memory: AbstractMemory | None = None, cut: int | None = None,
        nudges: Float[Array, "lane step variable"] | None = None,
        signals: Float[Array, "lane step variable"] | None = None,
    ) -> Passed:  # fmt: skip
        """The losses."""
        ...


class AbstractCredit(Parametric):
    """A rule that says how much each free number contributed to the loss of a task.

    Write one by subclassing: `value_and_gradient` runs the trials by `run`, as often as it needs,
    and gives the loss with one array per free array. It sees losses, not the states of each step.

    Attributes:
        exact: whether it is the gradient of the loss, to rounding.
    """

    exact: eqx.AbstractClassVar[bool]

    def check(self, network: TaskNetwork, forcing: AbstractForcing) -> None:
        """Refuse a network or a forcing that it can't go with.

        Raises:
            ValueError: says why, and what to use instead.
        """

    def begin(self, network: TaskNetwork, key: Key | None) -> Arrays:
        """What is drawn once, at the start of a fit."""
        return None

    @abc.abstractmethod
    def value_and_gradient(
        self, run: Run, rebuild: Callable[[Sequence[Array]], TaskNetwork], free: Sequence[Array],
        memory: Arrays, key: Key | None,
    ) -> tuple[Float[Array, ""], Sequence[Array]]:  # fmt: skip
        """The mean loss of the trials, and what the rule takes for its gradient.

        Args:
            run: a pass through the trials.
            rebuild: from the free arrays to the network.
            free: the free arrays.
            memory: what `begin` gave.
            key: for rules that draw.
        """


def fastest_memory(variables: int) -> AbstractMemory:
    """What reverse mode keeps where speed decides: large weight gradients are summed in blocks."""
    return BlockedAdjoint() if variables >= _LARGE else StoreAll()


class AbstractBackward(AbstractCredit):
    """A rule in reverse mode through the network as it sees it: the same values, fewer paths.

    Write one by subclassing: `seen` says which paths are left, as by `local` and `with_feedback`.
    """

    memory: eqx.AbstractVar[AbstractMemory | None]

    @property
    def cut(self) -> int | None:
        """The gradient passes from no block of so many steps to the one before; None for no cut."""
        return None

    def seen(self, network: TaskNetwork, memory: Arrays) -> TaskNetwork:
        """The network as the gradient is to see it; itself unless overridden."""
        return network

    def value_and_gradient(
        self, run: Run, rebuild: Callable[[Sequence[Array]], TaskNetwork], free: Sequence[Array],
        memory: Arrays, key: Key | None,
    ) -> tuple[Float[Array, ""], Sequence[Array]]:  # fmt: skip
        """The mean loss of the trials, and its derivative along the paths that are left."""
        keeps = fastest_memory(run.shape[2]) if self.memory is None else self.memory

        def loss(free: Sequence[Array]) -> Array:
            network = rebuild(free)
            shown = self.seen(network, memory)
            return jnp.mean(run(network, seen=shown, memory=keeps, cut=self.cut).totals)

        return jax.value_and_grad(loss)(free)


class BackpropagationThroughTime(AbstractBackward):
    r"""The exact gradient, backward through every step: $dL / d\theta$.

    $\frac{dL}{d\theta} = \sum_t \frac{dL}{dh_t}\frac{\partial h_t}{\partial \theta}
    + \frac{\partial L}{\partial \theta}, \qquad
    \frac{dL}{dh_t} = \frac{\partial L}{\partial h_t} + \frac{dL}{dh_{t+1}}
    \frac{\partial h_{t+1}}{\partial h_t}$

    Under a forcing whose correction is held, the product of Jacobians is the network's own, along
    the forced trajectory.

    Args:
        memory: what is kept of the steps: `BlockedAdjoint()`, `StoreAll()` or `Checkpoint()` (least
            memory); unless given the fastest, by the number of state variables.

    References:
        Werbos (1990), Proceedings of the IEEE 78:1550-1560.
    """

    exact = True
    memory: AbstractMemory | None = None
