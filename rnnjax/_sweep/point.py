"""What runs at one point of a sweep."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Int, Integer, PyTree

from rnnjax._engine.adaptive_steps import AdaptiveCarry, AdaptiveLane
from rnnjax._engine.blocks import Carry
from rnnjax._engine.driven import DrivenBy, input_at_first
from rnnjax._engine.long_run import LongRun, part_by_part, whole_blocks
from rnnjax._machine.lanes import Lanes, Worker, map_lanes, map_workers
from rnnjax._machine.plan import Loop, Plan
from rnnjax._machine.programs import has_product, numbers_in_loops, traced
from rnnjax._machine.tracing import only_numbers, told
from rnnjax._results import Status
from rnnjax._simulation.measured_run import (
    RunSettings,
    RunValues,
    adaptive_lane,
    long_run,
    measured_results,
    run_measured,
    starting_values,
)
from rnnjax._sweep.coordinates import Kept, flat, kept, parts
from rnnjax._types import Array, Arrays, Key, Shapes, State
from rnnjax._where import Named, put
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import as_input
from rnnjax.solvers._base import explicit_tableau

Circuit = AbstractCircuit[Any]
Target = Circuit | Driven
Functions = tuple[tuple[str, Callable[[Any], Any]], ...]
"""What is computed of a circuit without a simulation, by name: anything that JAX can trace."""
Given = tuple[tuple[Target, ...], RunValues | None]
"""What is swept, as a sum of its kind (see `in_parts`), and the values of its simulation."""
Values = tuple[Arrays, Integer[ArrayLike, ""]]
"""The swept numbers of a point, as sums likewise, and its number in the sweep."""
Shared = tuple[Arrays, Key | None]
"""The arrays of what was given, and the key of the noise."""

_TYPICAL_STEPS = 500  # of a lane that chooses its own
LONG = 2**28  # steps of all points together from which on a run is cut into parts


class Computed(NamedTuple):
    """What was computed at some points.

    Attributes:
        results: by name, points in front, with their `status`.
        needed: attempted steps of each point where it chose its own, else none.
        tried: all attempted steps, idle lanes included.
    """

    results: dict[str, np.ndarray]
    needed: np.ndarray
    tried: int


class SweepPoint:
    """What runs at a point of one sweep.

    Its programs are compiled once for a structure: sweeps of the same share them.
    """

    def __init__(
        self, given: Given, named: tuple[Named, ...], functions: Functions,
        settings: RunSettings | None, key: Key | None, example: Arrays,
    ):  # fmt: skip
        """What is swept and how.

        Args:
            given: the circuit, or its pair with an input as a sum that keeps the digits of the
                input, and the values of the run.
            named: which of its numbers are swept.
            functions: what is computed without a simulation.
            settings: of the simulation, if there is one.
            key: of the noise.
            example: the swept numbers of one point, in the dtype of the sweep, as sums likewise.
        """
        self._compiled = _compiled(given, named, functions, settings)
        self._shared = eqx.filter(given, eqx.is_array), key
        self._probe = example, np.uint32(0)
        self._settings = settings
        self.parts = len(given[0])

    @property
    def adaptive(self) -> bool:
        """Whether it chooses its own steps."""
        return self._compiled.adaptive

    @property
    def steps(self) -> int:
        """How many steps its simulation takes, about; 0 without one."""
        if self._settings is None:
            return 0
        return (self._settings.steps or _TYPICAL_STEPS) + self._settings.transient

    def shapes(self) -> Shapes:
        """Those of the results."""
        return self._once(_shapes)["results"]

    def held(self) -> int:
        """How many numbers the largest loop of its functions holds."""
        return self._once(_held)

    def state(self) -> list[jax.ShapeDtypeStruct]:
        """The shapes of the arrays of the state."""
        return jax.tree.leaves(self._once(_state))

    def steps_by_products(self) -> bool:
        """Whether its time loop holds a matrix product."""
        return self._once(_steps_by_products)

    def loop(self, itemsize: int) -> Loop:
        """What its time loop is made of."""
        solver = None if self._settings is None else explicit_tableau(self._settings.solver)
        state = self.state()
        return Loop(
            sum(x.size for x in state), len(state), 1 if solver is None else solver.num_stages,
            itemsize, self.adaptive, sum(x.size for x in jax.tree.leaves(self.shapes())),
        )  # fmt: skip

    def program(self, plan: Plan, size: int) -> Callable[[Arrays], Computed]:
        """What runs so many points at once: from their values, lanes in front, to what was found."""
        long = self._settings is not None and not self.adaptive and self.steps * size >= LONG
        programs = self._compiled.interruptible(plan) if long else self._compiled.programs(plan)

        def run(lanes: Arrays) -> Computed:
            found = [jax.device_get(each(lanes, self._shared)) for each in programs]
            tried, needed = 0, np.zeros(0, int)
            if self.adaptive:
                found[0], steps = found[0]
                tried, needed = int(steps.sum()), found[0]["attempts"]
            return Computed(_together(found), needed, tried)

        return run

    def _once(self, what: Callable[["_Compiled", Values, Shared], Any]) -> Any:
        return self._compiled.traced_once(what, self._probe, self._shared)


class _Compiled:
    """One lane for a structure of what is given, and the programs made of it."""

    def __init__(
        self, static: PyTree[Any], named: tuple[Named, ...], functions: Functions,
        settings: RunSettings | None,
    ):  # fmt: skip
        self._static, self._named = static, named
        self._functions, self._settings = functions, settings
        self._programs: dict[Plan, list[Lanes]] = {}
        self._long: dict[Plan, Lanes] = {}
        self._known: dict[Any, Any] = {}
        self.adaptive = settings is not None and settings.steps is None

    def lane(self, point: Values, shared: Shared) -> dict[str, Arrays]:
        """Everything that is computed at one point, with fixed steps."""
        target, circuit, run_values, key = self._at(point, shared)
        results: dict[str, Any] = {}
        status = jnp.asarray(int(Status.OK), jnp.int32)
        if self._settings is not None and run_values is not None:
            measured, outcome = run_measured(circuit, run_values, key, self._settings)
            results, status = dict(measured), outcome.status
        return _ended(results | self._evaluated(target), status)

    def functions(self, point: Values, shared: Shared) -> dict[str, Arrays]:
        """What is computed at one point without a simulation."""
        target = self._at(point, shared)[0]
        return _ended(self._evaluated(target), jnp.asarray(int(Status.OK), jnp.int32))

    def _worker(self) -> Worker:
        """The simulation at one point, where it chooses its steps."""

        def lane(point: Values, shared: Shared) -> tuple[AdaptiveLane, Circuit, RunValues]:
            circuit, values, settings = self._simulation(point, shared)
            return adaptive_lane(circuit, values, settings), circuit, values

        def begin(point: Values, shared: Shared) -> AdaptiveCarry:
            adaptive, circuit, values = lane(point, shared)
            return adaptive.begin(starting_values(circuit, values))

        def finish(point: Values, shared: Shared, carry: AdaptiveCarry) -> dict[str, Arrays]:
            adaptive, _, values = lane(point, shared)
            end = adaptive.finish(carry)
            results = _ended(dict(measured_results(values, end)), end.status)
            return results | {"attempts": end.attempts}

        return Worker(
            begin=begin,
            attempt=lambda point, shared, carry: lane(point, shared)[0].attempt(carry),
            running=lambda point, shared, carry: lane(point, shared)[0].running(carry),
            finish=finish,
        )

    def _at(
        self, point: Values, shared: Shared
    ) -> tuple[Target, Circuit, RunValues | None, Key | None]:
        """What was given, the circuit, the run's values and its key, at one point."""
        values, index = point
        arrays, key = shared
        targets, run_values = eqx.combine(arrays, self._static)
        targets = [put(t, self._named, x) for t, x in zip(targets, values, strict=True)]
        target = targets[0]
        circuit = target.circuit if isinstance(target, Driven) else target
        if run_values is not None and isinstance(target, Driven):
            inputs = tuple(as_input(circuit, t.input) for t in targets)
            run_values = dataclasses.replace(run_values, input=DrivenBy(inputs))
        own = None if key is None else jax.random.fold_in(key, index)
        return target, circuit, run_values, own

    def circuit(self, point: Values, shared: Shared) -> Circuit:
        """The circuit at one point."""
        return self._at(point, shared)[1]

    def slope(self, point: Values, shared: Shared) -> State:
        """The derivative at the start of the simulation at one point."""
        circuit, values, _ = self._simulation(point, shared)
        return circuit(starting_values(circuit, values), input_at_first(values.input))

    def _simulation(self, point: Values, shared: Shared) -> tuple[Circuit, RunValues, RunSettings]:
        """The circuit and the run at one point, of a sweep with simulations."""
        _, circuit, values, _ = self._at(point, shared)
        assert values is not None
        assert self._settings is not None
        return circuit, values, self._settings

    def programs(self, plan: Plan) -> list[Lanes]:
        """The compiled programs, each `(lanes, shared) -> results`."""
        if plan not in self._programs:
            if not self.adaptive:
                each = [map_lanes(self.lane, plan)]
            else:
                each: list[Lanes] = [map_workers(self._worker(), plan)]
                if self._functions:
                    each.append(map_lanes(self.functions, Plan(None, plan.devices)))
            self._programs[plan] = each
        return self._programs[plan]

    def interruptible(self, plan: Plan) -> list[Lanes]:
        """The same of a long run with fixed steps, which Ctrl-C can stop between its parts."""
        if plan not in self._long:
            self._long[plan] = self._interruptible(plan)
        return [self._long[plan]]

    def _interruptible(self, plan: Plan) -> Lanes:
        settings = self._settings
        assert settings is not None
        assert settings.steps is not None

        def run_of(point: Values, shared: Shared) -> LongRun:
            _, circuit, values, key = self._at(point, shared)
            assert values is not None
            return long_run(circuit, values, key, settings)

        def part(number: int) -> Lanes:
            def on(lane: tuple[Values, Carry], given: tuple[Shared, Array, Array]) -> Carry:
                shared, done, count = given
                return run_of(lane[0], shared).go_on(lane[1], done, count, number)

            return map_lanes(on, plan)

        def last(lane: tuple[Values, Carry], shared: Shared) -> dict[str, Arrays]:
            point, carry = lane
            target, _, values, _ = self._at(point, shared)
            assert values is not None
            outcome = run_of(point, shared).finish(carry)
            results = dict(measured_results(values, outcome)) | self._evaluated(target)
            return _ended(results, outcome.status)

        first = map_lanes(lambda point, shared: run_of(point, shared).begin(), plan)
        turn = map_lanes(lambda lane, shared: run_of(lane[0], shared).turn(lane[1]), plan)
        parts, end = (part(0), part(1)), map_lanes(last, plan)
        blocks = whole_blocks(settings.transient), whole_blocks(settings.steps)

        def run(lanes: Arrays, shared: Arrays) -> Arrays:
            def on(number: int, carry: Arrays) -> Arrays:
                def some(carry: Arrays, done: Array, count: Array) -> Arrays:
                    return parts[number]((lanes, carry), (shared, done, count))

                return part_by_part(some, carry, blocks[number])

            carry = turn((lanes, on(0, first(lanes, shared))), shared)
            return end((lanes, on(1, carry)), shared)

        return run

    def traced_once(
        self, what: Callable[["_Compiled", Values, Shared], Any], probe: Values, shared: Shared
    ) -> Any:
        """`what(self, probe, shared)`, which depends on their shapes alone."""
        leaves, structure = jax.tree.flatten((probe, shared))
        key = what, structure, tuple((np.shape(x), x.dtype) for x in leaves)
        if key not in self._known:
            self._known[key] = what(self, probe, shared)
        return self._known[key]

    def _evaluated(self, target: Target) -> dict[str, Arrays]:
        found = {}
        for name, function in self._functions:
            with told(f"measures[{name!r}]"):
                found[name] = kept(only_numbers(f"measures[{name!r}]", function(target)))
        return found


