"""Delayed exclusive or: were the two pulses alike?"""

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._machine.verb import verb
from rnnjax._types import Key
from rnnjax.tasks._base import AbstractTask, Trial, steps_of, window


class DelayedXOR(AbstractTask):
    r"""Two pulses of $\pm 1$, a delay, and the answer whether they were alike.

    $y^* = s_1 s_2$ in the response window: $+1$ if $s_1 = s_2$, $-1$ otherwise.

    With a pulse of $d$ steps and a delay of $D$: channel 0 is $s_1$ during $[0, d)$, channel 1 is $s_2$
    during $[2d, 3d)$, channel 2 is 1 except in the response window $[3d + D + j, 4d + D + j)$; the
    jitter $j$ is uniform on $\{-\lfloor d/2 \rfloor, \dots, \lfloor d/2 \rfloor - 1\}$. A trial has
    $4d + \lfloor d/2 \rfloor + D$ steps. Outputs count in the window only.

    Args:
        delay: $D$ steps, from the end of the second pulse to the response, in ms.
        pulse: $d$ steps, in ms.
        step: ms.

    Raises:
        ValueError: if a time is no multiple of the step, or the delay is shorter than half a pulse.

    References:
        Sagtekin, Bredenberg and Savin (2025), Error forcing in recurrent neural networks, NeurIPS;
        timing as in its published code.
    """

    delay: float = eqx.field(static=True, default=20.0)
    pulse: float = eqx.field(static=True, default=10.0)
    step: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        """Refuse times that are no multiples of the step."""
        jitter = steps_of(self, "pulse", least=2) // 2
        if steps_of(self, "delay") < jitter:
            raise ValueError(
                "DelayedXOR.delay: expected at least half a pulse, by which the response can come "
                f"sooner, got {self.delay!r} ms with pulses of {self.pulse:g} ms"
            )

    @property
    def inputs(self) -> int:
        """Two pulses and the signal to wait."""
        return 3

    @property
    def outputs(self) -> int:
        """One answer."""
        return 1

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        d = steps_of(self, "pulse")
        return 4 * d + d // 2 + steps_of(self, "delay")

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        d, delay = steps_of(self, "pulse"), steps_of(self, "delay")
        of_signs, of_jitter = jax.random.split(key)
        first, second = jax.random.rademacher(of_signs, (2,), jnp.result_type(float))
        jitter = jax.random.randint(of_jitter, (), -(d // 2), d // 2)
        asked = window(self.steps, 3 * d + delay + jitter, d)
        inputs = [
            first * window(self.steps, 0, d), second * window(self.steps, 2 * d, d), 1 - asked
        ]  # fmt: skip
        return Trial(jnp.stack(inputs, 1), (first * second * asked)[:, None], asked)
