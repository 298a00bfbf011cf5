"""How an error at the outputs is led back to the state."""

import abc

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import Parametric, parameter
from rnnjax._types import Array, Arrays, Float, Key, Scalar
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.forcing._base import pseudo_inverse


class AbstractFeedback(Parametric):
    """A matrix from outputs to state variables."""

    @property
    def inverts(self) -> bool:
        """Whether it needs outputs that do not depend on each other."""
        return False

    def begin(self, network: TaskNetwork, variables: int, key: Key | None) -> Arrays:
        """What is drawn once, at the start of a fit."""
        return None

    @abc.abstractmethod
    def matrix(
        self, weights: Float[Array | np.ndarray, "outputs variables"], memory: Arrays,
        damping: Scalar = 0.0,
    ) -> Float[Array, "variables outputs"]:  # fmt: skip
        """`(variables, outputs)`, for readout weights or the Jacobian of the outputs.

        `damping` is added to the squares of an inverse.
        """


class PseudoInverse(AbstractFeedback):
    r"""The smallest change of the state that makes up for an error: $W^\top (W W^\top + \epsilon)^{-1}$.

    Args:
        ridge: $\epsilon$; take 1e-12 in float64.

    References:
        Sagtekin, Bredenberg and Savin (2025); $\epsilon$ of its published code.
    """

    ridge: Scalar = parameter(1e-7, "1", positive=True, doc="keeps the inverse finite")

    @property
    def inverts(self) -> bool:
        """It does."""
        return True

    def matrix(
        self, weights: Float[Array | np.ndarray, "outputs variables"], memory: Arrays,
        damping: Scalar = 0.0,
    ) -> Float[Array, "variables outputs"]:  # fmt: skip
        """The pseudo-inverse."""
        return pseudo_inverse(weights, self.ridge + damping)


class KalmanGain(AbstractFeedback):
    r"""The most likely state, given a noisy target: $W^\top (W W^\top + \lambda)^{-1}$.

    With the prior $N(h^-, \sigma_h^2)$ from the dynamics and the likelihood
    $N(y^*; W h + b, \sigma_y^2)$ it is, with `ErrorForcing(gain=1.0)`, one Kalman update where all
    outputs are asked for, $\lambda = \sigma_y^2 / \sigma_h^2$; outputs that are not count as right.
    Of bent outputs the damping of `ErrorForcing` comes on top of $\lambda$. For orthonormal readout
    weights that is a gain of $1 / (1 + \lambda)$; a smaller `gain` is a share of it. Ours, a
    reconstruction from what error forcing approximates, not read in the paper.

    Args:
        variance_ratio: $\lambda$.
    """

    variance_ratio: Scalar = parameter(1.0, "1", positive=True, doc="of target and dynamics")

    def matrix(
        self, weights: Float[Array | np.ndarray, "outputs variables"], memory: Arrays,
        damping: Scalar = 0.0,
    ) -> Float[Array, "variables outputs"]:  # fmt: skip
        """The Kalman gain."""
        return pseudo_inverse(weights, self.variance_ratio + damping)


class Transpose(AbstractFeedback):
    r"""Back along the readout weights: $W^\top$. Ours, not published."""

    def matrix(
        self, weights: Float[Array | np.ndarray, "outputs variables"], memory: Arrays,
        damping: Scalar = 0.0,
    ) -> Float[Array, "variables outputs"]:  # fmt: skip
        """The transpose."""
        return jnp.transpose(weights)


class RandomFeedback(AbstractFeedback):
    r"""Back along fixed random weights $B_{ik} \sim N(0, s^2)$, drawn at the start of a fit.

    Ours, not published. It needs the fit's key.

    Args:
        scale: $s$.
    """

    scale: Scalar = parameter(1.0, "1", positive=True, doc="standard deviation of the weights")

    def begin(self, network: TaskNetwork, variables: int, key: Key | None) -> Arrays:
        """The weights."""
        if key is None:
            raise ValueError("RandomFeedback needs key=: give the fit one, jax.random.key(0)")
        shape = (variables, network.readout.channels)
        drawn = jax.random.normal(key, shape, jnp.result_type(float))
        return jnp.asarray(self.scale, drawn.dtype) * drawn

    def matrix(
        self, weights: Float[Array | np.ndarray, "outputs variables"], memory: Arrays,
        damping: Scalar = 0.0,
    ) -> Float[Array, "variables outputs"]:  # fmt: skip
        """The weights that were drawn."""
        return memory
