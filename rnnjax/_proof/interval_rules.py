"""What each operation of a JAX program does to intervals, and to the slopes that they carry."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn
from jaxtyping import Bool

from rnnjax._proof.intervals import (
    ELEMENTARY,
    Interval,
    absolute,
    add,
    choose,
    exp,
    exp_linear_slope,
    hull,
    integer_power,
    larger,
    log,
    log1p,
    logistic,
    matrix_product,
    multiply,
    negative,
    point,
    power,
    reciprocal,
    smaller,
    subtract,
    total,
)
from rnnjax._proof.intervals import exp_linear as exp_linear_bounds
from rnnjax.circuits._base import exp_linear

Axes: TypeAlias = Sequence[int]


@runtime_checkable
class Reading(Protocol):
    """One reading of a program on a batch of boxes."""

    def jump(self, where: Bool[np.ndarray, "..."]) -> None:
        """Remember the boxes on which the program may jump."""
        ...


class Enclosed(NamedTuple):
    """An array of the program: `(box, ...)`, and its derivatives `(box, ..., n)` if it has any.

    An array that is the same for all boxes has one box. A truth value is the interval from
    whether it is surely true to whether it may be.
    """

    value: Interval
    slope: Interval | None = None


def _aligned(*operands: Enclosed) -> list[Enclosed]:
    """Operands of one rank: the program writes a number beside an array without spreading it."""
    rank = max(x.value.low.ndim for x in operands)
    return [x if x.value.low.ndim == rank else _raised(x, rank) for x in operands]


def _raised(x: Enclosed, rank: int) -> Enclosed:
    axes = tuple(range(1, 1 + rank - x.value.low.ndim))
    return _each_side(x, lambda side: np.expand_dims(side, axes))


def _each_side(x: Enclosed, function: Callable[[np.ndarray], np.ndarray]) -> Enclosed:
    """An operation on the arrays of all ends alike."""
    value, slope = (z and Interval(*(function(side) for side in z)) for z in x)
    assert value is not None
    return Enclosed(value, slope)


def _scaled(slope: Interval | None, by: Interval) -> Interval | None:
    """The chain rule for one factor."""
    return slope and multiply(Interval(*(z[..., None] for z in by)), slope)


def _sum(*slopes: Interval | None) -> Interval | None:
    result = None
    for each in slopes:
        if each is not None:
            result = each if result is None else add(result, each)
    return result


def _through(
    function: Callable[[Interval], Interval], derivative: Callable[[Interval], Interval] | None
) -> Any:
    """The rule of a function of one number; a derivative of None is that of a staircase."""

    def rule(run: Reading, equation: JaxprEqn | None, x: Enclosed) -> Enclosed:
        value = function(x.value)
        if derivative is None:
            run.jump(value.low != value.high)
            return Enclosed(value)
        return Enclosed(value, x.slope and _scaled(x.slope, derivative(x.value)))

    return rule


def _add(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
    x, y = _aligned(x, y)
    return Enclosed(add(x.value, y.value), _sum(x.slope, y.slope))


def _subtract(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
    x, y = _aligned(x, y)
    return Enclosed(subtract(x.value, y.value), _sum(x.slope, y.slope and negative(y.slope)))


def _multiply(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
    x, y = _aligned(x, y)
    value = multiply(x.value, y.value)
    if len(equation.invars) == 2 and equation.invars[0] is equation.invars[1]:
        value = integer_power(x.value, 2)
    return Enclosed(value, _sum(_scaled(x.slope, y.value), _scaled(y.slope, x.value)))


def _divide(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
    x, y = _aligned(x, y)
    inverse = reciprocal(y.value)
    value = multiply(x.value, inverse)
    falls = y.slope and _scaled(y.slope, negative(multiply(value, inverse)))
    return Enclosed(value, _sum(_scaled(x.slope, inverse), falls))


def _integer_power(run: Reading, equation: JaxprEqn, x: Enclosed) -> Enclosed:
    k = equation.params["y"]
    steepness = multiply(point(float(k)), integer_power(x.value, k - 1))
    return Enclosed(integer_power(x.value, k), _scaled(x.slope, steepness))


def _power(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
    x, y = _aligned(x, y)
    value = power(x.value, y.value)
    by_base = multiply(y.value, power(x.value, subtract(y.value, point(1.0))))
    by_exponent = y.slope and _scaled(y.slope, multiply(value, log(x.value)))
    return Enclosed(value, _sum(_scaled(x.slope, by_base), by_exponent))


def _both_slopes(x: Enclosed, y: Enclosed) -> list[Interval]:
    """The slopes of two operands, 0 where one has none."""
    size = next(z.slope.low.shape[-1] for z in (x, y) if z.slope is not None)
    return [z.slope or point(np.zeros((*z.value.low.shape, size))) for z in (x, y)]


def _max(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
    x, y = _aligned(x, y)
    wins = x.value.low >= y.value.high, y.value.low >= x.value.high
    return _either(larger(x.value, y.value), wins, x, y)


def _min(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
    x, y = _aligned(x, y)
    wins = x.value.high <= y.value.low, y.value.high <= x.value.low
    return _either(smaller(x.value, y.value), wins, x, y)


def _either(value: Interval, wins: tuple[Any, Any], x: Enclosed, y: Enclosed) -> Enclosed:
    """The larger or the smaller of two, with the slope of the one that it surely is."""
    if x.slope is None and y.slope is None:
        return Enclosed(value)
    first, second = _both_slopes(x, y)
    inner = choose(wins[1][..., None], second, hull(first, second))
    return Enclosed(value, choose(wins[0][..., None], first, inner))


def _clamp(run: Reading, equation: JaxprEqn, *operands: Enclosed) -> Enclosed:
    low, x, high = operands
    return _min(run, equation, _max(run, equation, x, low), high)


def _negative(run: Reading, equation: JaxprEqn, x: Enclosed) -> Enclosed:
    return Enclosed(negative(x.value), x.slope and negative(x.slope))


def _square(run: Reading, equation: JaxprEqn, x: Enclosed) -> Enclosed:
    slope = x.slope and _scaled(x.slope, multiply(point(2.0), x.value))
    return Enclosed(integer_power(x.value, 2), slope)


def _reduce(
    run: Reading,
    equation: JaxprEqn,
    x: Enclosed,
    pairwise: Callable[[Reading, JaxprEqn, Enclosed, Enclosed], Enclosed],
) -> Enclosed:
    """Along the given axes, by an operation of two."""
    for axis in sorted(equation.params["axes"], reverse=True):
        parts = [_part(x, k, axis + 1) for k in range(x.value.low.shape[axis + 1])]
        x = parts[0]
        for each in parts[1:]:
            x = pairwise(run, equation, x, each)
    return x


def _part(x: Enclosed, k: int, axis: int) -> Enclosed:
    return _each_side(x, lambda side: np.take(side, k, axis))


def _reduce_sum(run: Reading, equation: JaxprEqn, x: Enclosed) -> Enclosed:
    value, slope = x
    for axis in sorted(equation.params["axes"], reverse=True):
        value, slope = total(value, axis + 1), slope and total(slope, axis + 1)
    return Enclosed(value, slope)


def _cumulative_sum(run: Reading, equation: JaxprEqn, x: Enclosed) -> Enclosed:
    axis, step = equation.params["axis"] + 1, -1 if equation.params["reverse"] else 1
    return Enclosed(_sums(x.value, axis, step), x.slope and _sums(x.slope, axis, step))


def _sums(x: Interval, axis: int, step: int) -> Interval:
    sides = [np.moveaxis(side, axis, 0)[::step] for side in x]
    found = [Interval(*(side[0] for side in sides))]
    for each in zip(*(side[1:] for side in sides), strict=True):
        found.append(add(found[-1], Interval(*each)))
    columns = (np.stack(side)[::step] for side in zip(*found, strict=True))
    return Interval(*(np.moveaxis(side, 0, axis) for side in columns))


def _dot_general(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
    numbers = equation.params["dimension_numbers"]
    of_x = x.slope and _by_variable(x.slope, lambda each: _product(each, y.value, numbers))
    of_y = y.slope and _by_variable(y.slope, lambda each: _product(x.value, each, numbers))
    return Enclosed(_product(x.value, y.value, numbers), _sum(of_x, of_y))


def _by_variable(slope: Interval, use: Callable[[Interval], Interval]) -> Interval:
    parts = [use(Interval(*(s[..., k] for s in slope))) for k in range(slope.low.shape[-1])]
    return Interval(*(np.stack(side, -1) for side in zip(*parts, strict=True)))


def _product(
    x: Interval, y: Interval, numbers: tuple[tuple[Axes, Axes], tuple[Axes, Axes]]
) -> Interval:
    """The sum over shared axes: the batch axes in front, then those of `x`, then those of `y`."""
    (along_x, along_y), (batch_x, batch_y) = numbers
    left, batch, rows = _laid_out(x, batch_x, along_x, True)
    right, _, columns = _laid_out(y, batch_y, along_y, False)
    found = matrix_product(left, right)
    return Interval(*(side.reshape(len(side), *batch, *rows, *columns) for side in found))


def _laid_out(x: Interval, batch: Axes, along: Axes, last: bool) -> tuple[Interval, Any, Any]:
    """As matrices `(box, batch, free, along)`, or `(box, batch, along, free)`, and the axes' sizes."""
    shape = x.low.shape[1:]
    free = [k for k in range(len(shape)) if k not in batch and k not in along]
    inner = [*free, *along] if last else [*along, *free]
    order = [0, *(k + 1 for k in [*batch, *inner])]
    many, rows, columns = (math.prod(shape[k] for k in each) for each in (batch, free, along))
    size = (many, rows, columns) if last else (many, columns, rows)
    turned = (np.transpose(side, order).reshape(len(side), *size) for side in x)
    return Interval(*turned), [shape[k] for k in batch], [shape[k] for k in free]


