"""Gradients of all that is found at once, where slots are left: none of NaN, and those of differences.

Arrays of fixed shape have slots that hold nothing. One number, random weights times everything that was
found, is differentiated by every number of the circuit: alone and in batches whose lanes fill different
numbers of slots, in both modes.
"""

import operator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from oracles import central_difference

import rnnjax
from rnnjax import bifurcations
from rnnjax._numerics.collocation import Cycle, Row, phase_row, residual
from rnnjax._orbits.orbit_points import point, row_of
from rnnjax._orbits.search import floquet
from rnnjax._where import number_named
from rnnjax.circuits import (
    AdaptiveQuadraticMeanField,
    HindmarshRose,
    HodgkinHuxley,
    JansenRit,
    MorrisLecar,
    QuadraticMeanField,
    TsodyksMarkram,
    WilsonCowan,
)
from rnnjax.circuits._flat import flat_field, states_of


class Cubic(rnnjax.AbstractCircuit):
    r"""A fold whose derivative bends: $\dot x = r (p + q + u - x^2 - x^3 / 10)$."""

    p: Any = rnnjax.parameter(0.75, "1")
    q: Any = rnnjax.parameter(0.25, "1")
    r: Any = rnnjax.parameter(1.0, "1/ms")

    def __call__(self, state, input):
        return self.r * (self.p + self.q + input - state**2 - state**3 / 10)

    def rest(self):
        return jnp.ones_like(self.p)


class Flux(rnnjax.AbstractCircuit):
    r"""A flux through a membrane, by the equation of Goldman, Hodgkin and Katz, which is 0 / 0 at zero.

    $\dot x = p - g x (1 - q e^{-x}) / (1 - e^{-x}) + 5 h x^2 / (1 + x^2)$
    """

    p: Any = rnnjax.parameter(5.0, "1")
    q: Any = rnnjax.parameter(0.25, "1")
    g: Any = rnnjax.parameter(1.0, "1/ms")
    h: Any = rnnjax.parameter(1.25, "1/ms")

    def __call__(self, state, input):
        decay = jnp.exp(-state)
        flux = self.g * state * (1 - self.q * decay) / (1 - decay)
        return self.p - flux + 5 * self.h * state**2 / (1 + state**2) + input

    def rest(self):
        return 2 * jnp.ones_like(self.p)


class FitzHughNagumo(rnnjax.AbstractCircuit):
    r"""$\dot v = v - v^3 / 3 - w + I + u$, $\dot w = \epsilon\,(v + a - b w)$; u acts on both."""

    current: Any = rnnjax.parameter(0.0, "1")
    a: Any = rnnjax.parameter(0.7, "1")
    b: Any = rnnjax.parameter(0.8, "1")
    rate: Any = rnnjax.parameter(0.08, "1/ms")

    def __call__(self, state, input):
        v, w = state
        fast = v - v**3 / 3 - w + self.current
        return jnp.stack([fast, self.rate * (v + self.a - self.b * w)]) + input

    def rest(self):
        return jnp.asarray([-1.2, -0.6], jnp.result_type(self.a))


class Case(NamedTuple):
    """A circuit, the number that is followed and its bounds; other numbers for a batch, by name."""

    circuit: Any
    where: str
    bounds: tuple[float, float]
    batch: dict[str, list[float]]


CASES = {
    "cubic": Case(Cubic(), "p", (-1.0, 1.0), {"q": [0.25, 2.0, 0.5]}),
    "flux": Case(Flux(), "p", (-2.0, 6.0), {"h": [1.25, 0.5, 1.0]}),
    "Morris-Lecar": Case(
        MorrisLecar.snic(current=-40.0), "current", (-50.0, 300.0), {"v_3": [12.0, -5.0]}
    ),
}
OTHERS = {
    "Wilson-Cowan": Case(WilsonCowan(p=0.0, w_ee=16.0), "p", (-1.0, 4.0), {}),
    "FitzHugh-Nagumo": Case(FitzHughNagumo(), "current", (-0.5, 2.0), {}),
    "Hodgkin-Huxley": Case(HodgkinHuxley(), "current", (-5.0, 170.0), {}),
    "quadratic mean field": Case(QuadraticMeanField(), "eta", (-10.0, 5.0), {}),
    "adaptive mean field": Case(AdaptiveQuadraticMeanField(), "eta", (-10.0, 5.0), {}),
    "Hindmarsh-Rose": Case(HindmarshRose(), "current", (-3.0, 5.0), {}),
    "Jansen-Rit": Case(JansenRit(), "p", (0.0, 400.0), {}),
    "Tsodyks-Markram": Case(TsodyksMarkram(), "e_0", (-3.0, 0.0), {}),
}
STEP = 2.0**-12  # of differences, as a share of a number's size


