"""What a traced program holds."""

import math
from collections.abc import Callable, Collection, Iterator
from typing import Any

import jax

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


def has_product(function: Callable[..., Any], *arguments: Any, looped: bool = False) -> bool:
    """Whether a time loop (a scan) of the program holds a matrix product; any, if it is `looped`."""
    return _holds(
        ("dot_general", "conv_general_dilated"), jax.make_jaxpr(function)(*arguments).jaxpr, looped
    )


def has_lapack(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether the program calls LAPACK, on a CPU."""
    return _holds(_LAPACK, jax.make_jaxpr(function)(*arguments).jaxpr, True)


def _holds(names: Collection[str], jaxpr: Any, stepping: bool) -> bool:
    for equation in jaxpr.eqns:
        if stepping and equation.primitive.name in names:
            return True
        inside = stepping or equation.primitive.name == "scan"
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns") and _holds(names, inner, inside):
                    return True
    return False


def ends_expensively(jaxpr: Any, result: Any) -> bool:
    """Whether a result of a program is that of an expensive operation."""
    for equation in jaxpr.eqns:
        if not any(result is x for x in equation.outvars):
            continue
        name, first = equation.primitive.name, equation.invars[0]
        if name in _PASSING:
            return ends_expensively(jaxpr, first)
        if name == "div":  # by a constant, it becomes a product
            return not hasattr(equation.invars[1], "val")
        if name in _EXPENSIVE:
            return True
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        inner = getattr(inner, "jaxpr", inner)
        if not hasattr(inner, "eqns"):
            return False
        place = next(k for k, x in enumerate(equation.outvars) if x is result)
        return ends_expensively(inner, inner.outvars[place])
    return False


def numbers_in_loops(jaxpr: Any) -> Iterator[int]:
    """How many numbers each loop of a program holds."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("while", "scan"):
            yield sum(math.prod(v.aval.shape) for v in equation.outvars)
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from numbers_in_loops(inner)
