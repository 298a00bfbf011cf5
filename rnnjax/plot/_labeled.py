"""Labelled arrays as drawings need them: axes, labels and the categories of flags.

They are known by what they have, so that nothing here needs xarray.
"""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from rnnjax._types import Expected
from rnnjax.plot._style import label

_KIND = "expected an xarray.DataArray"


@runtime_checkable
class Labeled(Protocol):
    """What an `xarray.DataArray` has."""

    name: Hashable | None
    dims: tuple[Hashable, ...]
    coords: Mapping[Hashable, "Labeled"]
    attrs: dict[str, Any]
    sizes: Mapping[Hashable, int]
    values: np.ndarray
    dtype: np.dtype
    shape: tuple[int, ...]
    ndim: int
    size: int

    def copy(self, *, data: np.ndarray) -> "Labeled":
        """Other values on the same axes."""
        ...

    def transpose(self, *dims: Hashable) -> "Labeled":
        """The same values with the axes in another order."""
        ...


class Side(NamedTuple):
    """One swept axis.

    Attributes:
        values: its coordinate, increasing.
        order: what sorts the array along it.
        label: name and unit.
        logarithmic: whether the values are spaced by equal ratios.
    """

    values: np.ndarray
    order: np.ndarray
    label: str
    logarithmic: bool


def checked(array: Expected[Labeled], ndim: int, advice: str) -> Labeled:
    """A labelled array of numbers with `ndim` dimensions.

    Raises:
        TypeError: for another type, or values that can't be drawn.
        ValueError: for another number of dimensions.
    """
    several = getattr(array, "data_vars", None)
    if several is not None:
        raise TypeError(f"array: {_KIND}, got a Dataset: choose a variable of {list(several)}")
    if not all(hasattr(array, each) for each in ("dims", "coords", "attrs", "values")):
        raise TypeError(
            f"array: {_KIND}, got {type(array).__name__}: draw a variable of what "
            "rnnjax.sweep(...) returns"
        )
    if array.ndim != ndim or not array.size:
        sizes = dict(zip(array.dims, array.shape, strict=True))
        raise ValueError(f"array: expected {ndim} dimensions, got {sizes}: {advice}")
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"array: expected real numbers, got {array.dtype}: draw e.g. its .real part"
        )
    return array


def side(array: Labeled, dim: Hashable) -> Side:
    """The coordinate of a dimension, its index where it has none.

    Raises:
        TypeError: if the coordinate does not hold numbers.
        ValueError: if it holds one that is not finite.
    """
    if dim in array.coords:
        values, attributes = np.asarray(array.coords[dim].values), array.coords[dim].attrs
    else:
        values, attributes = np.arange(array.sizes[dim]), {}
    if values.dtype.kind not in "biuf":
        raise TypeError(
            f"array: expected numbers along {dim!r}, got {values.dtype}: assign a coordinate of "
            "numbers"
        )
    values = values.astype(float)
    if not np.isfinite(values).all():
        raise ValueError(f"array: expected finite coordinates along {dim!r}, got {values}")
    order = np.argsort(values, kind="stable")
    meaning = attributes.get("long_name")
    name = f"{meaning}, {dim}" if meaning and meaning != dim else str(dim)
    return Side(values[order], order, label(name, attributes.get("units")), _is_log(values[order]))


def value_label(array: Labeled) -> str:
    """What the values mean, and their unit."""
    name = array.attrs.get("long_name") or array.name or "value"
    return label(str(name), array.attrs.get("units"))


def categories(array: Labeled) -> dict[int, str] | None:
    """What the values of a categorical array mean; None where they are numbers.

    Raises:
        ValueError: if the flags and their meanings differ in number.
    """
    if array.dtype.kind == "b":
        return {0: "no", 1: "yes"}
    if "flag_values" not in array.attrs:
        return None
    values = np.ravel(array.attrs["flag_values"])
    meanings = array.attrs.get("flag_meanings", [str(v) for v in values])
    meanings = meanings.split() if isinstance(meanings, str) else list(meanings)
    if len(meanings) != len(values):
        raise ValueError(
            f"array: expected a flag_meaning for each of {len(values)} flag_values, got "
            f"{len(meanings)}: separate them by spaces, and write underscores within one"
        )
    return {int(v): m.replace("_", " ").lower() for v, m in zip(values, meanings, strict=True)}


def _is_log(values: np.ndarray) -> bool:
    if len(values) < 3 or values[0] <= 0 or values[-1] < 4 * values[0]:
        return False
    steps = np.diff(np.log(values))
    return bool(np.ptp(steps) <= 1e-3 * abs(steps).max())