def _shapes(compiled: _Compiled, probe: Values, shared: Shared) -> dict[str, Shapes]:
    """Those of what is computed at a point."""
    return jax.eval_shape(compiled.lane, probe, shared)


def _state(compiled: _Compiled, probe: Values, shared: Shared) -> Shapes:
    """The shapes of the state."""
    return jax.eval_shape(lambda p, s: compiled.circuit(p, s).rest(), probe, shared)


def _steps_by_products(compiled: _Compiled, probe: Values, shared: Shared) -> bool:
    """Whether the time loop of a point holds a matrix product."""
    if compiled.adaptive:
        return has_product(compiled.slope, probe, shared, looped=True)
    return has_product(compiled.lane, probe, shared)


def _held(compiled: _Compiled, probe: Values, shared: Shared) -> int:
    """How many numbers the largest loop of the functions of a point holds."""
    return max(numbers_in_loops(traced(compiled.functions, probe, shared)), default=0)


def _ended(results: dict[str, Arrays], status: Int[Array, ""]) -> dict[str, Arrays]:
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


def _together(parts: Sequence[dict[str, Arrays]]) -> dict[str, np.ndarray]:
    """Every result by name, with the first status that is not OK."""
    found: dict[str, np.ndarray] = {}
    for part in parts:
        found |= {name: np.asarray(each.value) for name, each in flat(part["results"]).items()}
        before = found.get("status")
        worst = part["status"]
        found["status"] = worst if before is None else np.where(before == Status.OK, worst, before)
    return found


def _compiled(
    given: Given, named: tuple[Named, ...], functions: Functions, settings: RunSettings | None
) -> _Compiled:
    """For these structures: the same one for the same structures."""
    static = eqx.filter(given, eqx.is_array, inverse=True)
    parts, structure = jax.tree.flatten(static)
    key = (tuple(parts), structure, named, functions, settings)
    try:
        return _cached(*key)
    except TypeError:  # something in it can't be hashed, so that it can't be looked up
        return _cached.__wrapped__(*key)


@functools.lru_cache(maxsize=32)
def _cached(
    parts: tuple[Any, ...], structure: Any,
    named: tuple[Named, ...], functions: Functions, settings: RunSettings | None,
) -> _Compiled:  # fmt: skip
    return _Compiled(jax.tree.unflatten(structure, parts), named, functions, settings)
