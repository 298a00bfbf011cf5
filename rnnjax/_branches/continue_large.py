"""When does the rest of a large circuit change? `continue_large`."""

from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._branches.large_branch import LargeBranch
from rnnjax._branches.large_crossings import Crossings, crossings
from rnnjax._branches.large_problem import LargePlace, LargeProblem, begin, steps_up_to
from rnnjax._branches.unseen import told_unseen
from rnnjax._continuation.arguments import checked_share, checked_target
from rnnjax._continuation.march import follow
from rnnjax._continuation.problem import Bounds
from rnnjax._equilibria.leading_eigenvalues import checked_effort, random_vectors
from rnnjax._gate import instant
from rnnjax._machine.attached import tell_of_digits
from rnnjax._machine.kept import program
from rnnjax._machine.verb import verb
from rnnjax._numerics.eigenvalues import eigenvalues_by_products
from rnnjax._numerics.implicit import by_products, refuse, root_of, without_derivatives
from rnnjax._numerics.krylov import Ritz
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._types import (
    Array,
    Arrays,
    Expected,
    InputLike,
    Limits,
    NDArray,
    Scalar,
    State,
    Where,
    is_traced,
)
from rnnjax._where import Named
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._flat import FlatField, flat_field

Live: TypeAlias = tuple[Arrays, Array]  # what may be differentiated, and the scale


class Effort(NamedTuple):
    """The most attempts, room for crossings, and that for the eigenvalues."""

    points: int
    crossings: int
    eigenvalues: tuple[int, int, float]


class Settings(NamedTuple):
    """What a compiled continuation depends on besides shapes."""

    named: Named
    effort: Effort
    sign: float


@verb
def continue_large(
    circuit: AbstractCircuit[Any] | Driven,
    where: Where[Any],
    start: Expected[State | None] = None,
    bounds: Expected[Limits | None] = None,
    *,
    input: Expected[InputLike | None] = None,
    count: Expected[int] = 6,
    decreasing: bool = False,
    max_step: float = 0.05,
    max_points: Expected[int] = 200,
    max_crossings: Expected[int] = 8,
    subspace: Expected[int | None] = None,
    tolerance: Expected[float] = 1e-12,
    time: float = 0.0,
    throw: bool = True,
) -> LargeBranch:
    r"""Follow an equilibrium of a large circuit as one parameter changes, without Jacobians.

    The solutions of $f(x, p) = 0$ are followed by their arclength, through folds, in float64: steps
    along the tangent, corrected by Newton's method on the plane across it, all linear systems by
    GMRES. At each point the `count` leading eigenvalues are found (`leading_eigenvalues`). Where
    the number of growing ones changes, the place is solved for on the branch until the real part
    vanishes, to rounding. `continue_equilibria` does more where there are few variables: it
    classifies what it finds, crosses the kinks of rectified circuits, and needs no `count`.

    Points and crossings have their derivatives with respect to the circuit and the input; those of
    the points are taken across the branch. The eigenvalues along it have none (NaN): see
    `leading_eigenvalues`.

    Args:
        circuit: the circuit, or `Driven(circuit, input)` to follow a number of the input.
        where: names the one number that is followed. Its value in `circuit` is where the branch
            begins.
        start: a state near an equilibrium at that value; `rest()` unless given.
        bounds: the lowest and the highest value of the parameter.
        input: the input, held at its value at `time`.
        count: how many leading eigenvalues; more than will grow at once. Where all of them grow there
            may be others behind them whose crossings are not seen: that is warned of, with the `count`
            to give, and what was missed at least counts in `LargeBranch.missed`.
        decreasing: whether the parameter falls at first.
        max_step: the longest step, scaled: the bounds are 1 apart, and the state counts by the root
            mean square over its variables, each in units of its size at the start, or of 1.
        max_points: the most attempted steps.
        max_crossings: how many there is room for.
        subspace: see `leading_eigenvalues`.
        tolerance: see `leading_eigenvalues`.
        time: in ms.
        throw: raise if the branch did not reach a bound. Where a JAX transformation is under way
            nothing can be raised: see `LargeBranch.end`.

    Raises:
        ConvergenceError: for a start that leads to no equilibrium, or a branch that did not reach a
            bound, if `throw` is true. The branch is its attribute `branch`.
        ValueError: for bounds, a number or a start that do not fit.

    References:
        Keller (1977), in Applications of Bifurcation Theory, 359-384; Knoll and Keyes (2004),
        Journal of Computational Physics 193:357-397.
    """
    target, named, state, _ = checked_target(circuit, where, bounds, input, start)
    max_step = checked_share(max_step)
    limits = np.asarray([*bounds, max_step], np.float64)  # pyright: ignore
    n = sum(np.size(x) for x in jax.tree.leaves(state))
    size, eigenvalues = checked_effort(n, count, subspace, tolerance)
    steps = counted(max_points, "max_points"), counted(max_crossings, "max_crossings")
    settings = Settings(named, Effort(*steps, eigenvalues), -1.0 if decreasing else 1.0)
    random = random_vectors(None, (size + 1, n))
    tell_of_digits((target, state))
    result = in_float64(_followed, target, state, limits, instant(time), random, settings)
    branch = LargeBranch(*result, name=named.name).told(throw)
    return branch if is_traced(branch) else told_unseen(branch, target, named, instant(time))


