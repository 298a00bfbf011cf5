"""What a traced program holds."""

import math
from collections.abc import Callable, Collection, Iterator

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from rnnjax._types import Arrays, Shapes

_EXPENSIVE = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "digamma",
    "div", "dot_general", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "lgamma", "log", "log1p",
    "logistic", "pow", "rem", "rsqrt", "sin", "sinh", "sqrt", "tan", "tanh",
}  # fmt: skip
_PASSING = {"broadcast_in_dim", "convert_element_type", "copy", "neg", "reshape", "squeeze"}

_LAPACK = (
    "cholesky", "eig", "eigh", "geqrf", "hessenberg", "householder_product", "lu", "schur", "svd",
    "triangular_solve", "tridiagonal",
)  # fmt: skip
_PRODUCTS = ("dot_general", "conv_general_dilated")


def traced(function: Callable[..., Arrays], *arguments: Shapes) -> Jaxpr:
    """The program of a function, of these arguments' shapes."""
    return jax.make_jaxpr(function)(*arguments).jaxpr


def has_product(function: Callable[..., Arrays], *arguments: Shapes, looped: bool = False) -> bool:
    """Whether a time loop (a scan) of the program holds a matrix product; any, if it is `looped`."""
    return _holds(traced(function, *arguments), _PRODUCTS, looped)


def has_lapack(function: Callable[..., Arrays], *arguments: Shapes) -> bool:
    """Whether the program calls LAPACK, on a CPU."""
    return _holds(traced(function, *arguments), _LAPACK, True)


def numbers_in_loops(program: Jaxpr) -> Iterator[int]:
    """How many numbers each loop of a program holds."""
    for equation, _ in equations(program):
        if equation.primitive.name in ("while", "scan"):
            yield sum(math.prod(getattr(v.aval, "shape", ())) for v in equation.outvars)


def ends_expensively(program: Jaxpr, result: Var | Literal) -> bool:
    """Whether a result of a program is that of an expensive operation."""
    for equation in program.eqns:
        if not any(result is x for x in equation.outvars):
            continue
        name, first = equation.primitive.name, equation.invars[0]
        if name in _PASSING:
            return ends_expensively(program, first)
        if name == "div":  # by a constant, it becomes a product
            return not isinstance(equation.invars[1], Literal)
        if name in _EXPENSIVE:
            return True
        called = list(inside(equation))
        if len(called) != 1:  # of several it is not known which one gives the result
            return False
        place = next(k for k, x in enumerate(equation.outvars) if x is result)
        return ends_expensively(called[0], called[0].outvars[place])
    return False


def equations(program: Jaxpr, looped: bool = False) -> Iterator[tuple[JaxprEqn, bool]]:
    """Every equation of a program and of the programs inside it, and whether a scan repeats it.

    Args:
        program: the program.
        looped: whether a scan repeats all of it.
    """
    for equation in program.eqns:
        yield equation, looped
        for inner in inside(equation):
            yield from equations(inner, looped or equation.primitive.name == "scan")


def inside(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """The programs that an equation calls, repeats or chooses from."""
    for value in equation.params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(each, "jaxpr", each)
            if isinstance(inner, Jaxpr):
                yield inner


def _holds(program: Jaxpr, names: Collection[str], looped: bool) -> bool:
    return any(
        repeated and equation.primitive.name in names
        for equation, repeated in equations(program, looped)
    )
