"""What is followed on a circuit: a path, its bifurcations, and where it begins."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx

from rnnjax._continuation.path import Frame, Seen, SmoothPath
from rnnjax._continuation.problem import Bounds
from rnnjax._types import AnyArray, Array, Arrays, Bool, Float, Int
from rnnjax.bifurcations._base import AbstractBifurcation, Family
from rnnjax.circuits._flat import FlatField


class Type(NamedTuple):
    """A bifurcation that is looked for.

    Attributes:
        member: what it is.
        begin: `(vector field, point, tangent) -> ` its unknowns and constants near a zero of its
            test; the point is that of the branch or curve.
    """

    member: AbstractBifurcation
    begin: Callable[[Family, Array, Array], tuple[Array, Arrays]]


class Located(NamedTuple):
    """Bifurcation points of a branch, each entry one place where a test vanished.

    Attributes:
        u: the point, state and parameters.
        tangent: of the branch there.
        at: how far along the branch, scaled, the start at 0.
        label: the index of its type.
        frequency, coefficient, kind: see `bifurcations._base.Found`.
        found: it is one.
        unsolved: a test vanished, but its equations could not be solved.
        reach: the length of the step in which it did, scaled.
        multiplicity: how many eigenvalues, or pairs of them, cross the imaginary axis at once.
    """

    u: Float[AnyArray, "*slot point"]
    tangent: Float[AnyArray, "*slot unknown"]
    at: Float[AnyArray, "*slot"]
    label: Int[AnyArray, "*slot"]
    frequency: Float[AnyArray, "*slot"]
    coefficient: Float[AnyArray, "*slot"]
    kind: Int[AnyArray, "*slot"]
    found: Bool[AnyArray, "*slot"]
    unsolved: Bool[AnyArray, "*slot"]
    reach: Float[AnyArray, "*slot"]
    multiplicity: Int[AnyArray, "*slot"]


class Between(NamedTuple):
    """The step in which a test vanished, or in which more eigenvalues crossed than tests explain.

    Attributes:
        seen: what was kept of it.
        root: where in it the test vanished, as a share.
        step: its length.
        at: how far along the branch it began, signed.
        wanted: whether there is one.
        jump: by how much the number of unstable eigenvalues changed.
    """

    seen: Seen
    root: Float[AnyArray, "*slot"]
    step: Float[AnyArray, "*slot"]
    at: Float[AnyArray, "*slot"]
    wanted: Bool[AnyArray, "*slot"]
    jump: Int[AnyArray, "*slot"]


class Zero(NamedTuple):
    """Where a test vanishes, without derivatives.

    Attributes:
        z: the unknowns of its type.
        constants: of its equations.
        tangent, at, reach, unsolved: see `Located`.
        solved: whether its equations hold there.
    """

    z: Float[AnyArray, "*slot unknown"]
    constants: Arrays
    tangent: Float[AnyArray, "*slot unknown"]
    at: Float[AnyArray, "*slot"]
    reach: Float[AnyArray, "*slot"]
    solved: Bool[AnyArray, "*slot"]
    unsolved: Bool[AnyArray, "*slot"]


class Followed(NamedTuple):
    """What is followed.

    Attributes:
        field: the vector field of state and parameters, with its scale.
        path: the equations and tests, in scaled coordinates.
        live: `(arrays, point, frame, units) -> ` the equations of given arrays of the circuit; it
            captures none.
        units: what a scaled unit of each unknown is; those of state and parameters come first.
        types: the bifurcations looked for.
    """

    field: FlatField
    path: SmoothPath
    live: Callable[[Arrays, Array, Frame, Array], Array]
    units: Float[Array, " unknown"]
    types: tuple[Type, ...]

    @property
    def crossings(self) -> tuple[int, ...] | None:
        """How many eigenvalues cross the axis at a point of each type; None where none are counted."""
        none = self.path.count is None or not self.types
        return None if none else tuple(type_.member.crossing for type_ in self.types)


class Start(NamedTuple):
    """Where it begins, scaled: a point, its frame, a direction, and how far off each way begins.

    `end` is a `BranchEnd`: that it goes on, or why there is no start.
    """

    u: Float[Array, " unknown"]
    frame: Frame
    along: Float[Array, " unknown"]
    offset: float
    end: Int[Array, ""]


class AbstractRecipe(eqx.Module):
    """The numbers of which something that is followed is made, by each program anew.

    Attributes:
        scale: what a scaled unit of state and parameters is.
        bounds: of all unknowns, scaled.
    """

    scale: eqx.AbstractVar[AnyArray]
    bounds: eqx.AbstractVar[Bounds]

    @property
    @abc.abstractmethod
    def crossings(self) -> tuple[int, ...] | None:
        """How many eigenvalues cross the axis at a point of each type; None where none are counted."""

    @property
    @abc.abstractmethod
    def units(self) -> AnyArray:
        """What a scaled unit of each unknown is; those of state and parameters come first."""

    @abc.abstractmethod
    def followed(self) -> Followed:
        """What is followed."""
