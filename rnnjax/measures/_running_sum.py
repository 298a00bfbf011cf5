"""A sum over a run that loses no digits because it is long."""

import equinox as eqx
import jax.numpy as jnp

from rnnjax._machine.compute_once import computed_once
from rnnjax._numerics.digits import two_sum
from rnnjax._types import Array, Numbers, Scalar, Shaped


class RunningSum(eqx.Module):
    r"""A sum and, beside it, what its rounding left out.

    The rounding of $s \oplus x$ is itself a number of the same dtype and known exactly (Knuth's
    two-sum), for terms of any sign and size. It is added to what was left out before, and as much of
    that as the sum can hold is given back, so that n steps are off by about
    $n \epsilon^2$ where a plain sum, or a running mean, stands still once the terms are smaller than
    a rounding of it. The derivatives are summed likewise.

    Attributes:
        sum: the sum as it was rounded.
        left_out: what is to be added to it.
    """

    sum: Shaped[Array, "..."]
    left_out: Shaped[Array, "..."]

    def plus(self, x: Numbers, like: Scalar) -> "RunningSum":
        """With one more term.

        Args:
            x: the term.
            like: any finite number of its dtype.
        """
        total, rounding = two_sum(self.sum, x)
        left_out = computed_once(self.left_out + rounding, like)
        whole = computed_once(total + left_out, like)
        return RunningSum(whole, left_out - (whole - total))

    @property
    def value(self) -> Shaped[Array, "..."]:
        """The sum, rounded once."""
        return self.sum + self.left_out


def nothing_summed(x: Numbers) -> RunningSum:
    """An empty sum of numbers like these."""
    zeros = jnp.zeros_like(x)
    return RunningSum(zeros, zeros)
