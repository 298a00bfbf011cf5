"""Where can it rest, and is that stable? `find_equilibria` and `linearize`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._equilibria.guesses import GUESSES as GUESSES
from rnnjax._equilibria.guesses import Guesses, flat_guesses
from rnnjax._gate import instant
from rnnjax._machine.parts import compiled
from rnnjax._machine.verb import verb
from rnnjax._numerics.blas import one_blas_thread
from rnnjax._numerics.deflation import deflated, repeats
from rnnjax._numerics.implicit import by_products, refuse, root_of
from rnnjax._numerics.roots import find_root, from_each, vanishes
from rnnjax._numerics.roots_by_products import rests, search
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._results import ConvergenceError, Status
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


@verb
def find_equilibria(
    circuit: AbstractCircuit[Any],
    input: Expected[InputLike | None] = None,
    *,
    guesses: Expected[Guesses | None] = None,
    key: Key | None = None,
    deflate: int = 0,
    matrix_free: bool = False,
    time: float = 0.0,
    max_steps: int = 100,
    throw: bool = True,
) -> Equilibria:
    r"""Solve $f(x, u) = 0$ from many guesses, by trust-region Newton steps, in float64.

    Each equilibrium is listed once. Their derivative with respect to the circuit and the input
    is that of the implicit function, $dx = -J^{-1} (\partial f / \partial \theta)\, d\theta$;
    where nothing was found it is NaN, as the state is.

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
        matrix_free: for circuits of many units: Newton steps by GMRES, from products with the
            Jacobian alone, one guess after the other; from `rest()` unless `guesses` are given.
            Where eigenvalues surround zero (strong random weights) it often finds nothing.
        time: in ms.
        max_steps: the most steps from one guess.
        throw: raise if nothing was found. Where a JAX transformation is under way nothing can
            be raised: see `found`.

    Raises:
        ConvergenceError: if nothing was found and `throw` is true.
        ValueError: for guesses that do not fit, or `deflate` with `matrix_free`.
    """
    check_run(circuit, input, None, None)
    rest = starting_state(circuit, input, None)
    if matrix_free and deflate:
        raise ValueError("deflate: needs Jacobians; leave it out, or matrix_free")
    alone = matrix_free and guesses is None and key is None
    starts = flat_guesses(rest, rest if alone else guesses, key)
    rounds = counted(deflate, "deflate") if deflate != 0 else 0
    max_steps = counted(max_steps, "max_steps")
    effort = max_steps, rounds, bool(matrix_free)
    with one_blas_thread():
        result = in_float64(
            _find, circuit, as_input(circuit, input), rest, starts, instant(time), effort
        )
    if is_traced(result):
        return result
    if throw and not result.found.any():
        best = float(np.nanmin(result.residual, initial=np.inf))
        raise ConvergenceError(
            f"no equilibrium found from {len(starts)} guesses; the smallest residual was "
            f"{best:.3g} per ms. {Status.NOT_CONVERGED.message}"
        )
    return result


@functools.partial(compiled, runs_long=True)
def _find(
    circuit: AbstractCircuit[Any],
    input: InputLike,
    rest: State,
    starts: Float[Any, "guess n"],
    time: Scalar,
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
        x = jnp.where(solved[:, None], x, 0.0)
        x = jax.vmap(lambda x: root_of(equations, given, x, linear_solve=by_products))(x)
        jacobian = None
    else:
        x, finite = from_each(lambda guess: find_root(still, guess, max_steps), starts)
        if rounds:
            x, finite = deflated(still, starts, (x, finite), units, rounds, max_steps)
        x = jax.vmap(lambda x: root_of(equations, given, x))(x)
        jacobian = jax.vmap(field.jacobian)(x)
        solved = finite & jax.vmap(vanishes)(abs(jax.vmap(field)(x)), jacobian, x)
    residual = abs(jax.vmap(field)(x)).max(-1)
    found = solved & ~repeats(x, solved, units)
    order = jnp.argsort(~found, stable=True)
    x, residual, solved, found = (y[order] for y in (x, residual, solved, found))
    return Equilibria(
        states=jax.vmap(field.unravel)(refuse(found[:, None], x)),
        found=found,
        residual=residual,
        jacobian=None if jacobian is None else refuse(found[:, None, None], jacobian[order]),
        status=jnp.where(solved, Status.OK, Status.NOT_CONVERGED).astype(jnp.int32),
    )
