"""Threshold-linear networks: all fixed points, against counting rules, closed forms and rationals.

Combinatorial threshold-linear networks (CTLN): x' = -x + [W x + 1]_+ with W_ij = -1 + 1/4 for an
edge j -> i, -1 - 1/2 without, 0 on the diagonal. The counts and the rules for graphs made of parts
(disjoint and clique unions, cyclic tournaments) are those of Curto, Geneson and Morrison (2019),
Neural Computation 31:94-155, and of Curto and Morrison (2023), Graph rules for recurrent neural
network dynamics, Notices of the American Mathematical Society 70; the sum of the signs of
det(1 - W) over all supports is 1.
"""

import itertools
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
from rnnjax import Stability
from rnnjax.circuits import (
    CurrentNetwork,
    ExcitatoryInhibitory,
    LinearNetwork,
    RateNetwork,
    rectified,
)
from rnnjax.connectivity import Cosine, Dense

CYCLE = [(0, 1), (1, 2), (2, 0)]
TOURNAMENT = [(k, (k + d) % 5) for k in range(5) for d in (1, 2)]


def clique(units):
    return list(itertools.permutations(range(units), 2))


def shifted(edges, by):
    return [(j + by, i + by) for j, i in edges]


def ctln(edges, units):
    weights = np.full((units, units), -1.5)
    for j, i in edges:
        weights[i, j] = -0.75
    np.fill_diagonal(weights, 0)
    return weights


def enumerate_network(weights, drive=1.0, kind=RateNetwork, **options):
    nonlinearity = {} if kind is LinearNetwork else {"nonlinearity": rectified}
    network = kind(Dense(weights), bias=drive, **nonlinearity)
    return rnnjax.enumerate_equilibria(network, **options)


def index(weights, supports):
    """The sum of the signs of det(1 - W) on the supports."""
    blocks = [np.eye(len(s)) - weights[np.ix_(s, s)] for s in supports]
    return sum(int(np.sign(np.linalg.det(block))) for block in blocks)


GRAPHS = {
    "3-cycle": (CYCLE, 3, [(0, 1, 2)]),
    "clique of 4": (clique(4), 4, [(0, 1, 2, 3)]),
    "4 isolated nodes": ([], 4, [s for k in range(1, 5) for s in itertools.combinations(range(4), k)]),
    "two 3-cycles": (CYCLE + shifted(CYCLE, 3), 6, [(0, 1, 2), (3, 4, 5), (0, 1, 2, 3, 4, 5)]),
    "cyclic tournament of 5": (TOURNAMENT, 5, [(0, 1, 2, 3, 4)]),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name):
    edges, units, supports = GRAPHS[name]
    weights = ctln(edges, units)
    found = enumerate_network(weights)
    assert found.complete
    assert found.certificate.supports == tuple(supports)
    assert index(weights, supports) == 1
    assert found.residual[: len(found)].max() < 1e-14


def test_the_cycle_has_its_fixed_point_at_four_thirteenths():
    found = enumerate_network(ctln(CYCLE, 3))
    np.testing.assert_allclose(found.states, np.full((1, 3), 4 / 13), rtol=1e-15)
    assert found.stability == [Stability.SADDLE]
    rates = enumerate_network(ctln(CYCLE, 3), kind=CurrentNetwork)
    np.testing.assert_allclose(rates.states, found.states, rtol=1e-15)  # all units are active


def joined(parts, across):
    """Graphs side by side, with all edges between them or none."""
    edges, first = [], 0
    for part, units in parts:
        edges += shifted(part, first)
        others = range(first)
        if across:
            edges += [(i, j) for i in others for j in range(first, first + units)]
            edges += [(j, i) for i in others for j in range(first, first + units)]
        first += units
    return edges, first


def test_unions_of_twenty_units():
    """Fixed points of a disjoint union are all choices of one or none in each part, but for none;
    of a clique union all choices of one in each part."""
    parts = [(CYCLE, 3)] * 4 + [(TOURNAMENT, 5), ([], 1), ([], 2)]
    each = [1, 1, 1, 1, 1, 1, 3]
    edges, units = joined(parts, across=False)
    assert units == 20
    apart = enumerate_network(ctln(edges, units))
    assert apart.complete
    assert apart.certificate.examined == 2**20
    assert len(apart) == np.prod([1 + k for k in each]) - 1 == 255
    assert index(ctln(edges, units), apart.certificate.supports) == 1
    edges, units = joined(parts, across=True)
    together = enumerate_network(ctln(edges, units))
    assert together.complete
    assert len(together) == np.prod(each) == 3
    assert all(len(set(s)) == len(s) >= 19 for s in together.certificate.supports)


