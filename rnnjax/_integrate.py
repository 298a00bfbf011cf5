"""The one engine for fixed steps: any vector field, any explicit solver, measures on the way.

`integrate` runs one lane: one state, no batch axis. Everything in it is a value except the
number of steps, so that new parameters, inputs, steps and durations of the same number of steps
never compile again. `map_lanes` runs many lanes, as a `Plan` says.

A run is a scan over blocks of at most `BLOCK` scanned steps. A block is the unit in which noise is
drawn, in which the state is checked for being finite, and which reverse-mode differentiation
computes again instead of storing. Increment n of a lane depends on its key and n alone: what is
measured or saved, and how lanes are grouped, never changes a draw.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._linalg import flatten
from rnnjax._results import Status
from rnnjax._setup import tuned_devices
from rnnjax._types import Key, is_traced
from rnnjax.measures._base import AbstractMeasure
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import (
    check_noisy,
    has_error_estimate,
    noisy_step_function,
    step_function,
)

BLOCK = 200

Solver = diffrax.AbstractSolver


class Run(NamedTuple):
    """What one lane gave.

    Attributes:
        final: the last state.
        measured: one result per measure, in the structure of what it observes.
        saved: the states at every `save_every`-th step, time first; None if not asked for.
        status: a `Status`.
        steps_well: the number of steps up to the last block that ended finite.
        last_well: the state then.
    """

    final: Any
    measured: tuple[Any, ...]
    saved: Any
    status: Any
    steps_well: Any
    last_well: Any


class _Carry(NamedTuple):
    n: Any
    state: Any
    measures: tuple[Any, ...]
    well: Any
    last_well: Any


def integrate(
    circuit: Callable[[Any, Any], Any],
    input: Callable[[Any], Any],
    start: Any,
    *,
    solver: Solver,
    t0: Any,
    step: Any,
    steps: int,
    transient: int = 0,
    measures: Sequence[AbstractMeasure] = (),
    save_every: int | None = None,
    noise: AbstractNoise | None = None,
    key: Key | None = None,
    increments: Any = None,
    first: Any = 0,
) -> Run:
    """Step one lane from `t0` by `transient + steps` fixed steps.

    Args:
        circuit: `circuit(state, input) -> derivative` per ms.
        input: `input(t)`, t in ms.
        start: the first state; all of its leaves in one float dtype.
        solver: a diffrax solver with an explicit tableau, or Euler, or ItoMilstein under noise.
        t0: time of the start, ms.
        step: the step, ms.
        steps: steps in the window that is measured and saved.
        transient: steps before it.
        measures: what to fold in over the window.
        save_every: keep every so many-th state of the window; it divides `steps`.
        noise: the diffusion, diagonal and Ito.
        key: for the noise.
        increments: Wiener increments `(transient + steps, variables)` instead of drawing them.
        first: the number of steps already taken, for a run that goes on.
    """
    vector, unravel = flatten(start)
    t0, step = (jnp.asarray(x, vector.dtype) for x in (t0, step))
    advance = _stepper(circuit, input, solver, step, noise)
    settling = _Lane(
        advance=lambda t, state, dw: advance(t, state, None if dw is None else unravel(dw)),
        time=lambda n: t0 + n.astype(vector.dtype) * step,
        draws=_draws(vector, step, noise, key, increments),
        measures=(),
    )
    measuring = dataclasses.replace(settling, measures=tuple(measures))
    begin = jnp.asarray(first, jnp.int32)
    carry = _Carry(begin, start, (), begin, start)
    if transient:
        carry, _ = settling.run(carry, transient, None)
    carry, saved = measuring.run(measuring.begin(carry), steps, save_every)
    status = jnp.where(_finite(carry.state), Status.OK, Status.NON_FINITE).astype(jnp.int32)
    return Run(carry.state, measuring.finish(carry), saved, status, carry.well, carry.last_well)


@dataclasses.dataclass(frozen=True)
class _Lane:
    """The loop of one lane.

    Attributes:
        advance: `(t, state, dw) -> state`, one step; `dw` flattened, or None without noise.
        time: `n -> t`, the time (ms) after n steps.
        draws: `(n, length) -> (length, variables)`, the increments of the steps from n on, or None.
        measures: what is folded in at every step.
    """

    advance: Callable[[Any, Any, Any], Any]
    time: Callable[[Any], Any]
    draws: Callable[[Any, int], Any]
    measures: tuple[AbstractMeasure, ...]

    def begin(self, carry: _Carry) -> _Carry:
        """The carry at the start of the window that is measured."""
        t = self.time(carry.n)
        begun = (tuple(m.init(t, x) for x in _observed(m, carry.state)) for m in self.measures)
        return carry._replace(measures=tuple(begun))

    def finish(self, carry: _Carry) -> tuple[Any, ...]:
        """The measures' results, each in the structure of what it observes."""
        t = self.time(carry.n)
        return tuple(
            jax.tree.structure(m.of(carry.state)).unflatten(
                m.finish(c, t, x) for c, x in zip(folded, _observed(m, carry.state), strict=True)
            )
            for m, folded in zip(self.measures, carry.measures, strict=True)
        )

    def one(self, carry: _Carry, dw: Any) -> tuple[_Carry, None]:
        """One step."""
        state = self.advance(self.time(carry.n), carry.state, dw)
        t = self.time(carry.n + 1)
        folded = tuple(
            tuple(m.update(c, t, x) for c, x in zip(before, _observed(m, state), strict=True))
            for m, before in zip(self.measures, carry.measures, strict=True)
        )
        return carry._replace(n=carry.n + 1, state=state, measures=folded), None

    def block(self, carry: _Carry, length: int, every: int | None) -> tuple[_Carry, Any]:
        """At most `BLOCK` steps, with the states after every `every`-th of them."""
        dw = self.draws(carry.n, length)
        if every is None:
            carry, saved = lax.scan(self.one, carry, dw, length)
        else:

            def group(carry: _Carry, dw: Any) -> tuple[_Carry, Any]:
                carry, _ = lax.scan(self.one, carry, dw, every)
                return carry, carry.state

            if dw is not None:
                dw = dw.reshape(length // every, every, -1)
            carry, saved = lax.scan(group, carry, dw, length // every)
        well = _finite(carry.state)
        last_well = jax.tree.map(
            lambda new, old: jnp.where(well, new, old), carry.state, carry.last_well
        )
        return carry._replace(well=jnp.where(well, carry.n, carry.well), last_well=last_well), saved

    def run(self, carry: _Carry, length: int, every: int | None) -> tuple[_Carry, Any]:
        """Any number of steps, block after block; reverse mode computes a block again."""
        if every is not None and every > BLOCK:
            return lax.scan(
                lambda c, _: (c := self.run(c, every, None)[0], c.state),
                carry,
                None,
                length // every,
            )
        size = BLOCK if every is None else BLOCK // every * every
        blocks, rest = divmod(length, size)
        saved = []
        if blocks:
            part = jax.checkpoint(lambda c: self.block(c, size, every))
            carry, states = lax.scan(lambda c, _: part(c), carry, None, blocks)
            saved.append(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), states))
        if rest:
            carry, states = jax.checkpoint(lambda c: self.block(c, rest, every))(carry)
            saved.append(states)
        return carry, None if every is None else jax.tree.map(lambda *x: jnp.concatenate(x), *saved)


