"""Branches of circuits from other fields, and the traps of continuation programs.

All points and none invented: from both ends, with steps four times as long and as short, beside
other branches in a batch. Places to 1e-8 max(1, |p|), coefficients to 1e-6, and to the digits that
others print, in their conventions.
"""

import dataclasses
import itertools
import operator

import jax
import numpy as np
import pytest
from oracles import (
    AdaptiveControl,
    COOxidation,
    FastMorrisLecar,
    Pitchfork,
    central_difference,
)
from published.oracle_points import BRANCHES

import rnnjax
from rnnjax import bifurcations
from rnnjax.circuits import MorrisLecar


def fast_morris_lecar(z):
    """All equilibria, by a formula in their potential."""
    v = np.linspace(-1.2, 0.9, 20001)
    w = (1 + np.tanh((v - z) / 0.145)) / 2
    m = (1 + np.tanh((v + 0.01) / 0.15)) / 2
    return (v + 0.5) / 2 + 2 * w * (v + 0.7) + m * (v - 1), np.stack([v, w], -1)


def co_oxidation(k):
    """All equilibria with positive numbers, by a formula in x."""
    x = np.geomspace(1e-4, 0.6, 20001)
    half, rest = 5 * (1 + k) * x, 2 * x**2 + 10 * x * (1 - x)
    s = (np.sqrt(half**2 + 5 * k**2 * rest) - half) / (5 * k**2)
    y = 1 - x - (1 + k) * s
    return (0.1 * y + 10 * x * y) / (k * s), np.stack([x, y, s], -1)


# where along the second parameter there is a cusp and there are Bogdanov-Takens points
BATCHES = {
    "fast Morris-Lecar": (FastMorrisLecar, "z", np.arange(32) / 100, fast_morris_lecar, (-0.5, 1)),
    "CO oxidation": (COOxidation, "k", 0.3 + np.arange(32) / 50, co_oxidation, (0.5, 2)),
}
LABELS = {"fold": "LP", "hopf": "H", "branch point": "BP"}
QUICK = ("adaptive control",)  # others take long to compile
CASES = [
    pytest.param(name, marks=() if name.startswith(QUICK) else pytest.mark.slow)
    for name in BRANCHES
]


def followed(name, end=0, step=0.05, **others):
    """The branch from one of its ends."""
    branch = BRANCHES[name]
    return rnnjax.continue_equilibria(
        dataclasses.replace(branch.at(end), **others), operator.attrgetter(branch.parameter),
        np.array(branch.ends[end][1]), branch.bounds, max_step=step, max_points=4000,
    )  # fmt: skip


def omega(point):
    """Of a Hopf point, per unit of time."""
    return point.frequency * 2 * np.pi / 1000


def sums_of_eigenvalues(jacobians):
    """The product of the sums of two eigenvalues at each point."""
    values = np.linalg.eigvals(jacobians)
    i, j = np.triu_indices(values.shape[-1], 1)
    return np.prod(values[..., i] + values[..., j], -1).real


def in_order(label, value, state):
    """Sorts points; where two share a place, by their last variable."""
    return label, round(float(value), 6), float(state[-1])


@pytest.mark.parametrize("name", CASES)
def test_all_points_and_no_others(name):
    branch = BRANCHES[name]
    known = sorted(branch.points, key=lambda p: in_order(LABELS[p.kind], p.value, p.state))
    hopf_points = [p for p in known if p.kind == "hopf"]
    for end, step in itertools.product((0, 1), (0.0125, 0.05, 0.2)):
        found = followed(name, end, step)
        assert [e.name for e in found.endings] == ["BOUND", "BOUND"]
        assert found.special.unsolved == 0
        points = sorted(found.bifurcations, key=lambda b: in_order(b.label, b.parameter, b.state))
        assert [b.label for b in points] == [LABELS[p.kind] for p in known]
        for got, point in zip(points, known, strict=True):
            check(got, point)
        # neutral saddles are on the branch, and are no Hopf points
        changes = np.flatnonzero(np.diff(np.sign(sums_of_eigenvalues(found.jacobian))))
        assert len(changes) == len(hopf_points) + len(branch.neutral)
        low, high = np.sort([found.parameter[changes], found.parameter[changes + 1]], 0)
        for value in branch.neutral:
            assert ((low <= value) & (value <= high)).any()


