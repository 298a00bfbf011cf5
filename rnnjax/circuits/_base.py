"""What every circuit is: parameters, a vector field and a resting state."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from rnnjax._gate import check_made
from rnnjax._parameter import Parametric
from rnnjax._types import Array, Expected, Float, Function, Input, InputLike, State
from rnnjax.connectivity._base import AbstractConnectivity

StateT = TypeVar("StateT")


def _rates(rates: Float[Any, "..."], currents: Float[Any, "..."]) -> State:
    return rates


class ThresholdLinear(NamedTuple):
    r"""The equilibria of a circuit as the fixed points of $y = [W y + b]_+$.

    Attributes:
        weights: $W$, `(units, units)`, `[post, pre]`.
        drive: $b$, thresholds and the input included, `(units,)` or one number.
        rectified: which units have the threshold, `(units,)` or one truth value; the others are
            linear, $y = W y + b$.
        state: arranges the rates $y$ and the currents $W y + b$, `(units,)` each, as a state of
            the circuit; the rates themselves unless given.
    """

    weights: Float[Any, "units units"]
    drive: Float[Any, "..."]
    rectified: Bool[Any, "..."] | bool = True
    state: Callable[[Array, Array], State] = _rates


class AbstractSystem(Parametric, Generic[StateT]):
    """What circuits and maps share: parameters, a state to start from, and an input."""

    state_unit: ClassVar[str] = ""

    @abc.abstractmethod
    def __call__(self, state: StateT, input: Input) -> StateT:
        """The time derivative of the state, or the next state of a map."""

    @abc.abstractmethod
    def rest(self) -> StateT:
        """A sensible state to start from; not a promise of an equilibrium."""

    def no_input(self) -> Any:
        """The input that means none: zeros in the structure of the state unless overridden."""
        return jax.tree.map(lambda x: np.zeros(np.shape(x)), self.rest())


class AbstractMap(AbstractSystem[StateT]):
    r"""A circuit in discrete time: its fields are parameters, its call gives the next state.

    $x_{n+1} = f(x_n, u(n))$

    Write one as a circuit is written. Times are numbers of iterations. `simulate` and
    `lyapunov_exponents` take maps; under noise $x_{n+1} = f(x_n, u(n)) + g(x_n) \xi_n$, $\xi_n$
    standard normal.
    """

    @abc.abstractmethod
    def __call__(self, state: StateT, input: Input) -> StateT:
        """The next state."""


class AbstractCircuit(AbstractSystem[StateT]):
    """A neural circuit: its fields are parameters, its call is the vector field.

    Write one by subclassing: declare parameters with `rnnjax.parameter`, write the equation in
    `__call__` for one state, without any batch axis, and say in `rest` where a run may start.
    Time enters only through the input, so that equilibria mean something for every circuit.
    """

    @abc.abstractmethod
    def __call__(self, state: StateT, input: Input) -> StateT:
        """The time derivative of the state, per ms."""

    def switching_functions(self, state: StateT, input: Input) -> Any:
        """What its rectifiers act on, `(m,)`: the vector field has a kink where one of them is 0.

        None, unless overridden, for a circuit that has no kinks. One that overrides it has its
        equilibria followed across them, see `rnnjax.bifurcations.BoundaryEquilibrium`.
        """
        return None

    def threshold_linear(self, input: Input) -> ThresholdLinear | None:
        """How its equilibria are those of threshold-linear units, where they are.

        A circuit that overrides it has all of them listed exactly by `enumerate_equilibria`.

        Args:
            input: the value at which the input is held.
        """
        return None


class Driven(eqx.Module):
    """A circuit together with its input, for verbs that vary the input's numbers as well.

    `where=lambda d: d.input.amplitude` then names the amplitude of the input.
    """

    circuit: Expected["AbstractCircuit[Any]"]
    input: Expected[InputLike]


def rectified(x: Float[Any, "..."]) -> Float[Array, "..."]:
    r"""$[x]_+ = \max(x, 0)$; its derivative at 0 is taken as 0."""
    return jax.nn.relu(x)


def is_rectified(nonlinearity: Function) -> bool:
    """Whether a response is the threshold-linear one."""
    return nonlinearity is rectified or nonlinearity is jax.nn.relu


def tanh(x: Float[Any, "..."]) -> Float[Array, "..."]:
    r"""$\tanh x$."""
    return jnp.tanh(x)


def logistic(x: Float[Any, "..."]) -> Float[Array, "..."]:
    r"""$1 / (1 + e^{-x})$."""
    return jax.nn.sigmoid(x)


def softplus(x: Float[Any, "..."]) -> Float[Array, "..."]:
    r"""$\log(1 + e^x)$."""
    return jax.nn.softplus(x)


# Jitted so that its name stands in the programs that call it, by which its bounds are looked up.
# A primitive of its own would need rules for derivatives, batches and platforms and save nothing:
# the compiler inlines the call, and `logaddexp` is looked up in the same way.
@jax.jit
def exp_linear(x: Float[Any, "..."]) -> Float[Array, "..."]:
    r"""$x / (1 - e^{-x})$: the rate of many ion channels, 1 at 0 and smooth there.

    Near 0, where the quotient and its derivatives lose their digits, its series in $x^2$ is used.
    """
    size = abs(x)
    near = size < 0.25
    away = jnp.where(near, jnp.ones_like(size), size)
    decay = jnp.exp(-away)
    quotient = away * jnp.where(x < 0, decay, 1) / (1 - decay)
    small = jnp.where(near, x, jnp.zeros_like(x))
    square, series = small**2, jnp.zeros_like(small)
    for coefficient in _BERNOULLI:
        series = series * square + coefficient
    return jnp.where(near, small / 2 + series, quotient)


# B_k / k! for k = 12, 10, ..., 0, the Bernoulli numbers B_k
_BERNOULLI = (
    -691 / 1307674368000, 1 / 47900160, -1 / 1209600, 1 / 30240, -1 / 720, 1 / 12, 1.0,
)  # fmt: skip


class AbstractNetwork(AbstractCircuit[Array]):
    """Units coupled by a connectivity; the state is one number per unit.

    Inputs have one number per unit, or one for all of them.
    """

    connectivity: eqx.AbstractVar[AbstractConnectivity]
    tau: eqx.AbstractVar[Any]

    def __check_init__(self) -> None:
        """Refuse a connectivity that is none, and per-unit numbers that do not fit it."""
        check_made(self.connectivity, f"{type(self).__name__}.connectivity")
        if not isinstance(self.connectivity, AbstractConnectivity):
            raise TypeError(
                f"{type(self).__name__}.connectivity: expected a connectivity such as "
                f"Dense(weights), got {type(self.connectivity).__name__}: wrap the matrix in Dense"
            )
        response = getattr(self, "nonlinearity", rectified)
        if not callable(response):
            raise TypeError(
                f"{type(self).__name__}.nonlinearity: expected a function, as rnnjax.circuits.tanh, "
                f".rectified, .logistic or .softplus, or one of your own, got {response!r}"
            )
        for name in ("tau", "bias"):
            shape = np.shape(getattr(self, name, 0.0))
            if shape not in ((), (self.connectivity.units,)):
                raise ValueError(
                    f"{type(self).__name__}.{name}: expected one number or one per unit "
                    f"({self.connectivity.units}), got shape {shape}"
                )

    def rest(self) -> Array:
        """Every unit at zero."""
        return jnp.zeros((self.connectivity.units,), jnp.result_type(self.tau))

    @abc.abstractmethod
    def rates(self, state: State) -> Array:
        """The firing rates that a state means."""
