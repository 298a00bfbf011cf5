"""A ring whose weights are a cosine of the difference between preferred angles."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Array, Float, Scalar
from rnnjax.connectivity._base import AbstractConnectivity


class Cosine(AbstractConnectivity):
    r"""Units on a ring of preferred angles, coupled by the cosine of their difference.

    $M_{ij} = \left(\lambda_0 + 2 \lambda_1 \cos\frac{2\pi(\theta_i - \theta_j)}{P}\right) / N$

    $\lambda_0$ and $\lambda_1$ are its eigenvalues: $\lambda_0$ that of the uniform mode, $\lambda_1$
    (twice) those of the cosine and the sine; all others are exactly 0. The angles $\theta$ (in
    degrees) fill `(-period / 2, period / 2]`. In the continuum this is
    $M(\theta, \theta') = (\lambda_1 / \pi) \cos(\theta - \theta')$ with the measure $d\theta'$.
    Products cost O(N): the matrix has rank 3 and is never formed for them.

    Args:
        lambda_0: eigenvalue of the uniform mode.
        lambda_1: eigenvalue of the first Fourier modes.
        size: the number of units.
        period: 360 for directions, 180 for orientations.

    References:
        Dayan and Abbott (2001), Theoretical Neuroscience, equations 7.26-7.35; figures 7.8
        (linear, $\lambda_1$ = 0.9) and 7.9 (rectified, 1.9). 100 units is our choice.
    """

    lambda_0: Scalar = parameter(0.0, "1", doc="eigenvalue of the uniform mode")
    lambda_1: Scalar = parameter(0.9, "1", doc="eigenvalue of the cosine and sine modes")
    size: int = eqx.field(static=True, default=100)
    period: float = eqx.field(static=True, default=360.0)

    def __check_init__(self) -> None:
        """Refuse a ring of fewer than 3 units."""
        if not isinstance(self.size, int | np.integer) or self.size < 3:
            raise ValueError(f"Cosine.size: expected at least 3 units, got {self.size!r}")

    def angles(self) -> Float[np.ndarray, " units"]:
        """Preferred angles in degrees, in `(-period / 2, period / 2]`."""
        return self.period * ((np.arange(self.size) + 1) / self.size - 0.5)

    def matrix(self) -> Float[Any, "post pre"]:
        """The weights, the receiving unit first."""
        phase = 2 * np.pi * self.angles() / self.period
        difference = phase[:, None] - phase[None, :]
        return (
            self.lambda_0 + 2 * self.lambda_1 * _like(np.cos(difference), self.lambda_1)
        ) / self.size

    def __call__(self, rates: Float[Any, " units"]) -> Float[Array, " units"]:
        """The drive of `rates`, by the three modes."""
        phase = 2 * np.pi * self.angles() / self.period
        cos, sin = (_like(f(phase), rates) for f in (np.cos, np.sin))
        uniform = self.lambda_0 * rates.sum() * jnp.ones_like(rates)
        first = cos * (cos * rates).sum() + sin * (sin * rates).sum()
        return (uniform + 2 * self.lambda_1 * first) / self.size

    @property
    def units(self) -> int:
        """The number of units."""
        return self.size


def _like(values: np.ndarray, other: Float[Any, "..."]) -> Array:
    return jnp.asarray(values, dtype=jnp.result_type(other))
