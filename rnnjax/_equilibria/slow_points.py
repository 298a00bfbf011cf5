"""Where is it slow without resting? `find_slow_points`."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._equilibria.guesses import Guesses, flat_guesses
from rnnjax._equilibria.linearize import Linearization
from rnnjax._gate import instant, own_numbers
from rnnjax._machine.parts import compiled
from rnnjax._machine.verb import verb
from rnnjax._numerics.deflation import repeats
from rnnjax._numerics.implicit import root_of
from rnnjax._numerics.roots import dogleg, find_root, looking, vanishes
from rnnjax._numerics.slots import of_known, slots_of
from rnnjax._numerics.trees import named_leaves
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._results import Status
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

_FLAT = 1e-10  # relative curvature of q below which it may be that of rounding


class SlowPoints(eqx.Module):
    r"""The slow points that were found; fixed in shape, the found ones first.

    Attributes:
        states: in the circuit's structure, each leaf `(guess, ...)`; NaN where nothing was found.
        found: `(guess,)`, whether this entry is a slow point, each of them once.
        q: `(guess,)`, half the square of the speed, $|f|^2 / 2$.
        jacobian: that of the circuit, `(guess, n, n)` per ms.
        status: `(guess,)`, a `Status` per guess in the same order; guesses that ran into an
            equilibrium, or into a slow point already listed, are OK and not `found`.
    """

    states: State
    found: Bool[Any, "*batch guess"]
    q: Float[Any, "*batch guess"]
    jacobian: Float[Any, "*batch guess n n"]
    status: Int[Any, "*batch guess"]

    def __getitem__(self, index: int) -> Any:
        """The state of one of them."""
        return jax.tree.map(lambda x: x[index], self.states)

    def __len__(self) -> int:
        """How many there are.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if np.ndim(self.found) > 1:
            raise ValueError("a batch of results: count with `.found.sum(-1)`, or select one lane")
        return int(np.sum(self.found))

    @property
    def speed(self) -> Any:
        r"""$|f| = \sqrt{2 q}$, in the state's unit per ms."""
        return of_known(lambda q: (2 * q) ** 0.5, self.q)

    @property
    def linearizations(self) -> list[Linearization]:
        """The circuit seen from nearby, one per slow point; what moves is left out."""
        return [Linearization(self[k], self.jacobian[k]) for k in range(len(self))]

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` with one entry per slow point."""
        from rnnjax._files.datasets import slow_points_dataset

        count = len(self)
        states = {k: np.asarray(x)[:count] for k, x in named_leaves(self.states).items()}
        rates = [each.growth_rate for each in self.linearizations]
        return slow_points_dataset(states, np.asarray(self.q)[:count], rates)

    def __repr__(self) -> str:
        """How many, and how slow."""
        if is_traced(self.found) or np.ndim(self.found) > 1:
            return f"SlowPoints(up to {np.shape(self.found)[-1]})"
        speeds = ", ".join(f"{float(v):.3g}" for v in self.speed[: len(self)][:8])
        return f"SlowPoints({len(self)} found{f', speeds {speeds} per ms' if speeds else ''})"


@verb
def find_slow_points(
    circuit: AbstractCircuit[Any],
    input: Expected[InputLike | None] = None,
    *,
    guesses: Expected[Guesses | None] = None,
    key: Key | None = None,
    tolerance: float = np.inf,
    time: float = 0.0,
    max_steps: int = 100,
) -> SlowPoints:
    r"""Minima of $q(x) = \tfrac12 |f(x, u)|^2$ that are no equilibria, in float64.

    Trajectories linger there: at the ghost of a fold, along a nearly continuous attractor. From
    each guess the speed is lowered by trust-region steps, and then $\nabla q = J^T f = 0$ is solved
    by Newton steps; what is no minimum is left out, and so is every zero of $f$, which
    `find_equilibria` lists. Each slow point is listed once. As in `find_equilibria`, derivatives
    with respect to the circuit and the input are those of the implicit function.

    The square adds the variables as they are: where they have different units, that in which
    the numbers are largest decides.

    Args:
        circuit: the circuit.
        input: the input; held at its value at `time`.
        guesses: as for `find_equilibria`; states of a `Trajectory` find what it passes.
        key: for the guesses.
        tolerance: the largest q that counts as slow.
        time: in ms.
        max_steps: the most steps from one guess, of either kind.

    Raises:
        ValueError: for guesses that do not fit, or a tolerance that is not positive.

    References:
        Sussillo and Barak (2013), Neural Computation 25:626-649.
    """
    check_run(circuit, input, None, None)
    if not is_traced(tolerance):
        tolerance = own_numbers(tolerance, "tolerance")
        if np.shape(tolerance) != () or not tolerance > 0:
            raise ValueError(
                "tolerance: expected the largest q that counts as slow, above 0, got "
                f"{np.asarray(tolerance).tolist()}"
            )
    rest = starting_state(circuit, input, None)
    starts = flat_guesses(rest, guesses, key)
    limits = (
        instant(time),
        jnp.asarray(tolerance) if is_traced(tolerance) else np.float64(tolerance),
    )
    effort = counted(max_steps, "max_steps")
    return in_float64(_find, circuit, as_input(circuit, input), rest, starts, limits, effort)


@functools.partial(compiled, runs_long=True)
def _find(
    circuit: AbstractCircuit[Any],
    input: InputLike,
    rest: State,
    starts: Float[Any, "guess n"],
    limits: tuple[Scalar, Scalar],
    max_steps: int,
) -> SlowPoints:
    time, tolerance = limits
    vector, field = flat_field(circuit, input, rest, time)
    still = field.frozen

    def q(given: Arrays, x: Array) -> Array:
        return jnp.sum(field.of(given)(x) ** 2) / 2

    def uphill(given: Arrays, x: Array, _: None) -> Array:
        return jax.grad(q, 1)(given, x)

    def lowest_from(guess: Array) -> tuple[Array, Array]:
        near = dogleg(looking(still), guess, max_steps).x
        x, finite = find_root(lambda x: uphill(still.arrays, x, None), near, max_steps)
        return x, finite

    def judged(x: Array, finite: Array) -> tuple[Array, ...]:
        arrays = still.arrays
        slope, curvature = uphill(arrays, x, None), jax.jacfwd(lambda x: uphill(arrays, x, None))(x)
        level = finite & vanishes(slope, curvature, x) & _bends_up(curvature)
        rests = vanishes(*looking(still)(x), x)
        return q(arrays, x), level | (finite & rests), level & ~rests

    x, finite = jax.vmap(lowest_from)(lax.stop_gradient(jnp.asarray(starts)))
    speed, solved, slow = jax.vmap(judged)(x, finite)
    slow &= speed <= tolerance
    found = slow & ~repeats(x, slow, jnp.where(vector == 0, 1.0, abs(vector)))
    order = jnp.argsort(~found, stable=True)
    x, solved, found = (y[order] for y in (x, solved, found))
    slots = slots_of(found, field.arrays)
    live = field.of(slots.given)
    x = jax.vmap(lambda x: root_of(uphill, live.arrays, x))(slots.filled(x))
    return SlowPoints(
        states=jax.vmap(field.unravel)(slots.written(x)),
        found=found,
        q=slots.written(jax.vmap(lambda x: q(live.arrays, x))(x)),
        jacobian=slots.written(jax.vmap(live.jacobian)(x)),
        status=jnp.where(solved, Status.OK, Status.NOT_CONVERGED).astype(jnp.int32),
    )


def _bends_up(curvature: Array) -> Array:
    """Whether no direction leads down, to rounding: whether the matrix has a Cholesky factor."""
    n = curvature.shape[0]
    shift = _FLAT * abs(curvature).max() * jnp.eye(n, dtype=curvature.dtype)
    return jnp.isfinite(jnp.linalg.cholesky(lax.stop_gradient(curvature + shift))).all()
