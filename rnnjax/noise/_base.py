"""What every noise is: how strongly each state variable is shaken."""

import abc
from typing import Any

import equinox as eqx

from rnnjax._parameter import Parametric


class AbstractNoise(Parametric):
    r"""The diffusion $g(x)$ of $dx = f(x)\,dt + g(x)\,dW$ (Ito), one Wiener process per variable.

    `noise(state)` has the structure of the state; variable $k$ is driven by $dW_k$ alone. Time
    is in ms, so $g$ is in the state's unit per $\sqrt{\mathrm{ms}}$.
    """

    additive: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def __call__(self, state: Any) -> Any:
        """The diffusion at `state`, in its structure."""
