"""Parameters: numbers with a unit, named by `where`, checked before anything compiles."""

import dataclasses
import html
import inspect
import numbers
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import equinox as eqx
import jax
import numpy as np
from jaxtyping import AbstractArray, Float

from rnnjax._gate import (
    check_finite,
    check_made,
    check_whole,
    own_numbers,
    own_structure,
    place,
    suffix,
)
from rnnjax._types import Arrays, Expected, is_traced

_LARGEST_WHOLE = 2**31  # whole numbers that nobody made floats of must stay below


def parameter(
    default: Expected[Arrays] = dataclasses.MISSING,
    unit: Expected[str] = "1",
    *,
    positive: bool = False,
    doc: str = "",
) -> Any:
    """A field that holds a number, an array of numbers, or a structure of them, with a unit.

    It is kept as a float64 NumPy array, which JAX traces and differentiates: no precision is
    lost, nothing recompiles when its value changes, and no backend starts when it is made.

    Args:
        default: the published value. Without one the field must be given.
        unit: what one means, e.g. "ms", "mV", "Hz"; "1" for none.
        positive: whether only values above zero make sense. Fits then train its logarithm.
        doc: a few words for tables.
    """
    if not isinstance(unit, str):
        raise TypeError(f"parameter: expected a unit in words, '1' for none, got {unit!r}")
    declared = {"unit": unit, "positive": positive, "doc": doc, "optional": default is None}
    metadata, converter = {"parameter": declared}, _Converter(unit, default is None)
    if default is dataclasses.MISSING:
        return eqx.field(converter=converter, metadata=metadata)
    if isinstance(default, float | int):
        return eqx.field(converter=converter, default=default, metadata=metadata)
    return eqx.field(converter=converter, default_factory=lambda: default, metadata=metadata)


class _Converter:
    """Takes what a field is given through the gate, by the name that the field has in its class."""

    def __init__(self, unit: str, optional: bool):
        self.unit, self.optional = unit, optional
        self.name, self.tuples = "parameter", False

    def __call__(self, value: Expected[Arrays]) -> Any:
        if value is None and self.optional:
            return None
        if self.tuples and isinstance(value, dict | eqx.Module):
            raise TypeError(
                f"{self.name}: expected a number{suffix(self.unit)}, or an array of them, got "
                f"{type(value).__name__}"
            )
        return own_structure(value, self.name, self.unit, tuples=self.tuples)

    def belongs(self, name: str, annotation: Any) -> None:
        """Tell it the name; a plain tuple is one array where the field is annotated as one."""
        self.name = name
        kinds = get_args(annotation) or (annotation,)
        self.tuples = self.unit != "circuit's" and any(
            isinstance(each, type) and issubclass(each, AbstractArray) and each.dtype is Float  # pyright: ignore[reportAttributeAccessIssue]
            for each in kinds
        )


