"""`enumerate_equilibria`: all of them, each once, proved; and honest where that can't be."""

import dataclasses
import tracemalloc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import ORACLES, Pitchfork, SaddleNode
from scipy.optimize import brentq

import rnnjax
from rnnjax import Stability
from rnnjax.circuits import (
    AdaptiveQuadraticMeanField,
    CurrentNetwork,
    ExcitatoryInhibitory,
    ExcitatoryInhibitoryState,
    HindmarshRose,
    HodgkinHuxley,
    HodgkinHuxleyState,
    JansenRit,
    LinearNetwork,
    MorrisLecar,
    MorrisLecarState,
    QuadraticMeanField,
    RateNetwork,
    ThresholdLinear,
    TsodyksMarkram,
    TsodyksMarkramState,
    WilsonCowan,
    WongWang,
    rectified,
    softplus,
)
from rnnjax.connectivity import Cosine, Dense
from rnnjax.inputs import Step

GATES = HodgkinHuxleyState(-100.0, 0.0, 0.0, 0.0), HodgkinHuxleyState(60.0, 1.0, 1.0, 1.0)
CELL = MorrisLecarState(-100.0, -0.5), MorrisLecarState(100.0, 1.5)
SYNAPSES = TsodyksMarkramState(-5.0, 0.0, 0.0), TsodyksMarkramState(300.0, 1.0, 1.0)
WEIGHTS = 4 * np.random.default_rng(2).normal(size=(6, 6)) / 6**0.5

# circuit, box, how many
CIRCUITS = {
    "Wilson-Cowan": (WilsonCowan(p=1.0), (-1.0, 1.0), 3),
    "Morris-Lecar": (MorrisLecar.snic(current=20.0), CELL, 3),
    "Hodgkin-Huxley": (HodgkinHuxley(current=10.0), GATES, 1),
    "Hindmarsh-Rose": (HindmarshRose(), (-200.0, 200.0), 1),
    "Jansen-Rit": (JansenRit(p=100.0), (-1000.0, 1000.0), 3),
    "Tsodyks-Markram": (TsodyksMarkram(e_0=-1.5), SYNAPSES, 3),
    "quadratic mean field": (QuadraticMeanField(), (-100.0, 100.0), 4),
    "with adaptation": (AdaptiveQuadraticMeanField(), (-100.0, 100.0), 4),
    "Wong-Wang": (WongWang(), (-1.0, 2.0), 3),
    "six tanh units": (CurrentNetwork(Dense(WEIGHTS)), (-20.0, 20.0), 5),
    "softplus units": (RateNetwork(Dense(WEIGHTS[:4, :4] / 2), softplus), (0.0, 50.0), None),
    "E-I": (ExcitatoryInhibitory(), None, 1),
    "rectified ring": (RateNetwork(Cosine(lambda_1=1.9, size=9), bias=1.0), None, 19),
    "linear": (LinearNetwork(Dense(WEIGHTS), bias=1.0), None, 1),
}


def rows(found):
    return np.stack([np.hstack(jax.tree.leaves(found[k])) for k in range(len(found))])


def flat(states):
    return np.hstack([np.reshape(x, (len(x), -1)) for x in jax.tree.leaves(states)])


@pytest.mark.parametrize("name", CIRCUITS)
def test_circuits(name):
    circuit, box, count = CIRCUITS[name]
    found = rnnjax.enumerate_equilibria(circuit, box=box)
    assert found.complete
    assert found.found.all()
    assert len(found) == (count if count is not None else len(found)) > 0
    # no more bound than rounding leaves, and the state within its bounds
    states = flat(found.states)
    low, high = flat(found.certificate.low), flat(found.certificate.high)
    assert states.dtype == np.float64
    assert ((low <= states) & (states <= high)).all()
    scale = 1 + np.abs(states).max()
    assert ((high - low) / scale).max() < 1e-10
    assert found.residual.max() < 1e-9 * scale
    # the index of the field on the box, where nothing leaves through its sides
    if name in ("Wilson-Cowan", "six tanh units", "rectified ring", "Wong-Wang"):
        assert np.sign(np.linalg.det(-found.jacobian)).sum() == 1


