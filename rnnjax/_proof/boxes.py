"""All zeros of a vector field in a box, with proof: interval Newton steps and bisection.

A box is dropped when the bounds show that it holds no zero, and kept as proven when Krawczyk's
operator maps it into its own interior: it then holds exactly one. Otherwise it is narrowed, or cut
in two. What is still undecided when it is tiny is handed back as such.

References:
    Moore, Kearfott and Cloud (2009), Introduction to Interval Analysis, chapters 5 and 8.
    Neumaier (1990), Interval Methods for Systems of Equations, chapter 5.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rnnjax._proof.enclosure import Bounds
from rnnjax._proof.intervals import (
    Interval,
    add,
    choose,
    divide,
    hull,
    matrix_product,
    meet,
    middle,
    multiply,
    negative,
    outward,
    point,
    subtract,
)
from rnnjax._types import Shaped

_BATCH = 1024  # boxes looked at together
_CUT = 0.4871  # where a box is cut: off the middle, where symmetric fields have their zeros
_NARROWED = 0.6  # a box that lost this share of a width is looked at again before it is cut
_GAP = 100  # undecided regions are one where they are closer than this many of the finest boxes
_MOST_OPEN = 256  # undecided regions that are told apart

Field = Callable[..., Bounds]


class Zeros(NamedTuple):
    """What was found in a box.

    Attributes:
        proven: `(zero, n)`, intervals that hold exactly one zero each.
        open: `(region, n)`, where there may be others.
        examined: how many boxes were looked at.
    """

    proven: Interval
    open: Interval
    examined: int


def zeros_in(field: Field, box: Interval, resolution: float, most: int) -> Zeros:
    """All zeros of a field in a box.

    Args:
        field: gives its bounds on boxes `(box, n)`, see `Enclosure`.
        box: `(n,)`.
        resolution: a box this small, as a share of the whole, is cut no further.
        most: the most boxes to look at.
    """
    finest = resolution * (box.high - box.low)
    left = Interval(box.low[None], box.high[None])
    regions = roots = undecided = Interval(*np.empty((2, 0, box.low.size)))
    examined = 0
    while len(left.low) and examined < most:
        batch, left = _rows(left, slice(-_BATCH, None)), _rows(left, slice(None, -_BATCH))
        batch = _rows(batch, ~_inside(batch, regions).any(-1))
        examined += len(batch.low)
        step = _narrow(field, batch)
        regions = _join(regions, _rows(batch, step.proven))
        roots = _join(roots, _rows(step.root, step.proven))
        rest = step.alive & ~step.proven
        tiny = rest & (step.box.high - step.box.low <= finest).all(-1)
        if tiny.any():
            found = _around(field, _rows(step.box, tiny), finest)
            regions, roots = _join(regions, found[0]), _join(roots, found[1])
            undecided = _join(undecided, found[2])
        left = _join(left, _cut(batch, step, rest & ~tiny, finest))
        undecided = _merged(undecided, 4 * _BATCH, _GAP * finest)
    regions, roots, doubtful = _distinct(field, regions, roots)
    touching = ((roots.low <= box.high) & (roots.high >= box.low)).all(-1)
    undecided = meet(_join(_join(undecided, left), doubtful), box)
    undecided = _rows(undecided, ~_inside(undecided, regions).any(-1))
    return Zeros(_rows(roots, touching), _merged(undecided, _MOST_OPEN, _GAP * finest), examined)


class _Step(NamedTuple):
    alive: np.ndarray  # (box,) whether it may hold a zero
    proven: np.ndarray  # (box,) whether it holds exactly one
    box: Interval  # what is left of it
    root: Interval  # where that one is
    smear: np.ndarray  # (box, n) how much the bounds owe to each variable's width


def _narrow(field: Field, box: Interval) -> _Step:
    """One Newton step on boxes `(box, n)`."""
    bounds = field(box)
    center = middle(box)
    at_center = field(point(center), slopes=False).value
    with np.errstate(all="ignore"):
        possible = ((bounds.value.low <= 0) & (bounds.value.high >= 0)).all(-1)
        smooth = ~bounds.jumps
        assert bounds.slope is not None
        offset = subtract(box, point(center))
        narrowed, some = _solved(at_center, bounds.slope, offset)
        inverse = _inverse(middle(bounds.slope))
        system = matrix_product(point(inverse), bounds.slope)
        shift = _times_vector(point(inverse), at_center)
        identity = point(np.eye(box.low.shape[-1]))
        image = subtract(_times_vector(subtract(identity, system), offset), shift)
        image = add(point(center), image)
        inside = ((image.low > box.low) & (image.high < box.high)).all(-1)
        narrowed, others = _solved(shift, system, narrowed)
        new = meet(meet(add(point(center), narrowed), box), image)
        empty = ~some | ~others | (new.low > new.high).any(-1)
        new = choose((smooth & ~empty)[:, None], new, box)
        weight = np.maximum(abs(bounds.slope.low), abs(bounds.slope.high))
        weight = np.minimum(weight, 1e300) * (new.high - new.low)[:, None, :]
        smear = (weight / np.maximum(weight.sum(-1, keepdims=True), 1e-300)).sum(1)
    alive = possible & ~(smooth & empty)
    return _Step(alive, alive & smooth & inside, new, meet(image, box), smear)


def _solved(at_center: Interval, slope: Interval, offset: Interval) -> tuple[Interval, np.ndarray]:
    """Gauss-Seidel: the offsets that can solve f(c) + slope offset = 0, and whether there are any.

    Every equation is solved for every variable; where its slope may be 0, what it excludes lies
    in the middle, and only an end that is excluded whole is taken off.
    """
    size = offset.low.shape[-1]
    terms = multiply(slope, Interval(*(x[:, None, :] for x in offset)))
    some = np.ones(len(offset.low), bool)
    low, high = (x.copy() for x in offset)
    for j in range(size):
        others = at_center
        for k in range(size):
            if k != j:
                others = add(others, Interval(*(x[..., k] for x in terms)))
        by = Interval(*(x[..., j] for x in slope))
        here = _quotient(negative(others), by, Interval(low[:, j, None], high[:, j, None]))
        low[:, j], high[:, j] = here.low.max(-1), here.high.min(-1)
        some &= low[:, j] <= high[:, j]
        high[:, j] = np.maximum(low[:, j], high[:, j])
        new = multiply(by, Interval(low[:, j, None], high[:, j, None]))
        for side, of in zip(terms, new, strict=True):
            side[..., j] = of
    return Interval(low, high), some


def _quotient(top: Interval, bottom: Interval, within: Interval) -> Interval:
    """The least interval of all `x` of `within` with `bottom x = top`; `low > high` if there is none."""
    crosses = (bottom.low <= 0) & (bottom.high >= 0)
    plain = meet(divide(top, choose(crosses, point(1.0), bottom)), within)
    # top is away from 0, so x is beyond one of two bounds
    size = np.where(top.low > 0, top.low, top.high)
    apart = (top.low > 0) | (top.high < 0)
    ahead = np.where(top.low > 0, bottom.high, bottom.low)
    behind = np.where(top.low > 0, bottom.low, bottom.high)
    above = np.where(ahead != 0, np.nextafter(size / ahead, -np.inf), np.inf)
    below = np.where(behind != 0, np.nextafter(size / behind, np.inf), -np.inf)
    low = np.where(below < within.low, np.maximum(within.low, above), within.low)
    high = np.where(above > within.high, np.minimum(within.high, below), within.high)
    cut = choose(apart, Interval(low, high), within)
    return choose(crosses, cut, plain)


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Approximate inverses, `(box, n, n)`; the identity where there is none."""
    identity = np.eye(matrices.shape[-1])
    size = abs(matrices).max((-1, -2), keepdims=True, initial=0.0)
    scaled = np.where(np.isfinite(size) & (size > 0), matrices / size, identity)
    regular = (np.linalg.det(scaled) != 0)[:, None, None]
    inverse = np.linalg.inv(np.where(regular, scaled, identity)) / size
    usable = regular & np.isfinite(inverse).all((-1, -2), keepdims=True)
    return np.where(usable, inverse, identity)


