"""A sampled signal."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from rnnjax._gate import one_number, own_numbers
from rnnjax._parameter import parameter
from rnnjax._types import Array, Expected, Float, Scalar, is_traced
from rnnjax.inputs._base import AbstractInput

_TODO = "interpolate over them or cut the recording there"


class Recording(AbstractInput):
    r"""A recorded signal, interpolated linearly between its samples.

    Sample $k$ is at $t_0 + 1000\, k / r$ ms, with the sample rate $r$ in Hz. Before the first
    sample the first value holds, after the last one the last. Without arguments: a second of
    silence. Between samples it is straight: of second derivatives by `start`, those that come from
    how it bends at its samples are not there.

    Args:
        samples: `(samples,)`, or `(samples, units)` for one channel per unit, without gaps.
        sample_rate: in Hz; there is no default, since no guess is safe.
        start: time of the first sample in ms.

    Raises:
        TypeError: if samples come without a sample rate.
        ValueError: if there are fewer than two samples, or gaps (NaN) among them.
    """

    samples: Float[Any, "samples *units"] = parameter(unit="circuit's", doc="values")
    sample_rate: Scalar = parameter(unit="Hz", positive=True, doc="samples per second")
    start: Scalar = parameter(0.0, "ms", doc="time of the first sample")

    def __init__(
        self,
        samples: Expected[Float[Any, "samples *units"] | None] = None,
        sample_rate: Expected[Scalar | None] = None,
        start: Expected[Scalar] = 0.0,
    ):
        if samples is None and sample_rate is not None:
            raise TypeError("Recording.samples: expected numbers, (samples,), got None")
        if samples is None:
            samples, sample_rate = np.zeros(2), 1.0
        if sample_rate is None:
            raise TypeError(
                "Recording: expected sample_rate= in Hz beside the samples, got none: "
                "say how many samples were taken per second, e.g. sample_rate=20_000"
            )
        self.samples = samples if is_traced(samples) else _without_gaps(samples, sample_rate)
        self.sample_rate, self.start = sample_rate, start

    def __call__(self, t: Scalar) -> Array:
        """The signal at time `t`."""
        last = self.samples.shape[0] - 1
        position = jnp.clip((t - self.start) * self.sample_rate / 1000, 0, last)
        before = jnp.clip(jnp.floor(position).astype(jnp.int32), 0, last - 1)
        part = position - before.astype(position.dtype)
        samples = jnp.asarray(self.samples)
        return samples[before] * (1 - part) + samples[before + 1] * part

    def jumps(self) -> tuple[Any, ...]:
        """None but its samples, where it bends."""
        return ()

    def longest_step(self) -> Any:
        """The time between samples (ms)."""
        return 1000 / self.sample_rate

    def bends(self) -> tuple[Any, ...]:
        """At every sample."""
        interval = 1000 / self.sample_rate
        number = jnp.arange(self.samples.shape[0], dtype=jnp.result_type(interval))
        return (self.start + number * interval,)

    def next_bend(self, t: Scalar) -> Any:
        """The next sample."""
        interval, last = 1000 / self.sample_rate, self.samples.shape[0] - 1
        number = jnp.floor((t - self.start) / interval) + 1
        # but for rounding, t may be that sample
        number = jnp.where(self.start + number * interval > t, number, number + 1)
        number = jnp.maximum(number, 0)
        return jnp.where(number > last, jnp.inf, self.start + number * interval)


def _without_gaps(
    samples: Expected[Float[Any, "samples *units"] | None], sample_rate: Expected[Scalar]
) -> np.ndarray:
    values = own_numbers(samples, "Recording.samples", gaps=_TODO)
    if values.ndim not in (1, 2) or values.shape[0] < 2:
        raise ValueError(
            "Recording.samples: expected (samples,) or (samples, units) with at least two "
            f"samples, got shape {values.shape}"
        )
    bad = np.asarray(~np.isfinite(values).reshape(values.shape[0], -1).all(1))
    if bad.any():
        first = int(np.argmax(bad))
        at = 1000 * first / one_number(sample_rate, "Recording.sample_rate", "Hz")
        raise ValueError(
            f"Recording.samples: expected a signal without gaps, got {int(bad.sum())} of "
            f"{len(bad)} samples missing (NaN or infinite), the first at sample {first} "
            f"({at:g} ms): {_TODO}"
        )
    return values
