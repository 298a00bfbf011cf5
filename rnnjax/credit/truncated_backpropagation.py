"""Backpropagation through time that forgets."""

import equinox as eqx

from rnnjax._numerics.memory import AbstractMemory
from rnnjax._parameter import counted
from rnnjax.credit._base import AbstractBackward


class TruncatedBackpropagation(AbstractBackward):
    r"""Backward through time, but never from one block of steps to the one before.

    $\frac{\partial h_{t+1}}{\partial h_t}$ is taken as 0 at $t = k, 2k, 3k, \dots$

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

    @property
    def cut(self) -> int | None:
        """A block."""
        return self.every
