"""Many circuits in one process: programs that are no longer used are dropped, or it is aborted when its maps of
memory run out."""

import gc
import pathlib

import numpy as np
import pytest

import rnnjax
from rnnjax import axis, measures
from rnnjax._machine import kept
from rnnjax.circuits import MorrisLecar, WilsonCowan

MAPS = pathlib.Path("/proc/self/maps")
pytestmark = pytest.mark.skipif(not MAPS.exists(), reason="the system does not list maps of memory")


class Cubic(rnnjax.AbstractCircuit):
    """One variable, two folds."""

    r: float = rnnjax.parameter(0.1, "1/ms")

    def __call__(self, state, input):
        return self.r + state - state**3 + input

    def rest(self):
        return np.array(-1.5)


def fresh(base):
    """A class of its own, which shares no program with its base."""
    return type(f"{base.__name__}Again", (base,), {"__doc__": base.__doc__})()


def maps():
    gc.collect()
    return len(MAPS.read_text().splitlines())


def of_rest(circuit):
    return rnnjax.find_equilibria(circuit, guesses=circuit.rest()).jacobian[0].sum()


def test_small_circuits(monkeypatch):
    monkeypatch.setattr(kept, "MOST_PROGRAMS", 6)
    found = []
    for base in (Cubic, WilsonCowan, Cubic):
        circuit, where = fresh(base), (lambda c: c.r) if base is Cubic else (lambda c: c.p)
        branch = rnnjax.continue_equilibria(circuit, where, bounds=(-1.0, 3.0))
        assert [each.label for each in branch.bifurcations].count("LP") == 2
        assert rnnjax.find_equilibria(circuit).found.any()
        most = rnnjax.lyapunov_exponents(circuit, duration=200.0, step=0.1).exponents
        assert np.isfinite(most).all()
        found.append(maps())
    np.testing.assert_allclose(found[2], found[0], rtol=0.02)  # those of the second are gone


NUMBERS = range(30)
COUNTED = {}


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_all_verbs(number):
    """Of thirty circuits, one after the other."""
    base = (WilsonCowan, MorrisLecar)[number % 2]
    circuit = fresh(base)
    where, second, bounds, others = {
        WilsonCowan: (lambda c: c.p, lambda c: c.w_ee, (-1.0, 3.0), (12.0, 20.0)),
        MorrisLecar: (lambda c: c.current, lambda c: c.g_ca, (-10.0, 300.0), (4.0, 5.0)),
    }[base]
    steps = {"duration": 500.0, "step": 0.1}
    assert np.isfinite(rnnjax.measure(circuit, {"mean": measures.Mean()}, **steps)["mean"]).all()
    run = rnnjax.simulate(circuit, [0.0, 100.0])
    assert rnnjax.find_equilibria(circuit).found.any()
    rnnjax.linearize(circuit, run.final)
    rnnjax.find_slow_points(circuit)
    rnnjax.lyapunov_exponents(circuit, **steps)
    rnnjax.sweep(circuit, {"rest": of_rest}, [axis(where, np.linspace(*bounds, 5))], progress=False)
    branch = rnnjax.continue_equilibria(circuit, where, bounds=bounds)
    hopf = branch.first("H")
    plane = (bounds, others)
    rnnjax.continue_bifurcation(circuit, (where, second), hopf, plane, max_points=50, throw=False)
    rnnjax.continue_orbits(circuit, where, hopf, bounds)
    COUNTED[number] = maps()


@pytest.mark.slow
def test_their_programs_are_dropped():
    """Maps do not grow after the first ten circuits, by which as many programs are there as are kept."""
    if set(COUNTED) != set(NUMBERS):
        pytest.skip("not all of the circuits were analyzed in this process")
    counted = np.array([COUNTED[k] for k in NUMBERS])
    assert counted[20:].max() < 1.1 * counted[10:20].max()
