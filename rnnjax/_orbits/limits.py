"""What periodic orbits come to where their period grows without bound: seen from what is beside them."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._continuation.corrector import solved_alone
from rnnjax._machine.parts import compiled_part
from rnnjax._numerics.dense import in_loops, null_vectors
from rnnjax._numerics.unstable import unstable_count
from rnnjax._orbits.orbit import rows_of
from rnnjax._orbits.orbit_branch import LimitOrbit, OrbitBranch
from rnnjax._precision import in_float64, index_of_largest, to_host
from rnnjax._results import BranchEnd
from rnnjax._types import AnyArray, Array, Bool, Float, Int, Limits, Scalar, State
from rnnjax._where import Named
from rnnjax.bifurcations._base import bordered_null, by_state, jacobian_and_value
from rnnjax.circuits._base import Driven
from rnnjax.circuits._flat import flat_field, states_of

_TOLD = 1e-11  # changes of the parameter that are more than rounding
_NEAR = 0.1  # of the size of the orbit, how near its slowest state an equilibrium must be
_AHEAD = 0.02  # of the range of the parameter, how near the end of the branch a fold must be
_SOLVED = 1e-9  # of these sizes, the last correction


class Beside(NamedTuple):
    """What is beside the slowest state of an orbit, each far off where it could not be solved for.

    Attributes:
        rest: an equilibrium at the same parameter.
        unstable: how many eigenvalues with positive real parts it has.
        fold: a fold of equilibria.
        place: its parameter.
        off: how far both are from the slowest state, in units of the size of the orbit.
    """

    rest: Float[AnyArray, " n"]
    unstable: Int[AnyArray, ""]
    fold: Float[AnyArray, " n"]
    place: Float[AnyArray, ""]
    off: Float[AnyArray, "2"]


def with_limits(
    branch: OrbitBranch, target: Driven, named: Named, rest: State, time: Scalar, bounds: Limits
) -> OrbitBranch:
    """A branch that is known, which says what its orbits come to.

    A SNIC is said where a fold of equilibria is found beside the slowest state of the last orbit, and no
    equilibrium on this side of it; a homoclinic orbit where a saddle is.

    Args:
        branch: the branch.
        target: the circuit and its input.
        named: the number that is followed.
        rest: a state, for its structure.
        time: at which the input is held.
        bounds: of the number.
    """

    def limit(k: int, side: int) -> LimitOrbit | None:
        """That of the orbits that end with row k."""
        nodes = np.asarray(rows_of(rest, jax.tree.map(lambda x: x[k], branch.states)), np.float64)
        p = np.asarray(branch.parameter[k], np.float64)
        found: Beside = in_float64(_beside, *to_host((target, rest, time)), named, nodes, p)
        exponent = exponent_of(branch.parameter[::side], branch.period[::side])
        saddle = 0 < int(found.unstable) < nodes.shape[1]
        if found.off[0] <= _NEAR:
            at = float(p), states_of(rest, found.rest)
            return LimitOrbit("homoclinic", *at, exponent) if saddle else None
        ahead = abs(float(found.place - p)) <= _AHEAD * (bounds[1] - bounds[0])
        if found.off[1] <= _NEAR and ahead:
            return LimitOrbit("SNIC", float(found.place), states_of(rest, found.fold), exponent)
        return None

    ends = zip(branch.endings, ((len(branch) - 1, 1), (0, -1)), strict=False)
    limits = tuple(limit(*row) if end == BranchEnd.LONG_PERIOD else None for end, row in ends)
    return dataclasses.replace(branch, limits=limits)


def exponent_of(p: AnyArray, period: AnyArray) -> float:
    r"""The exponent of $|dp / dT| \sim T^s$ where periods grow towards the end; NaN where p stands still."""
    p, period = np.asarray(p, np.float64), np.asarray(period, np.float64)
    rising = len(p) - 1
    while rising > 0 and period[rising - 1] < period[rising]:
        rising -= 1
    p, period = p[rising:], period[rising:]
    told = np.flatnonzero(abs(np.diff(p)) > _TOLD * (1 + abs(p[1:])))
    if len(told) < 2:
        return np.nan
    a, b = told[-2:]
    slopes = [abs((p[k + 1] - p[k]) / (period[k + 1] - period[k])) for k in (a, b)]
    places = [np.sqrt(period[k] * period[k + 1]) for k in (a, b)]
    return float(np.log(slopes[1] / slopes[0]) / np.log(places[1] / places[0]))


@compiled_part
def _beside(
    target: Driven, rest: State, time: Scalar, named: Named, nodes: Array, p: Array
) -> Beside:
    with in_loops():
        _, field = flat_field(target.circuit, target.input, rest, time, (named,))
        size = nodes.max(0) - nodes.min(0)
        size = jnp.where(size > 0, size, 1.0)
        pace = jax.vmap(lambda x: ((field(jnp.append(x, p)) / size) ** 2).sum())(nodes)
        slowest = nodes[index_of_largest(-pace)]
        u = jnp.append(slowest, p)
        borders = null_vectors(by_state(field.jacobian(u)))

        def folds(v: Array) -> Array:
            derivatives, value = jacobian_and_value(field, v)
            return jnp.append(value, bordered_null(by_state(derivatives), borders)[0])

        def off(x: Array, last: Array) -> Float[Array, ""]:
            well: Bool[Array, ""] = last <= _SOLVED
            return jnp.where(well, (abs(x - slowest) / size).max(), jnp.inf)

        x, of_rest = solved_alone(lambda x: field(jnp.append(x, p)), slowest, size)
        v, of_fold = solved_alone(folds, u, jnp.append(size, 1.0 + abs(p)))
        unstable = unstable_count(by_state(field.jacobian(jnp.append(x, p))))
        apart = jnp.stack([off(x, of_rest), off(v[:-1], of_fold)])
        return Beside(x, unstable, v[:-1], v[-1], apart)
