"""Interval arithmetic and the bounds of whole programs: no point of a box ever escapes."""

from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rnnjax import circuits
from rnnjax._numerics.trees import flatten
from rnnjax._proof import intervals
from rnnjax._proof.enclosure import MOVABLE, MOVES, Enclosure
from rnnjax._proof.interval_rules import RULES
from rnnjax._proof.intervals import ELEMENTARY, Interval, point
from rnnjax.circuits import AbstractCircuit, exp_linear
from rnnjax.connectivity import Dale, Dense, LowRank

LONG = np.longdouble
# ends of boxes: of every size and sign, where functions saturate, overflow and lose digits
SCALES = (1e-12, 1e-3, 0.1, 1.0, 30.0, 900.0)
WITHIN = {
    "log": (0, None), "log1p": (-1, None), "log2": (0, None), "sqrt": (0, None), "rsqrt": (0, None),
    "asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "acosh": (1.5, None),
}  # fmt: skip
REFERENCE = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
    "log2": np.log2, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "cbrt": np.cbrt,
    "logistic": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": np.vectorize(__import__("math").erf, otypes=[float]),
    "erfc": np.vectorize(__import__("math").erfc, otypes=[float]),
    "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil,
}  # fmt: skip


def boxes(seed, count=2000, within=(None, None), scales=SCALES):
    """Random boxes of many sizes, and five points of each, ends included."""
    rng = np.random.default_rng(seed)
    center = rng.normal(size=count) * rng.choice(scales, count)
    width = np.abs(center) * rng.choice([0.0, 1e-15, 1e-8, 1e-2, 1.0, 10.0], count)
    low, high = center - width * rng.random(count), center + width * rng.random(count)
    least, most = within
    low, high = np.clip(low, least, most), np.clip(high, least, most)
    inner = low + (high - low) * rng.random((3, count))
    return Interval(low, high), np.clip(np.vstack([low, inner, high]), low, high)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_functions(name):
    box, points = boxes(1, within=WITHIN.get(name, (None, None)))
    function, derivative = ELEMENTARY[name]
    with np.errstate(all="ignore"):
        found = function(box)
        exact = REFERENCE[name](points.astype(LONG))
        known = np.isfinite(exact) & (np.abs(exact) < 1e300)
        assert (~known | ((found.low <= exact) & (exact <= found.high))).all()
        assert known.mean() > 0.5
        narrow = box.high == box.low
        size = np.abs(exact[0]) * 1e-13 + 1e-300
        assert (~narrow | ~known[0] | (found.high - found.low <= size + (name == "tan"))).all()
        if derivative is None:
            return
        # f(x) - f(y) = slope (x - y), as far as the reference can tell
        slope = derivative(box)
        step = points[-1].astype(LONG) - points[:-1]
        rise = exact[-1] - exact[:-1]
        doubt = 8 * np.finfo(exact.dtype).eps * (np.abs(exact[-1]) + np.abs(exact[:-1]))
        ends = [slope.low * step, slope.high * step]
        known = known[-1] & known[:-1] & np.isfinite(ends[0]) & np.isfinite(ends[1])
        assert (~known | ((ends[0] - doubt <= rise) & (rise <= ends[1] + doubt))).all()
        assert known.mean() > 0.2


def fractions(x):
    return [Fraction(float(each)) for each in x]


def holds(found, exact):
    """Whether rational numbers lie in intervals, infinite ends included."""
    return all(
        (np.isinf(low) or Fraction(float(low)) <= x)
        and (np.isinf(high) or x <= Fraction(float(high)))
        for low, high, x in zip(found.low, found.high, exact, strict=True)
    )


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
def test_arithmetic(name):
    (a, x), (b, y) = boxes(2, 1000), boxes(3, 1000)
    with np.errstate(all="ignore"):
        found = getattr(intervals, name)(a, b)
    exact = {
        "add": lambda p, q: p + q, "subtract": lambda p, q: p - q, "multiply": lambda p, q: p * q,
        "divide": lambda p, q: p / q if q else Fraction(0),
    }[name]  # fmt: skip
    for xs, ys in zip(x, y[::-1], strict=True):
        assert holds(
            found, [exact(p, q) for p, q in zip(fractions(xs), fractions(ys), strict=True)]
        )
    # no wider than it must be: the ends differ from the exact ones by rounding alone
    sharp = (b.low > 0) | (b.high < 0) | (name != "divide")
    corners = np.array([getattr(np, name)(p, q) for p in a for q in np.where(sharp, b, 1.0)])
    least, most = corners.min(0), corners.max(0)
    np.testing.assert_allclose(found.low[sharp], least[sharp], rtol=1e-15, atol=1e-300)
    np.testing.assert_allclose(found.high[sharp], most[sharp], rtol=1e-15, atol=1e-300)


