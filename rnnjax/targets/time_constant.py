"""One slow mode, and all others fast: an integrator."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._numerics.trees import flatten
from rnnjax._parameter import parameter
from rnnjax._types import Array, Expected, InputLike, Scalar, State, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import starting_state
from rnnjax.targets._base import AbstractAtEquilibrium, spectrum


class TimeConstant(AbstractAtEquilibrium):
    r"""The slowest time constant of an equilibrium is a given one, and the others are short.

    $L = \ln(1 + |1 + T \lambda_1|^2) + \sum_{k > 1} \ln(1 + [1 + q T\, \mathrm{Re} \lambda_k]_+^2)
    + \ln(1 + \| d + T J d \|^2)$

    $\lambda_k$ are the eigenvalues of the Jacobian $J$, the largest real part first. The last term,
    where a direction $d$ (taken with length 1) is given, makes it the slow one: $J d = -d / T$. With
    a long $T$ that is a line attractor, an integrator along $d$.

    Args:
        time_constant: $T$ in ms.
        near: the state from which the equilibrium is sought, anew at each step; `rest()` unless
            given. Where none is found, the loss is 1 and what the state drifts.
        input: the input; held at its value at time 0.
        direction: $d$, in the state's structure; any unless given.
        others: $q$, the most that other time constants are of $T$; in (0, 1).

    Raises:
        ValueError: for times and shares that are none, or states that do not fit.
    """

    time_constant: Scalar = parameter(unit="ms", positive=True, doc="slowest time constant")
    near: State | None = parameter(None, "circuit's", doc="where the search begins")
    input: Expected[InputLike | None] = None
    direction: State | None = parameter(None, "circuit's", doc="which is slow")
    others: Scalar = parameter(0.1, "1", positive=True, doc="the most the others are of it")

    def __check_init__(self) -> None:
        """Refuse a share that is none, and no direction."""
        if not is_traced(self.others) and not np.asarray(self.others) < 1:
            raise ValueError(
                f"TimeConstant.others: expected a share below 1, got {self.others}: others are "
                "shorter than the slowest"
            )
        if self.direction is not None and not is_traced(self.direction):
            _nonzero(self.direction)

    def fits(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> None:
        """Refuse states that do not fit."""
        if self.direction is not None:
            try:
                starting_state(circuit, input, self.direction)
            except ValueError as error:
                raise ValueError(f"TimeConstant.direction: {error}") from None
        super().fits(circuit, input)

    def at(
        self,
        circuit: AbstractCircuit[Any],
        input: Expected[InputLike | None],
        state: State,
        jacobian: Array,
    ) -> Array:
        """How far the slowest mode is from it, and what the others are too slow."""
        values, wanted = spectrum(jacobian), self.time_constant
        off = (1 + wanted * values.real[0]) ** 2 + (wanted * values.imag[0]) ** 2
        slow = jnp.maximum(1 + self.others * wanted * values.real[1:], 0.0)
        loss = jnp.log1p(off) + jnp.sum(jnp.log1p(slow**2))
        if self.direction is None:
            return loss
        d = flatten(self.direction)[0]
        d = d / jnp.sqrt(d @ d)
        return loss + jnp.log1p(jnp.sum((d + wanted * (jacobian @ d)) ** 2))


def _nonzero(direction: State) -> None:
    if not any(np.any(x) for x in jax.tree.leaves(direction)):
        raise ValueError("TimeConstant.direction: expected a direction, got zeros")
