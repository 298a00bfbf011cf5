"""Periodic orbits of published neurons: folds, doublings, ends. Digits from AUTO-07p and 40-digit solvers."""

import operator

import numpy as np
import pytest

import rnnjax
from rnnjax import BranchEnd
from rnnjax.circuits import HodgkinHuxley, MorrisLecar

current = operator.attrgetter("current")
LONG = BranchEnd.LONG_PERIOD
# circuit, bounds, which Hopf point, (label, current, period in ms) in the order of the branch, end
BRANCHES = {
    "Morris-Lecar, Hopf": (
        MorrisLecar.hopf, (0.0, 300.0), 0,
        (("LPC", 88.293250543074, 135.3861436), ("LPC", 216.899801389431, 77.92905180)),
        BranchEnd.HOPF,
    ),
    "Morris-Lecar, Hopf, from the other end": (
        MorrisLecar.hopf, (0.0, 300.0), 1,
        (("LPC", 216.899801389431, 77.92905180), ("LPC", 88.293250543074, 135.3861436)),
        BranchEnd.HOPF,
    ),
    "Morris-Lecar, SNIC": (
        MorrisLecar.snic, (-30.0, 250.0), 0, (("LPC", 115.948721487818, 37.03584848),), LONG,
    ),
    "Morris-Lecar, homoclinic": (
        MorrisLecar.homoclinic, (-30.0, 250.0), 0, (("LPC", 40.593351958291, 21.11005516),), LONG,
    ),
}  # fmt: skip
HOMOCLINIC, SADDLE_NODE = 35.006734198, 39.96315309274535
# Hodgkin-Huxley with a leak reversal of -54.4 mV; the second doubling is found here alone
AXON = (
    ("LPC", 7.846247120194, 16.7137969), ("PD", 7.849237414, 17.15852188), ("PD", None, None),
    ("LPC", 7.921685494358, 20.7072957), ("LPC", 6.264221274509, 19.8952407),
)  # fmt: skip


def followed(circuit, bounds, which, **how):
    """The branch of orbits from one of the Hopf points."""
    rest = rnnjax.continue_equilibria(circuit, current, bounds=bounds)
    points = [b for b in rest.bifurcations if b.label == "H"]
    return rnnjax.continue_orbits(circuit, current, points[which], bounds, **how)


def compare(branch, known, tolerance):
    """Each known point in its turn, and no other."""
    found = branch.bifurcations
    assert [b.label for b in found] == [label for label, _, _ in known]
    assert branch.special.unsolved == 0
    for each, (label, place, period) in zip(found, known, strict=True):
        if place is not None:
            assert float(each.parameter) == pytest.approx(place, abs=tolerance[label] * place)
            assert float(each.orbit.period) == pytest.approx(period, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", BRANCHES)
def test_folds_of_cycles(name):
    circuit, bounds, which, known, end = BRANCHES[name]
    for step in (0.025, 0.05, 0.1):
        branch = followed(circuit(), bounds, which, intervals=128, max_step=step, max_points=1600)
        compare(branch, known, {"LPC": 1e-9})
        assert branch.endings == [end]


def test_ends_of_long_period():
    """A homoclinic orbit to the digits of its current, and a saddle-node on the orbit from above."""
    branch = followed(MorrisLecar.homoclinic(), (-30.0, 250.0), 0, intervals=64)
    compare(branch, BRANCHES["Morris-Lecar, homoclinic"][3], {"LPC": 1e-8})
    assert float(branch.parameter[-1]) == pytest.approx(HOMOCLINIC, abs=1e-6)
    branch = followed(MorrisLecar.snic(), (-30.0, 250.0), 0, intervals=64)
    compare(branch, BRANCHES["Morris-Lecar, SNIC"][3], {"LPC": 1e-8})
    off = branch.parameter - SADDLE_NODE
    late = branch.period > 2000
    assert late.sum() > 5
    # the period grows as one over the root of the distance
    power = np.polyfit(np.log(off[late]), np.log(branch.period[late]), 1)[0]
    assert power == pytest.approx(-0.5, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("which", "known"), [(0, AXON), (1, AXON[::-1])], ids=["low", "high"])
def test_the_squid_axon(which, known):
    """Three folds and a doubling between them; multipliers from 3000 down to 1e-12."""
    axon = HodgkinHuxley(e_l=-54.4)
    branch = followed(axon, (-10.0, 180.0), which, intervals=128)
    compare(branch, known, {"LPC": 1e-9, "PD": 1e-8})
    values = branch.multipliers
    along = abs(values - 1).min(-1)
    assert along.max() < 1e-6
    orbit = rnnjax.find_orbit(
        HodgkinHuxley(e_l=-54.4, current=10.0),
        rnnjax.simulate(
            HodgkinHuxley(e_l=-54.4, current=10.0), np.linspace(0, 150, 4001), dtype="float64"
        ),
        intervals=64,
    )
    assert float(orbit.period) == pytest.approx(14.638324788662, rel=1e-9)
    assert float(orbit.multipliers_real[1]) == pytest.approx(0.0740482914, rel=1e-6)