def _stepper(
    circuit: Any, input: Any, solver: Solver, step: Any, noise: AbstractNoise | None
) -> Any:
    """`advance(t, state, dw) -> state`, `dw` in the structure of the state."""

    def field(t: Any, state: Any) -> Any:
        return circuit(state, input(t))

    if noise is None:
        plain = step_function(solver)
        return lambda t, state, _: plain(field, t, state, step)
    noisy = noisy_step_function(solver, noise.additive)
    return lambda t, state, dw: noisy(field, lambda _, s: noise(s), t, state, step, dw)


def _draws(
    vector: Any, step: Any, noise: Any, key: Any, increments: Any
) -> Callable[[Any, int], Any]:
    """`(n, length) -> (length, variables)`: increment n depends on the key and n alone."""
    if noise is None:
        return lambda n, length: None
    if increments is not None:
        table = jnp.asarray(increments, vector.dtype)
        return lambda n, length: lax.dynamic_slice_in_dim(table, n, length)

    def draw(n: Any) -> Any:
        return jax.random.normal(jax.random.fold_in(key, n), vector.shape, vector.dtype)

    return lambda n, length: jnp.sqrt(step) * jax.vmap(draw)(n + jnp.arange(length, dtype=n.dtype))


def _observed(measure: AbstractMeasure, state: Any) -> list[Any]:
    """The arrays that a measure is taken of."""
    return [jnp.asarray(x) for x in jax.tree.leaves(measure.of(state))]


def _finite(state: Any) -> Any:
    return functools.reduce(
        jnp.logical_and, [jnp.isfinite(x).all() for x in jax.tree.leaves(state)]
    )


class Plan(NamedTuple):
    """How many lanes are run together, and where.

    Attributes:
        tile: lanes in one compiled time loop; None for the whole batch at once.
        devices: over how many devices the lanes are spread.
    """

    tile: int | None
    devices: int


TILE = 128  # lanes; their state stays in the first-level cache


def choose_plan(lane: Callable[..., Any], *arguments: Any) -> Plan:
    """The plan for a lane's program on this backend.

    Small circuits on a tuned CPU run in tiles, each compiled whole, over all host devices. With
    a matrix product, on an accelerator, or without `tune_cpu`, the whole batch goes together:
    one product a step.
    """
    devices = tuned_devices()
    if jax.default_backend() != "cpu" or not devices:
        return Plan(None, 1)
    products = _has_product(jax.make_jaxpr(lane)(*arguments).jaxpr)
    return Plan(None if products else TILE, devices)


