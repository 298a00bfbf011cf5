"""Bifurcation points: as arrays on a branch or a curve, and one by one."""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._files.names import Names
from rnnjax._numerics.trees import named_leaves
from rnnjax._results import BranchEnd, Status
from rnnjax._types import Array, Bool, Float, Int, NDArray, Numbers, Scalar, State, is_traced
from rnnjax.bifurcations._known import type_of


class Special(eqx.Module):
    """The bifurcation points of a branch, in its order, the found ones first.

    Attributes:
        state: in the circuit's structure, each leaf `(slot, ...)`; NaN where there is none.
        parameter: where it happens, `(slot,)`.
        tangent: of the branch there, state and parameter, `(slot, n + 1)`.
        type_index: which of the types that were looked for; -1 where there is none.
        kind_index: which of the kinds of that type.
        frequency: of the oscillation that begins there, in rad per ms; 0 where none does.
        coefficient: of the normal form: a of a fold, `l1` of a Hopf point, a or c of a branch point,
            the ratio of determinants at a boundary equilibrium.
        at: how far along the branch from its start, scaled; negative in the second direction.
        found: `(slot,)`.
        multiplicity: how many eigenvalues, or pairs of them, cross the imaginary axis there at once;
            more than one has no coefficient and is of no kind.
        unsolved: how many zeros of tests could not be solved for, or had no room.
    """

    state: State
    parameter: Float[NDArray, "*places"]
    tangent: Float[NDArray, "*batch slot unknown"]
    type_index: Int[NDArray, "*batch slot"]
    kind_index: Int[NDArray, "*batch slot"]
    frequency: Float[NDArray, "*batch slot"]
    coefficient: Float[NDArray, "*batch slot"]
    at: Float[NDArray, "*batch slot"]
    found: Bool[NDArray, "*batch slot"]
    multiplicity: Int[NDArray, "*batch slot"]
    unsolved: Int[NDArray, "*batch"]


class Bifurcation(eqx.Module):
    """One bifurcation point, read off a branch.

    Attributes:
        label: LP (fold), H (Hopf), BP (branch point), BE (boundary equilibrium), or of two
            parameters CP, BT, GH, ZH, HH.
        kind: what its normal form says: supercritical, subcritical, ...; empty inside `jit`.
        parameter: where it happens; both values for a point of two parameters.
        state: the equilibrium there.
        frequency: of the oscillation that begins there, in Hz; 0 where none does.
        coefficient: of the normal form.
        tangent: of the branch on which it was found, state and parameter.
        multiplicity: how many eigenvalues, or pairs of them, cross the imaginary axis there at once.
            Where more than one does, as symmetry makes them do, several branches cross or begin: the
            coefficient is NaN and the kind empty.
    """

    label: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    parameter: Scalar | Float[NDArray, "2"]
    state: State
    frequency: Scalar
    coefficient: Scalar
    tangent: Float[NDArray, " unknown"]
    multiplicity: int | Int[NDArray, ""] = 1

    def first_lyapunov(self, convention: str = "Kuznetsov") -> Scalar:
        r"""The first Lyapunov coefficient of a Hopf point, as different programs define it.

        Args:
            convention: "Kuznetsov", $\mathrm{Re}(c_1) / \omega$ for an eigenvector of length 1,
                which is `coefficient` and what AUTO means by it; "MatCont", $\mathrm{Re}(c_1)$
                per ms; "JaxCont", half of Kuznetsov's.

        Raises:
            ValueError: for another convention, or a point that is no Hopf point.
        """
        if not type_of(self.label).begins_orbits:
            raise ValueError(f"first_lyapunov: expected a Hopf point (H), got a {self.label}")
        factors = {
            "Kuznetsov": 1.0, "MatCont": 2 * np.pi * self.frequency / 1000, "JaxCont": 0.5,
        }  # fmt: skip
        if convention not in factors:
            raise ValueError(f"convention: expected one of {list(factors)}, got {convention!r}")
        coefficient: Scalar = self.coefficient
        return coefficient * factors[convention]

    def __repr__(self) -> str:
        """Its label, where it is and of what kind."""
        if is_traced(self):
            return f"{self.label}, not yet computed"
        rate = f", {float(self.frequency):.4g} Hz" if self.frequency else ""
        place = ", ".join(f"{float(p):.8g}" for p in np.ravel(self.parameter))
        head = f"{self.label} at {place if np.ndim(self.parameter) == 0 else f'({place})'}: "
        if self.multiplicity > 1:
            return f"{head}multiplicity {int(self.multiplicity)}{rate}"
        return f"{head}{self.kind}{rate}, coefficient {float(self.coefficient):.5g}"


def check_one_crosses(start: Bifurcation, instead: str) -> None:
    """Raise a ValueError where several eigenvalues cross at the point from which something is to begin.

    Args:
        start: the point.
        instead: what to give instead.
    """
    if not is_traced(start.multiplicity) and start.multiplicity > 1:
        raise ValueError(
            f"start: expected a point at which one eigenvalue or one pair crosses the imaginary axis, got {start!r}: "
            f"several branches begin there. Give {instead} on one of them"
        )