class Parametric(eqx.Module):
    """Anything made of parameters: circuits, connectivities, inputs, noise, measures."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        annotations = inspect.get_annotations(cls)
        for name, field in list(vars(cls).items()):
            if isinstance(field, dataclasses.Field) and "parameter" in field.metadata:
                convert = field.metadata["converter"]
                convert.belongs(f"{cls.__name__}.{name}", annotations.get(name))

    def __check_init__(self) -> None:
        """Refuse what can never be right, by the name of the field."""
        for field in parameter_fields(self, nested=False):
            check_values(field, field.value, owner=type(self).__name__)
        for field in dataclasses.fields(self):
            name, value = f"{type(self).__name__}.{field.name}", getattr(self, field.name)
            if isinstance(value, type) and issubclass(value, Parametric):
                check_made(value, name)
            if isinstance(value, np.ndarray) and value.flags.writeable:
                # of a field that is no parameter: kept as it is, but out of reach of its giver
                check_whole(value, name)
                own = np.array(value, subok=not isinstance(value, np.ma.MaskedArray))
                own.setflags(write=False)
                object.__setattr__(self, field.name, own)

    def __repr__(self) -> str:
        """The values with their units, as one would write them."""
        lines = [f"  {name}={_short(value)}{suffix(unit)}," for name, value, unit in _rows(self)]
        return (
            "\n".join([f"{type(self).__name__}(", *lines, ")"])
            if lines
            else (f"{type(self).__name__}()")
        )

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td><code>{html.escape(name)}</code></td>"
            f"<td><pre style='margin:0'>{html.escape(_short(value))}</pre></td>"
            f"<td>{html.escape('' if unit == '1' else unit)}</td></tr>"
            for name, value, unit in _rows(self)
        )
        summary = (type(self).__doc__ or "").strip().splitlines()
        title = html.escape(summary[0]) if summary else ""
        return (
            f"<b>{type(self).__name__}</b>: {title}<table><tr><th>parameter</th><th>value</th>"
            f"<th>unit</th></tr>{cells}</table>"
        )


@dataclasses.dataclass(frozen=True)
class ParameterField:
    """One declared parameter of a circuit or of a part of it."""

    path: str
    value: Expected[Arrays]
    unit: str
    positive: bool
    doc: str
    optional: bool


def parameter_fields(
    tree: eqx.Module, *, nested: bool = True, prefix: str = ""
) -> Iterator[ParameterField]:
    """The parameters of `tree` in the order of their declaration, those of its parts included."""
    for field in dataclasses.fields(tree):
        value = getattr(tree, field.name)
        path = f"{prefix}{field.name}"
        if "parameter" in field.metadata:
            yield ParameterField(path, value, **field.metadata["parameter"])
        elif nested:
            for part, inner in _parts(value, path):
                yield from parameter_fields(inner, prefix=f"{part}.")


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The modules in a field: itself, or those in a tuple or list."""
    if isinstance(value, eqx.Module):
        yield path, value
    elif isinstance(value, tuple | list):
        for k, each in enumerate(value):
            yield from _parts(each, f"{path}.{k}")


def check_values(field: ParameterField, value: Expected[Arrays], owner: str) -> None:
    """Refuse values that a parameter can't have, on the host.

    Raises:
        TypeError: if a value is no real number.
        ValueError: if one is not finite, or not positive where it must be.
    """
    name = f"{owner}.{field.path}"
    for leaf in jax.tree.leaves(value, is_leaf=_is_no_array):
        if is_traced(leaf) or isinstance(leaf, jax.ShapeDtypeStruct):
            continue
        if leaf is None and field.optional:
            continue
        found = _numbers(leaf, name, field.unit)
        if found.size == 0 and found.ndim < 2:
            raise ValueError(
                f"{name}: expected at least one number, got an empty array of shape {found.shape}"
            )
        check_finite(found, name)
        if field.positive and (found <= 0).any():
            bad = np.asarray(found <= 0)
            raise ValueError(
                f"{name}: expected a value above zero{suffix(field.unit)}, got "
                f"{found[bad].flat[0]:g}{place(bad)}: give a positive one"
            )


def _is_no_array(x: Any) -> bool:
    return x is None or isinstance(x, list)


def _is_plain(leaf: Any, dtype: np.dtype | None) -> bool:
    """Whether JAX takes it for what it is, or it is no number at all."""
    if isinstance(leaf, np.ndarray) and type(leaf) is not np.ndarray:
        return False
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.itemsize <= 8 or not np.issubdtype(dtype, np.floating)
    return not isinstance(leaf, list | numbers.Real) or isinstance(leaf, bool | int | float)


