"""Where the period of orbits grows without bound: a limit is named beside the fold or saddle that it needs."""

import operator

import numpy as np
import pytest

import rnnjax
from rnnjax import BranchEnd
from rnnjax._orbits.limits import exponent_of
from rnnjax.circuits import MorrisLecar

current = operator.attrgetter("current")
BOUNDS = (-20.0, 150.0)


def orbits_of(cell, longest):
    """Those from the Hopf point, and the folds of equilibria."""
    rest = rnnjax.continue_equilibria(cell, current, bounds=BOUNDS)
    folds = [b for b in rest.bifurcations if b.label == "LP"]
    found = rnnjax.continue_orbits(
        cell, current, rest.first("H"), BOUNDS, longest_period=longest, throw=False
    )
    assert found.endings == [BranchEnd.LONG_PERIOD]
    return found, folds


@pytest.mark.parametrize("longest", [200.0, 2000.0])
def test_a_snic_is_where_equilibria_fold(longest):
    found, folds = orbits_of(MorrisLecar.snic(current=-20.0), longest)
    (limit,) = found.limits
    fold = max(folds, key=lambda b: b.parameter)
    assert limit.kind == "SNIC"
    assert limit.parameter == pytest.approx(fold.parameter, rel=1e-9)
    np.testing.assert_allclose(limit.state, fold.state, rtol=1e-6)
    assert limit.exponent == pytest.approx(-3, abs=0.4)
    assert repr(limit) in repr(found)


@pytest.mark.parametrize("longest", [200.0, 500.0])  # by its exponent the second was a SNIC
def test_a_homoclinic_orbit_comes_to_a_saddle(longest):
    cell = MorrisLecar.homoclinic(current=-20.0)
    found, folds = orbits_of(cell, longest)
    (limit,) = found.limits
    assert limit.kind == "homoclinic"
    # between the folds, on the branch of saddles
    low, high = sorted(float(b.parameter) for b in folds)
    assert low < limit.parameter < high
    there = rnnjax.linearize(MorrisLecar.homoclinic(current=limit.parameter), limit.state)
    assert (np.sort(there.eigenvalues.real) * [-1, 1] > 0).all()
    assert limit.parameter == pytest.approx(35.00674, abs=1e-5)


@pytest.mark.parametrize("longest", [60.0, 80.0, 100.0])
def test_a_period_that_is_merely_long_is_called_nothing(longest):
    found, folds = orbits_of(MorrisLecar.hopf(current=-20.0), longest)
    assert folds == []
    assert found.limits == (None,)
    assert "SNIC" not in repr(found)


def test_how_the_parameter_changes_with_the_period():
    period = 10.0 * 1.5 ** np.arange(20)
    assert exponent_of(2.0 + 3.0 / period**2, period) == pytest.approx(-3, abs=0.05)
    period = np.linspace(10.0, 60.0, 40)
    assert exponent_of(-1.0 + 0.3 * np.exp(-0.5 * period), period) < -6
    assert np.isnan(exponent_of(np.ones(5), np.arange(5.0)))
