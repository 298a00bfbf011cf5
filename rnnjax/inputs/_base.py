"""What every input is: a function of time, whose numbers can be swept and fitted."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._gate import own_numbers
from rnnjax._parameter import Parametric, parameter
from rnnjax._types import Array, Expected, Input, Numbers, PerUnit, Scalar


class AbstractInput(Parametric):
    """A function of time in ms: `input(t) -> value`.

    Inputs add up (`Step() + Sinusoid()`), and a spatial profile times an input drives each unit
    by its share: `profile * Recording(...)`, where the profile has the structure of the
    circuit's input (an array with one number per unit, or a `NamedTuple`).
    """

    __array_ufunc__ = None  # lets `numpy_array * input` reach __rmul__
    varies: ClassVar[bool] = True  # with time

    @abc.abstractmethod
    def __call__(self, t: Scalar) -> Any:
        """The input at time `t` (ms)."""

    def jumps(self) -> tuple[Any, ...] | None:
        """Times (ms) where it jumps or bends, which adaptive solvers step onto; `()` for nowhere.

        None where nothing is said: then nothing is known of it, and steps are as short as through a
        plain function of time.
        """
        return None

    def longest_step(self) -> Any:
        """The longest step (ms) that misses nothing of it, its `jumps` apart."""
        return np.inf

    def shortest_cycle(self) -> Any:
        """The shortest cycle (ms) in it, of which fixed steps need more than two; infinity for none."""
        return np.inf

    def next_bend(self, t: Scalar) -> Any:
        """The first time (ms) after `t` at which it bends, its `jumps` apart; infinity for never."""
        return np.inf

    def bends(self) -> tuple[Any, ...] | None:
        """All times (ms) at which it bends, its `jumps` apart; None where only the next is known."""
        return () if type(self).next_bend is AbstractInput.next_bend else None

    def __add__(self, other: Expected["AbstractInput"]) -> "Sum":
        """Both at once."""
        return Sum(self, _summand(other))

    def __radd__(self, other: Expected["AbstractInput"]) -> "AbstractInput":
        """What `sum` begins with, 0, and an input."""
        if isinstance(other, int | float) and other == 0:
            return self
        return Sum(_summand(other), self)

    def __neg__(self) -> "Profile":
        """The other way round."""
        return Profile(-1.0, self)

    def __sub__(self, other: Expected["AbstractInput"]) -> "Sum":
        """The first without the second."""
        return Sum(self, -_summand(other))

    def __mul__(self, profile: Expected[Numbers]) -> "Profile":
        """Each unit's share of it."""
        return Profile(_share(profile), self)

    def __truediv__(self, number: Expected[Numbers]) -> "Profile":
        """So many times less of it."""
        return Profile(1.0 / own_numbers(_share(number), "an input's divisor"), self)

    def __rmul__(self, profile: Expected[Numbers]) -> "Profile":
        """Each unit's share of it."""
        return Profile(_share(profile), self)


class Sum(AbstractInput):
    """Two inputs at once: $a(t) + b(t)$; what one of them gives to all units is shared."""

    first: AbstractInput
    second: AbstractInput

    def __call__(self, t: Scalar) -> Any:
        """Their sum at time `t`."""
        a, b = self.first(t), self.second(t)
        if jax.tree.structure(a) == jax.tree.structure(b):
            return jax.tree.map(jnp.add, a, b)
        if _is_scalar(a):
            return jax.tree.map(lambda x: x + a, b)
        if _is_scalar(b):
            return jax.tree.map(lambda x: x + b, a)
        raise ValueError(
            f"these inputs do not fit together: {jax.tree.structure(a)} and "
            f"{jax.tree.structure(b)}: give both the structure of the circuit's input"
        )

    def jumps(self) -> tuple[Any, ...] | None:
        """The jumps of both; None where those of one are not known."""
        first, second = self.first.jumps(), self.second.jumps()
        return None if first is None or second is None else first + second

    def longest_step(self) -> Any:
        """The shorter of both."""
        return jnp.minimum(self.first.longest_step(), self.second.longest_step())

    def shortest_cycle(self) -> Any:
        """The shorter of both."""
        return np.minimum(self.first.shortest_cycle(), self.second.shortest_cycle())

    def next_bend(self, t: Scalar) -> Any:
        """The sooner of both."""
        return jnp.minimum(self.first.next_bend(t), self.second.next_bend(t))

    def bends(self) -> tuple[Any, ...] | None:
        """Those of both; None where those of one are not known."""
        first, second = self.first.bends(), self.second.bends()
        return None if first is None or second is None else first + second


class Profile(AbstractInput):
    r"""A spatial profile times a signal: $p_i\, s(t)$ to unit $i$."""

    profile: Numbers = parameter(unit="1", doc="each unit's share")
    signal: AbstractInput = eqx.field()  # pyright: ignore[reportGeneralTypeIssues]

    def __call__(self, t: Scalar) -> Any:
        """Each unit's share of the signal at time `t`."""
        value = self.signal(t)
        return jax.tree.map(lambda p: p * value, self.profile)

    def jumps(self) -> tuple[Any, ...] | None:
        """The jumps of the signal."""
        return self.signal.jumps()

    def longest_step(self) -> Any:
        """That of the signal."""
        return self.signal.longest_step()

    def shortest_cycle(self) -> Any:
        """That of the signal."""
        return self.signal.shortest_cycle()

    def next_bend(self, t: Scalar) -> Any:
        """That of the signal."""
        return self.signal.next_bend(t)

    def bends(self) -> tuple[Any, ...] | None:
        """Those of the signal."""
        return self.signal.bends()


def _summand(other: Expected[AbstractInput]) -> AbstractInput:
    if not isinstance(other, AbstractInput):
        raise TypeError(
            f"expected another input to add, got {other!r}: a number or an array is Constant(value)"
        )
    return other


def _share(profile: Expected[Numbers]) -> Any:
    if isinstance(profile, AbstractInput):
        raise TypeError(
            "profile: expected numbers that an input is multiplied by, got another input: a product "
            "of two is a function of your own, lambda t: a(t) * b(t)"
        )
    return profile


def between(t: Scalar, onset: PerUnit, value: Input) -> Any:
    """`value` from `onset` on, zero before."""
    return jax.tree.map(lambda v: jnp.where(t >= onset, v, jnp.zeros_like(v)), value)


def _is_scalar(value: Input) -> bool:
    return isinstance(value, Array | np.ndarray | float) and jnp.ndim(value) == 0
