"""What a branch of a large circuit can't have seen is counted, and said once with what to give."""

import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
from rnnjax import _results
from rnnjax._branches import unseen
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import AbstractConnectivity, Dense


class Oscillators(rnnjax.AbstractCircuit):
    """Stuart-Landau oscillators: one Hopf point each, where mu is its onset."""

    onset: Any
    rate: Any
    mu: Any = rnnjax.parameter(-0.5, "1")

    def __call__(self, state, input):
        x, y = state
        grows = self.mu - self.onset - (x**2 + y**2)
        return jnp.stack([grows * x - self.rate * y, grows * y + self.rate * x])

    def rest(self):
        return jnp.zeros((2, self.rate.size))


def oscillators(count):
    return Oscillators(np.linspace(0.0, 0.8, count), np.linspace(1.0, 2.0, count))


def of_mu(circuit):
    return circuit.mu


class Strengths(AbstractConnectivity):
    """Units that excite themselves alone, each as much as it does times one gain."""

    own: Any
    gain: Any = rnnjax.parameter(0.5, "1")

    def matrix(self):
        return self.gain * jnp.diag(self.own)

    def __call__(self, rates):
        return self.gain * self.own * rates

    @property
    def units(self):
        return self.own.size


def test_hopf_points_behind_the_eigenvalues_followed_are_counted():
    told = (
        r"at \d+ of \d+ points all of the 4 eigenvalues that are followed grow: .* As many as 12 of 12 "
        r"grow there, and 4 or more crossings were missed\. Give count=12 or more, and room for "
        r"max_crossings=6 or more"
    )
    with pytest.warns(UserWarning, match=told) as caught:
        branch = rnnjax.continue_large(oscillators(6), of_mu, bounds=(-0.5, 1.0), count=4)
    assert len(caught) == 1
    np.testing.assert_allclose(
        [float(c.parameter) for c in branch.crossings], [0.0, 0.16], atol=1e-12
    )
    assert branch.missed == 4
    assert branch.hidden.tolist() == (branch.parameter > 0.16).tolist()
    assert not branch.complete
    assert "4 unsolved" in repr(branch)
    assert "more eigenvalues may grow than the 4 followed" in repr(branch)


def test_with_the_count_that_is_named_nothing_is_missed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        branch = rnnjax.continue_large(oscillators(6), of_mu, bounds=(-0.5, 1.0), count=12)
    places = [float(c.parameter) for c in branch.crossings]
    np.testing.assert_allclose(places, np.linspace(0.0, 0.8, 6), atol=1e-12)
    assert branch.missed == 0
    assert branch.complete
    assert "unsolved" not in repr(branch)


def test_where_they_are_too_many_to_count(monkeypatch):
    monkeypatch.setattr(unseen, "_COUNTED", 10)
    with pytest.warns(UserWarning, match=r"not seen\. Give a larger count=, such as 8$"):
        branch = rnnjax.continue_large(oscillators(6), of_mu, bounds=(-0.5, 1.0), count=4)
    assert branch.missed == 0
    assert not branch.complete


@pytest.mark.slow
def test_branch_points_of_real_eigenvalues():
    """Where the gain of a unit is 1 it gets two more states; 12 units, of which 3 are followed."""
    places = np.linspace(0.6, 1.4, 12)
    circuit = CurrentNetwork(Strengths(1 / places), tau=1.0)
    asked = {"bounds": (0.4, 1.6), "max_crossings": 12}

    def gain(circuit):
        return circuit.connectivity.gain

    with pytest.warns(UserWarning, match="As many as 12 of 12 grow there"):
        branch = rnnjax.continue_large(circuit, gain, **asked, count=3)
    # a step is counted as one crossing where one or two have crossed in it
    assert len(branch.crossings) == 3
    assert 5 <= branch.missed <= 9
    whole = rnnjax.continue_large(circuit, gain, **asked, count=12)
    np.testing.assert_allclose([float(c.parameter) for c in whole.crossings], places, atol=1e-12)


@pytest.mark.slow
def test_a_rank_of_many_directions_of_eighty_units():
    """Symmetric weights with ten eigenvalues that come to 1 one after the other: their branch points."""
    places = np.linspace(0.5, 1.4, 10)
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(80, 10)))
    network = CurrentNetwork(Dense((q / places) @ q.T), tau=1.0)

    class Scaled(rnnjax.AbstractCircuit):
        network: Any
        gain: Any = rnnjax.parameter(0.2, "1")

        def __call__(self, state, input):
            weights = self.gain * self.network.connectivity.weights
            return -state + weights @ jnp.tanh(state)

        def rest(self):
            return jnp.zeros(80)

    asked = {"bounds": (0.1, 1.6), "max_crossings": 12}
    with pytest.warns(UserWarning, match="As many as 10 of 80 .* Give count=14"):
        few = rnnjax.continue_large(Scaled(network), lambda c: c.gain, **asked)
    assert len(few.crossings) == 6
    assert 2 <= few.missed <= 4
    branch = rnnjax.continue_large(Scaled(network), lambda c: c.gain, **asked, count=14)
    np.testing.assert_allclose([float(c.parameter) for c in branch.crossings], places, atol=1e-11)
    assert branch.complete


def test_in_a_program_nothing_is_said():
    def hidden(mu):
        circuit = eqx.tree_at(of_mu, oscillators(2), mu)
        return rnnjax.continue_large(
            circuit, of_mu, bounds=(-0.5, 1.0), count=1, max_points=30, max_crossings=2
        ).hidden

    with jax.enable_x64(True):
        assert jax.jit(hidden)(np.float64(-0.5)).any()


def test_large_circuits_are_sent_to_what_is_made_for_them(monkeypatch):
    monkeypatch.setattr(_results, "_mentioned", set())

    def refused():
        with pytest.raises(ValueError, match="max_points"):
            rnnjax.continue_equilibria(oscillators(80), of_mu, bounds=(-0.5, 1.0), max_points=0)

    with pytest.warns(
        UserWarning, match=r"of 160 variables it takes long.*: continue_large follows"
    ):
        refused()
    with warnings.catch_warnings():  # once a process
        warnings.simplefilter("error")
        refused()
