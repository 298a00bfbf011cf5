"""What `where` names: an array of a circuit, or one number of an array."""

import dataclasses
import itertools
import operator
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._parameter import ParameterField, Parametric, parameter_fields
from rnnjax._types import Array, Expected, Numbers, Where, is_traced

TreeT = TypeVar("TreeT")


@dataclasses.dataclass(frozen=True)
class Named:
    """One array of a tree, or one number of it; made once, by the verb that is given a `where`.

    It holds no numbers, so that compiled programs can be looked up by it. It is as good for every
    tree of the same structure, and named in a circuit for the `Driven` pair of that circuit, whose
    leaves come first.

    Attributes:
        leaf: which of the leaves of the tree.
        index: of the number in the array, one for each axis; empty for the whole array.
        path: what it is called: `connectivity.weights`, `tau[2]`.
        field: how it was declared, with its unit; its `value` is left out. None where it was not.
    """

    leaf: int
    index: tuple[int, ...]
    path: str
    field: ParameterField | None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def positive(self) -> bool:
        """Whether only values above zero make sense."""
        return self.field is not None and self.field.positive

    def value(self, tree: Any) -> Any:
        """Its value in a tree; of a batch of trees, whose axes are in front, one for each."""
        array = jax.tree.leaves(tree)[self.leaf]
        return array[(..., *self.index)] if self.index else array

    def put(self, tree: TreeT, value: Numbers) -> TreeT:
        """The tree with another value for it, a number or a traced one."""
        return put(tree, (self,), (value,))


class NothingNamedError(ValueError):
    """A `where` that names nothing, or too much; `reason` tells what it did."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


def put(tree: TreeT, named: Sequence[Named], values: Sequence[Any]) -> TreeT:
    """The tree with other values for several of its arrays or numbers, in this order."""
    leaves, structure = jax.tree.flatten(tree)
    for each, value in zip(named, values, strict=True):
        leaves[each.leaf] = _replaced(leaves[each.leaf], each.index, value)
    return jax.tree.unflatten(structure, leaves)


def named(tree: TreeT, where: Where[TreeT]) -> Named:
    """The one array, or the one number of an array, that `where` names.

    Raises:
        NothingNamedError: if it names none, or several.
        ValueError: for an index that the array does not have.
    """
    check_where(where)
    try:
        found = where(_labelled(tree))
    except (AttributeError, TypeError, LookupError) as error:
        raise _nothing(tree, str(error)) from None
    if not isinstance(found, _Label):
        raise _nothing(tree, f"it gave {type(found).__name__}")
    return found.named_in(tree)


def names_apart(several: Sequence[Named]) -> tuple[str, ...]:
    """Their names, or the whole paths of those whose names are the same."""
    short = [each.name for each in several]
    return tuple(
        name if short.count(name) == 1 else each.path.replace(".", "_")
        for name, each in zip(short, several, strict=True)
    )


def number_named(tree: TreeT, where: Where[TreeT]) -> Named:
    """The one number that `where` names: an array of shape `()`, or an element of one.

    Raises:
        ValueError: if it names no number.
    """
    found = named(tree, where)
    shape = np.shape(found.value(tree))
    if shape != ():
        raise ValueError(
            f"where: expected one number to follow, {found.path} has shape {shape}: name one of "
            f"them, like `lambda c: c.{found.path}[{', '.join('0' * len(shape))}]`, or give the "
            "number a field of its own"
        )
    return found


def check_where(where: Expected[Where[Any]]) -> None:
    """Refuse what is no function.

    Raises:
        TypeError: says how to write one.
    """
    if not callable(where) or isinstance(where, type | eqx.Module):
        name = where if isinstance(where, str) and where.isidentifier() else "tau"
        what = repr(where) if isinstance(where, str) or where is None else type(where).__name__
        raise TypeError(
            f"where: expected a function that names an array, like `lambda c: c.{name}`, got {what}"
        )


def all_named(tree: Any) -> list[Named]:
    """Every array of a tree."""
    return [label.named_in(tree) for label in jax.tree.leaves(_labelled(tree))]


def choose(tree: TreeT, where: Where[TreeT]) -> tuple[Named, ...]:
    """The arrays and numbers that a fit trains: one, or several in any structure.

    Raises:
        ValueError: if `where` names no arrays of the tree, or one twice.
    """
    check_where(where)
    try:
        given = where(_labelled(tree))
        parts = jax.tree.leaves(given, is_leaf=lambda x: not isinstance(x, tuple | list | dict))
        if any(x is None for x in parts):
            raise TypeError(
                "it gave None, a part that the circuit was not given: make the circuit with it, "
                "e.g. start=np.zeros(units)"
            )
        others = [x for x in jax.tree.leaves(given) if not isinstance(x, _Label)]
        if others:
            raise TypeError(f"it gave {others[0]!r}, which is no array of the circuit")
    except (AttributeError, TypeError, LookupError) as error:
        raise ValueError(f"where: it must name arrays of {type(tree).__name__}: {error}") from None
    arrays = jax.tree.leaves(tree)
    found = {each.named_in(tree) for each in jax.tree.leaves(given)}
    found = [each for each in found if eqx.is_inexact_array(arrays[each.leaf])]
    if not found:
        raise ValueError(
            "where: expected arrays of the circuit, e.g. lambda c: c.connectivity, got "
            f"{type(given).__name__} without any"
        )
    found.sort(key=lambda each: (each.leaf, each.index))
    for whole, part in itertools.pairwise(found):
        if whole.leaf == part.leaf and not whole.index:
            raise ValueError(f"where: it names {whole.path}, and {part.path} of it: leave out one")
    return tuple(found)


def free_of(tree: Any, chosen: Sequence[Named]) -> list[Array]:
    """What is chosen, as an optimizer sees it: by its logarithm where it must be positive."""
    values = [each.value(tree) for each in chosen]
    return [
        jnp.log(x) if each.positive else jnp.asarray(x)
        for each, x in zip(chosen, values, strict=True)
    ]


def rebuild(tree: TreeT, chosen: Sequence[Named], free: Sequence[Array]) -> TreeT:
    """The tree with the numbers put in that `free_of` took out."""
    values = [jnp.exp(x) if each.positive else x for each, x in zip(chosen, free, strict=True)]
    return put(tree, chosen, values)


class _Label:
    """Stands for an array, or for a part of it, while `where` names it."""

    __slots__ = ("_index", "_leaf", "_path", "_shape")
    __iter__ = None

    def __init__(self, leaf: int, path: str, shape: tuple[int, ...], index: tuple[int, ...] = ()):
        self._leaf, self._path, self._shape, self._index = leaf, path, shape, index

    def __getitem__(self, index: Expected[int | tuple[int, ...]]) -> "_Label":
        whole = self._index
        for k in index if isinstance(index, tuple) else (index,):
            whole += (self._checked(k, len(whole)),)
        return _Label(self._leaf, self._path, self._shape, whole)

    def _checked(self, k: Expected[int], axis: int) -> int:
        """Where along an axis, counted from its beginning."""
        what = f"where: {self._path or 'the array'} has shape {self._shape}"
        try:
            place = None if isinstance(k, bool | np.bool_) else operator.index(k)
        except TypeError:
            place = None
        if place is None:
            raise ValueError(
                f"{what}: expected whole numbers that name one of its elements, got {k!r}: name "
                "the array itself for all of it"
            )
        if axis >= len(self._shape):
            raise ValueError(f"{what}: it can't be indexed by {axis + 1} numbers")
        if not -self._shape[axis] <= place < self._shape[axis]:
            raise ValueError(f"{what}: the index {place} of axis {axis} is out of range")
        return place % self._shape[axis]

    def named_in(self, tree: Any) -> Named:
        """What it stands for."""
        path, axes = self._path, len(self._index)
        if axes not in (0, len(self._shape)):
            raise ValueError(
                f"where: {path or 'the array'} has shape {self._shape}: name one of its elements "
                f"by {len(self._shape)} numbers, or all of it by none, got {axes}"
            )
        if axes:
            path = f"{path}[{','.join(map(str, self._index))}]"
        field = _declared(tree, self._path)
        if field is not None:
            field = dataclasses.replace(field, path=path, value=None)
        return Named(self._leaf, self._index, path, field)


def _labelled(tree: TreeT) -> TreeT:
    """The tree with a label in place of every array."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    labels = [
        _Label(k, jax.tree_util.keystr(path, simple=True, separator="."), np.shape(leaf))
        for k, (path, leaf) in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, labels)


