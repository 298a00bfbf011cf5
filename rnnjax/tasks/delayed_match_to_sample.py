"""Delayed match to sample: is the test what was shown before?"""

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._machine.verb import verb
from rnnjax._parameter import counted, parameter
from rnnjax._types import Key, Scalar
from rnnjax.tasks._base import AbstractTask, Trial, steps_of, window


class DelayedMatchToSample(AbstractTask):
    r"""A sample, a delay, a test, and the answer whether the test was the sample.

    $y^* = +1$ if $b = a$, $-1$ otherwise, in the decision window

    Channel 0 is 1 except in the decision window, where it is 0. Stimulus $k$ of $K$ is channel
    $1 + k$ being 1: that of the sample $a$, uniform, and later that of the test $b$, which is the
    sample in half of the trials and any of the others alike in the other half. While a stimulus is
    on, its $K$ channels have white noise of standard deviation $\sigma / \sqrt{h}$, with $h$ the
    step. The output counts in the decision window only.

    Args:
        stimuli: $K$, at least 2.
        fixation: before the sample, ms.
        presentation: of the sample, and of the test, ms.
        delay: from the end of the sample to the test, ms.
        decision: right after the test, ms.
        step: ms.
        noise: $\sigma$, in the input's unit times sqrt(ms).

    Raises:
        ValueError: if a time is no multiple of the step, or there are fewer than two stimuli.

    References:
        The form with one test of two stimuli, its times, channels and noise are those of
        `DelayMatchSample` in NeuroGym (Molano-Mazon and others 2022), which names Miller, Erickson
        and Desimone (1996), Neural mechanisms of visual working memory in prefrontal cortex of the
        macaque, Journal of Neuroscience 16:5154-5167, whose animals saw several tests in a row;
        we did not have that paper. One signed answer, in place of a choice among three, the step,
        and more than two stimuli are our choices.
    """

    stimuli: int = eqx.field(static=True, default=2)
    fixation: float = eqx.field(static=True, default=300.0)
    presentation: float = eqx.field(static=True, default=500.0)
    delay: float = eqx.field(static=True, default=1000.0)
    decision: float = eqx.field(static=True, default=900.0)
    step: float = eqx.field(static=True, default=10.0)
    noise: Scalar = parameter(1.0, "sqrt(ms)", doc="of the stimuli")

    def __check_init__(self) -> None:
        """Refuse times that are no multiples of the step, and a single stimulus."""
        for name in ("fixation", "presentation", "delay", "decision"):
            steps_of(self, name)
        if counted(self.stimuli, "DelayedMatchToSample.stimuli") < 2:
            raise ValueError(
                "DelayedMatchToSample.stimuli: expected at least 2, since one alone always "
                f"matches, got {self.stimuli}"
            )

    @property
    def inputs(self) -> int:
        """The signal to wait and a channel per stimulus."""
        return 1 + self.stimuli

    @property
    def outputs(self) -> int:
        """One answer."""
        return 1

    @property
    def steps(self) -> int:
        """The number of steps of a trial."""
        before = steps_of(self, "fixation") + steps_of(self, "delay")
        return before + 2 * steps_of(self, "presentation") + steps_of(self, "decision")

    @verb
    def sample(self, key: Key) -> Trial:
        """One trial."""
        dtype, kinds = jnp.result_type(float), self.stimuli
        fixation, delay = steps_of(self, "fixation"), steps_of(self, "delay")
        length, decision = steps_of(self, "presentation"), steps_of(self, "decision")
        of_sample, of_match, of_other, of_noise = jax.random.split(key, 4)
        first = jax.random.randint(of_sample, (), 0, kinds)
        match = jax.random.bernoulli(of_match)
        other = (first + jax.random.randint(of_other, (), 1, kinds)) % kinds
        second = jnp.where(match, first, other)

        noise = jax.random.normal(of_noise, (self.steps, kinds), dtype)
        noise = jnp.asarray(self.noise, dtype) / self.step**0.5 * noise
        shown = jnp.zeros((self.steps, kinds), dtype)
        for start, which in ((fixation, first), (fixation + length + delay, second)):
            channel = (jnp.arange(kinds) == which).astype(dtype)
            shown += window(self.steps, start, length)[:, None] * (channel[None, :] + noise)
        asked = window(self.steps, self.steps - decision, decision)
        inputs = jnp.concatenate([1 - asked[:, None], shown], axis=1)
        return Trial(inputs, (jnp.where(match, 1.0, -1.0) * asked)[:, None], asked)
