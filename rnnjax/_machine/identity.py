"""What tells one fit from another: a few words and checksums of all that it is made of."""

import dataclasses
import functools
import re
import sys
import types
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from rnnjax._types import numbers_of

# Packages whose functions are known by their names: nobody changes the numbers in them.
_KNOWN = {
    "builtins", "diffrax", "equinox", "functools", "jax", "jaxlib", "lineax", "math", "numpy",
    "operator", "optax", "rnnjax", "scipy",
}  # fmt: skip
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_OUTSIDE = int, float, complex, np.ndarray, np.generic, jax.Array, types.FunctionType
_PLAIN = str, bytes, bool, type(None)


def identity_of(**parts: Any) -> dict[str, str]:
    """A few words and checksums that tell fits apart, the same in every process.

    Arrays count by their bytes, functions by their names, the numbers in them and what they hold,
    objects by their attributes. A number that is rewritten as another type, as `optax` does with the
    whole numbers of its schedules, stays the same.
    """
    return {name: _summary(value) for name, value in parts.items()}


def not_identified(**parts: Any) -> list[str]:
    """What of it can't be told from another of its kind: the part, and what it is."""
    found = []
    for name, value in parts.items():
        text = _Text()
        text.of(value)
        found += [f"{name}: {each}" for each in dict.fromkeys(text.unknown)]
    return found


def _summary(value: Any) -> str:
    text = _Text()
    total = zlib.crc32(text.of(value).encode(errors="backslashreplace"))
    loose = isinstance(value, list | Mapping)
    leaves: list[Any] = [value] if loose else jax.tree.leaves(value, is_leaf=_loose)
    words = [_nameless(leaf.__qualname__) for leaf in leaves if hasattr(leaf, "__qualname__")]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return " ".join(["number" if number else type(value).__name__, f"{total:08x}", *words])


def _loose(value: Any) -> bool:
    """Whether it is a container that may hold anything, keys that can't be sorted or itself."""
    return isinstance(value, list | dict)


class _Text:
    """A value in words, without anything that differs between processes.

    Attributes:
        unknown: what could not be told from others of its kind.
    """

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self._seen: dict[int, int] = {}
        self._held: list[Any] = []  # so that no number of `_seen` is given to another object

    def of(self, value: Any) -> str:
        """It in words."""
        if isinstance(value, _PLAIN):
            return repr(value)
        if isinstance(value, int | float | complex) and not isinstance(value, np.generic):
            return _number(value)
        if isinstance(value, Tracer):
            return self._untold(value)
        if isinstance(value, jax.Array | np.ndarray | np.generic):
            return self._array(numbers_of(value))
        if isinstance(value, tuple):
            return f"{_name(value)}{self._each(value)}"
        if id(value) in self._seen:  # a function may hold itself
            return f"<{self._seen[id(value)]}>"
        self._seen[id(value)] = len(self._seen)
        self._held.append(value)
        return f"{_name(value)}{self._inside(value)}"

    def _array(self, array: np.ndarray) -> str:
        if array.dtype.hasobject:
            return f"{array.shape}{self._each(array.ravel().tolist())}"
        content = zlib.crc32(np.ascontiguousarray(array).tobytes())
        return f"{array.dtype}{array.shape}{content:08x}"

    def _each(self, values: Any) -> str:
        return f"({', '.join(self.of(x) for x in values)})"

    def _inside(self, value: Any) -> str:
        """What something holds that is no number."""
        if isinstance(value, Mapping):
            return self._each(sorted(value.items(), key=lambda item: _nameless(repr(item[0]))))
        if isinstance(value, set | frozenset):
            return self._each(sorted(value, key=lambda each: _nameless(repr(each))))
        if isinstance(value, list):
            return self._each(value)
        if isinstance(value, type | types.ModuleType) or _is_known(value):
            return ""
        if isinstance(value, functools.partial):
            return self._each([value.func, value.args, value.keywords])
        if isinstance(value, types.MethodType):
            return self._each([value.__func__, value.__self__])
        if isinstance(value, types.FunctionType):
            return self._each([*_numbers(value.__code__), *_captured(value)])
        if dataclasses.is_dataclass(value):
            names = [each.name for each in dataclasses.fields(value)]
            return self._each([(name, getattr(value, name, None)) for name in names])
        if hasattr(value, "__wrapped__"):  # compiled, or remembered
            return self._each([value.__wrapped__])
        return self._object(value)

    def _object(self, value: Any) -> str:
        """The attributes of an object, but for what it computes of them once."""
        words = repr(value)
        if any(map(_is_compiled, type(value).__mro__[:-1])):  # it may hold what nobody can see
            return self._untold(value) if _ADDRESS.search(words) else words
        computed = {
            name
            for kind in type(value).__mro__
            for name, each in vars(kind).items()
            if isinstance(each, functools.cached_property)
        }
        slots = [
            name
            for kind in type(value).__mro__
            for name in np.atleast_1d(np.asarray(vars(kind).get("__slots__", ()), object)).tolist()
        ]
        held = {name: getattr(value, name, None) for name in slots if not name.startswith("__")}
        held |= {k: x for k, x in getattr(value, "__dict__", {}).items() if k not in computed}
        if held:
            return self._each(sorted(held.items()))
        leaves, structure = jax.tree.flatten(value)
        if len(leaves) != 1 or leaves[0] is not value:
            return f"{_nameless(str(structure))}{self._each(leaves)}"
        bare = type(value) is object  # told from others by its address alone
        return self._untold(value) if bare else _nameless(words)

    def _untold(self, value: Any) -> str:
        self.unknown.append(_nameless(repr(value)).partition("\n")[0][:80])
        return "?"


def _number(value: complex) -> str:
    """A number by its value, whatever its type."""
    if isinstance(value, int) and abs(value) < 2**53:
        value = float(value)
    return repr(value)


def _numbers(code: types.CodeType) -> list[Any]:
    """The numbers in a function, and in those that are defined inside of it."""
    found: list[Any] = [x for x in code.co_consts if isinstance(x, int | float | complex)]
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            found += _numbers(inner)
    return found


def _captured(function: types.FunctionType) -> list[Any]:
    """What a function holds besides its code: defaults, captured values, numbers of its module."""
    cells = [_content(cell) for cell in function.__closure__ or ()]
    held = function.__globals__
    outside = [held[name] for name in sorted(_named(function.__code__)) if name in held]
    outside = [x for x in outside if isinstance(x, _OUTSIDE)]
    return [function.__defaults__, function.__kwdefaults__, *cells, *outside]


def _named(code: types.CodeType) -> set[str]:
    """The names in a function, and in those that are defined inside of it."""
    inner = [x for x in code.co_consts if isinstance(x, types.CodeType)]
    return {*code.co_names, *(name for each in inner for name in _named(each))}


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty: a function that is named before it is there
        return None


def _is_known(value: Any) -> bool:
    """Whether a well-known package holds it under its name."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    if module.partition(".")[0] not in _KNOWN:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _is_compiled(kind: type) -> bool:
    """Whether a class is not written in Python."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
    return kind.__module__ in sys.builtin_module_names or file.endswith((".so", ".pyd", ".dylib"))


def _name(value: Any) -> str:
    """What it is called, or its class is."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    own = getattr(value, "__qualname__", None)
    return _nameless(own if isinstance(own, str) else type(value).__qualname__)


def _nameless(words: str) -> str:
    """Words without addresses."""
    return _ADDRESS.sub("", words)
