"""Node perturbation: nudge the units, and see."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._numerics.memory import AbstractMemory
from rnnjax._parameter import parameter
from rnnjax._types import Array, Arrays, Float, Key, Scalar
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._base import Run, fastest_memory
from rnnjax.credit._local import with_feedback
from rnnjax.credit._perturbed import AbstractPerturbation
from rnnjax.forcing._base import AbstractForcing


class NodePerturbation(AbstractPerturbation):
    r"""Every unit is nudged at every step, and gets credit for what the loss does.

    $\lambda_t = \frac{L(h + \sigma \xi) - L(h)}{\sigma}\, \xi_t, \qquad
    g = \sum_t \lambda_t\, \frac{\partial h_t}{\partial \theta}
    + \frac{\partial L}{\partial \theta}$

    $\xi_t \sim N(0, 1)$ is added to the state after each step, of each trial by itself, and
    $\lambda_t$ estimates $dL / dh_t$; what a number does to the state within one step is known
    locally, and the readout has its own gradient. The mean is the gradient as $\sigma \to 0$; the
    variance grows with the number of units and steps.

    Args:
        size: $\sigma$, in the state's unit.
        samples: nudged runs whose mean is taken.
        memory: what is kept of the steps, as for `BackpropagationThroughTime`.

    Raises:
        ValueError: with a forcing whose correction is held, or has a gradient in the readout;
            without a key.

    References:
        Fiete and Seung (2006), Physical Review Letters 97:048104, for conductances of recurrent
        networks; in the form of differences from an unperturbed run, Werfel, Xie and Seung (2005),
        Neural Computation 17:2699-2718.
    """

    exact = False
    size: Scalar = parameter(1e-2, "1", positive=True, doc="standard deviation")
    samples: int = eqx.field(static=True, default=1)
    memory: AbstractMemory | None = None

    def check(self, network: TaskNetwork, forcing: AbstractForcing) -> None:
        """Refuse a forcing through which the readout moves the state."""
        super().check(network, forcing)
        if forcing.answers_to_readout:
            raise ValueError(
                "NodePerturbation gives credit to the state, and the correction of "
                f"{type(forcing).__name__} has a gradient in the readout as well, which it would "
                "miss: use NoForcing(), WeightPerturbation() or "
                "BackpropagationThroughTime()"
            )

    def value_and_gradient(
        self, run: Run, rebuild: Callable[[Sequence[Array]], TaskNetwork], free: Sequence[Array],
        memory: Arrays, key: Key | None,
    ) -> tuple[Float[Array, ""], Sequence[Array]]:  # fmt: skip
        """The mean loss of the run without nudges, and the estimate of the gradient."""
        network = rebuild(free)
        quiet = run(network).totals
        size = jnp.asarray(self.size, quiet.dtype)

        def sample(
            signals: Float[Array, "lane step variable"], key: Key
        ) -> tuple[Float[Array, "lane step variable"], None]:
            nudges = jax.random.normal(key, run.shape, quiet.dtype)
            nudged = run(network, nudges=size * nudges).totals
            credit = (nudged - quiet) / size
            return signals + credit[:, None, None] * nudges / self.samples, None

        signals, _ = jax.lax.scan(sample, jnp.zeros(run.shape, quiet.dtype), self.keys(key))

        keeps = fastest_memory(run.shape[2]) if self.memory is None else self.memory

        def surrogate(free: Sequence[Array]) -> Array:
            network = rebuild(free)
            passed = run(
                network, seen=with_feedback(network, None), memory=keeps, cut=1,
                signals=signals,
            )  # fmt: skip
            return jnp.mean(passed.losses + passed.overlaps)

        return jnp.mean(quiet), jax.grad(surrogate)(free)
