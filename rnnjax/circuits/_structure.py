"""In which structure states come: that of rest, and lists and tuples as people write them."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from rnnjax._gate import check_gave
from rnnjax._machine.tracing import shapes_of
from rnnjax._precision import by_shapes
from rnnjax._types import Arrays, Expected, Shapes, State
from rnnjax.circuits._base import AbstractSystem


@by_shapes
def rest_of(circuit: AbstractSystem[Any]) -> Shapes:
    """The shapes of the resting state, which every state has.

    Raises:
        TypeError: for a circuit that rests at what is no array and no `NamedTuple` of arrays.
        ValueError: for one without variables.
    """
    name = f"{type(circuit).__name__}.rest"
    rest = check_gave(shapes_of(name, circuit.rest), name, "a state")
    if isinstance(rest, list):
        raise TypeError(
            f"{name}: expected an array or a NamedTuple of arrays, got a list: return e.g. "
            "jnp.zeros(3)"
        )
    if not sum(x.size for x in jax.tree.leaves(rest)):
        raise ValueError(f"{name}: expected at least one variable, got a state of none")
    return rest


def arranged(given: Expected[State], wanted: Shapes) -> Any:
    """Lists and tuples in the structure that is wanted; all else as it is.

    A list or tuple of as many entries as the `NamedTuple` has is one: `[1.0, 2.0]` for `(e=1.0, i=2.0)`.
    A list of whole states is a batch of them. A tuple of numbers is an array, where one is wanted.
    """
    if type(given) is range or (type(given) is tuple and _is_array(wanted)):
        given = list(given)
    fields = getattr(wanted, "_fields", None)
    if fields is None or type(given) not in (list, tuple):
        return given
    kind: Any = type(wanted)
    if given and all(isinstance(each, kind) for each in given):
        return jax.tree.map(lambda *x: list(x), *given)
    return kind(*given) if len(given) == len(fields) else given


def check_no_module(given: Expected[State], wanted: Shapes, name: str) -> None:
    """Refuse results and parts of the package, which hold numbers but are no states.

    Raises:
        TypeError: says what it is.
    """
    if isinstance(given, eqx.Module) and not isinstance(wanted, type(given)):
        raise TypeError(
            f"{name}: expected a state of the circuit, got {type(given).__name__}: give one of the "
            "states in it, e.g. trajectory.final or equilibria[0]"
        )


def _is_array(tree: Arrays) -> bool:
    return jax.tree.structure(tree) == jax.tree.structure(np.zeros(()))
