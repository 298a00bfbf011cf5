"""How strongly given frequencies are present."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import parameter
from rnnjax._types import Arrays, Numbers, PerUnit, Scalar, Vector
from rnnjax.measures._base import AbstractMeasure, Observing, whole_state


class Spectrum(AbstractMeasure):
    r"""The amplitude of the Fourier component at each of the given frequencies.

    $A(f) = \frac{2}{n} \left| \sum_k (x(t_k) - \bar x)\, e^{-2 \pi i f t_k / 1000} \right|$

    A sine wave of amplitude $a$ at $f$ gives $a$ if the window holds whole cycles. The mean is
    taken out. One frequency axis is added in front.

    Args:
        of: what is measured.
        frequencies: in Hz, `(frequencies,)`.
    """

    of: Observing = eqx.field(static=True, default=whole_state)
    frequencies: Vector = parameter(np.arange(1.0, 21.0), "Hz", positive=True)
    meaning: ClassVar[str] = "amplitude of the Fourier component"
    unit: ClassVar[str] = "state"

    def axes(self) -> dict[str, tuple[Numbers, str]]:
        """The frequencies."""
        return {"frequency": (self.frequencies, "Hz")}

    def init(self, t: Scalar, x: PerUnit) -> Arrays:
        """Sums of x cos, x sin, cos, sin and x, and the number of steps."""
        sums = jnp.zeros(jnp.shape(self.frequencies) + jnp.shape(x), jnp.result_type(x))
        return sums, sums, sums, sums, jnp.zeros_like(x), jnp.zeros((), jnp.result_type(x))

    def update(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """One more term of each sum."""
        x_cos, x_sin, cos, sin, total, n = carry
        angle = 2 * np.pi * jnp.asarray(self.frequencies) * t / 1000
        c, s = (f(angle).reshape((-1,) + (1,) * jnp.ndim(x)) for f in (jnp.cos, jnp.sin))
        return x_cos + x * c, x_sin + x * s, cos + c, sin + s, total + x, n + 1

    def finish(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The amplitudes, `(frequencies, ...)`."""
        x_cos, x_sin, cos, sin, total, n = carry
        mean = total / n
        return 2 / n * jnp.hypot(x_cos - mean * cos, x_sin - mean * sin)
