"""Noise that grows with the state."""

from typing import Any, ClassVar

import jax

from rnnjax._parameter import parameter
from rnnjax._types import Scalar, State
from rnnjax.noise._base import AbstractNoise


class Multiplicative(AbstractNoise):
    r"""$g(x) = \sigma x$, in the sense of Ito; Stratonovich solvers are refused.

    Args:
        scale: $\sigma$ in 1 per sqrt(ms).
    """

    scale: Scalar = parameter(0.1, "1/sqrt(ms)", doc="strength relative to the state")

    additive: ClassVar[bool] = False

    def __call__(self, state: State) -> Any:
        """The strength at `state`."""
        return jax.tree.map(lambda x: self.scale * x, state)
