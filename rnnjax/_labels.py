"""What the results of a sweep are called: names, units, meanings, and how they were made."""

import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from rnnjax._axes import Design
from rnnjax._linalg import named_leaves
from rnnjax._plan import Plan
from rnnjax._store import Labels, status_attributes
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.measures._base import AbstractMeasure


def flat(results: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """One variable per array, `amplitude_e`, and which measure it is of; complex ones as two.

    Raises:
        ValueError: if two results would have the same name.
    """
    found: dict[str, tuple[str, Any]] = {}

    def add(name: str, owner: str, leaf: Any) -> None:
        if name in found:
            raise ValueError(
                f"measures {found[name][0]!r} and {owner!r} both give a variable {name!r}: rename one"
            )
        found[name] = (owner, leaf)

    for owner, value in results.items():
        for part, leaf in named_leaves(value, name="").items():
            name = f"{owner}_{part}" if part else owner
            if np.issubdtype(leaf.dtype, np.complexfloating):
                real = isinstance(leaf, np.ndarray)
                add(f"{name}_real", owner, leaf.real if real else leaf)
                add(f"{name}_imag", owner, leaf.imag if real else leaf)
            else:
                add(name, owner, leaf)
    return found


def label(design: Design, shapes: Any, measures: Mapping[str, Any], settings: Any) -> Labels:
    """Names, units and meanings, all settled before anything is computed."""
    meanings: dict[str, dict[str, Any]] = {"status": status_attributes()}
    dims: dict[str, tuple[str, ...]] = {}
    coordinates = design.coordinates()
    for name, (owner, leaf) in flat(shapes).items():
        each = measures[owner]
        of = name[len(owner) :].strip("_")
        own: list[str] = []
        if isinstance(each, AbstractMeasure):
            unit = settings["state_unit"] if each.unit == "state" else each.unit
            meaning = f"{each.meaning} of {of}" if of else each.meaning
            meanings[name] = {"units": unit, "long_name": meaning}
            for axis, (values, unit) in each.axes().items():
                own.append(f"{owner}_{axis}")
                coordinates[own[-1]] = ([own[-1]], np.asarray(values), {"units": unit})
        else:
            words = (getattr(each, "__doc__", None) or owner).strip().splitlines()[0]
            meanings[name] = {"long_name": words}
        rest = range(len(leaf.shape) - len(own))
        dims[name] = (*own, *("unit" if len(rest) == 1 else f"{name}_{k}" for k in rest))
    taken = {"status", *design.dims, *coordinates, *(d for each in dims.values() for d in each)}
    for name in (*dims, *(d for d in design.dims if d == "status")):
        if name in taken:
            raise ValueError(
                f"{name!r} is the name of an axis, a coordinate or the status as well: rename the "
                "measure, or the axis with axis(..., name=)"
            )
    attributes = {k: v for k, v in settings.items() if k != "state_unit"}
    return Labels(design.dims, design.shape, coordinates, meanings, attributes, dims)


def layout(plan: Plan, size: int, key: Any) -> dict[str, Any]:
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
    target: Any, duration: Any, step: Any, transient: Any, run: Any, dtype: Any
) -> dict[str, Any]:
    circuit: AbstractCircuit[Any] = target.circuit if isinstance(target, Driven) else target
    versions = " ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("rnnjax", "jax", "jaxlib")
    )
    found = {
        "circuit": repr(circuit),
        "state_unit": getattr(circuit, "state_unit", ""),
        "dtype": str(dtype),
        "versions": versions,
    }
    if run is not None:
        found |= {
            "duration_ms": duration, "transient_ms": transient,
            "solver": type(run.solver).__name__,
        }  # fmt: skip
        found |= {"rtol": run.rtol, "atol": run.atol} if step is None else {"step_ms": step}
    return found