def determinant(rows):
    """By expansion, in rational numbers."""
    if not rows:
        return Fraction(1)
    return sum(
        (-1) ** j * rows[0][j] * determinant([r[:j] + r[j + 1 :] for r in rows[1:]])
        for j in range(len(rows))
    )


def brute_force(weights, drive):
    """All fixed points by Cramer's rule, and whether a singular support may have more."""
    n, found, singular = len(drive), {}, False
    w = [[Fraction(float(x)) for x in row] for row in weights]
    b = [Fraction(float(x)) for x in drive]
    for size in range(n + 1):
        for s in itertools.combinations(range(n), size):
            matrix = [[Fraction(int(i == j)) - w[i][j] for j in s] for i in s]
            whole = determinant(matrix)
            tops = [
                determinant(
                    [[*row[:k], b[i], *row[k + 1 :]] for row, i in zip(matrix, s, strict=True)]
                )
                for k in range(size)
            ]
            if whole == 0:
                singular |= all(t == 0 for t in tops)
                continue
            x = [t / whole for t in tops]
            rest = [i for i in range(n) if i not in s]
            currents = [sum((w[i][j] * y for j, y in zip(s, x, strict=True)), b[i]) for i in rest]
            if all(y > 0 for y in x) and all(c <= 0 for c in currents):
                found[s] = x
    return found, singular


@pytest.mark.parametrize("grain", [0.0, 0.25, 1.0])
def test_random_networks_against_rationals(grain):
    """Coarse weights and drives make ties, and supports that are singular, common."""
    rng = np.random.default_rng(int(100 * grain))
    ties = several = 0
    for _ in range(40):
        n = int(rng.integers(1, 5))
        weights, drive = rng.normal(size=(n, n)) * 1.5, rng.normal(size=n)
        if grain:
            weights, drive = (grain * np.round(x / grain) for x in (weights, drive))
        exact, singular = brute_force(weights, drive)
        found = enumerate_network(weights, drive)
        assert set(exact) <= set(found.certificate.supports)
        assert found.complete or singular
        if found.complete:
            assert found.certificate.supports == tuple(exact)
        for support, state in zip(found.certificate.supports, found.states, strict=True):
            if support in exact:
                np.testing.assert_allclose(
                    state[list(support)], [float(x) for x in exact[support]], rtol=1e-12
                )
        ties += singular
        several += len(exact) > 1
    assert several > 2
    assert ties > 2 or grain < 1
    assert ties == 0 or grain > 0


def test_the_pair_in_closed_form():
    rng = np.random.default_rng(4)
    seen = set()
    for _ in range(12):
        w, gamma = rng.normal(size=(2, 2)) * 1.5, rng.normal(size=2) * 5
        pair = ExcitatoryInhibitory(w[0, 0], w[0, 1], w[1, 0], w[1, 1], gamma[0], gamma[1])
        found = rnnjax.enumerate_equilibria(pair)
        expected = {}
        if (gamma >= 0).all():
            expected[()] = (0.0, 0.0)
        for k in (0, 1):
            rate = -gamma[k] / (1 - w[k, k])
            if rate > 0 and w[1 - k, k] * rate <= gamma[1 - k]:
                expected[k,] = (rate, 0.0) if k == 0 else (0.0, rate)
        det = (1 - w[0, 0]) * (1 - w[1, 1]) - w[0, 1] * w[1, 0]
        e = (-gamma[0] * (1 - w[1, 1]) - w[0, 1] * gamma[1]) / det
        i = (-gamma[1] * (1 - w[0, 0]) - w[1, 0] * gamma[0]) / det
        if e > 0 and i > 0:
            expected[0, 1] = (e, i)
        assert found.complete
        assert found.certificate.supports == tuple(expected)
        states = np.stack([found.states.e, found.states.i], 1)
        np.testing.assert_allclose(states, np.reshape(list(expected.values()), (-1, 2)), rtol=1e-12)
        seen |= set(expected)
    assert seen == {(), (0,), (1,), (0, 1)}
    for m_ii, e, i in ((0.0, 80 / 3, 50 / 3), (-1.0, 60.0, 25.0)):
        found = rnnjax.enumerate_equilibria(ExcitatoryInhibitory(m_ii=m_ii))
        np.testing.assert_allclose([found.states.e[0], found.states.i[0]], [e, i], rtol=1e-14)


