"""Error forcing: the state is moved straight toward the states without error."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._numerics.trees import flatten
from rnnjax._parameter import parameter
from rnnjax._types import Array, Arrays, Float, Key, Scalar, State, as_given
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.forcing._base import (
    AbstractForcing,
    Moment,
    check_invertible,
    check_share,
    lead,
)
from rnnjax.forcing._feedback import AbstractFeedback, PseudoInverse


class ErrorForcing(AbstractForcing):
    r"""The state moves by a share of the smallest correction of its error.

    $\tilde h_t = h^-_t + \mathrm{stop}\left(c\, W^+ e_t\right), \qquad
    e_t = m_t (y^*_t - y_t), \qquad W^+ = W^\top (W W^\top + \epsilon)^{-1}$

    The correction is orthogonal to what the readout can't see, leaves $(1 - c)\, e_t$, and does not
    move outputs that are not asked for. The gradient takes it as given: credit runs through the network's own
    Jacobians, along the forced trajectory. For outputs that are not affine in the state (ours), $J$
    being their Jacobian at $h^-_t$, it is one damped Gauss-Newton step,
    $c\, J^\top (J J^\top + \epsilon + d\, \|W\|^2)^{-1} e_t$ with $\|W\|^2$ the mean square norm of a
    row of the readout weights, so that saturated outputs ask for no wild move; it leaves more.

    Args:
        gain: $c$, in `[0, 1]`, of the error of each step; 0 is no forcing. Where every step is
            forced it acts against the leak of a step, step over time constant, and should be well
            below that; where outputs are asked for in a short window 0.05 to 0.4 are sensible.
        feedback: in place of $W^+$: `PseudoInverse(ridge)`, `KalmanGain(variance_ratio)`, or, both
            ours, `Transpose()`, `RandomFeedback()`.
        previous_error: move by the error of the step before, $m_t\, e_{t-1}$, which a synapse could
            know; as with local learning rules.
        damping: $d$, for outputs that are not affine in the state.
        hold: whether the gradient takes the correction as given. False is an ablation (ours): each
            step's Jacobian is then multiplied by $1 - c\, W^+ W$.

    Raises:
        ValueError: for a gain outside `[0, 1]`, where errors would not shrink; in a fit, with
            `PseudoInverse`, for a readout whose outputs depend on each other.

    References:
        Sagtekin, Bredenberg and Savin (2025), Error forcing in recurrent neural networks, NeurIPS;
        its equations as in the published code.
    """

    gain: Scalar = parameter(0.2, "1", doc="share of the error that is made up for")
    feedback: AbstractFeedback = eqx.field(default_factory=PseudoInverse)
    previous_error: bool = eqx.field(static=True, default=False)
    hold: bool = eqx.field(static=True, default=True)
    damping: Scalar = parameter(0.01, "1", doc="of bent outputs, of the weights' square")

    def __check_init__(self) -> None:
        """Refuse a gain with which errors would not shrink."""
        if not isinstance(self.feedback, AbstractFeedback):
            raise TypeError(
                "ErrorForcing.feedback: expected PseudoInverse(), KalmanGain(), Transpose() or "
                f"RandomFeedback(), got {self.feedback!r}"
            )
        self._check_gain()

    def _check_gain(self) -> None:
        check_share(self.gain, "ErrorForcing.gain", "each step leaves 1 - gain of the error")

    @property
    def holds_correction(self) -> bool:
        """Whether the gradient takes its correction as given."""
        return self.hold

    @property
    def answers_to_readout(self) -> bool:
        """Whether its correction has a gradient in the readout: where it is not held."""
        return not self.hold

    @property
    def mixes_units(self) -> bool:
        """Whether its correction is differentiated: it leads from all units to all of them."""
        return not self.hold

    @property
    def looks_back(self) -> bool:
        """Whether it needs the error of the step before."""
        return self.previous_error

    def check(self, network: TaskNetwork) -> None:
        """Refuse a gain that is no share, and a readout that has no usable inverse."""
        self._check_gain()
        weights = network.readout.mixing()
        if weights is not None and self.feedback.inverts:
            check_invertible(weights, "ErrorForcing")

    def begin(self, network: TaskNetwork, key: Key | None) -> Arrays:
        """Feedback weights, where they are drawn."""
        return self.feedback.begin(network, flatten(network.rest())[0].size, key)

    def tools(
        self, network: TaskNetwork, memory: Arrays
    ) -> Float[Array, "variables outputs"] | tuple[TaskNetwork, Arrays]:
        """The feedback matrix, or a function of the state where it depends on that."""
        held = as_given(network)
        affine = held.readout.affine()
        if affine is not None:
            return self.feedback.matrix(affine.weights, memory)
        return held, memory

    def __call__(
        self, tools: Float[Array, "variables outputs"] | tuple[TaskNetwork, Arrays], moment: Moment
    ) -> State:
        """The state from which the next step starts."""
        vector, unravel = flatten(moment.state)
        if isinstance(tools, tuple):
            held, memory = tools
            jacobian = jax.jacrev(lambda x: held.outputs(unravel(x)))(vector)
            weights = held.readout.mixing()
            damping = 0.0 if weights is None else self.damping * _square(weights)
            tools = self.feedback.matrix(jacobian, memory, damping)
        error = moment.error
        if self.previous_error and moment.error_before is not None:
            error = moment.mask * moment.error_before
        correction = self.gain * lead(tools, error)
        if self.hold:
            correction = jax.lax.stop_gradient(correction)
        return unravel(vector + correction)


def _square(weights: Float[Array | np.ndarray, "outputs read"]) -> Float[Array, ""]:
    """The mean square norm of a row."""
    return jnp.mean(jnp.sum(jnp.square(weights), -1))
