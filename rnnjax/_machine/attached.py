"""Analyses of known numbers run on the host; their derivatives are attached to what was found."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._machine.kept import program
from rnnjax._machine.parts import CapturedError, compiled_part
from rnnjax._precision import (
    cast,
    converted,
    default_dtype,
    going_back,
    in_float64,
    now_or_later,
    pulled_back,
    scoped,
    to_host,
)
from rnnjax._results import warn_caller
from rnnjax._types import Arrays, PyTree, T, is_traced


def host_or_program(
    by_parts: Callable[..., tuple[Any, T]],
    attached: Callable[..., T],
    at_once: Callable[..., T],
    given: Any,
    settings: Any,
) -> T:
    """What an analysis finds, in float64: on the host where its numbers are known, else in a program.

    Args:
        by_parts: `(given, settings) -> (what was found, the result)`, on the host, of known numbers.
        attached: `(given, what was found, settings) -> ` the result with its derivatives.
        at_once: `(given, settings) -> ` the result with its derivatives, in one program.
        given: the numbers.
        settings: what else decides.
    """
    # what is not traced stays what it is: JAX would take float32 for it
    known = jax.tree.map(lambda x: lax.stop_gradient(x) if is_traced(x) else x, given)
    if is_traced(known):
        tell_of_digits(known)
        return in_float64(at_once, given, settings)
    try:  # on the host they stay known whatever transformation is under way
        found, result = in_float64(by_parts, to_host(known), settings)
    except CapturedError:
        return in_float64(at_once, given, settings)
    if not is_traced(given):
        return result
    return _with_derivatives(result, attached, given, found, settings)


def tell_of_digits(given: Any) -> None:
    """Warn where numbers of an analysis are traced in float32, once for a line of the user's."""
    known = jax.tree.map(lambda x: lax.stop_gradient(x) if is_traced(x) else x, given)
    if is_traced(known) and default_dtype() == np.float32:
        warn_caller(
            "traced in float32, JAX's default under jit and vmap: numbers that pass through have 7 digits, and what is "
            "found may be off by more (folds by 1e-5). For all digits call it within `with jax.enable_x64(True):`, "
            'in a sweep with `dtype="float64"`, or outside of jit and vmap'
        )


def _with_derivatives(value: T, function: Callable[..., T], *args: PyTree) -> T:
    """`value`, known on the host, with the derivatives of `function(*args)`, computed in float64.

    In a float32 scope one program is compiled for them, of those results that have any coming back;
    in a float64 scope, where derivatives go both ways, all of `function` is computed again.

    Args:
        value: what the function gives.
        function: always the same; what is no array in its arguments is part of the key as well.
        args: its arguments, of known numbers, by some of which derivatives are asked for.
    """
    arrays, rest = eqx.partition(args, eqx.is_array)
    with jax.enable_x64(True):  # on a device they keep their digits in a float32 program
        arrays = jax.tree.map(jnp.asarray, arrays)
    outside = default_dtype()
    if outside == np.float64:
        return _compiled(function, rest, outside, arrays)

    def lowered(arrays: Arrays) -> PyTree:
        return _lowered(function, rest, outside, arrays)

    def forward(arrays: Arrays) -> PyTree:
        return scoped(lowered)(arrays) if is_traced(arrays) else converted(value, outside)

    structure = jax.tree.structure(arrays)

    def back(*given: Any) -> Any:
        if is_traced(given):
            return pulled_back(lowered, structure, *given)
        # as JAX gives them, which may be waited for
        return jax.tree.map(jnp.asarray, _back(function, rest, outside, structure, *given))

    return going_back(scoped(lowered), forward, now_or_later(back), arrays)


def _lowered(function: Callable[..., T], rest: PyTree, dtype: np.dtype, arrays: Arrays) -> T:
    with jax.enable_x64(True):
        return converted(function(*eqx.combine(cast(arrays, np.float64), rest)), dtype)


_compiled = program(_lowered)


@compiled_part
def _back(
    function: Callable[..., Any], rest: PyTree, dtype: np.dtype, structure: Any, *given: Any
) -> Any:
    return pulled_back(lambda arrays: _lowered(function, rest, dtype, arrays), structure, *given)
