"""Backpropagation through time that forgets."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx

from rnnjax._gradient import AbstractMemory
from rnnjax._parameter import counted
from rnnjax._types import Array, Key
from rnnjax.credit._base import AbstractCredit, Run, backward


class TruncatedBackpropagation(AbstractCredit):
    r"""Backward through time, but never from one block of steps to the one before.

    $\frac{\partial h_{t+1}}{\partial h_t}$ is taken as 0 wherever $t$ is a multiple of $k$.

    Args:
        every: $k$, steps.
        memory: what is kept of the steps, as for `BackpropagationThroughTime`.

    Raises:
        ValueError: for `every` that is no positive number of steps.

    References:
        Williams and Peng (1990), Neural Computation 2:490-501.
    """

    exact = False
    every: int = eqx.field(static=True, default=20)
    memory: AbstractMemory | None = None

    def __check_init__(self) -> None:
        """Refuse what is no number of steps."""
        counted(self.every, "TruncatedBackpropagation.every")

    def value_and_gradient(
        self, run: Run, rebuild: Callable[[Any], Any], free: Sequence[Array], memory: Any,
        key: Key | None,
    ) -> tuple[Array, Any]:  # fmt: skip
        """The mean loss and its gradient within blocks."""
        return backward(run, rebuild, free, self.memory, cut=self.every)
