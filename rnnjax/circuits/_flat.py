"""The vector field of a circuit whose state is one vector, and states as vectors."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._numerics.trees import flatten
from rnnjax._types import (
    Array,
    Arrays,
    Float,
    Function,
    InputLike,
    Scalar,
    Shaped,
    Shapes,
    State,
)
from rnnjax._where import Named, put
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import as_input


@dataclasses.dataclass(frozen=True, eq=False)
class FlatField:
    r"""The vector field of a circuit, $f(x, p)$, of one vector $u = (x, p)$.

    `field(u)` is `(n,)` per ms: of the flattened state, `(n,)`, and of the k numbers that are
    `named`; entries of u beyond these count for nothing. It has its derivatives by `arrays`, and
    by u. Made by `flat_field`.

    Attributes:
        arrays: those of the circuit, its input and the time, by which it may be differentiated.
        fixed: what is left of the circuit, its input and the time.
        named: the numbers that the last entries of u are put in for.
        unravel: from a vector `(n,)` to the state.
        size: n.
        scale: what one unit of each entry of u is in `scaled`, `(n + k,)`.
        units: those of the coordinates in which it is called; None for the circuit's own.
    """

    arrays: Arrays
    fixed: Any
    named: tuple[Named, ...]
    unravel: Callable[[Array], State]
    size: int
    scale: Array
    units: Array | None = None

    def __call__(self, u: Array) -> Array:
        """The vector field, `(n,)`."""
        circuit, state, input = self._at(u)
        value = flatten(circuit(state, input))[0]
        return value if self.units is None else value / self.units[: self.size]

    def jacobian(self, u: Array) -> Array:
        """Its derivatives by all of u, `(n, n + k)`."""
        return jax.jacfwd(self)(u)

    @functools.cached_property
    def switching(self) -> Function | None:
        """The functions at whose zeros it has kinks, `(n + k,) -> (m,)`; None without kinks."""

        def functions(u: Array) -> Any:
            circuit, state, input = self._at(u)
            return circuit.switching_functions(state, input)

        count = self.size + len(self.named)
        kinks = jax.eval_shape(functions, jax.ShapeDtypeStruct((count,), jnp.float64))
        return None if kinks is None else lambda u: flatten(functions(u))[0]

    def of(self, arrays: Arrays) -> "FlatField":
        """That of other arrays, of the same structure: `root_of` and its like ask for it."""
        return dataclasses.replace(self, arrays=arrays)

    def in_units(self, units: Array) -> "FlatField":
        """The same of coordinates in these units, in these units."""
        return dataclasses.replace(self, units=units)

    def sized(self, scale: Array) -> "FlatField":
        """The same, which knows its scale."""
        return dataclasses.replace(self, scale=scale)

    @property
    def frozen(self) -> "FlatField":
        """The same without derivatives by its arrays; made anew each time, so take it once."""
        return self.of(lax.stop_gradient(self.arrays))

    @property
    def scaled(self) -> "FlatField":
        """`frozen` in coordinates of which one is a unit of `scale`."""
        return self.frozen.in_units(self.scale)

    @functools.cached_property
    def _whole(self) -> tuple[Driven, Scalar]:
        """The circuit with its input, and the time."""
        return eqx.combine(self.arrays, self.fixed)

    def _at(self, u: Array) -> tuple[Any, State, Any]:
        """The circuit, its state and the value of its input."""
        u = u if self.units is None else u * self.units
        pair, time = self._whole
        numbers = [u[self.size + k] for k in range(len(self.named))]
        pair = put(pair, self.named, numbers)
        input = as_input(pair.circuit, pair.input)(time)
        return pair.circuit, self.unravel(u[: self.size]), input


def flat_field(
    circuit: AbstractCircuit[Any],
    input: InputLike,
    state: State,
    time: Scalar,
    named: tuple[Named, ...] = (),
) -> tuple[Float[Array, " n"], FlatField]:
    """A state as one vector, and the vector field of it and of the numbers named.

    Args:
        circuit: the circuit.
        input: a function of time, or the value at which it is held.
        state: a state.
        time: at which the input is held, in ms.
        named: numbers of the circuit, or of `Driven(circuit, input)`, in the order in which they
            follow the state.
    """
    x, unravel = flatten(jax.tree.map(jnp.asarray, state))
    arrays, fixed = eqx.partition((Driven(circuit, input), time), eqx.is_array)
    scale = jnp.ones(x.size + len(named), x.dtype)
    return x, FlatField(arrays, fixed, named, unravel, x.size, scale)


def vector_of(state: Arrays) -> Float[np.ndarray, " n"]:
    """The flattened state in float64, on the host."""
    return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(state)])


def states_of(state: Shapes, rows: Shaped[Any, "*batch n"]) -> Any:
    """Flattened states `(..., n)` in the structure of one, which may be shapes alone.

    The axes in front of the rows stand in front of every part.
    """
    leaves, structure = jax.tree.flatten(state)
    ends = np.cumsum([0, *(np.size(x) for x in leaves)])
    return structure.unflatten(
        rows[..., first:last].reshape((*rows.shape[:-1], *np.shape(x)))
        for first, last, x in zip(ends[:-1], ends[1:], leaves, strict=True)
    )
