"""Lyapunov spectra against published values and long runs of another program (RK4 and QR in C)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chaotic import HyperRoessler, Lorenz63, Lorenz96, Roessler, random_network

from rnnjax import lyapunov_exponents
from rnnjax.circuits import HindmarshRose
from rnnjax.solvers import RK4

# exponents per unit of time with their standard errors; NaN where none is known
SYSTEMS = {
    "Lorenz": (
        Lorenz63(), {"duration": 2e4, "step": 0.01},
        (0.905735, 0.0, -14.5724), (7e-5, 0.0, 7e-5), 2.06215,
    ),
    "Roessler": (
        Roessler(), {"duration": 5e4, "step": 0.02},
        (0.071335, 0.0, -5.3942), (9e-5, 0.0, 5e-4), 2.0132,
    ),
    "hyperchaotic Roessler": (
        HyperRoessler(), {"duration": 4e4, "step": 0.004},
        (0.11219, 0.02128, 0.0, -24.93), (2e-4, 1e-4, 0.0, 0.04), 3.0054,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=pytest.mark.slow if "hyper" in k else ()) for k in SYSTEMS]
)
def test_small_systems(name):
    circuit, run, expected, errors, dimension = SYSTEMS[name]
    found = lyapunov_exponents(circuit, **run)
    allowed = 3 * np.hypot(found.standard_errors, errors)
    allowed = np.maximum(allowed, 1e-4)  # where a zero exponent is known better than it is computed
    assert (abs(found.exponents - np.array(expected)) <= allowed).all(), (found, allowed)
    assert found.standard_errors[0] < 0.03 * expected[0]
    np.testing.assert_allclose(found.sum, found.divergence, atol=1e-5)
    np.testing.assert_allclose(found.dimension, dimension, atol=1e-3)
    assert np.isnan(found.changed_at)
    if name == "Lorenz":
        np.testing.assert_allclose(found.sum, -41 / 3, atol=1e-5)


def test_lorenz_96():
    found = lyapunov_exponents(Lorenz96(), 600.0, step=0.025)
    assert abs(found.exponents[0] - 1.692) < 3 * np.hypot(found.standard_errors[0], 0.005)
    np.testing.assert_allclose(found.sum, -40, atol=1e-5)
    np.testing.assert_allclose(found.divergence, -40, atol=1e-10)


@pytest.mark.slow
def test_lorenz_96_at_length():
    found = lyapunov_exponents(Lorenz96(), 8000.0, step=0.025)
    assert abs(found.exponents[0] - 1.692) < 3 * np.hypot(found.standard_errors[0], 0.005)
    assert (found.exponents > found.resolution).sum() == 13
    np.testing.assert_allclose(found.sum, -40, atol=1e-5)
    np.testing.assert_allclose(found.dimension, 27.06, atol=0.06)


def test_hindmarsh_rose():
    circuit = eqx.tree_at(
        lambda c: (c.current, c.mu), HindmarshRose(), (np.asarray(3.25), np.asarray(0.006))
    )
    found = lyapunov_exponents(circuit, 1e5, step=0.1, count=2)
    assert abs(found.exponents[0] - 0.013441) < 3 * np.hypot(found.standard_errors[0], 5e-5)


# units, gain, seed, duration, exponents, errors
NETWORKS = [
    (64, 4.0, 3, 5500.0, (0.1541, 0.0319, 0.0, -0.0766)),
    (100, 5.0, 1, 5500.0, (0.2008, 0.0798, 0.0, -0.0264)),
    (200, 3.0, 0, 2200.0, (0.158, 0.105, 0.070, 0.029)),
]


@pytest.mark.parametrize(("units", "gain", "seed", "duration", "expected"), NETWORKS)
def test_random_networks(units, gain, seed, duration, expected):
    network, start = random_network(units, gain, seed)
    found = lyapunov_exponents(
        network, duration, step=0.05, count=4, start=start, solver=RK4(), transient=0.1 * duration
    )
    # the digits given are those of runs of about this length; their errors are about these
    allowed = 3 * np.sqrt(2) * found.standard_errors
    assert (abs(found.exponents - np.array(expected)) < allowed).all(), (found, allowed)
    assert found.chaotic


@pytest.mark.slow
def test_the_whole_spectrum_of_a_network():
    network, start = random_network(64, 4.0, 3)
    found = lyapunov_exponents(network, 11_000.0, step=0.05, start=start, solver=RK4())
    np.testing.assert_allclose(found.sum, found.divergence, atol=1e-5)
    scatter = 0.021  # of runs of this length, seen in six of them
    assert abs(found.sum + 63.87) < 3 * np.sqrt(2) * scatter
    np.testing.assert_allclose(found.dimension, 4.61, atol=0.1)


@pytest.mark.slow
def test_a_weakly_chaotic_network():
    network, start = random_network(400, 1.5, 0)
    found = lyapunov_exponents(network, 2200.0, step=0.05, count=1, start=start, solver=RK4())
    assert abs(found.exponents[0] - 0.0245) < 3 * np.hypot(found.standard_errors[0], 0.0035)


@pytest.mark.slow
@pytest.mark.parametrize(("units", "seed"), [(100, 0), (200, 1)])
def test_small_networks_are_seldom_chaotic(units, seed):
    network, start = random_network(units, 1.5, seed)
    found = lyapunov_exponents(
        network, 6000.0, step=0.05, count=2, start=start, solver=RK4(), transient=3000.0
    )
    assert not found.chaotic, found


def test_errors_cover_the_truth():
    """Of many short runs of Lorenz's system, the share that lie within two standard errors."""

    def one(x):
        start = jnp.stack([x, 1.0 + x, 20.0 + x])
        return lyapunov_exponents(Lorenz63(), 1020.0, step=0.01, transient=20.0, start=start)

    with jax.enable_x64(True):
        found = jax.vmap(one)(jnp.linspace(1.0, 3.0, 48))
    leading, errors = (np.asarray(x)[:, 0] for x in (found.exponents, found.standard_errors))
    assert np.mean(abs(leading - 0.9057) < 2 * errors) >= 0.85
    # and not far too wide: what log|x| adds to the growth over a part falls only as 1 over its length
    ratio = np.std(leading) / np.mean(errors)
    assert 0.4 < ratio < 1.5