def test_precision_and_derivatives(both_modes):
    for circuit, box in ((WilsonCowan(p=1.0), (-1.0, 1.0)), (ExcitatoryInhibitory(), None)):
        found = rnnjax.enumerate_equilibria(circuit, box=box)
        assert found.complete
        for leaf in jax.tree.leaves((found.states, found.certificate.low, found.jacobian)):
            assert isinstance(leaf, np.ndarray)
            assert leaf.dtype == np.float64
        near = rnnjax.linearize(circuit, found[0])
        np.testing.assert_array_equal(found.jacobian[0], near.jacobian)
        assert jax.config.jax_enable_x64 == both_modes


# each is a program to compile for find_equilibria
SEARCHED = (
    "Wilson-Cowan", "Morris-Lecar", "Jansen-Rit", "Tsodyks-Markram", "Wong-Wang", "six tanh units",
    "rectified ring",
)  # fmt: skip


@pytest.mark.parametrize("name", SEARCHED)
def test_searching_from_guesses_finds_no_other(name):
    circuit, box, _ = CIRCUITS[name]
    every = flat(rnnjax.enumerate_equilibria(circuit, box=box).states)
    some = rnnjax.find_equilibria(circuit)
    low, high = (-np.inf, np.inf) if box is None else box
    ends = [np.hstack(jax.tree.leaves(x)) if isinstance(x, tuple) else x for x in (low, high)]
    for x in rows(some):
        if ((x >= ends[0]) & (x <= ends[1])).all():
            distance = np.abs(every - x).max(1)
            assert distance.min() < 1e-7 * (1 + np.abs(x).max())


def test_published_numbers():
    found = rnnjax.enumerate_equilibria(WilsonCowan(p=1.0), box=(-1.0, 1.0))
    expected = [0.028254829135443, 0.092069613763632, 0.170792990634709]
    np.testing.assert_allclose(found.states.e, expected, atol=2e-15)
    kinds = [Stability.STABLE_NODE, Stability.SADDLE, Stability.UNSTABLE_FOCUS]
    assert found.stability == kinds


def zeros_of(function, low, high):
    """All zeros of a function of one number, by sign changes on a fine grid."""
    grid = np.linspace(low, high, 20_001)
    values = function(grid)
    at = np.flatnonzero(values[:-1] * values[1:] < 0)
    return np.array([brentq(function, grid[k], grid[k + 1], xtol=1e-15) for k in at])


@pytest.mark.parametrize("current", [0.0, 10.0, 154.0])
def test_the_axon_against_its_steady_current(current):
    def steady(v):
        a_m, b_m = 0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10)), 4 * np.exp(-(v + 65) / 18)
        a_h, b_h = 0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))
        a_n, b_n = 0.01 * (v + 55) / (1 - np.exp(-(v + 55) / 10)), 0.125 * np.exp(-(v + 65) / 80)
        m, h, n = a_m / (a_m + b_m), a_h / (a_h + b_h), a_n / (a_n + b_n)
        ionic = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
        return current - ionic

    found = rnnjax.enumerate_equilibria(HodgkinHuxley(current=current), box=GATES)
    assert found.complete
    np.testing.assert_allclose(found.states.v, zeros_of(steady, -99.9, 59.9), atol=1e-10)


@pytest.mark.parametrize("p", [0.0, 100.0, 120.0, 320.0])
def test_the_column_against_its_one_equation(p):
    def rate(v):
        return 5 / (1 + np.exp(0.56 * (6 - v)))

    def loop(y0):
        y1 = 3.25 / 100 * (p + 0.8 * 135 * rate(135 * y0))
        y2 = 22 / 50 * 0.25 * 135 * rate(0.25 * 135 * y0)
        return 3.25 / 100 * rate(y1 - y2) - y0

    found = rnnjax.enumerate_equilibria(JansenRit(p=p), box=(-1000.0, 1000.0))
    assert found.complete
    expected = zeros_of(loop, -0.001, 0.2)
    assert len(expected) == (3 if p < 113.58 else 1)
    np.testing.assert_allclose(found.states.y0, expected, atol=1e-13)


