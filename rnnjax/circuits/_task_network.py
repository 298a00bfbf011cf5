"""A circuit with a way in and a way out, so that it can do a task."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._machine.verb import verb
from rnnjax._numerics.trees import flatten
from rnnjax._parameter import Parametric, parameter
from rnnjax._types import Array, Arrays, Expected, Float, Function, Input, Key, PerUnit, State, T
from rnnjax.circuits._base import AbstractCircuit, ThresholdLinear
from rnnjax.circuits._checks import starting_state
from rnnjax.connectivity._base import times


@runtime_checkable
class Channels(Protocol):
    """What counts its inputs and outputs, as a task does."""

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        ...

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        ...


class AbstractEncoder(Parametric):
    """How the inputs of a task enter a circuit: `encoder(inputs) -> input of the circuit`."""

    @property
    @abc.abstractmethod
    def channels(self) -> int:
        """The number of inputs."""

    @abc.abstractmethod
    def __call__(self, inputs: Float[Array | np.ndarray, " channels"]) -> Input:
        """The circuit's input, in its structure."""


class AbstractReadout(Parametric):
    """What is read out of a circuit: `readout(circuit, state) -> outputs`."""

    @property
    @abc.abstractmethod
    def channels(self) -> int:
        """The number of outputs."""

    @abc.abstractmethod
    def __call__(self, circuit: AbstractCircuit[Any], state: State) -> Float[Array, " channels"]:
        """The outputs of one state."""

    def check(self, circuit: AbstractCircuit[Any]) -> None:
        """Refuse a circuit that it can't be read out of.

        Raises:
            TypeError, ValueError: says what was expected.
        """

    def reads(self, circuit: AbstractCircuit[Any], state: State) -> Float[Array, " read"]:
        """What the outputs are made of, as one vector: the state unless overridden."""
        return flatten(state)[0]

    def width(self, circuit: AbstractCircuit[Any]) -> int:
        """How many numbers it reads."""
        return eqx.filter_eval_shape(lambda c: self.reads(c, c.rest()), circuit).shape[0]

    def mixing(self) -> Float[Array | np.ndarray, "channels read"] | None:
        """The weights by which outputs are sums, before these are bent; None where they are none."""
        return None

    def affine(self) -> "Affine | None":
        """Its weights and bias where the outputs are affine in the flattened state, else None.

        Teacher forcing takes affine readouts alone.
        """
        return None


class Affine(NamedTuple):
    """Outputs that are affine in the flattened state: $y = W x + b$.

    Attributes:
        weights: `(channels, variables)`.
        bias: `(channels,)` or one number.
    """

    weights: Float[Array | np.ndarray, "channels variables"]
    bias: PerUnit


class LinearEncoder(AbstractEncoder):
    r"""Each input reaches each unit by a weight: $h = W u$.

    Args:
        weights: `(units, channels)`, `[post, pre]`; of a circuit whose input is a structure, one
            matrix for each part of it, `(channels,)` for one number.
    """

    weights: Arrays = parameter(unit="1", doc="of each input onto each unit")

    @property
    def channels(self) -> int:
        """The number of inputs."""
        return jax.tree.leaves(self.weights)[0].shape[-1]

    def __call__(self, inputs: Float[Array | np.ndarray, " channels"]) -> Input:
        """The drive of each unit."""
        return jax.tree.map(
            lambda w: times(w, inputs) if w.ndim == 2 else (w * inputs).sum(-1), self.weights
        )


def identity(x: T) -> T:
    """$x$."""
    return x


