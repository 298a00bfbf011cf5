"""Flat views of a state, and the linear algebra that the analysis verbs share."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex

from rnnjax._types import Float, is_traced


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
