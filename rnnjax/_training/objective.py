"""What a fit makes small: a function of the circuit, or something with a gradient of its own."""

import abc
import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from rnnjax._gate import check_made
from rnnjax._machine.devices import may_spread, one_device
from rnnjax._machine.programs import has_lapack
from rnnjax._machine.setup import LAPACK_WAITS, tuned_devices
from rnnjax._machine.tracing import check_takes, told
from rnnjax._parameter import Parametric, parameter
from rnnjax._precision import by_shapes
from rnnjax._training.batches import Keys
from rnnjax._types import Array, Arrays, Expected, Float, Key, NDArray, Numbers, Scalar, lane_of
from rnnjax.circuits._base import AbstractSystem, Driven

Trained: TypeAlias = AbstractSystem[Any] | Driven  # what a fit changes
CircuitT = TypeVar("CircuitT", bound=Trained)

_PARTS = 2**30  # added to the number of a part, beyond what jax.random.split folds in


class Work(NamedTuple):
    """What an objective works on at once.

    Attributes:
        numbers: about how many numbers of state; 0 where that is not known.
        devices: over how many devices it spreads them.
    """

    numbers: int = 0
    devices: int = 1


class AbstractObjective(Parametric, Generic[CircuitT]):
    """What a fit makes small, with its own way to a gradient.

    A plain function of `(circuit, key)` is one as well, differentiated by JAX. They add up, and can
    be weighted: `2.0 * OnTask(...) + penalty`.
    """

    __array_ufunc__ = None  # lets `numpy_number * objective` reach __rmul__

    def check(self, circuit: CircuitT, key: Key | None) -> None:
        """Refuse a circuit that it is not for, before anything compiles."""

    def check_many(self, circuits: CircuitT, keys: Keys) -> None:
        """Refuse circuits, lanes in front, of which one can't be right; the first unless overridden."""
        self.check(*lane_of((circuits, keys), 0))

    def judge(self, circuit: CircuitT) -> None:
        """Warn of what a fit has made of a circuit."""

    def begin(self, circuit: CircuitT, key: Key | None) -> Arrays:
        """What it remembers from step to step, at the start of a fit."""
        return None

    def advance(
        self, memory: Arrays, circuit: CircuitT, key: Key | None, k: Int[Array, ""]
    ) -> Arrays:
        """What it remembers after step k, which was given `key`."""
        return memory

    def work(self, circuit: CircuitT) -> Work:
        """How much it works on at once, and where."""
        return Work()

    def validate(self, circuit: CircuitT, key: Key | None) -> Float[NDArray, ""]:
        """How good the circuit is apart from training; the loss itself unless overridden."""
        return self(circuit, key)

    @abc.abstractmethod
    def __call__(self, circuit: CircuitT, key: Key | None) -> Float[NDArray, ""]:
        """The loss."""

    def value_and_gradient(
        self,
        rebuild: Callable[[Sequence[Array]], CircuitT],
        free: Sequence[Array],
        key: Key | None,
        memory: Arrays,
    ) -> tuple[Float[Array, ""], Sequence[Array]]:
        """The loss and its gradient with respect to the free arrays, of which `rebuild` makes a circuit."""
        return jax.value_and_grad(lambda free: self(rebuild(free), key))(free)

    def __add__(self, other: "ObjectiveLike") -> "Combined":
        """Both at once."""
        return combined(self, other)

    def __radd__(self, other: "ObjectiveLike") -> "Combined":
        """Both at once."""
        return combined(other, self)

    def __rmul__(self, weight: Numbers) -> "Combined":
        """The same, weighted."""
        return Combined((self,), (weight,))

    def __mul__(self, weight: Numbers) -> "Combined":
        """The same, weighted."""
        return weight * self


LossOfCircuit: TypeAlias = Callable[[Any, Key | None], Array]

ObjectiveLike: TypeAlias = Expected[AbstractObjective[Any] | LossOfCircuit]


