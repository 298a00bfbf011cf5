"""What the results of a sweep are called: names, units, meanings, and how they were made."""

import functools
import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import ArrayLike, Int

from rnnjax._files.labels import Labels, status_attributes
from rnnjax._files.names import Names, readable
from rnnjax._gate import check_gave
from rnnjax._machine.plan import Plan
from rnnjax._numerics.trees import named_leaves
from rnnjax._simulation.measured_run import MeasuredRun
from rnnjax._sweep.axes import Design
from rnnjax._types import Array, Arrays, Key, Shapes
from rnnjax._where import all_named
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.measures._base import AbstractMeasure

ResultT = TypeVar("ResultT")


@runtime_checkable
class Swept(Protocol):
    """A noun that says which of its numbers a sweep keeps, and what they are called."""

    def swept(self) -> tuple[dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]], Any]:
        """Variables by name, each `(dims, values, attributes)`, and a `Status`.

        The first dimensions of the values have the names given, before which the sweep puts the
        name of the measure. Of the attributes, `units` may be "state", for those of the circuit's
        state, and `parameter` the name of one of its parameters, which has the same units.
        """
        ...


class Kept(eqx.Module):
    """What a sweep keeps of a noun: its numbers, and beside them what they are called."""

    values: tuple[Arrays, ...]
    status: Int[ArrayLike, ""]
    names: tuple[str, ...] = eqx.field(static=True)
    dims: tuple[tuple[str, ...], ...] = eqx.field(static=True)
    words: tuple[tuple[tuple[str, Any], ...], ...] = eqx.field(static=True)


class Variable(NamedTuple):
    """One array of the results of a sweep.

    Attributes:
        owner: the measure it is of.
        value: the array.
        part: which part of what the measure gives; empty for all of it.
        dims: the names of its first dimensions, if it has them from a noun.
        words: its attributes, if it has them from a noun.
    """

    owner: str
    value: Array | np.ndarray | jax.ShapeDtypeStruct
    part: str = ""
    dims: tuple[str, ...] = ()
    words: dict[str, Any] | None = None


def kept(results: ResultT) -> ResultT:
    """Results in which every noun that says what a sweep keeps of it is replaced by that."""

    def keep(value: ResultT) -> Kept | ResultT:
        if not isinstance(value, Swept):
            return value
        found, status = value.swept()
        dims, values, words = zip(*found.values(), strict=True)
        static = tuple(
            tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in each.items())
            for each in words
        )
        return Kept(values, status, tuple(found), dims, static)

    return jax.tree.map(keep, results, is_leaf=lambda x: isinstance(x, Swept))


def parts(results: Arrays) -> list[Kept | Array]:
    """The arrays of the results, and the kept part of each noun as one."""
    return jax.tree.leaves(results, is_leaf=_is_kept)


def _is_kept(value: object) -> bool:
    return isinstance(value, Kept)


def flat(results: Mapping[str, Any]) -> dict[str, Variable]:
    """One variable per array, `amplitude_e`, and which measure it is of; complex ones as two.

    Raises:
        ValueError: if two results would have the same name.
    """
    found: dict[str, Variable] = {}

    def add(name: str, variable: Variable) -> None:
        if name in found:
            raise ValueError(
                f"measures {found[name].owner!r} and {variable.owner!r} both give a variable "
                f"{name!r}: rename one"
            )
        found[name] = variable

    for owner, value in results.items():
        check_gave(value, f"measures[{owner!r}]", "numbers")
        for part, leaf in named_leaves(value, "", _is_kept).items():
            name = f"{owner}_{part}" if part else owner
            if isinstance(leaf, Kept):
                each = zip(leaf.names, leaf.values, leaf.dims, leaf.words, strict=True)
                for own, array, dims, words in each:
                    places = tuple(f"{name}_{dim}" for dim in dims)
                    add(f"{name}_{own}", Variable(owner, array, own, places, dict(words)))
            elif np.issubdtype(leaf.dtype, np.complexfloating):
                real = isinstance(leaf, np.ndarray)
                add(f"{name}_real", Variable(owner, leaf.real if real else leaf, part))
                add(f"{name}_imag", Variable(owner, leaf.imag if real else leaf, part))
            else:
                add(name, Variable(owner, leaf, part))
    return found


