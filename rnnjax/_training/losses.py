"""What is made small: losses of outputs."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._types import Array, Float

Loss: TypeAlias = Callable[[Array, Array, Array], Array]  # of outputs, targets, mask of one trial


def mean_square(
    outputs: Float[Array | np.ndarray, "steps outputs"],
    targets: Float[Array | np.ndarray, "steps outputs"],
    mask: Float[Array | np.ndarray, "steps outputs"],
) -> Float[Array, ""]:
    r"""The mean square of what is asked for: $\sum m (y - y^*)^2 / \sum m$, of one trial."""
    return _mean(jnp.square(outputs - targets), mask)


def cross_entropy(
    outputs: Float[Array | np.ndarray, "steps outputs"],
    targets: Float[Array | np.ndarray, "steps outputs"],
    mask: Float[Array | np.ndarray, "steps outputs"],
) -> Float[Array, ""]:
    r"""$-\sum_k y^*_k \ln \mathrm{softmax}(y)_k$, its mean over the steps asked for, of one trial."""
    surprise = -(targets * jax.nn.log_softmax(outputs, -1)).sum(-1)
    return _mean(surprise, mask.max(-1))


def _mean(
    values: Float[Array, "*table"], mask: Float[Array | np.ndarray, "*table"]
) -> Float[Array, ""]:
    count = jnp.sum(mask)
    return jnp.sum(mask * values) / jnp.where(count > 0, count, jnp.ones_like(count))
