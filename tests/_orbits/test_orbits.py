"""Periodic orbits: closed forms, gradients, branches, and what is no orbit."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from chaotic import Lorenz63
from oracles import central_difference
from test_lowering import lowered

import rnnjax
from rnnjax import BranchEnd, Status
from rnnjax.bifurcations import Grazing

RHO, TWIST = 0.7, 0.3
rho = operator.attrgetter("rho")


class StuartLandau(rnnjax.AbstractCircuit):
    """Radius r' = r (rho - r^2), angle' = 1 + twist (rho - r^2)."""

    rho: object = rnnjax.parameter(RHO, "1")
    twist: object = rnnjax.parameter(TWIST, "1")
    rate: object = rnnjax.parameter(1.0, "1")

    def __call__(self, state, input):
        x, y = state
        off = self.rho - x**2 - y**2
        turn = self.rate + self.twist * off
        return jnp.stack([x * off - turn * y, y * off + turn * x]) + input

    def rest(self):
        return jnp.zeros(2)


class Bautin(rnnjax.AbstractCircuit):
    """r' = r (p + r^2 - r^4), angle' = 1: a fold of cycles at p = -1/4, r^2 = 1/2."""

    p: object = rnnjax.parameter(-0.1, "1")

    def __call__(self, state, input):
        x, y = state
        square = x**2 + y**2
        growth = self.p + square - square**2
        return jnp.stack([x * growth - y, y * growth + x]) + input

    def rest(self):
        return jnp.zeros(2)


def circle(radius=1.0, count=40):
    angle = 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1)


@pytest.mark.usefixtures("both_modes")
def test_an_orbit_in_closed_form():
    orbit = rnnjax.find_orbit(StuartLandau(), circle(), period=6.0)
    assert orbit.status == Status.OK
    assert orbit.period == pytest.approx(2 * np.pi, rel=1e-11)
    assert orbit.frequency == pytest.approx(1000 / (2 * np.pi), rel=1e-11)
    np.testing.assert_allclose(np.linalg.norm(orbit.states, axis=1), np.sqrt(RHO), atol=1e-9)
    np.testing.assert_allclose(orbit.multipliers, [1, np.exp(-4 * np.pi * RHO)], atol=1e-10)
    assert orbit.stable
    low, high = orbit.extremes
    np.testing.assert_allclose([low, high], [[-np.sqrt(RHO)] * 2, [np.sqrt(RHO)] * 2], atol=1e-6)
    between = orbit(np.array([0.01, 0.51, 1.01]))
    np.testing.assert_allclose(between[0], between[2], atol=1e-14)
    np.testing.assert_allclose(between[0], -between[1], atol=1e-7)
    assert orbit.to_xarray().sizes["phase"] == len(orbit.phases)
    assert "stable" in repr(orbit)


@pytest.mark.slow
def test_the_guess_may_be_a_run_or_another_orbit():
    times = np.linspace(0, 60, 1200)
    run = rnnjax.simulate(StuartLandau(), times, start=np.array([0.1, 0.0]), dtype="float64")
    first = rnnjax.find_orbit(StuartLandau(), run)
    assert first.period == pytest.approx(2 * np.pi, rel=1e-11)
    other = rnnjax.find_orbit(StuartLandau(rho=0.8), first)
    np.testing.assert_allclose(np.linalg.norm(other.states, axis=1), np.sqrt(0.8), atol=1e-9)


def test_what_is_no_orbit_is_told():
    resting = StuartLandau(rho=-0.5)
    run = rnnjax.simulate(resting, np.linspace(0, 60, 600), start=np.ones(2), dtype="float64")
    with pytest.raises(rnnjax.ConvergenceError, match="decays to rest"):
        rnnjax.find_orbit(resting, run)
    for guess in (run, circle(0.1)):
        found = rnnjax.find_orbit(resting, guess, period=6.0, throw=False)
        assert found.status != Status.OK
        assert np.isnan(found.period)
        assert np.isnan(found.states).all()


def test_chaos_is_no_orbit():
    run = rnnjax.simulate(Lorenz63(), np.linspace(0, 31, 4001), dtype="float64")
    with pytest.raises(rnnjax.ConvergenceError, match="the run is chaotic"):
        rnnjax.find_orbit(Lorenz63(), run)


@pytest.mark.slow
def test_an_orbit_has_its_derivatives():
    def of(values):
        circuit = StuartLandau(rho=values[0], twist=0.3, rate=values[1])
        orbit = rnnjax.find_orbit(circuit, circle(), period=6.0)
        return jnp.stack([orbit.period, (orbit.states[0] ** 2).sum(), orbit.multipliers_real[1]])

    values = np.array([RHO, 1.3])
    with jax.enable_x64(True):
        slope = jax.jacfwd(of)(values)
        back = jax.jacrev(of)(values)
    multiplier = np.exp(-4 * np.pi * RHO / 1.3)
    expected = [
        [0, -2 * np.pi / 1.3**2], [1, 0],
        [-4 * np.pi / 1.3 * multiplier, 4 * np.pi * RHO / 1.3**2 * multiplier],
    ]  # fmt: skip
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(back, slope, rtol=1e-8, atol=1e-12)


def test_a_branch_from_a_hopf_point_through_a_fold_in_closed_form():
    p = operator.attrgetter("p")
    bounds = (-0.5, 0.5)
    hopf = rnnjax.continue_equilibria(Bautin(), p, bounds=bounds).first("H")
    branch = rnnjax.continue_orbits(Bautin(), p, hopf, bounds)
    (fold,) = branch.bifurcations
    assert fold.label == "LPC"
    assert float(fold.parameter) == pytest.approx(-0.25, abs=1e-10)
    np.testing.assert_allclose(np.linalg.norm(fold.orbit.states, axis=1), 0.5**0.5, atol=1e-6)
    # the ends of the intervals are known best
    squares = (branch.states[:, ::4] ** 2).sum(-1)
    expected = np.broadcast_to(branch.parameter[:, None], squares.shape)
    np.testing.assert_allclose(squares**2 - squares, expected, atol=1e-10)
    np.testing.assert_allclose(branch.period, 2 * np.pi, rtol=1e-9)
    assert (branch.stable[squares[:, 0] > 0.55]).all()
    assert not (branch.stable[squares[:, 0] < 0.45]).any()
    assert branch.endings == [BranchEnd.BOUND]
    assert branch.special.unsolved == 0
    assert "LPC at -0.25" in repr(branch)
    ax = rnnjax.plot.orbits(branch)
    drawn = {line.get_gid(): line for line in ax.lines}
    marker = drawn["LPC 0"]
    np.testing.assert_allclose(marker.get_xydata(), [[-0.25, 0.5**0.5]], atol=1e-5)
    upper = drawn["stable largest state[0]"].get_xydata()
    upper = upper[np.isfinite(upper[:, 1]) & (upper[:, 0] > -0.2)]
    np.testing.assert_allclose(upper[:, 0], upper[:, 1] ** 4 - upper[:, 1] ** 2, atol=1e-5)
    plt.close(ax.figure)
    kept, status = branch.swept()
    assert status == Status.OK
    assert {name: dims for name, (dims, _, _) in kept.items()} == {
        "label": ("bifurcation",), "kind": ("bifurcation",), "end": ("direction",), "unsolved": (),
        "at": ("bifurcation",), "period": ("bifurcation",), "coefficient": ("bifurcation",),
        "longest_period": (),
    }  # fmt: skip
    assert kept["at"][1][0] == fold.parameter
    assert kept["label"][2]["flag_meanings"].split()[:2] == ["none", "LPC"]
    with pytest.raises(TypeError, match="expected an OrbitBranch"):
        rnnjax.plot.orbits(1.0)


class Shifted(Bautin):
    """The same with (1 + s) r^2: the fold is at -(1 + s)^2 / 4."""

    s: object = rnnjax.parameter(0.0, "1")

    def __call__(self, state, input):
        square = (state**2).sum()
        x, y = state
        growth = self.p + (1 + self.s) * square - square**2
        return jnp.stack([x * growth - y, y * growth + x]) + input


@pytest.mark.slow
def test_folds_of_cycles_have_their_derivatives():
    def place(shift):
        circuit = eqx.tree_at(lambda c: c.s, Shifted(), shift)
        start = rnnjax.find_orbit(circuit, circle(0.9), period=6.3, intervals=8)
        branch = rnnjax.continue_orbits(
            circuit, operator.attrgetter("p"), start, (-0.5, 0.5), max_bifurcations=1, intervals=8
        )
        return branch.special.parameter[0]

    with jax.enable_x64(True):
        zero = np.float64(0.0)
        assert place(zero) == pytest.approx(-0.25, abs=1e-10)
        assert jax.jacfwd(place)(zero) == pytest.approx(-0.5, rel=1e-6)
        assert jax.grad(place)(zero) == pytest.approx(-0.5, rel=1e-6)
        assert central_difference(place, zero, 1e-3) == pytest.approx(-0.5, rel=1e-6)


def test_batches_and_gpus():
    def period(rate):
        circuit = eqx.tree_at(lambda c: c.rate, StuartLandau(), rate)
        return rnnjax.find_orbit(circuit, circle(), period=6.0, intervals=8).period

    rates = np.array([0.9, 1.0, 1.2])
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.vmap(period)(rates), 2 * np.pi / rates, rtol=1e-8)
    lowered(period, np.float32(1.0))


BAD = {
    "period: expected about": lambda c: rnnjax.find_orbit(c, circle()),
    "period: expected one positive": lambda c: rnnjax.find_orbit(c, circle(), period=-1.0),
    "guess: expected at least 8": lambda c: rnnjax.find_orbit(c, circle(count=5), period=6.0),
    "guess: expected a Trajectory": lambda c: rnnjax.find_orbit(c, np.ones((20, 3)), period=6.0),
    "intervals: expected a positive": lambda c: rnnjax.find_orbit(
        c, circle(), period=6.0, intervals=0
    ),
    "start: expected a Hopf point": lambda c: rnnjax.continue_orbits(
        c, rho, np.ones(2), (0.0, 1.0)
    ),
}


@pytest.mark.parametrize("words", BAD)
def test_what_does_not_fit_is_refused(words):
    with pytest.raises(ValueError, match=words):
        BAD[words](StuartLandau())


def found(circuit):
    """The orbit of a circuit."""
    return rnnjax.find_orbit(circuit, circle(), period=6.0, intervals=8, throw=False)


def test_a_sweep_of_orbits():
    over = [rnnjax.axis(rho, [0.5, 0.7, -0.5])]
    data = rnnjax.sweep(StuartLandau(), {"orbit": found}, over, dtype="float64", progress=False)
    np.testing.assert_allclose(data.orbit_period[:2], 2 * np.pi, rtol=1e-8)
    np.testing.assert_allclose(data.orbit_largest_state[:2, 0], np.sqrt([0.5, 0.7]), rtol=1e-6)
    assert np.isnan(data.orbit_period[2])
    assert data.orbit_multipliers_real.dims == ("rho", "orbit_multiplier")
    assert data.status.values.tolist() == [0, 0, int(found(StuartLandau(rho=-0.5)).status)]
    np.testing.assert_allclose(
        data.orbit_multipliers_real[:2, 1], np.exp(-4 * np.pi * np.array([0.5, 0.7])), atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize(("intervals", "max_step"), [(8, 0.025), (8, 0.1), (32, 0.1)])
def test_a_batch_of_branches_finds_the_same(intervals, max_step):
    p = operator.attrgetter("p")

    def folds(shift):
        circuit = Shifted(p=-0.1, s=shift)
        start = rnnjax.find_orbit(
            circuit, circle(0.95), period=6.3, intervals=intervals, throw=False
        )
        branch = rnnjax.continue_orbits(
            circuit,
            p,
            start,
            (-0.5, 0.5),
            max_bifurcations=2,
            intervals=intervals,
            max_step=max_step,
        )
        return branch.special.parameter, branch.special.type_index, branch.special.unsolved

    with jax.enable_x64(True):
        shifts = jnp.asarray([-0.1, 0.0, 0.2])
        places, types, unsolved = (np.asarray(x) for x in jax.vmap(folds)(shifts))
    expected = -((1 + np.asarray(shifts)) ** 2) / 4
    assert (types >= 0).sum(1).tolist() == [1, 1, 1]
    np.testing.assert_allclose(places[:, 0], expected, atol=1e-9)
    assert not unsolved.any()


def test_grazing_is_for_circuits_with_kinks():
    with pytest.raises(ValueError, match=r"Grazing\(\) is for circuits that say what their"):
        rnnjax.continue_orbits(
            StuartLandau(), rho, found(StuartLandau()), (0.1, 1.0), bifurcations=(Grazing(),)
        )