class AbstractLinearReadout(AbstractReadout):
    """Outputs that are a bent sum of what is read: $y = g(W r + b)$."""

    weights: eqx.AbstractVar[Float[Array | np.ndarray, "channels read"]]
    bias: eqx.AbstractVar[PerUnit]
    nonlinearity: eqx.AbstractVar[Function]

    @property
    def channels(self) -> int:
        """The number of outputs."""
        return self.weights.shape[0]

    def check(self, circuit: AbstractCircuit[Any]) -> None:
        """Refuse weights that do not fit what is read."""
        read = self.width(circuit)
        shape = np.shape(self.weights)
        if len(shape) != 2 or shape[1] != read:
            raise ValueError(
                f"TaskNetwork.readout.weights: expected (outputs, {read}) for "
                f"{type(circuit).__name__}, got {shape}"
            )

    def mixing(self) -> Float[Array | np.ndarray, "channels read"] | None:
        """The weights."""
        return self.weights

    def __call__(self, circuit: AbstractCircuit[Any], state: State) -> Float[Array, " channels"]:
        """The outputs of one state."""
        return self.nonlinearity(times(self.weights, self.reads(circuit, state)) + self.bias)


class StateReadout(AbstractLinearReadout):
    r"""Outputs from the state itself: $y = g(W x + b)$.

    Args:
        weights: `(channels, variables)`, over the flattened state.
        bias: one number, or one per channel.
        nonlinearity: $g$ of one vector of outputs; none unless given.
    """

    weights: Float[Array | np.ndarray, "channels variables"] = parameter(
        unit="1", doc="of each variable"
    )
    bias: PerUnit = parameter(0.0, "1", doc="added to each output")
    nonlinearity: Function = identity

    def affine(self) -> Affine | None:
        """The weights and the bias, where nothing is bent."""
        return Affine(self.weights, self.bias) if self.nonlinearity is identity else None


class RateReadout(AbstractLinearReadout):
    r"""Outputs from the firing rates: $y = g(W F(x) + b)$.

    Args:
        weights: `(channels, units)`.
        bias: one number, or one per channel.
        nonlinearity: $g$ of one vector of outputs; none unless given.
    """

    weights: Float[Array | np.ndarray, "channels units"] = parameter(
        unit="1", doc="of each unit's rate"
    )
    bias: PerUnit = parameter(0.0, "1", doc="added to each output")
    nonlinearity: Function = identity

    def reads(self, circuit: AbstractCircuit[Any], state: State) -> Float[Array, " read"]:
        """The rates."""
        rates = getattr(circuit, "rates", None)
        if rates is None:
            raise TypeError(
                f"TaskNetwork: {type(circuit).__name__} has no rates to read out: use "
                "StateReadout(weights), or write a readout of your own"
            )
        return rates(state)


