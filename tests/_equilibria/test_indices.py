"""What the indices of equilibria tell of those that were missed, and where they tell nothing."""

import itertools
import pathlib
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import Pitchfork, SaddleNode

import rnnjax
from rnnjax import Stability
from rnnjax.circuits import CurrentNetwork, LinearNetwork
from rnnjax.connectivity import Cosine, Dense, LowRank

TEACHERS = pathlib.Path("/work/shared/data/smc_teachers.npz")
ALONE = 1.9150080481545375  # x = 2 tanh x
COUPLING = 0.1 * np.random.default_rng(0).normal(size=(4, 4))


def relu(x):
    return jnp.maximum(x, 0.0)


def weakly_coupled(n):
    """n units of three equilibria each, coupled so weakly that all 3^n are left."""
    return CurrentNetwork(Dense(2 * np.eye(n) + COUPLING[:n, :n]))


def test_the_search_goes_on_until_all_27_are_found():
    found = rnnjax.find_equilibria(weakly_coupled(3))
    corners = np.array(list(itertools.product([-ALONE, 0.0, ALONE], repeat=3)))
    every = rnnjax.find_equilibria(weakly_coupled(3), guesses=corners)
    assert len(found) == len(every) == 27
    nearest = abs(found.states[:27, None] - every.states).max(-1)
    assert nearest.min(1).max() < 1e-9
    assert sorted(nearest.argmin(1)) == list(range(27))
    assert found.index_sum == found.expected_index_sum == 1
    assert found.lacking == 0
    # those found later have entries of their own, behind the first
    assert len(found.found) >= 64
    assert found.found[:27].all()
    assert not found.found[27:].any()
    # one unstable direction for each unit at rest
    rests = (abs(every.states) < 1).sum(-1)
    np.testing.assert_array_equal(every.indices, (-1) ** rests)
    again = rnnjax.find_equilibria(weakly_coupled(3))
    np.testing.assert_array_equal(again.states, found.states)


def test_what_is_missing_is_told():
    with pytest.warns(UserWarning, match=r"more are missing. Try a larger `rounds=` \(it was 1\)"):
        found = rnnjax.find_equilibria(weakly_coupled(4), rounds=1)
    assert len(found) < 81
    assert found.expected_index_sum == 1
    assert found.lacking > 0
    assert found.index_sum in (1 - found.lacking, 1 + found.lacking)
    # who asks for no rounds is told where the result is shown
    found = rnnjax.find_equilibria(weakly_coupled(3), rounds=0)
    assert found.found.shape == (64,)
    assert (found.index_sum, found.lacking) == (7, 6)
    assert "indices sum to 7 and not to 1: 6 or more are missing" in repr(found)


def test_few_guesses_say_where_to_look():
    two = np.array([0.6, -0.6])
    near = rnnjax.find_equilibria(Pitchfork(0.25), guesses=two)
    assert near.found.shape == (2,)
    assert (near.index_sum, near.lacking) == (2, 1)
    assert "1 or more are missing" in repr(near)
    every = rnnjax.find_equilibria(Pitchfork(0.25), guesses=two, rounds=3)
    np.testing.assert_allclose(every.states[:3], [0.5, -0.5, 0.0], atol=1e-10)
    assert every.lacking == 0


def test_one_that_is_left_out_is_told_by_the_sign_of_its_index():
    """By the mean value theorem: between two equilibria that attract there is one that does not."""
    for guesses, lacking in (([0.6, -0.6, 0.01], 0), ([0.6, 0.01], 1), ([0.01], 2), ([0.6], 0)):
        found = rnnjax.find_equilibria(Pitchfork(0.25), guesses=np.array(guesses))
        assert found.lacking == lacking


NOTHING = {
    # a field that points outward somewhere; in the second along one direction of 30 alone
    "a saddle and a node": (SaddleNode(0.25), np.array([0.6, -0.6]), False),
    "one unstable direction": (
        CurrentNetwork(Dense(2.0 * np.outer(np.eye(30)[3], np.eye(30)[3])), relu, bias=-1.0),
        np.zeros((1, 30)), False,
    ),
    "two that grow": (LinearNetwork(Dense(np.diag([1.5, 2.0]))), np.ones((1, 2)), False),
    # a Jacobian that is singular
    "a pitchfork": (Pitchfork(0.0), np.zeros(1), True),
    "a ring": (LinearNetwork(Cosine(lambda_0=0.5, lambda_1=1.0)), np.zeros((1, 100)), False),
    # a kink
    "a unit at its threshold": (CurrentNetwork(Dense(0.5 * np.eye(3)), relu), np.zeros((1, 3)), False),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_is_claimed(name):
    circuit, guesses, inward = NOTHING[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rnnjax.find_equilibria(circuit, guesses=guesses, rounds=2, throw=False)
    assert bool(found.inward) == inward
    assert found.expected_index_sum is None
    assert found.lacking == 0
    assert "missing" not in repr(found)


def test_a_field_that_points_inward_in_all_directions_but_one_cone():
    """-x + W [x]+ with one eigenvalue beyond 1, in a direction that chance does not find."""
    n = 40
    outward = np.abs(np.random.default_rng(3).normal(size=n)) / np.sqrt(n)
    outward /= np.linalg.norm(outward)
    for gain, inward in ((0.9, True), (1.1, False)):
        circuit = CurrentNetwork(Dense(gain * np.outer(outward, outward)), relu, bias=-0.3)
        found = rnnjax.find_equilibria(circuit, guesses=np.zeros((1, n)))
        assert bool(found.inward) == inward


def test_of_batches():
    with jax.enable_x64(True):
        together = eqx.filter_vmap(
            lambda mu: rnnjax.find_equilibria(Pitchfork(mu), guesses=np.array([1.0, -1.0]))
        )(np.array([0.25, 0.49]))
    assert together.inward is None  # asked of what is known only
    np.testing.assert_array_equal(together.indices, [[1, 1], [1, 1]])
    with pytest.raises(ValueError, match="a batch of results"):
        together.index_sum  # noqa: B018


def test_without_jacobians_nothing_is_known():
    circuit = weakly_coupled(2)
    found = rnnjax.find_equilibria(circuit, matrix_free=True)
    assert found.inward is None
    assert found.index_sum is None
    assert found.lacking == 0
    with pytest.raises(ValueError, match="rounds: need Jacobians"):
        rnnjax.find_equilibria(circuit, matrix_free=True, rounds=2)
    with pytest.raises(ValueError, match="rounds: expected a positive whole number"):
        rnnjax.find_equilibria(circuit, rounds=-1)


@pytest.mark.skipif(not TEACHERS.exists(), reason=f"{TEACHERS} is not here")
@pytest.mark.parametrize(
    "name", ["reach_rnn", pytest.param("reach_rnn_128", marks=pytest.mark.slow)]
)
def test_all_17_of_published_networks_of_rank_two(name):
    """8 stable, 8 saddles and one unstable: listed region by region in the paper's repository.

    Pals et al. (2024), figure 8; 60 and 128 rectified units.
    """
    weights = np.load(TEACHERS)
    m, n, bias = (np.asarray(weights[f"{name}/rnn.{k}"], np.float64) for k in ("m", "n", "b_rec"))
    found = rnnjax.find_equilibria(CurrentNetwork(LowRank(m, n.T), relu, bias=bias))
    assert len(found) == 17
    kinds = found.stability
    stable = kinds.count(Stability.STABLE_NODE) + kinds.count(Stability.STABLE_FOCUS)
    assert stable == 8
    assert sorted(found.indices[:17]) == [-1] * 8 + [1] * 9
    assert found.index_sum == found.expected_index_sum == 1
