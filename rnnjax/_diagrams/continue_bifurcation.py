"""Where in the plane of two parameters does it change? `continue_bifurcation`."""

import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._branches.continue_equilibria import MAX_STEP
from rnnjax._continuation.arguments import checked_bounds, checked_share, each_of
from rnnjax._continuation.corrector import corrected
from rnnjax._continuation.followed import Followed, Start, Type
from rnnjax._continuation.path import Frame, SmoothPath
from rnnjax._continuation.points import Bifurcation, check_one_crosses
from rnnjax._continuation.problem import Bounds
from rnnjax._continuation.whole_path import Whole, special, steps_up_to, whole_path
from rnnjax._diagrams.curve import Curve
from rnnjax._gate import instant
from rnnjax._machine.attached import tell_of_digits
from rnnjax._machine.parts import compiled
from rnnjax._machine.verb import verb
from rnnjax._numerics.roots import looking
from rnnjax._numerics.slots import slots_of
from rnnjax._orbits.orbit_branch import OrbitBifurcation
from rnnjax._orbits.orbit_curve import curve_of_cycles
from rnnjax._parameter import check_values, counted
from rnnjax._precision import in_float64, index_of_largest
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
from rnnjax._where import Named, names_apart, number_named
from rnnjax.bifurcations._base import (
    AbstractFollowed,
    AbstractOnCurve,
    Family,
    by_state,
)
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles
from rnnjax.bifurcations._known import known_types
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart, as_input, check_run, starting_state
from rnnjax.circuits._flat import FlatField, flat_field

_STILL = 1e-3  # of the mean square of the Jacobian's entries: what of omega^2 counts as small


class _Settings(NamedTuple):
    """What a compiled curve depends on besides shapes."""

    type_: AbstractFollowed
    members: tuple[AbstractOnCurve, ...]
    named: tuple[Named, Named]
    attempts: int
    slots: int
    directions: tuple[float, ...]
    at_end: bool  # it begins where the first of the unknowns beside the point is zero


@verb
def continue_bifurcation(
    circuit: AbstractCircuit[Any] | Driven,
    where: Expected[tuple[Where[Any], Where[Any]]],
    start: Expected[Bifurcation | OrbitBifurcation],
    bounds: Expected[tuple[Limits, Limits]],
    *,
    bifurcations: Expected[tuple[AbstractOnCurve, ...] | None] = None,
    input: Expected[InputLike | None] = None,
    both_directions: bool = True,
    max_step: float = MAX_STEP,
    max_points: int = 1000,
    max_bifurcations: int = 8,
    time: float = 0.0,
    throw: bool = True,
) -> Any:
    r"""Follow a fold or a Hopf point, of cycles too, as two parameters change, in float64.

    The equations of the point, $f(x, p, q) = 0$ and that an eigenvalue is zero or a pair on the
    imaginary axis, leave a curve of $(x, p, q)$. It is followed as a branch of equilibria is,
    see `continue_equilibria`; where a test vanishes on it, the point of two parameters is solved
    for and classified: cusps (CP), Bogdanov-Takens (BT), generalized Hopf (GH), zero-Hopf (ZH)
    and double Hopf points (HH). A curve of Hopf points ends at a Bogdanov-Takens point.

    Everything is traceable and has its derivatives, those of the curve taken across it.

    A fold of cycles (LPC), a period doubling (PD) or a Neimark-Sacker point (NS) is followed in the same
    way, with its orbit, along what its test makes zero: the result is an `OrbitCurve`, with the
    coefficients of its normal form, without points of two parameters and without derivatives.

    Args:
        circuit: the circuit, or `Driven(circuit, input)` to change numbers of the input.
        where: names the two numbers, `(lambda c: c.current, lambda c: c.v_3)`; the first is the
            one along which `start` was found.
        start: a fold (LP) or a Hopf point (H), of `Branch.bifurcations` or `Branch.first("H")`,
            at the second number's value in `circuit`. Or a Bogdanov-Takens point (BT) of
            `Curve.bifurcations`: then the curve of Hopf points that begins there. Or a point of
            `OrbitBranch.bifurcations`.
        bounds: the lowest and the highest value of each of the two, `((0, 50), (2, 30))`.
        bifurcations: the types that are looked for; all of `rnnjax.bifurcations` that are met on
            such a curve unless given.
        input: the input, held at its value at `time`.
        both_directions: whether the curve is followed both ways, or only to where the second
            number first grows.
        max_step: the longest step, scaled: the bounds are 1 apart.
        max_points: the most attempted steps in each direction.
        max_bifurcations: the most points of one type in each direction.
        time: in ms.
        throw: raise if the curve could not be followed to an end. Where a JAX transformation is
            under way nothing can be raised: see `Curve.ends`.

    Raises:
        ConvergenceError: for a start that is none for this circuit, or a curve that did not reach
            its end, if `throw` is true. The curve is its attribute `branch`.
        ValueError, TypeError: for bounds, numbers or a start that do not fit.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 10.3.
    """
    type_, begin = _followed(start), cast(Any, start)
    target, named, values = _checked(circuit, where, bounds, input, start)
    max_step = checked_share(max_step)
    own, drive = apart(circuit, input)
    if isinstance(type_, AbstractOfCycles):
        if bifurcations is not None:
            raise ValueError("bifurcations: none are looked for on curves of orbits; leave it out")
        rest, most = starting_state(own, drive, None), counted(max_points, "max_points")
        found = curve_of_cycles(
            type_, target, named, values, rest, begin, bounds, max_step, most, both_directions,
            instant(time),
        )  # fmt: skip
        return found.told(throw)
    state = starting_state(own, drive, begin.state)
    settings = _Settings(
        type_,
        _members(bifurcations, type_, sum(np.size(x) for x in jax.tree.leaves(state))),
        named,
        counted(max_points, "max_points"),
        counted(max_bifurcations, "max_bifurcations"),
        (1.0, -1.0) if both_directions and start.label == type_.label else (1.0,),
        start.label != type_.label,
    )
    limits = np.asarray([*np.ravel(bounds), max_step], np.float64)
    tell_of_digits((target, values))
    result = in_float64(_curve, target, state, values, limits, instant(time), settings)
    labels = tuple((m.label, m.kinds) for m in settings.members)
    one, two = names_apart(named)
    return Curve(
        *result, names=(one, two), label=type_.label, kinds=type_.kinds, types=labels
    ).told(throw)