class TaskNetwork(AbstractCircuit[Any]):
    r"""A circuit that does a task: inputs enter through an encoder, outputs leave by a readout.

    $\dot x = f(x, E(u)), \qquad y = R(x)$

    It is a circuit itself, whose input is that of the task, so that its equilibria under a held
    input, its exponents and its sweeps come from the same verbs. Error forcing inverts the readout.
    On a task it takes one Euler step per sample (`OnTask`); verbs of the dynamics are of the
    differential equations. With time constants of one step it is a network in discrete time: a
    `RateNetwork` then $r_t = F(M r_{t-1} + b + h_t)$, as `torch.nn.RNN`, a `CurrentNetwork`
    $x_t = M F(x_{t-1}) + b + h_t$.

    Args:
        circuit: the circuit, in continuous time.
        encoder: how inputs enter, e.g. `LinearEncoder(weights)`.
        readout: `StateReadout(weights)` or `RateReadout(weights)`.
        start: the state at the beginning of a trial, and wherever else none is given; it can be
            trained. Where the circuit rests unless given.

    Raises:
        TypeError: for parts that are none.
        ValueError: for parts that do not fit together.
    """

    circuit: AbstractCircuit[Any]
    encoder: AbstractEncoder
    readout: AbstractReadout
    start: State | None = parameter(None, "circuit's", doc="state at the beginning of a trial")

    def __check_init__(self) -> None:
        """Refuse parts that do not fit."""
        for name, kind, example in (
            ("circuit", AbstractCircuit, "CurrentNetwork()"),
            ("encoder", AbstractEncoder, "LinearEncoder(weights)"),
            ("readout", AbstractReadout, "StateReadout(weights)"),
        ):
            part = getattr(self, name)
            if not isinstance(part, kind):
                raise TypeError(
                    f"TaskNetwork.{name}: expected e.g. {example}, got {type(part).__name__}"
                )
        self.readout.check(self.circuit)
        read = eqx.filter_eval_shape(lambda c, r: r(c, c.rest()), self.circuit, self.readout)
        if read.shape != (self.readout.channels,):
            raise ValueError(
                f"TaskNetwork.readout: expected {self.readout.channels} outputs, one per row of its "
                f"weights, got shape {read.shape}: look at its bias and nonlinearity"
            )
        given = jax.eval_shape(lambda: self.encoder(jnp.zeros(self.encoder.channels)))
        starting_state(
            self.circuit, lambda _: jax.tree.map(lambda x: jnp.zeros(x.shape), given), self.start
        )

    def __call__(self, state: State, input: Float[Array | np.ndarray, " channels"]) -> State:
        """The time derivative of the circuit's state, per ms."""
        return self.circuit(state, self.encoder(input))

    def rest(self) -> State:
        """The state at the beginning of a trial."""
        return self.circuit.rest() if self.start is None else self.start

    def no_input(self) -> Float[np.ndarray, " channels"]:
        """Zero in every channel."""
        return np.zeros(self.encoder.channels)

    def outputs(self, state: State) -> Float[Array, " outputs"]:
        """What is read out of a state."""
        return self.readout(self.circuit, state)

    def switching_functions(
        self, state: State, input: Float[Array | np.ndarray, " channels"]
    ) -> Float[Array, " m"] | None:
        """Those of the circuit."""
        return self.circuit.switching_functions(state, self.encoder(input))

    def threshold_linear(
        self, input: Float[Array | np.ndarray, " channels"]
    ) -> ThresholdLinear | None:
        """That of the circuit."""
        return self.circuit.threshold_linear(self.encoder(input))

    @classmethod
    @verb
    def random(
        cls,
        circuit: AbstractCircuit[Any],
        task: Channels,
        *,
        key: Key,
        start: Expected[State | None] = None,
        readout: Callable[[Array | np.ndarray, np.ndarray], AbstractReadout] = StateReadout,
    ) -> "TaskNetwork":
        r"""A circuit with random input and readout weights, as many as a task needs.

        Input weights $\sim N(0, 1)$; readout weights $\sim N(0, 1 / n^2)$ for $n$ numbers that are
        read: of the state, of a `CurrentNetwork` its currents; bias 0.

        Args:
            circuit: a circuit whose input has the structure of its state.
            task: its inputs and outputs are counted.
            key: a JAX random key.
            start: as of `TaskNetwork`.
            readout: of weights and bias; `RateReadout` reads out the rates, which teacher forcing
                does not take.

        Raises:
            TypeError, ValueError: as `TaskNetwork` does.

        References:
            Sagtekin, Bredenberg and Savin (2025), Error forcing in recurrent neural networks,
            NeurIPS; values of its published code.
        """
        if not isinstance(circuit, AbstractCircuit):
            raise TypeError(f"circuit: expected one such as CurrentNetwork(), got {circuit!r}")
        of_inputs, of_outputs = jax.random.split(key)
        targets, structure = jax.tree.flatten(circuit.no_input())
        keys = jax.random.split(of_inputs, len(targets))
        encoder = [
            jax.random.normal(k, (*np.shape(x), task.inputs))
            for k, x in zip(keys, targets, strict=True)
        ]
        bias = np.zeros(task.outputs)
        read = readout(np.zeros((task.outputs, 0)), bias).width(circuit)
        weights = jax.random.normal(of_outputs, (task.outputs, read)) / read
        return cls(
            circuit,
            LinearEncoder(jax.tree.unflatten(structure, encoder)),
            readout(weights, bias),
            start,
        )
