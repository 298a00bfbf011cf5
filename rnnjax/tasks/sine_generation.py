"""Sine generation: two cosines of the period that the input tells."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.verb import verb
from rnnjax._parameter import parameter
from rnnjax._types import Key, Scalar, is_traced
from rnnjax.tasks._base import AbstractTask, Trial, steps_of

_PERIODS = np.arange(90.0, 181.0, 15.0)  # ms
_UNIT_PERIOD = 90.0  # ms, the period whose input is 1


class SineGeneration(AbstractTask):
    r"""A constant that tells a period, and two cosines of it, an eighth of a turn apart.

    $u = p / 90$ ms, $y^*_0(t) = \cos(2 \pi t / p)$, $y^*_1(t) = \cos(2 \pi t / p + \pi / 4)$

    Step number $k$ has $t = k h$, with $h$ the step. The period $p$ is uniform on
    $\{90, 105, \dots, 180\}$ ms plus a shift that sets the difficulty. Both outputs count all the
    time, from the first step on.

    Args:
        duration: of a trial, ms.
        step: ms.
        shift: added to the periods, ms; above -90.

    Raises:
        ValueError: if the duration is no multiple of the step, or a period would not be positive.

    References:
        Sagtekin, Bredenberg and Savin (2025), Error forcing in recurrent neural networks, NeurIPS;
        numbers as in its published code, whose time step is 1 ms. That $t$ is 0 at the first step
        is our reading of it.
    """

    duration: float = eqx.field(static=True, default=500.0)
    step: float = eqx.field(static=True, default=1.0)
    shift: Scalar = parameter(-55.0, "ms", doc="added to the periods")

    def __check_init__(self) -> None:
        """Refuse a duration that is no multiple of the step, and periods below zero."""
        steps_of(self, "duration")
        if not is_traced(self.shift) and np.any(np.asarray(self.shift) <= -_PERIODS[0]):
            raise ValueError(
                f"SineGeneration.shift: expected more than {-_PERIODS[0]:g} ms, so that the "
                f"shortest period is positive, got {np.min(self.shift):g} ms"
            )

    @property
    def inputs(self) -> int:
        """The period."""
        return 1

    @property
    def outputs(self) -> int:
        """Two phases."""
        return 2

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        return steps_of(self, "duration")

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        dtype = jnp.result_type(float)
        period = jax.random.choice(key, jnp.asarray(_PERIODS, dtype)) + jnp.asarray(
            self.shift, dtype
        )
        t = jnp.arange(self.steps, dtype=dtype) * self.step
        phases = jnp.asarray([0.0, np.pi / 4], dtype)
        targets = jnp.cos(2 * np.pi * t[:, None] / period + phases[None, :])
        inputs = jnp.full((self.steps, 1), period / _UNIT_PERIOD)
        return Trial(inputs, targets, jnp.ones(self.steps, dtype))
