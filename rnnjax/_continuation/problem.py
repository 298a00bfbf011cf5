"""What is followed, and what following it gives."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rnnjax._types import Array
from rnnjax.bifurcations._base import AbstractBifurcation, Family
from rnnjax.circuits._flat import FlatField

Equations = Callable[[Array, Any], Array]  # (point (m + 1,), frame) -> what vanishes (m,)


class Path(NamedTuple):
    """What is followed, in scaled coordinates.

    Attributes:
        equations: vanish on it, and are regular there; they may be written in a frame.
        tests: `(point, frame, derivatives of the equations, tangent) -> number` each, vanishing
            at a bifurcation. They depend on the frame by orientation only.
        reframe: the frame for what follows, of a point and the frame in which it was found.
        switching: the functions at whose zeros the equations have kinks; the frame then says
            which of them are positive.
        kink: which of the tests stands for those kinks.
    """

    equations: Equations
    tests: tuple[Callable[[Array, Any, Array, Array], Array], ...]
    reframe: Callable[[Array, Any], Any]
    switching: Callable[[Array], Array] | None = None
    kink: int | None = None


class Limits(NamedTuple):
    """How far and how finely a branch is followed, in scaled coordinates.

    `low` and `high` are those of the whole point `(m + 1,)`, infinite where there is none.
    """

    low: Array
    high: Array
    first: Any
    smallest: Any
    largest: Any
    farthest: Any


class Place(NamedTuple):
    """A point of the branch, the direction in which it goes on, and the tests there.

    The equations of what follows are written in its frame.
    """

    u: Array
    tangent: Array
    values: Array
    slopes: Array
    frame: Any


class March(NamedTuple):
    """Where the steps have come to."""

    at: Place
    step: Array
    length: Array
    going: Array
    end: Array


class Taken(NamedTuple):
    """One attempt: from where, to where and in which direction it went on, and whether it was taken.

    `root` is where between the two points each test vanishes, as a share of the step; NaN where
    it does not.
    """

    begin: Place
    end: Array
    onward: Array
    step: Array
    taken: Array
    root: Array


class Type(NamedTuple):
    """A bifurcation that is looked for.

    Attributes:
        member: what it is.
        begin: `(vector field, point, tangent) -> ` its unknowns and constants near a zero of its
            test; the point is that of the branch or curve.
    """

    member: AbstractBifurcation
    begin: Callable[[Family, Array, Array], tuple[Array, Any]]


class Located(NamedTuple):
    """Bifurcation points of a branch, each entry one place where a test vanished.

    Attributes:
        u: the point, state and parameters, `(slot, n + k)`.
        tangent: of the branch there.
        at: how far along the branch, scaled, the start at 0.
        label: the index of its type.
        frequency, coefficient, kind: see `bifurcations._base.Found`.
        found: it is one.
        unsolved: a test vanished, but its equations could not be solved.
        reach: the length of the step in which it did, scaled.
    """

    u: Array
    tangent: Array
    at: Array
    label: Array
    frequency: Array
    coefficient: Array
    kind: Array
    found: Array
    unsolved: Array
    reach: Array


class Problem(NamedTuple):
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
    path: Path
    live: Callable[[Any, Array, Any, Array], Array]
    units: Array
    types: tuple[Type, ...]


class Start(NamedTuple):
    """Where it begins, scaled: a point, its frame, a direction, and how far off each way begins."""

    u: Array
    frame: Any
    along: Array
    offset: float
    end: Array  # a BranchEnd: MAX_POINTS, or why there is no start


class Whole(NamedTuple):
    """All of it, in the order in which it was followed, what is not there last.

    Attributes:
        points: the unknowns, with their derivatives across; NaN where there is none.
        at: how far along from the start, scaled; NaN where there is no point.
        kept: whether there is one.
        found: the bifurcations.
        lost: how many bifurcations there was no room for.
        ends: a `BranchEnd` for each direction.
    """

    points: Array
    at: Array
    kept: Array
    found: Located
    lost: Array
    ends: Array
