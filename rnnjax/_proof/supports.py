r"""All fixed points of threshold-linear units, exactly: one linear system per set of active units.

$y_i = [\sum_j W_{ij} y_j + b_i]_+$ is solved by $y$ with active units $\sigma$ where
$(1 - W_{\sigma\sigma}) y_\sigma = b_\sigma$ has $y_\sigma > 0$, and $W_{k\sigma} y_\sigma + b_k \le 0$
for all others. Each set is decided in float64 where the error, bounded with an approximate inverse
(Rump's bound), leaves no doubt, and else in rational numbers.

References:
    Curto, Degeratu and Itskov (2013), Neural Computation 25:2858-2903.
    Rump (2010), Acta Numerica 19:287-449, section 10.
"""

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rnnjax._proof.intervals import Interval

LARGEST = 20  # rectified units
_OUTER, _INNER = 32, 256  # choices that are looked at together, of each half of the units
_MOST_EXACT = 20_000  # sets that are decided in rational numbers, which takes milliseconds each
_UNIT = np.finfo(float).eps / 2


class FixedPoints(NamedTuple):
    """What there is, and where there may be more.

    Attributes:
        rates: `(point, n)`, the isolated fixed points, rounded.
        error: `(point,)`, the most by which a rate is off.
        supports: the active units of each.
        open: `(region, n)`, rates between which there is a continuum of fixed points, or what
            was not decided.
        examined: how many sets of active units were looked at.
    """

    rates: np.ndarray
    error: np.ndarray
    supports: list[tuple[int, ...]]
    open: Interval
    examined: int


class _Units(NamedTuple):
    weights: np.ndarray  # (n, n)
    drive: np.ndarray  # (n,)
    rectified: np.ndarray  # (n,)


def fixed_points(weights: np.ndarray, drive: np.ndarray, rectified: np.ndarray) -> FixedPoints:
    """All fixed points.

    Args:
        weights: W, `(n, n)`.
        drive: b, `(n,)`.
        rectified: `(n,)`, which units have a threshold; the others are linear.
    """
    # squares of the numbers must not underflow; a power of two changes none of their digits
    scale = 2.0 ** np.floor(np.log2(abs(drive).max(initial=0.0) or 1.0))
    units = _Units(weights, drive / scale, rectified)
    found, open_, doubtful, examined = [], [], 0, 0
    for active, looked_at in _candidates(units):
        examined += looked_at
        silent = _silent(active, drive.size)
        accepted, unclear, rates, error = _screen(units, active, silent)
        for k in np.flatnonzero(accepted):
            found.append((tuple(active[k]), _spread(rates[k], active[k], drive.size), error[k]))
        for k in np.flatnonzero(unclear):
            doubtful += 1
            if doubtful > _MOST_EXACT:
                open_.append(_anything(units, active[k]))
                continue
            point, continuum = _exactly(units, active[k], silent[k])
            if point is not None:
                found.append((tuple(active[k]), point, float(np.spacing(abs(point).max()))))
            if continuum is not None:
                open_.append(continuum)
    found.sort(key=lambda each: (len(each[0]), sorted(each[0])))
    rates = np.array([x for _, x, _ in found]).reshape(len(found), drive.size)
    supports = [tuple(sorted(int(i) for i in s if rectified[i])) for s, _, _ in found]
    error = np.array([e for _, _, e in found])
    region = scale * np.array(open_).reshape(len(open_), 2, drive.size).swapaxes(0, 1)
    return FixedPoints(scale * rates, scale * error, supports, Interval(*region), examined)