def test_the_degree_of_random_networks():
    """With bounded rates the indices of all equilibria add up to 1."""
    rng = np.random.default_rng(8)
    counts = []
    for _ in range(12):
        weights, bias = 3 * rng.normal(size=(3, 3)), rng.normal(size=3)
        reach = np.abs(weights).sum(1).max() + np.abs(bias).max() + 1
        network = CurrentNetwork(Dense(weights), bias=bias)
        found = rnnjax.enumerate_equilibria(network, box=(-reach, reach))
        assert found.complete
        assert np.sign(np.linalg.det(-found.jacobian)).sum() == 1
        counts.append(len(found))
    assert max(counts) >= 5


ONE = {k: v for k, v in ORACLES.items() if np.size(v.circuit.rest()) <= 2}


@pytest.mark.parametrize("oracle", ONE.values(), ids=ONE)
def test_oracles(oracle):
    found = rnnjax.enumerate_equilibria(oracle.circuit, box=(-7.3, 8.1))
    expected = np.reshape(oracle.equilibria(oracle.value), (-1, np.size(oracle.circuit.rest())))
    states = flat(found.states)
    assert found.complete
    assert len(states) == len(expected)
    np.testing.assert_allclose(states, expected[np.lexsort(expected.T[::-1])], atol=1e-12)
    kinds = {k.name for k in found.stability}
    assert kinds == set(oracle.kinds)


def test_none_is_proved_as_well():
    found = rnnjax.enumerate_equilibria(SaddleNode(-1e-6), box=(-10.0, 10.0))
    assert found.complete
    assert len(found) == 0
    assert found.states.shape == (0,)
    assert "0 found, proved to be all" in repr(found)
    assert found.to_xarray().sizes["equilibrium"] == 0


def test_twins_are_told_apart_until_they_are_one():
    apart = rnnjax.enumerate_equilibria(SaddleNode(1e-10), box=(-10.0, 10.0))
    assert apart.complete
    np.testing.assert_allclose(apart.states, [-1e-5, 1e-5], rtol=1e-9)
    fold = rnnjax.enumerate_equilibria(SaddleNode(0.0), box=(-10.0, 10.0))
    assert not fold.complete
    assert len(fold) == 0
    (low,), (high,) = fold.certificate.open_low, fold.certificate.open_high
    assert -1e-5 < low <= 0 <= high < 1e-5
    assert "others not excluded in 1 region" in repr(fold)
    assert "1 region" in repr(fold.certificate)


def test_at_a_fold_the_others_are_still_found():
    cell = MorrisLecar.snic(current=39.96315309274535)
    found = rnnjax.enumerate_equilibria(cell, box=CELL)
    assert not found.complete
    assert len(found) == 1
    assert found.states.v[0] > 0
    assert found.certificate.open_low.v.shape == (1,)
    assert found.certificate.open_low.v < -29.3898 < found.certificate.open_high.v


class Plane(rnnjax.AbstractCircuit):
    """Two variables and any field."""

    field: Any = eqx.field(static=True)
    strength: Any = rnnjax.parameter(1.0, "1")

    def __call__(self, state, input):
        return jnp.stack(self.field(state[0], state[1])) * self.strength + input

    def rest(self):
        return jnp.zeros_like(self.strength) * jnp.ones(2, jnp.result_type(self.strength))


