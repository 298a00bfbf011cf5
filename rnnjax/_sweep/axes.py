"""What a sweep varies: axes of a grid, lists of points, random designs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._files.names import Names
from rnnjax._gate import check_finite, lost, own_numbers
from rnnjax._machine.verb import verb
from rnnjax._parameter import check_values, counted
from rnnjax._types import Expected, Key, Numbers, Where, is_traced
from rnnjax._where import Named, check_where, named
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


@verb
def axis(
    where: Expected[Where[Any]],
    values: Expected[Numbers | Sequence[float] | Sequence[Sequence[float]]],
    name: Expected[str | None] = None,
) -> Axis:
    """Vary what `where` names over `values`.

    Args:
        where: `lambda c: c.tau_i`; one number of an array, `lambda c: c.connectivity.weights[0, 1]`;
            of a `Driven` pair `lambda d: d.input.amplitude`.
        values: `(points,)`, or `(points, ...)` for an array.
        name: of the coordinate; that of the field unless given.

    Raises:
        ValueError: if there are no values, or gaps among them.
        TypeError: for values that are no real numbers, or a name that is none.
    """
    check_where(where)
    if name is not None and not (isinstance(name, str) and name):
        raise TypeError(f"axis: expected a word for a name, got {name!r}")
    check_known("axis", values)
    called = f"axis{'' if name is None else ' ' + name}"
    found = own_numbers(values, called, unit=None)
    if found.ndim == 0 or len(found) == 0:
        raise ValueError(
            f"{called}: expected at least one value, got "
            f"{'none' if found.ndim else found}: give e.g. np.linspace(5, 100, 1000)"
        )
    return Axis(where, found, name)


def check_known(name: str, *given: Any) -> None:
    """Refuse what a JAX transformation passes through: sweeps run on the host."""
    if is_traced(*given):
        raise TypeError(
            f"{name}: expected numbers that are known, got some inside of a JAX transformation: sweep "
            "outside of jit, grad and vmap; jax.vmap(lambda x: measure(...)) goes inside"
        )


def points(*axes: Expected[Axis]) -> Points:
    """Vary several things together: point k takes value k of every axis.

    Raises:
        ValueError: if the axes are not of the same length.
    """
    _check_axes(axes, "points")
    lengths = {len(a.values) for a in axes}
    if len(lengths) != 1:
        raise ValueError(
            f"points: expected axes of one length, got {[len(a.values) for a in axes]}"
        )
    return Points(tuple(axes))


@verb
def random_points(*ranges: Expected[Axis], count: int, key: Key) -> Points:
    """A random design: `count` points, uniform and independent within the given ranges.

    Args:
        ranges: axes whose two values are the bounds, `axis(where, (low, high))`.
        count: the number of points.
        key: a JAX random key.

    Raises:
        ValueError: for a range that is not two increasing numbers.
    """
    _check_axes(ranges, "random_points")
    count = counted(count, "count")
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


def _check_axes(axes: Sequence[Expected[Axis]], what: str) -> None:
    """Refuse none, and what is no axis."""
    if not axes:
        raise ValueError(f"{what}: expected at least one axis(where, values), got none")
    odd = [each for each in axes if not isinstance(each, Axis)]
    if odd:
        raise TypeError(
            f"{what}: expected axes such as axis(lambda c: c.tau, values), got {odd[0]!r}"
        )


class Design:
    """The points of a sweep, checked: which numbers go to which leaf, and what they are called."""

    def __init__(self, target: AbstractCircuit[Any] | Driven, over: Sequence[Axis] | Points):
        self.grid = not isinstance(over, Points)
        over = [over] if isinstance(over, Axis) else over
        if not isinstance(over, Points | tuple | list):
            raise TypeError(
                "over: expected a list of axis(where, values), or points(...), got "
                f"{type(over).__name__}"
            )
        self.axes = tuple(over.axes if isinstance(over, Points) else over)
        _check_axes(self.axes, "over")
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
            check_finite(each.values, f"axis {name}")

    def _check_different(self) -> None:
        """Refuse axes that name the same, or an array and a number of it."""
        whole = {each.leaf for each in self.named if not each.index}
        clash = [each for each in self.named if each.index and each.leaf in whole]
        if clash or len(set(self.named)) < len(self.named):
            paths = [each.path for each in self.named]
            raise ValueError(f"over: expected different parameters, got {paths}")

    def check_dtype(self, dtype: np.dtype) -> None:
        """Refuse values that would become others in the dtype, while their coordinate stays."""
        for each, of, name in zip(self.axes, self.named, self.names, strict=True):
            alone = each.values.ndim == 1 or of.positive
            if lost(each.values, dtype, each=True):
                for part in [each.values] if alone else each.values:
                    reason = lost(part, dtype, each=alone)
                    if reason:
                        raise ValueError(f"axis {name}: {reason}")

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