def _candidates(units: _Units) -> Iterator[tuple[np.ndarray, int]]:
    """Sets of active units `(set, size)` that may hold a fixed point, and of how many they are left.

    Half of the units are solved for at first, once for each choice among them; what remains is a
    small system for the other half, and most of its solutions have a rate that is surely negative.
    """
    choice, always = np.flatnonzero(units.rectified), np.flatnonzero(~units.rectified)
    first, second = np.split(choice, [len(choice) // 2])
    for chosen in _subsets(len(first), _OUTER):
        outer = np.hstack([np.broadcast_to(always, (len(chosen), len(always))), first[chosen]])
        system, right, noise = _reduced(units, outer, second)
        for inner in _subsets(len(second), _INNER):
            sets, size = len(outer) * len(inner), inner.shape[1]
            small = system[:, inner[:, :, None], inner[:, None, :]].reshape(sets, size, size)
            sides = right[:, inner].reshape(sets, size, 1)
            x, error = _solve(small, sides, noise.repeat(len(inner)))
            possible = ~(x[..., 0] + error[:, None] <= 0).any(-1)
            one, other = np.divmod(np.flatnonzero(possible), len(inner))
            yield np.hstack([outer[one], second[inner[other]]]), sets


def _subsets(units: int, most: int) -> Iterator[np.ndarray]:
    """All sets of units, those of one size together, `(set, size)`, in batches."""
    for size in range(units + 1):
        combinations = itertools.combinations(range(units), size)
        while batch := list(itertools.islice(combinations, most)):
            yield np.array(batch, int).reshape(len(batch), size)


def _silent(active: np.ndarray, units: int) -> np.ndarray:
    """The units that are in no set, `(set, units - size)`."""
    out = np.ones((len(active), units), bool)
    np.put_along_axis(out, active, False, 1)
    return np.nonzero(out)[1].reshape(len(active), units - active.shape[1])


def _reduced(
    units: _Units, outer: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is left for the other units once the outer ones are solved for, and how far it is off."""
    drive, system = units.drive, np.eye(units.drive.size) - units.weights
    rest = np.hstack([system[np.ix_(second, second)], drive[second, None]])
    across = system[second[None, :, None], outer[:, None, :]]
    right = np.concatenate([system[outer][:, :, second], drive[outer][..., None]], -1)
    x, error = _solve(
        system[outer[:, :, None], outer[:, None, :]], right, np.zeros(len(outer))
    )  # fmt: skip
    left = rest - across @ x
    rounding = 1.0001 * (outer.shape[1] + 5) * _UNIT
    with np.errstate(invalid="ignore"):
        noise = _norm(across) * error + rounding * (_norm(across) * _norm(x) + _norm(rest[None]))
    return left[..., :-1], left[..., -1], np.where(np.isfinite(noise), noise, np.inf)


def _screen(
    units: _Units, active: np.ndarray, silent: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which sets surely hold a fixed point, which are unclear, the rates and their error."""
    weights, drive, rectified = units
    matrix = (np.eye(drive.size) - weights)[active[:, :, None], active[:, None, :]]
    x, error = _solve(matrix, drive[active][..., None], np.zeros(len(active)))
    x, known = x[..., 0], np.isfinite(error)
    error = np.where(known, error, 0.0)
    with np.errstate(all="ignore"):
        positive = np.where(rectified[active], x, np.inf)
        on = (positive - error[:, None] > 0).all(1)
        off = (positive + error[:, None] <= 0).any(1)
        across = weights[silent[:, :, None], active[:, None, :]]
        sums = np.einsum("sij,sj->si", across, x) + drive[silent]
        size = np.einsum("sij,sj->si", abs(across), abs(x)) + abs(drive[silent])
        slack = (active.shape[1] + 3) * _UNIT * size + abs(across).sum(-1) * error[:, None]
        quiet, loud = (sums + 1.0001 * slack <= 0).all(1), (sums - 1.0001 * slack > 0).any(1)
    accepted = known & on & quiet
    return accepted, ~accepted & ~(known & (off | loud)), x, error


def _solve(
    matrix: np.ndarray, right: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Solutions of `(set, k, k)` systems with right sides `(set, k, p)`, and the most they are off.

    `noise` is by how much the matrix and the right side may be off, in the Euclidean norm, beside
    one rounding; an error that can't be bounded is infinite.
    """
    size = matrix.shape[-1]
    if not size:
        return np.zeros(right.shape), np.zeros(len(right))
    with np.errstate(all="ignore"):
        inverse = _inverse(matrix)
        x = inverse @ right
        residual = _norm(right - matrix @ x)
        large, small, length = _norm(inverse), _norm(matrix), _norm(x)
        product = inverse @ matrix
        product[:, np.arange(size), np.arange(size)] -= 1
        rounding = 1.0001 * (size + 5) * _UNIT  # of sums of products, and of 1 - W
        off = _norm(product) + large * (rounding * (small + 1 / large) + 1.0001 * noise)
        residual += rounding * (small * length + _norm(right)) + 1.0001 * noise * (1 + length)
        error = 1.0001 * large * residual / (1 - off)
    return x, np.where(off < 0.5, error, np.inf)


def _norm(x: np.ndarray) -> np.ndarray:
    """The Euclidean norm of each, rounded up."""
    flat = x.reshape(len(x), math.prod(x.shape[1:]))
    return np.sqrt(np.einsum("sk,sk->s", flat, flat)) * (1 + 2 * (flat.shape[1] + 2) * _UNIT)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Approximate inverses; NaN where a matrix is singular."""
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        regular = (np.linalg.det(matrix) != 0)[:, None, None]
        inverse = np.linalg.inv(np.where(regular, matrix, np.eye(matrix.shape[-1])))
        return np.where(regular, inverse, np.nan)


def _spread(values: Any, at: np.ndarray, size: int) -> np.ndarray:
    rates = np.zeros(size)
    rates[at] = values
    return rates


def _anything(units: _Units, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rates that a set allows."""
    low = np.where(units.rectified[active], 0.0, -np.inf)
    return _spread(low, active, units.drive.size), _spread(np.inf, active, units.drive.size)


def _exactly(
    units: _Units, active: np.ndarray, silent: np.ndarray
) -> tuple[np.ndarray | None, tuple[np.ndarray, np.ndarray] | None]:
    """In rational numbers: the fixed point of a set, or the ends of a line of them."""
    w = [[Fraction(float(x)) for x in row] for row in units.weights]
    b = [Fraction(float(x)) for x in units.drive]
    rows = [[(i == j) - w[i][j] for j in active] + [b[i]] for i in active]
    pivots, size = _eliminate(rows), len(active)
    free = [k for k in range(size) if k not in pivots]
    if any(row[-1] != 0 for row in rows[len(pivots) :]):
        return None, None
    if len(free) > 1:
        return None, _anything(units, active)
    # the rates are start + t along
    start, along = [Fraction(0)] * size, [Fraction(k in free) for k in range(size)]
    for row, k in zip(rows, pivots, strict=False):
        start[k] = row[-1]
        along[k] = -row[free[0]] if free else Fraction(0)
    positive = [(start[k], along[k]) for k in range(size) if units.rectified[active[k]]]
    below = [
        (-b[i] - _dot(w[i], active, start), -_dot(w[i], active, along)) for i in silent
    ]  # fmt: skip
    span = _span(positive, below)
    if span is None:
        return None, None
    ends = [
        _spread([_float(x, d, t) for x, d in zip(start, along, strict=True)], active, len(b))
        for t in span
    ]
    if not free or span[0] == span[1]:
        return ends[0], None
    return None, (np.minimum(*ends), np.maximum(*ends))


def _dot(row: list[Fraction], at: np.ndarray, x: list[Fraction]) -> Fraction:
    return sum((row[j] * y for j, y in zip(at, x, strict=True)), Fraction(0))


def _eliminate(rows: list[list[Fraction]]) -> list[int]:
    """Reduce `[A | b]` to echelon form in place; gives the columns of the pivots."""
    pivots: list[int] = []
    for column in range(len(rows)):
        at = len(pivots)
        best = next((k for k in range(at, len(rows)) if rows[k][column] != 0), None)
        if best is None:
            continue
        rows[at], rows[best] = rows[best], rows[at]
        scale = rows[at][column]
        rows[at] = [x / scale for x in rows[at]]
        for k in range(len(rows)):
            if k != at and rows[k][column] != 0:
                factor = rows[k][column]
                rows[k] = [x - factor * y for x, y in zip(rows[k], rows[at], strict=True)]
        pivots.append(column)
    return pivots


def _span(
    positive: list[tuple[Fraction, Fraction]], others: list[tuple[Fraction, Fraction]]
) -> tuple[Any, Any] | None:
    """The ends of all t for which value + t slope > 0, or >= 0 for the others; None for none."""
    low, high = -np.inf, np.inf
    for value, slope in [*positive, *others]:
        if slope > 0:
            low = max(low, -value / slope)
        elif slope < 0:
            high = min(high, -value / slope)
        elif value < 0:
            return None
    if low > high or any(value == 0 and slope == 0 for value, slope in positive):
        return None
    if low == high and any(value + low * slope <= 0 for value, slope in positive):
        return None
    return low, high


def _float(start: Fraction, along: Fraction, t: Fraction | float) -> float:
    if not along:
        return float(start)
    return float(along) * t if np.isinf(float(t)) else float(start + along * t)
