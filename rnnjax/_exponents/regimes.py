"""What exponents are shown to be: positive, negative, or zero; and what that says of a circuit."""

from typing import NamedTuple

import jax.numpy as jnp

from rnnjax._results import Regime
from rnnjax._types import Array, Bool, Float

SETTLING = 10.0  # a zero exponent is measured as up to this over the length of the run
_ZERO = 0.1  # the log growth over half of a run up to which an exponent is shown to be zero
_REGULAR = 1.0  # and from which on it is none in a run whose leading exponent is
_ALIKE = 0.2  # by how much the halves of a run that tells a sign may differ, relative to their mean


class Signs(NamedTuple):
    """What each exponent is shown to be; all false, and 0, where it is not shown.

    Attributes:
        sign: 1 where it is positive, -1 where it is negative.
        zero: whether it is zero.
        small: whether it may be, to within its error.
    """

    sign: Float[Array, " count"]
    zero: Bool[Array, " count"]
    small: Bool[Array, " count"]

    def settles(self, k: int, whole: bool) -> Array:
        """Whether exponent k is shown to be zero or negative; one that a circuit lacks is."""
        if k >= len(self.sign):
            return jnp.asarray(whole)
        return self.zero[k] | (self.sign[k] < 0)


def signs_of(
    halves: Float[Array, "half count"], exponents: Float[Array, " count"],
    errors: Float[Array, " count"], resolution: Float[Array, " count"], length: Float[Array, ""],
) -> Signs:  # fmt: skip
    """What a run shows of its exponents.

    A sign is shown by a mean beyond its resolution that both halves of the run agree with, or by
    smooth means of the halves that agree closely and are more than a zero exponent gives: on a cycle
    they do, although blocks scatter widely. That an exponent is not told from zero does not make it
    zero: it is shown to be where displacements did not grow or shrink over either half.

    Args:
        halves: smooth means of the exponents over both halves of the run.
        exponents: their means.
        errors: the standard errors of these.
        resolution: how large one must be to be told from zero.
        length: that of a half.
    """
    least, most = abs(halves).min(0), abs(halves).max(0)
    agree = (jnp.sign(halves[0]) == jnp.sign(halves[1])) & (
        jnp.sign(halves[0]) == jnp.sign(exponents)
    )
    beyond = (abs(exponents) > resolution) & (2 * least > resolution)
    zero = most * length < _ZERO
    close = (most - least < _ALIKE * (most + least) / 2) & (
        least * length > jnp.where(zero[0], _REGULAR, SETTLING)
    )
    sign = jnp.where(agree & (beyond | close), jnp.sign(exponents), 0.0)
    return Signs(sign, zero, (zero | (abs(exponents) <= 3 * errors)) & (sign == 0))


def regime_of(signs: Signs, known: Array, whole: bool) -> Array:
    """The regime, as an integer: UNKNOWN unless its exponents are shown to be what it needs.

    Args:
        signs: what they are shown to be.
        known: whether the run can tell at all.
        whole: whether these are all exponents.
    """
    sign, zero, count = signs.sign, signs.zero, len(signs.sign)
    positive, negative = (
        (sign[1] > 0, sign[1] < 0) if count > 1 else (jnp.asarray(False), jnp.asarray(whole))
    )
    torus = zero[0] & zero[1] if count > 1 else jnp.asarray(False)
    found = jnp.asarray(int(Regime.UNKNOWN), jnp.int32)
    for regime, here in (
        (Regime.FIXED, sign[0] < 0),
        (Regime.PERIODIC, signs.small[0] & negative),
        (Regime.QUASIPERIODIC, torus),
        (Regime.CHAOTIC, sign[0] > 0),
        (Regime.HYPERCHAOTIC, (sign[0] > 0) & positive),
    ):
        found = jnp.where(known & here, jnp.asarray(int(regime), jnp.int32), found)
    return found