def label(
    design: Design, shapes: Mapping[str, Shapes], measures: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Labels:  # fmt: skip
    """Names, units and meanings, all settled before anything is computed.

    Raises:
        ValueError: for a variable with the name of an axis or of the status.
    """
    variables = flat(shapes)
    _check_names(design, variables)
    names = Names("sweep", {"status", *design.names, *variables})
    axes = tuple(design.names) if design.grid else (names.free("point"),)
    coordinates = design.coordinates(axes, names)
    own, more = _own_dims(variables, measures, names)
    units = _unit_dims(
        {k: v.value.shape[len(own[k]) :] for k, v in variables.items()}, variables, names
    )
    attributes = {k: v for k, v in settings.items() if k not in ("state_unit", "units")}
    labels = Labels(
        axes, design.shape, coordinates | more, _meanings(variables, measures, settings), attributes,
        {name: (*own[name], *units[name]) for name in variables},
    )  # fmt: skip
    labels.check({name: (each.value.shape, each.value.dtype) for name, each in variables.items()})
    return labels


def _meanings(
    variables: Mapping[str, Variable], measures: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The attributes of every variable."""
    meanings: dict[str, dict[str, Any]] = {"status": status_attributes()}
    for name, variable in variables.items():
        each = measures[variable.owner]
        if isinstance(each, AbstractMeasure):
            of = name[len(variable.owner) :].strip("_")
            unit = settings["state_unit"] if each.unit == "state" else each.unit
            meaning = f"{each.meaning} of {of}" if of else each.meaning
            meanings[name] = {"units": unit, "long_name": meaning}
        elif variable.words is not None:
            meanings[name] = _worded(variable.words, settings)
        else:
            words = (getattr(each, "__doc__", None) or "").strip() or variable.owner
            meanings[name] = {"long_name": readable(words.partition("\n")[0])}
    return meanings


def _own_dims(
    variables: Mapping[str, Variable], measures: Mapping[str, Any], names: Names
) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
    """The dimensions that measures and nouns have in front, and the coordinates of these."""
    called: dict[tuple[str, str], str] = {}
    coordinates: dict[str, Any] = {}
    found: dict[str, tuple[str, ...]] = {}
    for name, variable in variables.items():
        each = measures[variable.owner]
        axes = each.axes() if isinstance(each, AbstractMeasure) else {}
        own = (*variable.dims, *(f"{variable.owner}_{axis}" for axis in axes))
        wanted = [(variable.owner, dim) for dim in own]
        for place in wanted:
            if place not in called:
                called[place] = names.free(place[1])
        found[name] = tuple(called[place] for place in wanted)
        for axis, (values, unit) in axes.items():
            dim = called[variable.owner, f"{variable.owner}_{axis}"]
            coordinates[dim] = ([dim], np.asarray(values), {"units": unit})
    return found, coordinates


def _unit_dims(
    shapes: Mapping[str, tuple[int, ...]], variables: Mapping[str, Variable], names: Names
) -> dict[str, tuple[str, ...]]:
    """The dimensions over units: `unit` where all sizes are equal, else one for each population."""
    found = {
        name: tuple(names.free(f"{name}_{k}") for k in range(len(shape)))
        for name, shape in shapes.items()
        if len(shape) != 1
    }
    sizes = {name: shape[0] for name, shape in shapes.items() if name not in found}
    if len(set(sizes.values())) == 1:
        unit = names.free("unit")
        return found | dict.fromkeys(sizes, (unit,))
    called: dict[tuple[str, int], str] = {}
    for name, size in sizes.items():
        of = variables[name].part or name, size
        if of not in called:
            called[of] = names.free(f"{of[0]}_unit")
        found[name] = (called[of],)
    return found


def _worded(words: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that a noun gives, with the units that only the circuit knows."""
    units = words.get("units", settings["units"].get(words.get("parameter", "").partition("[")[0]))
    units = settings["state_unit"] if units == "state" else units
    found = {k: list(v) if isinstance(v, tuple) else v for k, v in words.items() if k != "units"}
    return found | ({"units": units} if units else {})


def _check_names(design: Design, variables: Mapping[str, Variable]) -> None:
    taken = {"status", *design.names}
    for name in (*variables, *(each for each in design.names if each == "status")):
        if name in taken:
            raise ValueError(
                f"{name!r} is the name of an axis, a coordinate or the status as well: rename the "
                "measure, or the axis with axis(..., name=)"
            )


def layout_attributes(plan: Plan, size: int, key: Key | None) -> dict[str, Any]:
    """What, beside the numbers, decides the last bits: the same again gives the same bits."""
    return {
        "tile": plan.tile or 0,
        "devices": plan.devices,
        "chunk": size,
        "device_kind": jax.devices()[0].device_kind,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "key": "" if key is None else str(np.asarray(jax.random.key_data(key)).tolist()),
    }


def describe(
    target: AbstractCircuit[Any] | Driven, duration: float | None, step: float | None,
    transient: float, run: MeasuredRun | None, dtype: np.dtype,
) -> dict[str, Any]:  # fmt: skip
    """What the results say of how they were made."""
    circuit: AbstractCircuit[Any] = target.circuit if isinstance(target, Driven) else target
    found = {
        "circuit": repr(circuit),
        "state_unit": getattr(circuit, "state_unit", ""),
        "units": _units(target),
        "dtype": str(dtype),
        "versions": _versions(),
    }
    if run is not None:
        found |= {
            "duration_ms": duration, "transient_ms": transient,
            "solver": type(run.solver).__name__,
        }  # fmt: skip
        found |= {"rtol": run.rtol, "atol": run.atol} if step is None else {"step_ms": step}
    return found


@functools.cache
def _versions() -> str:
    return " ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("rnnjax", "jax", "jaxlib")
    )


def _units(target: AbstractCircuit[Any] | Driven) -> dict[str, str]:
    """The units of the parameters by their names, where all of a name have the same."""
    found: dict[str, set[str]] = {}
    for each in all_named(target):
        found.setdefault(each.name, set()).add(each.field.unit if each.field else "")
    return {name: units.pop() for name, units in found.items() if len(units) == 1}
