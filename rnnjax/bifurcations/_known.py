"""What is said of a type of bifurcation besides its equations, and how a label leads to its type."""

from collections.abc import Iterator
from typing import ClassVar, TypeVar

import equinox as eqx


class AbstractType(eqx.Module):
    """A type of bifurcation, of equilibria or of periodic orbits.

    What verbs and drawings must know of a type it says itself, in class attributes. A result holds
    the label of its type; `type_of` finds the type again.

    Attributes:
        label: what results call it, "H"; one for each type.
        kinds: what the signs of its normal form say, in words.
        variables: of the circuit; below so many there can be none.
        of_kinks: whether it is met at the kinks of a vector field, so that the circuit must say
            where they are (`switching_functions`).
        in_two: whether it can be followed as two parameters change.
        leads_to: the label of the type whose curve begins there as well.
        crossing: how many eigenvalues cross the imaginary axis there.
        switches_branch: whether another branch of equilibria crosses there.
        begins_orbits: whether small periodic orbits begin there; the coefficient is then $l_1$.
        doubles: whether an orbit of twice the period branches off.
        signed: whether the sign of the coefficient says supercritical (negative) or subcritical.
        word: what drawings call it; its label unless given.
        plural: what drawings call a curve of them; its label unless given.
        marker, color: how it is drawn, in matplotlib's words.
    """

    label: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    variables: ClassVar[int] = 1
    of_kinks: ClassVar[bool] = False
    in_two: ClassVar[bool] = False
    leads_to: ClassVar[str | None] = None
    crossing: ClassVar[int] = 0
    switches_branch: ClassVar[bool] = False
    begins_orbits: ClassVar[bool] = False
    doubles: ClassVar[bool] = False
    signed: ClassVar[bool] = False
    word: ClassVar[str] = ""
    plural: ClassVar[str] = ""
    marker: ClassVar[str] = "^"
    color: ClassVar[str] = "#E69F00"


_Kind = TypeVar("_Kind", bound=AbstractType)


def known_types(kind: type[_Kind]) -> list[type[_Kind]]:
    """The types of one kind that the package exports, by the names of their classes."""
    from rnnjax import bifurcations

    found = [value for _, value in sorted(vars(bifurcations).items())]
    return [t for t in found if isinstance(t, type) and issubclass(t, kind) and _is_concrete(t)]


def type_of(label: str) -> type[AbstractType]:
    """The type with a label, one that was defined outside the package too.

    `AbstractType` if there is none: nothing is known of it, and it is drawn as types are unless they
    say otherwise.
    """
    exported = {t.label: t for t in known_types(AbstractType)}
    if label in exported:
        return exported[label]
    others = [t for t in _below(AbstractType) if getattr(t, "label", None) == label]
    return others[-1] if others else AbstractType


def _below(kind: type[AbstractType]) -> Iterator[type[AbstractType]]:
    """All types that derive from one, each after those that it derives from."""
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def _is_concrete(type_: type) -> bool:
    return not getattr(type_, "__abstractmethods__", ())
