"""Programs are kept while they are used: the most recent of them, so that a process does not run out of room."""

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax

from rnnjax._precision import default_dtype
from rnnjax._types import Arrays, T, is_traced

MOST_PROGRAMS = (
    128  # of 65,530 maps of memory that a process may have each takes up to some hundreds
)
_PROGRAMS: OrderedDict[Any, Any] = OrderedDict()  # the one used last stands last
_LOCK = threading.Lock()


class Fixed(NamedTuple):
    """What is no array in arguments, to be looked up."""

    leaves: tuple[Any, ...]
    kinds: tuple[type, ...]  # True is 1 and 1.0 otherwise
    structure: Any

    def with_arrays(self, arrays: Arrays) -> Any:
        """The arguments, with these arrays in them."""
        return eqx.combine(arrays, jax.tree.unflatten(self.structure, self.leaves))


def apart(args: Any) -> tuple[Arrays, Fixed]:
    """Arrays, and what else there is."""
    arrays, rest = eqx.partition(args, eqx.is_array)
    leaves, structure = jax.tree.flatten(rest)
    return arrays, Fixed(tuple(leaves), tuple(map(type, leaves)), structure)


def kept(
    function: Callable[..., Any], fixed: Fixed, arrays: Arrays, made: Callable[[], tuple[T, Any]]
) -> T:
    """The program of a function for such arguments, made unless there is one.

    Args:
        function: whose program it is.
        fixed: what is no array in its arguments.
        arrays: the others, of which shapes, types and places count.
        made: makes the program, and with it what `jax.jit` gave, whose cache is cleared when it is dropped.
    """
    key = _key(function, fixed, arrays)
    found = _PROGRAMS.get(key) or made()
    with _LOCK:
        _PROGRAMS[key] = found
        _PROGRAMS.move_to_end(key)
        while len(_PROGRAMS) > MOST_PROGRAMS:
            _, (_, oldest) = _PROGRAMS.popitem(last=False)
            oldest.clear_cache()
    return found[0]


def is_kept(function: Callable[..., Any], fixed: Fixed, arrays: Arrays) -> bool:
    """Whether there is one."""
    return _key(function, fixed, arrays) in _PROGRAMS


def dropped(function: Callable[..., Any], fixed: Fixed, arrays: Arrays) -> None:
    """No longer keep it."""
    with _LOCK:
        _PROGRAMS.pop(_key(function, fixed, arrays), None)


def _key(function: Callable[..., Any], fixed: Fixed, arrays: Arrays) -> Any:
    numbers, shape = jax.tree.flatten(arrays)
    shapes = tuple((x.shape, x.dtype, getattr(x, "sharding", None)) for x in numbers)
    scope = default_dtype(), jax.default_backend(), jax.config.jax_default_device  # pyright: ignore
    return function, fixed, shape, shapes, scope


def program(function: Callable[..., T]) -> Callable[..., T]:
    """`function(*args)` of arrays and anything else, as one program; results are arrays, and ready.

    Like `equinox.filter_jit`, but of the programs of all functions the last ones only are kept.
    """

    @functools.wraps(function)
    def run(*args: Any) -> T:
        arrays, fixed = apart(args)

        def made() -> tuple[Any, Any]:
            def whole(arrays: Arrays) -> T:
                return function(*fixed.with_arrays(arrays))

            whole.__name__ = function.__name__  # of the program
            jitted = jax.jit(whole)
            return jitted, jitted

        result = kept(run, fixed, arrays, made)(arrays)
        return result if is_traced(result) else jax.block_until_ready(result)

    return run


def traced_once(function: Callable[..., T]) -> Callable[..., T]:
    """`function(*args)` for programs that call it in many places: they trace it once, and its derivatives too.

    It runs as it is where its arguments are known, or where what is no array in them can't be looked up.
    """

    @functools.wraps(function)
    def run(*args: Any) -> T:
        arrays, fixed = apart(args)
        if not is_traced(arrays):
            return function(*args)
        try:
            piece = _piece(function, fixed)
        except TypeError:
            return function(*args)
        return piece(arrays)

    return run


@functools.lru_cache(maxsize=MOST_PROGRAMS)
def _piece(function: Callable[..., Any], fixed: Fixed) -> Callable[[Arrays], Any]:
    return jax.jit(lambda arrays: function(*fixed.with_arrays(arrays)))
