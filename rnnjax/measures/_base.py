"""What every measure is: something about a run, folded in while stepping."""

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp

from rnnjax._gate import check_gave
from rnnjax._machine.tracing import shapes_of
from rnnjax._parameter import Parametric
from rnnjax._precision import by_shapes, default_dtype, is_number
from rnnjax._types import Array, Arrays, Numbers, PerUnit, Scalar, Shapes, State
from rnnjax.measures._stretch import Stretch

if TYPE_CHECKING:  # which a type checker knows by this name alone
    from typing import ClassVar as AbstractClassVar
else:
    from equinox import AbstractClassVar

Observing = Callable[[State], Arrays]
"""What is observed of a state: an array, or several in a structure."""


def whole_state(state: State) -> State:
    """The state itself: the measure is taken of each of its variables."""
    return state


class AbstractMeasure(Parametric):
    """Something about a run that is updated at every step, so that no trajectory is stored.

    `of(state)` says what is measured: an array, or several in a structure, each of which is
    measured by itself; what is true or whole counts as floats. Give it a function with a name,
    defined once: a new lambda at every call is a new compilation at every call.

    Write one by subclassing, for a single observed array `x` at time `t`, which is in ms *since
    the measured window began*, in the dtype of the state: 0 in `init`, the length of the window in
    `finish`, and the same for a `Stretch`. So it loses no digits in a window that begins late.
    Sums over many steps do unless they are compensated, and counts in float32 end at $2^{24}$. One
    that has `follow` as well can be taken of runs with adaptive steps.
    """

    of: eqx.AbstractVar[Observing]
    meaning: AbstractClassVar[str]
    unit: AbstractClassVar[str]  # "state" for that of the observed variable

    def __check_init__(self) -> None:
        """Refuse what is no function of the state."""
        if not callable(self.of):
            raise TypeError(
                f"{type(self).__name__}.of: expected a function of the state, e.g. lambda s: s.v, got "
                f"{self.of!r}"
            )

    def placed(self, begin: float, end: float) -> "AbstractMeasure":
        """This measure for a window from `begin` to `end` (ms of the run); for those that depend on it.

        A time of the run that was given to the measure is made one since `begin` here.
        """
        return self

    def stepped(self, step: float) -> "AbstractMeasure":
        """This measure for a run with a fixed step (ms); for those that depend on it."""
        return self

    def axes(self) -> dict[str, tuple[Numbers, str]]:
        """The dimensions it adds in front: name -> (values, unit)."""
        return {}

    @abc.abstractmethod
    def init(self, t: Scalar, x: PerUnit) -> Arrays:
        """What is carried along, at the start of the window."""

    @abc.abstractmethod
    def update(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The carry after one more step."""

    @abc.abstractmethod
    def finish(self, carry: Arrays, t: Scalar, x: PerUnit) -> Arrays:
        """The result, at the end of the window."""

    def follow(self, carry: Arrays, stretch: Stretch) -> Arrays:
        """The carry after one more step of a run with adaptive steps, seen between its ends as well.

        Raises:
            NotImplementedError: for a measure that is defined for equal steps only.
        """
        raise NotImplementedError(f"{type(self).__name__} is made for fixed steps: give step=")


def observed(measure: AbstractMeasure, state: State) -> list[Array]:
    """The arrays that a measure is taken of: floats, of what is true or whole as well."""
    seen = check_gave(measure.of(state), f"{type(measure).__name__}.of", "numbers of the state")
    dtype = jnp.result_type(*jax.tree.leaves(state))
    arrays = [jnp.asarray(x) for x in jax.tree.leaves(seen)]
    return [x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(dtype) for x in arrays]


@by_shapes
def check_measure(measure: AbstractMeasure, state: Shapes) -> None:
    """Refuse one that JAX can't trace, by shapes alone.

    Raises:
        TypeError: says which of its functions.
    """
    name, time = type(measure).__name__, jax.ShapeDtypeStruct((), default_dtype())
    shapes_of(f"{name}.of", measure.of, state)

    arrays, rest = eqx.partition(measure, is_number)

    def taken(arrays: Arrays, t: Scalar, state: State) -> Arrays:
        measure = eqx.combine(arrays, rest)
        carried = tuple(
            measure.update(carry, t, x)
            for carry, x in zip(
                begun([measure], t, state)[0], observed(measure, state), strict=True
            )
        )
        return finished([measure], (carried,), t, state)

    shapes_of(name, taken, jax.eval_shape(lambda: arrays), time, state)


def begun(measures: Sequence[AbstractMeasure], t: Scalar, state: State) -> tuple[Arrays, ...]:
    """What all measures carry at the start of their window."""
    return tuple(tuple(m.init(t, x) for x in observed(m, state)) for m in measures)


def finished(
    measures: Sequence[AbstractMeasure], carried: tuple[Arrays, ...], t: Scalar, state: State
) -> tuple[Arrays, ...]:
    """The results of all measures, each in the structure of what it observes."""
    return tuple(
        jax.tree.structure(m.of(state)).unflatten(
            m.finish(c, t, x) for c, x in zip(folded, observed(m, state), strict=True)
        )
        for m, folded in zip(measures, carried, strict=True)
    )
