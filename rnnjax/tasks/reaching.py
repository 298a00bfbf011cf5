"""Reaching: move the hand from the center to a target, once told to go."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.verb import verb
from rnnjax._parameter import parameter
from rnnjax._types import Key, Scalar
from rnnjax.tasks._base import AbstractTask, Trial, steps_of, window


class Reaching(AbstractTask):
    r"""A target at a random angle, a delay, a go signal, and a smooth movement of the hand.

    $y^*(t) = r\, s(\tau) (\cos\theta, \sin\theta)$ with
    $s(\tau) = 10 \tau^3 - 15 \tau^4 + 6 \tau^5$, $\tau = (t - t_{go}) / T$ held to $[0, 1]$

    $s$ is the movement of least squared jerk from rest to rest, whose speed is a symmetric bell
    with the peak $15 r / (8 T)$. The angle $\theta$ is uniform. The inputs are the target,
    $(\cos\theta, \sin\theta)$, from the end of the fixation to that of the trial, and the go
    signal, 1 from $t_{go}$ on: the delay after the target, plus a jitter of whole steps, uniform
    up to `jitter`. The movement begins with the go signal; afterwards the hand holds still. Both
    coordinates count all the time, as they are at the end of each step.

    Args:
        fixation: before the target, ms; may be 0.
        delay: the shortest time from the target to the go signal, ms; may be 0.
        jitter: how much later the go signal may come, ms; may be 0.
        movement: $T$, ms.
        hold: at the target, at least, ms; may be 0.
        step: ms.
        distance: $r$, in the unit of length that the outputs are to have.

    Raises:
        ValueError: if a time is no multiple of the step.

    References:
        Flash and Hogan (1985), The coordination of arm movements: an experimentally confirmed
        mathematical model, Journal of Neuroscience 5:1688-1703, for the minimum-jerk movement,
        which we derived rather than read there. The task, with an instructed delay before a
        center-out movement, is common; its numbers are our choice.
    """

    fixation: float = eqx.field(static=True, default=100.0)
    delay: float = eqx.field(static=True, default=200.0)
    jitter: float = eqx.field(static=True, default=300.0)
    movement: float = eqx.field(static=True, default=500.0)
    hold: float = eqx.field(static=True, default=200.0)
    step: float = eqx.field(static=True, default=10.0)
    distance: Scalar = parameter(1.0, "1", positive=True, doc="of the target")

    def __check_init__(self) -> None:
        """Refuse times that are no multiples of the step."""
        for name in ("fixation", "delay", "jitter", "hold"):
            steps_of(self, name, least=0)
        steps_of(self, "movement")

    @property
    def inputs(self) -> int:
        """Two coordinates of the target and the go signal."""
        return 3

    @property
    def outputs(self) -> int:
        """Two coordinates of the hand."""
        return 2

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        names = ("fixation", "delay", "jitter", "movement", "hold")
        return sum(steps_of(self, name, least=0) for name in names)

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        dtype = jnp.result_type(float)
        fixation, delay, jitter = (
            steps_of(self, name, least=0) for name in ("fixation", "delay", "jitter")
        )
        of_angle, of_jitter = jax.random.split(key)
        angle = jax.random.uniform(of_angle, (), dtype, 0.0, 2 * np.pi)
        direction = jnp.stack([jnp.cos(angle), jnp.sin(angle)])[None, :]
        go = fixation + delay + jax.random.randint(of_jitter, (), 0, jitter + 1)
        shown = window(self.steps, fixation, self.steps)[:, None]
        told = window(self.steps, go, self.steps)[:, None]
        ends = jnp.arange(1, self.steps + 1)
        part = jnp.clip((ends - go).astype(dtype) / steps_of(self, "movement"), 0.0, 1.0)
        along = part**3 * (10 - 15 * part + 6 * part**2)
        targets = jnp.asarray(self.distance, dtype) * along[:, None] * direction
        inputs = jnp.concatenate([shown * direction, told], axis=1)
        return Trial(inputs, targets, jnp.ones(self.steps, dtype))