def check(got, point):
    """A bifurcation that was found against its digits; coefficients of folds up to their sign."""
    assert abs(got.parameter - point.value) < 1e-8 * max(1, abs(point.value))
    np.testing.assert_allclose(got.state, point.state, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(omega(got), point.omega, rtol=1e-8)
    if point.kind == "fold":
        np.testing.assert_allclose(abs(got.coefficient), abs(point.coefficient), rtol=1e-6)
        return
    np.testing.assert_allclose(got.coefficient, point.coefficient, rtol=1e-6)
    way = "supercritical" if point.coefficient < 0 else "subcritical"
    assert got.kind == (way if point.kind == "hopf" else f"{way} pitchfork")


def test_a_pitchfork_on_both_of_its_branches():
    """One branch point wherever the branch begins, and no fold where the parabola turns back."""
    for start, step in itertools.product(
        (0.25, 0.3950322097393, 0.68868656463589, 1.0), (0.05, 0.2)
    ):
        for state in (0.0, np.sqrt(start)):
            found = rnnjax.continue_equilibria(
                Pitchfork(mu=start), operator.attrgetter("mu"), np.array(state), (-1.0, 1.0),
                max_step=step,
            )  # fmt: skip
            assert [b.label for b in found.bifurcations] == ["BP"]
            assert abs(found.bifurcations[0].parameter) < 1e-8


def test_the_conventions_of_others():
    """Kuznetsov's l1, its multiples elsewhere, and what the manuals print."""
    by_label = {}
    for point in followed("fast Morris-Lecar").bifurcations:
        by_label.setdefault(point.label, []).append(point)
    (hopf,) = by_label["H"]
    assert abs(hopf.parameter - 0.07565878645042385) < 1e-9
    assert abs(hopf.parameter - 0.075658) < 1e-6
    np.testing.assert_allclose(hopf.coefficient, 4.3493619, rtol=1e-8)
    np.testing.assert_allclose(hopf.first_lyapunov("MatCont"), 8.2390137, rtol=1e-8)
    np.testing.assert_allclose(hopf.first_lyapunov("MatCont"), 8.238955, rtol=1e-5)  # as it prints
    with pytest.raises(ValueError, match="convention: expected one of"):
        hopf.first_lyapunov("Guckenheimer")
    with pytest.raises(ValueError, match="a Hopf point"):
        by_label["LP"][0].first_lyapunov()
    folds = sorted((float(b.parameter), abs(float(b.coefficient))) for b in by_label["LP"])
    np.testing.assert_allclose([f[0] for f in folds], [-0.020727, 0.083257], atol=1e-6, rtol=0)
    np.testing.assert_allclose([f[1] for f in folds], [10.367, 2.697425], rtol=1e-5)
    (hopf,) = followed("adaptive control").bifurcations
    exact = [hopf.parameter, omega(hopf), hopf.first_lyapunov(), hopf.first_lyapunov("JaxCont")]
    np.testing.assert_allclose(exact, [1, 1, -0.3, -0.15], rtol=1e-10)  # JaxCont halves it


def l1_of_adaptive_control(beta):
    """In closed form, at alpha = 1 / beta."""
    w = np.sqrt(beta)
    slope = -2 * beta + 2j * w / beta  # of the characteristic polynomial at i w
    cubic = (4 - 2 / (3 + 6j * beta * w)) / slope
    return cubic.real / (w * (1 + w**2 + w**4))


@pytest.mark.slow
def test_gradients_that_are_exact():
    """Of currents where a neuron changes, by what only shifts them and by what is only a rate."""

    def places(circuit):
        found = rnnjax.continue_equilibria(
            circuit, operator.attrgetter("current"), bounds=(-50.0, 300.0),
            bifurcations=(bifurcations.Fold(), bifurcations.Hopf()),
        )  # fmt: skip
        return found.special.parameter[:3]

    with jax.enable_x64(True):
        circuit = MorrisLecar.snic(current=-40.0)
        slopes = jax.tree.map(np.asarray, jax.jit(jax.jacrev(places))(circuit))
    fold, other, hopf = slopes.phi
    np.testing.assert_allclose([fold, other], 0, atol=1e-12)
    assert abs(hopf) > 100  # this one depends on the rate
    np.testing.assert_allclose(slopes.e_l, -2.0, rtol=1e-12)  # minus the leak conductance
    np.testing.assert_array_equal(slopes.current, 0)  # where it began


@pytest.mark.slow
def test_gradients_are_those_of_differences_and_of_the_closed_form():
    def first(beta):
        found = rnnjax.continue_equilibria(
            AdaptiveControl(alpha=3.0, beta=beta), operator.attrgetter("alpha"), np.zeros(3),
            (-2.0, 3.0), bifurcations=(bifurcations.Hopf(),),
        )  # fmt: skip
        return found.special.parameter[0], found.special.coefficient[0]

    def again(beta):
        (hopf,) = followed("adaptive control", beta=beta).bifurcations
        return np.array([hopf.parameter, hopf.coefficient])

    with jax.enable_x64(True):
        slopes = jax.tree.map(np.asarray, jax.jit(jax.jacrev(first))(1.3))
    exact = [1 / 1.3, l1_of_adaptive_control(1.3)]
    np.testing.assert_allclose(again(1.3), exact, rtol=1e-12)
    differences = central_difference(again, 1.3, 1e-3)
    np.testing.assert_allclose(slopes, differences, rtol=1e-6)
    closed = central_difference(l1_of_adaptive_control, 1.3, 1e-3)
    np.testing.assert_allclose(slopes, [-1 / 1.3**2, closed], rtol=1e-9)


def where_it_vanishes(values, places):
    """The places between which the values change sign, interpolated."""
    k = np.flatnonzero(values[1:] * values[:-1] < 0)
    share = values[k] / (values[k] - values[k + 1])
    return places[k] + share * (places[k + 1] - places[k])


def on_the_curve(circuit, parameter, p, states, bounds):
    """Folds and Hopf points of a curve of equilibria between the bounds, and two places to begin."""

    def derivatives(p, state):
        return jax.jacfwd(dataclasses.replace(circuit, **{parameter: p}))(state, 0.0)

    with jax.enable_x64(True):
        a = np.asarray(jax.vmap(derivatives)(p, states))
    trace = np.trace(a, axis1=1, axis2=2)
    minors = (trace**2 - np.trace(a @ a, axis1=1, axis2=2)) / 2  # omega^2 at a Hopf point
    sums = trace if a.shape[-1] == 2 else trace * minors - np.linalg.det(a)
    folds = where_it_vanishes(np.gradient(p), p)
    both = where_it_vanishes(sums, np.stack([p, minors], -1).T[0]), where_it_vanishes(sums, minors)
    inside = np.flatnonzero((p > bounds[0]) & (p < bounds[1]))
    begin = [(p[k], states[k]) for k in (inside[0], inside[-1])]
    return np.sort(folds), np.sort(both[0][both[1] > 0]), begin


@pytest.mark.slow
@pytest.mark.parametrize("name", BATCHES)
def test_beside_63_others(name):
    """The same points in a batch, whose other lanes have other numbers of them."""
    make, second, values, curve, bounds = BATCHES[name]
    first = BRANCHES[name].parameter
    known = [
        on_the_curve(make(**{second: value}), first, *curve(value), bounds) for value in values
    ]
    at = np.array([k[2][end][0] for end in (0, 1) for k in known])
    states = np.stack([k[2][end][1] for end in (0, 1) for k in known])

    def follow(value, p, state):
        circuit = dataclasses.replace(make(), **{first: p, second: value})
        found = rnnjax.continue_equilibria(circuit, operator.attrgetter(first), state, bounds)
        return found.special, found.ends

    with jax.enable_x64(True):
        call = jax.jit(jax.vmap(follow))
        special, ends = jax.tree.map(np.asarray, call(np.tile(values, 2), at, states))
    assert (ends == rnnjax.BranchEnd.BOUND).all()
    assert (special.unsolved == 0).all()
    assert (special.type_index < 2).all()  # no branch points
    numbers = set()
    for lane in range(64):
        folds, hopf_points, _ = known[lane % 32]
        numbers.add((len(folds), len(hopf_points)))
        for kind, places in enumerate((folds, hopf_points)):
            got = special.parameter[lane][special.type_index[lane] == kind]
            np.testing.assert_allclose(np.sort(got), places, atol=1e-6)
    assert len(numbers) > 2
    for lane in np.flatnonzero(np.tile(values, 2) == getattr(make(), second)):
        points = sorted(BRANCHES[name].points, key=lambda p: (p.kind != "fold", p.value))
        count = special.found[lane].sum()
        order = np.lexsort([special.parameter[lane][:count], special.type_index[lane][:count]])
        np.testing.assert_allclose(
            special.parameter[lane][order], [p.value for p in points], rtol=1e-8
        )
        size = abs(special.coefficient[lane][order])
        np.testing.assert_allclose(size, [abs(p.coefficient) for p in points], rtol=1e-6)
