"""What a fit changes: the arrays that `where` names, by their logarithm where they are positive."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._parameter import field_of
from rnnjax._types import Array


class _Leaf:
    """Stands for a leaf while `where` names it."""

    def __init__(self, index: int):
        self.index = index


class Chosen(NamedTuple):
    """Which leaves are trained, which of them by their logarithm, and their names."""

    leaves: tuple[int, ...]
    by_logarithm: tuple[bool, ...]
    names: tuple[str, ...]


def choose(circuit: Any, where: Callable[[Any], Any]) -> tuple[list[Array], Chosen]:
    """The free numbers, as the optimizer sees them.

    Raises:
        ValueError: if `where` names no arrays of the circuit.
    """
    leaves, structure = jax.tree.flatten(circuit)
    numbered = jax.tree.unflatten(structure, [_Leaf(k) for k in range(len(leaves))])
    try:
        named = where(numbered)
        given = jax.tree.leaves(named, is_leaf=lambda x: not isinstance(x, tuple | list | dict))
        if any(x is None for x in given):
            raise TypeError(
                "it gave None, a part that the circuit was not given: make the circuit with it, "
                "e.g. start=np.zeros(units)"
            )
        others = [x for x in jax.tree.leaves(named) if not isinstance(x, _Leaf)]
        if others:
            raise TypeError(f"it gave {others[0]!r}, which is no array of the circuit")
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"where: it must name arrays of {type(circuit).__name__}: {error}"
        ) from None
    picked = sorted({x.index for x in jax.tree.leaves(named)})
    picked = [k for k in picked if eqx.is_inexact_array(leaves[k])]
    if not picked:
        raise ValueError(
            "where: expected arrays of the circuit, e.g. lambda c: c.connectivity, got "
            f"{type(named).__name__} without any"
        )
    paths = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, _ in jax.tree_util.tree_leaves_with_path(circuit)
    ]
    fields = [field_of(circuit, paths[k]) for k in picked]
    chosen = Chosen(
        tuple(picked),
        tuple(f is not None and f.positive for f in fields),
        tuple(paths[k] for k in picked),
    )
    free = [
        jnp.log(leaves[k]) if log else jnp.asarray(leaves[k])
        for k, log in zip(picked, chosen.by_logarithm, strict=True)
    ]
    return free, chosen


def rebuild(circuit: Any, chosen: Chosen, free: list[Array]) -> Any:
    """The circuit with its free numbers put in."""
    leaves, structure = jax.tree.flatten(circuit)
    for k, log, value in zip(chosen.leaves, chosen.by_logarithm, free, strict=True):
        leaves[k] = jnp.exp(value) if log else value
    return jax.tree.unflatten(structure, leaves)
