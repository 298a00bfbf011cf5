"""Hundreds of equilibria of hundreds of units: each once, with its kind, and told in a few lines."""

import itertools

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import rnnjax
from rnnjax import Stability
from rnnjax._numerics import blas
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import Dense

ALONE = 1.9150080481545375  # x = 2 tanh x


def clusters(count, size):
    """Clusters of units that excite their own alone: each rests at -ALONE, 0 or ALONE, 3^count in all."""
    within = np.kron(np.eye(count), np.full((size, size), 2.0 / size))
    places = np.array(list(itertools.product([-ALONE, 0.0, ALONE], repeat=count)))
    return CurrentNetwork(Dense(within)), np.repeat(places, size, axis=1)


def found_all(count, size):
    circuit, places = clusters(count, size)
    aside = 0.2 * np.random.default_rng(0).normal(size=places.shape)
    found = rnnjax.find_equilibria(circuit, guesses=np.concatenate([places + aside, places]))
    assert len(found) == len(places)
    assert found.found.tolist() == [True] * len(places) + [False] * len(places)
    nearest = abs(found.states[: len(places), None] - places).max(-1)
    assert nearest.min(1).max() < 1e-10
    assert sorted(nearest.argmin(1)) == list(range(len(places)))
    # those without a cluster at 0 are stable, of the rest that of all at 0 has `count` that grow
    assert found.stability.count(Stability.STABLE_NODE) == 2**count
    assert len(found.linearizations) == len(places)
    data = found.to_xarray()
    grows = (abs(found.states[: len(places)]) < 1e-6).any(1)
    np.testing.assert_allclose(data.growth_rate[grows], 1 / float(circuit.tau), rtol=1e-9)
    assert (data.growth_rate[~grows] < 0).all()
    return found


def test_hundreds_of_equilibria():
    found = found_all(5, 20)
    lines = repr(found).splitlines()
    assert lines[0] == "Equilibria(243 found,"
    assert lines[-2:] == ["  and 193 more", ")"]
    assert len(lines) == 53


@pytest.mark.slow
def test_hundreds_of_equilibria_of_200_units():
    found_all(6, 33)


def threads():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def test_threads_of_blas_are_as_many_as_before():
    before = threads()
    assert before
    with blas.one_blas_thread():
        assert threads() == [1] * len(before)
        with blas.one_blas_thread():
            pass
        assert threads() == [1] * len(before)
    assert threads() == before
    with pytest.raises(RuntimeError), blas.one_blas_thread():
        raise RuntimeError
    assert threads() == before