def as_given(circuit):
    """With numbers that both modes hold, in the dtype of the mode."""
    dtype = jnp.float64 if jax.dtypes.canonicalize_dtype(float) == np.float64 else jnp.float32
    return jax.tree.map(lambda x: jnp.asarray(np.float32(x), dtype), circuit)


def in_a_batch(case):
    """The circuits of a case's batch, as one whose numbers have an axis in front."""
    count = len(next(iter(case.batch.values())))
    circuit = jax.tree.map(lambda x: np.stack([np.float32(x)] * count), case.circuit)
    for name, values in case.batch.items():
        circuit = eqx.tree_at(operator.attrgetter(name), circuit, np.float32(values))
    return as_given(circuit)


def lane(tree, k):
    """One of a batch, in float64."""

    def one(x):
        x = np.asarray(x[k])
        return x.astype(np.float64) if x.dtype == np.float32 else x

    return jax.tree.map(one, tree)


class Found(NamedTuple):
    """Something that was found: which slots hold it, and the arrays, each `(slot, ...)`."""

    there: Any
    arrays: dict[str, Any]


def of_points(branch):
    """What a branch of equilibria holds of its points."""
    arrays = {f"states {k}": x for k, x in enumerate(jax.tree.leaves(branch.states))}
    arrays |= {"parameter": branch.parameter, "jacobian": branch.jacobian}
    return Found(branch.found, arrays | {"squares": squares(branch.found, branch.eigenvalues)})


def squares(there, eigenvalues):
    """The sum of the squares of the eigenvalues, which is smooth where two of them meet as well."""
    xp = np if isinstance(eigenvalues, np.ndarray) else jnp
    values = xp.where(there[:, None], eigenvalues, xp.ones((), eigenvalues.dtype))
    return xp.sum(values**2, -1).real


def of_special(line):
    """And of its bifurcations: what has derivatives of it."""
    special = line.special
    arrays = {f"state {k}": x for k, x in enumerate(jax.tree.leaves(special.state))}
    names = "parameter", "frequency", "coefficient"
    return Found(special.found, arrays | {name: getattr(special, name) for name in names})


def spread(there, x):
    """`there` with axes for the others of x."""
    return there.reshape(-1, *(1,) * (x.ndim - 1))


def sizes_of(every):
    """How large each of the arrays is, where something was found."""
    sizes = []
    for found in every:
        of = {}
        for name, x in found.arrays.items():
            some = np.asarray(x)[np.asarray(found.there)]
            assert np.isfinite(some).all(), name
            of[name] = float(np.sqrt((some**2).mean())) if (abs(some) > 1e-9).any() else 1.0
        sizes.append(of)
    return sizes


def weighed(every, sizes, *, by_nansum=False):
    """One number: random weights times all that was found."""
    total = 0.0
    for found, own in zip(every, sizes, strict=True):
        for k, (name, x) in enumerate(found.arrays.items()):
            random = np.random.default_rng(k)  # those of the first slots are the same of any room
            weights = (random.normal(size=x.shape) / own[name]).astype(x.dtype)
            if by_nansum:
                total = total + jnp.nansum(weights * x)
            else:
                total = total + (weights * jnp.where(spread(found.there, x), x, 0)).sum()
    return total


def gradient_of(function, circuit):
    """Of a number by every one of the circuit's, each in units of its size; and how they are called."""
    return in_units(eqx.filter_grad(function)(circuit), circuit)


