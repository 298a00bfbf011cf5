"""Branches across the kinks of rectified circuits: in closed form, with all their points."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
from rnnjax import bifurcations, circuits

gamma_e = operator.attrgetter("gamma_e")


class Unit(rnnjax.AbstractCircuit):
    r"""A unit that excites itself: $\dot x = -x + [w x + h + u]_+$."""

    h: object = rnnjax.parameter(-0.5, "1")
    w: object = rnnjax.parameter(2.0, "1")

    def __call__(self, state, input):
        return -state + jax.nn.relu(self.switching_functions(state, input))

    def switching_functions(self, state, input):
        return self.w * state + self.h + input

    def rest(self):
        return jnp.zeros(())


def along_h(circuit, start, step=0.05):
    return rnnjax.continue_equilibria(
        eqx.tree_at(lambda c: c.h, circuit, np.asarray(start[0])), lambda c: c.h,
        np.array(start[1]), (-1.0, 1.0), max_step=step,
    )  # fmt: skip


@pytest.mark.parametrize("step", [0.0125, 0.05, 0.2])
def test_a_unit_wakes_up_or_two_states_meet(step):
    for start in ((-0.5, 0.0), (-0.7, 0.7)):
        branch = along_h(Unit(), start, step)
        (point,) = branch.bifurcations
        assert (point.label, point.kind) == ("BE", "nonsmooth fold")
        np.testing.assert_allclose([point.parameter, point.state], 0, atol=1e-14)
        np.testing.assert_allclose(point.coefficient, -1.0, rtol=1e-12)
        assert [e.name for e in branch.endings] == ["BOUND", "BOUND"]
        x, h = branch.states, branch.parameter
        np.testing.assert_allclose(np.where(x > 0, x + h, x), 0, atol=1e-14)
        np.testing.assert_array_equal(branch.stable, x <= 0)
    for start in ((-0.5, 0.0), (0.5, 1.0)):
        branch = along_h(Unit(w=0.5), start, step)
        (point,) = branch.bifurcations
        assert (point.label, point.kind) == ("BE", "persistence")
        np.testing.assert_allclose(point.coefficient, 0.5, rtol=1e-12)
        np.testing.assert_allclose(branch.states, np.maximum(2 * branch.parameter, 0), atol=1e-14)
        assert branch.stable.all()


def both(circuit):
    """Where the inhibitory, then the excitatory population falls silent as the threshold grows."""
    found = rnnjax.continue_equilibria(
        circuit, gamma_e, bounds=(-60.0, 60.0), max_bifurcations=4
    ).special  # fmt: skip
    return found.parameter[:2], found.coefficient[:2], found.type_index[:2]


def test_the_pair_falls_silent():
    circuit = circuits.ExcitatoryInhibitory()
    branch = rnnjax.continue_equilibria(circuit, gamma_e, bounds=(-60.0, 60.0))
    assert [b.label for b in branch.bifurcations] == ["BE", "BE"]
    assert {b.kind for b in branch.bifurcations} == {"nonsmooth fold"}
    # e = gamma_i / m_ie, and then e = 0, with e = gamma_e / (m_ee - 1)
    np.testing.assert_allclose([b.parameter for b in branch.bifurcations], [2.5, 0], atol=1e-12)
    determinants = np.array([0.75, -0.25, 1.0])  # both active, one, none; of 1 / (tau_e tau_i)
    ratios = determinants[:-1] / determinants[1:]
    np.testing.assert_allclose([b.coefficient for b in branch.bifurcations], ratios, rtol=1e-10)


@pytest.mark.slow
def test_derivatives_and_a_batch():
    circuit = circuits.ExcitatoryInhibitory()
    with jax.enable_x64(True):
        slope = jax.jit(jax.jacrev(lambda c: both(c)[0]))(circuit)
        np.testing.assert_allclose(slope.m_ee, [10, 0], atol=1e-9)
        np.testing.assert_allclose(slope.gamma_i, [0.25, 0], atol=1e-9)
        np.testing.assert_allclose(slope.m_ie, [-2.5, 0], atol=1e-9)
        values = np.linspace(1.1, 1.6, 16)
        at, ratio, _ = jax.jit(jax.vmap(lambda m: both(eqx.tree_at(lambda c: c.m_ee, circuit, m))))(
            values
        )
    np.testing.assert_allclose(at, np.stack([10 * (values - 1), 0 * values], 1), atol=1e-12)
    both_active = 2 - values
    np.testing.assert_allclose(ratio[:, 0], both_active / (1 - values), rtol=1e-9)


@pytest.mark.slow
def test_kinks_are_crossed_unseen_if_they_are_not_asked_for():
    branch = rnnjax.continue_equilibria(
        circuits.ExcitatoryInhibitory(), gamma_e, bounds=(-60.0, 60.0),
        bifurcations=(bifurcations.Fold(),),
    )  # fmt: skip
    assert [e.name for e in branch.endings] == ["BOUND", "BOUND"]
    assert not branch.bifurcations


class Untold(rnnjax.AbstractCircuit):
    r"""The same unit, which does not say that it is rectified."""

    h: object = rnnjax.parameter(-0.5, "1")

    def __call__(self, state, input):
        return -state + jax.nn.relu(2 * state + self.h + input)

    def rest(self):
        return jnp.zeros(())


def test_a_kink_of_which_nothing_tells_ends_the_branch():
    found = rnnjax.continue_equilibria(
        Untold(), lambda c: c.h, np.array(0.5), (-1.0, 1.0), throw=False
    )
    assert rnnjax.BranchEnd.UNDERFLOW in found.endings
    assert np.isfinite(found.parameter).all()
    assert not found.bifurcations


def test_smooth_networks_have_none():
    network = circuits.RateNetwork(nonlinearity=circuits.tanh)
    assert network.switching_functions(network.rest(), 0.0) is None
    rectified = circuits.CurrentNetwork(nonlinearity=circuits.rectified)
    np.testing.assert_array_equal(
        rectified.switching_functions(np.arange(3.0), 0.0), np.arange(3.0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.05, 0.2])
def test_the_bump_of_the_ring(step):
    """Its height and width against the closed form, and every unit that wakes up.

    v = A [cos theta - cos theta_c]_+ with -A cos theta_c = h_0, and
    A (1 - (2 lambda_1 / N) sum over active units of (cos theta - cos theta_c) cos theta) = h_1.
    """
    ring = circuits.RateNetwork(bias=2.0)
    angles = np.deg2rad(ring.connectivity.angles())
    cosine = np.cos(angles)
    bump = rnnjax.find_equilibria(ring, cosine, guesses=70 * np.maximum(cosine, 0))[0]
    branch = rnnjax.continue_equilibria(
        ring, lambda c: c.bias, bump, bounds=(-1.1, 2.1), input=cosine, max_bifurcations=40,
        max_step=step, bifurcations=(bifurcations.BoundaryEquilibrium(),),
    )  # fmt: skip
    assert [e.name for e in branch.endings] == ["BOUND", "BOUND"]
    assert branch.stable.all()
    # the ends of the bump where units switch: theta_c is the angle of a unit
    edges = np.unique(np.round(abs(angles), 12))
    level = np.cos(edges)
    shape = np.maximum(cosine - level[:, None], 0)
    amplitude = 1 / (1 - 2 * 1.9 / len(angles) * (shape * cosine).sum(1))
    known = (-amplitude * level)[(amplitude > 0) & (-amplitude * level < 2.1)]
    points = branch.bifurcations
    assert {(b.label, b.kind) for b in points} == {("BE", "persistence")}
    np.testing.assert_allclose([b.parameter for b in points], np.sort(known), atol=1e-10)
    for h_0, v in zip(branch.parameter, branch.states, strict=True):
        strength = 1 + 2 * 1.9 / len(angles) * (v * cosine).sum()  # A
        np.testing.assert_allclose(v, np.maximum(h_0 + strength * cosine, 0), atol=1e-9)


@pytest.mark.slow
def test_a_branch_may_begin_on_a_kink():
    circuit = circuits.ExcitatoryInhibitory(gamma_e=0.0)
    start = circuits.ExcitatoryInhibitoryState(0.0, 0.0)
    branch = rnnjax.continue_equilibria(circuit, gamma_e, start, (-60.0, 60.0))
    assert [e.name for e in branch.endings] == ["BOUND", "BOUND"]
    np.testing.assert_allclose(
        sorted(float(b.parameter) for b in branch.bifurcations), [0, 2.5], atol=1e-12
    )


def test_the_diagram_of_the_pair_is_one_branch():
    """Though one of the values at which it looks for others is that of a kink."""
    found = rnnjax.diagram(circuits.ExcitatoryInhibitory(), gamma_e, (-20.0, 10.0))
    assert len(found) == 1
    assert [b.label for b in found.bifurcations] == ["BE", "BE"]