def test_the_rectified_ring_in_closed_form():
    """v_i = [h0 + A cos(theta_i - phi)]_+: a bump on each unit and between each two, and none."""
    size, strength = 12, 1.9
    ring = RateNetwork(Cosine(lambda_1=strength, size=size))
    found = rnnjax.enumerate_equilibria(ring, 1.0)
    assert found.complete
    assert len(found) == 2 * size + 1
    assert [k for k, s in enumerate(found.certificate.supports) if len(s) == size] == [2 * size]
    np.testing.assert_allclose(found.states[-1], 1.0, rtol=1e-13)
    theta = np.deg2rad(Cosine(size=size).angles())
    left = set(range(2 * size))
    for turn in range(2 * size):
        cosine = np.cos(theta - np.pi * turn / size)
        active = cosine > 0
        for _ in range(20):
            share = 2 * strength / size
            amplitude = share * cosine[active].sum() / (1 - share * (cosine[active] ** 2).sum())
            active = 1 + amplitude * cosine > 0
        bump = np.maximum(1 + amplitude * cosine, 0)
        near = np.abs(found.states[:-1] - bump).max(1)
        assert near.min() < 1e-12
        left.discard(int(near.argmin()))
    assert not left
    # those with an even and those with an odd number of active units alternate in stability
    stable = [k in (Stability.STABLE_NODE, Stability.STABLE_FOCUS) for k in found.stability[:-1]]
    assert sum(stable) == size


def test_a_continuum_is_reported():
    """Two units that inhibit each other with weight -1 share a rate of 1 in any way."""
    found = enumerate_network([[0.0, -1.0], [-1.0, 0.0]])
    assert not found.complete
    assert found.certificate.supports == ((0,), (1,))  # its ends
    np.testing.assert_array_equal(found.certificate.open_low, [[0.0, 0.0]])
    np.testing.assert_array_equal(found.certificate.open_high, [[1.0, 1.0]])
    # a perfect integrator, without a drive and with one
    still = enumerate_network([[1.0, 0.0], [0.0, 0.5]], 0.0, LinearNetwork)
    assert not still.complete
    np.testing.assert_array_equal(still.certificate.open_low, [[-np.inf, 0.0]])
    np.testing.assert_array_equal(still.certificate.open_high, [[np.inf, 0.0]])
    driven = enumerate_network([[1.0, 0.0], [0.0, 0.5]], 1.0, LinearNetwork)
    assert driven.complete
    assert len(driven) == 0
    # three units, a plane of them
    plane = enumerate_network(np.diag([1.0, 1.0, 0.0]), [0.0, 0.0, 1.0])
    assert not plane.complete
    assert plane.certificate.open_high[:, :2].max() == np.inf


def test_ties_are_decided_in_rational_numbers():
    """A unit exactly at its threshold is silent, and counted once."""
    found = enumerate_network([[0.0, 0.0], [0.1, 0.0]], [3.0, -0.1 * 3.0])
    exact = Fraction(0.1) * 3 + Fraction(-0.1 * 3.0)  # what rounding leaves of 0.1 * 3 - 0.3
    assert exact != 0
    assert found.complete
    assert found.certificate.supports == (((0,),) if exact < 0 else ((0, 1),))
    found = enumerate_network([[0.0, 0.0], [0.25, 0.0]], [3.0, -0.75])
    assert found.certificate.supports == ((0,),)


def test_no_drive_no_rates():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(10, 10)) / 4
    found = rnnjax.enumerate_equilibria(RateNetwork(Dense(weights)))
    assert found.complete
    assert found.certificate.supports == ((),)
    assert not found.states.any()


def test_a_linear_network_of_any_size():
    ring = LinearNetwork()  # 100 units
    drive = jnp.asarray(np.cos(np.deg2rad(ring.connectivity.angles())))
    found = rnnjax.enumerate_equilibria(ring, np.asarray(drive))
    assert found.complete
    assert found.certificate.examined == 1
    np.testing.assert_allclose(found.states[0], 10 * np.asarray(drive), atol=1e-6)