def _in_words(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"an array of shape {shape}"


class PlainFunction(AbstractObjective[Trained]):
    """A plain function of `(circuit, key)`, differentiated by JAX."""

    function: LossOfCircuit

    def check(self, circuit: Trained, key: Key | None) -> None:
        """Refuse a function that does not give one number."""
        check_takes("objective", self.function, 2)
        with told("objective"):
            shape = eqx.filter_eval_shape(self.function, circuit, key)
        if getattr(shape, "shape", None) != ():
            raise ValueError(
                f"objective: expected one number of JAX's, got {jax.tree.map(_in_words, shape)}: "
                "return a scalar loss that depends on the circuit, e.g. a mean of squares"
            )

    def __call__(self, circuit: Trained, key: Key | None) -> Float[NDArray, ""]:
        """The loss."""
        return self.function(circuit, key)


class Combined(AbstractObjective[Any]):
    r"""A weighted sum of objectives, $\sum_k w_k L_k$.

    Attributes:
        parts: the objectives.
        weights: what each counts.
    """

    parts: tuple[AbstractObjective[Any], ...]
    weights: tuple[Scalar, ...] = parameter(unit="1", doc="what each part counts")

    def check(self, circuit: Trained, key: Key | None) -> None:
        """Refuse a circuit that one of the parts is not for."""
        for part in self.parts:
            part.check(circuit, key)

    def check_many(self, circuits: Trained, keys: Keys) -> None:
        """Refuse circuits that one of the parts is not for."""
        for part in self.parts:
            part.check_many(circuits, keys)

    def judge(self, circuit: Trained) -> None:
        """Warn of what a fit has made of a circuit."""
        for part in self.parts:
            part.judge(circuit)

    def begin(self, circuit: Trained, key: Key | None) -> Arrays:
        """What each part remembers."""
        return tuple(p.begin(circuit, k) for p, k in zip(self.parts, self._keys(key), strict=True))

    def advance(
        self, memory: Arrays, circuit: Trained, key: Key | None, k: Int[Array, ""]
    ) -> Arrays:
        """What each part remembers after step k."""
        each = zip(self.parts, memory, self._keys(key), strict=True)
        return tuple(part.advance(m, circuit, own, k) for part, m, own in each)

    def work(self, circuit: Trained) -> Work:
        """That of the largest part, on the devices of all."""
        each = [part.work(circuit) for part in self.parts]
        return Work(max(w.numbers for w in each), max(w.devices for w in each))

    def validate(self, circuit: Trained, key: Key | None) -> Float[NDArray, ""]:
        """The weighted sum of the parts' validations."""
        found = [p.validate(circuit, k) for p, k in zip(self.parts, self._keys(key), strict=True)]
        return self._sum(found)

    def __call__(self, circuit: Trained, key: Key | None) -> Float[NDArray, ""]:
        """The weighted sum of the losses."""
        with one_device(works_alone(self, circuit, key)):
            each = zip(self.parts, self._keys(key), strict=True)
            return self._sum([part(circuit, own) for part, own in each])

    def value_and_gradient(
        self,
        rebuild: Callable[[Sequence[Array]], Trained],
        free: Sequence[Array],
        key: Key | None,
        memory: Arrays,
    ) -> tuple[Float[Array, ""], Sequence[Array]]:
        """The weighted sum of the losses, and of the parts' gradients."""
        each = zip(self.parts, memory, self._keys(key), strict=True)
        found = [part.value_and_gradient(rebuild, free, own, m) for part, m, own in each]
        gradients = [gradient for _, gradient in found]
        return (
            self._sum([value for value, _ in found]),
            jax.tree.map(lambda *g: self._sum(g), *gradients),
        )

    def __rmul__(self, weight: Numbers) -> "Combined":
        """Every part, weighted; sums stay flat, so that each part has a key of its own."""
        return Combined(self.parts, jax.tree.map(lambda w: weight * w, self.weights))

    def _sum(self, values: Sequence[NDArray]) -> Array:
        terms = [jnp.asarray(w, v.dtype) * v for w, v in zip(self.weights, values, strict=True)]
        return functools.reduce(jnp.add, terms)

    def _keys(self, key: Key | None) -> Sequence[Key | None]:
        """One key per part, the first part's the key itself, as if it were alone."""
        if key is None:
            return [None] * len(self.parts)
        return [key] + [jax.random.fold_in(key, _PARTS + k) for k in range(1, len(self.parts))]


def works_alone(objective: AbstractObjective[Any], circuit: Trained, key: Key | None) -> bool:
    """Whether a step of a fit must not run on several devices at once: see `LAPACK_WAITS`."""
    if not LAPACK_WAITS or tuned_devices() <= 1 or not may_spread():
        return False
    arrays = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, circuit)
    return _calls_lapack(objective, arrays, key)


@by_shapes
def _calls_lapack(objective: AbstractObjective[Any], circuit: Trained, key: Key | None) -> bool:
    arrays, fixed = eqx.partition((objective, circuit, key), eqx.is_array)

    def step(arrays: Arrays) -> tuple[Arrays, Arrays, Array]:
        objective, circuit, key = eqx.combine(arrays, fixed)
        trained, rest = eqx.partition(circuit, eqx.is_inexact_array)
        free, structure = jax.tree.flatten(trained)
        memory = objective.begin(circuit, key)
        gradient = objective.value_and_gradient(
            lambda free: eqx.combine(jax.tree.unflatten(structure, free), rest), free, key, memory
        )
        after = objective.advance(memory, circuit, key, jnp.zeros((), jnp.int32))
        return gradient, after, objective.validate(circuit, key)

    with one_device(True):
        return has_lapack(step, arrays)


def as_objective(value: Any) -> AbstractObjective[Any]:
    """An objective as it is, or a function as one.

    Raises:
        TypeError: for what is neither.
    """
    if isinstance(value, AbstractObjective):
        return value
    check_made(value, "objective")
    if not callable(value):
        raise TypeError(
            "objective: expected a function of (circuit, key), OnTask(...) or a target, got "
            f"{value!r}"
        )
    return PlainFunction(cast(LossOfCircuit, value))


def combined(*values: ObjectiveLike) -> Combined:
    """The sum of objectives, sums taken apart."""
    parts, weights = [], []
    for each in map(as_objective, values):
        inner = isinstance(each, Combined)
        parts += each.parts if inner else (each,)
        weights += each.weights if inner else (1.0,)
    return Combined(tuple(parts), tuple(weights))
