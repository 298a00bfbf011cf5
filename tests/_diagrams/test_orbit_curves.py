"""Curves of folds, period doublings and Neimark-Sacker points of orbits in two parameters."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _orbits.test_cycle_forms import Torus
from _orbits.test_orbits import Shifted, circle
from published.test_cycles import RHYTHMS, hopf_point

import rnnjax
from rnnjax import BranchEnd, Orbit
from rnnjax._numerics.implicit import without_derivatives
from rnnjax._orbits.orbit_branch import OrbitBifurcation
from rnnjax.circuits import MorrisLecar


def p(circuit):
    """The growth."""
    return circuit.p


def s(circuit):
    """The other number."""
    return circuit.s


def beta(circuit):
    """What else the growth of the torus depends on."""
    return circuit.beta


BOUNDS = (-1.0, -0.02), (-0.5, 0.8)


def fold_by_hand():
    """The fold of cycles at p = -1/4: a circle of radius 2^(-1/2)."""
    widths = np.full(32, 1 / 32)
    phases = (np.arange(32)[:, None] / 32 + np.arange(4) / 128).ravel()
    states = np.sqrt(0.5) * np.stack([np.cos(2 * np.pi * phases), np.sin(2 * np.pi * phases)], -1)
    orbit = Orbit(states, phases, np.float64(2 * np.pi), np.ones(2), np.zeros(2), 0.0, 0, widths)
    return OrbitBifurcation("LPC", "fold of cycles", np.float64(-0.25), np.float64(0.564), orbit)


@pytest.mark.slow
def test_folds_of_cycles_in_closed_form():
    fold = fold_by_hand()
    curve = rnnjax.continue_bifurcation(Shifted(), (p, s), fold, BOUNDS)
    one, two = curve.parameters.T
    np.testing.assert_allclose(one, -((1 + two) ** 2) / 4, atol=1e-12)
    assert curve.endings == [BranchEnd.BOUND, BranchEnd.BOUND]
    assert (np.diff(two) > 0).all()
    square = (1 + two) / 2
    np.testing.assert_allclose(
        (curve.states[:, ::4] ** 2).sum(-1), square[:, None] * np.ones(32), atol=1e-8
    )
    # half of the second derivative of r (p + (1 + s) r^2 - r^4) there, 8 r^3, by the root of the period
    expected = 4 * square**1.5 / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(abs(curve.coefficient), expected, rtol=1e-5)
    assert curve[3].period == pytest.approx(2 * np.pi, rel=1e-9)
    assert "points LPC" in repr(curve)


def test_what_does_not_fit_is_refused():
    fold = fold_by_hand()
    with pytest.raises(ValueError, match="none are looked for on curves of orbits"):
        rnnjax.continue_bifurcation(Shifted(), (p, s), fold, BOUNDS, bifurcations=())
    with pytest.raises(ValueError, match="bounds: expected them around the value of p"):
        rnnjax.continue_bifurcation(Shifted(), (p, s), fold, ((0.0, 1.0), (-1.0, 1.0)))
    grazing = dataclasses.replace(fold, label="GR")
    with pytest.raises(ValueError, match=r"one of \['LPC', 'NS', 'PD'\], got a GR"):
        rnnjax.continue_bifurcation(Shifted(), (p, s), grazing, BOUNDS)


@pytest.mark.slow
def test_a_torus_turns_subcritical_on_its_curve():
    states = np.concatenate([circle(), np.zeros((40, 2))], 1)
    orbit = rnnjax.find_orbit(Torus(), states, period=6.0)
    (point,) = rnnjax.continue_orbits(Torus(), p, orbit, (-0.2, 0.2)).bifurcations
    curve = rnnjax.continue_bifurcation(Torus(), (p, beta), point, ((-0.2, 0.2), (0.0, 3.0)))
    np.testing.assert_allclose(curve.parameters[:, 0], 0, atol=1e-9)
    assert curve.endings == [BranchEnd.BOUND, BranchEnd.BOUND]
    expected = -(0.8 - 0.5 * curve.parameters[:, 1]) / np.pi
    np.testing.assert_allclose(curve.coefficient, expected, atol=1e-5)


@pytest.mark.slow
def test_doublings_found_along_one_parameter_lie_on_their_curve():
    of = RHYTHMS["torBPC1"]
    point = next(
        b for b in rnnjax.continue_orbits(
            of.circuit, of.where, hopf_point(of), of.bounds, intervals=64, max_points=40, throw=False
        ).bifurcations
        if b.label == "PD"
    )  # fmt: skip

    def epsilon(circuit):
        return circuit.epsilon

    curve = rnnjax.continue_bifurcation(
        of.circuit, (of.where, epsilon), point, (of.bounds, (-0.01, 0.01)), throw=False
    )
    assert len(curve) > 10
    k = len(curve) // 4
    value = curve.parameters[k, 1]
    moved = type(of.circuit)(epsilon=float(value))
    near = rnnjax.find_orbit(
        at(moved, of.where, curve.parameters[k, 0] + 1e-4), curve[k], intervals=64
    )
    branch = rnnjax.continue_orbits(
        at(moved, of.where, curve.parameters[k, 0] + 1e-4), of.where, near, of.bounds,
        intervals=64, max_points=12, throw=False,
    )  # fmt: skip
    found = [float(b.parameter) for b in branch.bifurcations if b.label == "PD"]
    assert min(abs(x - curve.parameters[k, 0]) for x in found) < 1e-8


def at(circuit, where, value):
    """The circuit with another value of a parameter."""
    return eqx.tree_at(where, circuit, np.asarray(value))


@pytest.mark.slow
def test_folds_of_cycles_meet_the_hopf_points():
    """The curve of folds of cycles ends where the first Lyapunov coefficient vanishes."""
    cell = MorrisLecar.hopf()
    where = (lambda c: c.current), (lambda c: c.phi)
    rest = rnnjax.continue_equilibria(cell, where[0], bounds=(0.0, 300.0))
    orbits = rnnjax.continue_orbits(cell, where[0], rest.first("H"), (0.0, 300.0), intervals=64)
    hopf = rnnjax.continue_bifurcation(
        cell, where, rest.bifurcations[0], ((0.0, 300.0), (0.01, 0.4))
    )
    general = [b for b in hopf.bifurcations if b.label == "GH"]
    assert general
    fold = orbits.bifurcations[-1]
    curve = rnnjax.continue_bifurcation(cell, where, fold, ((0.0, 300.0), (0.02, 0.4)), throw=False)
    assert BranchEnd.HOPF in curve.endings, curve.endings
    end = curve.parameters[int(np.argmax(curve.parameters[:, 1]))]
    # the last orbit still swings by 0.2 of 60 mV, and the curve comes near with the square of that
    off = [(abs(np.asarray(point.parameter) - end) / (300.0, 0.38)).max() for point in general]
    assert min(off) < 10 * (0.2 / 60) ** 2
    assert (
        abs(curve.coefficient[np.argmax(curve.parameters[:, 1])])
        < 1e-3 * abs(curve.coefficient).max()
    )


class Round(rnnjax.AbstractCircuit):
    """r' = r (a^2 + b^2 - 1 + r^2 - r^4), angle' = 1: folds of cycles where a^2 + b^2 = 3/4."""

    a: object = rnnjax.parameter(np.sqrt(0.75) + 0.05, "1")
    b: object = rnnjax.parameter(0.0, "1")

    def __call__(self, state, input):
        x, y = state
        square = x**2 + y**2
        growth = self.a**2 + self.b**2 - 1 + square - square**2
        return jnp.stack([x * growth - y, y * growth + x]) + input

    def rest(self):
        return jnp.zeros(2)


@pytest.mark.slow
def test_a_closed_curve_is_told_once():
    fold = dataclasses.replace(fold_by_hand(), parameter=np.sqrt(0.75))
    bounds = (-2.0, 2.0), (-2.0, 2.0)
    curve = rnnjax.continue_bifurcation(Round(), (lambda c: c.a, lambda c: c.b), fold, bounds)
    assert curve.endings[0] == BranchEnd.CLOSED
    np.testing.assert_allclose((curve.parameters**2).sum(1), 0.75, atol=1e-10)
    angle = np.unwrap(np.arctan2(*curve.parameters.T[::-1]))
    assert 2 * np.pi < abs(angle[-1] - angle[0]) + 0.5 < 3 * np.pi  # once around, not twice


def test_what_has_no_derivatives_says_so():
    with jax.enable_x64(True):
        for mode in (jax.jacfwd, jax.jacrev):
            found = mode(lambda x: without_derivatives(x, 3.0 * x).sum() + x.sum())(jnp.ones(2))
            assert np.isnan(found).all()
            unused = mode(lambda x: (0.0 * without_derivatives(x, x) + x**2).sum())(jnp.ones(2))
            assert np.isfinite(unused).all() == (mode is jax.jacrev)
        kept = jax.jit(jax.vmap(lambda x: without_derivatives(x, x)))(jnp.arange(3.0))
        assert kept.tolist() == [0, 1, 2]


def test_under_jit_it_gives_arrays():
    fold = fold_by_hand()
    with jax.enable_x64(True):
        found = jax.eval_shape(
            lambda: rnnjax.continue_bifurcation(Shifted(), (p, s), fold, BOUNDS, max_points=16)
        )
    assert found.parameters.shape[-1] == 2
