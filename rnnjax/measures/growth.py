"""Whether a swing grows or decays."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from rnnjax._parameter import parameter
from rnnjax._types import Arrays, PerUnit, Scalar, is_traced
from rnnjax.measures._base import AbstractMeasure, Observing, whole_state
from rnnjax.measures._stretch import Stretch


class Growth(AbstractMeasure):
    r"""The log ratio of the swing after a moment to the swing before it.

    $\log \frac{\max_{t \ge t_s} x - \min_{t \ge t_s} x}{\max_{t < t_s} x - \min_{t < t_s} x}$

    Positive where an oscillation grows, negative where it decays. With $t_s$ in the middle of a
    window of length $T$, a perturbation growing as $e^{\sigma t}$ gives $\sigma T / 2$.

    Args:
        of: what is measured.
        split: $t_s$ in ms, a time of the run; the middle of the window unless given.

    Raises:
        ValueError: where it is used, if the split does not lie inside the window.
    """

    of: Observing = eqx.field(static=True, default=whole_state)
    split: Scalar | None = parameter(None, "ms", doc="where the window is cut")
    meaning: ClassVar[str] = "log ratio of the later to the earlier swing"
    unit: ClassVar[str] = "1"

    def placed(self, begin: float, end: float) -> "Growth":
        """With the split since `begin`: in the middle of the window, or checked to be inside."""
        if self.split is None:
            return Growth(of=self.of, split=(end - begin) / 2)
        if not is_traced(self.split) and not begin < float(self.split) < end:
            raise ValueError(
                f"Growth.split: expected a time inside the window from {begin:g} to {end:g} ms, "
                f"got {float(self.split):g} ms: leave it out for the middle"
            )
        return Growth(of=self.of, split=self.split - begin)

    def init(self, t: Scalar, x: PerUnit) -> Arrays:
        """The extremes before and after the split."""
        nothing = jnp.full_like(x, jnp.inf)
        return x, x, nothing, -nothing

    def update(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The extremes before and after the split."""
        return self._widen(carry, t, x, x)

    def follow(self, carry: Arrays, stretch: Stretch) -> Arrays:
        """The extremes before and after the split; a quarter of a step belongs to where its middle is."""
        for piece in stretch.pieces:
            middle = (piece.t0 + piece.t1) / 2
            carry = self._widen(carry, middle, *Stretch((piece,)).extremes())
        return carry

    def _widen(self, carry: Arrays, t: Scalar, least: PerUnit, most: PerUnit) -> Arrays:
        low, high, later_low, later_high = carry
        if self.split is None:
            raise ValueError("Growth.split: expected a time in ms, got none: give one")
        late = t >= self.split
        return (
            jnp.where(late, low, jnp.minimum(low, least)),
            jnp.where(late, high, jnp.maximum(high, most)),
            jnp.where(late, jnp.minimum(later_low, least), later_low),
            jnp.where(late, jnp.maximum(later_high, most), later_high),
        )

    def finish(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The log ratio; swings below the smallest number count as that."""
        low, high, later_low, later_high = carry
        tiny = jnp.finfo(jnp.result_type(x)).tiny
        return jnp.log(jnp.maximum(later_high - later_low, tiny)) - jnp.log(
            jnp.maximum(high - low, tiny)
        )
