"""Folds, period doublings, Neimark-Sacker points and homoclinic ends of periodic orbits.

The places are those of AUTO-07p (NTST 100, adapted) and of multiple shooting with extrapolation to
twelve digits, computed for this project; for torBPC1 also MatCont's test.
"""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest
from published.oracle_points import BRANCHES

import rnnjax
from rnnjax import BranchEnd
from rnnjax.bifurcations import Grazing
from rnnjax.circuits import ExcitatoryInhibitory, HindmarshRose, JansenRit, TsodyksMarkram


@dataclasses.dataclass(frozen=True)
class Rhythm:
    """Orbits from one Hopf point of a branch of equilibria.

    Attributes:
        circuit, parameter, bounds: what is followed, and between which values.
        start: where the branch of equilibria begins; found from `rest()` unless given.
        hopf: near which value the Hopf point is.
        points: label and place.
        end: how the branch ends, and the value of the parameter there if it is known.
    """

    circuit: object
    parameter: str
    bounds: tuple
    hopf: float
    points: tuple
    end: tuple = ()
    start: object = None

    def where(self, circuit):
        return getattr(circuit, self.parameter)


def oracle(name, hopf, points, end=()):
    of = BRANCHES[name]
    return Rhythm(of.circuit, of.parameter, of.bounds, hopf, points, end, of.ends[0])


RHYTHMS = {
    "fast Morris-Lecar": oracle(
        "fast Morris-Lecar", 0.0757, (("LPC", 0.084569483246),), (BranchEnd.LONG_PERIOD,)
    ),
    "tanh units": oracle(
        "tanh units", 1.523, (("LPC", 3.634418129599), ("LPC", 1.926844437424)), (BranchEnd.BOUND,)
    ),
    "torBPC1": oracle(
        "torBPC1", -0.589,
        (("LPC", -0.584492842416), ("NS", -0.595750552627), ("PD", -0.614681676875)),
    ),
    "Tsodyks-Markram": Rhythm(
        TsodyksMarkram(), "e_0", (-4.0, 0.0), -1.134266832296339,
        (("LPC", -1.114410818825), ("LPC", -1.668672517898), ("LPC", -1.640883966347)),
        (BranchEnd.LONG_PERIOD, -1.6556281772),
    ),
    "Tsodyks-Markram, homoclinic": Rhythm(
        TsodyksMarkram(), "e_0", (-4.0, 0.0), -1.83150856825537, (),
        (BranchEnd.LONG_PERIOD, -1.8198688558),
    ),
    "Jansen-Rit": Rhythm(
        JansenRit(), "p", (-50.0, 400.0), -12.14749234841866, (("LPC", 137.379267201859),),
        (BranchEnd.LONG_PERIOD,),
    ),
    "Jansen-Rit, alpha": Rhythm(
        JansenRit(), "p", (-50.0, 400.0), 89.82910796970097, (), (BranchEnd.HOPF, 315.6964280688197)
    ),
    "Hindmarsh-Rose": Rhythm(
        HindmarshRose(mu=0.01), "current", (-1.0, 30.0), 25.26906527168914,
        (("PD", 3.544438583315),),
    ),
    "Hindmarsh-Rose, bursts": Rhythm(
        HindmarshRose(mu=0.01), "current", (-1.0, 30.0), 5.388656925559107,
        (
            ("PD", 5.327920800996), ("PD", 5.291147224792), ("LPC", 5.285638505190),
            ("LPC", 5.301876096285), ("LPC", 5.265149231028),
        ),
    ),
    "Lorenz-84": oracle("Lorenz-84", 1.6197, (), (BranchEnd.BOUND,)),
}  # fmt: skip


def hopf_point(of):
    """The Hopf point from which the orbits are followed."""
    circuit, start = of.circuit, None
    if of.start is not None:
        value, state = of.start
        at = eqx.tree_at(of.where, circuit, np.asarray(value))
        guess = jax.tree.unflatten(
            jax.tree.structure(at.rest()),
            [np.asarray(state)[None]]
            if eqx.is_array(at.rest())
            else [np.asarray(x)[None] for x in state],
        )
        circuit, start = at, rnnjax.find_equilibria(at, guesses=guess)[0]
    rest = rnnjax.continue_equilibria(circuit, of.where, start, bounds=of.bounds)
    found = [b for b in rest.bifurcations if b.label == "H"]
    return min(found, key=lambda b: abs(b.parameter - of.hopf))