def _followed(start: Expected[Bifurcation | OrbitBifurcation]) -> Any:
    """The type of the points of the curve."""
    if not isinstance(start, Bifurcation | OrbitBifurcation):
        raise TypeError(
            "start: expected a point out of Branch.bifurcations or OrbitBranch.bifurcations, got "
            f"{type(start).__name__}"
        )
    leads, found = {}, {t.label: t for t in known_types(AbstractOfCycles) if t.in_two}
    if isinstance(start, Bifurcation):
        leads = {t.label: t.leads_to for t in known_types(AbstractOnCurve) if t.leads_to}
        found = {t.label: t for t in known_types(AbstractFollowed)}
        check_one_crosses(start, "a point")
    label = leads.get(start.label, start.label)
    if label not in found:
        raise ValueError(
            "start: expected a point of which there are curves, one of "
            f"{sorted([*found, *leads])}, got a {start.label}"
        )
    return found[label]()  # pyright: ignore[reportAbstractUsage]


def _members(
    given: Expected[tuple[AbstractOnCurve, ...] | None], type_: AbstractFollowed, variables: int
) -> tuple[AbstractOnCurve, ...]:
    """The types that are looked for on the curve."""
    known = known_types(AbstractOnCurve)
    members = [t() for t in known] if given is None else given  # pyright: ignore[reportAbstractUsage]
    see = "those that are met on curves, see rnnjax.bifurcations"
    members = each_of(members, AbstractOnCurve, "Cusp()", see)
    return tuple(m for m in members if type_.label in m.on and m.variables <= variables)


def _checked(
    circuit: AbstractCircuit[Any] | Driven,
    where: Expected[tuple[Where[Any], Where[Any]]],
    bounds: Expected[tuple[Limits, Limits]],
    input: Expected[InputLike | None],
    start: Bifurcation | OrbitBifurcation,
) -> tuple[Any, tuple[Named, Named], tuple[Any, Any]]:
    """What is followed, which of its numbers, and their values at the start."""
    own, drive = apart(circuit, input)
    check_run(own, drive, None, None)
    if not isinstance(where, tuple | list) or len(where) != 2:
        raise TypeError(
            f"where: expected two functions, (lambda c: c.first, lambda c: c.second), got {where!r}"
        )
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise ValueError(f"bounds: expected ((low, high), (low, high)), got {bounds!r}")
    target = circuit if isinstance(circuit, Driven) else Driven(circuit, as_input(own, input))
    first, second = number_named(circuit, where[0]), number_named(circuit, where[1])
    for each, limits in zip((first, second), bounds, strict=True):
        low, high = checked_bounds(limits, each.path)
        if each.field is not None:
            check_values(each.field, np.asarray([low, high]), owner="bounds")
    if first == second:
        raise ValueError(f"where: expected two different numbers, got {first.name} twice")
    place: Any = start.parameter
    if np.ndim(place) == 1:
        values = (place[0], place[1])
    else:
        values = (place, second.value(circuit))
    for value, name, limits in zip(values, (first.name, second.name), bounds, strict=True):
        if not is_traced(value) and not limits[0] <= float(value) <= limits[1]:
            raise ValueError(
                f"bounds: expected them around the value of {name}, {float(value):g}, at which the "
                f"curve begins, got {tuple(limits)}: change either"
            )
    values = [v if is_traced(v) else np.asarray(v, np.float64) for v in values]
    return target, (first, second), (values[0], values[1])


