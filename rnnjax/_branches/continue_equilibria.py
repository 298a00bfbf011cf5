"""When does where it rests change? `continue_equilibria`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._branches.branch import Branch
from rnnjax._continuation.both_ways import Problem, Start, both_ways, special, steps_up_to
from rnnjax._continuation.march import BLOCK, Limits, Path, corrected
from rnnjax._continuation.points import Bifurcation
from rnnjax._continuation.zeros import Type, fields_of, scaled
from rnnjax._numerics.dense import solve
from rnnjax._numerics.eigenvalues import (
    dogleg,
    first_of,
    flatten,
    index_of_largest,
    refuse,
    vanishes,
)
from rnnjax._parameter import check_values, counted, field_of, leaf_of, path_of
from rnnjax._results import BranchEnd, ConvergenceError
from rnnjax._types import Array, in_float64, is_traced
from rnnjax.bifurcations._base import (
    AbstractOnBranch,
    Family,
    jacobian,
    jacobian_and_value,
)
from rnnjax.bifurcations._crossing import other_direction
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart, as_input, check_run, starting_state

MAX_STEP = 0.05  # scaled: the bounds are 1 apart, a state variable is its own size or 1
_GUESSES, _ROUNDS = 16, 8  # beside rest, where a search from there leads nowhere
_NEAR = 0.1  # scaled distance within which a start must lie from an equilibrium
_OFF = 1e-2  # scaled distance from a branch point at which the other branch is begun
_SINGULAR = 1e11  # length of the null vector of a singular matrix, had it an inverse


class Settings(NamedTuple):
    """What a compiled continuation depends on besides shapes."""

    types: tuple[AbstractOnBranch, ...]
    leaf: int
    blocks: int
    slots: int
    directions: tuple[float, ...]
    begin: str  # "rest", "state" or "switch"


def continue_equilibria(
    circuit: AbstractCircuit[Any] | Driven,
    where: Callable[[Any], Any],
    start: Any = None,
    bounds: tuple[float, float] | None = None,
    *,
    bifurcations: tuple[AbstractOnBranch, ...] | None = None,
    input: Any = None,
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
        where: names the one number that is followed, `lambda c: c.tau_i`. Its value in `circuit`
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
    target, leaf, (state, p, tangent) = _checked(circuit, where, bounds, input, start)
    if not 0 < max_step <= 1:
        raise ValueError(f"max_step: expected a share of the bounds, in (0, 1], got {max_step}")
    settings = Settings(
        types=_types(bifurcations, target.circuit, sum(np.size(x) for x in jax.tree.leaves(state))),
        leaf=leaf,
        blocks=-(-counted(max_points, "max_points") // BLOCK),
        slots=counted(max_bifurcations, "max_bifurcations"),
        directions=(1.0, -1.0) if both_directions else (1.0,),
        begin="rest" if start is None else "state" if tangent is None else "switch",
    )
    limits = np.asarray([*bounds, max_step], np.float64)  # pyright: ignore
    result = in_float64(_continued, target, state, p, tangent, limits, np.float64(time), settings)
    labels = tuple((t.label, t.kinds) for t in settings.types)
    branch = Branch(*result, name=path_of(circuit, where).rpartition(".")[2], types=labels)
    if is_traced(result):
        return branch
    branch = branch.trimmed()
    bad = [end for end in branch.endings if not end.reached]
    if throw and bad:
        raise ConvergenceError(f"{branch.name}: {bad[0].message}", branch)
    return branch


def _checked(
    circuit: Any, where: Any, bounds: Any, input: Any, start: Any
) -> tuple[Any, int, tuple[Any, Any, Any]]:
    """What is followed, which of its leaves, and from which state, value and tangent."""
    value = tangent = None
    if isinstance(start, Bifurcation):
        if start.label != "BP":
            raise ValueError(
                f"start: expected an equilibrium or a branch point (BP), got a {start.label}: "
                "give its `.state`"
            )
        start, value, tangent = start.state, start.parameter, start.tangent
    target, leaf, state, value = checked_target(circuit, where, bounds, input, start, value)
    value = value if is_traced(value) else np.asarray(value, np.float64)
    return target, leaf, (state, value, tangent)


def checked_target(
    circuit: Any, where: Any, bounds: Any, input: Any, start: Any, value: Any = None
) -> tuple[Any, int, Any, Any]:
    """What is followed, which of its leaves, and from which state and value, or a ValueError.

    Args:
        circuit: the circuit, or `Driven`.
        where: names the number.
        bounds: its lowest and highest value.
        input: the input.
        start: a state, or None for `rest()`.
        value: that of the number where the branch begins; its own unless given.
    """
    own, drive = apart(circuit, input)
    check_run(own, drive, None, None)
    path = path_of(circuit, where)
    value = where(circuit) if value is None else value
    if np.shape(value) != ():
        raise ValueError(
            f"where: expected one number to follow, {path} has shape {np.shape(value)}: give the "
            "number a field of its own"
        )
    low, high = checked_bounds(bounds, path)
    if not is_traced(value) and not low <= float(value) <= high:
        raise ValueError(
            f"bounds: expected them around the value of {path}, {float(value):g}, at which the "
            f"branch begins, got ({low:g}, {high:g}): change either"
        )
    field = field_of(circuit, path)
    if field is not None:
        check_values(field, np.asarray([low, high]), owner="bounds")
    state = starting_state(own, drive, start)
    target = circuit if isinstance(circuit, Driven) else Driven(circuit, as_input(own, input))
    inside = where if isinstance(circuit, Driven) else (lambda d: where(d.circuit))
    return target, leaf_of(target, inside), state, value


def checked_bounds(bounds: Any, path: str) -> tuple[float, float]:
    """The lowest and the highest value of the parameter, or a ValueError."""
    if bounds is None or np.shape(bounds) != (2,) or not np.isfinite(bounds).all():
        raise ValueError(f"bounds: expected (lowest, highest) of {path}, got {bounds}")
    low, high = (float(b) for b in bounds)
    if low >= high:
        raise ValueError(
            f"bounds: expected (lowest, highest) of {path} with lowest < highest, got "
            f"({low:g}, {high:g}): swap them"
        )
    return low, high


def _types(
    given: tuple[AbstractOnBranch, ...] | None, circuit: Any, variables: int
) -> tuple[AbstractOnBranch, ...]:
    """The bifurcations that are looked for."""
    if given is None:
        from rnnjax import bifurcations

        given = (bifurcations.Fold(), bifurcations.Hopf(), bifurcations.BranchPoint())
        if circuit.switching_functions(circuit.rest(), circuit.no_input()) is not None:
            given += (bifurcations.BoundaryEquilibrium(),)
    for each in given:
        if not isinstance(each, AbstractOnBranch):
            raise TypeError(
                f"bifurcations: expected objects such as Hopf(), got {each!r}: see "
                "rnnjax.bifurcations, and for those of curves: continue_bifurcation"
            )
    return tuple(each for each in given if each.variables <= variables)


@eqx.filter_jit
def _continued(
    target: Any, first: Any, p: Any, tangent: Any, limits: Array, time: Any, settings: Settings
) -> Any:
    x, unravel = flatten(jax.tree.map(jnp.asarray, first))
    x, p, tangent, limits = lax.stop_gradient((x, jnp.asarray(p), tangent, limits))
    low, high, largest = limits
    fields = fields_of(target, (settings.leaf,), unravel, time, x.size)
    if settings.begin == "rest":
        x = _near_rest(lambda z: fields.frozen(jnp.append(z, p)), x)
    scale = jnp.append(jnp.maximum(abs(x), 1.0), high - low)
    families = scaled(fields, scale)
    start = _started(families.scaled, jnp.append(x, p) / scale, tangent, scale, settings)
    if families.scaled.switching is not None:
        start = start._replace(frame=families.scaled.switching(start.u) > 0)
    start = start._replace(
        end=jnp.where((p >= low) & (p <= high), start.end, BranchEnd.NO_START).astype(jnp.int32)
    )
    wide = jnp.full(x.size, jnp.inf)
    bounds = Limits(
        jnp.append(-wide, low / scale[-1]),
        jnp.append(wide, high / scale[-1]),
        **steps_up_to(largest),
    )
    path = Path(
        lambda z, _: families.scaled(z), tuple(_test(t) for t in settings.types),
        lambda z, frame: frame, families.scaled.switching,
        next((k for k, t in enumerate(settings.types) if t.label == "BE"), None),
    )  # fmt: skip
    of = fields.of
    problem = Problem(
        families, path, lambda arrays, z, _, units: of(arrays)(z * units), scale,
        tuple(Type(t, t.begin) for t in settings.types),
    )  # fmt: skip
    whole = both_ways(problem, start, bounds, settings.directions, settings.blocks, settings.slots)
    derivatives = jax.vmap(lambda u: jacobian(families.live, u))(whole.points)
    return (
        jax.vmap(unravel)(whole.points[:, :-1]),
        whole.points[:, -1],
        whole.at,
        refuse(whole.kept[:, None, None], derivatives[:, :, :-1]),
        whole.kept,
        special(whole, unravel, 1),
        whole.ends,
    )


def _all_of(field: Any) -> Family:
    """The vector field and what its rectifiers act on: a silent unit may wake up farther on."""
    if field.switching is None:
        return field
    return lambda u: jnp.concatenate([field(u), field.switching(u)])


def _test(type_: AbstractOnBranch) -> Any:
    return lambda z, frame, derivatives, direction: type_.test(derivatives, direction)


def _near_rest(field: Family, rest: Array) -> Array:
    """An equilibrium by a search from rest; where it leads nowhere, from beside it."""
    steps = np.random.default_rng(0).normal(size=(_ROUNDS, _GUESSES, rest.size))
    steps = jnp.asarray(steps * np.geomspace(0.01, 30.0, _GUESSES)[:, None]).at[0, 0].set(0.0)

    def search(now: Any) -> Any:
        _, _, k = now
        found = jax.vmap(lambda x: dogleg(field, x, 100))(rest + steps[k] * (1 + abs(rest)))
        rests = jax.vmap(at_rest)(found)
        return found[index_of_largest(rests)], rests.any(), k + 1

    def at_rest(x: Array) -> Array:
        derivatives, value = jacobian_and_value(field, x)
        return vanishes(value, derivatives, x)

    first = rest, jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    return lax.while_loop(lambda now: ~now[1] & (now[2] < _ROUNDS), search, first)[0]


def _started(frozen: Family, u: Array, tangent: Any, scale: Array, settings: Settings) -> Start:
    """The point where the branch begins, and whether it can."""
    upward = jnp.zeros_like(u).at[-1].set(1.0)
    going, no = jnp.asarray(BranchEnd.MAX_POINTS, jnp.int32), BranchEnd.NO_START
    if settings.begin == "switch":
        direction = tangent / scale
        direction = direction / jnp.sqrt(direction @ direction)
        along = other_direction(frozen, u, direction)
        along = along * jnp.where(along[-1] < 0, -1.0, 1.0)
        well = jnp.isfinite(along).all()
        return Start(u, (), jnp.where(well, along, upward), _OFF, jnp.where(well, going, no))
    polished, solved = corrected(frozen, u, upward)
    solved &= jnp.isfinite(polished).all()
    if settings.begin == "state":
        solved &= (abs(u - polished) <= _NEAR).all()
    polished = jnp.where(solved, polished, u)
    derivatives = jacobian(frozen, polished)
    # with a row more the derivatives are regular, whichever it is, but where their rank is lower
    rows = np.random.default_rng(0).normal(size=(2, u.size))
    last = jnp.zeros_like(u).at[-1].set(1.0)
    across = [solve(jnp.concatenate([derivatives, row[None]]), last) for row in rows]
    singular = jnp.stack([~(jnp.sqrt(x @ x) < _SINGULAR) for x in across]).all()
    # at the start, and a little beside it in every direction
    beside = polished + 0.1 * jnp.concatenate(
        [jnp.zeros((1, u.size)), jnp.eye(u.size)[:-1], -jnp.eye(u.size)[:-1]]
    )
    there = jnp.isfinite(frozen(u)).all()
    effects = jax.vmap(lambda v: jax.jvp(_all_of(frozen), (v,), (upward,))[1])(beside)
    end = first_of(
        [~there | (~solved & ~singular), (effects == 0).all(), singular],
        [no, BranchEnd.INDEPENDENT, BranchEnd.SINGULAR],
        going,
    )
    return Start(polished, (), upward, 0.0, end)
