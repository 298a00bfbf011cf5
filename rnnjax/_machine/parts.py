"""Programs that are soon compiled: the parts of an analysis whose order the host decides."""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, NamedTuple

import jax
import jaxlib.version
import numpy as np
from jax import lax

from rnnjax._machine.kept import Fixed, apart, dropped, is_kept, kept, program
from rnnjax._precision import to_host
from rnnjax._types import Arrays, T, is_traced

# The older of two emitters of loops compiles in two thirds of the time; newer jaxlibs have the newer one
# only. In one piece a program takes three fifths of the maps of memory that it takes in 32, and no longer: others
# are compiled beside it. Without optimization a half of the time is left, for three times the running time.
_OLDER: dict[str, Any] = {"xla_cpu_parallel_codegen_split_count": 1}
if jaxlib.version.__version_info__ < (0, 11):
    _OLDER["xla_cpu_use_fusion_emitters"] = False
_SOON: dict[str, Any] = {"xla_backend_optimization_level": 0} | _OLDER

ROWS = 64  # that are looked at together


class CapturedError(TypeError):
    """A function that was given captured a number that a transformation passes through."""


class _Program(NamedTuple):
    """A program that is being compiled.

    Attributes:
        compiled: what will be.
        results: of what shapes.
    """

    compiled: Future[Any]
    results: Any


class Part(Generic[T]):
    """`function(*args)` of concrete arguments, compiled once for what is no array in them.

    Results are NumPy arrays.

    Args:
        function: part of an analysis.
        runs_long: it takes so long to run that optimization pays.
    """

    def __init__(self, function: Callable[..., T], runs_long: bool) -> None:
        functools.update_wrapper(self, function)
        self._function, self._options = function, _OLDER if runs_long else _SOON

    def __call__(self, *args: Any) -> T:
        """The results, at once, whatever transformation is under way."""
        fixed, arrays, program = self._program(args, lambda compile: completed(compile()))
        try:
            compiled = program.compiled.result()
        except BaseException:  # once more the next time
            dropped(self, fixed, arrays)
            raise
        return jax.device_get(compiled(arrays))

    def is_new(self, *args: Any) -> bool:
        """Whether it has yet to be compiled for arguments like these."""
        arrays, fixed = apart(args)
        return not is_kept(self, fixed, to_host(arrays))

    def ahead(self, *args: Any) -> T:
        """Begin to compile it in a thread, for arguments like these; zeros, like its results."""
        _, _, program = self._program(args, in_thread)
        return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), program.results)

    def _program(
        self, args: Any, run: Callable[[Callable[[], Any]], Future[Any]]
    ) -> tuple[Fixed, Arrays, _Program]:
        arrays, fixed = apart(args)
        arrays = to_host(arrays)

        def made() -> tuple[_Program, Any]:
            def whole(arrays: Arrays) -> Any:
                return self._function(*fixed.with_arrays(arrays))

            whole.__name__ = self._function.__name__  # of the program
            jitted = jax.jit(whole)
            traced = jitted.trace(arrays)
            if len(traced.jaxpr.in_avals) > len(jax.tree.leaves(arrays)):
                _refuse_captured(jax.make_jaxpr(whole)(arrays).consts)
            lowered = traced.lower()
            options = self._options if jax.default_backend() == "cpu" else None
            return _Program(run(lambda: lowered.compile(options)), traced.out_info), jitted

        return fixed, arrays, kept(self, fixed, arrays, made)


def compiled_part(function: Callable[..., T], *, runs_long: bool = False) -> Part[T]:
    """`function` as a part that is compiled by itself."""
    return Part(function, runs_long)


def completed(value: T) -> Future[T]:
    """What is known already."""
    future: Future[T] = Future()
    future.set_result(value)
    return future


def in_thread(function: Callable[[], T]) -> Future[T]:
    """What another thread computes meanwhile."""
    threads = ThreadPoolExecutor(1)
    future = threads.submit(function)
    threads.shutdown(wait=False)
    return future


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
    count = -(-max(there.size, 1) // ROWS) * ROWS
    rows = np.resize(there if there.size else [0], count).reshape(-1, ROWS)
    found = [part(jax.tree.map(lambda x, k=k: x[k], points)) for k in rows]

    def every(*blocks: np.ndarray) -> np.ndarray:
        whole = np.concatenate(blocks)[: there.size]
        result = np.full((wanted.size, *whole.shape[1:]), np.nan, whole.dtype)
        result[there] = whole
        return result

    return jax.tree.map(every, *found)
