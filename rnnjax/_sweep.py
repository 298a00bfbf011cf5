"""And over a million parameter settings? `sweep`."""

import dataclasses
import functools
import importlib.metadata
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._axes import Axis, Design, Points
from rnnjax._integrate import Plan, choose_plan, lanes_together, map_lanes
from rnnjax._linalg import named_leaves
from rnnjax._measure import MeasuredRun, RunSettings, run_measured
from rnnjax._results import Status, SweepInterrupted
from rnnjax._store import Labels, open_sink, status_attributes
from rnnjax._types import DTypeLike, Key, cast, precision
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import as_input, check_run
from rnnjax.measures._base import AbstractMeasure

_MOST_LANES = 131072
_MOST_NUMBERS = 2**22  # of state in one chunk


def sweep(
    circuit: Any,
    measures: Mapping[str, Any],
    over: Sequence[Axis] | Points,
    *,
    duration: float | None = None,
    step: float | None = None,
    transient: float = 0.0,
    input: Any = None,
    start: Any = None,
    noise: Any = None,
    key: Key | None = None,
    solver: Any = None,
    chunk: int | None = None,
    store: Any = None,
    plan: Plan | None = None,
    dtype: DTypeLike | None = None,
    progress: bool | None = None,
) -> Any:
    """Compute `measures` of a circuit at every point of a grid, a list or a random design.

    The points are run in chunks of one fixed shape, so that everything compiles once and memory
    stays flat. A point that fails has NaN and a status; the others finish.

    Args:
        circuit: a circuit, or `Driven(circuit, input)` to vary the input's numbers as well.
        measures: by name, each a measure of a simulation (`Amplitude()`) or any function of the
            circuit (of the `Driven` pair, if that was given) that JAX can trace, e.g.
            `lambda c: linearize(c, find_equilibria(c, guesses=near)[0]).growth_rate`.
        over: axes, which make a grid, or `points(...)`, or `random_points(...)`.
        duration: length of each simulation in ms, the transient included.
        step: its fixed step in ms.
        transient: how much of its beginning is not measured, in ms.
        input: as for `simulate`.
        start: the first state, or a function from the circuit to it.
        noise: as for `simulate`; point k draws with `fold_in(key, k)`.
        key: for the noise.
        solver: as for `measure`.
        chunk: points run together; chosen from the size of the state unless given.
        store: a name ending in `.zarr` (written while it runs) or `.nc` (when it is done). The
            result appears under that name when it is whole.
        plan: how lanes are laid out; chosen unless given, and reported in the attributes.
        dtype: as for `simulate`.
        progress: show a bar; where the output is a terminal unless given.

    Returns:
        An `xarray.Dataset` with a dimension per axis (or `point`), the measures with their units
        and meanings, and `status`.

    Raises:
        ValueError, TypeError, OSError: for what can't work, before anything compiles.
        SweepInterrupted: on Ctrl-C; says what was kept.
    """
    target, given = circuit, input
    if isinstance(target, Driven):
        circuit, input = target.circuit, target.input
        if given is not None:
            raise ValueError("input: the Driven pair has one already; give it there")
    check_run(circuit, input, noise, key)
    simulated, functions = _sort(measures)
    run = None
    if not simulated and not (given is None and noise is None and start is None):
        raise ValueError(
            "input=, noise= and start= are for measures of a simulation, and there is none here: "
            "give the input inside the function, e.g. find_equilibria(circuit, input)"
        )
    if simulated:
        if duration is None or step is None:
            raise ValueError(
                f"measures {list(simulated)} are of a simulation: give duration= and step= in ms"
            )
        run = MeasuredRun(simulated, duration, input, step, transient, start, noise, solver)
        run.check(circuit)
    design = Design(target, over)
    if run is not None:
        for values in design.extremes():
            changed = eqx.tree_at(lambda t: [a.where(t) for a in design.axes], target, values)
            run.check(changed.circuit if isinstance(changed, Driven) else changed)
    with precision(dtype) as found:
        shared = cast((target, None if run is None else run.values(circuit)), found)
        program = _program(
            shared, design.leaves, tuple(functions.items()), None if run is None else run.settings()
        )
        settings = _describe(target, duration, step, transient, run, found)
        return program.run(design, shared, key, chunk, store, plan, progress, measures, settings)


