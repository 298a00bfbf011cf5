"""Which way does it go from there? The vector field on a plane through the state space."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from rnnjax._gate import instant, own_numbers
from rnnjax._machine.parts import compiled
from rnnjax._machine.verb import verb
from rnnjax._numerics.trees import variable_names
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._types import Array, Expected, Float, InputLike, Scalar, State
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, starting_state
from rnnjax.circuits._flat import flat_field


class VectorField(eqx.Module):
    """The derivative on a grid of two of the state's variables.

    Attributes:
        x, y: values of the two variables, `(nx,)` and `(ny,)`.
        dx, dy: their derivatives per ms, `(ny, nx)`; a nullcline is where one of them is 0.
        names: the names of the two variables.
        unit: the unit of the state.
    """

    x: Float[np.ndarray, " nx"]
    y: Float[np.ndarray, " ny"]
    dx: Float[Any, "ny nx"]
    dy: Float[Any, "ny nx"]
    names: tuple[str, str] = eqx.field(static=True)
    unit: str = eqx.field(static=True, default="")


@verb
def vector_field(
    circuit: AbstractCircuit[Any],
    x: tuple[float, float],
    y: tuple[float, float],
    input: Expected[InputLike | None] = None,
    *,
    variables: tuple[str, str] | None = None,
    state: Expected[State | None] = None,
    points: int = 201,
    time: float = 0.0,
) -> VectorField:
    """The vector field on a plane: what a phase plane and its nullclines are drawn from.

    Args:
        circuit: the circuit.
        x: from where to where the first variable goes.
        y: the second.
        input: the input, held at its value at `time`.
        variables: names of the two, e.g. `("e", "i")`; the first two unless given.
        state: where the other variables are held; `circuit.rest()` unless given.
        points: points a side.
        time: in ms.

    Raises:
        ValueError: for ranges without extent or names that the state does not have.
    """
    check_run(circuit, input, None, None)
    state = starting_state(circuit, input, state, "state")
    names = variable_names(state)
    chosen = tuple(variables) if variables is not None else tuple(names[:2])
    if len(chosen) != 2 or any(v not in names for v in chosen) or len(set(chosen)) != 2:
        raise ValueError(f"variables: expected two of {names}, got {chosen}")
    for axis, bounds in (("x", x), ("y", y)):
        numbers = own_numbers(bounds, axis, None)
        if numbers.shape != (2,) or not np.isfinite(numbers).all() or numbers[0] >= numbers[1]:
            raise ValueError(f"{axis}: expected (low, high) with low < high, got {bounds}")
    where = np.array([names.index(v) for v in chosen])
    points = counted(points, "points")
    xs, ys = np.linspace(*x, points), np.linspace(*y, points)
    slopes = in_float64(
        _slopes, circuit, as_input(circuit, input), state, where, xs, ys, instant(time)
    )
    return VectorField(
        xs, ys, slopes[..., 0], slopes[..., 1], chosen, getattr(circuit, "state_unit", "")
    )


@compiled
def _slopes(
    circuit: AbstractCircuit[Any],
    input: InputLike,
    state: State,
    where: Int[Array, "2"],
    xs: Float[Array, " nx"],
    ys: Float[Array, " ny"],
    time: Scalar,
) -> Any:
    vector, field = flat_field(circuit, input, state, time)

    def slope(x: Float[Array, ""], y: Float[Array, ""]) -> Any:
        return field(vector.at[where].set(jnp.stack([x, y])))[where]

    return jax.vmap(lambda y: jax.vmap(lambda x: slope(x, y))(xs))(ys)
