"""Flat views of a state, and the linear algebra that the analysis verbs share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Complex, PyTree

from rnnjax._types import Array, Float, is_traced


def flatten(state: PyTree) -> tuple[Array, Callable[[Array], PyTree]]:
    """The state as one vector `(n,)`, and the function that undoes it."""
    return ravel_pytree(state)


def variable_names(state: PyTree) -> list[str]:
    """A name for each entry of the flattened state: `e`, `i`, or `v[3]`, or `state[3]`."""
    names = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "state"
        shape = np.shape(leaf)
        if shape == ():
            names.append(name)
        else:
            names += [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]
    return names


def named_leaves(tree: PyTree, name: str = "state") -> dict[str, Any]:
    """The leaves by name: a field of a `NamedTuple` by its own, a bare array as `name`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="_") or name: leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def eigenvalues(matrix: Float[Any, "*batch n n"]) -> Complex[Any, "*batch n"]:
    """Eigenvalues, the one with the largest real part first.

    Concrete matrices go through LAPACK on the host in float64; traced ones through JAX, which
    can be differentiated where the eigenvalues are distinct.
    """
    if is_traced(matrix):
        values = jnp.linalg.eigvals(matrix)
        order = jnp.argsort(-values.real, axis=-1, stable=True)
        return jnp.take_along_axis(values, order, axis=-1)
    matrix = np.asarray(matrix, np.float64)
    values = np.full(matrix.shape[:-1], np.nan + 0j)
    finite = np.isfinite(matrix).all((-1, -2))
    values[finite] = np.linalg.eigvals(matrix[finite])
    order = np.argsort(-np.real(values), axis=-1, kind="stable")
    return np.take_along_axis(values, order, axis=-1)
