"""Path integration on a ring: where does the head point, given how it turned?"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.verb import verb
from rnnjax._parameter import parameter
from rnnjax._types import Array, Float, Key, Scalar
from rnnjax.tasks._base import AbstractTask, Trial, steps_of, window


class RingPathIntegration(AbstractTask):
    r"""A first heading, then its angular velocity only, and the heading all along.

    $y^*(t) = (\cos\theta, \sin\theta)$ with $\dot\theta = \omega$ and
    $d\omega = -\omega\, dt / \tau + \sigma \sqrt{2 / \tau}\, dW$

    The velocity is an Ornstein-Uhlenbeck process of standard deviation $\sigma$ and correlation
    time $\tau$, stepped exactly and constant within a step $h$:
    $\omega_{k+1} = e^{-h/\tau} \omega_k + \sigma \sqrt{1 - e^{-2h/\tau}}\, \xi_k$,
    $\theta_k = \theta_{k-1} + h\, \omega_k$. The inputs are $\omega$ (rad/s) and, while the cue is
    on, $\cos\theta_0$ and $\sin\theta_0$ with $\theta_0$ uniform; the head is still until the cue
    ends, and $\omega$ then starts from its stationary distribution. Both outputs count from the
    end of the cue on.

    Args:
        duration: of a trial, with the cue, ms.
        cue: how long the first heading is shown, ms.
        step: ms.
        speed: $\sigma$, rad/s.
        correlation: $\tau$, ms.

    Raises:
        ValueError: if a time is no multiple of the step, or the cue is all of the trial.

    References:
        Cueva, Wang, Chin and Wei (2020), Emergence of functional and structural properties of the
        head direction system by optimization of recurrent neural networks, ICLR. From the first
        author's code: 500 steps, the cue during 10 of them, velocities that keep 0.8 of
        themselves from step to step with noise of 0.03 rad per step, that is $\sigma$ = 0.05 rad
        per step. That a step is 25 ms is a reconstruction, from which follow 12.5 s,
        $\sigma$ = 2 rad/s and $\tau$ = 112 ms. Left out: the rests in half of its trials; our
        choice: the stationary start, and rad/s as the unit.
    """

    duration: float = eqx.field(static=True, default=12500.0)
    cue: float = eqx.field(static=True, default=250.0)
    step: float = eqx.field(static=True, default=25.0)
    speed: Scalar = parameter(2.0, "rad/s", doc="standard deviation")
    correlation: Scalar = parameter(112.0, "ms", positive=True, doc="of the velocity")

    def __check_init__(self) -> None:
        """Refuse times that are no multiples of the step, and a cue that never ends."""
        if steps_of(self, "cue") >= steps_of(self, "duration"):
            raise ValueError(
                "RingPathIntegration.cue: expected less than the duration of "
                f"{self.duration:g} ms, got {self.cue!r} ms"
            )

    @property
    def inputs(self) -> int:
        """The angular velocity, and the first heading as cosine and sine."""
        return 3

    @property
    def outputs(self) -> int:
        """Cosine and sine of the heading."""
        return 2

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        return steps_of(self, "duration")

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        dtype, cue = jnp.result_type(float), steps_of(self, "cue")
        of_heading, of_velocity = jax.random.split(key)
        start = jax.random.uniform(of_heading, (), dtype, 0.0, 2 * np.pi)
        noise = jax.random.normal(of_velocity, (self.steps - cue,), dtype)
        velocity = jnp.pad(self._velocity(noise), (cue, 0))
        heading = start + self.step / 1000 * jnp.cumsum(velocity)
        shown = window(self.steps, 0, cue)
        inputs = [velocity, shown * jnp.cos(start), shown * jnp.sin(start)]
        targets = [jnp.cos(heading), jnp.sin(heading)]
        return Trial(jnp.stack(inputs, 1), jnp.stack(targets, 1), 1 - shown)

    def _velocity(self, noise: Float[Array, " steps"]) -> Float[Array, " steps"]:
        """The process driven by standard normal `noise`, the first of which is its start."""
        speed, correlation = (jnp.asarray(x, noise.dtype) for x in (self.speed, self.correlation))
        left = jnp.exp(-self.step / correlation)
        fresh = jnp.sqrt(-jnp.expm1(-2 * self.step / correlation))
        kicks = speed * noise * jnp.where(jnp.arange(noise.size) == 0, 1.0, fresh)

        def after(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
            """One row of steps `x -> decay x + kick` and then another."""
            return a[0] * b[0], b[0] * a[1] + b[1]

        decays = jnp.full_like(kicks, left)
        return jax.lax.associative_scan(after, (decays, kicks))[1]
