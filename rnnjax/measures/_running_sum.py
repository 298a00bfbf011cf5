"""A sum over a run that loses no digits because it is long."""

import equinox as eqx
import jax.numpy as jnp

from rnnjax._machine.compute_once import computed_once
from rnnjax._types import Array, Numbers, Scalar, Shaped


class RunningSum(eqx.Module):
    r"""A sum and, beside it, what its roundings left out.

    Of $s_k = s_{k-1} \oplus x_k$ the rounding is itself a number of the same dtype and known
    exactly (Knuth's two-sum), for terms of any sign and size: after n steps the error is that of
    one rounding and of order $n \epsilon^2$, where a plain sum, or a running mean, stands still
    once the terms are smaller than a rounding of it. The derivatives are summed likewise.

    Attributes:
        sum: the sum as it was rounded.
        left_out: the sum of the roundings.
    """

    sum: Shaped[Array, "..."]
    left_out: Shaped[Array, "..."]

    def plus(self, x: Numbers, like: Scalar) -> "RunningSum":
        """With one more term.

        Args:
            x: the term.
            like: any finite number of its dtype.
        """
        total = computed_once(self.sum + x, like)
        added = total - self.sum
        rounding = (self.sum - (total - added)) + (x - added)
        return RunningSum(total, self.left_out + rounding)

    @property
    def value(self) -> Shaped[Array, "..."]:
        """The sum, rounded once."""
        return self.sum + self.left_out


def nothing_summed(x: Numbers) -> RunningSum:
    """An empty sum of numbers like these."""
    zeros = jnp.zeros_like(x)
    return RunningSum(zeros, zeros)
