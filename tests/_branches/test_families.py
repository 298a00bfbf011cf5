"""Equilibria that may stand anywhere along a line at each value of a parameter: bumps of activity at any angle.

References are the amplitude of a bump by a sum over its units, circles in closed form, and an oscillator beside one.
"""

import operator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import rnnjax
from rnnjax import BranchEnd
from rnnjax.circuits import LinearNetwork, RateNetwork
from rnnjax.connectivity import Cosine, Dense

SIZE = 64
ANGLES = 2 * np.pi * np.arange(1, SIZE + 1) / SIZE


def ring(gain):
    return RateNetwork(connectivity=Cosine(0.0, gain, SIZE), tau=10.0, nonlinearity=jnp.tanh)


def gain_of(connected):
    return connected.connectivity.lambda_1


def amplitude(gain):
    """The m of a bump tanh(m cos): m = 2 gain <cos tanh(m cos)>."""
    found: Any = brentq(
        lambda m: 2 * gain * np.mean(np.cos(ANGLES) * np.tanh(m * np.cos(ANGLES))) - m, 0.05, 10,
        xtol=1e-14,
    )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def bumps():
    return rnnjax.continue_equilibria(
        ring(1.5), gain_of, np.cos(ANGLES - 0.3), bounds=(1.02, 2.0)
    )  # fmt: skip


def test_bumps_are_one_family(bumps):
    assert bumps.family
    assert bumps.endings == [BranchEnd.BOUND, BranchEnd.BOUND]
    assert bumps.bifurcations == []
    assert bumps.unsolved == 0
    assert "of families" in repr(bumps)
    np.testing.assert_allclose([bumps.parameter.min(), bumps.parameter.max()], [1.02, 2.0])
    assert len(bumps) > 10


def test_bumps_have_the_amplitude_of_the_sum(bumps):
    for k in range(0, len(bumps), 5):
        expected = amplitude(float(bumps.parameter[k]))
        field = np.arctanh(bumps.states[k])
        waves = 2 * np.mean(field * np.exp(1j * ANGLES))
        np.testing.assert_allclose(abs(waves), expected, rtol=1e-9)


def test_the_eigenvalue_along_the_family_is_told_apart(bumps):
    largest = bumps.eigenvalues.real
    np.testing.assert_allclose(largest[:, 0], 0.0, atol=1e-9)
    assert (largest[:, 1] < -1e-4).all()
    np.testing.assert_allclose(bumps.growth_rate, largest[:, 1])
    assert bumps.stable.all()
    assert bumps.to_xarray().stable.all()


class Circle(rnnjax.AbstractCircuit):
    """A circle of equilibria of radius sqrt(p) beside an oscillator that begins at p = 1/2."""

    p: Any = rnnjax.parameter(1.0, "1")
    twist: Any = rnnjax.parameter(0.7, "1")

    def __call__(self, state, input):
        x, u = state[:2], state[2:]
        turned = jnp.stack([-u[1], u[0]])
        radius = self.p - (x**2).sum()
        growth = self.p - 0.5 - (u**2).sum()
        return jnp.concatenate([x * radius, growth * u + 2.0 * turned + self.twist * x * radius])

    def rest(self):
        return jnp.zeros(4)


@pytest.mark.parametrize("angle", [0.0, 0.9])
def test_a_rhythm_begins_on_a_family(angle):
    begin = np.asarray([np.cos(angle), np.sin(angle), 0.0, 0.0])
    branch = rnnjax.continue_equilibria(
        Circle(), operator.attrgetter("p"), begin, bounds=(0.1, 2.0)
    )
    assert branch.family
    (hopf,) = branch.bifurcations
    assert hopf.label == "H"
    np.testing.assert_allclose(hopf.parameter, 0.5, rtol=1e-9)
    np.testing.assert_allclose(hopf.frequency, 1000 * 2.0 / (2 * np.pi), rtol=1e-9)
    radius = np.hypot(*branch.states[:, :2].T)
    np.testing.assert_allclose(radius, np.sqrt(branch.parameter), rtol=1e-9)
    np.testing.assert_array_equal(branch.stable, branch.parameter < 0.5)


def test_a_perfect_integrator_rests_along_a_line():
    circuit = LinearNetwork(Dense([[1.0, 0.0], [0.0, 0.5]]), tau=10.0)
    branch = rnnjax.continue_equilibria(circuit, operator.attrgetter("tau"), bounds=(1.0, 20.0))
    assert branch.family
    assert branch.endings == [BranchEnd.BOUND, BranchEnd.BOUND]
    np.testing.assert_allclose(branch.eigenvalues.real[:, 0], 0.0, atol=1e-15)
    np.testing.assert_allclose(branch.growth_rate, -0.5 / branch.parameter, rtol=1e-12)
    assert branch.stable.all()


def test_what_is_no_family_is_followed_as_it_was():
    branch = rnnjax.continue_equilibria(Circle(), operator.attrgetter("p"), bounds=(-1.0, 1.2))
    assert not branch.family
    told = [(b.label, b.multiplicity, round(float(b.parameter), 9)) for b in branch.bifurcations]
    assert told == [("BP", 2, 0.0), ("H", 1, 0.5)]
