"""The one engine for fixed steps: any vector field, any explicit solver, measures on the way.

`integrate` runs one lane: one state, no batch axis, or a batch of lanes. Everything in it is a value
except the number of steps, so that new parameters, inputs, steps and durations of the same number of
steps never compile again. `_machine/lanes.py` runs many lanes.

Increment n of a lane depends on its key and n alone: what is measured or saved, and how lanes are
grouped, never changes a draw.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Int

from rnnjax._engine.blocks import Blocks, Carry, finite
from rnnjax._engine.driven import DrivenBy, driven_by, jumps_of
from rnnjax._engine.one_step import Beside, Keys, OneStep, Parameters
from rnnjax._machine.compute_once import what_to_keep
from rnnjax._numerics.digits import Digits, digits
from rnnjax._numerics.implicit import without_derivatives
from rnnjax._numerics.memory import AbstractMemory, BlockedAdjoint
from rnnjax._numerics.moments import AbstractMoment, GridMoment
from rnnjax._numerics.trees import flatten
from rnnjax._results import Status
from rnnjax._types import Array, Arrays, InputLike, Numbers, Scalar, State
from rnnjax.measures._base import AbstractMeasure
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Solver

TreeT = TypeVar("TreeT")


class FixedRun(eqx.Module):
    """What is run with fixed steps, and how: all but where it starts and how long it is.

    Attributes:
        circuit: `circuit(state, input) -> derivative` per ms.
        input: `input(t)`, t in ms.
        solver: a diffrax solver with an explicit tableau, or Euler, or ItoMilstein under noise.
        t0: time of the start, ms; with all its digits where it is given as such.
        step: the step, ms, likewise.
        noise: the diffusion, diagonal and Ito.
        key: for the noise; of a batch one per lane.
    """

    circuit: Callable[..., State]
    input: InputLike | DrivenBy
    solver: Solver
    t0: Scalar | Digits
    step: Scalar | Digits
    noise: AbstractNoise | None = None
    key: Keys | None = None

    def time_after(self, steps: Numbers) -> np.ndarray:
        """The time (ms) after so many steps, of a run that is no longer traced, in float64."""
        t0, step = (digits(x, np.float64).on_host() for x in (self.t0, self.step))
        return np.asarray(t0 + np.asarray(steps) * step)


class FixedOutcome(NamedTuple):
    """What one lane gave; of a batch with the lanes in front.

    Attributes:
        final: the last state.
        measured: one result per measure, in the structure of what it observes.
        saved: the states at every `save_every`-th step, time first; None if not asked for.
        status: a `Status`.
        steps_well: the number of steps up to the last block that ended finite.
        last_well: the state then.
    """

    final: State
    measured: tuple[Arrays, ...]
    saved: Arrays
    status: Int[Array, "*lane"]
    steps_well: Int[Array, "*lane"]
    last_well: State


def integrate(
    run: FixedRun,
    start: State,
    steps: int,
    *,
    transient: int = 0,
    measures: Sequence[AbstractMeasure] = (),
    save_every: int | None = None,
    observe: Callable[[State], Arrays] | None = None,
    increments: Numbers | None = None,
    first: int | Int[Array, ""] = 0,
    memory: AbstractMemory | None = None,
    lanes: bool = False,
    along: Callable[..., State] | None = None,
    rows: Arrays = None,
    normals: int = 0,
) -> FixedOutcome:
    """Step one lane by `transient + steps` fixed steps, or a batch of lanes.

    Args:
        run: what is run.
        start: the first state; all of its leaves in one float dtype.
        steps: steps in the window that is measured and saved.
        transient: steps before it.
        measures: what to fold in over the window.
        save_every: keep every so many-th state of the window; it divides `steps`.
        observe: what to keep of it, a function of the state; all of it unless given.
        increments: Wiener increments `(transient + steps, variables)` instead of drawing them.
        first: the number of steps already taken, for a run that goes on.
        memory: what reverse mode keeps; blocks of `BLOCK` steps are computed again unless given.
        lanes: `start` is a batch, lanes in front. Inside the loop they are last, so that a
            matrix times the rates of all lanes is one product without a transposition.
        along: the circuit once more, as displacements meet it: `start` is then a pair, the state
            and displacements, with one axis more in front, that follow the derivative of every
            step under the same noise.
        rows: numbers for each step, `(steps, ...)`, with `lanes` one such table per lane. Then the
            field is `circuit(state, (row, draws))`, and they have no gradient.
        normals: how many standard normals each step is given beside its row, drawn with `key`.
    """
    if lanes:
        start, rows = _lanes_last((start, rows))
    example = jax.tree.map(lambda x: x[..., 0], start) if lanes else start
    begin = jnp.asarray(first, jnp.int32)
    one = step_of(
        run, example if along is None else example[0], begin, increments=increments, lanes=lanes,
        along=along, rows=rows, normals=normals,
    )  # fmt: skip
    jumps = one.beside.jumps
    if isinstance(memory, BlockedAdjoint):  # it goes back in parts that jumps have none in
        one = dataclasses.replace(one, beside=one.beside._replace(jumps=()))
    safe = _safe(run.circuit, example) if along is None and rows is None else None
    unmeasured = Blocks(one, memory, observe=observe, safe=safe)
    window = dataclasses.replace(unmeasured, measures=tuple(measures), began=begin + transient)
    carry = beginning(start, begin, lanes)
    if transient:
        carry, _ = unmeasured.run(carry, transient, None)
    carry, saved = window.run(window.begin(carry), steps, save_every)
    if isinstance(memory, BlockedAdjoint) and jumps:
        none = jax.tree.map(jnp.zeros_like, (carry.state, saved))
        none = without_derivatives(jumps, none)
        state, saved = jax.tree.map(jnp.add, (carry.state, saved), none)
        carry = carry._replace(state=state)
    found = ended(window, carry)._replace(saved=saved)
    return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), found) if lanes else found


def step_of(
    run: FixedRun,
    example: State,
    begin: Int[Array, ""],
    *,
    increments: Numbers | None = None,
    lanes: bool = False,
    along: Callable[..., State] | None = None,
    rows: Arrays = None,
    normals: int = 0,
) -> OneStep:
    """One step of a run; the arguments are those of `integrate`, with one state as an example."""
    vector, unravel = flatten(example)
    t0, step = (
        jax.tree.map(lambda x: jnp.asarray(x, vector.dtype), digits(x, vector.dtype))
        for x in (run.t0, run.step)
    )
    driven = driven_by(run.input, vector.dtype)
    driven = driven.opened() if rows is None else driven

    def field(given: Parameters, when: AbstractMoment, state: State) -> State:
        circuit, input = given
        return circuit(*state) if rows is not None else circuit(state, input.at(when))

    parameters, keep = (run.circuit, driven), None
    if rows is None:
        own = functools.partial(field, parameters)
        keep = what_to_keep(own, GridMoment(t0, step, begin), example, step.value)
    jumps = jumps_of(driven) if rows is None else ()
    return OneStep(
        field=field,
        parameters=parameters,
        beside=Beside(t0, step, jumps, run.noise, increments),
        key=run.key,
        solver=run.solver,
        unravel=unravel,
        normals=vector.size if rows is None else normals,
        lanes=lanes,
        along=None if along is None else (along, driven),
        keep=keep,
        rows=rows,
    )


def beginning(start: State, begin: Int[Array, ""], lanes: bool = False) -> Carry:
    """What is carried into the first step; of a batch the lanes are last."""
    well = jnp.full(jax.tree.leaves(start)[0].shape[-1:], begin) if lanes else begin
    return Carry(begin, start, (), well, start)


def ended(window: Blocks, carry: Carry) -> FixedOutcome:
    """What a run gave, of what is carried at the end of its window; nothing saved."""
    fine = window.step.each(finite, (1,), 1)(carry.state)
    status = jnp.where(fine, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int32)
    measured = window.finish(carry)
    return FixedOutcome(carry.state, measured, None, status, carry.well, carry.last_well)


def _safe(circuit: Callable[..., State], example: State) -> State:
    """A state that is finite: that of rest, where the circuit has one."""
    rest = getattr(circuit, "rest", None)
    if rest is None:
        return lax.stop_gradient(example)
    return jax.tree.map(
        lambda x, like: lax.stop_gradient(jnp.asarray(x, like.dtype)), rest(), example
    )


def _lanes_last(tree: TreeT) -> TreeT:
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), tree)
