"""Generalized teacher forcing whose strength follows how fast gradients grow."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from rnnjax._numerics.trees import flatten
from rnnjax._parameter import counted, parameter
from rnnjax._types import Array, Float, Key, Scalar, State
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.forcing._base import (
    AbstractTeacher,
    Inverse,
    Moment,
    check_share,
    toward,
)
from rnnjax.tasks._base import Trial


def mean_of_norms(
    jacobians: Float[Array | np.ndarray, "steps n n"], weights: Float[Array | np.ndarray, " steps"]
) -> Float[Array, ""]:
    r"""The geometric mean of the norms, $\exp\sum_t w_t \ln\|J_t\|_2$."""
    counted = weights > 0  # a norm of 0 elsewhere is none of its business
    norms = jnp.where(counted, _norms(jacobians), jnp.ones_like(weights))
    return jnp.exp(jnp.sum(weights * jnp.log(norms)))


def norm_of_mean(
    jacobians: Float[Array | np.ndarray, "steps n n"], weights: Float[Array | np.ndarray, " steps"]
) -> Float[Array, ""]:
    r"""The norm of the mean, $\|\sum_t w_t J_t\|_2$."""
    return _norms(jnp.sum(weights[:, None, None] * jacobians, 0)[None])[0]


def largest_norm(
    jacobians: Float[Array | np.ndarray, "steps n n"], weights: Float[Array | np.ndarray, " steps"]
) -> Float[Array, ""]:
    r"""The largest norm, $\max_{w_t > 0} \|J_t\|_2$."""
    return jnp.max(jnp.where(weights > 0, _norms(jacobians), jnp.zeros_like(weights)))


def _norms(jacobians: Float[Array | np.ndarray, "steps n n"]) -> Float[Array, " steps"]:
    # the largest singular value, by the eigenvalues of a symmetric matrix; lowers everywhere
    gram = jnp.matmul(jacobians.swapaxes(-1, -2), jacobians, precision="highest")
    return jnp.sqrt(jnp.linalg.eigvalsh(gram)[..., -1])


class AdaptiveTeacherForcing(AbstractTeacher):
    r"""Generalized teacher forcing with $\alpha$ from the Jacobians along the targets.

    $\tilde h_t = (1 - \alpha)\, h^-_t + \alpha\, W^+ (y^*_t - b)$

    Every so many steps of training $\alpha^* = \max(0, 1 - 1 / S)$, with $S$ the largest over the
    trials of an estimate of how much one step stretches, from the Jacobians $J_t$ of the step that
    begins at the state $W^+ (y^*_t - b)$, where all outputs are asked for; then
    $\alpha \leftarrow \alpha^*$ if that is larger, else $\alpha \leftarrow \gamma \alpha + (1 - \gamma)\, \alpha^*$.

    Args:
        estimate: $S$ of the Jacobians of one trial, `(steps, n, n)`, and their weights $w_t$,
            `(steps,)`, which add up to 1 and are 0 where nothing is asked: `mean_of_norms`,
            `norm_of_mean` or `largest_norm` of `rnnjax.forcing`, or a function of your own.
        every: steps of training between estimates.
        start: $\alpha$ at first.
        decay: $\gamma$.
        ridge: of the pseudo-inverse.

    Raises:
        ValueError: for numbers outside `[0, 1]`; in a fit, for a readout that is not affine in the
            state or has no inverse.

    References:
        Hess, Monfared, Brenner and Durstewitz (2023), Generalized teacher forcing for learning
        chaotic dynamics, ICML; defaults of its published code. Of the estimates there those that
        need a matrix logarithm or its own network are left out.
    """

    estimate: Callable[[Float[Array, "steps n n"], Float[Array, " steps"]], Float[Array, ""]] = (
        mean_of_norms
    )
    every: int = eqx.field(static=True, default=5)
    start: Scalar = parameter(1.0, "1", doc="alpha at first")
    decay: Scalar = parameter(0.999, "1", doc="how slowly alpha falls")
    ridge: Scalar = parameter(1e-7, "1", positive=True, doc="keeps the inverse finite")

    def __check_init__(self) -> None:
        """Refuse numbers that can't be right."""
        counted(self.every, "AdaptiveTeacherForcing.every")
        check_share(self.start, "AdaptiveTeacherForcing.start", "the state is mixed from two")
        check_share(self.decay, "AdaptiveTeacherForcing.decay", "alpha is a mean of two")

    def begin(self, network: TaskNetwork, key: Key | None) -> Float[Array, ""]:
        """The first alpha."""
        return jnp.asarray(self.start)

    def advance(
        self, memory: Float[Array, ""], k: Int[Array, ""], network: TaskNetwork,
        step: Callable[[State, Array], State], trials: Trial,
    ) -> Float[Array, ""]:  # fmt: skip
        """The next alpha."""
        inverse = self.inverse(network)
        _, unravel = flatten(network.rest())

        def jacobian(row: tuple[Float[Array, " inputs"], Float[Array, " outputs"]]) -> Array:
            inputs, target = row

            def once(vector: Float[Array, " variables"]) -> Float[Array, " variables"]:
                return flatten(step(unravel(vector), inputs))[0]

            return jax.jacfwd(once)(inverse.lead(target - inverse.bias))

        def largest_of(trial: Trial) -> Array:
            # the state that a target means is left by the next step, with its inputs
            asked = jnp.min(trial.mask, -1)[:-1]
            weights = asked / jnp.maximum(jnp.sum(asked), 1.0)
            jacobians = jax.lax.map(jacobian, (trial.inputs[1:], trial.targets[:-1]))
            return jnp.where(jnp.sum(asked) > 0, self.estimate(jacobians, weights), 0.0)

        def estimated(alpha: Float[Array, ""]) -> Float[Array, ""]:
            largest = jnp.maximum(jnp.max(jax.lax.map(largest_of, trials)), 1.0)
            wanted = 1 - 1 / largest
            return jnp.where(wanted > alpha, wanted, self.decay * alpha + (1 - self.decay) * wanted)

        return jax.lax.cond(k % self.every == 0, estimated, lambda alpha: alpha, memory)

    def tools(
        self, network: TaskNetwork, memory: Float[Array, ""]
    ) -> tuple[Inverse, Float[Array, ""]]:
        """The readout, its inverse, and alpha."""
        return self.inverse(network), memory

    def __call__(self, tools: tuple[Inverse, Float[Array, ""]], moment: Moment) -> State:
        """The state from which the next step starts."""
        inverse, alpha = tools
        return toward(moment, inverse, alpha)
