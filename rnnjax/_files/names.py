"""What things are called that go out: the user's names as they are, ours beside them, all different."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rnnjax._numerics.trees import distinct

_LONGEST = 200  # bytes of a name that is the name of a file as well
# what files take for paths, or can't spell, or leave out
_PATHS = re.compile(r"[/\\\x00\ud800-\udfff]|_nc4_non_coord_")
_TAKEN = re.compile(r"\.{0,2}$|zarr\.json$")  # what has a meaning of its own there


class Names:
    """The names of one dataset, of which each is given away once."""

    def __init__(self, noun: str, given: Iterable[str]):
        """Names that are taken from the beginning.

        Args:
            noun: what the dataset is of, which is put in front of names that are taken.
            given: the user's names, which stay as they are.
        """
        self._noun, self._taken = noun, set(given)

    def free(self, name: str, noun: str | None = None) -> str:
        """`name` if nobody has it, else with the noun in front; nobody else is given it afterwards."""
        if name in self._taken:
            longer = f"{noun or self._noun}_{name}"
            name = distinct([*self._taken, longer])[-1]
        self._taken.add(name)
        return name

    def units(
        self, shapes: Mapping[str, tuple[int, ...]], short: bool = False
    ) -> dict[str, tuple[str, ...]]:
        """The dimensions of variables over units: the same where their sizes are, else their own.

        Args:
            shapes: of each variable, without the dimensions that are named already.
            short: whether a single dimension is `unit`; all of them are numbered otherwise.

        Returns:
            `unit_0`, `unit_1` of all variables together, or of populations of different sizes
            `e_unit` and `i_unit`.
        """
        words = {
            name: ("unit",) if short and len(shape) == 1 else _numbered("unit", len(shape))
            for name, shape in shapes.items()
        }
        sizes: dict[str, set[int]] = {}
        for name, shape in shapes.items():
            for word, size in zip(words[name], shape, strict=True):
                sizes.setdefault(word, set()).add(size)
        if all(len(each) == 1 for each in sizes.values()):
            shared = {word: self.free(word) for word in sizes}
            return {name: tuple(shared[word] for word in each) for name, each in words.items()}
        return {
            name: tuple(self.free(word) for word in self.own_units(name, shape))
            for name, shape in shapes.items()
        }

    @staticmethod
    def own_units(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """What the dimensions over units of one variable are called: `e_unit`, or `e_unit_0`, ..."""
        return (f"{name}_unit",) if len(shape) == 1 else _numbered(f"{name}_unit", len(shape))


def _numbered(word: str, count: int) -> tuple[str, ...]:
    return tuple(f"{word}_{k}" for k in range(count))


def names_in_files(names: Iterable[str]) -> dict[str, str]:
    """What each name is called in a file, where some characters and words have a meaning of their own.

    Names that files take as they are stay; the others differ from all of them.
    """
    known = list(dict.fromkeys(names))
    spelled = {name: _spelled(name) for name in known}
    changed = [name for name in known if spelled[name] != name]
    same = [name for name in known if spelled[name] == name]
    others = distinct([*same, *(spelled[name] for name in changed)])[len(same) :]
    return {**dict(zip(same, same, strict=True)), **dict(zip(changed, others, strict=True))}


def _spelled(name: str) -> str:
    """A name that files take as it is."""
    found = _PATHS.sub("_", name)
    if _TAKEN.match(found):
        found = f"name_{found.strip('.')}"
    return found.encode()[:_LONGEST].decode(errors="ignore")


def for_files(dataset: Any, names: Mapping[str, str] | None = None) -> Any:
    """A dataset with the names that it has in files.

    Args:
        dataset: an `xarray.Dataset`.
        names: as of `names_in_files`; made from those of the dataset unless given.
    """
    own = [str(name) for name in (*dataset.variables, *dataset.sizes)]
    spelled = names_in_files(own) if names is None else names
    changed = {name: spelled[name] for name in own if spelled[name] != name}
    if not changed:
        return dataset
    found = dataset.rename(changed)
    for name, other in changed.items():
        if other in found.variables:
            found[other].attrs |= called(name, other)
    return found


def called(name: str, spelled: str) -> dict[str, str]:
    """The attribute that tells what a variable is called, where its file spells it differently."""
    return {} if name == spelled else {"called": readable(name)}


def readable(words: str) -> str:
    """Words as an attribute, in which files can't spell everything."""
    return words.encode(errors="replace").replace(b"\0", b"?").decode()
