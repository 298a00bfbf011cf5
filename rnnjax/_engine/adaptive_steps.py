"""Adaptive steps for many lanes at once: each lane has its own time and its own step.

The lanes' loop is in `_plan.py`; here is what one lane does in one attempted step. Steps are
chosen as diffrax's `PIDController(pcoeff=0.4, icoeff=0.3)` does, the first one apart.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from rnnjax._machine.compute_once import kept, what_to_keep
from rnnjax._numerics.trees import flatten
from rnnjax._results import Status
from rnnjax.inputs._base import AbstractInput
from rnnjax.measures._base import AbstractMeasure, begun, finished, observed
from rnnjax.measures._stretch import Piece, Stretch
from rnnjax.solvers._base import stage_time
from rnnjax.solvers._embedded import Attempt, dense_weights, embedded_pair

MAX_STEPS = 65536
PIECES = 4  # of each step, for the measures: their cubics are then as good as the dense output
_PROPORTIONAL, _INTEGRAL = 0.4, 0.3
_SAFETY, _SMALLEST_FACTOR, _LARGEST_FACTOR = 0.9, 0.2, 10.0


class Window(NamedTuple):
    """When a run starts, when it begins to be measured, and when it ends, in ms."""

    t0: Any
    begin: Any
    end: Any


class Tolerances(NamedTuple):
    """Relative, and absolute in the unit of the state."""

    rtol: Any
    atol: Any


class Carry(NamedTuple):
    """A lane between two attempted steps.

    Attributes:
        attempts: how many there were.
        accepted: how many of them were taken.
        t: the time, ms.
        h: the step to try next, ms.
        state: the state at `t`.
        slope: the derivative there, where the solver reuses it.
        memory: log2 of the inverse error of the last step taken.
        measures: what they carry.
        status: a `Status`.
    """

    attempts: Any
    accepted: Any
    t: Any
    h: Any
    state: Any
    slope: Any
    memory: Any
    measures: tuple[Any, ...]
    status: Any


class Taken(NamedTuple):
    """The last step taken: its ends (ms), the states there, and its slopes times its length."""

    t0: Any
    t1: Any
    y0: Any
    y1: Any
    k: Any


class AdaptiveRun(NamedTuple):
    """What one lane gave: as `Run`, with the steps it took and when (ms) it stopped."""

    final: Any
    measured: tuple[Any, ...]
    status: Any
    attempts: Any
    accepted: Any
    stopped: Any


@dataclasses.dataclass(frozen=True)
class AdaptiveLane:
    """One lane: a state, no batch axis.

    Attributes:
        circuit: `circuit(state, input) -> derivative` per ms.
        input: `input(t)`, t in ms; its `jumps` are stepped onto.
        solver: a diffrax solver with an explicit tableau and an error estimate.
        window: the times.
        tolerances: of a step.
        measures: what is taken of the run.
        max_steps: the most attempts.
        longest: the longest step, ms; of a plain function a hundredth of the run unless given.
    """

    circuit: Callable[[Any, Any], Any]
    input: Callable[[Any], Any]
    solver: Any
    window: Window
    tolerances: Tolerances
    measures: Sequence[AbstractMeasure] = ()
    max_steps: int = MAX_STEPS
    longest: Any = None

    def begin(self, start: Any) -> Carry:
        """The lane at its first time."""
        t0 = self.window.t0
        first = self._field(stage_time(t0, 0.0, self.window.end - t0), start)
        order = embedded_pair(self.solver).order
        h = first_step(self._field, self.window, start, first, self.tolerances, order)
        zero = jnp.zeros((), jnp.int32)
        measures = begun(self.measures, t0, start)
        return Carry(
            zero, zero, t0, h, start, first if self._reuses else None,
            jnp.zeros((), jnp.float32), measures, jnp.full((), int(Status.OK), jnp.int32),
        )  # fmt: skip

    def running(self, carry: Carry) -> Any:
        """Whether the lane has further to go."""
        return (carry.t < self.window.end) & (carry.status == Status.OK)

    def attempt(self, carry: Carry) -> Carry:
        """Try one step; take it if its error is small enough."""
        return self._attempted(carry)[0]

    def _attempted(self, carry: Carry) -> tuple[Carry, Taken]:
        running = self.running(carry)
        stop = self._next_stop(carry.t)
        h = self._at_most_the_longest(carry.h)
        reaches = carry.t + h * (1 + 1e-6) >= stop
        h = jnp.where(reaches, stop - carry.t, h)
        t1 = jnp.where(reaches, stop, carry.t + h)
        pair = embedded_pair(self.solver)
        keeping = what_to_keep(self._field, carry.t, carry.state, self.window.end)
        tried = pair.attempt(self._field, carry.t, carry.state, h, carry.slope, keeping)
        squared = self._squared_error(carry.state, tried)
        good = squared < 1
        finite = jnp.isfinite(squared)
        # single precision is plenty for the size of a step, and several times faster on CPUs
        bounded = jnp.clip(jnp.where(finite, squared, 1), 1e-30, 1e30).astype(jnp.float32)
        inverse = -0.5 * jnp.log2(bounded)
        exponent = (_PROPORTIONAL + _INTEGRAL) * inverse - _PROPORTIONAL * carry.memory
        factor = (_SAFETY * jnp.exp2(exponent / pair.order)).astype(h.dtype)
        factor = jnp.where(
            good,
            jnp.clip(factor, 1.0, _LARGEST_FACTOR),
            jnp.where(finite, jnp.clip(factor, _SMALLEST_FACTOR, _SAFETY), _SMALLEST_FACTOR),
        )
        taken = running & good
        # a step cut short by a stop says little about how long the next can be
        proposed = jnp.where(good & reaches, jnp.maximum(h * factor, carry.h), h * factor)
        attempts = carry.attempts + running.astype(jnp.int32)
        status = jnp.where(attempts >= self.max_steps, int(Status.MAX_STEPS), carry.status)
        status = jnp.where(taken & (t1 >= self.window.end), carry.status, status)
        lost = jnp.where(finite, int(Status.STEP_UNDERFLOW), int(Status.NON_FINITE))
        # written so that a step that is no number ends the lane as well
        lives = good | (proposed >= smallest_step(self.window))
        status = jnp.where(lives, status, lost)

        def keep(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(taken, a, b), new, old)

        after = Carry(
            attempts=attempts,
            accepted=carry.accepted + taken.astype(jnp.int32),
            t=jnp.where(taken, t1, carry.t),
            h=jnp.where(running, proposed, carry.h),
            state=keep(tried.state, carry.state),
            slope=keep(tried.slopes[-1], carry.slope) if self._reuses else None,
            memory=jnp.where(taken & ~reaches, jnp.where(squared > 0, inverse, 0), carry.memory),
            measures=keep(self._measured(carry, tried, h, t1), carry.measures),
            status=jnp.where(running, status, carry.status).astype(jnp.int32),
        )
        k = jax.tree.map(lambda *slopes: h * jnp.stack(slopes), *tried.slopes)
        return after, Taken(carry.t, t1, carry.state, tried.state, k)

    def finish(self, carry: Carry) -> AdaptiveRun:
        """The results, each measure's in the structure of what it observes."""
        measured = finished(self.measures, carry.measures, carry.t, carry.state)
        return AdaptiveRun(
            carry.state, measured, carry.status, carry.attempts, carry.accepted, carry.t
        )

    def run(self, start: Any) -> AdaptiveRun:
        """From the first time to the last, alone."""
        return self.finish(lax.while_loop(self.running, self.attempt, self.begin(start)))

    def path(self, start: Any, times: Any, observe: Any = None) -> tuple[AdaptiveRun, Any]:
        """A run alone, with what is observed of its states at `times`, from the dense output."""
        carry = self.begin(start)
        taken = jax.eval_shape(self._attempted, carry)[1]
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), taken)

        def until(carry: Any, target: Any) -> Any:
            def short(carry: Any) -> Any:
                return self.running(carry[0]) & (carry[0].t < target)

            def on(carry: Any) -> Any:
                lane, before = carry
                after, step = self._attempted(lane)
                moved = after.accepted > lane.accepted
                return after, jax.tree.map(lambda a, b: jnp.where(moved, a, b), step, before)

            lane, last = lax.while_loop(short, on, carry)
            reached = lane.t >= target
            between = self.solver.interpolation_cls(**last._asdict()).evaluate(target)
            state = jax.tree.map(
                lambda now, b: jnp.where(
                    target == lane.t, now, jnp.where(reached, b, jnp.inf).astype(now.dtype)
                ),
                lane.state, between,
            )  # fmt: skip
            return (lane, last), state if observe is None else observe(state)

        (carry, _), states = lax.scan(until, (carry, nothing), times)
        return self.finish(carry), states

    @property
    def _reuses(self) -> bool:
        # across a jump the derivative at the end of a step is not that at the start of the next
        return embedded_pair(self.solver).reuses and not self._jumps()

    def _field(self, t: Any, state: Any) -> Any:
        return self.circuit(state, self.input(t))

    def _jumps(self) -> tuple[Any, ...]:
        return self.input.jumps() if isinstance(self.input, AbstractInput) else ()

    def _at_most_the_longest(self, h: Any) -> Any:
        """The step, or the longest that misses nothing of the input."""
        if self.longest is not None:
            return jnp.minimum(h, self.longest)
        if not isinstance(self.input, AbstractInput):
            return jnp.minimum(h, (self.window.end - self.window.t0) / 100)
        longest = self.input.longest_step()
        if isinstance(longest, float) and math.isinf(longest):
            return h
        return jnp.minimum(h, jnp.asarray(longest, h.dtype))

    def _next_stop(self, t: Any) -> Any:
        """The next time that a step must end at."""
        stop = self.window.end
        for other in (self.window.begin, *self._jumps()):
            at = jnp.asarray(other, t.dtype)
            stop = jnp.where((at > t) & (at < stop), at, stop)
        bend = self.input.next_bend(t) if isinstance(self.input, AbstractInput) else math.inf
        smooth = isinstance(bend, float) and math.isinf(bend)
        if smooth:
            return stop
        bend = jnp.asarray(bend, t.dtype)
        return jnp.where((bend > t) & (bend < stop), bend, stop)

    def _squared_error(self, state: Any, tried: Attempt) -> Any:
        """The mean square of the error in units of what is tolerated; above 1 it is too large."""

        def leaf(y0: Any, y1: Any, error: Any) -> Any:
            size = jnp.maximum(abs(y0), abs(y1))
            return jnp.square(error / (self.tolerances.atol + size * self.tolerances.rtol))

        squares = jax.tree.leaves(jax.tree.map(leaf, state, tried.state, tried.error))
        return sum(x.sum() for x in squares) / sum(x.size for x in squares)

    def _measured(self, carry: Carry, tried: Attempt, h: Any, t1: Any) -> tuple[Any, ...]:
        """What the measures carry after this step, should it be taken."""
        if not self.measures:
            return ()
        values, slopes = dense_weights(self.solver, PIECES)
        ends = [
            (carry.t + h * (j / PIECES), _mix(carry.state, h, values[j], tried.slopes),
             _mix(None, None, slopes[j], tried.slopes))
            for j in range(PIECES + 1)
        ]  # fmt: skip
        ends[0], ends[-1] = (carry.t, carry.state, ends[0][2]), (t1, tried.state, ends[-1][2])
        measuring = carry.t >= self.window.begin
        begins = t1 == self.window.begin
        found = []
        for m, folded in zip(self.measures, carry.measures, strict=True):
            seen = [(t, *jax.jvp(lambda s, m=m: observed(m, s), (y,), (f,))) for t, y, f in ends]
            seen = [(t, *kept((x, f), self.window.end)) for t, x, f in seen]
            after = []
            for k, before in enumerate(folded):
                pieces = tuple(
                    Piece(ta, tb, xa[k], xb[k], fa[k], fb[k])
                    for (ta, xa, fa), (tb, xb, fb) in itertools.pairwise(seen)
                )
                now = m.follow(before, Stretch(pieces))
                fresh = m.init(t1, seen[-1][1][k])
                after.append(
                    jax.tree.map(
                        lambda new, old, fresh: jnp.where(
                            begins, fresh, jnp.where(measuring, new, old)
                        ),
                        now, before, fresh,
                    )
                )  # fmt: skip
            found.append(tuple(after))
        return tuple(found)


