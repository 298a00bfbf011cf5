"""Whether a circuit's field points inward far out: a program of its own, compiled while equilibria are searched."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._equilibria.guesses import rows_of
from rnnjax._equilibria.indices import bends, points_inward
from rnnjax._machine.parts import compiled_part
from rnnjax._precision import in_float64
from rnnjax._types import AnyArray, Array, Bool, Float, InputLike, Scalar, State
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._flat import flat_field

# a circuit, its input, a state and the time
Given = tuple[AbstractCircuit[Any], InputLike, State, Scalar]


def ahead(given: Given, starts: Float[Any, "guess n"], entries: int) -> None:
    """Begin to compile what `inward` asks, for a search from these guesses that lists so many entries."""
    in_float64(_ahead, *given, starts, entries)


def inward(given: Given, starts: Float[Any, "guess n"], found: Equilibria) -> Bool[np.ndarray, ""]:
    """Whether the field points inward around all guesses and equilibria, none of which lies on a kink."""
    there = np.asarray(found.found)
    x = np.where(there[:, None], rows_of(found.states), 0.0)
    slopes = np.where(there[:, None, None], np.asarray(found.jacobian, np.float64), 0.0)
    return np.asarray(in_float64(_inward, *given, starts, x, slopes, there), bool)


def _ahead(
    circuit: AbstractCircuit[Any], input: InputLike, rest: State, time: Scalar,
    starts: AnyArray, entries: int,
) -> None:  # fmt: skip
    n, zero = starts.shape[1], np.zeros(())
    rows, slopes = np.broadcast_to(zero, (entries, n)), np.broadcast_to(zero, (entries, n, n))
    _inward.ahead(circuit, input, rest, time, starts, rows, slopes, np.zeros(entries, bool))


@compiled_part
def _inward(
    circuit: AbstractCircuit[Any], input: InputLike, rest: State, time: Scalar,
    starts: Array, x: Array, slopes: Array, found: Array,
) -> Array:  # fmt: skip
    at, field = flat_field(circuit, input, rest, time)
    units = jnp.where(at == 0, 1.0, abs(at))
    bent = jax.vmap(lambda x, slope: bends(field, x, slope, units))(x, slopes) & found
    return points_inward(field, jnp.concatenate([starts, x]), slopes[0], units) & ~bent.any()
