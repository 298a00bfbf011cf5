"""Where can it rest, and is that stable? `find_equilibria` and `linearize`."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._equilibria.further import looked_on
from rnnjax._equilibria.guesses import GUESSES as GUESSES
from rnnjax._equilibria.guesses import Guesses, flat_guesses, rows_of
from rnnjax._equilibria.inward import ahead, inward
from rnnjax._gate import instant
from rnnjax._machine.parts import compiled, in_rows
from rnnjax._machine.verb import verb
from rnnjax._numerics.blas import one_blas_thread
from rnnjax._numerics.deflation import deflated, repeats
from rnnjax._numerics.implicit import by_elimination, by_products, root_of
from rnnjax._numerics.roots import find_root, from_each, looking, vanishes
from rnnjax._numerics.roots_by_products import rests, search
from rnnjax._numerics.slots import slots_of
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._results import ConvergenceError, Status, mention_large, warn_caller
from rnnjax._types import (
    Array,
    Arrays,
    Expected,
    Float,
    InputLike,
    Key,
    Scalar,
    State,
    is_traced,
)
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, starting_state
from rnnjax.circuits._flat import flat_field

_LARGE = 512  # variables from which on matrix_free is mentioned
_ROUNDS = 8  # of further guesses, unless given


@verb
def find_equilibria(
    circuit: AbstractCircuit[Any],
    input: Expected[InputLike | None] = None,
    *,
    guesses: Expected[Guesses | None] = None,
    key: Key | None = None,
    deflate: int = 0,
    rounds: int | None = None,
    matrix_free: bool = False,
    time: float = 0.0,
    max_steps: int = 100,
    throw: bool = True,
) -> Equilibria:
    r"""Solve $f(x, u) = 0$ from many guesses, by trust-region Newton steps, in float64.

    Each equilibrium is listed once. Their derivative with respect to the circuit and the input
    is that of the implicit function, $dx = -J^{-1} (\partial f / \partial \theta)\, d\theta$;
    where nothing was found it is NaN, as the state is.

    Where the field points inward far out, the indices (signs of $\det(-J)$) of all equilibria sum to 1.
    Whether it does is looked at in many directions, which proves nothing, at ten times the largest guess
    and more. As long as the sum is another, and where there are several as long as more are found, the search
    goes on from further guesses, for `rounds`; what is found then comes behind the others and has entries
    of its own. If the sum is another in the end, some are missing: that is warned of, unless `rounds` are
    0, and told by `Equilibria.lacking`. Of fields that point outward somewhere, and where an equilibrium
    is singular or lies on a kink, nothing is claimed. A sum of 1 does not show that there are no others.

    Args:
        circuit: the circuit.
        input: the input; held at its value at `time`.
        guesses: the states to start from, with a guess axis in front of every leaf; one state;
            or a `Trajectory`, of which 64 states are taken, evenly spaced or, with `key`, at
            random. Unless given 64 of them: `rest()`, and perturbations of it drawn with `key` at
            scales from 0.1 to 100. From kinks and folds some guesses lead nowhere; take many.
        key: for the guesses.
        deflate: how often to begin anew from the same guesses with the equilibria found so far
            divided out, so that others are found. Each round adds as many entries to the result
            as there are guesses.
        rounds: how often to look on from further guesses at most (as many as there are, or 64), while
            the sum of the indices tells that some are missing, or each finds more. 8 unless given; 0 where
            `guesses` are fewer than 64, which say where to look, and `matrix_free`. Inside of a JAX
            transformation there are none.
        matrix_free: for circuits of many units: Newton steps by GMRES, from products with the
            Jacobian alone, one guess after the other; from `rest()` unless `guesses` are given.
            Where eigenvalues surround zero (strong random weights) it often finds nothing.
        time: in ms.
        max_steps: the most steps from one guess.
        throw: raise if nothing was found. Where a JAX transformation is under way nothing can
            be raised: see `found`.

    Raises:
        ConvergenceError: if nothing was found and `throw` is true.
        ValueError: for guesses that do not fit, or `deflate` or `rounds` with `matrix_free`.

    References:
        Milnor (1965), Topology from the Differentiable Viewpoint, section 6 (indices).
    """
    check_run(circuit, input, None, None)
    rest = starting_state(circuit, input, None)
    if matrix_free and deflate:
        raise ValueError("deflate: needs Jacobians; leave it out, or matrix_free")
    if matrix_free and rounds:
        raise ValueError("rounds: need Jacobians; leave them out, or matrix_free")
    alone = matrix_free and guesses is None and key is None
    starts = flat_guesses(rest, rest if alone else guesses, key)
    repeated = counted(deflate, "deflate") if deflate != 0 else 0
    max_steps = counted(max_steps, "max_steps")
    everywhere = not matrix_free and (guesses is None or len(starts) >= GUESSES)
    if rounds is None:
        rounds = _ROUNDS if everywhere else 0
    rounds = counted(rounds, "rounds") if rounds != 0 else 0
    if everywhere:
        mention_large(
            "find_equilibria", starts.shape[1], _LARGE,
            "matrix_free=True finds one near each of few guesses by products with it",
        )  # fmt: skip
    given = circuit, as_input(circuit, input), rest, instant(time)

    def search(starts: Float[Any, "guess n"], repeated: int = 0) -> Equilibria:
        known = not matrix_free and not is_traced(given, starts)
        if known:
            ahead(given, starts, len(starts) * (1 + repeated))
        with one_blas_thread(starts.shape[1]):
            found = in_float64(_find, *given, starts, (max_steps, repeated, bool(matrix_free)))
        if not known or is_traced(found):
            return found
        return dataclasses.replace(found, inward=inward(given, starts, found))

    result = search(starts, repeated)
    if is_traced(result):
        return result
    tried = len(starts)
    if rounds and result.expected_index_sum and (result.lacking or len(result) > 1):
        count = tried if tried in range(GUESSES // 2, 4 * GUESSES) else GUESSES
        origin = rows_of(jax.tree.map(lambda x: np.asarray(x)[None], rest))[0]
        field = functools.partial(in_rows, functools.partial(in_float64, _speeds, *given))
        result, done = looked_on(result, search, field, origin, (rounds, count, key))
        tried += done * count
    if throw and not result.found.any():
        best = float(np.nanmin(result.residual, initial=np.inf))
        raise ConvergenceError(
            f"no equilibrium found from {tried} guesses; the smallest residual was "
            f"{best:.3g} per ms. {Status.NOT_CONVERGED.message}"
        )
    if rounds and result.lacking:
        warn_caller(
            f"find_equilibria: found {len(result)} from {tried} guesses; their indices, the signs of "
            f"det(-J), sum to {result.index_sum}. The field points inward far out, so that those of "
            f"all sum to 1: at least {result.lacking} more are missing. Try a larger `rounds=` (it "
            f"was {rounds}), `deflate=`, or `guesses=` such as a Trajectory"
        )
    return result


@functools.partial(compiled, runs_long=True)
def _find(
    circuit: AbstractCircuit[Any],
    input: InputLike,
    rest: State,
    time: Scalar,
    starts: Float[Any, "guess n"],
    effort: tuple[int, int, bool],
) -> Equilibria:
    max_steps, rounds, matrix_free = effort
    x, field = flat_field(circuit, input, rest, time)
    units = jnp.where(x == 0, 1.0, abs(x))
    still, given = field.frozen, field.arrays

    def equations(given: Arrays, x: Array, _: None) -> Array:
        return field.of(given)(x)

    starts, units = lax.stop_gradient((jnp.asarray(starts), units))
    if matrix_free:
        x = lax.map(lambda guess: search(still, guess, max_steps), starts)
        solved = lax.map(lambda x: rests(still, x), x)
    else:
        x, finite = from_each(lambda guess: find_root(still, guess, max_steps), starts)
        if rounds:
            x, finite = deflated(still, starts, (x, finite), units, rounds, max_steps)
        solved = finite & jax.vmap(lambda x: vanishes(*looking(still)(x), x))(x)
    residual = abs(jax.vmap(still)(x)).max(-1)
    found = solved & ~repeats(x, solved, units)
    order = jnp.argsort(~found, stable=True)
    x, residual, solved, found = (y[order] for y in (x, residual, solved, found))
    slots = slots_of(found, given)
    live = field if matrix_free else field.of(slots.given)
    by = by_products if matrix_free else by_elimination
    x = jax.vmap(lambda x: root_of(equations, live.arrays, x, linear_solve=by))(slots.filled(x))
    return Equilibria(
        states=jax.vmap(field.unravel)(slots.written(x)),
        found=found,
        residual=residual,
        jacobian=None if matrix_free else slots.written(jax.vmap(live.jacobian)(x)),
        status=jnp.where(solved, Status.OK, Status.NOT_CONVERGED).astype(jnp.int32),
    )


@compiled
def _speeds(
    circuit: AbstractCircuit[Any], input: InputLike, rest: State, time: Scalar,
    rows: Float[Any, "row n"],
) -> Any:  # fmt: skip
    _, field = flat_field(circuit, input, rest, time)
    return jax.vmap(field)(jnp.asarray(rows))
