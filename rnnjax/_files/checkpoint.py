"""A fit on disk, so that it can go on after it was killed: whole or not there."""

import functools
import os
import re
import types
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnjax._files.archive import read_archive, write_archive
from rnnjax._types import numbers_of

_FORMAT = 1


def write(path: Path, identity: Mapping[str, Any], step: int, arrays: Sequence[Any]) -> None:
    """Put a checkpoint in the place of the one before.

    Args:
        path: the file.
        identity: what the fit is; it must be the same when it goes on.
        step: the number of the next step.
        arrays: all that it needs, in a fixed order.

    Raises:
        OSError: if the file can't be written; the one before is still there.
    """
    header = {
        "format": _FORMAT, "identity": dict(identity), "jax": jax.__version__, "step": step
    }  # fmt: skip
    write_archive(path, header, arrays)


def read(path: Path, identity: Mapping[str, Any]) -> tuple[int, list[np.ndarray], str] | None:
    """The next step's number, the arrays and the version of JAX of a checkpoint; None without one.

    Raises:
        ValueError: for a damaged file, or the checkpoint of another fit: says what differs.
    """
    if not os.path.exists(path):
        return None
    try:
        header, arrays = read_archive(path)
        step, found = int(header["step"]), dict(header["identity"])
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is no checkpoint of a fit, or it is damaged ({error}): delete it to begin anew"
        ) from None
    differing = [k for k in identity if found.get(k) != identity[k]]
    if differing or header.get("format") != _FORMAT:
        what = "; ".join(f"{k}: {found.get(k)!r} there, {identity[k]!r} here" for k in differing)
        raise ValueError(
            f"{path} is the checkpoint of another fit ({what}): give the same arguments to go on, "
            "or another path to begin anew"
        )
    return step, arrays, str(header.get("jax"))


def identity_of(**parts: Any) -> dict[str, str]:
    """A few words and checksums that tell fits apart.

    Arrays count by their bytes, functions by their names and the numbers in them.
    """
    return {name: _summary(value) for name, value in parts.items()}


def _summary(tree: Any, above: tuple[int, ...] = ()) -> str:
    leaves, structure = jax.tree.flatten(tree)
    total = 0
    words = []
    for leaf in leaves:
        if isinstance(leaf, jax.Array | np.ndarray | np.generic):
            array = numbers_of(leaf)
            total = zlib.crc32(f"{array.dtype}{array.shape}".encode(), total)
            total = zlib.crc32(np.ascontiguousarray(array).tobytes(), total)
        else:
            words.append(_nameless(getattr(leaf, "__qualname__", None) or repr(leaf)))
            total = zlib.crc32(_captured(leaf, above).encode(), total)
    shape = zlib.crc32(_nameless(str(structure)).encode())
    return f"{type(tree).__name__} {shape:08x} {total:08x} {' '.join(words)}".strip()


def _captured(function: Any, above: tuple[int, ...] = ()) -> str:
    """What a function holds besides its code: constants, defaults, captured values and functions.

    `above` are the functions that hold it, which are not looked into again.
    """
    if id(function) in above:
        return ""
    above = (*above, id(function))
    if isinstance(function, functools.partial):
        held: list[Any] = [function.func, function.args, function.keywords]
        return " ".join(_summary(x, above) for x in held)
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    held = [
        getattr(function, "__defaults__", None),
        function.__kwdefaults__,
        getattr(getattr(function, "__self__", None), "__dict__", None),  # of a method
        *(_content(cell) for cell in function.__closure__ or ()),
    ]
    return " ".join([*_numbers(code), *(_summary(x, above) for x in held)])


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty: a function that is named before it is there
        return None


def _numbers(code: types.CodeType) -> list[str]:
    """The numbers in a function, and in those that are defined inside of it."""
    found = [repr(x) for x in code.co_consts if isinstance(x, int | float | complex)]
    for inner in code.co_consts:
        if hasattr(inner, "co_consts"):
            found += _numbers(inner)
    return found


def _nameless(structure: str) -> str:
    """The structure in words, without addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", structure)