def _times_vector(matrix: Interval, x: Interval) -> Interval:
    found = matrix_product(matrix, Interval(*(z[..., None] for z in x)))
    return Interval(*(z[..., 0] for z in found))


def _cut(batch: Interval, step: _Step, which: np.ndarray, finest: np.ndarray) -> Interval:
    """The boxes that go on: as they are where they shrank, else in two."""
    old, box, smear = _rows(batch, which), _rows(step.box, which), step.smear[which]
    width, before = box.high - box.low, old.high - old.low
    shrank = ((width <= _NARROWED * before) & (before > finest)).any(-1)
    by_smear = np.where((width > finest) & (smear > 0), smear, -1.0)  # no comparison holds for NaN
    known = by_smear.max(-1, keepdims=True, initial=-1.0) > 0
    axis = np.where(known, by_smear, width / finest).argmax(-1)
    row = np.arange(len(axis))
    at = box.low[row, axis] + _CUT * width[row, axis]
    lower, upper = box.high.copy(), box.low.copy()
    lower[row, axis] = upper[row, axis] = at
    halves = _join(Interval(box.low, lower), Interval(upper, box.high))
    again = np.concatenate([~shrank, ~shrank])
    return _join(_rows(box, shrank), _rows(halves, again))


def _around(field: Field, box: Interval, finest: np.ndarray) -> tuple[Interval, Interval, Interval]:
    """Tiny boxes, each tried with some room around it: regions and roots proven, and the rest."""
    regions = roots = _rows(box, slice(0, 0))
    for room in (1.0, 100.0):
        reach = box.high - box.low + room * finest
        around = outward(box.low - reach, box.high + reach)
        step = _narrow(field, around)
        regions = _join(regions, _rows(around, step.proven))
        roots = _join(roots, _rows(step.root, step.proven))
        box = _rows(box, step.alive & ~step.proven)
        box = _rows(box, ~_inside(box, regions).any(-1))
    return regions, roots, box


