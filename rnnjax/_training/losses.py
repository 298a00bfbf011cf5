"""What is made small: losses of outputs."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnjax._types import Array


def mean_square(outputs: Any, targets: Any, mask: Any) -> Array:
    r"""The mean square of what is asked for: $\sum m (y - y^*)^2 / \sum m$, of one trial."""
    return _mean(jnp.square(outputs - targets), mask)


def cross_entropy(outputs: Any, targets: Any, mask: Any) -> Array:
    r"""$-\sum_k y^*_k \ln \mathrm{softmax}(y)_k$, its mean over the steps asked for, of one trial."""
    surprise = -(targets * jax.nn.log_softmax(outputs, -1)).sum(-1)
    return _mean(surprise, mask.max(-1))


def _mean(values: Any, mask: Any) -> Any:
    count = jnp.sum(mask)
    return jnp.sum(mask * values) / jnp.where(count > 0, count, jnp.ones_like(count))
