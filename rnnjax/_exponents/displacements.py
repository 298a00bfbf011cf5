"""How displacements grow along a run: steps with displacements, orthonormalized round after round."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Int

from rnnjax._engine.driven import driven_by
from rnnjax._engine.fixed_steps import FixedOutcome, FixedRun, integrate
from rnnjax._exponents.block_means import block_errors, level_change, smooth_weights
from rnnjax._exponents.regimes import SETTLING, regime_of, signs_of
from rnnjax._machine.kept import program
from rnnjax._numerics.dense import determinant
from rnnjax._numerics.digits import digits
from rnnjax._numerics.moments import GridMoment
from rnnjax._numerics.trees import flatten
from rnnjax._results import Status
from rnnjax._types import Array, Arrays, Float, State
from rnnjax.circuits._base import AbstractMap

_UNROLLED = 8  # rows up to which the orthonormalization is written out


class Schedule(NamedTuple):
    """How a run is divided; all of it fixed when it compiles.

    Attributes:
        before: steps that are not counted.
        every: steps of a round, after each of which the displacements are orthonormalized.
        rounds: rounds in a block.
        blocks: how many.
    """

    before: int
    every: int
    rounds: int
    blocks: int


def generic_basis(variables: int, count: int) -> np.ndarray:
    """`(count, variables)`: orthonormal directions without any symmetry, the same in every run."""
    random = np.random.default_rng(0).standard_normal((variables, count))
    return np.ascontiguousarray(np.linalg.qr(random)[0].T)


class _RoundCarry(NamedTuple):
    """What a run of rounds carries along: `well` is the last round's beginning that was finite."""

    n: Int[Array, ""]
    state: State
    basis: Float[Array, "count variable"]
    divergence: Float[Array, ""]
    well_n: Int[Array, ""]
    well: State


@program
def spectrum_of(
    run: FixedRun, start: State, basis: Float[Array, "count variable"], schedule: Schedule
) -> tuple[dict[str, Arrays], FixedOutcome]:
    """What the growth of displacements along a run says, and how the run went.

    Args:
        run: what is run, from time 0 on.
        start: the first state.
        basis: the displacements to begin with, orthonormal.
        schedule: how the run is divided.
    """
    start, step = jax.tree.map(jnp.asarray, start), jnp.asarray(run.step)
    whole = basis.shape[0] == basis.shape[1]
    along = run.circuit if basis.shape[0] == 1 else _turned(run.circuit)
    rounds = _Rounds(run, along, step, whole)
    zero = jnp.zeros((), jnp.int32)
    first = rounds.divergence(start, zero) if whole else jnp.nan * step
    carry = _RoundCarry(zero, start, basis, first, zero, start)
    turns, rest = divmod(schedule.before, schedule.every)
    if rest:
        carry, _ = rounds.one(carry, rest)
    carry, _ = lax.scan(lambda c, _: rounds.one(c, schedule.every), carry, None, turns)

    numbers = jnp.arange(schedule.rounds, dtype=step.dtype)
    count = schedule.rounds * schedule.blocks

    @jax.checkpoint
    def block(carry: _RoundCarry, k: Array) -> tuple[_RoundCarry, tuple[Array, ...]]:
        carry, (grown, diverged) = lax.scan(
            lambda c, _: rounds.one(c, schedule.every), carry, None, schedule.rounds
        )
        weights = smooth_weights(k * schedule.rounds + numbers, count)
        smooth = (weights[..., None] * lax.stop_gradient(grown)).sum(1)
        return carry, (grown.sum(0), diverged.sum(), smooth, weights.sum(1))

    places = jnp.arange(schedule.blocks, dtype=step.dtype)
    end, (grown, diverged, smooth, weights) = lax.scan(block, carry, places)
    halves = smooth.sum(0) / (weights.sum(0)[:, None] * schedule.every * step)
    steps = schedule.every * schedule.rounds
    last = schedule.before + steps * np.arange(1.0, schedule.blocks + 1)
    well = (end.well_n == end.n) & ~jnp.isnan(grown).any()
    local = jnp.where(well, grown / (steps * step), jnp.nan)
    result = _summary(local, halves, step * last, well, whole)
    status = jnp.where(well, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int32)
    outcome = FixedOutcome(end.state, (), None, status, end.well_n, end.well)
    return result | {
        "divergence": jnp.where(well, diverged.sum() / (steps * schedule.blocks), jnp.nan),
        "status": status,
    }, outcome


class _Rounds(eqx.Module):
    """Steps with displacements, then an orthonormalization."""

    run: FixedRun
    along: Callable[..., State]
    step: Float[Array, ""]
    whole: bool

    def one(self, carry: _RoundCarry, steps: int) -> tuple[_RoundCarry, tuple[Array, Array]]:
        """One round: how the displacements grew, and the sum of the divergence over its steps."""
        pair = carry.state, _spread(carry.basis, carry.state)
        found = integrate(
            self.run, pair, steps, save_every=1 if self.whole else None, observe=_state_of,
            first=carry.n, along=self.along,
        )  # fmt: skip
        state, moved = found.final
        basis, stretch = orthonormalized(_gathered(moved))
        n = carry.n + steps
        before, diverged = carry.divergence, jnp.nan * self.step
        if self.whole:
            steps_done = carry.n + jnp.arange(1, steps + 1, dtype=jnp.int32)
            each = jax.vmap(self.divergence)(found.saved, steps_done)
            share = 1.0 if isinstance(self.run.circuit, AbstractMap) else 0.5
            diverged, before = each.sum() + share * (before - each[-1]), each[-1]
        fine = (found.status == Status.OK) & (carry.well_n == carry.n)
        well_n = jnp.where(fine, n, carry.well_n)
        well = jax.tree.map(lambda new, old: jnp.where(fine, new, old), state, carry.well)
        return _RoundCarry(n, state, basis, before, well_n, well), (jnp.log(stretch), diverged)

    def divergence(self, state: State, n: Int[Array, ""]) -> Array:
        """The divergence of the vector field after n steps; of a map the log of its |det J|."""
        circuit, noise = self.run.circuit, self.run.noise
        x, unravel = flatten(state)
        zero = digits(jnp.zeros_like(self.step), self.step.dtype)
        when = GridMoment(zero, digits(self.step, self.step.dtype), n)
        is_map = isinstance(circuit, AbstractMap)
        u = driven_by(self.run.input).at(when.exactly() if is_map else when)

        def slopes(function: Callable[[State], State]) -> Array:
            return jax.jacfwd(lambda z: flatten(function(unravel(z)))[0])(x)

        jacobian = slopes(lambda z: circuit(z, u))
        if is_map:
            known = noise is None or noise.additive
            return jnp.log(abs(determinant(jacobian))) + (0.0 if known else jnp.nan)
        found = jnp.trace(jacobian)
        if noise is None or noise.additive:
            return found
        return found - jnp.square(jnp.diagonal(slopes(noise))).sum() / 2


