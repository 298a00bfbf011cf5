"""Perceptual decision: which of two noisy inputs is larger?"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.verb import verb
from rnnjax._parameter import parameter
from rnnjax._types import Key, Scalar, Vector, is_traced
from rnnjax.tasks._base import AbstractTask, Trial, steps_of, window


class PerceptualDecision(AbstractTask):
    r"""Evidence for two choices, of which one has more, and the choice, right after it ends.

    $u_{0,1}(t) = \frac{1}{2} (1 \pm s\, g\, c / 100)$ while the stimulus is on; then
    $y^*_0, y^*_1$ are high and low for $s = +1$, low and high for $s = -1$

    The sign $s$ is either alike, the coherence $c$ (in %) uniform on a list. A third channel is 0
    during fixation and 1 from the stimulus to the end. What the network is given is
    $[b + u_i + \sigma\, \xi_i]_+$ on all three channels and at all times, with white noise $\xi$,
    of standard deviation $\sigma / \sqrt{h}$ in a step $h$. Fixation asks for low outputs, the
    decision for the choice; during the stimulus nothing counts.

    Args:
        fixation: before the stimulus, ms.
        stimulus: ms.
        decision: after the stimulus, ms.
        step: ms.
        coherences: the list of $c$, %; not negative.
        gain: $g$.
        baseline: $b$.
        noise: $\sigma$, in the input's unit times sqrt(ms).
        low: output that is not chosen.
        high: output that is chosen.

    Raises:
        ValueError: if a time is no multiple of the step, or the coherences are no list of them.

    References:
        Song, Yang and Wang (2016), Training excitatory-inhibitory recurrent neural networks for
        cognitive tasks, PLoS Computational Biology 12:e1004792, figure 2A; numbers as in its
        published code: the times and coherences of the version with a fixed stimulus, the third
        channel of that with a variable one, steps of 20 ms, noise $0.01 \sqrt{2 \tau}$ with
        $\tau$ = 100 ms. Left out, since all trials are alike here: its catch trials without a
        stimulus. The experiment is that of Roitman and Shadlen (2002), Journal of Neuroscience
        22:9475-9489 (cited, not read).
    """

    fixation: float = eqx.field(static=True, default=100.0)
    stimulus: float = eqx.field(static=True, default=800.0)
    decision: float = eqx.field(static=True, default=300.0)
    step: float = eqx.field(static=True, default=20.0)
    coherences: Vector = parameter([1.0, 2.0, 4.0, 8.0, 16.0], "%", doc="drawn from")
    gain: Scalar = parameter(3.2, "1", doc="of the coherence")
    baseline: Scalar = parameter(0.2, "1", doc="of the inputs")
    noise: Scalar = parameter(0.01 * 200**0.5, "sqrt(ms)", doc="of the inputs")
    low: Scalar = parameter(0.2, "1", doc="output not chosen")
    high: Scalar = parameter(1.0, "1", doc="output chosen")

    def __check_init__(self) -> None:
        """Refuse times that are no multiples of the step, and what is no list of coherences."""
        steps_of(self, "fixation")
        steps_of(self, "stimulus")
        steps_of(self, "decision")
        if not is_traced(self.coherences):
            values = np.asarray(self.coherences)
            if values.ndim != 1 or not values.size or (values < 0).any():
                raise ValueError(
                    "PerceptualDecision.coherences: expected a list of percentages that are not "
                    f"negative (either sign is drawn), got {np.array2string(values)}"
                )

    @property
    def inputs(self) -> int:
        """Two choices and the signal that the stimulus has begun."""
        return 3

    @property
    def outputs(self) -> int:
        """Two choices."""
        return 2

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        return sum(steps_of(self, name) for name in ("fixation", "stimulus", "decision"))

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        dtype = jnp.result_type(float)
        fixation, stimulus = steps_of(self, "fixation"), steps_of(self, "stimulus")
        of_sign, of_coherence, of_noise = jax.random.split(key, 3)
        coherence = jax.random.choice(of_coherence, jnp.asarray(self.coherences, dtype))
        gain, baseline, sigma, low, high = (
            jnp.asarray(x, dtype)
            for x in (self.gain, self.baseline, self.noise, self.low, self.high)
        )
        sides = jax.random.rademacher(of_sign, (), dtype) * jnp.asarray([1.0, -1.0], dtype)
        shown = window(self.steps, fixation, stimulus)
        begun = window(self.steps, fixation, self.steps)
        evidence = shown[:, None] * (1 + gain * coherence / 100 * sides)[None, :] / 2
        inputs = jnp.concatenate([evidence, begun[:, None]], axis=1)
        noise = sigma / self.step**0.5 * jax.random.normal(of_noise, inputs.shape, dtype)
        chosen = (begun - shown)[:, None] * (sides > 0).astype(dtype)[None, :]
        targets = low + (high - low) * chosen
        return Trial(jnp.maximum(baseline + inputs + noise, 0.0), targets, 1 - shown)
