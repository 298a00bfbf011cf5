"""The vector field of a circuit whose state is one vector."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._numerics.trees import flatten
from rnnjax._types import Array
from rnnjax.bifurcations._base import Family
from rnnjax.circuits._checks import as_input


class Families(NamedTuple):
    """The vector field of state and parameters `(n + k,)`, as it is needed.

    Attributes:
        of: the vector field of given arrays of the circuit and its input; it captures none.
        arrays: those, which may be differentiated.
        frozen: the field without derivatives.
        scaled: `frozen` in scaled coordinates.
        scale: what one scaled unit of state and parameters is.
    """

    of: Callable[[Any], Family]
    arrays: Any
    frozen: Family
    scaled: Family
    scale: Array

    @property
    def live(self) -> Family:
        """The field with its derivatives."""
        return self.of(self.arrays)


def fields_of(target: Any, leaves: tuple[int, ...], unravel: Any, time: Any, size: int) -> "Fields":
    """The vector field of a circuit and its input, some of their leaves being parameters.

    Args:
        target: both.
        leaves: which of their leaves, in the order of the parameters.
        unravel: from a vector to the state.
        time: at which the input is held, in ms.
        size: how many numbers the state has.
    """
    still = jax.tree.map(lambda a: lax.stop_gradient(a) if eqx.is_array(a) else a, target)
    arrays, rest = eqx.partition((target, time), eqx.is_array)

    def of(arrays: Any) -> Family:
        target, time = eqx.combine(arrays, rest)
        return _family(target, leaves, unravel, time, size)

    return Fields(of, arrays, _family(still, leaves, unravel, time, size))


class Field(NamedTuple):
    """A vector field of state and parameters, and its switching functions, None without kinks."""

    value: Family
    switching: Family | None

    def __call__(self, u: Array) -> Array:
        """The vector field."""
        return self.value(u)


def _family(target: Any, leaves: tuple[int, ...], unravel: Any, time: Any, size: int) -> Field:
    values, structure = jax.tree.flatten(target)

    def at(u: Array) -> Any:
        changed = list(values)
        for k, leaf in enumerate(leaves):
            changed[leaf] = u[k - len(leaves)]
        pair = jax.tree.unflatten(structure, changed)
        state = unravel(u[: -len(leaves)])
        return pair.circuit, state, as_input(pair.circuit, pair.input)(time)

    def value(u: Array) -> Array:
        circuit, state, input = at(u)
        return flatten(circuit(state, input))[0]

    def functions(u: Array) -> Any:
        circuit, state, input = at(u)
        return circuit.switching_functions(state, input)

    kinks = jax.eval_shape(functions, jax.ShapeDtypeStruct((size + len(leaves),), jnp.float64))
    return Field(value, None if kinks is None else lambda u: flatten(functions(u))[0])


class Fields(NamedTuple):
    """See `Families`."""

    of: Callable[[Any], Family]
    arrays: Any
    frozen: Family


def scaled(fields: Fields, scale: Array) -> Families:
    """The same in scaled coordinates as well."""
    return Families(*fields, in_units(fields.frozen, scale), scale)


def in_units(field: Any, scale: Array) -> Field:
    """A vector field of scaled coordinates, in scaled coordinates."""

    def inside(u: Array) -> Array:
        value = field(u * scale)
        return value / scale[: value.size]

    switching = field.switching
    return Field(inside, None if switching is None else lambda u: switching(u * scale))