@runtime_checkable
class HasPoints(Protocol):
    """A branch or a curve: bifurcation points, the types they may be of, and how it ended."""

    @property
    def special(self) -> Any:
        """The bifurcation points, as arrays: `Special`, or like it."""
        ...

    @property
    def types(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The label and the kinds of each type that was looked for."""
        ...

    @property
    def ends(self) -> Int[NDArray, "*batch direction"]:
        """A `BranchEnd` for each direction."""
        ...


def read(of: HasPoints, k: int | Array, label: str | None = None) -> Bifurcation:
    """The bifurcation in one slot of a branch or a curve; its label if the slot is traced."""
    at = of.special
    number = at.multiplicity[k]
    if label is not None:
        name, kind = label, ""
    else:
        name, kinds = of.types[int(at.type_index[k])]
        kind = kinds[int(at.kind_index[k])] if at.kind_index[k] >= 0 else ""
    return Bifurcation(
        name,
        kind,
        at.parameter[k],
        jax.tree.map(lambda x: x[k], at.state),
        1000 * at.frequency[k] / (2 * np.pi),
        at.coefficient[k],
        at.tangent[k],
        number if is_traced(number) else int(number),
    )


def listed(of: HasPoints) -> list[Bifurcation]:
    """The bifurcations of a branch or a curve in its order.

    Raises:
        ValueError: for a batch, made by `vmap`.
    """
    if np.ndim(of.special.found) != 1 or is_traced(of.special.found):
        raise ValueError("a batch of branches: see `.special`, or select one lane")
    return [read(of, int(k)) for k in np.flatnonzero(of.special.found)]


def kept_of(of: HasPoints, places: dict[str, tuple[Any, str]]) -> tuple[dict[str, Any], Any]:
    """What a sweep keeps of a branch or a curve; `places` are the parameters of its points.

    Raises:
        ValueError: for a batch, made by `vmap`.
    """
    xp, whole = _single(of)
    found = _points(of, places) | _counts(of, whole, xp) | ending(of)
    own = named_leaves(of.special.state)
    names = Names("state", {*found, *own})
    for name, values in own.items():
        words = {"units": "state", "long_name": f"{name} at the bifurcation"}
        found[names.free(name) if name in found else name] = (("bifurcation",), values, words)
    return found, outcome(of)


def _single(of: HasPoints) -> tuple[Any, Any]:
    """NumPy or its likeness under a transformation, and whether nothing may be missing.

    Raises:
        ValueError: for a batch, made by `vmap`.
    """
    if np.ndim(of.special.found) != 1:
        raise ValueError("a batch of branches: give the sweep one branch for each of its points")
    reached = np.asarray([int(end) for end in BranchEnd if end.reached], np.int32)
    ended = (of.ends[:, None] == reached).any(-1).all()
    return jnp if is_traced(of) else np, ended & (of.special.unsolved == 0)


def outcome(of: HasPoints) -> Any:
    """The `Status` of a branch or a curve in a sweep."""
    xp, whole = _single(of)
    ok, failed = (np.asarray(code, np.int32) for code in (Status.OK, Status.NOT_CONVERGED))
    return xp.where(whole, ok, failed)


def ending(of: HasPoints) -> dict[str, Any]:
    """How a branch or a curve ended, and what could not be solved for, as variables."""
    directions = {"long_name": "how it ended, first where the parameter grows at its start"}
    names = directions | _flags([end.name for end in BranchEnd])
    lost = {
        "units": "1",
        "long_name": "zeros of tests that could not be solved for, or had no room",
    }
    return {
        "end": (("direction",), of.ends.astype(np.int8), names),
        "unsolved": ((), of.special.unsolved, lost),
    }


def labels(of: HasPoints) -> dict[str, Any]:
    """Of which type the bifurcations are, and of which kind, as variables."""
    xp, _ = _single(of)
    at, along = of.special, ("bifurcation",)
    kinds = [kind for _, each in of.types for kind in each]
    first = xp.asarray(np.cumsum([0, *(len(each) for _, each in of.types)]), np.int32)
    kind = xp.where(at.found, first[at.type_index] + at.kind_index, np.asarray(-1, np.int32))
    types = {"long_name": "type of the bifurcation"} | _flags([label for label, _ in of.types])
    forms = {"long_name": "what its normal form says"} | _flags(kinds)
    return {
        "label": (along, at.type_index.astype(np.int8), types),
        "kind": (along, kind.astype(np.int8), forms),
    }


def _points(of: HasPoints, places: dict[str, tuple[NDArray, str]]) -> dict[str, Any]:
    """The bifurcation points as variables along `bifurcation`."""
    at, along = of.special, ("bifurcation",)
    found: dict[str, tuple[Any, dict[str, Any]]] = {
        name: (value, {"long_name": f"{parameter} at the bifurcation", "parameter": parameter})
        for name, (value, parameter) in places.items()
    }
    words = {"units": "Hz", "long_name": "frequency of the oscillation that begins there"}
    found["frequency"] = 1000 * at.frequency / (2 * np.pi), words
    found["coefficient"] = at.coefficient, {"long_name": "coefficient of the normal form"}
    words = {"units": "1", "long_name": "eigenvalues or pairs that cross the axis at once"}
    found["multiplicity"] = at.multiplicity, words
    each = {name: (along, values, words) for name, (values, words) in found.items()}
    return labels(of) | each


def _counts(of: HasPoints, whole: Numbers, xp: Any) -> dict[str, Any]:
    """How many points of each type there are; NaN where some may be missing."""
    dtype = of.special.parameter.dtype
    found = {}
    for label in dict.fromkeys(label for label, _ in of.types):
        places = [k for k, (other, _) in enumerate(of.types) if other == label]
        same = of.special.type_index[:, None] == np.asarray(places, np.int32)
        count = xp.where(whole, same.sum().astype(dtype), np.asarray(np.nan, dtype))
        words = {"units": "1", "long_name": f"number of points {label}"}
        found[f"count_{label}"] = ((), count, words)
    return found


def _flags(meanings: list[str]) -> dict[str, Any]:
    """What the codes 0, 1, ... mean, and -1, in the words of the CF conventions."""
    words = ["none", *(each.replace(" ", "_") for each in meanings)]
    return {"flag_values": list(range(-1, len(meanings))), "flag_meanings": " ".join(words)}