@functools.partial(compiled, runs_long=True)
def _curve(
    target: Driven,
    state: State,
    values: Arrays,
    limits: Arrays,
    time: Scalar,
    settings: _Settings,
) -> Any:
    x, field = flat_field(target.circuit, target.input, state, time, settings.named)
    x, values, limits = lax.stop_gradient((x, jnp.stack(values), limits))
    low, high = limits[0:4:2], limits[1:4:2]
    scale = jnp.concatenate([jnp.maximum(abs(x), 1.0), high - low])
    type_, n = settings.type_, x.size
    field = field.sized(scale)
    inner, u = field.scaled, jnp.concatenate([x, values])
    begun, frame, units = _beginning(type_, field, u, settings.at_end)
    own = units[n + 2 :]

    def equations(family: Family, z: Array, frame: Frame) -> Array:
        return type_.equations(family, z.at[n + 2 :].multiply(own), frame)

    wide, none = jnp.full(n, jnp.inf), jnp.zeros_like(own)
    bounds = Bounds(
        jnp.concatenate([-wide, low / scale[n:], none]),
        jnp.concatenate([wide, high / scale[n:], jnp.full_like(own, jnp.inf)]),
    )
    path = SmoothPath(
        lambda z, frame: equations(inner, z, frame),
        tuple(_test(type_, m, inner, own, n + 2) for m in settings.members),
        lambda z, frame: type_.reframe(inner, z.at[n + 2 :].multiply(own), frame),
        bounds,
        steps_up_to(limits[4]),
        None,
    )
    # where the second number grows, or the frequency from zero on
    upward = jnp.zeros_like(begun).at[n + 2 if settings.at_end else n + 1].set(1.0)
    u, solved = corrected(looking(path.in_frame(frame)), begun, upward)
    inside_bounds = ((values >= low) & (values <= high)).all()
    end = jnp.where(solved & inside_bounds, BranchEnd.GOING, BranchEnd.NO_START)
    start = Start(jnp.where(solved, u, begun), frame, upward, 0.0, end.astype(jnp.int32))

    def live(arrays: Arrays, z: Array, frame: Frame, units: Array) -> Array:
        inside = field.of(arrays).in_units(units[: n + 2])
        return type_.equations(inside, z.at[n + 2 :].multiply(units[n + 2 :]), frame)

    followed = Followed(
        field, path, live, units,
        tuple(Type(m, _begin(type_, m)) for m in settings.members),
    )  # fmt: skip
    whole = whole_path(followed, start, settings.directions, settings.attempts, settings.slots)
    return _told(whole, field, type_, n)


def _beginning(
    type_: AbstractFollowed, field: FlatField, u: Array, at_end: bool
) -> tuple[Array, Any, Array]:
    """The unknowns of the curve where it begins, scaled, the frame there, and their units."""
    inner, inside = field.scaled, u / field.scale
    unknowns, frame = type_.begin(inner, inside, jnp.zeros_like(inside))
    if at_end:
        unknowns = unknowns.at[u.size :].set(0.0)
        frame = type_.frame_at(inner, unknowns)
    a = by_state(inner.jacobian(inside))
    others = unknowns[u.size :]
    units = abs(others) + (1.0 if at_end else _STILL) * (a**2).mean()
    begun = jnp.append(inside, others / units)
    return lax.stop_gradient((begun, frame, jnp.append(field.scale, units)))


def _test(
    type_: AbstractFollowed, member: AbstractOnCurve, family: Family, own: Array, count: int
) -> Any:
    return lambda z, frame, derivatives, direction: type_.test_of(
        member, family, z.at[count:].multiply(own), frame
    )


def _begin(type_: AbstractFollowed, member: AbstractOnCurve) -> Any:
    return lambda family, z, tangent: type_.begin_of(member, family, z)


def _told(whole: Whole, field: FlatField, type_: AbstractFollowed, n: int) -> Any:
    """What a `Curve` holds."""
    slots = slots_of(whole.kept, field.arrays)
    live, still = field.of(slots.given), field.frozen

    def form(z: Array) -> Any:
        found = type_.normal_form(live, z, type_.frame_at(still, z))
        return found.frequency, found.coefficient

    frequency, coefficient = jax.vmap(form)(whole.points)
    # the frequency of a curve of Hopf points is the only other bound
    ends = whole.ends
    if whole.points.shape[1] > n + 2:
        square = whole.points[:, n + 2]
        last = jnp.stack([_last(whole, sign) for sign in (1.0, -1.0)])[: ends.size]
        stopped = abs(square[last]) <= 1e-9 * abs(square).max()
        halts = (ends == BranchEnd.BOUND) & stopped
        ends = jnp.where(halts, BranchEnd.ZERO_FREQUENCY, ends).astype(jnp.int32)
    points = slots.written(whole.points)
    return (
        jax.vmap(field.unravel)(points[:, :n]),
        points[:, n : n + 2],
        slots.written(frequency),
        slots.written(coefficient),
        slots.written(whole.at),
        whole.kept,
        special(whole, jax.vmap(field.unravel), 2, field.arrays),
        ends,
    )


def _last(whole: Whole, sign: float) -> Array:
    return index_of_largest(jnp.where(whole.kept, sign * whole.at, -jnp.inf))
