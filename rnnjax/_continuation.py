"""When does where it rests change? `continue_equilibria`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._branch import Bifurcation, Branch, Special
from rnnjax._follow import BLOCK, Limits, corrected, follow, hermite
from rnnjax._linalg import dogleg, first_of, flatten, index_of_largest, refuse, root_of, vanishes
from rnnjax._locate import Families, Located, locate, sorted_once
from rnnjax._parameter import check_values, counted, field_of, leaf_of, path_of
from rnnjax._results import BranchEnd, ConvergenceError
from rnnjax._small import solve
from rnnjax._types import Array, in_float64, is_traced
from rnnjax.bifurcations._base import AbstractBifurcation, Family, jacobian, jacobian_and_value
from rnnjax.bifurcations._crossing import other_direction
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart, as_input, check_run, starting_state

MAX_STEP = 0.05  # scaled: the bounds are 1 apart, a state variable is its own size or 1
_MIN_STEP = 1e-7
_FIRST = 1e-3
_FARTHEST = 1e6
_GUESSES = 15  # beside rest, where a search from there leads nowhere
_NEAR = 0.1  # scaled distance within which a start must lie from an equilibrium
_OFF = 1e-2  # scaled distance from a branch point at which the other branch is begun
_SINGULAR = 1e11  # length of the null vector of a singular matrix, had it an inverse


class Settings(NamedTuple):
    """What a compiled continuation depends on besides shapes."""

    types: tuple[AbstractBifurcation, ...]
    leaf: int
    blocks: int
    slots: int
    directions: tuple[float, ...]
    begin: str  # "rest", "state" or "switch"


class _Start(NamedTuple):
    """Where a branch begins, scaled: a point, a direction, and how far along it each way begins."""

    u: Array
    along: Array
    offset: Array
    end: Array  # a BranchEnd: MAX_POINTS, or why there is no start


def continue_equilibria(
    circuit: AbstractCircuit[Any] | Driven,
    where: Callable[[Any], Any],
    start: Any = None,
    bounds: tuple[float, float] | None = None,
    *,
    bifurcations: tuple[AbstractBifurcation, ...] | None = None,
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
        bifurcations: the types that are looked for; `Fold()`, `Hopf()` and `BranchPoint()`
            unless given.
        input: the input, held at its value at `time`.
        both_directions: whether the branch is followed both ways from the start, or only to
            where the parameter first grows.
        max_step: the longest step, scaled: the bounds are 1 apart, and a state variable counts
            in units of its own size at the start, or of 1 if that is smaller.
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
        types=_types(bifurcations, sum(np.size(x) for x in jax.tree.leaves(state))),
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
    own, drive = apart(circuit, input)
    check_run(own, drive, None, None)
    path = path_of(circuit, where)
    value, tangent = where(circuit), None
    if np.shape(value) != ():
        raise ValueError(
            f"where: expected one number to follow, {path} has shape {np.shape(value)}: give the "
            "number a field of its own"
        )
    if isinstance(start, Bifurcation):
        if start.label != "BP":
            raise ValueError(
                f"start: expected an equilibrium or a branch point (BP), got a {start.label}: "
                "give its `.state`"
            )
        start, value, tangent = start.state, start.parameter, start.tangent
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
    value = value if is_traced(value) else np.asarray(value, np.float64)
    return target, leaf_of(target, inside), (state, value, tangent)


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
    given: tuple[AbstractBifurcation, ...] | None, variables: int
) -> tuple[AbstractBifurcation, ...]:
    """The bifurcations that are looked for."""
    if given is None:
        from rnnjax import bifurcations

        given = (bifurcations.Fold(), bifurcations.Hopf(), bifurcations.BranchPoint())
    for each in given:
        if not isinstance(each, AbstractBifurcation):
            raise TypeError(
                f"bifurcations: expected objects such as Hopf(), got {each!r}: see "
                "rnnjax.bifurcations"
            )
    return tuple(each for each in given if each.variables <= variables)


def _family(target: Any, leaf: int, unravel: Any, time: Any) -> Family:
    """The vector field of state and parameter."""
    leaves, structure = jax.tree.flatten(target)

    def family(u: Array) -> Array:
        pair = jax.tree.unflatten(structure, [*leaves[:leaf], u[-1], *leaves[leaf + 1 :]])
        return flatten(pair.circuit(unravel(u[:-1]), as_input(pair.circuit, pair.input)(time)))[0]

    return family


@eqx.filter_jit
def _continued(
    target: Any, first: Any, p: Any, tangent: Any, limits: Array, time: Any, settings: Settings
) -> Any:
    x, unravel = flatten(jax.tree.map(jnp.asarray, first))
    still = jax.tree.map(lambda a: lax.stop_gradient(a) if eqx.is_array(a) else a, target)
    x, p, tangent, limits = lax.stop_gradient((x, jnp.asarray(p), tangent, limits))
    low, high, largest = limits
    frozen = _family(still, settings.leaf, unravel, time)
    if settings.begin == "rest":
        x = _near_rest(lambda z: frozen(jnp.append(z, p)), x)
    scale = jnp.append(jnp.maximum(abs(x), 1.0), high - low)
    arrays, rest = eqx.partition((target, time), eqx.is_array)

    def of(arrays: Any) -> Family:
        target, time = eqx.combine(arrays, rest)
        return _family(target, settings.leaf, unravel, time)

    families = Families(of, arrays, frozen, lambda u: frozen(u * scale) / scale[:-1], scale)
    start = _started(families.scaled, jnp.append(x, p) / scale, tangent, scale, settings)
    bounds = Limits(
        low / scale[-1], high / scale[-1], jnp.minimum(_FIRST, largest),
        jnp.minimum(_MIN_STEP, largest), largest, _FARTHEST,
    )  # fmt: skip
    signs = jnp.asarray(settings.directions)
    ends, (points, onward, kept, at), found = jax.vmap(
        lambda sign: _one_way(families, start, sign, bounds, settings)
    )(signs)

    def flat(a: Array) -> Array:
        return a.reshape(-1, *a.shape[2:])

    # a closed branch is whole after one way around
    once = jnp.ones(signs.size, bool).at[1:].set(ends[0] != BranchEnd.CLOSED)
    kept &= once[:, None]
    found = found._replace(
        found=found.found & once[:, None], unsolved=found.unsolved & once[:, None]
    )
    begun = start.end == BranchEnd.MAX_POINTS
    head = start.u, start.along, jnp.ones((), bool), jnp.zeros(())
    points, onward, kept, at = (
        jnp.concatenate([jnp.asarray(one)[None], flat(all_)])
        for one, all_ in zip(head, (points, onward, kept, at), strict=True)
    )
    kept &= begun
    order = jnp.argsort(jnp.where(kept, at, jnp.inf), stable=True)
    points, onward, kept, at = (a[order] for a in (points, onward, kept, at))
    points, derivatives = jax.vmap(lambda *v: _attached(families, *v))(points, onward, kept)
    found = sorted_once(jax.tree.map(flat, found), scale)
    return (
        jax.vmap(unravel)(points[:, :-1]),
        points[:, -1],
        refuse(kept, at),
        derivatives[:, :, :-1],
        kept,
        _special(found._replace(found=found.found & begun), unravel),
        jnp.where(begun, ends, start.end).astype(jnp.int32),
    )


def _near_rest(field: Family, rest: Array) -> Array:
    """An equilibrium by a search from rest; where it leads nowhere, from beside it."""
    steps = np.random.default_rng(0).normal(size=(_GUESSES, rest.size))
    guesses = rest + np.geomspace(0.01, 30.0, _GUESSES)[:, None] * steps * (1 + abs(rest))
    guesses = jnp.concatenate([rest[None], guesses])
    found = jax.vmap(lambda x: dogleg(field, x, 100))(guesses)

    def rests(x: Array) -> Array:
        derivatives, value = jacobian_and_value(field, x)
        return vanishes(value, derivatives, x)

    return found[index_of_largest(jax.vmap(rests)(found))]


def _started(frozen: Family, u: Array, tangent: Any, scale: Array, settings: Settings) -> _Start:
    """The point where the branch begins, and whether it can."""
    upward = jnp.zeros_like(u).at[-1].set(1.0)
    going, no = jnp.asarray(BranchEnd.MAX_POINTS, jnp.int32), BranchEnd.NO_START
    if settings.begin == "switch":
        direction = tangent / scale
        direction = direction / jnp.sqrt(direction @ direction)
        along = other_direction(frozen, u, direction)
        along = along * jnp.where(along[-1] < 0, -1.0, 1.0)
        well = jnp.isfinite(along).all()
        return _Start(
            u, jnp.where(well, along, upward), jnp.asarray(_OFF), jnp.where(well, going, no)
        )
    polished, solved = corrected(frozen, u, upward, 1e-8)
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
    effects = jax.vmap(lambda v: jax.jvp(frozen, (v,), (upward,))[1])(beside)
    end = first_of(
        [~solved & ~singular, (effects == 0).all(), singular],
        [no, BranchEnd.INDEPENDENT, BranchEnd.SINGULAR],
        going,
    )
    return _Start(polished, upward, jnp.zeros(()), end)


def _one_way(
    families: Families, start: _Start, sign: Array, bounds: Limits, settings: Settings
) -> tuple[Array, tuple[Array, Array, Array, Array], Located]:
    """The branch in one of its directions."""
    along, u = sign * start.along, start.u
    if settings.begin == "switch":
        moved, solved = corrected(families.scaled, u + start.offset * along, along, 1e-8)
        u = jnp.where(solved, moved, u)
    tests = tuple(t.test for t in settings.types)
    now, taken = follow(families.scaled, tests, u, along, bounds, settings.blocks)
    lengths = start.offset + jnp.cumsum(jnp.where(taken.taken, taken.step, 0.0))
    begun = sign * (lengths - jnp.where(taken.taken, taken.step, 0.0))
    found = locate(families, settings.types, taken, begun, settings.slots)
    value = found.u[:, -1] / families.scale[-1]
    within = (value >= bounds.low - 1e-9) & (value <= bounds.high + 1e-9)
    found = found._replace(found=found.found & within)
    points = _at_bound(families.scaled, taken, now.end, bounds)
    return now.end, (points, taken.onward, taken.taken, sign * lengths), found


def _at_bound(frozen: Family, taken: Any, end: Array, limits: Limits) -> Array:
    """The ends of all attempts, the last one moved back onto the bound that it crossed."""
    count = taken.taken.shape[0]
    last = count - 1 - index_of_largest(taken.taken[::-1])
    begin, u, after, step, _, _ = jax.tree.map(lambda x: x[last], taken)
    bound = jnp.where(u[-1] > limits.high, limits.high, limits.low)
    share = jnp.linspace(0, 1, 65)
    path = hermite(begin.u[-1], u[-1], step * begin.tangent[-1], step * after[-1], share)
    s = share[index_of_largest((path > limits.high) | (path < limits.low))]
    guess = hermite(begin.u, u, step * begin.tangent, step * after, s).at[-1].set(bound)
    moved, solved = corrected(frozen, guess, jnp.zeros_like(u).at[-1].set(1.0), 1e-8)
    change = solved & (end == BranchEnd.BOUND) & taken.taken.any()
    return taken.end.at[last].set(jnp.where(change, moved, u))


def _attached(families: Families, u: Array, across: Array, kept: Array) -> tuple[Array, Array]:
    """A point with its derivatives across the branch, and the Jacobian there; NaN where not kept."""
    of = families.of

    def equations(arrays: Any, v: Array, constants: Any) -> Array:
        u, across, scale = constants
        return jnp.append(of(arrays)(v), across @ (v / scale - u))

    v = root_of(equations, families.arrays, u * families.scale, (u, across, families.scale))
    return refuse(kept, v), refuse(kept, jacobian(families.live, v))


def _special(found: Located, unravel: Any) -> Special:
    only = found.found

    def finite(a: Array) -> Array:
        return refuse(only.reshape(-1, *(1,) * (a.ndim - 1)), a)

    return Special(
        state=jax.vmap(unravel)(finite(found.u)[:, :-1]),
        parameter=finite(found.u)[:, -1],
        tangent=finite(found.tangent),
        type_index=jnp.where(only, found.label, -1),
        kind_index=jnp.where(only, found.kind, -1),
        frequency=finite(found.frequency),
        coefficient=finite(found.coefficient),
        at=finite(found.at),
        found=only,
        unsolved=found.unsolved.sum(),
    )
