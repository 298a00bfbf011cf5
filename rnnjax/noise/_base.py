"""What every noise is: how strongly each state variable is shaken."""

import abc
from typing import TYPE_CHECKING, Any

from rnnjax._parameter import Parametric
from rnnjax._types import State

if TYPE_CHECKING:
    from typing import ClassVar as AbstractClassVar
else:
    from equinox import AbstractClassVar


class AbstractNoise(Parametric):
    r"""The diffusion $g(x)$ of $dx = f(x)\,dt + g(x)\,dW$ (Ito), one Wiener process per variable.

    `noise(state)` has the structure of the state; variable $k$ is driven by $dW_k$ alone. Time
    is in ms, so $g$ is in the state's unit per $\sqrt{\mathrm{ms}}$.
    """

    additive: AbstractClassVar[bool]

    @abc.abstractmethod
    def __call__(self, state: State) -> Any:
        """The diffusion at `state`, in its structure."""
