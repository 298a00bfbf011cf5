"""`find_equilibria` where one look is not enough: deflation, and guesses along a run."""

import itertools

import equinox as eqx
import jax
import numpy as np
import pytest
from oracles import Pitchfork, SaddleNode

import rnnjax
from rnnjax import Status
from rnnjax.circuits import CurrentNetwork, LinearNetwork
from rnnjax.connectivity import Dense

# With weights 2 I each tanh unit has three equilibria by itself, all of them hyperbolic, so that
# weak coupling leaves 3^n: computed here from where they are without it.
COUPLING = 0.1 * np.random.default_rng(0).normal(size=(4, 4))
ALONE = 1.9150080481545375  # x = 2 tanh x


def network(n):
    return CurrentNetwork(Dense(2 * np.eye(n) + COUPLING[:n, :n]))


def every(n):
    """All of its equilibria, one Newton search from each place without coupling."""
    corners = np.array(list(itertools.product([-ALONE, 0.0, ALONE], repeat=n)))
    found = rnnjax.find_equilibria(network(n), guesses=corners)
    assert len(found) == 3**n
    return found.states


def as_set(states):
    return {tuple(x) for x in (np.round(states, 6) + 0.0).tolist()}


@pytest.mark.parametrize("n", [3, 4])
def test_deflation_finds_what_many_guesses_miss(n):
    plain = rnnjax.find_equilibria(network(n), rounds=0)
    assert len(plain) < 3**n
    found = rnnjax.find_equilibria(network(n), deflate=4)
    assert found.found.shape == (5 * 64,)
    assert len(found) == 3**n
    count = len(found)
    assert found.found.tolist() == [True] * count + [False] * (5 * 64 - count)
    assert as_set(found.states[:count]) == as_set(every(n))
    assert found.residual[:count].max() < 1e-12
    assert np.isnan(found.states[count:]).all()


def test_further_ones_from_a_known_one():
    """A guess that is an equilibrium already leads to the others."""
    found = rnnjax.find_equilibria(Pitchfork(0.25), guesses=np.array([0.5]), deflate=2)
    assert found.found.tolist() == [True] * 3
    np.testing.assert_allclose(np.sort(found.states), [-0.5, 0, 0.5], atol=1e-10)
    assert (found.status == Status.OK).all()


def test_deflation_invents_nothing():
    for circuit, count in ((SaddleNode(0.25), 2), (LinearNetwork(Dense(np.diag([0.5, -2.0]))), 1)):
        found = rnnjax.find_equilibria(circuit, deflate=3)
        assert len(found) == count
    assert len(rnnjax.find_equilibria(SaddleNode(-0.25), deflate=3, throw=False)) == 0
    with pytest.raises(rnnjax.ConvergenceError, match="from 64 guesses"):
        rnnjax.find_equilibria(SaddleNode(-0.25), deflate=3)


@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
def test_deflation_under_transformations(x64):
    """d x / d mu = 1 / (2 x) at the equilibria of mu x - x^3, whichever round found them."""

    def squares(mu):
        found = rnnjax.find_equilibria(Pitchfork(mu), guesses=np.array([0.6]), deflate=2)
        return (found.states**2).sum()

    with jax.enable_x64(x64):
        rates = np.array([0.09, 0.25], np.float64 if x64 else np.float32)
        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(squares)))(rates)
        tolerance = 1e-9 if x64 else 1e-6
        np.testing.assert_allclose(values, 2 * rates, rtol=tolerance)
        np.testing.assert_allclose(slopes, 2.0, rtol=tolerance)
        text = jax.jit(squares).trace(rates[0]).lower(lowering_platforms=("cuda",)).as_text()
        assert "callback" not in text
        if x64:
            alone = [squares(mu) for mu in rates]
            np.testing.assert_allclose(values, alone, rtol=1e-12)


def test_fewer_rounds_than_none_are_refused():
    with pytest.raises(ValueError, match=r"deflate: expected a positive whole number, got -1"):
        rnnjax.find_equilibria(Pitchfork(0.25), deflate=-1)


# --- guesses along a run -----------------------------------------------------------------------

START = np.array([2.0, -1.5, 0.3])


def test_a_run_as_guesses():
    run = rnnjax.simulate(network(3), np.linspace(0, 20, 201), start=START, dtype="float64")
    found = rnnjax.find_equilibria(network(3), guesses=run)
    rows = np.linspace(0, 200, 64).round().astype(int)
    given = rnnjax.find_equilibria(network(3), guesses=run.states[rows])
    np.testing.assert_array_equal(found.states, given.states)
    # the end of the run is among them
    assert abs(found.states[: len(found)] - run.final).max(1).min() < 1e-3
    few = rnnjax.simulate(network(3), np.linspace(0, 20, 5), start=START)
    assert rnnjax.find_equilibria(network(3), guesses=few).found.shape == (5,)


def test_a_batch_of_runs_as_guesses():
    starts = np.random.default_rng(1).normal(size=(8, 3)) * 3
    runs = rnnjax.simulate(network(3), np.linspace(0, 10, 21), start=starts, dtype="float64")
    found = rnnjax.find_equilibria(network(3), guesses=runs, rounds=0)
    assert found.found.shape == (64,)
    drawn = [
        rnnjax.find_equilibria(network(3), guesses=runs, key=jax.random.key(k)) for k in (0, 0, 1)
    ]
    np.testing.assert_array_equal(drawn[0].states, drawn[1].states)
    assert not np.array_equal(drawn[0].status, drawn[2].status) or not np.array_equal(
        drawn[0].states, drawn[2].states, equal_nan=True
    )
    known = as_set(every(3))
    for each in (found, *drawn):
        assert as_set(each.states[: len(each)]) <= known


def test_a_run_inside_a_transformation():
    def rest(mu):
        # it begins beside the equilibrium at 0
        run = rnnjax.simulate(Pitchfork(mu), [0.0, 20.0, 40.0], step=0.5)
        return rnnjax.find_equilibria(Pitchfork(mu), guesses=run)[1]

    with jax.enable_x64(True):
        value, slope = jax.jit(jax.value_and_grad(rest))(0.25)
    np.testing.assert_allclose([value, slope], [0.5, 1.0], rtol=1e-9)


def test_runs_of_another_circuit_are_refused():
    run = rnnjax.simulate(network(3), [0.0, 1.0], start=START)
    with pytest.raises(ValueError, match=r"guesses: expected states with a guess axis in front"):
        rnnjax.find_equilibria(network(4), guesses=run)
    seen = rnnjax.simulate(network(3), [0.0, 1.0], start=START, observe=_first)
    with pytest.raises(ValueError, match=r"guesses: expected states"):
        rnnjax.find_equilibria(network(3), guesses=seen)


def _first(state):
    return state[0]


def test_batches_with_deflation_equal_a_loop():
    rates = np.array([0.09, 0.25, 0.49])
    with jax.enable_x64(True):
        together = eqx.filter_vmap(
            lambda mu: rnnjax.find_equilibria(Pitchfork(mu), guesses=np.array([1.0]), deflate=4)
        )(rates)
    assert (together.found == (np.arange(5) < 3)).all()
    for k, mu in enumerate(rates):
        root = np.sqrt(mu)
        np.testing.assert_allclose(np.sort(together.states[k, :3]), [-root, 0, root], atol=1e-9)
