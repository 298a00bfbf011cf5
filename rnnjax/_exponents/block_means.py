"""What a series of block means tells: its error, and whether its level changed."""

import jax.numpy as jnp

from rnnjax._precision import index_of_largest
from rnnjax._types import Array

_GROUPS = 20  # of blocks, whose means an error is made of
_SURE = 2.5  # of Kolmogorov's distribution, which exceeds it once in 100 000


def block_errors(blocks: Array) -> Array:
    """The standard error of the mean of `(block, ...)`, whose neighbors may be correlated.

    By the scatter of the means of about 20 groups of blocks, each as long as can be: within them
    correlations of either sign have their effect.
    """
    return jnp.sqrt(_long_run_variance(blocks) / blocks.shape[0])


def _long_run_variance(blocks: Array) -> Array:
    """The variance of a block, as that of the mean of many of them tells it."""
    size = max(1, blocks.shape[0] // _GROUPS)
    groups = blocks.shape[0] // size
    means = blocks[: groups * size].reshape(groups, size, *blocks.shape[1:]).mean(1)
    away = means - means.mean(0)
    return size * (away * away).sum(0) / (groups - 1)


def level_change(blocks: Array, smallest: Array) -> tuple[Array, Array]:
    """Whether the level of a series `(block,)` changed once, and after which block, as a mask.

    By the largest excursion of its cumulative sum, against the scatter that is left when each side
    has a level of its own.

    Args:
        blocks: the series.
        smallest: changes whose cumulative excursion is smaller than this do not count.
    """
    count = blocks.shape[0]
    places = jnp.arange(count, dtype=jnp.int32)
    excursion = abs(jnp.cumsum(blocks - blocks.mean())).at[-1].set(0.0)
    last = index_of_largest(excursion)
    before = places <= last
    size = (last + 1).astype(blocks.dtype)
    mean_before = jnp.where(before, blocks, 0.0).sum() / size
    mean_after = jnp.where(before, 0.0, blocks).sum() / jnp.maximum(count - size, 1.0)
    left = blocks - jnp.where(before, mean_before, mean_after)
    scatter = jnp.sqrt(_long_run_variance(left) * count)
    largest = excursion.max()
    return (largest > _SURE * scatter) & (largest > smallest), places == last


def smooth_weights(numbers: Array, count: int) -> Array:
    r"""The weights `(2, ...)` of each of `count` terms, by its number, in the mean of either half.

    $w(u) = e^{-1 / u (1 - u)}$, which vanish smoothly at the ends of a half. On a cycle or a torus,
    whose averages differ from the limit by what the ends of the run cut off, such means converge
    faster than any power of the length; in chaos they do not.

    References:
        Das, Saiki, Sander and Yorke (2017), Nonlinearity 30:4111-4140.
    """
    u = 2 * (numbers + 0.5) / count
    halves = jnp.stack([u, u - 1])
    inside = (halves > 0) & (halves < 1)
    v = jnp.where(inside, halves * (1 - halves), 1.0)
    return jnp.where(inside, jnp.exp(-1 / v), 0.0)
