"""When does where it rests change? `continue_equilibria`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._branches.branch import Branch
from rnnjax._branches.kinks import KinkedPath
from rnnjax._branches.start import (
    FROM_BRANCH_POINT,
    FROM_REST,
    FROM_STATE,
    Settings,
    near_rest,
    started,
)
from rnnjax._continuation.arguments import checked_share, checked_target, each_of
from rnnjax._continuation.followed import Followed, Type
from rnnjax._continuation.path import SmoothPath
from rnnjax._continuation.points import Bifurcation
from rnnjax._continuation.problem import Bounds, Steps
from rnnjax._continuation.whole_path import special, steps_up_to, whole_path
from rnnjax._gate import instant
from rnnjax._machine.verb import verb
from rnnjax._numerics.implicit import refuse
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._results import BranchEnd
from rnnjax._types import (
    Array,
    Arrays,
    Expected,
    InputLike,
    Limits,
    Scalar,
    State,
    Where,
    is_traced,
)
from rnnjax._where import Named
from rnnjax.bifurcations._base import AbstractOnBranch
from rnnjax.bifurcations._known import type_of
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._flat import FlatField, flat_field

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
    settings = Settings(
        types=_types(bifurcations, target.circuit, sum(np.size(x) for x in jax.tree.leaves(state))),
        named=named,
        attempts=counted(max_points, "max_points"),
        slots=counted(max_bifurcations, "max_bifurcations"),
        directions=(1.0, -1.0) if both_directions else (1.0,),
        begin=FROM_REST if start is None else FROM_STATE if tangent is None else FROM_BRANCH_POINT,
    )
    limits = np.asarray([*bounds, max_step], np.float64)  # pyright: ignore
    result = in_float64(_continued, target, state, p, tangent, limits, instant(time), settings)
    labels = tuple((t.label, t.kinds) for t in settings.types)
    return Branch(*result, name=named.name, types=labels).told(throw)


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
        start, value, tangent = start.state, start.parameter, start.tangent
    target, named, state, value = checked_target(circuit, where, bounds, input, start, value)
    value = value if is_traced(value) else np.asarray(value, np.float64)
    return target, named, (state, value, tangent)


def _types(
    given: tuple[AbstractOnBranch, ...] | None, circuit: AbstractCircuit[Any], variables: int
) -> tuple[AbstractOnBranch, ...]:
    """The bifurcations that are looked for."""
    if given is None:
        from rnnjax import bifurcations

        given = (bifurcations.Fold(), bifurcations.Hopf(), bifurcations.BranchPoint())
        if circuit.switching_functions(circuit.rest(), circuit.no_input()) is not None:
            given += (bifurcations.BoundaryEquilibrium(),)
    given = each_of(given, "Hopf()")
    for each in given:
        if not isinstance(each, AbstractOnBranch):
            raise TypeError(
                f"bifurcations: expected objects such as Hopf(), got {each!r}: see "
                "rnnjax.bifurcations, and for those of curves: continue_bifurcation"
            )
    return tuple(each for each in given if each.variables <= variables)


@eqx.filter_jit
def _continued(
    target: Driven,
    first: State,
    p: Scalar,
    tangent: Arrays,
    limits: Array,
    time: Scalar,
    settings: Settings,
) -> Any:
    x, field = flat_field(target.circuit, target.input, first, time, (settings.named,))
    x, p, tangent, limits = lax.stop_gradient((x, jnp.asarray(p), tangent, limits))
    low, high, largest = limits
    if settings.begin.searches:
        still = field.frozen
        x = near_rest(lambda z: still(jnp.append(z, p)), x)
    scale = jnp.append(jnp.maximum(abs(x), 1.0), high - low)
    field = field.sized(scale)
    scaled = field.scaled
    start = started(scaled, jnp.append(x, p) / scale, tangent, scale, settings)
    if scaled.switching is not None:
        start = start._replace(frame=scaled.switching(start.u) > 0)
    start = start._replace(
        end=jnp.where((p >= low) & (p <= high), start.end, BranchEnd.NO_START).astype(jnp.int32)
    )
    wide = jnp.full(x.size, jnp.inf)
    bounds = Bounds(jnp.append(-wide, low / scale[-1]), jnp.append(wide, high / scale[-1]))
    path = _path(scaled, settings.types, bounds, steps_up_to(largest))
    followed = Followed(
        field, path, lambda arrays, z, _, units: field.of(arrays)(z * units), scale,
        tuple(Type(t, t.begin) for t in settings.types),
    )  # fmt: skip
    whole = whole_path(followed, start, settings.directions, settings.attempts, settings.slots)
    # where no point is kept it is that of the first: no derivative of NaN, which times 0 would be NaN
    there = jnp.where(whole.kept[:, None], whole.points, whole.points[0])
    derivatives = jax.vmap(field.jacobian)(there)
    return (
        jax.vmap(field.unravel)(whole.points[:, :-1]),
        whole.points[:, -1],
        whole.at,
        refuse(whole.kept[:, None, None], derivatives[:, :, :-1]),
        whole.kept,
        special(whole, field.unravel, 1),
        whole.ends,
    )


def _path(
    field: FlatField, types: tuple[AbstractOnBranch, ...], bounds: Bounds, steps: Steps
) -> SmoothPath:
    """The equilibria of a vector field, across its kinks if it has any."""
    given = (
        lambda z, _: field(z), tuple(_test(t) for t in types), lambda z, frame: frame, bounds, steps,
    )  # fmt: skip
    if field.switching is None:
        return SmoothPath(*given)
    kink = next((k for k, t in enumerate(types) if t.of_kinks), None)
    return KinkedPath(*given, field.switching, kink)


def _test(type_: AbstractOnBranch) -> Any:
    return lambda z, frame, derivatives, direction: type_.test(derivatives, direction)
