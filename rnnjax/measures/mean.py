"""The average over time."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Int

from rnnjax._types import Array, Arrays, Float, PerUnit, Scalar
from rnnjax.measures._base import AbstractMeasure, Observing, whole_state
from rnnjax.measures._running_sum import RunningSum, nothing_summed
from rnnjax.measures._stretch import Stretch


class MeanSoFar(NamedTuple):
    """The sum over equal steps, or the integral over adaptive ones.

    Attributes:
        total: the sum of the values, or their integral over time.
        steps: how many equal steps are in it; 0 where the solver chooses them.
        begin: when it began, ms.
    """

    total: RunningSum
    steps: Int[Array, ""]
    begin: Float[Array, ""]


class Mean(AbstractMeasure):
    r"""The average over the steps of the window: $\frac{1}{n} \sum_k x(t_k)$.

    Of adaptive steps the average over time: $\frac{1}{T} \int x(t)\, dt$. The sum is kept in
    float64 at least: the mean is right to a few roundings however long the run, up to $2^{31}$ steps.
    """

    of: Observing = eqx.field(static=True, default=whole_state)
    meaning: ClassVar[str] = "mean over time"
    unit: ClassVar[str] = "state"

    def init(self, t: Scalar, x: PerUnit) -> MeanSoFar:
        """Nothing is summed yet."""
        begin = jnp.asarray(t, jnp.result_type(x))
        return MeanSoFar(nothing_summed(x), jnp.zeros((), jnp.int32), begin)

    def update(self, carry: MeanSoFar, t: Scalar, x: PerUnit) -> MeanSoFar:
        """One more value."""
        return carry._replace(total=carry.total.plus(x, carry.begin), steps=carry.steps + 1)

    def follow(self, carry: MeanSoFar, stretch: Stretch) -> MeanSoFar:
        """The integral over one more step."""
        return carry._replace(total=carry.total.plus(stretch.integral(), carry.begin))

    def finish(self, carry: MeanSoFar, t: Scalar, x: PerUnit) -> Arrays:
        """The mean."""
        total = carry.total.rounded(carry.begin.dtype)
        steps = carry.steps.astype(total.dtype)
        elapsed = jnp.asarray(t, total.dtype) - carry.begin
        whole = jnp.where(carry.steps > 0, steps, elapsed)
        return total / jnp.where(whole > 0, whole, 1)
