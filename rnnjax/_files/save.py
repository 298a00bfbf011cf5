"""Circuits on disk: all their numbers to the last bit, and no code."""

import dataclasses
import importlib
import importlib.util
import types
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rnnjax._exports import FAMILIES, HOMES
from rnnjax._files.archive import FilePath, check_path, read_archive, write_archive
from rnnjax._machine.verb import verb
from rnnjax._parameter import Parametric
from rnnjax._types import Expected

_FORMAT = 1


@verb
def save(path: Expected[FilePath], circuit: Expected[Parametric]) -> None:
    """Write a circuit, with all its numbers to the last bit, to one file.

    The file is a zip of a JSON header and NumPy arrays; each part carries a checksum.

    Args:
        path: where; an existing file is replaced, at once and whole.
        circuit: a circuit, or any other part made of parameters.

    Raises:
        TypeError: for what can't be saved without code, such as a function of your own.
        OSError: if the file can't be written; nothing is left half-written.
    """
    check_path(path)
    if not isinstance(circuit, Parametric):
        raise TypeError(
            f"circuit: expected a circuit or a part made of parameters, got {circuit!r}"
        )
    arrays: list[np.ndarray] = []
    header = {"format": _FORMAT, "content": _encode(circuit, arrays)}
    write_archive(path, header, arrays)


@verb
def load(path: Expected[FilePath], known: Sequence[Any] = ()) -> Any:
    """Read a circuit that `save` wrote. No code from the file is run.

    Args:
        path: the file.
        known: classes and functions of your own that the circuit is made of; the package's are
            known already.

    Raises:
        ValueError: for a damaged file, or a class that is not known.
    """
    check_path(path)
    try:
        header, arrays = read_archive(path)
    except ValueError as error:
        raise ValueError(
            f"{path} is no circuit saved by rnnjax, or it is damaged: {error}"
        ) from None
    if header.get("format") != _FORMAT:
        raise ValueError(f"{path}: expected format {_FORMAT}, got {header.get('format')}")
    try:
        return _decode(header["content"], dict(enumerate(arrays)), known)
    except KeyError as error:
        raise ValueError(f"{path} is damaged: {error} is missing") from None


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, Parametric):
        names = [f.name for f in dataclasses.fields(value)]
        fields = {n: _encode(getattr(value, n), arrays) for n in names}
        return {_kind("class", type(value)): type(value).__name__, "fields": fields}
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, tuple):
        items = [_encode(v, arrays) for v in value]
        if not hasattr(value, "_fields"):
            return {"items": items}
        return {_kind("tuple", type(value)): type(value).__name__, "items": items}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if callable(value) and getattr(value, "__name__", "<lambda>") != "<lambda>":
        return {_kind("name", value): value.__name__}
    raise TypeError(
        f"can't save {value!r}: expected numbers, parts of rnnjax, or functions with a name; "
        "give the function a name with def"
    )


def _kind(kind: str, value: Any) -> str:
    """`kind` for what the package exports under its name, `own kind` for anything else."""
    ours = str(value.__module__).startswith("rnnjax.") and _exported(value.__name__) is value
    return kind if ours else f"own {kind}"


def _decode(node: Mapping[str, Any], arrays: Mapping[int, np.ndarray], known: Sequence[Any]) -> Any:
    own = {each.__name__: each for each in known}

    def find(kind: str) -> Any:
        ours = _exported(node[kind]) if kind in node else None
        if ours is not None:
            return ours
        name = node.get(kind) or node[f"own {kind}"]
        if name not in own:
            raise ValueError(
                f"the file holds a {name}, which rnnjax does not know: load(path, known=[{name}])"
            )
        return own[name]

    def has(kind: str) -> bool:
        return kind in node or f"own {kind}" in node

    if has("class"):
        fields = {k: _decode(v, arrays, known) for k, v in node["fields"].items()}
        return _rebuilt(find("class"), fields)
    if "array" in node:
        return arrays[node["array"]]
    if "items" in node:
        items = [_decode(v, arrays, known) for v in node["items"]]
        return find("tuple")(*items) if has("tuple") else tuple(items)
    return find("name") if has("name") else node["value"]


def _rebuilt(kind: Any, fields: dict[str, Any]) -> Any:
    """A part with the fields that it had. Its constructor, which made them, is not run again.

    Raises:
        ValueError: for fields that the class does not have, or has none of.
        TypeError: for what is no class of a part.
    """
    if not isinstance(kind, type) or not issubclass(kind, Parametric):
        raise TypeError(f"known: expected classes of parts made of parameters, got {kind!r}")
    names = {field.name: field for field in dataclasses.fields(kind)}
    missing, unknown = [k for k in names if k not in fields], [k for k in fields if k not in names]
    if missing or unknown:
        raise ValueError(
            f"{kind.__name__}: expected a file with its fields {list(names)}, got one "
            f"without {missing} and with {unknown}: it was saved by another version of the class"
        )
    made = object.__new__(kind)
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)
        object.__setattr__(made, name, value)
    for each in kind.__mro__:
        if "__check_init__" in vars(each):
            vars(each)["__check_init__"](made)
    return made


def _exported(name: str) -> Any:
    """What the package has under a name, of a family or of the root; None if there is no such part.

    Nouns of the root that circuits are made of live in a family; functions that are the default of
    a field stand in its base.
    """
    if name.startswith("_"):
        return None
    nouns = [home for home in HOMES.values() if home.partition(".")[0] in FAMILIES]
    for home in dict.fromkeys([*nouns, *FAMILIES]):
        found = getattr(importlib.import_module(f"rnnjax.{home}"), name, None)
        if found is not None and not isinstance(found, types.ModuleType):
            return found
    for family in FAMILIES:
        base = f"rnnjax.{family}._base"
        if importlib.util.find_spec(base) is not None:
            found = getattr(importlib.import_module(base), name, None)
            if getattr(found, "__module__", None) == base:
                return found
    return None
