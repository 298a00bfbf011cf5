"""Adaptive steps for many lanes at once: each lane has its own time and its own step.

The lanes' loop is in `_machine/lanes.py`; here is what one lane does in one attempted step.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._engine.between_steps import folded, samples_of
from rnnjax._engine.driven import DrivenBy, known_jumps
from rnnjax._engine.step_control import (
    MAX_STEPS,
    Judgment,
    Tolerances,
    Window,
    first_step,
    judged,
    smallest_step,
)
from rnnjax._engine.stops import longest_step, next_stop
from rnnjax._machine.compute_once import what_to_keep
from rnnjax._numerics.digits import Digits, beyond, chosen, plus
from rnnjax._numerics.moments import AbstractMoment, LaneMoment
from rnnjax._results import Status
from rnnjax._types import Array, Arrays, Float, Scalar, State
from rnnjax.measures._base import AbstractMeasure, begun, finished
from rnnjax.solvers._base import Solver
from rnnjax.solvers._embedded import embedded_pair


class AdaptiveCarry(NamedTuple):
    """A lane between two attempted steps.

    Attributes:
        attempts: how many there were.
        accepted: how many of them were taken.
        t: the time since the start, ms, of two parts.
        h: the step to try next, ms.
        state: the state at `t`.
        slope: the derivative there, where the solver reuses it.
        memory: log2 of the inverse error of the last step taken.
        measures: what they carry.
        status: a `Status`.
    """

    attempts: Int[Array, ""]
    accepted: Int[Array, ""]
    t: Digits
    h: Float[Array, ""]
    state: State
    slope: State | None
    memory: Float[Array, ""]
    measures: tuple[Arrays, ...]
    status: Int[Array, ""]


class LastStep(NamedTuple):
    """The last step taken: its start (ms) and length, the states there, its slopes times its length."""

    begin: Digits
    h: Float[Array, ""]
    y0: State
    y1: State
    k: State


class AdaptiveOutcome(NamedTuple):
    """What one lane gave: as `FixedOutcome`, with its steps and when it stopped (ms since the start)."""

    final: State
    measured: tuple[Arrays, ...]
    status: Int[Array, ""]
    attempts: Int[Array, ""]
    accepted: Int[Array, ""]
    stopped: Digits


@dataclasses.dataclass(frozen=True)
class AdaptiveLane:
    """One lane: a state, no batch axis.

    Attributes:
        circuit: `circuit(state, input) -> derivative` per ms.
        input: the input; its `jumps` are stepped onto.
        solver: a diffrax solver with an explicit tableau and an error estimate.
        window: the times.
        tolerances: of a step.
        measures: what is taken of the run.
        max_steps: the most attempts.
        longest: the longest step, ms; of a plain function a hundredth of the run unless given.
    """

    circuit: Callable[..., State]
    input: DrivenBy
    solver: Solver
    window: Window
    tolerances: Tolerances
    measures: Sequence[AbstractMeasure] = ()
    max_steps: int = MAX_STEPS
    longest: Scalar | None = None

    def begin(self, start: State) -> AdaptiveCarry:
        """The lane at its first time."""
        nothing = jnp.zeros_like(jnp.asarray(self.window.end.value))
        t0 = Digits((nothing, nothing))
        first = self._field(self.moment(t0), start)
        order = embedded_pair(self.solver).order
        h = first_step(
            lambda h, y: self._field(LaneMoment(self.window.start, t0, h, 0), y),
            self.window, start, first, self.tolerances, order,
        )  # fmt: skip
        zero = jnp.zeros((), jnp.int32)
        measures = begun(self.measures, beyond(t0, self.window.begin), start)
        return AdaptiveCarry(
            zero, zero, t0, h, start, first if self._reuses else None,
            jnp.zeros((), jnp.float32), measures, jnp.full((), int(Status.OK), jnp.int32),
        )  # fmt: skip

    def running(self, carry: AdaptiveCarry) -> Bool[Array, ""]:
        """Whether the lane has further to go."""
        return (beyond(self.window.end, carry.t) > 0) & (carry.status == Status.OK)

    def attempt(self, carry: AdaptiveCarry) -> AdaptiveCarry:
        """Try one step; take it if its error is small enough."""
        return self._attempted(carry)[0]

    def finish(self, carry: AdaptiveCarry) -> AdaptiveOutcome:
        """The results, each measure's in the structure of what it observes."""
        t = beyond(carry.t, self.window.begin)
        measured = finished(self.measures, carry.measures, t, carry.state)
        return AdaptiveOutcome(
            carry.state, measured, carry.status, carry.attempts, carry.accepted, carry.t
        )

    def run(self, start: State) -> AdaptiveOutcome:
        """From the first time to the last, alone."""
        return self.finish(lax.while_loop(self.running, self.attempt, self.begin(start)))

    def path(
        self, start: State, times: Digits,
        observe: Callable[[State], Arrays] | None = None,
    ) -> tuple[AdaptiveOutcome, Arrays]:  # fmt: skip
        """A run alone, with what is observed of its states at times (ms since the start, two parts)."""
        carry = self.begin(start)
        taken = jax.eval_shape(self._attempted, carry)[1]
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), taken)

        def until(
            now: tuple[AdaptiveCarry, LastStep], target: Digits
        ) -> tuple[tuple[AdaptiveCarry, LastStep], Arrays]:
            def short(now: tuple[AdaptiveCarry, LastStep]) -> Bool[Array, ""]:
                return self.running(now[0]) & (beyond(target, now[0].t) > 0)

            def on(now: tuple[AdaptiveCarry, LastStep]) -> tuple[AdaptiveCarry, LastStep]:
                lane, before = now
                after, step = self._attempted(lane)
                moved = after.accepted > lane.accepted
                return after, chosen(moved, step, before)

            lane, last = lax.while_loop(short, on, now)
            ahead = beyond(lane.t, target)
            reached = ahead >= 0
            between = self.solver.interpolation_cls(
                t0=jnp.zeros_like(last.h), t1=last.h, y0=last.y0, y1=last.y1, k=last.k
            ).evaluate(beyond(target, last.begin))
            state = jax.tree.map(
                lambda now, b: jnp.where(
                    ahead == 0, now, jnp.where(reached, b, jnp.inf).astype(now.dtype)
                ),
                lane.state, between,
            )  # fmt: skip
            return (lane, last), state if observe is None else observe(state)

        (carry, _), states = lax.scan(until, (carry, nothing), times)
        return self.finish(carry), states

    def _attempted(self, carry: AdaptiveCarry) -> tuple[AdaptiveCarry, LastStep]:
        running = self.running(carry)
        h, t1, reaches = self._next_end(carry)
        now = self.moment(carry.t)
        pair = embedded_pair(self.solver)
        keeping = what_to_keep(self._field, now, carry.state, self.window.end.value)
        tried = pair.attempt(self._field, now, carry.state, h, carry.slope, keeping)
        found = judged(carry.state, tried, self.tolerances, carry.memory, pair.order, h)
        taken = running & found.good
        # a step cut short by a stop says little about how long the next can be
        longer = h * found.factor
        proposed = jnp.where(found.good & reaches, jnp.maximum(longer, carry.h), longer)
        attempts = carry.attempts + running.astype(jnp.int32)
        arrives = taken & (beyond(t1, self.window.end) >= 0)
        status = self._status(carry.status, attempts, arrives, found, proposed)
        measured = ()
        if self.measures:
            since, until = (beyond(t, self.window.begin) for t in (carry.t, t1))
            samples = samples_of(self.solver, (since, carry.state), tried, h, until)
            measured = folded(
                self.measures, carry.measures, samples, h, since >= 0, until == 0,
                self.window.end.value,
            )  # fmt: skip

        after = AdaptiveCarry(
            attempts=attempts,
            accepted=carry.accepted + taken.astype(jnp.int32),
            t=chosen(taken, t1, carry.t),
            h=jnp.where(running, proposed, carry.h),
            state=chosen(taken, tried.state, carry.state),
            slope=chosen(taken, tried.slopes[-1], carry.slope) if self._reuses else None,
            memory=jnp.where(taken & ~reaches, found.memory, carry.memory),
            measures=chosen(taken, measured, carry.measures),
            status=jnp.where(running, status, carry.status).astype(jnp.int32),
        )
        k = jax.tree.map(lambda *slopes: h * jnp.stack(slopes), *tried.slopes)
        return after, LastStep(carry.t, h, carry.state, tried.state, k)

    def _next_end(self, carry: AdaptiveCarry) -> tuple[Float[Array, ""], Digits, Bool[Array, ""]]:
        """The length (ms) of the step to try, when it ends, and whether at a stop."""
        stop = next_stop(self.input, self.window, carry.t)
        ahead = beyond(stop, carry.t)
        h = carry.h
        longest = self.longest
        if longest is None:
            longest = longest_step(self.input, lambda: self.window.end.value / 100, h.dtype)
        h = h if longest is None else jnp.minimum(h, longest)
        reaches = h * (1 + 1e-6) >= ahead
        h = jnp.where(reaches, ahead, h)
        return h, chosen(reaches, stop, plus(carry.t, h)), reaches

    def _status(
        self, before: Int[Array, ""], attempts: Int[Array, ""], arrives: Bool[Array, ""],
        found: Judgment, proposed: Float[Array, ""],
    ) -> Int[Array, ""]:  # fmt: skip
        """A `Status`: whether the lane goes on, or why it can't."""
        status = jnp.where(attempts >= self.max_steps, int(Status.MAX_STEPS), before)
        status = jnp.where(arrives, before, status)
        lost = jnp.where(found.finite, int(Status.STEP_UNDERFLOW), int(Status.NON_FINITE))
        # written so that a step that is no number ends the lane as well
        lives = found.good | (proposed >= smallest_step(self.window))
        return jnp.where(lives, status, lost)

    @property
    def _reuses(self) -> bool:
        # across a jump the derivative at the end of a step is not that at the start of the next
        return embedded_pair(self.solver).reuses and not known_jumps(self.input.rounded)

    def moment(self, t: Digits) -> LaneMoment:
        """A time since the start (ms)."""
        return LaneMoment(self.window.start, t)

    def _field(self, t: AbstractMoment, state: State) -> State:
        return self.circuit(state, self.input.at(t))