def _replaced(array: Numbers, index: tuple[int, ...], value: Numbers) -> Any:
    """The array with another element; without an index, what it is replaced by."""
    if not index:
        return value
    if isinstance(array, np.ndarray) and not is_traced(value):
        changed = array.copy()
        changed[index] = value
        return changed
    array = jnp.asarray(array)
    # not a scatter, which lanes would take one after the other
    place = int(np.ravel_multi_index(index, array.shape))
    here = (jnp.arange(array.size, dtype=jnp.int32) == place).reshape(array.shape)
    return jnp.where(here, jnp.asarray(value, array.dtype), array)


def _declared(tree: Any, path: str) -> ParameterField | None:
    """The parameter at `path`, if it was declared with a unit."""
    if isinstance(tree, Parametric):
        # a structure of numbers is one parameter: `tau.e` belongs to `tau`
        return next(
            (f for f in parameter_fields(tree) if path == f.path or path.startswith(f"{f.path}.")),
            None,
        )
    if dataclasses.is_dataclass(tree):
        head, _, rest = path.partition(".")
        return _declared(getattr(tree, head, None), rest)
    return None


def _nothing(tree: Any, reason: str) -> NothingNamedError:
    known = (
        ", ".join(f.path for f in parameter_fields(tree)) if isinstance(tree, Parametric) else ""
    )
    return NothingNamedError(
        f"`where` must name one array of {type(tree).__name__}, like `lambda c: c.tau`, or one "
        f"number of it, like `lambda c: c.tau[2]`; {reason}. Its parameters: "
        f"{known or 'see its fields'}",
        reason,
    )