@pytest.mark.slow
@pytest.mark.parametrize("name", RHYTHMS)
def test_rhythms(name):
    of = RHYTHMS[name]
    orbits = rnnjax.continue_orbits(
        of.circuit, of.where, hopf_point(of), of.bounds, intervals=128, throw=False,
        max_bifurcations=16,
    )  # fmt: skip
    found = orbits.bifurcations
    for label, place in of.points:
        near = min((b for b in found if b.label == label), key=lambda b: abs(b.parameter - place))
        np.testing.assert_allclose(near.parameter, place, rtol=0, atol=1e-9 * max(1, abs(place)))
    if of.end:
        assert orbits.endings == [of.end[0]]
        if not name.startswith("Tsodyks"):  # where ever more of them lie in a step
            assert orbits.special.unsolved == 0
    if len(of.end) > 1:
        close = 1e-6 if of.end[0] == BranchEnd.LONG_PERIOD else 1e-3  # the last orbit has a size
        np.testing.assert_allclose(orbits.parameter[-1], of.end[1], rtol=0, atol=close)
    if name in ("fast Morris-Lecar", "tanh units", "Jansen-Rit", "Lorenz-84"):
        assert len(found) == len(of.points)  # none invented
    assert len(orbits) > 15


# tau_i in ms, smallest and largest rates in Hz, period in ms (spec: DOP853 at 1e-10)
LIMIT_CYCLES = [
    (41.0, (0.7531, 50.8258), (4.9121, 28.6874), 163.990),
    (45.0, (0.3035, 53.3002), (4.9759, 29.6770), 174.596),
    (50.0, (0.12698, 56.18739), (5.13997, 30.79071), 187.3148),
    (60.0, (0.0249, 61.8755), (5.4720, 32.9197), 212.837),
    (80.0, (0.0008, 73.6752), (6.0065, 37.1905), 265.612),
]


@pytest.mark.slow
def test_the_rectified_pair_from_its_jump_to_80_ms():
    """The orbit is born with finite amplitude at 40 ms; its kinks cost digits, not the orbit."""
    pair = ExcitatoryInhibitory(tau_i=50.0)
    times = np.linspace(0, 8000, 8001)
    run = rnnjax.simulate(pair, times, dtype="float64", rtol=1e-9, atol=1e-9)
    orbits = rnnjax.continue_orbits(
        pair, lambda c: c.tau_i, run, (35.0, 80.0), intervals=256, bifurcations=(Grazing(),)
    )
    assert orbits.endings == [BranchEnd.BOUND, BranchEnd.HOPF]
    # at 40 ms a continuum of neutral orbits, ellipses until one touches the threshold of I, and then
    # others until one touches that of E: there the stable orbits begin
    inner, outer = orbits.bifurcations
    for point, e, i, period in (
        (inner, (10.0, 43.3333), (8.3333, 25.0), 145.104),
        (outer, (1.3118, 49.9523), (5.0238, 28.3095), 160.411),
    ):
        assert point.label == "GR"
        np.testing.assert_allclose(point.parameter, 40.0, atol=1e-5)
        np.testing.assert_allclose(point.orbit.period, period, atol=1e-3)
        least, most = point.orbit.extremes
        np.testing.assert_allclose([least.e, most.e], e, atol=1e-4)
        np.testing.assert_allclose([least.i, most.i], i, atol=1e-4)
    for tau_i, e, i, period in LIMIT_CYCLES:
        near = orbits[int(np.argmin(abs(orbits.parameter - tau_i)))]
        orbit = rnnjax.find_orbit(ExcitatoryInhibitory(tau_i=tau_i), near, intervals=256)
        least, most = orbit.extremes
        np.testing.assert_allclose(orbit.period, period, atol=0.01)
        np.testing.assert_allclose([least.e, most.e], e, atol=1e-3)
        np.testing.assert_allclose([least.i, most.i], i, atol=1e-3)
        assert orbit.stable