def _distinct(
    field: Field, regions: Interval, roots: Interval
) -> tuple[Interval, Interval, Interval]:
    """Each root once and as narrow as it gets; and where two could not be told apart."""
    for _ in range(8):
        step = _narrow(field, roots)
        roots = meet(roots, step.root)
    kept: list[int] = []
    doubtful = _rows(roots, slice(0, 0))
    for k in range(len(roots.low)):
        one, region = _rows(roots, [k]), _rows(regions, [k])
        others, their = _rows(roots, kept), _rows(regions, kept)
        same = _inside(one, their)[0] | _inside(others, region)[:, 0]
        touch = ((others.low <= one.high) & (others.high >= one.low)).all(-1)
        if (touch & ~same).any():
            doubtful = _join(doubtful, hull(one, _rows(others, touch)))
        if not (same | touch).any():
            kept.append(k)
    return _rows(regions, kept), _rows(roots, kept), doubtful


def _inside(box: Interval, regions: Interval) -> np.ndarray:
    """`(box, region)`: whether the one lies within the other."""
    below = box.low[:, None] >= regions.low[None]
    return (below & (box.high[:, None] <= regions.high[None])).all(-1)


def _merged(box: Interval, most: int, gap: np.ndarray) -> Interval:
    """Regions at most `gap` apart made one; where they are many, neighbors in the list as well."""
    while len(box.low) > most:
        box = hull(_rows(box, slice(0, None, 2)), _pad(_rows(box, slice(1, None, 2)), box))
    k = 0
    while len(box.low) <= _MOST_OPEN and k < len(box.low):
        one = _rows(box, [k])
        near = ((box.low <= one.high + gap) & (box.high >= one.low - gap)).all(-1)
        if near.sum() == 1:
            k += 1
            continue
        joined = Interval(box.low[near].min(0)[None], box.high[near].max(0)[None])
        box, k = _join(joined, _rows(box, ~near)), 0
    return box


def _pad(odd: Interval, box: Interval) -> Interval:
    """The last box once more where their number is odd."""
    return _join(odd, _rows(box, slice(-1, None))) if len(box.low) % 2 else odd


def _rows(
    box: Interval, which: Shaped[np.ndarray, " box"] | np.bool_ | slice | list[int]
) -> Interval:
    return Interval(*(x[which] for x in box))


def _join(first: Interval, second: Interval) -> Interval:
    return Interval(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