OPEN = {
    "a jump across zero": (lambda x, y: (jnp.where(x > 0, x + 1, x - 1), y), 0),
    "a kink written as a jump": (lambda x, y: (jnp.where(x > 0, x, 2 * x), y), 0),
    "a cusp": (lambda x, y: (x**3, y), 0),
    "undefined in part": (lambda x, y: (jnp.sqrt(x) - 0.5, y), 1),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_stays_open(name):
    field, count = OPEN[name]
    found = rnnjax.enumerate_equilibria(Plane(field), box=(-1.0, 2.0), max_boxes=3000)
    assert not found.complete
    assert len(found) == count
    low, high = found.certificate.open_low, found.certificate.open_high
    inside = (low[:, 0] <= 0) & (high[:, 0] >= 0)
    assert inside.any() or name == "undefined in part"


def test_a_continuum_stays_open_and_the_search_ends():
    line = Plane(lambda x, y: (x - y, 2 * x - 2 * y))
    found = rnnjax.enumerate_equilibria(line, box=(-1.0, 2.0), max_boxes=2000)
    assert not found.complete
    assert 2000 <= found.certificate.examined < 2000 + 1024
    hull = found.certificate.open_low.min(0), found.certificate.open_high.max(0)
    np.testing.assert_allclose(hull, [[-1, -1], [2, 2]], atol=1e-12)


def test_kinks_are_no_obstacle():
    found = rnnjax.enumerate_equilibria(
        Plane(lambda x, y: (abs(x) - y, y - x / 2 - 0.3)), box=(-1.0, 2.0)
    )
    assert found.complete
    np.testing.assert_allclose(found.states, [[-0.2, 0.2], [0.6, 0.6]], atol=1e-14)
    # exactly on the kink, with slopes that are regular on both sides
    found = rnnjax.enumerate_equilibria(
        Plane(lambda x, y: (2 * x + jnp.maximum(x, 0.0), y)), box=(-1.0, 2.0)
    )
    assert found.complete
    np.testing.assert_array_equal(found.states, [[0.0, 0.0]])


class Unrecognized(RateNetwork):
    """A rectified network that does not say that it is one."""

    def threshold_linear(self, input):
        return None


def test_supports_and_boxes_agree():
    weights = np.array([[0.0, -1.5, -0.75, -1.5], [-0.75, 0.0, -1.5, -0.75]] * 2)
    weights = weights + 0.25 * np.random.default_rng(1).random((4, 4))
    drive = np.array([1.0, 0.9, 1.2, 1.0])
    exact = rnnjax.enumerate_equilibria(RateNetwork(Dense(weights), bias=drive))
    boxed = rnnjax.enumerate_equilibria(Unrecognized(Dense(weights), bias=drive), box=(-1.0, 5.0))
    assert exact.complete
    assert boxed.complete
    assert len(exact) > 1
    one, other = (x[np.lexsort(x.round(9).T)] for x in (exact.states, boxed.states))
    np.testing.assert_allclose(one, other, atol=1e-13)


def test_a_circuit_of_ones_own_can_offer_its_supports():
    class Pair(rnnjax.AbstractCircuit):
        w: Any = rnnjax.parameter(-2.0, "1")

        def __call__(self, state, input):
            return -state + rectified(self.w * state[::-1] + 1.0 + input)

        def rest(self):
            return jnp.zeros(2)

        def threshold_linear(self, input):
            swap = jnp.array([[0.0, 1.0], [1.0, 0.0]])
            return ThresholdLinear(self.w * swap, 1.0 + input)

    found = rnnjax.enumerate_equilibria(Pair())
    assert found.complete
    assert found.certificate.supports == ((0,), (1,), (0, 1))
    np.testing.assert_allclose(found.states, [[1, 0], [0, 1], [1 / 3, 1 / 3]], atol=1e-15)
    half = rnnjax.enumerate_equilibria(Pair(), box=(-0.1, 0.5))
    assert half.certificate.supports == ((0, 1),)


def test_a_circuit_that_misstates_its_supports_is_refused():
    class Mistaken(RateNetwork):
        def threshold_linear(self, input):
            return ThresholdLinear(self.connectivity.matrix(), 2.0)

    class Ragged(RateNetwork):
        def threshold_linear(self, input):
            return ThresholdLinear(self.connectivity.matrix(), np.ones(3))

    zero = Dense(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"Mistaken\.threshold_linear.*no equilibria"):
        rnnjax.enumerate_equilibria(Mistaken(zero, bias=1.0))
    with pytest.raises(ValueError, match=r"Ragged\.threshold_linear.*\(2, 2\), \(3,\) and \(\)"):
        rnnjax.enumerate_equilibria(Ragged(zero, bias=1.0))


def test_the_input_is_held_at_a_time():
    ramp = Step(5.0, onset=100.0)
    for time, drive in ((0.0, 0.0), (200.0, 5.0)):
        found = rnnjax.enumerate_equilibria(HodgkinHuxley(), ramp, box=GATES, time=time)
        same = rnnjax.enumerate_equilibria(HodgkinHuxley(current=drive), box=GATES)
        np.testing.assert_allclose(found.states.v, same.states.v, atol=1e-12)
    driven = ExcitatoryInhibitoryState(5.0, 0.0)
    found = rnnjax.enumerate_equilibria(ExcitatoryInhibitory(), driven)
    # v_i = v_e - 10, v_e = 1.25 v_e - v_i + 15
    np.testing.assert_allclose([found.states.e[0], found.states.i[0]], [100 / 3, 70 / 3])


def test_gradients_come_from_find_equilibria():
    every = rnnjax.enumerate_equilibria(Pitchfork(0.25), box=(-2.0, 2.0))

    def outer(mu):
        found = rnnjax.find_equilibria(Pitchfork(mu), guesses=every.states)
        return found.states[jnp.argmax(jnp.nan_to_num(found.states, nan=-9.0))]

    assert jax.grad(outer)(0.25) == pytest.approx(1.0, rel=1e-6)  # d sqrt(mu) / d mu
    for transformed in (jax.jit, jax.grad):
        with pytest.raises(TypeError, match=r"on the host.*find_equilibria\("):
            transformed(
                lambda mu: rnnjax.enumerate_equilibria(Pitchfork(mu), box=(-2.0, 2.0)).states[0]
            )(0.25)
    with pytest.raises(TypeError, match="on the host"):
        jax.jit(lambda: rnnjax.enumerate_equilibria(ExcitatoryInhibitory()).states.e)()


def test_memory_is_flat():
    rng = np.random.default_rng(0)
    peaks = []
    for units in (12, 17):
        weights = np.where(rng.random((units, units)) < 0.4, -0.75, -1.5)
        np.fill_diagonal(weights, 0)
        network = RateNetwork(Dense(weights), bias=1.0)
        rnnjax.enumerate_equilibria(network)
        tracemalloc.start()
        found = rnnjax.enumerate_equilibria(network)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.certificate.examined == 2**units
        assert found.complete
    assert peaks[1] < 4 * peaks[0] + 1e7  # 32 times the sets


BAD = {
    "no box": (
        lambda: rnnjax.enumerate_equilibria(HodgkinHuxley()), ValueError,
        r"expected the region.*HodgkinHuxley is not threshold-linear.*v, m, h, n.*box=\(",
    ),
    "no pair": (
        lambda: rnnjax.enumerate_equilibria(WilsonCowan(), box=1.0), ValueError, "a pair",
    ),
    "another state": (
        lambda: rnnjax.enumerate_equilibria(WilsonCowan(), box=(np.zeros(2), np.ones(2))),
        ValueError, "variables e, i",
    ),
    "upside down": (
        lambda: rnnjax.enumerate_equilibria(WilsonCowan(), box=(1.0, -1.0)), ValueError,
        "below the high one, got 1 and -1 for e",
    ),
    "infinite": (
        lambda: rnnjax.enumerate_equilibria(WilsonCowan(), box=(-np.inf, 1.0)), ValueError, "finite",
    ),
    "too fine": (
        lambda: rnnjax.enumerate_equilibria(WilsonCowan(), box=(-1.0, 1.0), resolution=1e-17),
        ValueError, "rounding decides",
    ),
    "no boxes": (
        lambda: rnnjax.enumerate_equilibria(WilsonCowan(), box=(-1.0, 1.0), max_boxes=0),
        ValueError, "max_boxes: expected a positive whole number",
    ),
    "too many units": (
        lambda: rnnjax.enumerate_equilibria(RateNetwork()), ValueError,
        "at most 20 units with a threshold, got 100.*find_equilibria",
    ),
    "no bounds": (
        lambda: rnnjax.enumerate_equilibria(
            Plane(lambda x, y: jnp.sort(jnp.stack([x, y]))), box=(-1.0, 1.0)
        ),
        NotImplementedError, "operation `sort`.*find_equilibria",
    ),
    "another input": (
        lambda: rnnjax.enumerate_equilibria(WilsonCowan(), np.zeros(3), box=(-1.0, 1.0)),
        ValueError, "input: expected",
    ),
    "a number that is none": (
        lambda: rnnjax.enumerate_equilibria(
            dataclasses.replace(WilsonCowan(), p=1.0), np.nan, box=(-1.0, 1.0)
        ),
        ValueError, "expected finite numbers, got nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
