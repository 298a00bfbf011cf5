"""Parameters: numbers with a unit, named by `where`, checked before anything compiles."""

import dataclasses
import html
import numbers
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np

from rnnjax._types import Arrays, Expected, T, is_traced


def parameter(
    default: Expected[Arrays] = dataclasses.MISSING,
    unit: str = "1",
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
    declared = {"unit": unit, "positive": positive, "doc": doc, "optional": default is None}
    metadata = {"parameter": declared}
    if default is dataclasses.MISSING:
        return eqx.field(converter=_numbers, metadata=metadata)
    if isinstance(default, float | int):
        return eqx.field(converter=_numbers, default=default, metadata=metadata)
    return eqx.field(converter=_numbers, default_factory=lambda: default, metadata=metadata)


def _numbers(value: T) -> T:
    """Numbers as float64 NumPy arrays; what a JAX transformation passes through is left alone."""

    def leaf(x: Any) -> Any:
        if is_traced(x) or not _is_number_like(x):
            return x
        return np.asarray(x, np.float64)

    if isinstance(value, list):
        value = np.asarray(value)
    return jax.tree.map(leaf, value)


def _is_number_like(x: Any) -> bool:
    if isinstance(x, jax.Array | np.ndarray | np.generic):
        return bool(np.issubdtype(x.dtype, np.number) or np.issubdtype(x.dtype, np.bool_)) and not (
            np.issubdtype(x.dtype, np.complexfloating)
        )
    return isinstance(x, numbers.Real)


class Parametric(eqx.Module):
    """Anything made of parameters: circuits, connectivities, inputs, noise, measures."""

    def __check_init__(self) -> None:
        """Refuse what can never be right, by the name of the field."""
        for field in parameter_fields(self, nested=False):
            check_values(field, field.value, owner=type(self).__name__)

    def __repr__(self) -> str:
        """The values with their units, as one would write them."""
        lines = [f"  {name}={_short(value)}{_suffix(unit)}," for name, value, unit in _rows(self)]
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
        TypeError: if a value is no number.
        ValueError: if one is not finite, or not positive where it must be.
    """
    for leaf in jax.tree.leaves(value, is_leaf=lambda x: x is None):
        if is_traced(leaf):
            continue
        if not _is_number_like(leaf):
            if isinstance(leaf, str) or (leaf is None and not field.optional) or callable(leaf):
                raise TypeError(
                    f"{owner}.{field.path}: expected a number{_suffix(field.unit)}, got {leaf!r}"
                )
            continue
        numbers_ = np.asarray(leaf)
        bad = np.asarray(~np.isfinite(numbers_))
        if bad.any():
            raise ValueError(
                f"{owner}.{field.path}: expected finite numbers, got {numbers_[bad].flat[0]} "
                f"{_place(bad)}: check where the value comes from"
            )
        if field.positive and (numbers_ <= 0).any():
            bad = np.asarray(numbers_ <= 0)
            raise ValueError(
                f"{owner}.{field.path}: expected a value above zero{_suffix(field.unit)}, got "
                f"{numbers_[bad].flat[0]:g} {_place(bad)}: give a positive one"
            )


def check(tree: Any) -> None:
    """Refuse a circuit, input or noise whose concrete parameters can never be right.

    Verbs call it on the host, since `tree_at` and `tree_map` do not run constructors.
    """
    if isinstance(tree, Parametric):
        for field in parameter_fields(tree):
            check_values(field, field.value, owner=type(tree).__name__)


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


def _suffix(unit: str) -> str:
    return "" if unit == "1" else f" {unit}"


def _place(bad: np.ndarray) -> str:
    if bad.ndim == 0:
        return ""
    index = tuple(int(k) for k in np.argwhere(bad)[0])
    return f"at {list(index)}" + (f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else "")


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
