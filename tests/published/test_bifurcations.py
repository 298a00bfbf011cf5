"""Folds, Hopf points and branch points of the circuits: all of them, none invented, to the digits.

Places to 1e-8 max(1, |p|), coefficients to 1e-6, from both ends, with steps four times as long and
as short. Coefficients of folds are given up to their sign (that of the null vector).
"""

import dataclasses
import itertools
import operator

import jax
import numpy as np
import pytest
from oracles import central_difference
from published.bifurcation_points import POINTS

import rnnjax
from rnnjax import bifurcations, circuits

BOUNDS = {
    "HodgkinHuxley": (0, 200), "MorrisLecar": (-50, 300), "WilsonCowan": (-3, 6),
    "TsodyksMarkram": (-3, 0), "JansenRit": (-100, 500), "QuadraticMeanField": (-12, 0),
    "AdaptiveQuadraticMeanField": (-12, 0), "HindmarshRose": (-5, 40),
}  # fmt: skip
LABELS = {"fold": "LP", "hopf": "H"}


def followed():
    """Each circuit but the symmetric one, with the points that are known of it."""
    found = {}
    for _, group in itertools.groupby(POINTS, key=lambda p: (repr(p.circuit), p.parameter)):
        points = list(group)
        name = type(points[0].circuit).__name__
        if name in BOUNDS:
            found[f"{name}-{len(found)}"] = (points[0].circuit, points)
    # with other rates of the potassium channels the nullclines and their folds are the same
    snic, homoclinic = (
        v for v in found.values()
        if isinstance(v[0], circuits.MorrisLecar) and v[0].g_ca == 4.0
    )  # fmt: skip
    homoclinic[1][:0] = [
        dataclasses.replace(p, circuit=homoclinic[0], coefficient=np.nan)
        for p in snic[1] if p.kind == "fold"
    ]  # fmt: skip
    return found


FOLLOWED = followed()
QUICK = ("MorrisLecar",)  # others take long to compile
CASES = [
    pytest.param(name, marks=() if name.startswith(QUICK) else pytest.mark.slow)
    for name in FOLLOWED
]


def followed_from(circuit, points, end, state, step=0.05):
    """The branch through a state at one end of the bounds (0: the low one, 1: the high one)."""
    name = points[0].parameter
    bounds = BOUNDS[type(circuit).__name__]
    begin = dataclasses.replace(circuit, **{name: float(bounds[end])})
    state = rnnjax.find_equilibria(begin)[0] if state is None else state
    return rnnjax.continue_equilibria(
        begin, operator.attrgetter(name), state, bounds, max_step=step, max_points=4000
    )


@pytest.mark.parametrize("name", CASES)
def test_all_points_and_no_others(name):
    circuit, points = FOLLOWED[name]
    known = sorted(points, key=lambda p: (p.kind, p.value))
    whole = followed_from(circuit, points, 0, None)
    far = jax.tree.map(lambda x: x[np.argmax(whole.parameter)], whole.states)
    for end, step in itertools.product((0, 1), (0.0125, 0.05, 0.2)):
        found = followed_from(circuit, points, end, (None, far)[end], step)
        assert found.special.unsolved == 0
        special = sorted(found.bifurcations, key=lambda b: (b.label != "LP", float(b.parameter)))
        assert [b.label for b in special] == [LABELS[p.kind] for p in known]
        for got, point in zip(special, known, strict=True):
            assert abs(got.parameter - point.value) < 1e-8 * max(1, abs(point.value))
            np.testing.assert_allclose(np.stack(got.state), point.state, rtol=1e-7, atol=1e-9)
            omega = got.frequency * 2 * np.pi / 1000 * point.unit
            np.testing.assert_allclose(omega, point.omega, rtol=1e-8)
            if point.kind == "hopf":
                np.testing.assert_allclose(got.coefficient, point.coefficient, rtol=1e-6)
                assert got.kind == ("supercritical" if point.coefficient < 0 else "subcritical")
            elif np.isfinite(point.coefficient):
                size = abs(got.coefficient) * point.unit
                np.testing.assert_allclose(size, abs(point.coefficient), rtol=1e-6)


def test_stability_changes_at_the_points():
    circuit, points = FOLLOWED["WilsonCowan-5"]
    found = followed_from(circuit, points, 0, None)
    unstable = (found.eigenvalues.real > 0).sum(-1)
    order = np.argsort(found.at)
    changes = np.flatnonzero(np.diff(unstable[order]))
    assert len(changes) == 3  # two folds and the Hopf point; a neutral saddle is none
    at = np.sort(found.special.at[found.special.found])
    for k, where in zip(changes, at, strict=True):
        assert found.at[order][k] <= where <= found.at[order][k + 1]


@pytest.mark.slow
def test_the_symmetric_decision():
    """Two pitchforks, and the folds of the branches that decide."""
    mu = operator.attrgetter("mu")
    found = rnnjax.diagram(circuits.WongWang(), mu, (-20.0, 100.0), values=3)
    by_label = {
        label: [b for b in found.bifurcations if b.label == label] for label in ("LP", "BP", "H")
    }
    known = [p for p in POINTS if isinstance(p.circuit, circuits.WongWang)]
    pitchforks = [b.parameter for b in by_label["BP"]]
    np.testing.assert_allclose(pitchforks, [10.67680576467845, 43.0181867770167], rtol=1e-8)
    assert {b.kind for b in by_label["BP"]} == {"subcritical pitchfork"}
    folds = sorted((p.value, p.coefficient) for p in known if p.kind == "fold")
    places = [b.parameter for b in by_label["LP"]]  # one for each of the two choices
    np.testing.assert_allclose(places, np.repeat([f[0] for f in folds], 2), rtol=1e-8)
    sizes = [abs(b.coefficient) * 1000 for b in by_label["LP"]]
    np.testing.assert_allclose(sizes, np.repeat([abs(f[1]) for f in folds], 2), rtol=1e-6)
    assert not by_label["H"]


@pytest.mark.slow
def test_gradients_of_the_squid_axon():
    """d/dI of the first Hopf point by every conductance and reversal potential, and of its l1."""
    names = ("g_na", "g_k", "g_l", "e_na", "e_k", "e_l")
    expected = (
        -0.26828938877773, 0.97181808378012, 13.598393024598, -0.30131260959198,
        -0.99729234837727, -0.3,
    )  # fmt: skip

    def first(circuit):
        found = rnnjax.continue_equilibria(
            circuit, operator.attrgetter("current"), bounds=(0, 50),
            bifurcations=(bifurcations.Hopf(),),
        )  # fmt: skip
        return found.special.parameter[0], found.special.coefficient[0]

    with jax.enable_x64(True):
        circuit = circuits.HodgkinHuxley(e_l=-54.4)
        of_place, of_l1 = jax.tree.map(np.asarray, jax.jit(jax.jacrev(first))(circuit))
        call = jax.jit(lambda x: first(dataclasses.replace(circuit, g_na=x))[1])
        np.testing.assert_allclose(of_l1.g_na, central_difference(call, 120.0, 0.1), rtol=1e-8)
    np.testing.assert_allclose([getattr(of_place, n) for n in names], expected, rtol=1e-8)
    np.testing.assert_allclose(of_l1.g_na, 3.085007449e-4, rtol=1e-6)
    assert of_place.current == 0  # where the branch began does not matter
