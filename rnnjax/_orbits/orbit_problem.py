"""A branch of periodic orbits, or a curve of their bifurcations, as the march sees it."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from rnnjax._continuation.corrector import unit_vector
from rnnjax._continuation.problem import AbstractProblem, Attempt, Bounds, Landing, Steps, way_back
from rnnjax._numerics.collocation import Cycle, Family, Row, remeshed
from rnnjax._orbits.orbit_points import (
    Condition,
    Point,
    extent,
    inner,
    moved,
    reached,
    row_of,
    slowest,
)
from rnnjax._results import BranchEnd
from rnnjax._types import Array, Float
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles

_SMALLEST = 1e-6  # step, scaled
_STRAIGHT, _BENT = 0.99, 0.9  # cosines between tangents: to grow, and to be taken
_VANISHES = 1e-4  # scaled extent of an orbit that has shrunk to a Hopf point
_NEARLY = 1e-2  # and of one that can't be followed any nearer to one
_SHRINKS = 0.2  # of an orbit's extent, what a step must leave of it
_STANDS = 1e-9  # of a step, what a parameter that no longer changes may change
_RESTS = 1e-3  # of an orbit's largest speed, the smallest where it nearly comes to rest


class Seen(NamedTuple):
    """What is kept of an attempt: from where it went, and where it led."""

    begin: Point
    end: Point


@dataclasses.dataclass(frozen=True)
class OrbitProblem(AbstractProblem[Point]):
    """Periodic orbits one after the other, in scaled coordinates.

    Attributes:
        field: the vector field of state and parameters.
        types: the bifurcations that are looked for.
        bounds: of the parameters.
        steps: how finely they are followed.
        longest_period: where the line ends, in ms.
        condition: what else holds along it, as two parameters change.
    """

    field: Family
    types: tuple[AbstractOfCycles, ...]
    bounds: Bounds
    steps: Steps
    longest_period: Float[Array, ""]
    condition: Condition | None = None

    block = 16
    settles = 3

    def bounded(self, at: Point) -> tuple[Float[Array, " bounded"], Float[Array, " bounded"]]:
        """The parameters."""
        return jnp.ravel(at.cycle.parameter), jnp.ravel(at.tangent.parameter)

    def tried(self, at: Point, landing: Landing) -> Attempt[Point]:
        """A step along the tangent, corrected; or to the orbit at a bound of the parameter."""
        guess, normal = _aimed(at, landing)
        new, fine = reached(
            self.field, self.types, guess, normal, at.tangent, self.condition, at.border
        )
        new: Point = jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, at)
        cycle = new.cycle
        cosine = inner(at.cycle, at.tangent, new.tangent)
        fine &= landing.lands | self.bounds.hold(jnp.ravel(cycle.parameter))
        fine &= _same_orbit(at.cycle, cycle) & jnp.isfinite(cosine) & jnp.isfinite(new.tests).all()
        ahead = inner(at.cycle, at.tangent, _difference(at.cycle, cycle))
        return Attempt(
            new=new,
            beyond=new,
            fine=fine & (cosine > _BENT),
            passable=fine,
            landed=landing.lands,
            step=jnp.where(landing.lands, jnp.maximum(ahead, 0.0), landing.step),
            grown=jnp.where(cosine > _STRAIGHT, 1.6, 1.0),
            shrunk=jnp.asarray(0.4),
            seen=Seen(at, new),
        )

    def back(self, start: Point, new: Point) -> tuple[Array, Array, Array]:
        """How far an orbit is from the first one, the cosine of their tangents, how far ahead it is."""
        off = _difference(start.cycle, new.cycle)
        return way_back(off, start.tangent, new.tangent, lambda a, b: inner(new.cycle, a, b))

    def settled(self, at: Point) -> Point:
        """The same orbit and tangent on a mesh that fits the orbit."""
        if at.border is None:
            cycle, (along,) = remeshed(at.cycle, (at.tangent.x,))
            return at._replace(cycle=cycle, tangent=at.tangent._replace(x=along))
        cycle, (along, border) = remeshed(at.cycle, (at.tangent.x, at.border.x))
        tangent, border = at.tangent._replace(x=along), at.border._replace(x=border)
        return at._replace(cycle=cycle, tangent=tangent, border=border)

    def endings(
        self, at: Point, attempt: Attempt[Point], good: Bool[Array, ""], finest: Bool[Array, ""]
    ) -> list[tuple[Bool[Array, ""], BranchEnd]]:
        """Where orbits shrink to a Hopf point, or their period grows without bound."""
        cycle, tangent = attempt.new.cycle, attempt.new.tangent
        size = extent(cycle)
        # the parameter of a homoclinic orbit is reached before its period is; so is that of a canard,
        # which does not come to rest
        stands = abs(tangent.parameter).max() < _STANDS
        stands &= (tangent.period > 0.5 * cycle.period) & (slowest(cycle) < _RESTS)
        long = (cycle.period > self.longest_period) | stands
        return [
            (finest & ~good & (size < _NEARLY), BranchEnd.HOPF),
            (good & (size < _VANISHES) & (size < extent(at.cycle)), BranchEnd.HOPF),
            (good & ~attempt.landed & long, BranchEnd.LONG_PERIOD),
        ]


def steps_of(first: Float[Array, ""], largest: Float[Array, ""]) -> Steps:
    """The steps along orbits, given the first and the longest."""
    return Steps(first, jnp.asarray(_SMALLEST), largest)


def _aimed(at: Point, landing: Landing) -> tuple[Cycle, Row]:
    """Where a step along the tangent leads, and across which row the branch is sought there."""
    guess = moved(at.cycle, at.tangent, landing.step)
    shape = guess.parameter.shape
    across = unit_vector(landing.which, jnp.ravel(guess.parameter)).reshape(shape)
    parameter = jnp.where(landing.lands & (across > 0), landing.value, guess.parameter)
    held = Row(jnp.zeros_like(guess.x), jnp.zeros(()), across)
    along = row_of(at.cycle, at.tangent)
    normal = jax.tree.map(lambda a, b: jnp.where(landing.lands, a, b), held, along)
    return guess._replace(parameter=parameter), normal


def _difference(begin: Cycle, end: Cycle) -> Row:
    """The change from one cycle to another."""
    return Row(end.x - begin.x, end.period - begin.period, end.parameter - begin.parameter)


def _same_orbit(before: Cycle, after: Cycle) -> Bool[Array, ""]:
    """Whether a step has not jumped over a point, which solves the equations as well.

    An orbit that has passed through a point comes back to itself, half a period later.
    """
    middle = before.x.mean((0, 1)), after.x.mean((0, 1))
    same = ((before.x - middle[0]) * (after.x - middle[1])).sum() > 0
    return same & (extent(after) > _SHRINKS * extent(before))