def in_units(slopes, circuit):
    """A gradient as an array, in units of the numbers' sizes."""
    pairs = zip(jax.tree.leaves(slopes), jax.tree.leaves(circuit), strict=True)
    return np.stack([np.asarray(g, np.float64) * size(x) for g, x in pairs])


def size(x):
    """What a change of a number is measured by."""
    return np.maximum(abs(np.asarray(x, np.float64)), 0.1)


def differences_of(function, circuit):
    """The same by differences."""
    leaves, structure = jax.tree.flatten(circuit)

    def at(k, value):
        return function(jax.tree.unflatten(structure, [*leaves[:k], value, *leaves[k + 1 :]]))

    return np.stack([
        central_difference(lambda x, k=k: at(k, x), x, STEP * float(size(x))) * size(x)
        for k, x in enumerate(map(np.asarray, leaves))
    ])  # fmt: skip


def assert_same(got, expected, rtol):
    """To so much of the largest component."""
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, expected, rtol=0, atol=rtol * abs(expected).max())


# branches of equilibria


def follow(case, circuit):
    """A branch of equilibria with all that is looked for."""
    return rnnjax.continue_equilibria(
        circuit, operator.attrgetter(case.where), bounds=case.bounds, max_points=80,
        max_bifurcations=3,
    )  # fmt: skip


def of_branch(branch):
    """All that a branch of equilibria holds."""
    return [of_points(branch), of_special(branch)]


def field_of(circuit, where, u):
    """The vector field at a state and a value of the parameter, one vector."""
    _, unravel = ravel_pytree(circuit.rest())
    moved = eqx.tree_at(operator.attrgetter(where), circuit, u[-1])
    return ravel_pytree(moved(unravel(u[:-1]), circuit.no_input()))[0]


@eqx.filter_jit
def solved_across(circuit, where, points, rows):
    """Where the points of a branch come to in a circuit, each on the plane across a row, and the Jacobian there."""

    def one(u, row):
        v = u
        for _ in range(6):
            slopes = jax.jacfwd(lambda v: field_of(circuit, where, v))(v)
            off = jnp.append(field_of(circuit, where, v), row @ (v - u))
            v = v - jnp.linalg.solve(jnp.concatenate([slopes, row[None]]), off)
        return v, jax.jacfwd(lambda v: field_of(circuit, where, v))(v)[:, :-1]

    return jax.vmap(one)(points, rows)


def rows_across(case, circuit, points, at):
    """Across which row each point of a branch moves: the tangent there, and where it begins the parameter."""
    scale = np.append(np.maximum(abs(points[at == 0, :-1]), 1.0), np.ptp(case.bounds))
    slopes = jax.vmap(jax.jacfwd(lambda u: field_of(circuit, case.where, u)))(jnp.asarray(points))
    tangents = np.linalg.svd(np.asarray(slopes) * scale)[2][:, -1] / scale
    return np.where((at == 0)[:, None], np.eye(scale.size)[-1], tangents)


def points_elsewhere(case, branch, circuit):
    """A function of a circuit: what the points of a branch of `circuit` come to there."""
    there, at = np.asarray(branch.found), np.asarray(branch.at)
    leaves = [np.asarray(x) for x in (*jax.tree.leaves(branch.states), branch.parameter)]
    points = np.concatenate([x.reshape(there.size, -1) for x in leaves], 1)[there]
    rows = rows_across(case, circuit, points, at[there])

    def found(other):
        moved, jacobian = solved_across(other, case.where, points, rows)

        def put(x, shape):
            whole = np.zeros(shape)
            whole[there] = np.reshape(x, (-1, *shape[1:]))
            return whole

        ends = np.cumsum([x[0].size for x in leaves])[:-1]
        parts = [put(x, y.shape) for x, y in zip(np.split(moved, ends, 1), leaves, strict=True)]
        arrays = {f"states {k}": x for k, x in enumerate(parts[:-1])}
        jacobians = put(jacobian, branch.jacobian.shape)
        of_all = {"parameter": parts[-1], "jacobian": jacobians}
        of_all["squares"] = np.einsum("kij,kji->k", jacobians, jacobians)
        return Found(there, arrays | of_all)

    return found


