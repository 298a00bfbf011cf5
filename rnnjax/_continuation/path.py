"""A line of solutions of equations of a vector: its steps, and what its tests do between them."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from rnnjax._continuation.corrector import corrected, hermite, unit_vector
from rnnjax._continuation.problem import AbstractProblem, Attempt, Bounds, Landing, Steps, way_back
from rnnjax._numerics.dense import solve
from rnnjax._numerics.roots import looking
from rnnjax._numerics.unstable import UNSETTLED
from rnnjax._precision import index_of_largest
from rnnjax._results import BranchEnd
from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._base import jacobian

Frame: TypeAlias = Arrays  # what the equations are written in, where they need it
Equations: TypeAlias = Callable[[Array, Frame], Array]  # (point (m + 1,), frame) -> (m,), zero
# derivatives of the equations -> how many eigenvalues have positive real parts, see `unstable_count`
Count: TypeAlias = Callable[[Array], Int[Array, ""]]
# (point, frame, derivatives of the equations, tangent) -> a number, zero at a bifurcation
Test: TypeAlias = Callable[[Array, Frame, Array, Array], Array]

FARTHEST = 1e6  # scaled
_SAMPLES = 16  # places between two points at which a test is looked at
_BEND = 0.02  # of a step, the distance between its chord and the mean of its tangents
_SMOOTH = 0.15  # of a test's size, what its values and slopes may disagree by
_RESOLVED = 1e-5  # scaled length of a step within which tests are not resolved
_STILL = 1e-9  # scaled length of a step that leads nowhere
_TURNS = 0.9  # cosine between the tangents at the ends of a step, at least

Point = Float[Array, " unknown"]


class Place(NamedTuple):
    """A point of the line, the direction in which it goes on, and the tests there.

    The equations of what follows are written in its frame. `unstable` is how many eigenvalues have
    positive real parts, `UNSETTLED` where that is not known.
    """

    u: Point
    tangent: Float[Array, " unknown"]
    values: Float[Array, " test"]
    slopes: Float[Array, " test"]
    frame: Frame
    unstable: Int[Array, ""]


class Seen(NamedTuple):
    """What is kept of an attempt.

    Attributes:
        begin: from where.
        end: to where.
        onward: the tangent there.
        root: where between the two points each test vanishes, as a share of the step; NaN where
            it does not.
        unstable: how many eigenvalues have positive real parts there.
    """

    begin: Place
    end: Float[Array, "*attempt unknown"]
    onward: Float[Array, "*attempt unknown"]
    root: Float[Array, "*attempt test"]
    unstable: Int[Array, "*attempt"]


class Arrival(NamedTuple):
    """Where a step leads.

    Attributes:
        new: its end.
        beyond: from where the next one goes on.
        solved: whether it is a point of the line.
        landed: whether it is on a bound.
        kinked: whether it is on a kink.
        step: how long it is.
    """

    new: Place
    beyond: Place
    solved: Bool[Array, ""]
    landed: Bool[Array, ""]
    kinked: Bool[Array, ""]
    step: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class SmoothPath(AbstractProblem[Place]):
    """The line on which equations vanish, in scaled coordinates.

    Attributes:
        equations: vanish on it, and are regular there.
        tests: vanish at bifurcations. They depend on the frame by orientation only.
        reframe: the frame for what follows, of a point and the frame in which it was found.
        bounds: of all unknowns.
        steps: how finely it is followed.
        count: counts unstable eigenvalues; None where they are not counted.
    """

    equations: Equations
    tests: tuple[Test, ...]
    reframe: Callable[[Array, Frame], Frame]
    bounds: Bounds
    steps: Steps
    count: Count | None

    def in_frame(self, frame: Frame) -> Callable[[Array], Array]:
        """The equations written in one frame."""
        return lambda u: self.equations(u, frame)

    def place(self, u: Point, frame: Frame, along: Float[Array, " unknown"]) -> Place:
        """The tangent and the tests at a point, and the slopes of the tests along the line."""

        def looked_at(v: Array) -> tuple[tuple[Array, Array], Array]:
            derivatives = jacobian(self.in_frame(frame), v)
            matrix = jnp.concatenate([derivatives, along[None]])
            direction = solve(matrix, jnp.zeros_like(v).at[-1].set(1.0))
            direction = direction / jnp.sqrt(direction @ direction)
            values = [test(v, frame, derivatives, direction) for test in self.tests]
            return (direction, jnp.stack(values) if values else jnp.zeros(0)), derivatives

        # the tangent is needed before the slopes along it: one linearization serves both
        (tangent, values), slope, derivatives = jax.linearize(looked_at, u, has_aux=True)
        unstable = unstable_at(self, derivatives)
        return Place(u, tangent, values, slope(tangent)[1], self.reframe(u, frame), unstable)

    def point(self, u: Point, frame: Frame, along: Float[Array, " unknown"]) -> Place:
        """A place of which no more is known than the point and about where it goes on."""
        unknown = jnp.zeros(len(self.tests))
        return Place(u, along, unknown, unknown, frame, _unknown())

    def bounded(self, at: Place) -> tuple[Point, Float[Array, " unknown"]]:
        """All unknowns."""
        return at.u, at.tangent

    def _reached(self, at: Place, landing: Landing) -> Arrival:
        """The end of a step: on the plane across the tangent, or where an unknown has its bound."""
        guess, normal = aimed(at, landing)
        u, solved = corrected(looking(self.in_frame(at.frame)), guess, normal)
        u = jnp.where(solved, u, at.u)
        step = jnp.where(landing.lands, at.tangent @ (u - at.u), landing.step)
        new = self.place(u, at.frame, at.tangent)
        solved &= landing.lands | self.bounds.hold(u)
        no = jnp.zeros((), bool)
        return Arrival(new, new, solved, landing.lands, no, jnp.maximum(step, 0.0))

    def tried(self, at: Place, landing: Landing) -> Attempt[Place]:
        """A step along the tangent, corrected, and the tests between its ends."""
        arrival = self._reached(at, landing)
        new, solved, step = arrival.new, arrival.solved, arrival.step
        chord = new.u - at.u
        bend = chord - step * (at.tangent + new.tangent) / 2
        bend = jnp.sqrt(bend @ bend) / (step * _BEND)
        rough, dips, root = _between(at, new, step)
        # a line may begin on a kink or on a bound
        stopped = arrival.landed | arrival.kinked
        still = stopped & (step <= _STILL)
        bend, rough, dips = jnp.where(still, 0.0, bend), jnp.where(still, 0.0, rough), dips & ~still
        error = jnp.maximum(bend, rough)
        error = jnp.where(jnp.isfinite(error), error, 100.0)
        passable = solved & (bend <= 1)
        fine = solved & (error <= 1) & ~dips & (at.tangent @ new.tangent > _TURNS)
        # nearer to where several eigenvalues vanish tangents have no digits left
        fine |= passable & (step <= _RESOLVED)
        change = jnp.where(solved, jnp.clip(0.9 / jnp.sqrt(error + 1e-12), 0.25, 2.0), 0.25)
        change = jnp.where(dips, jnp.minimum(change, 0.5), change)
        return Attempt(
            new=new,
            beyond=arrival.beyond,
            fine=fine,
            passable=passable,
            landed=arrival.landed,
            step=step,
            grown=jnp.where(stopped, 1.0, change),  # this attempt was cut short
            shrunk=jnp.minimum(change, 0.5),
            seen=Seen(at, new.u, new.tangent, self._roots(root, arrival), new.unstable),
        )

    def _roots(self, root: Float[Array, " test"], arrival: Arrival) -> Float[Array, " test"]:
        """Where the tests vanish in a step."""
        return root

    def back(self, start: Place, new: Place) -> tuple[Array, Array, Array]:
        """How far a place is from the first one, the cosine of their tangents, how far ahead it is."""
        return way_back(new.u - start.u, start.tangent, new.tangent, jnp.matmul)

    def longest(self, at: Place) -> Float[Array, ""]:
        """As given for what has bounds; for the others in units of what they are by now."""
        state = jnp.isinf(self.bounds.low) & jnp.isinf(self.bounds.high)
        size = jnp.where(state, abs(at.u), 0.0).max(initial=1.0)
        share = jnp.where(state, 0.0, abs(at.tangent)).max()
        return self.steps.largest * jnp.minimum(size, 1.0 / jnp.maximum(share, 1e-12))

    def endings(
        self, at: Place, attempt: Attempt[Place], good: Bool[Array, ""], finest: Bool[Array, ""]
    ) -> list[tuple[Bool[Array, ""], BranchEnd]]:
        """Where an unknown runs away."""
        return [(good & (abs(attempt.new.u) > FARTHEST).any(), BranchEnd.FAR)]


def unstable_at(path: SmoothPath, derivatives: Float[Array, "equation unknown"]) -> Int[Array, ""]:
    """How many eigenvalues have positive real parts; `UNSETTLED` where they are not counted."""
    return _unknown() if path.count is None else path.count(derivatives)


def _unknown() -> Int[Array, ""]:
    return jnp.full((), UNSETTLED, jnp.int32)


def aimed(at: Place, landing: Landing) -> tuple[Point, Float[Array, " unknown"]]:
    """Where a step along the tangent leads, and across which plane the line is sought there."""
    guess = at.u + landing.step * at.tangent
    across = unit_vector(landing.which, at.u)
    on_bound = jnp.where(across > 0, landing.value, guess)
    return (
        jnp.where(landing.lands, on_bound, guess),
        jnp.where(landing.lands, across, at.tangent),
    )


def _between(
    at: Place, new: Place, step: Float[Array, ""]
) -> tuple[Float[Array, ""], Bool[Array, ""], Float[Array, " test"]]:
    """What the tests do between two points, by the cubic through their values and slopes.

    Returns how rough they are (1: as rough as allowed), whether one of them touches zero or
    crosses it more than once, and where each of them crosses it once.
    """
    before, after = at.values, new.values
    rise, fall = step * at.slopes, step * new.slopes
    size = jnp.maximum(jnp.maximum(abs(before), abs(after)), jnp.maximum(abs(rise), abs(fall)))
    size = jnp.where(size > 0, size, 1.0)
    rough = abs(after - before - (rise + fall) / 2) / size / _SMOOTH
    share = np.linspace(0, 1, _SAMPLES + 1)[:, None]
    cubic = hermite(before, after, rise, fall, share)
    changes = (cubic[1:] > 0) != (cubic[:-1] > 0)
    once = changes.sum(0) == 1
    smallest = abs(cubic).min(0)
    ends = jnp.minimum(abs(before), abs(after))
    dips = (changes.sum(0) > 1) | ((changes.sum(0) == 0) & (smallest < 0.5 * ends))
    k = index_of_largest(changes)
    left = jnp.take_along_axis(cubic, k[None], 0)[0]
    right = jnp.take_along_axis(cubic, k[None] + 1, 0)[0]
    root = (k.astype(left.dtype) + left / jnp.where(left == right, 1.0, left - right)) / _SAMPLES
    return rough.max(initial=0.0), dips.any(), jnp.where(once, root, jnp.nan)
