"""Weight perturbation: change all numbers a little, and see."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from rnnjax._parameter import parameter
from rnnjax._types import Array, Arrays, Float, Key, Scalar
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._base import Run
from rnnjax.credit._perturbed import AbstractPerturbation


class WeightPerturbation(AbstractPerturbation):
    r"""All free numbers move along a random direction, and get credit for what the loss does.

    $g = \frac{L(\theta + \sigma \xi) - L(\theta - \sigma \xi)}{2 \sigma}\, \xi, \qquad
    \xi \sim N(0, 1)$

    Its mean is the gradient as $\sigma \to 0$; its variance grows with the number of free numbers.
    All trials of a batch see the same perturbation. The loss that it reports is the mean of those at
    the perturbed numbers.

    Args:
        size: $\sigma$, one for all that is trained, whatever its unit; of what must be positive it
            shakes the logarithm. Small beside the smallest weights.
        samples: directions whose mean is taken.

    Raises:
        ValueError: with a forcing whose correction is held; without a key.

    References:
        Jabri and Flower (1992), IEEE Transactions on Neural Networks 3:154-157; two-sided, as Spall
        (1992), IEEE Transactions on Automatic Control 37:332-341, with normal directions.
    """

    exact = False
    size: Scalar = parameter(1e-2, "1", positive=True, doc="standard deviation")
    samples: int = eqx.field(static=True, default=1)

    def value_and_gradient(
        self, run: Run, rebuild: Callable[[Sequence[Array]], TaskNetwork], free: Sequence[Array],
        memory: Arrays, key: Key | None,
    ) -> tuple[Float[Array, ""], Sequence[Array]]:  # fmt: skip
        """The mean loss at the perturbed numbers, and the estimate of the gradient."""
        flat, unravel = ravel_pytree(free)
        size = jnp.asarray(self.size, flat.dtype)

        def loss(flat: Float[Array, " free"]) -> Float[Array, ""]:
            return jnp.mean(run(rebuild(unravel(flat))).totals)

        def sample(key: Key) -> tuple[Array, Array]:
            direction = jax.random.normal(key, flat.shape, flat.dtype)
            up, down = loss(flat + size * direction), loss(flat - size * direction)
            return (up + down) / 2, (up - down) / (2 * size) * direction

        values, found = jax.lax.map(sample, self.keys(key))
        return jnp.mean(values), unravel(jnp.mean(found, 0))
