"""The basin of rest of a neuron that can fire as well: the area inside of an unstable cycle.

`MorrisLecar.hopf()`, the set of Rinzel and Ermentrout (1998), rests or fires between 88.293 and 93.858
uA/cm2. The areas in the plane of potential (mV) and open fraction were computed by shooting.
"""

import jax
import numpy as np
import pytest
from matplotlib.path import Path

import rnnjax
from rnnjax import Basins, axis, random_points
from rnnjax.circuits import MorrisLecar, MorrisLecarState, WilsonCowan

AREAS = {90.0: 1.817400085940, 91.0: 0.970594116234, 92.5: 0.342643586848}
BOXES = {
    90.0: ((-38.0, -12.5), (0.105, 0.227)),
    91.0: ((-35.0, -15.5), (0.110, 0.197)),
    92.5: ((-31.5, -19.0), (0.119, 0.170)),
}


def v(state):
    return state.v


def w(state):
    return state.w


class Backwards(rnnjax.AbstractCircuit):
    """In reversed time the unstable cycle attracts."""

    circuit: rnnjax.AbstractCircuit

    def __call__(self, state, input):
        return jax.tree.map(lambda x: -x, self.circuit(state, input))

    def rest(self):
        return self.circuit.rest()

    def no_input(self):
        return self.circuit.no_input()


def inside_of_the_cycle(circuit, focus, states):
    """Which states lie inside of one turn of the unstable cycle around the focus."""
    times = np.array([0.0, *np.linspace(4000, 4110, 11001)])
    run = rnnjax.simulate(
        Backwards(circuit), times, start=MorrisLecarState(focus.v + 1, focus.w), rtol=1e-11,
        atol=1e-12, dtype="float64",
    ).states  # fmt: skip
    turn = np.unwrap(np.arctan2((run.w[1:] - focus.w) * 200, run.v[1:] - focus.v))
    once = abs(turn - turn[0]) < 2 * np.pi
    cycle = np.stack([run.v[1:], run.w[1:]], 1)[once]
    return Path(cycle).contains_points(np.stack([states.v, states.w], 1))


@pytest.mark.parametrize("current", AREAS)
def test_by_sampling(current):
    across, up = BOXES[current]
    sample = random_points(
        axis(v, across), axis(w, up), count=4000, key=jax.random.key(int(10 * current))
    )
    found = rnnjax.basins(MorrisLecar.hopf(current=current), sample, duration=1000.0)
    box = np.ptp(across) * np.ptp(up)
    share = AREAS[current] / box
    np.testing.assert_allclose(found.error(0), np.sqrt(share * (1 - share) / 4000), rtol=0.05)
    assert abs(found.share(0) - share) < 3 * found.error(0)
    # each single start is on the side of the cycle that its label says
    assert str(found.attractors.stability[0]) == "stable focus"
    inside = inside_of_the_cycle(
        MorrisLecar.hopf(current=current), found.attractors[0], found.starts
    )  # fmt: skip
    np.testing.assert_array_equal(found.label, np.where(inside, 0, Basins.MOVING))
    firing = found.swing.v[found.label == Basins.MOVING]
    np.testing.assert_allclose(firing, firing[0], rtol=1e-3)


def test_on_a_grid():
    """The error shrinks with the spacing, and stays within what is said of it."""
    across, up = BOXES[90.0]
    errors, said = [], []
    for count in (16, 32, 64):
        half = (np.arange(count) + 0.5) / count  # the middles of cells that fill the box
        plane = [axis(f, a + (b - a) * half) for f, (a, b) in ((v, across), (w, up))]
        found = rnnjax.basins(MorrisLecar.hopf(current=90.0), plane, duration=1000.0)
        box = np.ptp(across) * np.ptp(up)
        errors.append(abs(found.share(0) * box - AREAS[90.0]))
        said.append(found.error(0) * box)
    assert (np.array(errors) < said).all()
    assert errors[-1] < 0.01 * AREAS[90.0]
    np.testing.assert_allclose(np.divide(said[:-1], said[1:]), 2, atol=0.3)


@pytest.mark.parametrize(
    ("p", "moving"), [(1.0, False), (1.08, True)], ids=["below", "above the homoclinic"]
)
def test_populations_with_three_equilibria(p, moving):
    """One of them is stable; from p = 1.0682 to the fold at 1.0873 a cycle attracts as well."""
    plane = [axis(f, np.linspace(0, 0.3, 16)) for f in (lambda s: s.e, lambda s: s.i)]
    found = rnnjax.basins(WilsonCowan(p=p), plane, duration=200.0)
    kinds = [str(k) for k in found.attractors.stability]
    assert sorted(kinds) == ["saddle", "stable node", "unstable focus"]
    rest = kinds.index("stable node")
    assert found.outcomes == ([rest, Basins.MOVING] if moving else [rest])
    # E of the lowest at p = 1
    if p == 1:
        np.testing.assert_allclose(found.attractors[rest].e, 0.028254829135443, rtol=1e-12)
