"""Folds of cycles where a branch of orbits hardly moves: canards, of which a mesh knows few digits.

References are the symmetry of a circuit, a fold in closed form, and folds of Poincare maps by DOP853 at 1e-13.
"""

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, fsolve

import rnnjax
from rnnjax import BranchEnd

drive = operator.attrgetter("drive")
FOLD = 0.3241785225  # of the README's FitzHugh-Nagumo, and 1.75 less it


class State(NamedTuple):
    v: Any
    w: Any


class FitzHughNagumo(rnnjax.AbstractCircuit):
    """As in the README; with v to -v, w to 1.75 - w, and drive to 1.75 - drive it is the same."""

    drive: float = rnnjax.parameter(0.5, "1")
    tau: float = rnnjax.parameter(12.5, "ms", positive=True)

    def __call__(self, state, input):
        v, w = state
        dv = v - v**3 / 3 - w + self.drive + input.v
        return State(dv, (v + 0.7 - 0.8 * w) / self.tau)

    def rest(self):
        return State(-1.2, -0.6)


def from_hopf_points(circuit, bounds, **more):
    """Branches of orbits from each Hopf point within bounds."""
    rest = rnnjax.continue_equilibria(circuit, drive, bounds=bounds)
    starts = [b for b in rest.bifurcations if b.label == "H"]
    return [rnnjax.continue_orbits(circuit, drive, b, bounds, **more) for b in starts]


@pytest.mark.parametrize("bounds", [(0.0, 1.75), (-1.0, 3.0)])
def test_the_pair_of_folds_and_nothing_else(bounds):
    branches = from_hopf_points(FitzHughNagumo(), bounds)
    assert len(branches) == 2
    for branch in branches:
        assert [b.label for b in branch.bifurcations] == ["LPC", "LPC"]
        low, high = sorted(float(b.parameter) for b in branch.bifurcations)
        np.testing.assert_allclose([low, high], [FOLD, 1.75 - FOLD], rtol=0, atol=1e-10)
        np.testing.assert_allclose(low + high, 1.75, rtol=0, atol=5e-11)
        assert branch.endings == [BranchEnd.HOPF]
        assert int(branch.special.unsolved) == 0
        assert branch.limits == (None,)


@pytest.mark.parametrize(
    "tau",
    [5.0, pytest.param(8.0, marks=pytest.mark.slow), pytest.param(20.0, marks=pytest.mark.slow)],
)
def test_folds_mirror_each_other(tau):
    for branch in from_hopf_points(FitzHughNagumo(tau=tau), (0.0, 1.75)):
        low, high = sorted(float(b.parameter) for b in branch.bifurcations)
        np.testing.assert_allclose(low + high, 1.75, rtol=0, atol=1e-10)
        assert int(branch.special.unsolved) == 0


def test_in_one_program_what_is_not_sure_is_unsolved():
    """Where the mesh is not refined further, every fold that is told is one, and the others are counted."""

    @jax.jit
    def folds(tau):
        circuit = FitzHughNagumo(tau=tau)
        branch = rnnjax.continue_orbits(circuit, drive, start, (0.0, 1.75), throw=False)
        return branch.special.parameter, branch.special.found, branch.special.unsolved

    rest = rnnjax.continue_equilibria(FitzHughNagumo(), drive, bounds=(0.0, 1.75))
    start = rest.first("H")
    with jax.enable_x64(True):
        at, found, unsolved = folds(jnp.asarray(12.5))
    told = np.asarray(at)[np.asarray(found)]
    off = np.minimum(abs(told - FOLD), abs(told - (1.75 - FOLD)))
    np.testing.assert_array_less(off, 1e-8)
    assert int(unsolved) + told.size >= 2
    assert told.size <= 2


def fold_of_the_return_map(field, divergence, x0, y0, p0):
    """Where x -> x of the map back to y = y0 has slope 1: by integration, of x and of the divergence."""

    def back(x, p):
        def grown(t, z):
            return [*field(z[0], z[1], p), divergence(z[0], z[1], p)]

        def comes(t, z):
            return z[1] - y0 if t > 1e-3 else 1.0

        upward = field(x, y0, p)[1] > 0
        vars(comes).update(terminal=True, direction=1 if upward else -1)
        end = solve_ivp(
            grown, (0, 400), [x, y0, 0.0], "DOP853", events=comes, rtol=1e-13, atol=1e-13
        )
        x1, _, log = end.y[:, -1]
        slope = np.exp(log) * field(x, y0, p)[1] / field(x1, y0, p)[1]
        return [x1 - x, slope - 1]

    (_, p), _, code, message = fsolve(lambda u: back(*u), [x0, p0], xtol=1e-12, full_output=True)
    assert code == 1, message
    return p


def test_folds_are_those_of_the_return_map():
    tau = 5.0

    def field(v, w, p):
        return v - v**3 / 3 - w + p, (v + 0.7 - 0.8 * w) / tau

    branch = from_hopf_points(FitzHughNagumo(tau=tau), (0.0, 0.9))[0]
    (fold,) = branch.bifurcations
    orbit = fold.orbit
    w0 = float(np.mean(orbit.states.w))
    k = np.flatnonzero(np.diff(orbit.states.w - w0 > 0))[0]
    share: Any = brentq(lambda s: float(orbit(s).w) - w0, orbit.phases[k], orbit.phases[k + 1])
    reference = fold_of_the_return_map(
        field,
        lambda v, w, p: 1 - v**2 - 0.8 / tau,
        float(orbit(share).v),
        w0,
        float(fold.parameter),
    )
    np.testing.assert_allclose(float(fold.parameter), reference, rtol=0, atol=1e-9)

    through = rnnjax.continue_orbits(
        FitzHughNagumo(tau=tau), drive, fold, (0.0, 0.9), max_points=30, throw=False
    )
    assert through.parameter.min() > float(fold.parameter) - 1e-9
    swing = np.asarray(through.maxima.v - through.minima.v)
    k = int(np.argmin(abs(through.at)))  # from one side of the fold to the other
    assert 0 < k < len(through) - 1
    assert (swing[:k].max() < swing[k] < swing[k + 1 :].min()) or (
        swing[:k].min() > swing[k] > swing[k + 1 :].max()
    )


@pytest.mark.parametrize(("intervals", "within"), [(32, 3e-6), (128, 5e-9)])
def test_extremes_are_those_of_the_orbit(intervals, within):
    circuit = FitzHughNagumo()
    run = rnnjax.simulate(circuit, np.linspace(0, 400, 2001), start=State(-1.0, 0.0))
    orbit = rnnjax.find_orbit(circuit, run, intervals=intervals)

    def field(t, z):
        v, w = z
        return [v - v**3 / 3 - w + 0.5, (v + 0.7 - 0.8 * w) / 12.5]

    def turns(t, z):
        return field(t, z)[0]

    begin = [float(orbit.states.v[0]), float(orbit.states.w[0])]
    period = float(orbit.period)
    end = solve_ivp(field, (0, period), begin, "DOP853", events=turns, rtol=1e-13, atol=1e-13)
    v = end.y_events[0][:, 0]
    low, high = orbit.extremes
    np.testing.assert_allclose([low.v, high.v], [v.min(), v.max()], rtol=0, atol=within)
    many = np.asarray(orbit(np.linspace(0, 1, 20001)).v)
    np.testing.assert_allclose([low.v, high.v], [many.min(), many.max()], rtol=0, atol=1e-6)
    assert low.v <= many.min()
    assert high.v >= many.max()
