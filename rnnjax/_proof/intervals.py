"""Interval arithmetic in float64, rounded outward: what a real number may be, as two arrays.

Sums, products and quotients are rounded to the nearest number by the processor, so the next number
further out is a bound. The functions of the C library are not rounded correctly: their results are
widened by `_LIBRARY` units in the last place, twice what NumPy allows its own of them.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnjax._types import Numbers, Shaped

_LIBRARY = 8  # units in the last place; NumPy tests its float64 functions to 4
_SERIES = 0.01  # below it, a series for what would lose its digits


class Interval(NamedTuple):
    """All real numbers from `low` to `high`, elementwise; infinite where nothing is known."""

    low: Shaped[Any, "*shape"]
    high: Shaped[Any, "*shape"]


def point(x: Numbers) -> Interval:
    """One number."""
    return Interval(x, x)


def middle(x: Interval) -> np.ndarray:
    """A number of the interval, near its middle; 0 for the whole line."""
    low = np.maximum(x.low, -np.finfo(float).max)
    high = np.minimum(x.high, np.finfo(float).max)
    return np.clip(low / 2 + high / 2, low, high)


def hull(x: Interval, y: Interval) -> Interval:
    """The least interval that holds both."""
    return Interval(np.minimum(x.low, y.low), np.maximum(x.high, y.high))


def meet(x: Interval, y: Interval) -> Interval:
    """What both hold; `low > high` where that is nothing."""
    return Interval(np.maximum(x.low, y.low), np.minimum(x.high, y.high))


def choose(where: Shaped[Any, "..."], x: Interval, y: Interval) -> Interval:
    """`x` where it is true, else `y`."""
    return Interval(np.where(where, x.low, y.low), np.where(where, x.high, y.high))


def outward(low: Numbers, high: Numbers) -> Interval:
    """The next numbers further out."""
    return Interval(np.nextafter(low, -np.inf), np.nextafter(high, np.inf))


def _widened(low: Numbers, high: Numbers) -> Interval:
    """Further out by what a function of the C library may be off."""
    errors = [np.where(np.isfinite(x), _LIBRARY * np.spacing(np.abs(x)), 0.0) for x in (low, high)]
    return outward(low - errors[0], high + errors[1])


def add(x: Interval, y: Interval) -> Interval:
    """$x + y$."""
    return outward(x.low + y.low, x.high + y.high)


def negative(x: Interval) -> Interval:
    """$-x$."""
    return Interval(-x.high, -x.low)


def subtract(x: Interval, y: Interval) -> Interval:
    """$x - y$."""
    return outward(x.low - y.high, x.high - y.low)


def multiply(x: Interval, y: Interval) -> Interval:
    """$x y$; every number is finite, so that 0 times anything is 0."""
    products = [_times(a, b) for a in x for b in y]
    return outward(
        np.minimum(np.minimum(*products[:2]), np.minimum(*products[2:])),
        np.maximum(np.maximum(*products[:2]), np.maximum(*products[2:])),
    )


def _times(a: Numbers, b: Numbers) -> Any:
    product = a * b
    return np.where(np.isnan(product), 0.0, product)


def divide(x: Interval, y: Interval) -> Interval:
    """$x / y$; the whole line where `y` may be 0."""
    return multiply(x, reciprocal(y))


def reciprocal(x: Interval) -> Interval:
    """$1 / x$; the whole line where `x` may be 0."""
    crosses = (x.low <= 0) & (x.high >= 0)
    low, high = (np.where(crosses, 1.0, z) for z in x)
    found = outward(1 / high, 1 / low)
    return Interval(np.where(crosses, -np.inf, found.low), np.where(crosses, np.inf, found.high))


def total(x: Interval, axis: int) -> Interval:
    """The sum along an axis."""
    parts = [Interval(*each) for each in zip(*(np.moveaxis(z, axis, 0) for z in x), strict=True)]
    if not parts:
        return point(np.zeros(np.delete(x.low.shape, axis)))
    result = parts[0]
    for part in parts[1:]:
        result = add(result, part)
    return result


def matrix_product(x: Interval, y: Interval) -> Interval:
    """`(..., m, k)` times `(..., k, p)`."""
    result: Interval | None = None
    for k in range(x.low.shape[-1]):
        left = Interval(x.low[..., :, k, None], x.high[..., :, k, None])
        right = Interval(y.low[..., None, k, :], y.high[..., None, k, :])
        each = multiply(left, right)
        result = each if result is None else add(result, each)
    return result if result is not None else point(np.zeros((*x.low.shape[:-1], y.low.shape[-1])))


def absolute(x: Interval) -> Interval:
    """$|x|$."""
    low = np.maximum(np.maximum(x.low, -x.high), 0.0)
    return Interval(low, np.maximum(np.abs(x.low), np.abs(x.high)))


def larger(x: Interval, y: Interval) -> Interval:
    r"""$\max(x, y)$."""
    return Interval(np.maximum(x.low, y.low), np.maximum(x.high, y.high))


def smaller(x: Interval, y: Interval) -> Interval:
    r"""$\min(x, y)$."""
    return Interval(np.minimum(x.low, y.low), np.minimum(x.high, y.high))


def integer_power(x: Interval, exponent: int) -> Interval:
    """$x^k$ for a whole number."""
    if exponent < 0:
        return reciprocal(integer_power(x, -exponent))
    if exponent == 0:
        return point(np.ones_like(x.low))
    if exponent == 1:
        return x
    size = absolute(x) if exponent % 2 == 0 else x
    ends = [point(size.low), point(size.high)]
    grown = list(ends)
    for _ in range(exponent - 1):
        grown = [multiply(a, b) for a, b in zip(grown, ends, strict=True)]
    low = np.maximum(grown[0].low, 0.0) if exponent % 2 == 0 else grown[0].low
    return Interval(low, grown[1].high)


def power(x: Interval, y: Interval) -> Interval:
    """$x^y$ for a positive `x`; the whole line where it may not be."""
    return choose(x.low >= 0, exp(multiply(y, log(x))), Interval(-np.inf, np.inf))


def _rising(
    function: Callable[[Any], Any], least: float = -np.inf, most: float = np.inf
) -> Callable[[Interval], Interval]:
    """A function of the library that rises, between the bounds that it is known to have."""

    def run(x: Interval) -> Interval:
        with np.errstate(all="ignore"):
            found = _widened(function(x.low), function(x.high))
        return Interval(np.clip(found.low, least, most), np.clip(found.high, least, most))

    return run


def _falling(
    function: Callable[[Any], Any], least: float = -np.inf, most: float = np.inf
) -> Callable[[Interval], Interval]:
    """The same of one that falls."""
    mirrored = _rising(lambda x: function(-x), least, most)
    return lambda x: mirrored(negative(x))


def _within(
    function: Callable[[Interval], Interval], least: float, most: float
) -> Callable[[Interval], Interval]:
    """A function that is defined between two bounds only; beyond, nothing is known of it."""

    def run(x: Interval) -> Interval:
        inside = (x.low >= least) & (x.high <= most)
        found = function(meet(x, Interval(least, most)))
        return choose(inside, found, Interval(-np.inf, np.inf))

    return run


def _even(function: Callable[[Interval], Interval]) -> Callable[[Interval], Interval]:
    """An even function, from what it is on positive numbers."""
    return lambda x: function(absolute(x))


exp = _rising(np.exp, 0.0)
exp2 = _rising(np.exp2, 0.0)
expm1 = _rising(np.expm1, -1.0)
log = _within(_rising(np.log), 0.0, np.inf)
log1p = _within(_rising(np.log1p), -1.0, np.inf)
sqrt = _within(_rising(np.sqrt, 0.0), 0.0, np.inf)
cbrt = _rising(np.cbrt)
tanh = _rising(np.tanh, -1.0, 1.0)
sinh = _rising(np.sinh)
cosh = _even(_rising(np.cosh, 1.0))
arcsinh = _rising(np.arcsinh)
arctan = _rising(np.arctan)
arcsin = _within(_rising(np.arcsin), -1.0, 1.0)
arctanh = _within(_rising(np.arctanh), -1.0, 1.0)
arccosh = _within(_rising(np.arccosh, 0.0), 1.0, np.inf)
erf = _rising(np.vectorize(math.erf, otypes=[float]), -1.0, 1.0)
arccos = _within(_falling(np.arccos, 0.0), -1.0, 1.0)
erfc = _falling(np.vectorize(math.erfc, otypes=[float]), 0.0, 2.0)
_one, _two, _ln2 = point(1.0), point(2.0), _widened(np.log(2.0), np.log(2.0))


def logistic(x: Interval) -> Interval:
    """$1 / (1 + e^{-x})$."""
    found = reciprocal(add(_one, exp(negative(x))))
    return Interval(np.maximum(found.low, 0.0), np.minimum(found.high, 1.0))


def exp_linear(x: Interval) -> Interval:
    """$x / (1 - e^{-x})$, which rises."""
    low, high = _exp_linear_at(x.low).low, _exp_linear_at(x.high).high
    return Interval(np.maximum(low, 0.0), high)


def _exp_linear_at(x: Numbers) -> Interval:
    away = np.where(x == 0, 1.0, x)
    found = divide(point(away), negative(expm1(point(-away))))
    return choose(x == 0, _one, found)


def exp_linear_slope(x: Interval) -> Interval:
    """Its derivative, which rises from 0 to 1."""
    low, high = _exp_linear_slope_at(x.low).low, _exp_linear_slope_at(x.high).high
    return Interval(np.maximum(low, 0.0), np.minimum(high, 1.0))


def _exp_linear_slope_at(x: Numbers) -> Interval:
    r"""$1/2 + (\sinh x - x) / (4 \sinh^2(x/2))$; near 0, $1/2 + x/6$ up to $|x|^3 / 180$."""
    near = np.abs(x) < _SERIES
    away = np.clip(np.where(near, 1.0, x), -700.0, 700.0)
    top = subtract(sinh(point(away)), point(away))
    bottom = multiply(point(4.0), integer_power(sinh(point(away / 2)), 2))
    small = np.where(near, x, 0.0)
    rest = np.abs(small) ** 3 / 180 * (1 + 1e-9)
    series = add(divide(point(small), point(6.0)), Interval(-rest, rest))
    far = choose(x > 700, Interval(0.5 - 1e-9, 0.5), Interval(-0.5, -0.5 + 1e-9))
    inner = choose(near, series, choose(np.abs(x) > 700, far, divide(top, bottom)))
    return add(point(0.5), inner)


def sin(x: Interval) -> Interval:
    r"""$\sin x$."""
    return _wave(x, np.sin, np.pi / 2)


def cos(x: Interval) -> Interval:
    r"""$\cos x$."""
    return _wave(x, np.cos, 0.0)


def _wave(x: Interval, function: Callable[[Any], Any], peak: float) -> Interval:
    """A sine with a maximum at `peak`; where one may be inside, it is taken to be."""
    with np.errstate(invalid="ignore"):
        ends = function(x.low), function(x.high)
        found = _widened(np.minimum(*ends), np.maximum(*ends))
        known = np.maximum(np.abs(x.low), np.abs(x.high)) < 1e6
        low = np.where(known & ~_turns(x, peak + np.pi), np.maximum(found.low, -1.0), -1.0)
        high = np.where(known & ~_turns(x, peak), np.minimum(found.high, 1.0), 1.0)
    return Interval(low, high)


def _turns(x: Interval, place: float) -> Any:
    """Whether a place that comes back after a whole turn may be inside."""
    low, high = ((z - place) / (2 * np.pi) for z in x)
    return np.ceil(low - 1e-9) <= np.floor(high + 1e-9)


def _bell(x: Interval) -> Interval:
    r"""The derivative of the logistic, $1 / (2 + 2 \cosh x)$."""
    return reciprocal(add(_two, multiply(_two, cosh(x))))


def _sech2(x: Interval) -> Interval:
    r"""The derivative of tanh, $1 / \cosh^2 x$."""
    return reciprocal(integer_power(cosh(x), 2))


def _gauss(x: Interval) -> Interval:
    """The derivative of erf."""
    scale = _widened(2 / np.sqrt(np.pi), 2 / np.sqrt(np.pi))
    return multiply(scale, exp(negative(integer_power(x, 2))))


def _one_minus_square(x: Interval) -> Interval:
    return subtract(_one, integer_power(x, 2))


def _one_plus_square(x: Interval) -> Interval:
    return add(_one, integer_power(x, 2))


def _sign_of(x: Interval) -> Interval:
    return Interval(np.sign(x.low), np.sign(x.high))


# name of the JAX primitive: the function and its derivative, or None where it is a staircase
ELEMENTARY: dict[str, tuple[Callable[[Interval], Interval], Any]] = {
    "abs": (absolute, _sign_of),
    "exp": (exp, exp),
    "exp2": (exp2, lambda x: multiply(_ln2, exp2(x))),
    "log2": (
        lambda x: divide(log(x), _ln2),
        _within(lambda x: reciprocal(multiply(_ln2, x)), 0.0, np.inf),
    ),
    "expm1": (expm1, exp),
    "log": (log, _within(reciprocal, 0.0, np.inf)),
    "log1p": (log1p, _within(lambda x: reciprocal(add(_one, x)), -1.0, np.inf)),
    "sqrt": (sqrt, lambda x: reciprocal(multiply(_two, sqrt(x)))),
    "rsqrt": (
        lambda x: reciprocal(sqrt(x)),
        lambda x: reciprocal(multiply(point(-2.0), multiply(x, sqrt(x)))),
    ),
    "cbrt": (cbrt, lambda x: reciprocal(multiply(point(3.0), integer_power(cbrt(x), 2)))),
    "logistic": (logistic, _bell),
    "tanh": (tanh, _sech2),
    "sinh": (sinh, cosh),
    "cosh": (cosh, sinh),
    "sin": (sin, cos),
    "cos": (cos, lambda x: negative(sin(x))),
    "tan": (
        lambda x: divide(sin(x), cos(x)),
        lambda x: reciprocal(integer_power(cos(x), 2)),
    ),
    "asin": (arcsin, lambda x: reciprocal(sqrt(_one_minus_square(x)))),
    "acos": (arccos, lambda x: negative(reciprocal(sqrt(_one_minus_square(x))))),
    "atan": (arctan, lambda x: reciprocal(_one_plus_square(x))),
    "asinh": (arcsinh, lambda x: reciprocal(sqrt(_one_plus_square(x)))),
    "acosh": (arccosh, lambda x: reciprocal(sqrt(subtract(integer_power(x, 2), _one)))),
    "atanh": (arctanh, lambda x: reciprocal(_one_minus_square(x))),
    "erf": (erf, _gauss),
    "erfc": (erfc, lambda x: negative(_gauss(x))),
    "sign": (_sign_of, None),
    "floor": (lambda x: Interval(np.floor(x.low), np.floor(x.high)), None),
    "ceil": (lambda x: Interval(np.ceil(x.low), np.ceil(x.high)), None),
}
