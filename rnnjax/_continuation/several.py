"""Where several eigenvalues cross the imaginary axis at once, as symmetry makes them do.

Tests are products over eigenvalues: of an even number that cross at one place they touch zero and do not
change their signs, and a type's own equations are singular there. So unstable eigenvalues are counted, and
what changes without being explained is solved for as a whole, by the spectral projector on what crosses.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._continuation.corrector import corrected, hermite, solved_alone
from rnnjax._continuation.followed import Between, Followed, Located, Zero
from rnnjax._continuation.path import Seen, unstable_at
from rnnjax._continuation.problem import Taken
from rnnjax._numerics.dense import product, solve
from rnnjax._numerics.implicit import root_of
from rnnjax._numerics.roots import ValueAndJacobian, looking
from rnnjax._numerics.unstable import critical_projector, on_axis
from rnnjax._types import AnyArray, Array, Bool, Float, Int, numpy_of
from rnnjax.bifurcations._base import Family, by_state, jacobian_and_value

_WIDE = 1e-2  # scaled distance on either side at which the branch is regular enough to go through
_BESIDE = 0.1  # and at which derivatives have their usual size
_HALVINGS = 50
_NARROW = 1e-14  # scaled, what is left between two halvings
_FLAT = 1e-7  # of the size of the Jacobian, below which a frequency is none
_ALIKE = 1e-4  # of it, what eigenvalues that cross at once may differ by
_PUSHED = 1e-6  # of what the parameter does, what of it counts as along what crosses
_MOVED = 1e-3  # scaled, how far off the interpolated branch may be


class Crossing(NamedTuple):
    """What crosses, in the units of state and parameter.

    Attributes:
        projector: on the invariant space of those eigenvalues, `(n, n)`.
        u, along: a point of the branch near the place and its tangent there.
        length: turns what lies between two points into a length along it.
        stiffness: with what the equations are mended where eigenvalues are zero; else 0.
        count: how many eigenvalues cross.
        label: the index of the type that the place is one of; -1 where that was not looked for.
    """

    projector: Float[AnyArray, "*slot n n"]
    u: Float[AnyArray, "*slot point"]
    along: Float[AnyArray, "*slot point"]
    length: Float[AnyArray, "*slot point"]
    stiffness: Float[AnyArray, "*slot"]
    count: Float[AnyArray, "*slot"]
    label: Int[AnyArray, "*slot"]


def jumps_in(taken: Taken, crossed: Int[AnyArray, " attempt"]) -> Int[AnyArray, " attempt"]:
    """By how much the count changed in each attempt if what was found there does not explain it, else 0.

    A count that is not settled is passed over: the next one is compared with the last before. On
    the host as well.

    Args:
        taken: the attempts.
        crossed: how many eigenvalues cross at the bifurcations that were found in each.
    """
    xp = numpy_of(taken, crossed)
    seen: Seen = taken.seen
    total = xp.cumsum(crossed, dtype=np.int32)
    settled = taken.taken & (seen.unstable >= 0)
    places = np.arange(total.size, dtype=np.int32)
    known = xp.maximum.accumulate(xp.where(settled, places, -1))
    last = xp.concatenate([xp.full(1, -1, np.int32), known[:-1]])
    own = seen.begin.unstable >= 0
    before = xp.where(own, seen.begin.unstable, xp.where(last >= 0, seen.unstable[last], -1))
    most = xp.where(own | (last < 0), crossed, total - total[last])
    jump = seen.unstable - before
    explained = (abs(jump) <= most) & ((most - jump) % 2 == 0)
    return xp.where(settled & (before >= 0) & ~explained, jump, 0)


class _Line(NamedTuple):
    """The branch between two of its points, as a cubic over its length along a direction.

    Attributes:
        begin, end: the points.
        rise, fall: their tangents, of length 1 along the direction.
        from_: the length at the first.
        to: and at the second.
    """

    begin: Array
    end: Array
    rise: Array
    fall: Array
    from_: Array
    to: Array

    def at(self, length: Array) -> Array:
        """The point at a length."""
        width = self.to - self.from_
        share = (length - self.from_) / width
        return hermite(self.begin, self.end, width * self.rise, width * self.fall, share)


def zero_of_several(followed: Followed, between: Between) -> Zero:
    """Where the eigenvalues cross that changed the count in a step, before its derivatives."""
    path, field, units = followed.path, followed.field, followed.units
    begin, n = between.seen.begin, field.size
    look = looking(path.in_frame(begin.frame))
    line = _line_through(look, between)
    length = _halved(followed, look, line, between)
    u = line.at(length)
    along = jax.jvp(line.at, (length,), (jnp.ones_like(length),))[1]
    along = along / jnp.sqrt(along @ along)
    derivatives = look(u)[1]
    a = by_state(derivatives)
    count = abs(between.jump).astype(a.dtype)
    # all of its eigenvalues may vanish there: how large it is is seen a little beside
    places = u + along * jnp.asarray([[0.0], [_BESIDE], [-_BESIDE]])
    sizes = jax.vmap(lambda v: jnp.sqrt((by_state(look(v)[1]) ** 2).sum()))(places)
    size = jnp.where(jnp.isfinite(sizes), sizes, 0.0).max()
    projector, apart = critical_projector(a, count, size, between.wanted)
    _, square = on_axis(a, projector, count)
    pairs = square > (_FLAT * size) ** 2
    push = projector @ derivatives[:, n]
    pushed = jnp.sqrt(push @ push) > _PUSHED * (size + jnp.sqrt((derivatives[:, n] ** 2).sum()))
    label = _label(followed, pairs, pushed)
    stiffness = jnp.where(pairs, 0.0, size)
    scaled = Crossing(projector, u, along, along, stiffness, count, label)
    z, last = solved_alone(
        lambda v: _equations(path.in_frame(begin.frame), v, scaled), u, jnp.ones_like(u)
    )
    moved = z - u
    solved = apart & (last < 1e-9) & (jnp.sqrt(moved @ moved) <= _MOVED) & between.wanted
    solved &= _alike(by_state(look(z)[1]), scaled, pairs, size)
    z = jnp.where(solved, z, u)
    state = units[:n]
    crossing = Crossing(
        state[:, None] * projector / state, u * units, along * units, along / units, stiffness,
        count, label,
    )  # fmt: skip
    offset = begin.tangent @ (z - begin.u)
    at = between.at + jnp.where(jnp.signbit(between.at), -offset, offset)
    return Zero(
        z * units, lax.stop_gradient(crossing), along * units, at, between.step,
        solved & (label >= 0), between.wanted & ~solved,
    )  # fmt: skip


def several(followed: Followed, zero: Zero) -> Located:
    """Such a place with its derivatives."""
    field, crossing = followed.field, zero.constants
    z = root_of(lambda p, z, c: _equations(field.of(p), z, c), field.arrays, zero.z, crossing)
    a = by_state(field.jacobian(z))
    _, square = on_axis(a, crossing.projector, crossing.count)
    pairs = crossing.stiffness == 0
    square = jnp.where(pairs & zero.solved, square, 1.0)
    frequency = jnp.where(pairs, jnp.sqrt(jnp.maximum(square, 1e-300)), 0.0)
    number = jnp.round(jnp.where(pairs, crossing.count / 2, crossing.count)).astype(jnp.int32)
    still = jnp.zeros_like(frequency)
    none = jnp.zeros((), jnp.int32)
    return Located(
        z, zero.tangent, zero.at, jnp.maximum(crossing.label, 0), frequency, still, none,
        zero.solved, zero.unsolved, zero.reach, jnp.maximum(number, 1),
    )  # fmt: skip


def _equations(family: Family, u: Array, crossing: Crossing) -> Array:
    r"""The vector field, and the sum of the eigenvalues that cross: $\mathrm{tr}(P A)$.

    Where they are zero, f alone does not hold the place in the space that P projects on; there the branch
    is held: $f + \sigma P (x - x_0 - t\, s)$, s the length along the tangent t.
    """
    projector, at, along, length, stiffness, _, _ = crossing
    n = projector.shape[0]
    derivatives, value = jacobian_and_value(family, u)
    off = u - at
    off = off - along * (length @ off)
    mended = value + stiffness * (projector @ off[:n])
    return jnp.append(mended, (projector.T * by_state(derivatives)).sum())


def _line_through(look: ValueAndJacobian, between: Between) -> _Line:
    """The branch around the step; by its ends alone where it can't be seen farther."""
    begin, step = between.seen.begin, between.step
    direction = begin.tangent

    def beside(length: Array) -> tuple[Array, Array, Array]:
        u, solved = corrected(look, begin.u + length * direction, direction)
        row = jnp.concatenate([look(u)[1], direction[None]])
        tangent = solve(row, jnp.zeros_like(u).at[-1].set(1.0))
        return u, tangent, solved & jnp.isfinite(tangent).all()

    u, tangents, solved = jax.vmap(beside)(jnp.stack([jnp.asarray(-_WIDE), step + _WIDE]))
    onward = between.seen.onward / (direction @ between.seen.onward)
    both = solved.all()
    first, last = jnp.where(both, u, jnp.stack([begin.u, between.seen.end]))
    rise, fall = jnp.where(both, tangents, jnp.stack([direction, onward]))
    ends = direction @ (first - begin.u), direction @ (last - begin.u)
    return _Line(first, last, rise, fall, *ends)