def map_lanes(lane: Callable[[Any, Any], Any], plan: Plan) -> Callable[[Any, Any], Any]:
    """`mapped(lanes, shared)` of `lane(values, shared)`: lanes in front, compiled once per shape.

    The number of lanes must be a multiple of `lanes_together(plan)`; pad on the host.
    """

    def tiles(lanes: Any, shared: Any) -> Any:
        batched = jax.vmap(lane, in_axes=(0, None))
        if plan.tile is None:
            return batched(lanes, shared)
        cut = jax.tree.map(lambda x: x.reshape(-1, plan.tile, *x.shape[1:]), lanes)
        out = lax.map(lambda part: batched(part, shared), cut)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out)

    if plan.devices > 1:
        mesh = jax.make_mesh((plan.devices,), ("lanes",), axis_types=(jax.sharding.AxisType.Auto,))
        spread, same = jax.sharding.PartitionSpec("lanes"), jax.sharding.PartitionSpec()
        tiles = jax.shard_map(
            tiles, mesh=mesh, in_specs=(spread, same), out_specs=spread, check_vma=False
        )
    options: dict[str, Any] = {}
    if plan.tile is not None and jax.default_backend() == "cpu":
        options = {"xla_cpu_prefer_vector_width": "512", "xla_cpu_enable_fast_min_max": True}
    return jax.jit(tiles, compiler_options=options)


def lanes_together(plan: Plan) -> int:
    """The number of lanes that `map_lanes` takes a multiple of."""
    return (plan.tile or 1) * plan.devices


def _has_product(jaxpr: Any, stepping: bool = False) -> bool:
    """Whether a time loop (a scan) of the program holds a matrix product."""
    for equation in jaxpr.eqns:
        if stepping and equation.primitive.name in ("dot_general", "conv_general_dilated"):
            return True
        inside = stepping or equation.primitive.name == "scan"
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns") and _has_product(inner, inside):
                    return True
    return False


def whole_steps(duration: float, step: float, name: str) -> int:
    """How many steps make up a duration.

    Raises:
        ValueError: if it is not a whole, positive number of them.
    """
    count = duration / step
    steps = round(count)
    if abs(count - steps) > 1e-6 * max(1.0, count) or steps < 0 or not np.isfinite(count):
        raise ValueError(
            f"{name}: expected a whole number of steps of {step:g} ms, got {duration:g} ms "
            f"({count:g} steps): change {name} or step"
        )
    return steps


def checked_solver(solver: Any, noise: Any, step: Any, dense: bool) -> Any:
    """The solver, refused where it can't do what it is asked for."""
    if solver is None:
        solver = diffrax.Tsit5() if noise is None else diffrax.Euler()
    if not isinstance(solver, diffrax.AbstractSolver):
        raise TypeError(f"solver: expected a diffrax solver such as Tsit5(), got {solver!r}")
    if noise is not None:
        check_noisy(solver, noise.additive)
    if step is not None:
        if noise is None:
            step_function(solver)
        else:
            noisy_step_function(solver, noise.additive)
        if dense:
            raise ValueError("dense output needs adaptive steps: leave out step=, or dense=True")
    elif dense and noise is not None:
        raise ValueError("dense output is for runs without noise: leave out dense=True, or noise=")
    elif not has_error_estimate(solver):
        raise ValueError(
            f"{type(solver).__name__} has no error estimate, so it can't choose its steps: "
            "give step= in ms, or another solver (Tsit5(); under noise ShARK())"
        )
    return solver


def first_failure(
    circuit: Any, input: Any, run: Run, *, solver: Any, t0: Any, step: Any, noise: Any, key: Any
) -> tuple[float, int]:
    """When (ms) a run was last finite, and which variable of the flattened state left first.

    The block that failed is run again, step by step; on the host, after a failure.
    """
    saved = _replay(circuit, input, run.last_well, run.steps_well, solver, t0, step, noise, key)
    rows = np.concatenate(
        [np.reshape(np.asarray(x), (BLOCK, -1)) for x in jax.tree.leaves(saved)], axis=1
    )
    bad = ~np.isfinite(rows)
    row = int(np.argmax(bad.any(1)))
    before = flatten(run.last_well)[0] if row == 0 else rows[row - 1]
    variable = int(np.argmax(np.where(bad[row], np.abs(before), -1.0)))
    return float(t0 + (int(run.steps_well) + row) * step), variable


@eqx.filter_jit
def _replay(
    circuit: Any, input: Any, start: Any, first: Any, solver: Any, t0: Any, step: Any, noise: Any,
    key: Any,
) -> Any:  # fmt: skip
    return integrate(
        circuit, input, start, solver=solver, t0=t0, step=step, steps=BLOCK, save_every=1,
        noise=noise, key=key, first=first,
    ).saved  # fmt: skip


def positive(value: Any, name: str) -> float:
    """One positive number, or a ValueError that names it."""
    if is_traced(value) or np.ndim(value) != 0 or not np.isfinite(value) or value <= 0:
        raise ValueError(f"{name}: expected one positive number, got {value!r}")
    return float(value)
