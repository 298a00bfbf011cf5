"""What every forcing is: how training moves the state at each step, before the next one begins."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from rnnjax._numerics.dense import inverse
from rnnjax._numerics.trees import flatten
from rnnjax._parameter import Parametric
from rnnjax._types import Array, Arrays, Float, Key, PerUnit, Scalar, State, as_given, is_traced
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.tasks._base import Trial


class Moment(NamedTuple):
    """What a forcing is told after a step.

    Attributes:
        state: $h^-_t$, where the step has led.
        error: $e_t = m_t (y^*_t - y_t)$ there, `(outputs,)`.
        error_before: $e_{t-1}$ for a forcing that `looks_back`, else None.
        target: $y^*_t$.
        mask: $m_t$, 1 for each output that is asked for, `(outputs,)`.
        asked: 1 where all outputs are asked for, else 0.
        acts: 1 at the steps that `acting` names, else 0.
    """

    state: State
    error: Float[Array, " outputs"]
    error_before: Float[Array, " outputs"] | None
    target: Float[Array, " outputs"]
    mask: Float[Array, " outputs"]
    asked: Float[Array, ""]
    acts: Float[Array, ""]


class AbstractForcing(Parametric):
    r"""What training does to the state: $\tilde h_t = \mathrm{force}(h^-_t, e_t, y^*_t)$.

    Outputs and loss are of $h^-_t$, the state before forcing; the next step starts from
    $\tilde h_t$. Forcing happens in training alone; validation never sees it.

    Write one by subclassing: `tools` is worked out once per pass, `__call__` is one step of one
    trial. What it returns is what the next step starts from: it is its own duty to leave the state
    as it is where `moment.mask` (or `asked`, or `acts`) says so, to stop the gradient
    (`jax.lax.stop_gradient`) where it `holds_correction`, and to say so where it `mixes_units`.
    """

    @property
    def holds_correction(self) -> bool:
        """Whether its correction is the same for the gradient as for the pass, without derivative.

        Rules that perturb the network refuse it, whose correction would answer to them.
        """
        return False

    @property
    def answers_to_readout(self) -> bool:
        """Whether its correction has a gradient in what is trained of the readout.

        Node perturbation, which gives the state alone credit, refuses it.
        """
        return False

    @property
    def mixes_units(self) -> bool:
        """Whether it has a gradient from one unit's state to another's.

        Local rules, which know a unit's own way to itself alone, refuse it.
        """
        return False

    @property
    def needs_all_outputs(self) -> bool:
        """Whether it acts only at steps that ask for all outputs."""
        return False

    @property
    def acts_on_state(self) -> bool:
        """Whether it does anything; what does not is spared the readout at every step."""
        return True

    @property
    def looks_back(self) -> bool:
        """Whether it needs the error of the step before."""
        return False

    def check(self, network: TaskNetwork) -> None:
        """Refuse a network that can't be forced in this way.

        Raises:
            ValueError: says what is missing.
        """

    def begin(self, network: TaskNetwork, key: Key | None) -> Arrays:
        """What it remembers from one step of training to the next, at the start of a fit."""
        return None

    def advance(
        self, memory: Arrays, k: Int[Array, ""], network: TaskNetwork,
        step: Callable[[State, Array], State], trials: Trial,
    ) -> Arrays:  # fmt: skip
        """What it remembers after step k of training.

        Args:
            memory: what it remembered.
            k: number of the step of training.
            network: the network.
            step: `(state, inputs) -> state`, one step of it.
            trials: the trials of step k, lanes in front.
        """
        return memory

    def tools(self, network: TaskNetwork, memory: Arrays) -> Any:
        """What a pass needs of the network, without a gradient."""
        return None

    def acting(self, steps: int) -> np.ndarray | None:
        """`(steps,)`, 1 at the steps of a trial at which it acts; None for all of them."""
        return None

    @abc.abstractmethod
    def __call__(self, tools: Any, moment: Moment) -> State:
        """The state from which the next step starts."""


class NoForcing(AbstractForcing):
    r"""Nothing: $\tilde h_t = h^-_t$, the network runs by itself."""

    @property
    def acts_on_state(self) -> bool:
        """It does nothing."""
        return False

    def __call__(self, tools: Any, moment: Moment) -> State:
        """The state as it is."""
        return moment.state


class Inverse(NamedTuple):
    """An affine readout and its inverse, without a gradient.

    Attributes:
        weights: $W$, `(outputs, variables)`.
        bias: $b$.
        back: $W^+$, `(variables, outputs)`.
    """

    weights: Float[Array, "outputs variables"]
    bias: PerUnit
    back: Float[Array, "variables outputs"]

    def seen(self, vector: Float[Array, " variables"]) -> Float[Array, " outputs"]:
        """The outputs of a state, $W h + b$."""
        return (self.weights * vector).sum(-1) + self.bias

    def lead(self, outputs: Float[Array, " outputs"]) -> Float[Array, " variables"]:
        """$W^+ y$."""
        return lead(self.back, outputs)


def lead(
    back: Float[Array, "variables outputs"], outputs: Float[Array, " outputs"]
) -> Float[Array, " variables"]:
    """What outputs mean for the state, `back @ outputs`; there are few outputs."""
    return (back * outputs).sum(-1)


def pseudo_inverse(
    weights: Float[Array | np.ndarray, "outputs variables"], ridge: Scalar
) -> Float[Array, "variables outputs"]:
    r"""$W^\top (W W^\top + \lambda 1)^{-1}$, `(variables, outputs)`.

    References:
        Sagtekin, Bredenberg and Savin (2025), with $\lambda = 10^{-7}$ in its published code.
    """
    gram = jnp.matmul(weights, weights.T, precision="highest")
    regular = gram + ridge * jnp.eye(weights.shape[0], dtype=gram.dtype)
    return jnp.matmul(weights.T, inverse(regular), precision="highest")


def check_invertible(
    weights: Float[Array | np.ndarray, "*fits outputs variables"], owner: str
) -> None:
    """Refuse readout weights that have no usable inverse.

    Raises:
        ValueError: for more outputs than variables, or outputs that depend on each other.
    """
    if is_traced(weights):
        return
    weights = np.asarray(weights, np.float64)
    weights = weights.reshape(-1, *weights.shape[-2:])
    outputs, variables = weights.shape[-2:]
    if outputs > variables:
        raise ValueError(
            f"{owner}: expected at most as many outputs as state variables ({variables}), got "
            f"{outputs} outputs: no state gives all of them; read out fewer"
        )
    condition = np.linalg.cond(weights @ weights.swapaxes(-1, -2))
    if not (condition < 0.1 / jnp.finfo(jnp.result_type(float)).eps).all():
        raise ValueError(
            f"{owner}: expected a readout whose outputs do not depend on each other, got weights "
            f"with condition number {np.max(condition):.2g} of W W^T: the correction would be "
            "arbitrarily large; draw other readout weights"
        )


def toward(moment: Moment, inverse: Inverse, share: Scalar) -> State:
    r"""The state moved by a share toward $W^+ (y^* - b)$, the least state that gives the target."""
    vector, unravel = flatten(moment.state)
    wanted = inverse.lead(moment.target - inverse.bias)
    share = moment.acts * moment.asked * share
    return unravel((1 - share) * vector + share * wanted)


def check_share(value: PerUnit, name: str, why: str) -> None:
    """Refuse what is no share, in `[0, 1]`."""
    numbers = np.zeros(()) if is_traced(value) else np.asarray(value)
    if ((numbers < 0) | (numbers > 1)).any():
        raise ValueError(f"{name}: expected a number in [0, 1], got {numbers!s}: {why}")


class AbstractTeacher(AbstractForcing):
    r"""A forcing that knows a state from the targets, $W^+ (y^* - b)$.

    Trials begin at the network's own start, in training and in validation, not at a state that is
    taken from the first target.

    Attributes:
        ridge: of the pseudo-inverse.
    """

    ridge: eqx.AbstractVar[Scalar]

    @property
    def needs_all_outputs(self) -> bool:
        """All of them make a state."""
        return True

    def check(self, network: TaskNetwork) -> None:
        """Refuse a readout that bends, reads rates, or has no inverse."""
        owner, affine = type(self).__name__, network.readout.affine()
        if affine is None:
            raise ValueError(
                f"{owner} replaces the state by what the targets mean, so it needs outputs that are "
                f"affine in the state: use StateReadout(weights) without a nonlinearity, got "
                f"{type(network.readout).__name__}; ErrorForcing takes any readout"
            )
        check_invertible(affine.weights, owner)

    def inverse(self, network: TaskNetwork) -> Inverse:
        """The readout and its pseudo-inverse, without a gradient."""
        held: Any = as_given(network.readout.affine())  # `check` has seen that it is affine
        return Inverse(held.weights, held.bias, pseudo_inverse(held.weights, self.ridge))

    def tools(self, network: TaskNetwork, memory: Arrays) -> Any:
        """The readout and its inverse."""
        return self.inverse(network)
