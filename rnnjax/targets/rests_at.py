"""Given states are equilibria, stable or not as asked."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._equilibria.guesses import flat_guesses
from rnnjax._parameter import parameter
from rnnjax._types import Array, Expected, InputLike, PerUnit, Scalar, State
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input
from rnnjax.circuits._flat import flat_field
from rnnjax.targets._base import AbstractTarget, for_every_entry, missed, of_network


class RestsAt(AbstractTarget):
    r"""The circuit rests at given states, and what is beside them decays or grows as asked.

    $L = \left\langle (\tau_i f_i(x_k))^2 \right\rangle_{k, i}
    + w \left\langle [\tau (\alpha_k - \alpha)]_+^2 + [\tau (\beta - \alpha_k)]_+^2 \right\rangle_k$

    $\alpha_k$ is the growth rate at $x_k$: the largest real part of an eigenvalue of the Jacobian
    there, the equilibrium or not. The first term has the unit of the state, squared. With neither
    $\alpha$ nor $\beta$ no eigenvalue is computed.

    Args:
        states: $x_k$, with an axis in front of every part of the circuit's state, or one state.
        input: the input; held at its value at time 0.
        growth_rate: $\alpha$ per ms, the largest growth rate; -0.05 is stable with a time constant
            of at most 20 ms. One for all states, or one each.
        least_growth_rate: $\beta$ per ms, the least growth rate; above 0 for unstable states.
        weight: $w$.
        time_constant: $\tau$ in ms, which gives the vector field the state's unit; one number, or in
            the state's structure. The network's own unless given, 1 ms for other circuits. Its mean
            multiplies growth rates.

    Raises:
        ValueError: for states, bounds or time constants that do not fit.
    """

    states: State = parameter(unit="circuit's", doc="where it rests")
    input: Expected[InputLike | None] = None
    growth_rate: PerUnit | None = parameter(None, "1/ms", doc="largest growth rate")
    least_growth_rate: PerUnit | None = parameter(None, "1/ms", doc="least growth rate")
    weight: Scalar = parameter(1.0, "1", doc="of growth rates")
    time_constant: State | None = parameter(
        None, "ms", positive=True, doc="multiplies the vector field"
    )

    def fits(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> None:
        """Refuse states that do not fit."""
        rest = jax.eval_shape(circuit.rest)
        count = len(flat_guesses(rest, self.states, None, "RestsAt.states"))
        for name in ("growth_rate", "least_growth_rate"):
            shape = np.shape(getattr(self, name) if getattr(self, name) is not None else 0.0)
            if shape not in ((), (count,)):
                raise ValueError(
                    f"RestsAt.{name}: expected one number or one for each of {count} states, got "
                    f"shape {shape}"
                )
        if self.time_constant is not None:
            try:
                jax.eval_shape(lambda t: for_every_entry(t, rest), self.time_constant)
            except ValueError as error:
                raise ValueError(f"RestsAt.time_constant: {error}") from None

    def loss(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> Array:
        """The mean square of the scaled vector field, and what the growth rates miss."""
        rest = circuit.rest()
        _, field = flat_field(circuit, as_input(circuit, input), rest, np.zeros(()))
        states = jnp.asarray(flat_guesses(rest, self.states, None))
        given = of_network(circuit) if self.time_constant is None else self.time_constant
        tau = for_every_entry(given, rest)
        loss = jnp.mean((tau * jax.vmap(field)(states)) ** 2)
        if self.growth_rate is None and self.least_growth_rate is None:
            return loss
        jacobians = jax.vmap(field.jacobian)(states)
        most, least = (
            jnp.full(len(states), otherwise)
            if given is None
            else jnp.broadcast_to(given, len(states))
            for given, otherwise in (
                (self.growth_rate, jnp.inf),
                (self.least_growth_rate, -jnp.inf),
            )
        )
        off = jax.vmap(missed)(jacobians, most, least)
        return loss + self.weight * jnp.mean(tau) ** 2 * jnp.mean(off**2)