def smallest_step(window: Window) -> Any:
    """The smallest step (ms) that counts: below it, time plus a step is time again."""
    t0, end = jnp.asarray(window.t0), jnp.asarray(window.end)
    return jnp.finfo(t0.dtype).eps * jnp.maximum(abs(t0), abs(end))


def first_step(
    field: Callable[[Any, Any], Any], window: Window, start: Any, slope: Any,
    tolerances: Tolerances, order: int,
) -> Any:  # fmt: skip
    """The step (ms) to try first: Hairer, Norsett and Wanner's guess, section II.4.

    Args:
        field: `(t, state) -> slope`.
        window: the times.
        start: the first state.
        slope: the derivative there.
        tolerances: of a step.
        order: the order that step control goes by.
    """
    (y0, unravel), f0 = flatten(start), flatten(slope)[0]
    scale = tolerances.atol + abs(y0) * tolerances.rtol
    d0, d1 = _rms(y0 / scale), _rms(f0 / scale)
    small = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = jnp.where(small, 1e-6, 0.01 * (d0 / jnp.where(small, 1, d1)))
    f1 = flatten(field(window.t0 + h0, unravel(y0 + h0 * f0)))[0]
    d2 = _rms((f1 - f0) / scale) / h0
    most = jnp.maximum(d1, d2)
    safe = jnp.where(most <= 1e-15, 1, most)
    h1 = jnp.where(
        most <= 1e-15, jnp.maximum(1e-6, h0 * 1e-3), jnp.exp2(jnp.log2(0.01 / safe) / order)
    )
    smallest = smallest_step(window)
    guess = jnp.maximum(jnp.minimum(100 * h0, h1).astype(y0.dtype), smallest)
    # a trial point outside of the field's domain says nothing: then let the step grow from nothing
    return jnp.where(jnp.isfinite(d1) & jnp.isfinite(d2) & jnp.isfinite(h0), guess, smallest)


def _mix(start: Any, h: Any, weights: Any, slopes: list[Any]) -> Any:
    """`start + h * sum(w_k slope_k)`; without a start the sum alone."""
    terms = [(float(w), k) for w, k in zip(weights, slopes, strict=True) if w != 0]

    def leaf(*parts: Any) -> Any:
        total = sum(w * k for (w, _), k in zip(terms, parts[-len(terms) :], strict=True))
        return total if start is None else parts[0] + h * total

    if not terms:
        return start if start is not None else jax.tree.map(jnp.zeros_like, slopes[0])
    kept = [k for _, k in terms]
    return jax.tree.map(leaf, *kept) if start is None else jax.tree.map(leaf, start, *kept)


def _rms(x: Any) -> Any:
    return jnp.sqrt(jnp.mean(jnp.square(x)))