def _numbers(leaf: Any, name: str, unit: str) -> np.ndarray:
    """Numbers that are in a field already, where the constructor or `tree_at` put them."""
    if type(leaf) is np.ndarray and leaf.dtype == np.float64:
        return leaf
    dtype = getattr(leaf, "dtype", None)
    if not _is_plain(leaf, dtype):
        check_whole(leaf, name)
        what = f"{type(leaf).__name__}{'' if dtype is None else f' of {dtype}'}"
        raise TypeError(f"{name}: expected an array, got {what}: give np.asarray(x, float)")
    if getattr(dtype, "kind", "f") in "mO":
        unit = ""  # durations: here nothing is converted
    found = own_numbers(leaf, name, unit)
    whole = isinstance(leaf, int) or (dtype is not None and np.issubdtype(dtype, np.integer))
    if whole and (abs(found) >= _LARGEST_WHOLE).any():
        raise ValueError(
            f"{name}: expected floating numbers, got whole ones as large as "
            f"{abs(found).max():g}: give np.asarray(x, float)"
        )
    return found


def check(tree: Any) -> None:
    """Refuse a circuit, input or noise whose concrete parameters can never be right.

    Verbs call it on the host, since `tree_at` and `tree_map` do not run constructors.
    """
    if isinstance(tree, Parametric):
        for field in parameter_fields(tree):
            check_values(field, field.value, owner=type(tree).__name__)


def named_leaf(tree: Any, number: int, names: Sequence[str] = ()) -> tuple[str, bool]:
    """What a leaf of a tree is called, and whether only values above zero make sense for it.

    Args:
        tree: parts made of parameters, states and the like, in any structure.
        number: of the leaf.
        names: of the parts, if the tree is a tuple of them.
    """
    path = jax.tree_util.tree_leaves_with_path(tree)[number][0]
    here, begun, owner, positive = tree, 0, "", False
    for depth, key in enumerate(path):
        if isinstance(here, Parametric):
            if not owner:
                begun, owner = depth, type(here).__name__
            declared = here.__dataclass_fields__[key.name].metadata
            positive = declared.get("parameter", {}).get("positive", False)
        here = _entry(here, key)
    if not owner and names and path:
        begun, owner = 1, str(names[path[0].idx])
    inner = jax.tree_util.keystr(path[begun:], simple=True, separator=".")
    return ".".join(part for part in (owner, inner) if part), positive


def _entry(tree: Any, key: Any) -> Any:
    """The part of a tree that a key of a path stands for."""
    if isinstance(key, jax.tree_util.GetAttrKey):
        return getattr(tree, key.name)
    if isinstance(key, jax.tree_util.SequenceKey):
        return tree[key.idx]
    return tree[key.key] if isinstance(key, jax.tree_util.DictKey) else None


def counted(value: Expected[int], name: str) -> int:
    """A positive whole number, or a ValueError that names it."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: expected a positive whole number, got {value!r}")
    return int(value)


def _rows(tree: Parametric) -> list[tuple[str, Any, str]]:
    rows = []
    for field in dataclasses.fields(tree):
        unit = field.metadata.get("parameter", {}).get("unit", "1")
        rows.append((field.name, getattr(tree, field.name), unit))
    return rows


def _short(value: Any) -> str:
    if isinstance(value, Parametric):
        return repr(value).replace("\n", "\n  ")
    if isinstance(value, jax.Array | np.ndarray) and not is_traced(value):
        if value.ndim == 0:
            return (
                repr(float(value))
                if np.issubdtype(value.dtype, np.floating)
                else repr(value.item())
            )
        numbers_ = np.asarray(value)
        if numbers_.size <= 6:
            return np.array2string(numbers_, separator=", ").replace("\n", "")
        low, high = (f"{x:.4g}" for x in (numbers_.min(), numbers_.max()))
        return f"<{' x '.join(map(str, numbers_.shape))} in [{low}, {high}]>"
    names = getattr(value, "_fields", None)
    if isinstance(value, tuple) and names is not None:
        inner = ", ".join(f"{k}={_short(v)}" for k, v in zip(names, value, strict=True))
        return f"{type(value).__name__}({inner})"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return repr(value)