def differences_of_branch(case, branch, circuit, sizes):
    """The gradient of the number by differences: points across the branch, bifurcations found anew."""
    points = points_elsewhere(case, branch, circuit)

    def number(other):
        special = of_special(follow(case, other))
        np.testing.assert_array_equal(special.there, branch.special.found)
        return weighed([points(other), special], sizes)

    return differences_of(number, circuit)


@pytest.mark.parametrize(
    "name", [*CASES, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_branches_of_equilibria(name):
    case = (CASES | OTHERS)[name]
    with jax.enable_x64(True):
        circuit = as_given(case.circuit)
        branch = follow(case, circuit)
        sizes = sizes_of(of_branch(branch))
        expected = differences_of_branch(case, branch, circuit, sizes)
    for x64, rtol in ((True, 1e-6), (False, 1e-4)):
        with jax.enable_x64(x64):
            for nansum in (False, True):
                got = gradient_of(
                    lambda c, n=nansum: weighed(of_branch(follow(case, c)), sizes, by_nansum=n),
                    as_given(case.circuit),
                )
                assert_same(got, expected, rtol)


def both(every, sizes):
    """The number by selection and by `nansum`, their mean."""
    return (weighed(every, sizes) + weighed(every, sizes, by_nansum=True)) / 2


def of_a_batch(find, parts, circuits, sizes):
    """What is found of a batch of circuits, and the gradients of its numbers, in one program."""

    def number(many):
        found = eqx.filter_vmap(find)(many)
        return eqx.filter_vmap(lambda one: both(parts(one), sizes))(found).sum(), found

    slopes, found = eqx.filter_jit(eqx.filter_grad(number, has_aux=True))(circuits)
    return in_units(slopes, circuits), found


@pytest.mark.parametrize(
    ("name", "x64"),
    [("cubic", False),
     *(pytest.param(*each, marks=pytest.mark.slow)
       for each in (("cubic", True), ("flux", False), ("flux", True),
                    ("Morris-Lecar", False), ("Morris-Lecar", True)))],
)  # fmt: skip
def test_batches_of_branches_of_equilibria(name, x64):
    case = CASES[name]
    with jax.enable_x64(x64):
        circuits = in_a_batch(case)
        sizes = sizes_of(of_branch(follow(case, lane(circuits, 0))))
        got, branches = of_a_batch(lambda c: follow(case, c), of_branch, circuits, sizes)
    for there in (branches.found, branches.special.found):
        counts = np.asarray(there).sum(1)
        assert len(set(counts.tolist())) > 1
        assert (counts < there.shape[1]).all()
    with jax.enable_x64(True):
        for k in range(got.shape[1]):
            alone, branch = lane(circuits, k), lane(branches, k)
            expected = differences_of_branch(case, branch, alone, sizes)
            assert_same(got[:, k], expected, 1e-6 if x64 else 1e-4)


@pytest.mark.parametrize(
    "x64", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["x32", "x64"]
)
def test_a_branch_that_does_not_begin_spoils_nothing_that_is_shared(x64):
    """Of the lanes of a batch that share a number, one has no equilibrium at all, and one no vector field."""

    class Shared(Cubic):
        """With a number that all share, and a root that may be none."""

        def __call__(self, state, input):
            shared = super().__call__(state, input) + state**3 / 10
            return jnp.sqrt(self.r) * shared - state**2

    def number(q, p, r):
        found = rnnjax.continue_equilibria(
            Shared(p=p, q=q, r=r), operator.attrgetter("p"), bounds=(-1.0, 1.0), max_points=80,
        )  # fmt: skip
        return weighed(of_branch(found), [dict.fromkeys(of.arrays, 1.0) for of in of_branch(found)])

    with jax.enable_x64(x64):
        q, p, r = (jnp.asarray(x, float) for x in (0.25, [0.75, -0.75, 0.75], [1.0, 1.0, -1.0]))
        several = jax.jit(
            jax.value_and_grad(lambda q: jnp.sum(jax.vmap(lambda *x: number(q, *x))(p, r)))
        )
        alone = jax.value_and_grad(lambda q: number(q, p[0], r[0]))
        found = several(q)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, alone(q), rtol=1e-6)


# branches of orbits


class Rings(rnnjax.AbstractCircuit):
    r"""Circles that meet at a fold of cycles: $\dot r = r\,(p + k r^2 - r^4)$, a little out of shape."""

    p: Any = rnnjax.parameter(0.125, "1/ms")
    k: Any = rnnjax.parameter(1.0, "1/ms")
    w: Any = rnnjax.parameter(1.0, "rad/ms")
    b: Any = rnnjax.parameter(0.25, "rad/ms")

    def __call__(self, state, input):
        x, y = state
        square = x**2 + y**2
        growth = self.p + self.k * square - square**2
        rate = self.w + self.b * square
        return jnp.stack([x * growth - rate * y, y * growth + rate * x + self.b * x**2 / 4]) + input

    def rest(self):
        return jnp.asarray([1.0, 0.0], jnp.result_type(self.p))


def follow_orbits(case, circuit, guess):
    """A branch of orbits, from one that is found near a guess: states over a period, and the period."""
    start = rnnjax.find_orbit(circuit, guess[0], period=guess[1], intervals=8, throw=False)
    return rnnjax.continue_orbits(
        circuit, operator.attrgetter(case.where), start, case.bounds, intervals=8, max_points=32,
        max_bifurcations=2, bifurcations=(bifurcations.FoldOfCycles(),), throw=False,
    )  # fmt: skip


def of_orbits(branch):
    """All that a branch of orbits holds, but for what has no derivatives."""
    special = branch.special

    def of(line, names):
        parts = {name: getattr(line, name) for name in names}
        return {
            f"{name} {k}": x
            for name, part in parts.items()
            for k, x in enumerate(jax.tree.leaves(part))
        }

    names = "states", "parameter", "period"
    others = "multipliers_real", "multipliers_imaginary", "frequency"
    return [
        Found(branch.found, of(branch, names + others)),
        Found(special.found, of(special, names)),
    ]


CIRCLE = np.stack([np.cos(np.arange(32) * np.pi / 16), np.sin(np.arange(32) * np.pi / 16)], 1)
ORBITS = {
    "rings": (Case(Rings(), "p", (-0.5, 0.5), {"k": [1.0, 1.25]}), (CIRCLE, 5.0)),
}


@eqx.filter_jit
def cycles_elsewhere(circuit, other, where, cycles, scale, index):
    """Orbits of a circuit in another one: each across the branch, or at a test's zero.

    The same equations as the package's, solved by elimination of a dense matrix.
    """
    n = scale.size - 1
    fold = (bifurcations.FoldOfCycles(),)

    def field(of):
        return lambda u: field_of(of, where, u * scale) / scale[:n]

    def one(x, period, parameter, widths):
        old = Cycle(x, period, parameter, widths)

        def cycle_of(z):
            return Cycle(z[:-2].reshape(x.shape), z[-2], z[-1], widths)

        def flat(row):
            return jnp.concatenate([row.x.ravel(), row.period[None], row.parameter[None]])

        z = flat(old)
        phase = flat(phase_row(old))
        by = jax.jacfwd(lambda z: residual(field(circuit), cycle_of(z)).ravel())(z)
        tangent = jnp.linalg.svd(jnp.concatenate([by, phase[None]]))[2][-1]
        along = Row(*cycle_of(tangent)[:3])
        across = flat(row_of(old, along))

        def left(v):
            off = residual(field(other), cycle_of(v)).ravel()
            held = (
                across @ (v - z)
                if index is None
                else point(field(other), fold, cycle_of(v), along).tests[0]
            )
            return jnp.concatenate([off, jnp.stack([phase @ (v - z), held])])

        v = z
        for _ in range(5):
            v = v - jnp.linalg.solve(jax.jacfwd(left)(v), left(v))
        found = cycle_of(v)
        multipliers = floquet(field(other), found)
        return found, multipliers.real, multipliers.imag

    return jax.lax.map(lambda c: one(*c), cycles)


def orbits_elsewhere(case, branch, circuit, first):
    """A function of a circuit: what the orbits of a branch of `circuit` come to there."""
    rest = circuit.rest()

    def rows(line):
        leaves = jax.tree.leaves(line.states)
        return np.concatenate([x.reshape(*x.shape[:2], -1) for x in leaves], 2)

    nodes = np.concatenate([x.reshape(x.shape[0], -1) for x in jax.tree.leaves(first.states)], 1)
    scale = np.append(np.maximum(abs(nodes).max(0), 1.0), np.ptp(case.bounds))

    def put(there, x, shape):
        whole = np.zeros(shape)
        whole[there] = np.reshape(x, (-1, *shape[1:]))
        return whole

    def of(line, found, index, names):
        there = np.asarray(found)
        x = rows(line)[there]
        cycles = (
            jnp.asarray(x.reshape(x.shape[0], -1, 4, x.shape[2]) / scale[:-1]),
            *(
                jnp.asarray(y[there])
                for y in (line.period, line.parameter / scale[-1], line.widths)
            ),
        )

        def moved(other):
            cycle, *others = cycles_elsewhere(circuit, other, case.where, cycles, scale, index)
            x = np.asarray(cycle.x * scale[:-1]).reshape(cycle.x.shape[0], -1, cycle.x.shape[-1])
            every = {f"states {k}": y for k, y in enumerate(jax.tree.leaves(states_of(rest, x)))}
            every |= {"parameter 0": cycle.parameter * scale[-1], "period 0": cycle.period}
            every |= {"frequency 0": 1000 / cycle.period}
            every |= {"multipliers_real 0": others[0], "multipliers_imaginary 0": others[1]}
            whole = {name: put(there, every[name], y.shape) for name, y in names.items()}
            return Found(there, whole)

        return moved

    points, special = of_orbits(branch)
    first_of = of(branch, branch.found, None, points.arrays)
    second_of = of(branch.special, branch.special.found, 0, special.arrays)
    return lambda other: [first_of(other), second_of(other)]


def slope_along(function, circuit, direction):
    """The derivative of a number along a direction in which every number of the circuit changes, by differences."""
    leaves, structure = jax.tree.flatten(circuit)

    def at(step):
        moved = [np.asarray(x + step * d * size(x)) for x, d in zip(leaves, direction, strict=True)]
        return function(jax.tree.unflatten(structure, moved))

    return central_difference(at, 0.0, STEP)


@pytest.mark.slow
@pytest.mark.parametrize("name", ORBITS)
def test_branches_of_orbits(name):
    case, guess = ORBITS[name]
    with jax.enable_x64(True):
        circuit = as_given(case.circuit)
        branch = follow_orbits(case, circuit, guess)
        sizes = sizes_of(of_orbits(branch))
        assert branch.special.found.any()
        first = rnnjax.find_orbit(circuit, guess[0], period=guess[1], intervals=8)
        elsewhere = orbits_elsewhere(case, branch, circuit, first)
        direction = np.random.default_rng(1).normal(size=len(jax.tree.leaves(circuit)))
        expected = slope_along(lambda c: weighed(elsewhere(c), sizes), circuit, direction)
    for x64, rtol in ((True, 1e-6), (False, 1e-4)):
        with jax.enable_x64(x64):
            got = gradient_of(
                lambda c: both(of_orbits(follow_orbits(case, c, guess)), sizes),
                as_given(case.circuit),
            )
        assert np.isfinite(got).all()
        np.testing.assert_allclose(
            got @ direction, expected, rtol=0, atol=rtol * (abs(got) * abs(direction)).max()
        )


# equilibria


def rests(circuit):
    """The equilibria from the usual guesses."""
    return rnnjax.find_equilibria(circuit, throw=False)


def of_equilibria(found):
    """All that a list of equilibria holds."""
    arrays = {f"states {k}": x for k, x in enumerate(jax.tree.leaves(found.states))}
    arrays |= {"jacobian": found.jacobian, "residual": found.residual}
    return [Found(found.found, arrays)]


@pytest.mark.parametrize(
    ("name", "changes"),
    [("cubic", {"q": [0.25, 30.0]}), ("flux", {"p": [0.5, 5.0]}), ("Morris-Lecar", {"current": [30.0, 60.0]})],
)  # fmt: skip
def test_equilibria(name, changes):
    case = CASES[name]._replace(batch=changes)
    with jax.enable_x64(True):
        circuits = in_a_batch(case)
        lanes = [lane(circuits, k) for k in range(2)]
        alone = [rests(c) for c in lanes]
        assert len({len(found) for found in alone}) == 2
        sizes = sizes_of(of_equilibria(alone[0]))
        expected = [
            differences_of(lambda c: weighed(of_equilibria(rests(c)), sizes), c) for c in lanes
        ]
    for x64, rtol in ((True, 1e-6), (False, 1e-4)):
        with jax.enable_x64(x64):
            several, _ = of_a_batch(rests, of_equilibria, in_a_batch(case), sizes)
            one = as_given(lanes[1])
            got = gradient_of(lambda c: both(of_equilibria(rests(c)), sizes), one)
        assert_same(got, expected[1], rtol)
        for k in range(2):
            assert_same(several[:, k], expected[k], rtol)


# curves


def follow_bifurcation(case, where, bounds, circuit, start):
    """The curve through a bifurcation in the plane of two parameters."""
    return rnnjax.continue_bifurcation(
        circuit, (operator.attrgetter(where[0]), operator.attrgetter(where[1])), start, bounds, max_points=80,
        max_bifurcations=2,
        bifurcations=(bifurcations.Cusp(), bifurcations.BogdanovTakens()),
        throw=False,
    )  # fmt: skip


def of_curve(curve):
    """All that a curve holds."""
    arrays = {f"states {k}": x for k, x in enumerate(jax.tree.leaves(curve.states))}
    names = "parameters", "angular_frequency", "coefficient"
    arrays |= {name: getattr(curve, name) for name in names}
    return [Found(curve.found, arrays), of_special(curve)]


@eqx.filter_jit
def curve_elsewhere(circuit, other, where, z, units, begins):
    """Folds of a circuit in another one, each across the curve, where it begins along the first parameter."""
    type_, n = bifurcations.Fold(), units.size - 2

    def field(of):
        named = tuple(number_named(circuit, operator.attrgetter(name)) for name in where)
        return flat_field(of, circuit.no_input(), circuit.rest(), np.zeros(()), named)[1]

    def one(z, begins):
        frame = jax.lax.stop_gradient(type_.frame_at(field(circuit), z))

        def equations(of, v):
            return type_.equations(field(of), v, frame)

        slopes = jax.jacfwd(lambda v: equations(circuit, v))(z) * units
        still = jnp.zeros_like(z).at[n + 1].set(1.0)
        row = jnp.where(begins, still, jnp.linalg.svd(slopes)[2][-1] / units)

        def left(v):
            return jnp.append(equations(other, v), row @ (v - z))

        v = z
        for _ in range(6):
            v = v - jnp.linalg.solve(jax.jacfwd(left)(v), left(v))
        form = type_.normal_form(field(other), v, type_.frame_at(field(other), v))
        return v, form.coefficient

    return jax.lax.map(lambda a: one(*a), (z, begins))


CURVES = {
    "cubic": (("p", "q"), ((-1.0, 1.0), (-0.5, 0.5))),
    "Morris-Lecar": (("current", "v_3"), ((-50.0, 300.0), (2.0, 30.0))),
}


@pytest.mark.parametrize("name", ["cubic", pytest.param("Morris-Lecar", marks=pytest.mark.slow)])
def test_curves(name):
    case, (where, bounds) = CASES[name], CURVES[name]
    with jax.enable_x64(True):
        circuit = as_given(case.circuit)
        start = follow(case, circuit).first("LP")
        curve = follow_bifurcation(case, where, bounds, circuit, start)
        sizes = sizes_of(of_curve(curve))
        there, at = np.asarray(curve.found), np.asarray(curve.at)
        leaves = [x.reshape(x.shape[0], -1) for x in jax.tree.leaves(curve.states)]
        z = jnp.asarray(np.concatenate([*leaves, curve.parameters], 1)[there])
        first = np.concatenate([np.ravel(x) for x in jax.tree.leaves(start.state)])
        units = jnp.asarray([*np.maximum(abs(first), 1.0), *np.ptp(bounds, 1)])

        def number(other):
            again = of_special(follow_bifurcation(case, where, bounds, other, start))
            np.testing.assert_array_equal(again.there, curve.special.found)
            moved, coefficient = curve_elsewhere(
                circuit, other, where, z, units, jnp.asarray(at[there] == 0)
            )
            arrays = {
                f"states {k}": moved[:, k].reshape(x.shape)
                for k, x in enumerate(jax.tree.leaves(curve.states))
            }
            arrays |= {"parameters": moved[:, -2:], "angular_frequency": np.zeros(len(z))}
            points = Found(there, arrays | {"coefficient": coefficient})
            return weighed([points, again], sizes)

        direction = np.random.default_rng(1).normal(size=len(jax.tree.leaves(circuit)))
        # the point where it begins is one of the circuit as it is
        direction[[list(vars(case.circuit)).index(name) for name in where]] = 0.0
        expected = slope_along(number, circuit, direction)
    for x64, rtol in ((True, 1e-6), (False, 1e-4)):
        with jax.enable_x64(x64):
            got = gradient_of(
                lambda c: both(of_curve(follow_bifurcation(case, where, bounds, c, start)), sizes),
                as_given(case.circuit),
            )
        assert np.isfinite(got).all()
        np.testing.assert_allclose(
            got @ direction, expected, rtol=0, atol=rtol * (abs(got) * abs(direction)).max()
        )


# sweeps


def test_sweeps_of_gradients():
    """At every point of a sweep, the gradient of all that is found there: points with and without a fold."""
    case = CASES["cubic"]
    with jax.enable_x64(True):
        sizes = sizes_of(of_branch(follow(case, as_given(case.circuit))))

    def slope(circuit):
        def number(q):
            other = eqx.tree_at(lambda c: c.q, circuit, q)
            return both(
                of_branch(follow(case, other)) + of_equilibria(rests(other)), [*sizes, of_rest]
            )

        return jax.grad(number)(circuit.q)

    of_rest = dict.fromkeys(of_equilibria(rests(case.circuit))[0].arrays, 1.0)
    values = [0.25, 0.5, 2.0]
    data = rnnjax.sweep(
        case.circuit, {"slope": slope}, [rnnjax.axis(lambda c: c.q, values)], dtype="float64", progress=False
    )  # fmt: skip
    with jax.enable_x64(True):
        alone = [slope(Cubic(q=np.float64(q))) for q in values]
    assert np.isfinite(alone).all()
    np.testing.assert_allclose(data.slope, alone, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
def test_batches_of_branches_of_orbits(x64):
    """The lanes of a batch as one by one; one of them begins at no orbit."""
    case, guess = ORBITS["rings"]
    case = case._replace(batch={"p": [0.125, -0.4, 0.25]})
    with jax.enable_x64(x64):
        circuits = in_a_batch(case)
        sizes = sizes_of(of_orbits(follow_orbits(case, lane(circuits, 0), guess)))

        def find(circuit):
            return follow_orbits(case, circuit, guess)

        got, branches = of_a_batch(find, of_orbits, circuits, sizes)
        counts = np.asarray(branches.found.sum(1))
        assert counts[1] == 0
        assert counts[[0, 2]].all()
        assert (got[:, 1] == 0).all()
        for k in (0, 2):
            one = jax.tree.map(lambda x, k=k: x[k], circuits)
            alone = gradient_of(lambda c: both(of_orbits(find(c)), sizes), one)
            assert_same(got[:, k], alone, 1e-6 if x64 else 1e-4)
