"""What a sweep varies: axes of a grid, lists of points, random designs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._files.names import Names
from rnnjax._parameter import check_values
from rnnjax._types import Expected, Key, Numbers, Where
from rnnjax._where import Named, named
from rnnjax.circuits._base import AbstractCircuit, Driven


@dataclasses.dataclass(frozen=True)
class Axis:
    """One thing that a sweep varies; made by `axis`."""

    where: Where[Any]
    values: np.ndarray
    name: str | None = None


@dataclasses.dataclass(frozen=True)
class Points:
    """A list of settings, several things varied together; made by `points`."""

    axes: tuple[Axis, ...]


def axis(
    where: Where[Any],
    values: Numbers | Sequence[float] | Sequence[Sequence[float]],
    name: Expected[str | None] = None,
) -> Axis:
    """Vary what `where` names over `values`.

    Args:
        where: `lambda c: c.tau_i`; one number of an array, `lambda c: c.connectivity.weights[0, 1]`;
            of a `Driven` pair `lambda d: d.input.amplitude`.
        values: `(points,)`, or `(points, ...)` for an array.
        name: of the coordinate; that of the field unless given.

    Raises:
        TypeError: for a name that is none.
        ValueError: if there are no values, or some are not finite.
    """
    if name is not None and not (isinstance(name, str) and name):
        raise TypeError(f"axis: expected a word for a name, got {name!r}")
    values = np.asarray(values, np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(
            f"axis{'' if name is None else ' ' + name}: expected at least one value, got "
            f"{'none' if values.ndim else values}: give e.g. np.linspace(5, 100, 1000)"
        )
    return Axis(where, values, name)


def points(*axes: Axis) -> Points:
    """Vary several things together: point k takes value k of every axis.

    Raises:
        ValueError: if the axes are not of the same length.
    """
    lengths = {len(a.values) for a in axes}
    if len(lengths) != 1:
        raise ValueError(
            f"points: expected axes of one length, got {[len(a.values) for a in axes]}"
        )
    return Points(tuple(axes))


def random_points(*ranges: Axis, count: int, key: Key) -> Points:
    """A random design: `count` points, uniform and independent within the given ranges.

    Args:
        ranges: axes whose two values are the bounds, `axis(where, (low, high))`.
        count: the number of points.
        key: a JAX random key.

    Raises:
        ValueError: for a range that is not two increasing numbers.
    """
    for k, each in enumerate(ranges):
        if each.values.shape != (2,) or not each.values[0] < each.values[1]:
            raise ValueError(
                f"random_points: expected axis(where, (low, high)) with low < high, got "
                f"{each.values} in range {k}"
            )
    with jax.enable_x64(True):
        draws = np.asarray(jax.random.uniform(key, (len(ranges), count), jnp.float64))
    scaled = [
        r.values[0] + (r.values[1] - r.values[0]) * u for r, u in zip(ranges, draws, strict=True)
    ]
    return points(*(Axis(r.where, v, r.name) for r, v in zip(ranges, scaled, strict=True)))


class Design:
    """The points of a sweep, checked: which numbers go to which leaf, and what they are called."""

    def __init__(self, target: AbstractCircuit[Any] | Driven, over: Sequence[Axis] | Points):
        self.grid = not isinstance(over, Points)
        self.axes = tuple(over.axes if isinstance(over, Points) else over)
        if not self.axes or not all(isinstance(a, Axis) for a in self.axes):
            raise ValueError("over: expected at least one axis(where, values), or points(...)")
        self.named = tuple(named(target, a.where) for a in self.axes)
        self._check_different()
        self.names = _names(self.named, self.axes)
        for each, of, name in zip(self.axes, self.named, self.names, strict=True):
            wanted = np.shape(of.value(target))
            if each.values.shape[1:] != wanted:
                raise ValueError(
                    f"axis {name}: expected values of shape (points, {', '.join(map(str, wanted))}), "
                    f"got {each.values.shape}"
                )
            if of.field is not None:
                check_values(of.field, each.values, owner="axis")
            elif not np.isfinite(each.values).all():
                raise ValueError(f"axis {name}: expected finite values")

    def _check_different(self) -> None:
        """Refuse axes that name the same, or an array and a number of it."""
        whole = {each.leaf for each in self.named if not each.index}
        clash = [each for each in self.named if each.index and each.leaf in whole]
        if clash or len(set(self.named)) < len(self.named):
            paths = [each.path for each in self.named]
            raise ValueError(f"over: expected different parameters, got {paths}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each dimension."""
        lengths = tuple(len(a.values) for a in self.axes)
        return lengths if self.grid else lengths[:1]

    def values(self, first: int, last: int) -> tuple[np.ndarray, ...]:
        """The numbers of the points from `first` to `last`, one array per axis."""
        index = np.arange(first, last)
        if not self.grid:
            return tuple(a.values[index] for a in self.axes)
        unravelled = np.unravel_index(index, self.shape)
        return tuple(a.values[i] for a, i in zip(self.axes, unravelled, strict=True))

    def extremes(self) -> list[list[np.ndarray]]:
        """The smallest and the largest value of each axis."""
        return [[np.asarray(f(a.values, 0)) for a in self.axes] for f in (np.min, np.max)]

    def coordinates(self, dims: Sequence[str], names: Names) -> dict[str, Any]:
        """The swept values with units and meanings.

        Args:
            dims: what the dimensions of the points are called.
            names: of the results, which arrays' dimensions are added to.
        """
        found = {}
        for k, (name, each, of) in enumerate(zip(self.names, self.axes, self.named, strict=True)):
            field = of.field
            attributes = {} if field is None else {"units": field.unit, "long_name": field.doc}
            along = dims[k if self.grid else 0]
            if each.values.ndim == 1:
                found[name] = ([along], each.values, attributes)
            else:
                extra = [names.free(f"{name}_{i}") for i in range(each.values.ndim - 1)]
                called = names.free(f"{name}_values")
                found[called] = ([along, *extra], each.values, attributes)
        return found


def _names(of: Sequence[Named], axes: Sequence[Axis]) -> list[str]:
    """Coordinates' names: the given one, the field's own, or the whole path where two collide.

    Raises:
        ValueError: for two axes of one name.
    """
    short = [a.name or each.name for a, each in zip(axes, of, strict=True)]
    names = [
        s if short.count(s) == 1 or a.name else each.path.replace(".", "_")
        for s, a, each in zip(short, axes, of, strict=True)
    ]
    for k, name in enumerate(names):
        if name in names[:k]:
            raise ValueError(
                f"over: two axes are called {name!r}: give one another name, axis(..., name=)"
            )
    return names
