"""What can be followed along a parameter, and what following it gives."""

import abc
from collections.abc import Callable
from typing import ClassVar, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Bool, Int

from rnnjax._results import BranchEnd
from rnnjax._types import Array, Arrays, Float

PlaceT = TypeVar("PlaceT")
VectorT = TypeVar("VectorT")

_OUTSIDE = 1e-12  # scaled, what a number may lie beyond a bound


class Bounds(NamedTuple):
    """The lowest and the highest of each of the numbers that have bounds; infinite where there is none."""

    low: Float[Array, " bounded"]
    high: Float[Array, " bounded"]

    def hold(self, numbers: Float[Array, " bounded"]) -> Bool[Array, ""]:
        """Whether none of the numbers is beyond a bound."""
        return ((numbers <= self.high + _OUTSIDE) & (numbers >= self.low - _OUTSIDE)).all()


class Steps(NamedTuple):
    """How finely a line is followed: its first, its smallest and its largest step, scaled."""

    first: Float[Array, ""]
    smallest: Float[Array, ""]
    largest: Float[Array, ""]


class Landing(NamedTuple):
    """The first bound that lies ahead along a tangent.

    Attributes:
        lands: whether a step comes to it.
        step: the length of the step, which ends there if it does.
        which: which of the bounded numbers is on its bound there.
        value: the bound.
    """

    lands: Bool[Array, ""]
    step: Float[Array, ""]
    which: Int[Array, ""]
    value: Float[Array, ""]


class Attempt(eqx.Module, Generic[PlaceT]):
    """One step that was tried.

    Attributes:
        new: where it led.
        beyond: from where the next one goes on: there, or from the other side of a kink.
        fine: whether it may be taken.
        passable: whether it may be where no smaller one can be tried.
        landed: whether it ends on a bound.
        step: its length.
        grown, shrunk: what the next step is in units of this one, if it is taken and if not.
        seen: what is to be kept of it.
    """

    new: PlaceT
    beyond: PlaceT
    fine: Bool[Array, ""]
    passable: Bool[Array, ""]
    landed: Bool[Array, ""]
    step: Float[Array, ""]
    grown: Float[Array, ""]
    shrunk: Float[Array, ""]
    seen: Arrays


class AbstractProblem(abc.ABC, Generic[PlaceT]):
    """A line of solutions, one for each length along it, as the march sees it.

    A place is a solution with the direction in which the line goes on. Lengths are scaled.

    Attributes:
        bounds: of the numbers that `bounded` gives.
        steps: how finely it is followed.
        block: attempts between two looks at whether it has ended.
        settles: a place is settled after so many steps; never where it is 0.
    """

    bounds: Bounds
    steps: Steps
    block: ClassVar[int] = 32
    settles: ClassVar[int] = 0

    @abc.abstractmethod
    def bounded(self, at: PlaceT) -> tuple[Float[Array, " bounded"], Float[Array, " bounded"]]:
        """The numbers that have bounds, and how they change along the tangent."""

    @abc.abstractmethod
    def tried(self, at: PlaceT, landing: Landing) -> Attempt[PlaceT]:
        """A step: predicted along the tangent, corrected, and what lies between looked at."""

    @abc.abstractmethod
    def back(
        self, start: PlaceT, new: PlaceT
    ) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """How far a place is from the first one, the cosine of their tangents, how far ahead it is."""

    def settled(self, at: PlaceT) -> PlaceT:
        """The same place, written anew: on a mesh that fits it."""
        return at

    def longest(self, at: PlaceT) -> Float[Array, ""]:
        """The longest step from a place."""
        return self.steps.largest

    def endings(
        self, at: PlaceT, attempt: Attempt[PlaceT], good: Bool[Array, ""], finest: Bool[Array, ""]
    ) -> list[tuple[Bool[Array, ""], BranchEnd]]:
        """Ends of its own: when each of them comes. `good` is what is taken.

        The march knows bounds, lines that close, and steps that get too small (`finest`).
        """
        return []


def way_back(
    off: VectorT, begun: VectorT, tangent: VectorT, inner: Callable[[VectorT, VectorT], Array]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """`AbstractProblem.back` of what lies between two places and of their tangents."""
    return jnp.sqrt(inner(off, off)), inner(tangent, begun), inner(off, begun)


class March(eqx.Module, Generic[PlaceT]):
    """Where the steps have come to.

    Attributes:
        start: the place where it began.
        at: the place.
        step: the next one's length.
        length: how far along the line it is.
        age: steps since the place was settled; -1 where no more of it is known yet than the point.
        going: whether it goes on.
        end: a `BranchEnd`.
    """

    start: PlaceT
    at: PlaceT
    step: Float[Array, ""]
    length: Float[Array, ""]
    age: Int[Array, ""]
    going: Bool[Array, ""]
    end: Int[Array, ""]


class Taken(NamedTuple):
    """Attempts, in their order.

    Attributes:
        seen: what the problem keeps of each.
        step: its length.
        length: how far along the line it began.
        taken: whether it was taken.
    """

    seen: Arrays
    step: Float[Array, "*attempt"]
    length: Float[Array, "*attempt"]
    taken: Bool[Array, "*attempt"]
