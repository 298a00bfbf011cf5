"""When does where it rests change? `continue_equilibria`."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._branches.branch import Branch
from rnnjax._branches.family import along_family, lost
from rnnjax._branches.kinks import KinkedPath
from rnnjax._branches.looked_for import looked_for
from rnnjax._branches.start import (
    FROM_BRANCH_POINT,
    FROM_REST,
    FROM_STATE,
    Settings,
    all_of,
    crossing,
    near_rest,
    started,
)
from rnnjax._continuation.arguments import checked_share, checked_target
from rnnjax._continuation.by_parts import (
    Direction,
    found_by_parts,
    march_ahead,
    whole_attached,
    whole_by_parts,
)
from rnnjax._continuation.followed import AbstractRecipe, Followed, Start, Type
from rnnjax._continuation.path import SmoothPath
from rnnjax._continuation.points import Bifurcation, check_one_crosses
from rnnjax._continuation.problem import Bounds, Steps
from rnnjax._continuation.whole_path import Whole, special, steps_up_to, whole_path
from rnnjax._gate import instant
from rnnjax._machine.attached import host_or_program
from rnnjax._machine.kept import program
from rnnjax._machine.parts import ROWS, compiled_part, in_rows
from rnnjax._machine.verb import verb
from rnnjax._numerics.dense import in_loops
from rnnjax._numerics.roots import looking
from rnnjax._numerics.slots import slots_of
from rnnjax._numerics.unstable import unstable_count
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._results import BranchEnd, mention_large
from rnnjax._types import (
    AnyArray,
    Array,
    Arrays,
    Expected,
    Float,
    InputLike,
    Limits,
    Scalar,
    State,
    Where,
    as_given,
    is_traced,
    numpy_of,
)
from rnnjax._where import Named
from rnnjax.bifurcations._base import AbstractOnBranch, by_state
from rnnjax.bifurcations._known import type_of
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._flat import FlatField, flat_field, states_of

_LARGE = 128  # variables from which on continue_large is mentioned
MAX_STEP = 0.05  # scaled: the bounds are 1 apart, a state variable is its own size or 1


@verb
def continue_equilibria(
    circuit: AbstractCircuit[Any] | Driven,
    where: Where[Any],
    start: Expected[State | Bifurcation | None] = None,
    bounds: tuple[float, float] | None = None,
    *,
    bifurcations: tuple[AbstractOnBranch, ...] | None = None,
    input: Expected[InputLike | None] = None,
    both_directions: bool = True,
    max_step: float = MAX_STEP,
    max_points: int = 1000,
    max_bifurcations: int = 16,
    time: float = 0.0,
    throw: bool = True,
) -> Branch:
    r"""Follow an equilibrium as one parameter changes, through folds, in float64.

    The solutions of $f(x, p) = 0$ form a curve. It is followed by its arclength, so that it may
    turn back: a step along the tangent, corrected by Newton's method on the plane across it. The
    steps adapt so that the chord stays close to the tangents and the test of every bifurcation
    close to the cubic through its values and slopes. Every zero of a test is then solved for and
    its normal form computed. Everything is traceable: events work under `jit` and `vmap`.

    Unstable eigenvalues are counted along the branch. Where more of them cross the imaginary axis than the tests
    explain, as symmetry makes them do, the place is solved for as one point of its `multiplicity`:
    $f = 0$ and $\mathrm{tr}(P f_x) = 0$, P the spectral projector on what crosses; where that fails it counts
    in `special.unsolved`.

    Where equilibria form a family at each value of the parameter, as bumps at any angle on a ring do, one of them is
    followed: the field is held still along the family, which changes no other eigenvalue, and the result says so
    (`Branch.family`). Coefficients of normal forms and derivatives are not known there.

    Points, bifurcations and coefficients have their derivatives with respect to the circuit and
    the input; those of the points are taken across the branch. What did not converge is NaN.

    Args:
        circuit: the circuit, or `Driven(circuit, input)` to follow a number of the input.
        where: names the one number that is followed, `lambda c: c.tau_i`, or one of an array,
            `lambda c: c.connectivity.weights[0, 1]`. Its value in `circuit`
            is where the branch begins.
        start: an equilibrium at that value; where a search from `rest()` leads unless given. Or a
            branch point out of `Branch.bifurcations`: then the branch that crosses there.
        bounds: the lowest and the highest value of the parameter.
        bifurcations: the types that are looked for; `Fold()`, `Hopf()`, `BranchPoint()`, and
            `BoundaryEquilibrium()` for circuits with kinks, unless given.
        input: the input, held at its value at `time`.
        both_directions: whether the branch is followed both ways from the start, or only to
            where the parameter first grows.
        max_step: the longest step, scaled: the bounds are 1 apart, and a state variable counts
            in units of its own size, or of 1 if that is smaller.
        max_points: the most attempted steps in each direction.
        max_bifurcations: the most points of one type in each direction.
        time: in ms.
        throw: raise if the start is no equilibrium or the branch could not be followed to an end.
            Where a JAX transformation is under way nothing can be raised: see `Branch.ends`.

    Raises:
        ConvergenceError: for a start that is no equilibrium, or a branch that did not reach its
            end, if `throw` is true. The branch is its attribute `branch`.
        ValueError: for bounds, a number or a start that do not fit.

    References:
        Keller (1977), in Applications of Bifurcation Theory, 359-384; Kuznetsov (2004), Elements
        of Applied Bifurcation Theory, chapter 10.
    """
    target, named, (state, p, tangent) = _checked(circuit, where, bounds, input, start)
    max_step = checked_share(max_step)
    variables = sum(np.size(x) for x in jax.tree.leaves(state))
    mention_large(
        "continue_equilibria", variables, _LARGE,
        "continue_large follows large circuits by products with it, and finds folds and Hopf points",
    )  # fmt: skip
    settings = Settings(
        types=looked_for(bifurcations, target.circuit, variables),
        named=named,
        attempts=counted(max_points, "max_points"),
        slots=counted(max_bifurcations, "max_bifurcations"),
        directions=(1.0, -1.0) if both_directions else (1.0,),
        begin=FROM_REST if start is None else FROM_STATE if tangent is None else FROM_BRANCH_POINT,
    )
    limits = np.asarray([*bounds, max_step], np.float64)  # pyright: ignore
    given = _Given(target, state, p, tangent, limits, instant(time))
    result = host_or_program(_found, _attached, _at_once, given, settings)
    labels = tuple((t.label, t.kinds) for t in settings.types)
    branch = Branch(*result, name=named.name, types=labels)
    if tangent is None and not is_traced((branch, target, state)) and lost(branch):
        again = functools.partial(
            continue_equilibria, bounds=bounds, bifurcations=bifurcations, time=time, throw=False,
            both_directions=both_directions, max_step=max_step, max_points=max_points,
            max_bifurcations=max_bifurcations,
        )  # fmt: skip

        def slopes(rows: Float[np.ndarray, "row unknown"]) -> Float[np.ndarray, "row n n"]:
            at = functools.partial(in_float64, _jacobians_at, given, named)
            return in_rows(at, rows, np.ones(len(rows), bool))[..., :-1]

        branch = along_family(branch, circuit, where, state, input, time, again, slopes)
    return branch.told(throw)


def _checked(
    circuit: AbstractCircuit[Any] | Driven,
    where: Where[Any],
    bounds: Expected[Limits | None],
    input: Expected[InputLike | None],
    start: Expected[State | Bifurcation | None],
) -> tuple[Any, Named, tuple[Any, Any, Any]]:
    """What is followed, which of its numbers, and from which state, value and tangent."""
    value = tangent = None
    if isinstance(start, Bifurcation):
        if not type_of(start.label).switches_branch:
            raise ValueError(
                f"start: expected an equilibrium or a branch point (BP), got a {start.label}: "
                "give its `.state`"
            )
        check_one_crosses(start, "a state")
        start, value, tangent = start.state, start.parameter, start.tangent
    target, named, state, value = checked_target(circuit, where, bounds, input, start, value)
    value = value if is_traced(value) else np.asarray(value, np.float64)
    return target, named, (state, value, tangent)


class _Recipe(AbstractRecipe):
    """What a branch is made of."""

    target: Driven
    first: State
    scale: AnyArray
    bounds: Bounds
    largest: Float[AnyArray, ""]
    time: Scalar
    settings: Settings

    @property
    def crossings(self) -> tuple[int, ...] | None:
        """Those of its types."""
        return tuple(t.crossing for t in self.settings.types) or None

    @property
    def units(self) -> AnyArray:
        """The scale itself: it has no other unknowns."""
        return self.scale

    def followed(self) -> Followed:
        """The path of equilibria."""
        target, settings = self.target, self.settings
        _, field = flat_field(
            target.circuit, target.input, self.first, self.time, (settings.named,)
        )
        field = field.sized(self.scale)
        path = _path(field.scaled, settings.types, self.bounds, steps_up_to(self.largest))
        return Followed(
            field, path, lambda arrays, z, _, units: field.of(arrays)(z * units), self.scale,
            tuple(Type(t, t.begin) for t in settings.types),
        )  # fmt: skip


class _Given(NamedTuple):
    """What a branch begins with."""

    target: Driven
    first: State
    p: Scalar
    tangent: Arrays
    limits: AnyArray
    time: Scalar


class _Found(NamedTuple):
    """A branch on the host, without derivatives.

    Attributes:
        scale: what a unit of each unknown is.
        start: where it begins.
        ways: each direction.
    """

    scale: np.ndarray
    start: Start
    ways: tuple[Direction, ...]


def _found(given: _Given, settings: Settings) -> tuple[_Found, Any]:
    """The branch, part by part, and what it is told as."""
    new = _begun.is_new(given, settings)
    if new:
        _ahead(given, settings)
    scale, start = _begun(given, settings)
    start = start._replace(offset=settings.begin.offset)
    recipe = _recipe(given, scale, settings)
    each = settings.directions, settings.attempts, settings.slots
    ways = found_by_parts(recipe, start, *each, new)
    whole = whole_by_parts(recipe, start, ways, settings.slots)
    derivatives = in_rows(
        lambda rows: _jacobians_at(given, settings.named, rows), whole.points, whole.kept
    )
    return _Found(scale, start, ways), _told(whole, given.first, derivatives, ())


def _ahead(given: _Given, settings: Settings) -> None:
    """Trace what comes next while what comes first is compiled, with numbers that do not matter."""
    scale, start = _begun.ahead(given, settings)
    start = start._replace(offset=settings.begin.offset)
    march_ahead(_recipe(given, np.ones_like(scale), settings), start, settings.attempts)
    _jacobians_at.ahead(given, settings.named, np.zeros((ROWS, scale.size)))


def _attached(given: _Given, found: _Found, settings: Settings) -> Any:
    """The same with derivatives, where it is known."""
    recipe = _recipe(given, found.scale, settings)
    whole = whole_attached(recipe, found.start, found.ways, settings.slots)
    return _with_jacobians(whole, given.first, recipe.followed().field)


@compiled_part
def _begun(given: _Given, settings: Settings) -> tuple[Any, Start]:
    """The scale and where the branch begins."""
    with in_loops():
        return _started(given, settings)


@compiled_part
def _jacobians_at(given: _Given, named: Named, rows: Array) -> Any:
    _, field = flat_field(
        given.target.circuit, given.target.input, given.first, given.time, (named,)
    )
    return jax.vmap(field.jacobian)(rows)


@program
def _at_once(given: _Given, settings: Settings) -> Any:
    scale, start = _started(given, settings)
    followed = _recipe(given, scale, settings).followed()
    whole = whole_path(followed, start, settings.directions, settings.attempts, settings.slots)
    return _with_jacobians(whole, given.first, followed.field)


def _with_jacobians(whole: Whole, first: State, field: FlatField) -> Any:
    """What a `Branch` holds, with the derivatives of all of it."""
    live = field.of(slots_of(whole.kept, field.arrays).given)
    return _told(whole, first, jax.vmap(live.jacobian)(whole.points), field.arrays)


def _recipe(given: _Given, scale: AnyArray, settings: Settings) -> _Recipe:
    """What is followed, in the scale that is known now."""
    xp = numpy_of(given, scale)
    low, high, largest = as_given(given.limits)
    wide = xp.full(scale.size - 1, np.inf)
    bounds = Bounds(xp.append(-wide, low / scale[-1]), xp.append(wide, high / scale[-1]))
    return _Recipe(given.target, given.first, scale, bounds, largest, given.time, settings)


def _started(given: _Given, settings: Settings) -> tuple[Array, Start]:
    """The scale and where the branch begins."""
    target, first, p, tangent, limits, time = given
    x, field = flat_field(target.circuit, target.input, first, time, (settings.named,))
    x, p, tangent, limits = lax.stop_gradient((x, jnp.asarray(p), tangent, limits))
    low, high, _ = limits
    if settings.begin.searches:
        still = field.frozen
        x = near_rest(lambda z: still(jnp.append(z, p)), x)
    scale = jnp.append(jnp.maximum(abs(x), 1.0), high - low)
    scaled, u = field.sized(scale).scaled, jnp.append(x, p) / scale

    if settings.begin.switches:
        start = crossing(scaled, u, tangent, scale)
        values = all_of(scaled)(start.u)
    else:
        start, values = started(looking(all_of(scaled)), u, settings.begin.near, x.size)
    if scaled.switching is not None:
        start = start._replace(frame=values[x.size :] > 0)
    inside = (p >= low) & (p <= high)
    end = jnp.where(inside, start.end, BranchEnd.NO_START).astype(jnp.int32)
    return scale, start._replace(end=end)


def _told(whole: Whole, first: State, derivatives: AnyArray, given: Arrays) -> Any:
    """What a `Branch` holds, of the derivatives at its points and the arrays that it depends on."""
    slots = slots_of(whole.kept, given)
    points = slots.written(whole.points)

    def unravel(rows: AnyArray) -> State:
        return states_of(first, rows)

    return (
        unravel(points[:, :-1]),
        points[:, -1],
        slots.written(whole.at),
        slots.written(derivatives[:, :, :-1]),
        whole.kept,
        special(whole, unravel, 1, given),
        whole.ends,
    )


def _path(
    field: FlatField, types: tuple[AbstractOnBranch, ...], bounds: Bounds, steps: Steps
) -> SmoothPath:
    """The equilibria of a vector field, across its kinks if it has any."""
    given = (
        lambda z, _: field(z), tuple(_test(t) for t in types), lambda z, frame: frame, bounds, steps,
        (lambda derivatives: unstable_count(by_state(derivatives))) if types else None,
    )  # fmt: skip
    if field.switching is None:
        return SmoothPath(*given)
    kink = next((k for k, t in enumerate(types) if t.of_kinks), None)
    return KinkedPath(*given, field.switching, kink)


def _test(type_: AbstractOnBranch) -> Any:
    return lambda z, frame, derivatives, direction: type_.test(derivatives, direction)
