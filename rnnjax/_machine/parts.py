"""Programs that are soon compiled: the parts of an analysis whose order the host decides."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jaxlib.version
import numpy as np
from jax import lax

from rnnjax._machine.kept import Fixed, apart, kept, program
from rnnjax._precision import to_host
from rnnjax._types import Arrays, T, is_traced

# The older of two emitters of loops compiles in two thirds of the time; newer jaxlibs have the newer one
# only. Without optimization a half of that is left, for three times the running time.
_OLDER: dict[str, Any] = (
    {"xla_cpu_use_fusion_emitters": False} if jaxlib.version.__version_info__ < (0, 11) else {}
)
_SOON: dict[str, Any] = {"xla_backend_optimization_level": 0} | _OLDER

_ROWS = 64


class CapturedError(TypeError):
    """A function that was given captured a number that a transformation passes through."""


def compiled_part(function: Callable[..., T], *, runs_long: bool = False) -> Callable[..., T]:
    """`function(*args)` of concrete arguments, compiled once for what is no array in them.

    Results are NumPy arrays.

    Args:
        function: part of an analysis.
        runs_long: it takes so long to run that optimization pays.
    """

    def made(fixed: Fixed, arrays: Arrays) -> Any:
        def whole(arrays: Arrays) -> Any:
            return function(*fixed.with_arrays(arrays))

        whole.__name__ = function.__name__  # of the program
        options = _OLDER if runs_long else _SOON
        jitted = jax.jit(whole)
        traced = jitted.trace(arrays)
        if len(traced.jaxpr.in_avals) > len(jax.tree.leaves(arrays)):
            _refuse_captured(jax.make_jaxpr(whole)(arrays).consts)
        on_cpu = jax.default_backend() == "cpu"
        return traced.lower().compile(options if on_cpu else None), jitted

    @functools.wraps(function)
    def run(*args: Any) -> T:
        arrays, fixed = apart(args)
        arrays = to_host(arrays)
        compiled = kept(run, fixed, arrays, lambda: made(fixed, arrays))
        return jax.device_get(compiled(arrays))  # at once, whatever transformation is under way

    return run


def _refuse_captured(numbers: Sequence[Any]) -> None:
    """Raise where a function captured numbers of a transformation: derivatives by them would be lost."""
    for each in numbers:
        if is_traced(each) and type(lax.stop_gradient(each)) is not type(each):
            raise TypeError(
                "expected numbers by which derivatives are asked in the circuit or in its input, got one that a "
                "function captured: give the input as Constant(x), or a class of inputs with a parameter"
            )
    if is_traced(numbers):
        raise CapturedError("captured")


def compiled(function: Callable[..., T], *, runs_long: bool = False) -> Callable[..., T]:
    """`function(*args)` as a program of its own: a `compiled_part`, or inside of transformations a nested one.

    Inside of `jax.jit` results are traced, whatever the arguments are.
    """
    part, nested = compiled_part(function, runs_long=runs_long), program(function)

    @functools.wraps(function)
    def run(*args: Any) -> T:
        if is_traced(args, lax.full((), 0)):
            return nested(*args)
        try:
            return part(*args)
        except CapturedError:
            return nested(*args)

    return run


def in_rows(part: Callable[[Any], Any], points: Arrays, wanted: np.ndarray) -> Any:
    """`part` of those points (rows of arrays) that are wanted, of the others NaN.

    It sees some of them at a time, always as many, so that it is compiled once.
    """
    there = np.flatnonzero(wanted)
    count = -(-max(there.size, 1) // _ROWS) * _ROWS
    rows = np.resize(there if there.size else [0], count).reshape(-1, _ROWS)
    found = [part(jax.tree.map(lambda x, k=k: x[k], points)) for k in rows]

    def every(*blocks: np.ndarray) -> np.ndarray:
        whole = np.concatenate(blocks)[: there.size]
        result = np.full((wanted.size, *whole.shape[1:]), np.nan, whole.dtype)
        result[there] = whole
        return result

    return jax.tree.map(every, *found)
