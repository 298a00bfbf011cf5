"""What is found along a line, as arrays: what all such results share."""

import abc
import operator
from collections.abc import Sequence
from typing import ClassVar, TypeVar

import equinox as eqx
import jax
import numpy as np

from rnnjax._results import BranchEnd, ConvergenceError
from rnnjax._types import Bool, Float, NDArray, is_traced

LineT = TypeVar("LineT", bound="AbstractLine")


class AbstractLine(eqx.Module):
    """Solutions along a line, one row for each point in the order in which they were followed.

    Attributes:
        found: which rows are points; they are in front.
        ends: a `BranchEnd` for each direction.
        rows: the names of the fields that have a row for each point.
        noun: what the points are called.
    """

    found: eqx.AbstractVar[Bool[NDArray, "*batch point"]]
    rows: eqx.AbstractClassVar[tuple[str, ...]]
    noun: ClassVar[str] = "points"

    @property
    @abc.abstractmethod
    def _directions(self) -> NDArray:
        """The codes of `endings`."""

    @property
    @abc.abstractmethod
    def _along(self) -> str:
        """What it is and along what."""

    @abc.abstractmethod
    def _extent(self) -> str:
        """From where to where it goes, in words; of a line with points."""

    def _on_it(self) -> Sequence[eqx.Module] | None:
        """What happens on it, to be listed; None if nothing is looked for."""
        return None

    @property
    def unsolved(self) -> int:
        """At how many places something happens that could not be solved for; of one line."""
        return 0

    @property
    def is_batch(self) -> bool:
        """Whether it is several lines, made by `vmap`, or not computed yet."""
        return is_traced(self.found) or np.ndim(self.found) != 1

    @property
    def endings(self) -> list[BranchEnd]:
        """Where each direction ended."""
        return [BranchEnd(int(e)) for e in np.ravel(self._directions)]

    def trimmed(self: LineT) -> LineT:
        """Without the room for points that were not needed; for concrete results."""
        count, rows = len(self), operator.attrgetter(*self.rows)
        return eqx.tree_at(rows, self, jax.tree.map(lambda x: x[:count], rows(self)))

    def told(self: LineT, throw: bool) -> LineT:
        """It as a verb returns it: trimmed; as it is where it is not computed yet.

        Raises:
            ConvergenceError: if a direction did not come to an end of its own and `throw` is true.
        """
        if is_traced(self):
            return self
        line = self.trimmed()
        bad = [end for end in line.endings if not end.reached]
        if throw and bad:
            raise ConvergenceError(f"{line._along}: {bad[0].message}", line)
        return line

    def __len__(self) -> int:
        """How many points there are."""
        return int(np.sum(self.found))

    def __repr__(self) -> str:
        """Where it goes and what happens on it."""
        kind = type(self).__name__
        if self.is_batch:
            return f"{kind}({self._along}, up to {np.shape(self.found)[-1]} {self.noun})"
        if not len(self):
            return f"{kind}({self._along}: {self.endings[0].message})"
        ends = ", ".join(e.name.lower().replace("_", " ") for e in self.endings)
        head = f"{kind}({len(self)} {self.noun}{self._extent()}, ends: {ends}"
        if self.unsolved:
            head += f", {self.unsolved} unsolved"
        listed = self._on_it()
        if listed is None:
            return f"{head})"
        return "\n".join([f"{head},", *(f"  {each!r}," for each in listed), ")"])


def extent_of(names: tuple[str, str], parameters: Float[NDArray, "point 2"]) -> str:
    """From where to where two parameters go."""
    one, two = names
    (a, c), (b, d) = np.min(parameters, 0), np.max(parameters, 0)
    return f"{one} from {a:.6g} to {b:.6g}, {two} from {c:.6g} to {d:.6g}"