def _sort(measures: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measures of a simulation, and functions of the circuit."""
    if not isinstance(measures, Mapping) or not measures:
        raise TypeError(
            "measures: expected a dictionary from names to measures or functions, got "
            f"{measures!r}: give e.g. {{'amplitude': Amplitude()}}"
        )
    simulated = {n: m for n, m in measures.items() if isinstance(m, AbstractMeasure)}
    functions = {n: m for n, m in measures.items() if n not in simulated}
    for name, each in functions.items():
        if not callable(each):
            raise TypeError(f"measures[{name!r}]: expected a measure or a function, got {each!r}")
    if "status" in measures:
        raise ValueError("measures: the name 'status' is taken")
    return simulated, functions


class _Program:
    """The compiled part of a sweep: one lane, and how lanes are laid out."""

    def __init__(self, static: Any, leaves: tuple[int, ...], functions: Any, settings: Any):
        self._static, self._leaves = static, leaves
        self._functions, self._settings = functions, settings
        self._mapped: dict[Plan, Any] = {}

    def lane(self, point: Any, shared: Any) -> dict[str, Any]:
        """Everything that is computed at one point."""
        values, index = point
        arrays, key = shared
        target, run_values = eqx.combine(arrays, self._static)
        parts = jax.tree.leaves(target)
        for k, value in zip(self._leaves, values, strict=True):
            parts[k] = value
        target = jax.tree.unflatten(jax.tree.structure(target), parts)
        circuit = target.circuit if isinstance(target, Driven) else target
        results: dict[str, Any] = {}
        status = jnp.asarray(int(Status.OK), jnp.int32)
        if self._settings is not None:
            if isinstance(target, Driven):
                run_values = dataclasses.replace(run_values, input=as_input(circuit, target.input))
            own = None if key is None else jax.random.fold_in(key, index)
            measured, run = run_measured(circuit, run_values, own, self._settings)
            results, status = dict(measured), run.status
        for name, function in self._functions:
            results[name] = function(target)
        bad = functools.reduce(
            jnp.logical_or, [jnp.isnan(x).any() for x in jax.tree.leaves(results)]
        )
        undefined = jnp.asarray(int(Status.UNDEFINED), jnp.int32)
        status = jnp.where((status == Status.OK) & bad, undefined, status)
        return {"results": results, "status": status.astype(jnp.uint8)}

    def run(
        self, design: Design, shared: Any, key: Any, chunk: int | None, store: Any,
        plan: Plan | None, progress: bool | None, measures: Any, settings: dict[str, Any],
    ) -> Any:  # fmt: skip
        """Run every chunk and return the labelled results."""
        arrays = eqx.filter(shared, eqx.is_array), key
        dtype = np.dtype(settings["dtype"])
        count = math.prod(design.shape)
        probe = jax.tree.map(lambda x: jnp.asarray(x[0], dtype), design.values(0, 1)), jnp.uint32(0)
        plan = plan or choose_plan(self.lane, probe, arrays)
        size = _chunk_size(chunk, count, plan, shared)
        shapes = jax.eval_shape(self.lane, probe, arrays)["results"]
        settings = settings | _layout(plan, size, key)
        labels = _labels(design, shapes, measures, settings)
        sink = open_sink(store, labels, size)
        mapped = self._mapped.setdefault(plan, map_lanes(self.lane, plan))
        done = 0
        with _bar(count, progress) as bar:
            try:
                for first in range(0, count, size):
                    last = min(first + size, count)
                    lanes = _padded(design.values(first, last), first, size, dtype)
                    out = jax.device_get(mapped(lanes, arrays))
                    found = {n: x for n, (_, x) in _flat(out["results"]).items()}
                    found["status"] = out["status"]
                    sink.write(first, {n: np.asarray(x)[: last - first] for n, x in found.items()})
                    done = last
                    bar.update(last - first)
            except KeyboardInterrupt:
                raise SweepInterrupted(
                    f"stopped after {done} of {count} points; {sink.kept}", sink.unfinished()
                ) from None
        return sink.finish()


def _program(shared: Any, leaves: Any, functions: Any, settings: Any) -> _Program:
    """The program for these structures: the same one, compiled, for the same structures."""
    static = eqx.filter(shared, eqx.is_array, inverse=True)
    parts, structure = jax.tree.flatten(static)
    key = (tuple(parts), structure, leaves, functions, settings)
    try:
        return _cached(*key)
    except TypeError:  # something in it can't be hashed, so that it can't be looked up
        return _cached.__wrapped__(*key)


@functools.lru_cache(maxsize=32)
def _cached(
    parts: Any, structure: Any, leaves: Any, functions: Any, settings: RunSettings | None
) -> _Program:
    return _Program(jax.tree.unflatten(structure, parts), leaves, functions, settings)


def _flat(results: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
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


def _padded(values: tuple[np.ndarray, ...], first: int, size: int, dtype: np.dtype) -> Any:
    """Exactly `size` points, the last repeated, so that every chunk has one shape."""
    missing = size - len(values[0])

    def pad(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.repeat(x[-1:], missing, 0)]) if missing else x

    index = np.arange(first, first + size, dtype=np.uint32)
    return tuple(pad(v).astype(dtype) for v in values), index


def _chunk_size(chunk: int | None, count: int, plan: Plan, shared: Any) -> int:
    together = lanes_together(plan)
    if chunk is not None and (not isinstance(chunk, int | np.integer) or chunk < 1):
        raise ValueError(f"chunk: expected a positive number of points, got {chunk!r}")
    target = shared[0]
    circuit = target.circuit if isinstance(target, Driven) else target
    numbers = sum(np.size(x) for x in jax.tree.leaves(jax.eval_shape(circuit.rest)))
    wanted = chunk or max(1, min(_MOST_LANES, _MOST_NUMBERS // max(1, numbers)))
    return math.ceil(min(wanted, count) / together) * together


def _labels(design: Design, shapes: Any, measures: Mapping[str, Any], settings: Any) -> Labels:
    """Names, units and meanings, all settled before anything is computed."""
    meanings: dict[str, dict[str, Any]] = {"status": status_attributes()}
    dims: dict[str, tuple[str, ...]] = {}
    coordinates = design.coordinates()
    for name, (owner, leaf) in _flat(shapes).items():
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


def _layout(plan: Plan, size: int, key: Any) -> dict[str, Any]:
    """What, beside the numbers, decides the last bits: the same again gives the same bits."""
    return {
        "tile": plan.tile or 0,
        "devices": plan.devices,
        "chunk": size,
        "device_kind": jax.devices()[0].device_kind,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "key": "" if key is None else str(np.asarray(jax.random.key_data(key)).tolist()),
    }


def _describe(
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
            "duration_ms": duration, "step_ms": step, "transient_ms": transient,
            "solver": type(run.solver).__name__,
        }  # fmt: skip
    return found


def _bar(count: int, progress: bool | None) -> Any:
    from tqdm.auto import tqdm

    hidden = None if progress is None else not progress
    return tqdm(total=count, unit="point", unit_scale=True, disable=hidden)
