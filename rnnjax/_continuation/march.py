"""Following a branch of equilibria: steps along it, and what vanishes between them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.corrector import corrected, hermite, nearest, place
from rnnjax._continuation.problem import Limits, March, Path, Place, Taken
from rnnjax._precision import first_of, index_of_largest
from rnnjax._results import BranchEnd
from rnnjax._types import Array
from rnnjax.bifurcations._base import ASIDE

BLOCK = 32  # attempts between looks at whether the branch has ended
_GOING = BranchEnd.MAX_POINTS  # unless it ends for another reason
_SAMPLES = 16  # places between two points at which a test is looked at
_BEND = 0.02  # of a step, the distance between its chord and the mean of its tangents
_ON_KINK = 1e-9  # scaled distance from a kink below which a point is on it
_SMOOTH = 0.15  # of a test's size, what its values and slopes may disagree by


def follow(
    path: Path, u: Array, frame: Any, along: Array, limits: Limits, blocks: int
) -> tuple[March, Taken]:
    """Steps along the branch until it leaves the bounds, closes, or `blocks` blocks are used up."""
    start = place(path, u, frame, along)
    first = March(
        start,
        jnp.asarray(limits.first),
        jnp.zeros(()),
        jnp.ones((), bool),
        jnp.zeros((), jnp.int32),
    )

    def attempt(now: March, _: Any) -> tuple[March, Taken]:
        return _attempt(path, start, limits, now)

    def block(carry: Any) -> Any:
        now, record, k = carry
        now, taken = lax.scan(attempt, now, None, length=BLOCK)
        record = jax.tree.map(
            lambda all_, new: lax.dynamic_update_slice_in_dim(all_, new, k * BLOCK, 0),
            record,
            taken,
        )
        return now, record, k + 1

    _, shape = jax.eval_shape(attempt, first, None)
    record = jax.tree.map(lambda x: jnp.zeros((blocks * BLOCK, *x.shape), x.dtype), shape)
    now, record, _ = lax.while_loop(
        lambda c: c[0].going & (c[2] < blocks), block, (first, record, jnp.zeros((), jnp.int32))
    )
    return now, record


def _attempt(path: Path, start: Place, limits: Limits, now: March) -> tuple[March, Taken]:
    """One step: predict along the tangent, correct, and look at what lies between."""
    at, (u, solved, step, kink) = now.at, _tried(path, now)
    new, beyond = _arrived(path, at, jnp.where(solved, u, at.u), kink)
    chord = new.u - at.u
    bend = chord - step * (at.tangent + new.tangent) / 2
    bend = jnp.sqrt(bend @ bend) / (step * _BEND)
    rough, dips, root = _between(at, new, step)
    # a branch may begin on a kink
    still = kink.any() & (step <= _ON_KINK)
    bend, rough, dips = jnp.where(still, 0.0, bend), jnp.where(still, 0.0, rough), dips & ~still
    if path.kink is not None:
        root = root.at[path.kink].set(jnp.where(kink.any(), 1.0, jnp.nan))
    error = jnp.maximum(bend, rough)
    error = jnp.where(jnp.isfinite(error), error, 100.0)
    finest = now.step <= limits.smallest
    good = solved & (error <= 1) & ~dips & (at.tangent @ new.tangent > 0.9)
    good |= solved & finest & (bend <= 1)
    underflow = finest & ~good
    change = jnp.where(solved, jnp.clip(0.9 / jnp.sqrt(error + 1e-12), 0.25, 2.0), 0.25)
    change = jnp.where(dips, jnp.minimum(change, 0.5), change)
    change = jnp.where(good, change, jnp.minimum(change, 0.5))
    change = jnp.where(good & kink.any(), 1.0, change)  # this attempt was cut short
    moved = jax.tree.map(lambda a, b: jnp.where(now.going & good, b, a), at, beyond)
    following = jnp.clip(now.step * change, limits.smallest, _longest(limits, moved))
    taken = now.going & good
    length = now.length + step
    outside = ((new.u > limits.high) | (new.u < limits.low)).any()
    back = new.u - start.u
    near = jnp.sqrt(back @ back) < step
    closed = near & (new.tangent @ start.tangent > 0.9) & (now.length > 2 * step)
    closed &= back @ start.tangent >= 0
    far = (abs(new.u) > limits.farthest).any()
    end = first_of(
        [underflow, good & far, good & outside, good & closed],
        [BranchEnd.UNDERFLOW, BranchEnd.FAR, BranchEnd.BOUND, BranchEnd.CLOSED],
        _GOING,
    )
    after = March(
        moved,
        jnp.where(now.going, following, step),
        jnp.where(taken, length, now.length),
        now.going & (end == _GOING),
        jnp.where(now.going, end, now.end),
    )
    return after, Taken(at, new.u, new.tangent, step, taken, jnp.where(taken, root, jnp.nan))


def _longest(limits: Limits, at: Place) -> Array:
    """The longest step: for parameters as given, for states in units of what they are by now."""
    state = jnp.isinf(limits.low) & jnp.isinf(limits.high)
    size = jnp.where(state, abs(at.u), 0.0).max(initial=1.0)
    share = jnp.where(state, 0.0, abs(at.tangent)).max()
    return limits.largest * jnp.minimum(size, 1.0 / jnp.maximum(share, 1e-12))


def _tried(path: Path, now: March) -> tuple[Array, Array, Array, Array]:
    """Where an attempt leads: the point, whether it is one, how far, and onto which kinks.

    Where the tangent says that a switching function gets to zero within the step, the point is
    sought where it is; else on the plane across the tangent, and must be on the same side of all.
    """
    at = now.at
    if path.switching is None:
        guess = at.u + now.step * at.tangent
        u, solved = corrected(lambda z: path.equations(z, at.frame), guess, at.tangent)
        return u, solved, now.step, jnp.zeros(0, bool)
    switching, active = path.switching, at.frame
    value, slope = jax.jvp(switching, (at.u,), (at.tangent,))
    leaving = jnp.where(active, slope < 0, slope > 0)
    far = jnp.where(leaving, -value / jnp.where(leaving, slope, 1.0), jnp.inf)
    ahead = jnp.maximum(far.min(), 0.0)
    lands = ahead <= now.step
    first = index_of_largest(-far)
    guess = at.u + jnp.where(lands, ahead, now.step) * at.tangent

    def across(u: Array) -> tuple[Array, Array]:
        value, pull = jax.vjp(lambda z: switching(z)[first], u)
        (gradient,) = pull(jnp.ones_like(value))
        size = jnp.sqrt(gradient @ gradient)
        plane = at.tangent, at.tangent @ (u - guess)
        return jax.tree.map(
            lambda a, b: jnp.where(lands, a, b), (gradient / size, value / size), plane
        )

    u, solved = nearest(lambda z: path.equations(z, active), guess, across)
    value = switching(u)
    gradients = jax.jacfwd(switching)(u)
    zero = abs(value) <= _ON_KINK * jnp.sqrt((gradients**2).sum(1))
    step = jnp.where(lands, at.tangent @ (u - at.u), now.step)
    solved &= (((value > 0) == active) | zero).all() & (step > -_ON_KINK)
    return u, solved, jnp.maximum(step, 0.0), zero & lands & leaving


def _arrived(path: Path, at: Place, u: Array, kink: Array) -> tuple[Place, Place]:
    """The end of a step, and the place from which the next one goes on, on the other side."""
    switching = path.switching
    if switching is None:
        new = place(path, u, at.frame, at.tangent)
        return new, new
    aside = jnp.where(kink.any(), ASIDE, 0.0) * at.tangent
    new = place(path, u - aside, at.frame, at.tangent)._replace(u=u)
    # it goes on to where what was positive is negative, and the other way round
    first = index_of_largest(kink)
    gradient = jax.grad(lambda z: switching(z)[first])(u)
    onward = gradient * jnp.where(at.frame[first], -1.0, 1.0)
    onward = onward / jnp.sqrt(onward @ onward)
    along = jnp.where(kink.any(), onward, at.tangent)
    frame = jnp.where(kink, ~at.frame, at.frame)
    return new, place(path, u + aside, frame, along)._replace(u=u)


def _between(at: Place, new: Place, step: Array) -> tuple[Array, Array, Array]:
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
