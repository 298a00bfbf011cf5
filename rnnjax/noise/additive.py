"""Noise of the same strength everywhere."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Numbers, State
from rnnjax.noise._base import AbstractNoise


class Additive(AbstractNoise):
    r"""$g(x) = \sigma$: Ito and Stratonovich agree, so that every SDE solver serves.

    Args:
        scale: $\sigma$ in the state's unit per sqrt(ms): one number for all variables, or the
            structure of the state.
    """

    scale: Numbers = parameter(1.0, "state/sqrt(ms)", doc="strength")

    additive: ClassVar[bool] = True

    def __call__(self, state: State) -> Any:
        """The strength, in the structure of the state."""
        if jax.tree.structure(self.scale) == jax.tree.structure(0):
            return jax.tree.map(lambda x: jnp.broadcast_to(self.scale, jnp.shape(x)), state)
        return jax.tree.map(lambda s, x: jnp.broadcast_to(s, jnp.shape(x)), self.scale, state)