def _state_of(pair: tuple[State, State]) -> State:
    return pair[0]


def _turned(circuit: Callable[..., State]) -> Callable[..., State]:
    """The circuit with its matrices turned in memory: rows of displacements meet columns of weights.

    Where they are in the way that products with single vectors need, XLA for CPUs turns them again
    for every product with a few.
    """
    matrices, rest = eqx.partition(circuit, lambda x: eqx.is_inexact_array(x) and x.ndim == 2)
    turned = jax.tree.map(lambda x: lax.optimization_barrier(x.T).T, matrices)
    return eqx.combine(turned, rest)


def _spread(basis: Float[Array, "count variable"], state: State) -> State:
    """The rows `(count, variables)` as displacements of the state."""
    return jax.vmap(flatten(state)[1])(basis)


def _gathered(displacements: State) -> Array:
    """The displacements of the state as rows."""
    return jax.vmap(lambda z: flatten(z)[0])(displacements)


def orthonormalized(rows: Array) -> tuple[Array, Array]:
    """Orthonormal rows of the same nested spaces, and by how much each had grown.

    Gram-Schmidt, twice for each row, in plain operations: LAPACK's QR runs on the host from a
    GPU, and is slow in batches of small matrices. A row that vanished is replaced by a unit vector,
    with growth 0.
    """
    count = rows.shape[0]
    if count <= _UNROLLED:
        done: list[Array] = []
        grown = []
        for j in range(count):
            v = rows[j]
            for _ in range(2):
                for q in done:
                    v = v - q * (q * v).sum()
            q, r = _unit(v, j)
            done.append(q)
            grown.append(r)
        return jnp.stack(done), jnp.stack(grown)
    places = jnp.arange(count, dtype=jnp.int32)

    def step(basis: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        v, j = given
        for _ in range(2):
            v = v - (basis @ v) @ basis
        q, r = _unit(v, j)
        here = (places == j).astype(rows.dtype)
        return basis + here[:, None] * q, r

    return lax.scan(step, jnp.zeros_like(rows), (rows, places))


def _unit(v: Array, j: int | Array) -> tuple[Array, Array]:
    """The direction of a vector and its length."""
    square = (v * v).sum()
    vanished = square == 0
    length = jnp.sqrt(jnp.where(vanished, 1.0, square))
    other = (jnp.arange(v.shape[0], dtype=jnp.int32) == jnp.asarray(j, jnp.int32)).astype(v.dtype)
    return jnp.where(vanished, other, v / length), jnp.where(vanished, 0.0, length)


def _summary(
    local: Array, halves: Array, times: Array, well: Array, whole: bool
) -> dict[str, Arrays]:
    """What the blocks say, and the smooth means of both halves."""
    exponents = local.mean(0)
    fixed = lax.stop_gradient(local)
    block = times[1] - times[0]
    errors = block_errors(fixed)
    resolution = jnp.maximum(3 * errors, SETTLING / (block * local.shape[0]))
    changed, where = level_change(fixed[:, 0], SETTLING / block)
    known = lax.stop_gradient(exponents)
    signs = signs_of(halves, known, errors, resolution, block * local.shape[0] / 2)
    told = (signs.sign[0] != 0) | signs.settles(1, whole)
    return {
        "exponents": exponents,
        "standard_errors": errors,
        "resolution": resolution,
        "local": local,
        "times": times,
        "dimension": jnp.where(
            told, _kaplan_yorke(jnp.where(signs.sign == 0, 0.0, exponents), whole), jnp.nan
        ),
        "regime": regime_of(signs, well & ~changed, whole),
        "changed_at": jnp.where(changed, jnp.where(where, times, 0.0).sum(), jnp.nan),
        "gradients_hold": well & ~(known[0] > resolution[0]),
    }


def _kaplan_yorke(exponents: Array, whole: bool) -> Array:
    r"""$j + \sum_{i \le j} \lambda_i / |\lambda_{j+1}|$, $j$ the most whose sum is not negative."""
    count = exponents.shape[0]
    falling = -jnp.sort(-exponents)
    sums = jnp.cumsum(falling)
    places = jnp.arange(count, dtype=exponents.dtype)
    j = (sums >= 0).astype(exponents.dtype).sum()
    reached = jnp.where(places == j - 1, sums, 0.0).sum()
    following = jnp.where(places == j, falling, 0.0).sum()
    inside = j < count
    found = j + reached / jnp.where(inside, abs(following), 1.0)
    beyond = float(count) if whole else jnp.nan
    return jnp.where(inside, found, beyond)