@program
def _followed(
    target: Driven, state: State, limits: NDArray, time: Scalar, random: NDArray, settings: Settings
) -> Any:
    x, field = flat_field(target.circuit, target.input, state, time, (settings.named,))
    value = jnp.asarray(settings.named.value(target))
    x, p, limits, random = lax.stop_gradient((x, value, jnp.asarray(limits), jnp.asarray(random)))
    low, high, largest = limits
    # a step counts by the root mean square over the variables
    scale = jnp.append(jnp.maximum(abs(x), 1.0) * np.sqrt(x.size), high - low)
    scaled = _Scaled(field, settings.effort.eigenvalues)
    live = field.arrays, scale
    still = lax.stop_gradient(live)
    problem = LargeProblem(
        lambda u: scaled.field(still, u),
        lambda u: scaled.spectrum(still, u, random),
        Bounds(low[None] / scale[-1], high[None] / scale[-1]),
        steps_up_to(largest),
    )
    start = begin(jnp.append(x, p) / scale, settings.sign, settings.effort.eigenvalues[0])
    now, taken = follow(problem, start, settings.effort.points + 1)
    found = crossings(problem, taken, settings.effort.crossings)
    order = jnp.argsort(~taken.taken, stable=True)
    along, there = jax.tree.map(lambda a: a[order], (taken.seen, taken.taken))
    return _told(scaled, live, (along, there), found, random, now.end)


class _Scaled(NamedTuple):
    """A vector field and its spectrum in scaled coordinates, of given arrays and scale."""

    natural: FlatField
    effort: tuple[int, int, float]

    def field(self, given: Live, u: Array) -> Array:
        """The vector field of the state and the parameter."""
        arrays, scale = given
        return self.natural.of(arrays).in_units(scale)(u)

    def spectrum(self, given: Live, u: Array, random: Array) -> tuple[Ritz, Array]:
        """The leading eigenvalues, and which of them are right."""

        def at_value(both: tuple[Live, Array], x: Array) -> Array:
            given, p = both
            return self.field(given, jnp.append(x, p))

        return eigenvalues_by_products(at_value, (given, u[-1]), u[:-1], random, self.effort)

    def across(self, live: Live, u: Array, constants: tuple[Array, Array]) -> Array:
        """What vanishes at a point of the branch that is held along its tangent."""
        normal, origin = constants
        return jnp.append(self.field(live, u), normal @ (u - origin))

    def critical(self, live: Live, u: Array, constants: tuple[Array, Array]) -> Array:
        """What vanishes where a real part does."""
        random, which = constants
        ritz, right = self.spectrum(live, u, random)
        return jnp.append(self.field(live, u), refuse(right[which], ritz.values.real[which]))


def _told(
    scaled: _Scaled, live: Live, points: tuple[LargePlace, Array], found: Crossings,
    random: Array, end: Array,
) -> Any:  # fmt: skip
    """What a `LargeBranch` holds, with its derivatives."""
    (along, there), scale = points, live[1]
    u = lax.map(
        lambda a: root_of(scaled.across, live, a[1], a, linear_solve=by_products),
        (along.tangent, along.u),
    )
    at_crossings = lax.map(
        lambda a: root_of(scaled.critical, live, a[0], (random, a[1]), linear_solve=by_products),
        (found.u, found.which),
    )
    u = refuse(there[:, None], u * scale)
    only = found.label >= 0
    at_crossings = refuse(only[:, None], at_crossings * scale)
    real, imaginary, frequency = (
        without_derivatives(live, x)
        for x in (along.values.real, along.values.imag, found.frequency)
    )
    known = (there & along.right)[:, None]
    states = jax.vmap(scaled.natural.unravel)
    return (
        states(u[:, :-1]), u[:, -1], refuse(known, real), refuse(known, imaginary),
        along.right & there, there, states(at_crossings[:, :-1]), at_crossings[:, -1],
        refuse(only, frequency), found.label, found.missed, end,
    )  # fmt: skip
