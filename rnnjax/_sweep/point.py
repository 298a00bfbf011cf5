"""The compiled part of a sweep: what runs at one point, how points are laid out, chunk after chunk."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._files.sinks import open_sink
from rnnjax._machine.lanes import Worker, lanes_together, map_lanes, map_workers
from rnnjax._machine.plan import Loop, Plan, choose_plan
from rnnjax._machine.programs import has_product, numbers_in_loops
from rnnjax._machine.setup import mention_tuning, tuned_devices
from rnnjax._results import Status, SweepInterrupted
from rnnjax._simulation.measured_run import (
    RunSettings,
    adaptive_lane,
    measured_results,
    run_measured,
    starting_values,
)
from rnnjax._sweep.axes import Design
from rnnjax._sweep.coordinates import Kept, flat, kept, label, layout, parts
from rnnjax._where import Named, put
from rnnjax.circuits._base import Driven
from rnnjax.circuits._checks import as_input
from rnnjax.solvers._base import explicit_tableau

_MOST_LANES = 131072
_MOST_NUMBERS = 2**22  # of state in one chunk
_WORTH_A_WORD = 10**8  # steps of lanes from which on waiting is felt
_TYPICAL_STEPS = 500  # of a lane that chooses its own
_LARGE_LOOP = 2**12  # numbers that a loop of a function holds from which on its lanes are few
_MOST_IN_LOOPS = 2**24, 2**28  # such numbers of all lanes together, on a CPU and elsewhere
_MOST_LARGE = 256  # such lanes on a CPU: more gain nothing, and many calls of LAPACK may lock up


class Program:
    """The compiled part of a sweep: one lane, and how lanes are laid out."""

    def __init__(self, static: Any, named: tuple[Named, ...], functions: Any, settings: Any):
        self._static, self._named = static, named
        self._functions, self._settings = functions, settings
        self._compiled: dict[Plan, list[Any]] = {}
        self._known: dict[Any, Any] = {}
        self.adaptive = settings is not None and settings.steps is None

    def lane(self, point: Any, shared: Any) -> dict[str, Any]:
        """Everything that is computed at one point, with fixed steps."""
        target, circuit, run_values, key = self._at(point, shared)
        results: dict[str, Any] = {}
        status = jnp.asarray(int(Status.OK), jnp.int32)
        if self._settings is not None:
            measured, run = run_measured(circuit, run_values, key, self._settings)
            results, status = dict(measured), run.status
        return _ended(results | self._evaluated(target), status)

    def functions(self, point: Any, shared: Any) -> dict[str, Any]:
        """What is computed at one point without a simulation."""
        target = self._at(point, shared)[0]
        return _ended(self._evaluated(target), jnp.asarray(int(Status.OK), jnp.int32))

    def worker(self) -> Worker:
        """The simulation at one point, where it chooses its steps."""

        def lane(point: Any, shared: Any) -> Any:
            _, circuit, values, _ = self._at(point, shared)
            return adaptive_lane(circuit, values, self._settings), circuit, values

        def begin(point: Any, shared: Any) -> Any:
            run, circuit, values = lane(point, shared)
            return run.begin(starting_values(circuit, values))

        def finish(point: Any, shared: Any, carry: Any) -> Any:
            run, _, values = lane(point, shared)
            end = run.finish(carry)
            results = _ended(dict(measured_results(values, end)), end.status)
            return results | {"attempts": end.attempts}

        return Worker(
            begin=begin,
            attempt=lambda point, shared, carry: lane(point, shared)[0].attempt(carry),
            running=lambda point, shared, carry: lane(point, shared)[0].running(carry),
            finish=finish,
        )

    def _at(self, point: Any, shared: Any) -> Any:
        """What was given, the circuit, the run's values and its key, at one point."""
        values, index = point
        arrays, key = shared
        target, run_values = eqx.combine(arrays, self._static)
        target = put(target, self._named, values)
        circuit = target.circuit if isinstance(target, Driven) else target
        if self._settings is not None and isinstance(target, Driven):
            run_values = dataclasses.replace(run_values, input=as_input(circuit, target.input))
        own = None if key is None else jax.random.fold_in(key, index)
        return target, circuit, run_values, own

    def circuit(self, point: Any, shared: Any) -> Any:
        """The circuit at one point."""
        return self._at(point, shared)[1]

    def slope(self, point: Any, shared: Any) -> Any:
        """The derivative at the start of the simulation at one point."""
        _, circuit, values, _ = self._at(point, shared)
        return circuit(starting_values(circuit, values), values.input(values.window.t0))

    def _evaluated(self, target: Any) -> dict[str, Any]:
        return {name: kept(function(target)) for name, function in self._functions}

    def _mapped(self, plan: Plan) -> list[Any]:
        """The compiled programs, each `(lanes, shared) -> results`."""
        if plan not in self._compiled:
            if not self.adaptive:
                each = [map_lanes(self.lane, plan)]
            else:
                each = [map_workers(self.worker(), plan)]
                if self._functions:
                    tiled = Plan(None, plan.devices)
                    each.append(map_lanes(self.functions, tiled))
            self._compiled[plan] = each
        return self._compiled[plan]

    def _traced_once(self, what: Callable[..., Any], probe: Any, arrays: Any) -> Any:
        """`what(program, probe, arrays)`, which depends on their shapes alone."""
        leaves, structure = jax.tree.flatten((probe, arrays))
        key = what, structure, tuple((np.shape(x), x.dtype) for x in leaves)
        if key not in self._known:
            self._known[key] = what(self, probe, arrays)
        return self._known[key]

    def _plan(
        self, plan: Plan | None, probe: Any, arrays: Any, count: int, itemsize: int, shapes: Any
    ) -> Plan:
        """The plan that was given, or the one for this program."""
        if plan is not None:
            return plan
        steps = 0
        if self._settings is not None:
            steps = (self._settings.steps or _TYPICAL_STEPS) + self._settings.transient
        long = count * steps >= _WORTH_A_WORD
        products = False
        if long or tuned_devices():
            products = self._traced_once(_steps_by_products, probe, arrays)
        if long and not products:
            mention_tuning()
        rest = jax.tree.leaves(self._traced_once(_state, probe, arrays))
        solver = None if self._settings is None else explicit_tableau(self._settings.solver)
        if _on_cpu() and self._traced_once(_held, probe, arrays) >= _LARGE_LOOP:
            return Plan(None, max(tuned_devices(), 1))
        loop = Loop(
            sum(x.size for x in rest), len(rest), 1 if solver is None else solver.num_stages,
            itemsize, self.adaptive, sum(x.size for x in jax.tree.leaves(shapes)),
        )  # fmt: skip
        return choose_plan(products, loop)

    def _most_lanes(self, probe: Any, arrays: Any) -> int:
        """How many points to run together."""
        held = self._traced_once(_held, probe, arrays)
        if held >= _LARGE_LOOP:
            most = min(_MOST_IN_LOOPS[0] // held, _MOST_LARGE)
            most = max(1, most if _on_cpu() else _MOST_IN_LOOPS[1] // held)
            return 2 ** (most.bit_length() - 1)  # which more often divides the points of a grid
        rest = jax.tree.leaves(self._traced_once(_state, probe, arrays))
        return min(_MOST_LANES, _MOST_NUMBERS // max(1, sum(x.size for x in rest)))

    def run(
        self, design: Design, shared: Any, key: Any, chunk: int | None, store: Any,
        plan: Plan | None, progress: bool | None, measures: Any, settings: dict[str, Any],
    ) -> Any:  # fmt: skip
        """Run every chunk and return the labelled results."""
        arrays = eqx.filter(shared, eqx.is_array), key
        dtype = np.dtype(settings["dtype"])
        count = math.prod(design.shape)
        probe = jax.tree.map(lambda x: jnp.asarray(x[0], dtype), design.values(0, 1)), jnp.uint32(0)
        shapes = self._traced_once(_shapes, probe, arrays)["results"]
        plan = self._plan(plan, probe, arrays, count, dtype.itemsize, shapes)
        size = _chunk_size(
            chunk, count, lanes_together(plan, self.adaptive), self._most_lanes(probe, arrays)
        )
        settings = settings | layout(plan, size, key)
        labels = label(design, shapes, measures, settings)
        sink = open_sink(store, labels, size)
        programs = self._mapped(plan)
        done, tried, needed = 0, 0, 0
        with _bar(count, progress) as bar:
            try:
                for first in range(0, count, size):
                    last = min(first + size, count)
                    lanes = _padded(design.values(first, last), first, size, dtype)
                    out = [jax.device_get(program(lanes, arrays)) for program in programs]
                    if self.adaptive:
                        out[0], steps = out[0]
                        tried += int(steps.sum())
                        needed += int(out[0]["attempts"][: last - first].sum())
                    found = _together(out)
                    sink.write(first, {n: np.asarray(x)[: last - first] for n, x in found.items()})
                    done = last
                    bar.update(last - first)
            except KeyboardInterrupt:
                raise SweepInterrupted(
                    f"stopped after {done} of {count} points; {sink.kept}", sink.unfinished()
                ) from None
        if self.adaptive:
            sink.note({"attempts_done": tried, "attempts_needed": needed})
        return sink.finish()


def _shapes(program: Program, probe: Any, arrays: Any) -> Any:
    """Those of what is computed at a point."""
    return jax.eval_shape(program.lane, probe, arrays)


def _state(program: Program, probe: Any, arrays: Any) -> Any:
    """The shapes of the state."""
    return jax.eval_shape(lambda p, a: program.circuit(p, a).rest(), probe, arrays)


def _steps_by_products(program: Program, probe: Any, arrays: Any) -> bool:
    """Whether the time loop of a point holds a matrix product."""
    if program.adaptive:
        return has_product(program.slope, probe, arrays, looped=True)
    return has_product(program.lane, probe, arrays)


def _held(program: Program, probe: Any, arrays: Any) -> int:
    """How many numbers the largest loop of the functions of a point holds."""
    return max(numbers_in_loops(jax.make_jaxpr(program.functions)(probe, arrays).jaxpr), default=0)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _ended(results: dict[str, Any], status: Any) -> dict[str, Any]:
    """Results with their status: undefined where the run went well and a number is missing.

    A noun that was kept knows by itself whether it is whole.
    """
    for each in (part for value in results.values() for part in parts(value)):
        if isinstance(each, Kept):
            own = jnp.asarray(each.status, jnp.int32)
        else:
            bad = jnp.isnan(each).any()
            own = jnp.where(bad, jnp.asarray(int(Status.UNDEFINED), jnp.int32), status)
        status = jnp.where(status == Status.OK, own, status)
    return {"results": results, "status": status.astype(jnp.uint8)}


def _together(parts: Sequence[Any]) -> dict[str, np.ndarray]:
    """Every result by name, with the first status that is not OK."""
    found: dict[str, np.ndarray] = {}
    for part in parts:
        found |= {name: each.value for name, each in flat(part["results"]).items()}
        before = found.get("status")
        worst = part["status"]
        found["status"] = worst if before is None else np.where(before == Status.OK, worst, before)
    return found


def program(shared: Any, named: tuple[Named, ...], functions: Any, settings: Any) -> Program:
    """The program for these structures: the same one, compiled, for the same structures."""
    static = eqx.filter(shared, eqx.is_array, inverse=True)
    parts, structure = jax.tree.flatten(static)
    key = (tuple(parts), structure, named, functions, settings)
    try:
        return _cached(*key)
    except TypeError:  # something in it can't be hashed, so that it can't be looked up
        return _cached.__wrapped__(*key)


@functools.lru_cache(maxsize=32)
def _cached(
    parts: Any,
    structure: Any,
    named: tuple[Named, ...],
    functions: Any,
    settings: RunSettings | None,
) -> Program:
    return Program(jax.tree.unflatten(structure, parts), named, functions, settings)


def _padded(values: tuple[np.ndarray, ...], first: int, size: int, dtype: np.dtype) -> Any:
    """Exactly `size` points, the last repeated, so that every chunk has one shape."""
    missing = size - len(values[0])

    def pad(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.repeat(x[-1:], missing, 0)]) if missing else x

    index = np.arange(first, first + size, dtype=np.uint32)
    return tuple(pad(v).astype(dtype) for v in values), index


def _chunk_size(chunk: int | None, count: int, together: int, most: int) -> int:
    if chunk is not None and (not isinstance(chunk, int | np.integer) or chunk < 1):
        raise ValueError(f"chunk: expected a positive number of points, got {chunk!r}")
    wanted = chunk or max(1, most)
    return math.ceil(min(wanted, count) / together) * together


def _bar(count: int, progress: bool | None) -> Any:
    from tqdm.auto import tqdm

    hidden = None if progress is None else not progress
    return tqdm(total=count, unit="point", unit_scale=True, disable=hidden)
