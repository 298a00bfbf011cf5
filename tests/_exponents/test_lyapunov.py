"""Lyapunov exponents: closed forms, errors, what they say of a regime, and refusals."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chaotic import Henon, Logistic, Lorenz63, Roessler, random_network
from oracles import Oscillator, StuartLandau

import rnnjax
from rnnjax import Regime, Status, lyapunov_exponents, noise, parameter
from rnnjax._exponents.block_means import block_errors, level_change
from rnnjax._exponents.displacements import orthonormalized
from rnnjax._exponents.regimes import signs_of
from rnnjax.circuits import CurrentNetwork, LinearNetwork
from rnnjax.circuits._checks import check_run
from rnnjax.connectivity import Dense
from rnnjax.solvers import RK4


class Torus(rnnjax.AbstractCircuit):
    r"""Two Stuart-Landau oscillators side by side: exponents $0, 0, -2 \mu_1, -2 \mu_2$."""

    mu: Any = parameter(0.3, "1/ms")
    other: Any = parameter(0.5, "1/ms")

    def __call__(self, state, input):
        z = jnp.reshape(state, (2, 2))
        rates, turns = jnp.stack([self.mu, self.other]), jnp.asarray([1.0, np.sqrt(2)], z.dtype)
        square = (z * z).sum(1)
        x, y = z[:, 0], z[:, 1]
        slope = jnp.stack([(rates - square) * x - turns * y, (rates - square) * y + turns * x], 1)
        return slope.reshape(4) + input

    def rest(self):
        return jnp.asarray([0.5, 0.0, 0.7, 0.1], jnp.result_type(self.mu))


class Growth(rnnjax.AbstractCircuit):
    r"""$dX = a X\, dt + \sigma X\, dW$ has the exponent $a - \sigma^2 / 2$."""

    a: Any = parameter(0.1, "1/ms")

    def __call__(self, state, input):
        return self.a * state + input

    def rest(self):
        return jnp.ones_like(self.a)


def linear(matrix):
    """$\\dot v = (W - 1) v$ with $W - 1$ given."""
    matrix = np.asarray(matrix, float)
    return LinearNetwork(Dense(matrix + np.eye(len(matrix))), tau=1.0)


TRACED = []


class Counted(Lorenz63):
    """One that counts how often it is traced."""

    def __call__(self, state, input):
        TRACED.append(1)
        return super().__call__(state, input)


MATRIX = np.array([[-0.2, 1.0, 0.0], [0.0, -0.5, 0.3], [0.1, 0.0, -1.0]])


def test_a_linear_network_has_the_real_parts_of_its_eigenvalues(both_modes):
    found = lyapunov_exponents(linear(MATRIX), 2000.0, step=0.05, start=np.ones(3))
    expected = np.sort(np.linalg.eigvals(MATRIX).real)[::-1]
    np.testing.assert_allclose(found.exponents, expected, atol=1e-3)
    np.testing.assert_allclose(found.exponents.sum(), np.trace(MATRIX), atol=1e-9)
    np.testing.assert_allclose(found.divergence, np.trace(MATRIX), atol=1e-12)
    assert found.exponents.dtype == np.float64
    assert found.regime == Regime.FIXED
    assert found.dimension == 0
    assert found.gradients_hold


def test_gradients_at_rest_are_those_of_the_eigenvalue():
    def leading(gain):
        network = CurrentNetwork(Dense(gain * MATRIX))
        return lyapunov_exponents(
            network, 600.0, step=0.05, start=0.1 * np.ones(3), count=1
        ).exponents[0]

    def eigenvalue(gain):
        return jnp.sort(jnp.linalg.eigvals(gain * MATRIX - np.eye(3)).real)[-1]

    with jax.enable_x64(True):
        gain = jnp.asarray(0.7)
        forward, expected = jax.jacfwd(leading)(gain), jax.grad(eigenvalue)(gain)
        np.testing.assert_allclose(jax.grad(leading)(gain), forward, rtol=1e-9)
    np.testing.assert_allclose(forward, expected, rtol=1e-6)


def test_a_cycle(both_modes):
    def second(mu):
        circuit = eqx.tree_at(lambda c: c.mu, StuartLandau(), mu)
        return lyapunov_exponents(circuit, 1000.0, step=0.1).exponents[1]

    found = lyapunov_exponents(StuartLandau(mu=0.25), 1000.0, step=0.1)
    np.testing.assert_allclose(found.exponents, [0.0, -0.5], atol=1e-6)
    assert found.regime == Regime.PERIODIC
    assert found.dimension == 1
    assert found.gradients_hold
    gradient = jax.grad(second)(jnp.asarray(0.25))
    np.testing.assert_allclose(gradient, -2.0, atol=1e-6 if both_modes else 1e-5)


def test_a_torus():
    found = lyapunov_exponents(Torus(), 2000.0, step=0.1)
    np.testing.assert_allclose(found.exponents, [0.0, 0.0, -0.6, -1.0], atol=1e-3)
    assert found.regime == Regime.QUASIPERIODIC
    assert found.dimension == 2
    leading = lyapunov_exponents(Torus(), 2000.0, step=0.1, count=1)
    assert leading.regime == Regime.UNKNOWN  # one exponent does not tell a cycle from a torus
    assert np.isnan(leading.dimension)
    assert np.isnan(leading.divergence)


def test_chaos_and_the_mean_divergence():
    found = lyapunov_exponents(Lorenz63(), 1100.0, step=0.01, transient=100.0)
    np.testing.assert_allclose(found.divergence, -41 / 3, rtol=1e-12)
    np.testing.assert_allclose(found.sum, found.divergence, atol=1e-6)
    assert abs(found.exponents[0] - 0.9057) < 3 * found.standard_errors[0]
    assert abs(found.exponents[1]) < found.resolution[1]
    assert found.regime == Regime.CHAOTIC
    assert found.chaotic
    assert not found.gradients_hold
    assert np.isnan(found.changed_at)
    np.testing.assert_allclose(found.dimension, 2.062, atol=2e-3)
    np.testing.assert_allclose(found.running[-1], found.exponents, rtol=1e-12)
    np.testing.assert_allclose(found.entropy, found.exponents[0])


def test_the_sum_is_the_mean_divergence_where_that_varies():
    found = lyapunov_exponents(Roessler(), 3000.0, step=0.02)
    np.testing.assert_allclose(found.sum, found.divergence, atol=1e-5)
    network, start = random_network(12, 4.0, 1)
    found = lyapunov_exponents(network, 1000.0, step=0.05, start=start)
    np.testing.assert_allclose(found.sum, found.divergence, atol=1e-6)


def test_maps():
    found = lyapunov_exponents(Henon(), 20_000)
    np.testing.assert_allclose(found.sum, math.log(0.3), atol=1e-9)
    np.testing.assert_allclose(found.divergence, math.log(0.3), atol=1e-12)
    assert abs(found.exponents[0] - 0.41922) < 3 * found.standard_errors[0]
    assert found.unit == "1/iteration"
    found = lyapunov_exponents(Logistic(), 20_000)
    assert abs(found.exponents[0] - math.log(2)) < 3 * found.standard_errors[0]
    fixed = lyapunov_exponents(Logistic(r=2.5), 5000)
    np.testing.assert_allclose(fixed.exponents, math.log(0.5), atol=1e-9)
    superstable = lyapunov_exponents(Logistic(r=2.0), 5000)
    assert superstable.exponents[0] == -np.inf
    assert superstable.status == Status.OK


def test_maps_are_simulated_and_refused_elsewhere():
    run = rnnjax.simulate(Logistic(r=3.7), np.arange(6.0), dtype="float64")
    x = 0.3
    for k in range(6):
        np.testing.assert_allclose(run.states[k], x, rtol=1e-13)
        x = 3.7 * x * (1 - x)
    shaken = rnnjax.simulate(
        Logistic(r=0.0), np.arange(2001.0), noise=noise.Additive(0.5), key=jax.random.key(1)
    )
    assert abs(np.std(shaken.states[1:]) - 0.5) < 0.03
    with pytest.raises(TypeError, match="map Logistic: maps are for simulate"):
        check_run(Logistic(), None, None, None)  # as every other verb does
    with pytest.raises(ValueError, match="is a map, which is iterated"):
        rnnjax.simulate(Logistic(), np.arange(3.0), step=0.1)


def test_common_noise():
    # exact for Euler-Maruyama: the mean of log(1 + a h + s sqrt(h) xi) over the draws
    found = lyapunov_exponents(
        Growth(), 2000.0, step=0.01, noise=noise.Multiplicative(0.6), key=jax.random.key(2),
        start=np.asarray(1e-30),
    )  # fmt: skip
    assert abs(found.exponents[0] - (0.1 - 0.18)) < 3 * found.standard_errors[0]
    np.testing.assert_allclose(found.divergence, 0.1 - 0.18, rtol=1e-9)
    quiet = lyapunov_exponents(
        Growth(a=-0.2), 200.0, step=0.1, noise=noise.Additive(0.3), key=jax.random.key(0)
    )
    np.testing.assert_allclose(quiet.exponents, np.log(1 - 0.02) / 0.1, rtol=1e-9)


def test_noise_makes_a_cycle_reliable():
    # perturbations of the phase shrink under common noise (Teramae and Tanaka 2004)
    found = lyapunov_exponents(
        StuartLandau(mu=1.0), 4000.0, step=0.02, noise=noise.Additive(0.3), key=jax.random.key(0)
    )
    assert found.exponents[0] < -3 * found.standard_errors[0]
    assert found.regime == Regime.FIXED


def test_chaos_that_was_a_transient_is_flagged():
    """How long it lasts depends on rounding; that it ends within 20 000 ms is known."""
    network, start = random_network(100, 3.0, 0)
    settings = {"step": 0.05, "count": 2, "start": start, "solver": RK4()}
    found = lyapunov_exponents(network, 20_000.0, transient=0.0, **settings)
    assert 200 < found.changed_at < 19_000
    assert found.regime == Regime.UNKNOWN
    assert "changed at" in repr(found)
    before = found.local[found.times <= found.changed_at, 0]
    assert before.mean() > 0.05
    after = found.local[found.times > found.changed_at, 0]
    assert abs(after.mean()) < 0.01
    later = lyapunov_exponents(network, 26_000.0, transient=20_000.0, **settings)
    assert np.isnan(later.changed_at)
    assert later.regime == Regime.PERIODIC


def test_a_batch_equals_a_loop_and_is_one_program():
    def spectrum(rho):
        return lyapunov_exponents(eqx.tree_at(lambda c: c.rho, Lorenz63(), rho), 60.0, step=0.01)

    with jax.enable_x64(True):
        rhos = jnp.asarray([0.5, 10.0, 350.0])  # two at rest, one on a cycle
        many = jax.jit(jax.vmap(spectrum))(rhos)
        assert many.exponents.shape == (3, 3)
        for k in range(3):
            one = spectrum(rhos[k])
            np.testing.assert_allclose(many.exponents[k], one.exponents, rtol=1e-6, atol=1e-8)
            assert many.regime[k] == one.regime
        assert many.to_xarray()["local"].dims == ("batch_0", "time", "exponent")


def spectrum(circuit):
    """Two exponents."""
    return lyapunov_exponents(circuit, 500.0, step=0.01, count=2)


def test_a_sweep_of_regimes():
    over = [rnnjax.axis(lambda c: c.rho, [0.5, 10.0, 28.0, 350.0], name="rho")]
    data = rnnjax.sweep(Lorenz63(), {"long": spectrum}, over, progress=False)
    found = [Regime(int(x)) for x in data["long_regime"]]
    assert found == [Regime.FIXED, Regime.FIXED, Regime.CHAOTIC, Regime.PERIODIC]
    assert data["long_regime"].attrs["flag_meanings"].split()[4] == "CHAOTIC"
    assert data["long_exponents"].dims == ("rho", "long_exponent")
    assert data["long_exponents"].attrs["units"] == "1/ms"


def test_a_second_run_does_not_compile():
    before = lyapunov_exponents(Counted(), 20.0, step=0.01)
    traced = len(TRACED)
    again = lyapunov_exponents(Counted(rho=30.0), 20.0, step=0.01, start=np.ones(3))
    # the checks look at the shapes of the derivative once
    assert len(TRACED) - traced <= 1
    assert again.exponents[0] != before.exponents[0]


@pytest.mark.parametrize("count", [1, 3, 8, 12])
def test_orthonormalization(count):
    rows = np.random.default_rng(3).standard_normal((count, 15)) * np.logspace(0, -6, 15)
    with jax.enable_x64(True):
        basis, grown = map(np.asarray, orthonormalized(jnp.asarray(rows)))
    np.testing.assert_allclose(basis @ basis.T, np.eye(count), atol=1e-14)
    q, r = np.linalg.qr(rows.T)
    np.testing.assert_allclose(grown, abs(np.diag(r)), rtol=1e-9)
    np.testing.assert_allclose(abs((basis * q.T).sum(1)), 1, rtol=1e-9)


def test_errors_of_correlated_blocks():
    random, errors = np.random.default_rng(0), []
    for _ in range(40):
        x, row = 0.0, []
        for step in random.standard_normal(400):
            x = 0.5 * x + step
            row.append(x)
        errors.append(float(block_errors(jnp.asarray(row))))
    expected = 1 / (1 - 0.5) / np.sqrt(400)  # of the mean of an autoregressive series
    assert abs(np.mean(errors) / expected - 1) < 0.15


def test_level_changes():
    random = np.random.default_rng(1)
    zero = jnp.zeros(())
    quiet = [level_change(jnp.asarray(random.standard_normal(100)), zero)[0] for _ in range(300)]
    assert not np.any(quiet)
    step = np.where(np.arange(100) < 30, 3.0, 0.0) + random.standard_normal(100)
    changed, where = level_change(jnp.asarray(step), zero)
    assert changed
    assert abs(int(np.flatnonzero(where)[0]) - 29) <= 2


def test_a_run_that_explodes():
    circuit = linear([[400.0]])
    with pytest.raises(rnnjax.SimulationError, match="NON_FINITE after t = 1"):
        lyapunov_exponents(circuit, 10.0, step=0.001, start=np.ones(1))
    found = lyapunov_exponents(circuit, 10.0, step=0.001, start=np.ones(1), throw=False)
    assert found.status == Status.NON_FINITE
    assert np.isnan(found.exponents).all()
    assert found.regime == Regime.UNKNOWN
    assert repr(found) == "Lyapunov(NON_FINITE)"
    assert 1 < found.failed_at < 2.5


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"step": None}, "step: expected a fixed step in ms"),
        ({"step": -0.1}, "step: expected one positive number"),
        ({"count": 4}, "count: expected at most 3, one per variable, got 4"),
        ({"count": 0}, "count: expected"),
        ({"blocks": 5}, "blocks: expected at least 10"),
        ({"duration": 3.0}, "duration: expected at least 100 blocks of 10 steps"),
        ({"transient": 99.99}, "duration: expected at least"),
        ({"duration": 100.003}, "whole number of steps"),
        ({"start": np.ones(2)}, "start: expected"),
        ({"noise": noise.Additive(0.1)}, "noise needs key"),
    ],
)
def test_bad_input(change, match):
    given: dict[str, Any] = {"duration": 100.0, "step": 0.01} | change
    with pytest.raises((ValueError, TypeError), match=match):
        lyapunov_exponents(Lorenz63(), **given)


def test_labelled():
    data = lyapunov_exponents(Oscillator(), 200.0, step=0.1).to_xarray()
    assert data["exponents"].dims == ("exponent",)
    assert data["running"].dims == ("time", "exponent")
    assert data["exponents"].attrs["units"] == "1/ms"
    np.testing.assert_allclose(data["exponents"], -0.05, atol=1e-3)


@pytest.mark.parametrize(("second", "sign"), [(0.9, 1.0), (0.6, 0.0), (-0.9, 0.0)])
def test_a_sign_is_shown_by_halves_that_agree(second, sign):
    halves = jnp.asarray([[1.0], [second]])
    unresolved = jnp.asarray([10.0])
    found = signs_of(halves, halves.mean(0), unresolved / 3, unresolved, jnp.asarray(100.0))
    assert found.sign.tolist() == [sign]
