"""Symmetric weights."""

from typing import Any

import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Matrix, is_traced
from rnnjax.connectivity._base import AbstractConnectivity, check_square


class Symmetric(AbstractConnectivity):
    r"""Weights that are the same both ways: $M = (W + W^\top) / 2$.

    $W$ is free, so a fit of `weights` moves freely and the matrix stays symmetric: its
    eigenvalues are real and its eigenvectors orthogonal. The default is a pair of units that
    inhibit each other.

    Args:
        weights: `(units, units)`, symmetric when given.

    Raises:
        ValueError: if `weights` is not square, not symmetric, or not finite.
    """

    weights: Matrix = parameter([[0.0, -0.5], [-0.5, 0.0]], "1", doc="weights [post, pre]")

    def __check_init__(self) -> None:
        """Refuse a matrix that is not square or not symmetric."""
        check_square("Symmetric", self.weights)
        if is_traced(self.weights):
            return
        weights = np.asarray(self.weights)
        gap = np.abs(weights - weights.T)
        if np.max(gap, initial=0.0) > 1e-6 * (1 + np.max(np.abs(weights), initial=0.0)):
            i, j = np.unravel_index(np.argmax(gap), gap.shape)
            raise ValueError(
                f"Symmetric.weights: expected weights[i, j] = weights[j, i], got "
                f"{weights[i, j]:g} at [{i}, {j}] and {weights[j, i]:g} at [{j}, {i}]: give "
                "(W + W.T) / 2, or use Dense"
            )

    def matrix(self) -> Any:
        """The symmetric part of the weights."""
        return (self.weights + self.weights.T) / 2  # pyright: ignore

    @property
    def units(self) -> int:
        """The number of units."""
        return self.weights.shape[0]  # pyright: ignore