def _halved(
    followed: Followed, look: ValueAndJacobian, line: _Line, between: Between
) -> Float[Array, ""]:
    """The length along the first tangent at which the count becomes that of the end of the step."""
    begin = between.seen.begin

    def body(now: tuple[Array, ...]) -> tuple[Array, ...]:
        low, high, k = now
        middle = (low + high) / 2
        count = unstable_at(followed.path, look(line.at(middle))[1])
        there, chance = count == between.seen.unstable, count < 0
        low = jnp.where(there & ~chance, low, middle)
        return low, jnp.where(there | chance, middle, high), k + 1

    def go(now: tuple[Array, ...]) -> Array:
        low, high, k = now
        return (high - low > _NARROW) & (k < _HALVINGS)

    end = jnp.where(between.wanted, begin.tangent @ (between.seen.end - begin.u), 0.0)
    low, high, _ = lax.while_loop(go, body, (jnp.zeros(()), end, jnp.zeros((), jnp.int32)))
    return (low + high) / 2


def _label(followed: Followed, pairs: Array, pushed: Array) -> Int[Array, ""]:
    """The index of the type that a place is one of; -1 where that is not looked for."""

    def index(fits: Any) -> int:
        members = [type_.member for type_ in followed.types]
        return next((k for k, member in enumerate(members) if fits(member)), -1)

    hopf = index(lambda m: m.begins_orbits)
    crosses = index(lambda m: m.switches_branch)
    folds = index(lambda m: m.crossing == 1 and not m.switches_branch)
    return jnp.where(pairs, hopf, jnp.where(pushed, folds, crosses)).astype(jnp.int32)


def _alike(a: Array, crossing: Crossing, pairs: Array, size: Array) -> Bool[Array, ""]:
    """Whether all of the eigenvalues are on the axis, and those of pairs of one frequency."""
    projector, count = crossing.projector, crossing.count
    _, square = on_axis(a, projector, count)
    frequency = jnp.sqrt(jnp.where(pairs, square, 1.0))
    eye = jnp.eye(a.shape[0], dtype=a.dtype)
    of_pairs = product(product(a, a) + square * eye, projector) / (2 * frequency)
    off = jnp.where(pairs, of_pairs, product(a, projector))
    return jnp.sqrt(abs(jnp.trace(product(off, off))) / count) <= _ALIKE * size
