"""Context-dependent integration: which way did the evidence that counts point?"""

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._machine.verb import verb
from rnnjax._parameter import parameter
from rnnjax._types import Key, Scalar
from rnnjax.tasks._base import AbstractTask, Trial, steps_of, window


class ContextIntegration(AbstractTask):
    r"""Two noisy streams of evidence at once, and a cue which of them to judge.

    $u_i(t) = d_i + \sigma\, \xi_i(t)$ while the stimulus is on, $y^* = \mathrm{sign}(d_c)$ in the
    response window

    The coherences $d_0$ (of motion, say) and $d_1$ (of color) are independent and uniform on
    $[-d, d]$, and $\xi$ is white noise: a sample has the standard deviation $\sigma / \sqrt{h}$
    with $h$ the step. The inputs are $u_0$, $u_1$, and the context $c$, 0 or 1 alike, as two
    channels of which one is 1 from the beginning to the end of the trial. The stimulus begins with
    the trial; the response window follows it. The output counts in the window only.

    Args:
        stimulus: how long the evidence lasts, ms.
        response: how long the answer counts, ms.
        step: ms.
        coherence: $d$.
        noise: $\sigma$, in the evidence's unit times sqrt(ms).

    Raises:
        ValueError: if a time is no multiple of the step, or the coherence is not positive.

    References:
        Mante, Sussillo, Shenoy and Newsome (2013), Context-dependent computation by recurrent
        dynamics in prefrontal cortex, Nature 503:78-84, the network model. The 750 ms of
        stimulus, the 4 inputs, $d = 0.1875$ and noise of standard deviation 1 in steps of 1 ms
        are a reconstruction, agreeing with code of others that quotes the paper; we did not have
        the paper's own text. The response window after the stimulus is our choice.
    """

    stimulus: float = eqx.field(static=True, default=750.0)
    response: float = eqx.field(static=True, default=50.0)
    step: float = eqx.field(static=True, default=1.0)
    coherence: Scalar = parameter(0.1875, "1", positive=True, doc="the largest one")
    noise: Scalar = parameter(1.0, "sqrt(ms)", doc="of the evidence")

    def __check_init__(self) -> None:
        """Refuse times that are no multiples of the step."""
        steps_of(self, "stimulus")
        steps_of(self, "response")

    @property
    def inputs(self) -> int:
        """Two streams of evidence and two contexts."""
        return 4

    @property
    def outputs(self) -> int:
        """One answer."""
        return 1

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        return steps_of(self, "stimulus") + steps_of(self, "response")

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        dtype = jnp.result_type(float)
        stimulus, response = steps_of(self, "stimulus"), steps_of(self, "response")
        of_coherence, of_context, of_noise = jax.random.split(key, 3)
        d = jnp.asarray(self.coherence, dtype) * jax.random.uniform(of_coherence, (2,), dtype, -1)
        cued = jax.random.randint(of_context, (), 0, 2)
        sigma = jnp.asarray(self.noise, dtype) / self.step**0.5
        evidence = d[None, :] + sigma * jax.random.normal(of_noise, (stimulus, 2), dtype)
        context = (jnp.arange(2) == cued).astype(dtype)
        inputs = jnp.concatenate(
            [
                jnp.pad(evidence, ((0, response), (0, 0))),
                jnp.broadcast_to(context[None, :], (self.steps, 2)),
            ],
            axis=1,
        )
        asked = window(self.steps, stimulus, response)
        answer = jnp.where(d[cued] > 0, 1.0, -1.0)
        return Trial(inputs, (answer * asked)[:, None], asked)
