"""A sum over a run that loses no digits because it is long."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._machine.compute_once import computed_once
from rnnjax._numerics.digits import two_sum
from rnnjax._types import Array, DTypeLike, Numbers, Scalar, Shaped


class RunningSum(eqx.Module):
    r"""A sum that loses no digits: of numbers narrower than float64 in float64, of float64 in two parts.

    A plain sum, or a running mean, stands still once the terms are smaller than a rounding of it. In
    float64 a sum of $n$ numbers of float32 is off by less than $n 2^{-53}$ of the sum of their sizes:
    less than a rounding of float32 up to $2^{29}$ terms, whatever they are.

    Of float64 numbers the rounding of $s \oplus x$ is itself a number of the same dtype and known
    exactly (Knuth's two-sum), for terms of any sign and size. It is added to what was left out before,
    and as much of that as the sum can hold is given back, so that n steps are off by about
    $n \epsilon^2$. The derivatives are summed likewise.

    Attributes:
        sum: the sum as it was rounded, in float64.
        left_out: what is to be added to it; None where the terms are narrower.
    """

    sum: Shaped[Array, "..."]
    left_out: Shaped[Array, "..."] | None

    def plus(self, x: Numbers, like: Scalar) -> "RunningSum":
        """With one more term.

        Args:
            x: the term.
            like: any finite number of its dtype.
        """
        if self.left_out is None:
            with jax.enable_x64(True):
                return RunningSum(self.sum + lax.convert_element_type(x, np.float64), None)
        total, rounding = two_sum(self.sum, x)
        left_out = computed_once(self.left_out + rounding, like)
        whole = computed_once(total + left_out, like)
        return RunningSum(whole, left_out - (whole - total))

    def rounded(self, dtype: DTypeLike) -> Shaped[Array, "..."]:
        """The sum, rounded once."""
        whole = self.sum if self.left_out is None else self.sum + self.left_out
        return lax.convert_element_type(whole, dtype)


def nothing_summed(x: Numbers) -> RunningSum:
    """An empty sum of numbers like these."""
    if jnp.result_type(x) == np.float64:
        zeros = jnp.zeros_like(x)
        return RunningSum(zeros, zeros)
    with jax.enable_x64(True):
        return RunningSum(jnp.zeros(jnp.shape(x), np.float64), None)
