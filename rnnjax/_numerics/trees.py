"""Flat views of a state, and the names of its entries."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Int

from rnnjax._types import Array, Arrays, Shapes, State


def flatten(state: Arrays) -> tuple[Array, Callable[[Array], State]]:
    """The state as one vector `(n,)`, and the function that undoes it."""
    return ravel_pytree(state)


def variable_names(state: Shapes) -> list[str]:
    """A name for each entry of the flattened state: `e`, `i`, or `v[3]`, or `state[3]`."""
    names = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "state"
        shape = np.shape(leaf)
        if shape == ():
            names.append(name)
        else:
            names += [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]
    return distinct(names)


def named_leaves(
    tree: Any, name: str = "state", is_leaf: Callable[[Any], bool] | None = None
) -> dict[str, Any]:
    """The leaves by name: a field of a `NamedTuple` by its own, a bare array as `name`.

    No leaf is lost: of `{"a": {"b": x}, "a_b": y}` the second is `a_b_2`.
    """
    found = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf)
    names = [jax.tree_util.keystr(path, simple=True, separator="_") or name for path, _ in found]
    return dict(zip(distinct(names), (leaf for _, leaf in found), strict=True))


def distinct(names: Sequence[str]) -> list[str]:
    """The names, all different: a number behind each that was there before."""
    every, found = set(names), {}  # in order, and quickly looked up
    for name in names:
        other, k = name, 2
        while other in found or (other != name and other in every):
            other, k = f"{name}_{k}", k + 1
        found[other] = None
    return list(found)


def fastest_variable(derivative: State, state: State) -> Int[Array, ""]:
    """The variable that moves fastest; of several that move infinitely fast, the largest."""
    speed, size = (abs(flatten(x)[0]) for x in (derivative, state))
    speed = jnp.where(jnp.isfinite(speed), speed, jnp.inf)
    size = jnp.where(jnp.isfinite(size), size, jnp.inf)
    fastest = speed == speed.max()
    return jnp.argmax(jnp.where(fastest, size, -1)).astype(jnp.int32)
