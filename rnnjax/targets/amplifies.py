"""How strongly an equilibrium answers to a small input."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._numerics.trees import flatten
from rnnjax._parameter import parameter
from rnnjax._types import Array, Arrays, Expected, InputLike, Scalar, State, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, starting_state
from rnnjax.targets._base import (
    AbstractAtEquilibrium,
    for_every_entry,
    missed,
    of_network,
)


class Amplifies(AbstractAtEquilibrium):
    r"""The steady-state gain of a small input along a direction is a given one.

    $L = (g - G)^2 + [\tau \alpha]_+^2, \qquad
    g = \frac{\| J^{-1} B d \|}{\| d \|} \quad \text{or} \quad g = \frac{-r \cdot J^{-1} B d}{\| d \|}$

    $J$ and $B$ are the derivatives of the vector field by state and input at the equilibrium found
    from a state; $\alpha$ is its growth rate, for only a stable one has a steady answer, and $\tau$
    the network's mean time constant, 1 ms for other circuits.

    Args:
        gain: $G$, the state's unit per unit of the input; with a readout it has a sign.
        direction: $d$, in the structure of the input: of a `TaskNetwork` that of its task.
        readout: $r$, in the state's structure; the length of the answer counts unless given.
        near: the state from which the equilibrium is sought, anew at each step; `rest()` unless
            given. Where none is found, the loss is 1 and what the state drifts.
        input: the input to which $d$ is added; held at its value at time 0.

    Raises:
        ValueError: for a direction or states that do not fit, zeros, or a negative gain without a
            readout.
    """

    gain: Scalar = parameter(unit="1", doc="of the answer over the input")
    direction: Arrays = parameter(unit="input's", doc="of the input")
    readout: State | None = parameter(None, "1", doc="weights of the state")
    near: State | None = parameter(None, "circuit's", doc="where the search begins")
    input: Expected[InputLike | None] = None

    def __check_init__(self) -> None:
        """Refuse zeros and a gain that nothing has."""
        for name in ("direction", "readout"):
            leaves = jax.tree.leaves(getattr(self, name))
            if leaves and not is_traced(leaves) and not any(np.any(x) for x in leaves):
                raise ValueError(f"Amplifies.{name}: expected a direction, got zeros")
        if self.readout is None and not is_traced(self.gain) and np.asarray(self.gain) < 0:
            raise ValueError(
                f"Amplifies.gain: expected at least 0, got {self.gain}: a length has no sign; give "
                "readout="
            )

    def fits(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> None:
        """Refuse directions that do not fit."""
        for name, given in (
            ("direction", (self.direction, None)),
            ("readout", (None, self.readout)),
        ):
            try:
                starting_state(circuit, *given)
            except ValueError as error:
                raise ValueError(f"Amplifies.{name}: {error}") from None
        super().fits(circuit, input)

    def at(
        self,
        circuit: AbstractCircuit[Any],
        input: Expected[InputLike | None],
        state: State,
        jacobian: Array,
    ) -> Array:
        """How far the gain is from it, and what grows."""
        nothing = circuit.no_input()
        _, unravel = flatten(jax.tree.map(jnp.asarray, nothing))
        held = for_every_entry(as_input(circuit, input)(np.zeros(())), nothing)
        d = for_every_entry(self.direction, nothing)

        def field(u: Array) -> Array:
            return flatten(circuit(state, unravel(u)))[0]

        answer = -jnp.linalg.solve(jacobian, jax.jvp(field, (held,), (d,))[1])
        if self.readout is None:
            square = answer @ answer
            size = jnp.sqrt(jnp.where(square > 0, square, 1.0))
            size = jnp.where(square > 0, size, 0.0)
        else:
            size = flatten(self.readout)[0] @ answer
        grows = jnp.mean(of_network(circuit)) * missed(jacobian, 0.0, -jnp.inf)
        return (size / jnp.sqrt(d @ d) - self.gain) ** 2 + grows**2