@pytest.mark.parametrize("exponent", [-3, -2, -1, 0, 1, 2, 3, 7, 8])
def test_integer_powers(exponent):
    box, points = boxes(4, 1000)
    with np.errstate(all="ignore"):
        found = intervals.integer_power(box, exponent)
    for xs in points:
        exact = [x**exponent if x or exponent >= 0 else Fraction(0) for x in fractions(xs)]
        assert holds(found, exact)


def test_the_whole_line_and_zero():
    line, zero = Interval(np.array([-np.inf]), np.array([np.inf])), point(np.zeros(1))
    with np.errstate(all="ignore"):
        assert intervals.multiply(line, zero).high < 1e-300
        assert intervals.divide(point(np.ones(1)), zero) == (-np.inf, np.inf)
        for name in ("log", "sqrt", "asin", "acosh"):  # undefined: nothing is known
            assert ELEMENTARY[name][0](point(np.array([-2.0]))) == (-np.inf, np.inf)
        assert intervals.power(point(np.array([-2.0])), point(np.array([3.0]))).low == -np.inf
    assert intervals.middle(line) == 0
    assert intervals.total(Interval(np.ones((2, 3)), np.ones((2, 3))), 1).low == pytest.approx(3)


# Programs that use every operation there are bounds for; x has four numbers.
PROGRAMS = {
    "arithmetic": lambda x: (x * x[::-1] - 3.0 / (2 + x**2)) / 4 + (-x) * x.sum(),
    "powers": lambda x: x**3 + (2 + x**2) ** -2 + (3 + jnp.cos(x)) ** 2.5 + 1.5**x,
    "matrix": lambda x: jnp.arange(16.0).reshape(4, 4) @ jnp.tanh(x) + jnp.outer(x, x) @ x,
    "kinks": lambda x: jnp.maximum(x, 0.3) + jnp.minimum(x, x[::-1]) + jax.nn.relu(x) + abs(x),
    "clipped": lambda x: lax.clamp(-0.5, x, 0.5) + jnp.clip(x, -1.0, 0.2),
    "exponentials": lambda x: (
        jnp.exp(x) + jnp.expm1(x / 2) + jnp.exp2(x) + jnp.log1p(jnp.exp(x)) + jnp.log(2 + x**2)
    ),
    "roots": lambda x: jnp.sqrt(1 + x**2) + lax.rsqrt(1 + x**2) + jnp.cbrt(3 + jnp.sin(x)),
    "sigmoids": lambda x: jax.nn.sigmoid(3 * x) + jnp.tanh(2 * x) + jax.nn.gelu(x) + lax.erf(x),
    "hyperbolic": lambda x: jnp.sinh(x) - jnp.cosh(x) + jnp.arcsinh(x) + jnp.arctan(x) + lax.erfc(x),
    "inverse": lambda x: (
        jnp.arcsin(0.5 * jnp.tanh(x)) + jnp.arccos(0.5 * jnp.tanh(x)) + jnp.arctanh(jnp.tanh(x) / 2)
        + jnp.arccosh(2 + x**2) + jnp.tan(0.3 * jnp.tanh(x)) + jnp.log2(2 + x**2)
    ),
    "softplus": lambda x: jax.nn.softplus(5 * x) + jnp.logaddexp(x, x[::-1]) + exp_linear(4 * x),
    "softmax": lambda x: jax.nn.softmax(x) + jnp.linalg.norm(x) + x.max() * x.min() + x.prod(),
    "chosen": lambda x: jnp.where((x > 0.1) & ~(x >= 2), jnp.sin(x), jnp.where(x < -1, x, 2 * x)),
    "compared": lambda x: (
        jnp.where((x <= 0.2) | (x == 7.0), x, -x) + jnp.where(jnp.isfinite(x) & (x != 9.0), x, 0.0)
        + (x[0] > 0).astype(float) * x
    ),
    "stairs": lambda x: jnp.floor(3 * x) + jnp.ceil(2 * x) + jnp.sign(x - 0.1) + x,
    "moved": lambda x: (
        jnp.stack([x, 2 * x]).T.reshape(8)[jnp.array([1, 3, 2, 6])] + jnp.roll(x, 1) + jnp.tile(x, 2)[2:6]
        + jnp.concatenate([x[2:], x[:2]]) + lax.dynamic_slice(x, (0,), (1,))
        + lax.expand_dims(x, (0,)).squeeze(0) + sum(lax.split(x, [2, 2])).sum()
    ),
    "placed": lambda x: (
        jnp.diag(x).sum(0) + jnp.pad(x, 1)[:4] + x.at[1].set(0.5 * x[2]) + jnp.cumsum(x)
        + lax.cumsum(x, reverse=True) + lax.dynamic_update_slice(x, x[:2], (1,)) + jnp.triu(jnp.outer(x, x))[0]
        + lax.optimization_barrier(x) + jnp.copy(x) + x[jnp.argsort(jnp.array([3, 1, 2, 0]))]
    ),
    "called": jax.checkpoint(lambda x: jax.jit(lambda y: 2 * y)(x) + jnp.einsum("i,j->j", x, x)),
    "integers": lambda x: x * jnp.arange(4).astype(float) + jnp.eye(4)[2] * x[0] + jnp.unstack(jnp.stack([x, x]))[1]
        + jnp.unstack(x)[2],
}  # fmt: skip
# in programs of some versions of JAX, under other names in others, or in tests of their own
OTHERS = {"add_any", "copy_p", "log2", "square", "stop_gradient"}


