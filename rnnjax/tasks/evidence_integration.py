"""Evidence integration: on which side were more cues?"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.verb import verb
from rnnjax._parameter import parameter
from rnnjax._types import Array, Float, Key, Scalar
from rnnjax.tasks._base import AbstractTask, Trial, steps_of, window


class EvidenceIntegration(AbstractTask):
    r"""A row of cues, each on one of two sides, a delay, and the side that had more of them.

    $y^* = +1$ if $n_0 > n - n_0$, $-1$ otherwise, in the response window.

    The $n$ cues (an odd number, so that there is no tie) last $c$ steps each, with $g$ steps
    between two; $n_0$ of them, in random order, are on channel 0 and the others on channel 1, with
    $n_0$ uniform on $\{1, \dots, n - 1\}$. After the last cue come the delay of $D$ steps and the
    response window of $r$. A trial has $n c + (n - 1) g + D + r$ steps. The output counts in the
    window only, and nothing in the inputs tells when it opens.

    Args:
        cues: $n$.
        cue: $c$ steps, in ms.
        gap: $g$ steps, in ms; may be 0.
        delay: $D$ steps, in ms; may be 0.
        response: $r$ steps, in ms.
        step: ms.
        amplitude: value of a channel during its cues.

    Raises:
        ValueError: if a time is no multiple of the step, or the number of cues is even.

    References:
        Sagtekin, Bredenberg and Savin (2025), Error forcing in recurrent neural networks, NeurIPS;
        seven cues, their timing and the response as in its published code. The default delay is
        our choice.
    """

    cues: int = eqx.field(static=True, default=7)
    cue: float = eqx.field(static=True, default=5.0)
    gap: float = eqx.field(static=True, default=5.0)
    delay: float = eqx.field(static=True, default=20.0)
    response: float = eqx.field(static=True, default=5.0)
    step: float = eqx.field(static=True, default=1.0)
    amplitude: Scalar = parameter(1.0, "1", doc="value during a cue")

    def __check_init__(self) -> None:
        """Refuse times that are no multiples of the step, and ties."""
        steps_of(self, "cue")
        steps_of(self, "gap", least=0)
        steps_of(self, "delay", least=0)
        steps_of(self, "response")
        if not isinstance(self.cues, int | np.integer) or self.cues < 3 or self.cues % 2 == 0:
            raise ValueError(
                "EvidenceIntegration.cues: expected an odd whole number of at least 3, so that "
                f"there is no tie, got {self.cues!r}"
            )

    @property
    def inputs(self) -> int:
        """The two sides."""
        return 2

    @property
    def outputs(self) -> int:
        """One answer."""
        return 1

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        return self._shown + steps_of(self, "delay", least=0) + steps_of(self, "response")

    @property
    def _shown(self) -> int:
        """The steps from the first cue to the end of the last one."""
        gaps = (self.cues - 1) * steps_of(self, "gap", least=0)
        return self.cues * steps_of(self, "cue") + gaps

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        of_number, of_order = jax.random.split(key)
        number = jax.random.randint(of_number, (), 1, self.cues)
        first = jax.random.permutation(of_order, self.cues) < number
        sides = jnp.stack([first, ~first], 1).astype(jnp.result_type(float))
        inputs = jnp.asarray(self.amplitude, sides.dtype) * self._row(sides)
        response = steps_of(self, "response")
        asked = window(self.steps, self.steps - response, response)
        answer = jnp.where(2 * number > self.cues, 1.0, -1.0)
        return Trial(inputs, (answer * asked)[:, None], asked)

    def _row(self, sides: Float[Array, "cues sides"]) -> Float[Array, "steps sides"]:
        """`(cues, 2)` in time: each for the length of a cue, and nothing between and after."""
        period = steps_of(self, "cue") + steps_of(self, "gap", least=0)
        on = (np.arange(period) < steps_of(self, "cue")).astype(sides.dtype)
        row = (sides[:, None, :] * on[None, :, None]).reshape(-1, 2)[: self._shown]
        return jnp.pad(row, ((0, self.steps - self._shown), (0, 0)))