def _comparison(
    surely: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    possibly: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    of_itself: bool,
) -> Any:
    """A comparison; a number and itself are compared as the one number that they are."""

    def rule(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
        x, y = _aligned(x, y)
        true, maybe = surely(*x.value, *y.value), possibly(*x.value, *y.value)
        if equation.invars[0] is equation.invars[1]:
            true = maybe = np.full(true.shape, of_itself)
        return Enclosed(Interval(true, maybe))

    return rule


def _not(run: Reading, equation: JaxprEqn, x: Enclosed) -> Enclosed:
    return Enclosed(Interval(~x.value.high, ~x.value.low))


def _logical(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Any:
    def rule(run: Reading, equation: JaxprEqn, x: Enclosed, y: Enclosed) -> Enclosed:
        x, y = _aligned(x, y)
        return Enclosed(
            Interval(function(x.value.low, y.value.low), function(x.value.high, y.value.high))
        )

    return rule


def _select(
    run: Reading, equation: JaxprEqn, which: Enclosed, no: Enclosed, *others: Enclosed
) -> Enclosed:
    if len(others) != 1 or which.value.low.dtype != bool:
        raise NotImplementedError(
            "enumerate_equilibria: the vector field chooses among more than two cases: write it "
            "with `jnp.where`"
        )
    which, no, yes = _aligned(which, no, others[0])
    surely, open_ = which.value.low, which.value.high & ~which.value.low
    if equation.invars[1] is not equation.invars[2]:
        run.jump(open_)
    value = _picked(surely, open_, no.value, yes.value)
    if no.slope is None and yes.slope is None:
        return Enclosed(value)
    first, second = _both_slopes(no, yes)
    return Enclosed(value, _picked(surely[..., None], open_[..., None], first, second))


def _picked(
    surely: Bool[np.ndarray, "..."], undecided: Bool[np.ndarray, "..."], no: Interval, yes: Interval
) -> Interval:
    return choose(surely, yes, choose(undecided, hull(no, yes), no))


def _convert(run: Reading, equation: JaxprEqn, x: Enclosed) -> Enclosed:
    before, after = x.value.low.dtype, equation.params["new_dtype"]
    if before == after:
        return x
    if np.issubdtype(before, np.bool_):
        run.jump(x.value.low != x.value.high)
        return Enclosed(Interval(*(z.astype(after) for z in x.value)))
    if after == np.float64:
        return _each_side(x, lambda side: side.astype(after))
    raise NotImplementedError(
        f"enumerate_equilibria: the vector field turns {before} into {after}, and there are no "
        "bounds for the rounding: keep it in float64"
    )


def _log_add_exp(run: Reading, x: Enclosed, y: Enclosed) -> Enclosed:
    """log(e^x + e^y), which rises with both."""
    x, y = _aligned(x, y)
    low = _log_add_exp_at(point(x.value.low), point(y.value.low)).low
    high = _log_add_exp_at(point(x.value.high), point(y.value.high)).high
    apart = subtract(x.value, y.value)
    slopes = _scaled(x.slope, logistic(apart)), _scaled(y.slope, logistic(negative(apart)))
    return Enclosed(Interval(low, high), _sum(*slopes))


def _log_add_exp_at(x: Interval, y: Interval) -> Interval:
    return add(larger(x, y), log1p(exp(negative(absolute(subtract(x, y))))))


def _exp_linear(run: Reading, x: Enclosed) -> Enclosed:
    return _through(exp_linear_bounds, exp_linear_slope)(run, None, x)


RULES: dict[str, Any] = {
    **{name: _through(*rule) for name, rule in ELEMENTARY.items()},
    "neg": _negative, "square": _square,
    "add": _add, "add_any": _add, "sub": _subtract, "mul": _multiply, "div": _divide,
    "max": _max, "min": _min, "clamp": _clamp, "pow": _power, "integer_pow": _integer_power,
    "reduce_sum": _reduce_sum,
    "reduce_prod": lambda run, equation, x: _reduce(run, equation, x, _multiply),
    "reduce_max": lambda run, equation, x: _reduce(run, equation, x, _max),
    "reduce_min": lambda run, equation, x: _reduce(run, equation, x, _min),
    "cumsum": _cumulative_sum, "dot_general": _dot_general,
    "lt": _comparison(lambda a, b, c, d: b < c, lambda a, b, c, d: a < d, False),
    "le": _comparison(lambda a, b, c, d: b <= c, lambda a, b, c, d: a <= d, True),
    "gt": _comparison(lambda a, b, c, d: a > d, lambda a, b, c, d: b > c, False),
    "ge": _comparison(lambda a, b, c, d: a >= d, lambda a, b, c, d: b >= c, True),
    "eq": _comparison(
        lambda a, b, c, d: (a == b) & (c == d) & (a == c), lambda a, b, c, d: (a <= d) & (c <= b),
        True,
    ),
    "ne": _comparison(
        lambda a, b, c, d: (b < c) | (d < a), lambda a, b, c, d: (a != d) | (b != c), False
    ),
    "and": _logical(np.logical_and), "or": _logical(np.logical_or), "not": _not,
    "is_finite": lambda run, equation, x: Enclosed(point(np.ones(x.value.low.shape, bool))),
    "select_n": _select,
    "convert_element_type": _convert,
}  # fmt: skip

# Functions that are known as a whole, with better bounds than those of their parts, by the name of
# the call; one with derivative rules of its own has none.
FUNCTIONS: dict[str, Any] = {
    "custom_jvp_call": (jnp.logaddexp, _log_add_exp),
    "exp_linear": (exp_linear, _exp_linear),
}