def names(program):
    """The operations of a program and of all programs in it."""
    for equation in program.eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from names(inner)


def check_bounds(field, parameters, low, high, seed=0):
    """Values and derivatives at random points of boxes `(box, n)` are within their bounds."""
    enclosure = Enclosure(field, parameters, low.shape[1])
    bounds = enclosure(Interval(low, high))
    assert (bounds.value.low <= bounds.value.high).all()
    assert (bounds.slope.low <= bounds.slope.high).all()

    def at(x):
        return field(parameters, x), jax.jacfwd(lambda y: field(parameters, y))(x)

    with jax.enable_x64(True):
        compiled = jax.jit(jax.vmap(at))
        rng = np.random.default_rng(seed)
        for _ in range(10):
            value, slope = compiled(low + (high - low) * rng.random(low.shape))
            for (least, most), x in ((bounds.value, value), (bounds.slope, slope)):
                x = np.asarray(x)
                scale = np.abs(x).max(tuple(range(1, x.ndim)), keepdims=True)
                doubt = 1e-13 * scale  # the rounding of the program itself
                fits = (least - doubt <= x) & (x <= most + doubt)
                if x.ndim == 3:  # where a program may jump, its slope means nothing
                    fits |= bounds.jumps[:, None, None]
                assert (fits | ~np.isfinite(x)).all()
    return bounds


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    rng = np.random.default_rng(5)
    center, width = rng.normal(size=(300, 4)), rng.choice([1e-6, 1e-2, 0.3], (300, 1))
    low, high = center - width * rng.random((300, 4)), center + width * rng.random((300, 4))
    bounds = check_bounds(lambda _, x: PROGRAMS[name](x), (), low, high)
    assert bounds.jumps.any() == (name in ("chosen", "compared", "stairs"))
    # and they close in on the field as the box does
    tight = Enclosure(lambda _, x: PROGRAMS[name](x), (), 4)(point(center[~bounds.jumps]))
    np.testing.assert_allclose(tight.value.low, tight.value.high, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(tight.slope.low, tight.slope.high, rtol=1e-10, atol=1e-10)


def test_every_operation_is_tried():
    with jax.enable_x64(True):
        programs = [jax.make_jaxpr(f)(np.zeros(4)).jaxpr for f in PROGRAMS.values()]
    tried = {name for program in programs for name in names(program)}
    assert (set(RULES) | set(MOVES) | set(MOVABLE)) - tried <= OTHERS


MEMBERS = [
    c() for c in vars(circuits).values()
    if isinstance(c, type) and issubclass(c, AbstractCircuit) and c.__module__.count("._") == 0
    and c not in (circuits.RateNetwork, circuits.LinearNetwork)
]  # fmt: skip
WEIGHTS = np.random.default_rng(3).normal(size=(5, 5))
NETWORKS = [
    circuits.RateNetwork(Dense(WEIGHTS), circuits.softplus, bias=0.3),
    circuits.RateNetwork(Dale(WEIGHTS), circuits.rectified, tau=np.arange(1.0, 6.0)),
    circuits.CurrentNetwork(LowRank(left=WEIGHTS[:, :2], right=WEIGHTS[:, 2:4]), circuits.logistic),
]


@pytest.mark.parametrize("circuit", MEMBERS + NETWORKS, ids=lambda c: type(c).__name__)
def test_circuits(circuit):
    with jax.enable_x64(True):
        rest, unravel = flatten(jax.tree.map(lambda x: jnp.asarray(x, float), circuit.rest()))
        held = circuit.no_input()
        numbers, others = eqx.partition(circuit, eqx.is_array)

    def field(numbers, x):
        return flatten(eqx.combine(numbers, others)(unravel(x), held))[0]

    rng, size = np.random.default_rng(7), (300, rest.size)
    center = np.asarray(rest) + rng.choice([0.1, 1.0, 10.0], (300, 1)) * rng.normal(size=size)
    reach = rng.choice([1e-6, 1e-3, 0.1, 3.0], (300, 1)) * rng.random(size)
    bounds = check_bounds(field, numbers, center - reach, center + reach)
    assert not bounds.jumps.any()


@pytest.mark.parametrize("function", [jax.nn.softplus, exp_linear, jax.nn.relu])
def test_functions_that_are_known_as_a_whole(function):
    """Their programs have a seam, across which bounds of the parts would stay wide."""
    enclosure = Enclosure(lambda _, x: function(x), (), 1)
    for seam in (0.0, 0.25, -0.25):
        if function is jax.nn.relu and seam == 0:
            continue
        bounds = enclosure(Interval(np.array([[seam - 1e-9]]), np.array([[seam + 1e-9]])))
        assert not bounds.jumps.any()
        assert (bounds.slope.high - bounds.slope.low).max() < 1e-8


def test_a_function_of_the_same_name_is_not_mistaken():
    @jax.jit
    def exp_linear(x):
        return -(x**2)

    bounds = Enclosure(lambda _, x: exp_linear(x), (), 1)(point(np.array([[3.0]])))
    assert bounds.value.low == pytest.approx(-9)


def test_derivatives_are_those_of_the_function_not_of_a_rule():
    @jax.custom_jvp
    def f(x):
        return x**2

    f.defjvp(lambda x, dx: (x[0] ** 2, 0 * dx[0]))
    for function in (f, lambda x: f(lax.stop_gradient(x))):
        bounds = Enclosure(lambda _, x, g=function: g(x), (), 1)(point(np.array([[3.0]])))
        assert bounds.slope.low == pytest.approx(6)


REFUSED = {
    "sort": lambda x: jnp.sort(x),
    "scan": lambda x: lax.scan(lambda c, _: (c + x, None), x, length=2)[0],
    "gather": lambda x: x.at[jnp.array([1, 7, 0])].get(mode="fill", fill_value=0.0),
    "float32": lambda x: x.astype(jnp.float32).astype(jnp.float64),
    "dynamic_slice": lambda x: lax.dynamic_slice(x, (jnp.where(x[0] > 0, 1, 0),), (2,)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_bounds_is_named(name):
    enclosure = Enclosure(lambda _, x: REFUSED[name](x), (), 3)
    with pytest.raises(NotImplementedError, match=name):
        enclosure(Interval(-np.ones((1, 3)), np.ones((1, 3))))
