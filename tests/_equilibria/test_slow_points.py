"""`find_slow_points`: minima of the speed that are no equilibria, in closed form, with derivatives."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import SaddleNode, StuartLandau, central_difference

import rnnjax
from rnnjax import Status, parameter


class OnACircle(rnnjax.AbstractCircuit):
    r"""Just past a saddle-node on a limit cycle: $\dot r = r (1 - r^2)$, $\dot\theta = \omega - \sin\theta$.

    With $\epsilon = \omega - 1$ and $s = r^2$, $2 q = s ((1 - s)^2 + \epsilon^2)$ at
    $\theta = \pi / 2$, whose minimum is at $s = (2 + \sqrt{1 - 3 \epsilon^2}) / 3$.
    """

    omega: Any = parameter(1.1, "rad/ms")

    def __call__(self, state, input):
        x, y = state
        square = x**2 + y**2
        turn = self.omega - y / jnp.sqrt(square)
        return jnp.stack([(1 - square) * x - turn * y, (1 - square) * y + turn * x]) + input

    def rest(self):
        return jnp.asarray([0.5, 0.5], jnp.result_type(self.omega))


def ghost(omega):
    """Its slow point and q there."""
    past = omega - 1
    square = (2 + np.sqrt(1 - 3 * past**2)) / 3
    return np.array([0.0, np.sqrt(square)]), square * ((1 - square) ** 2 + past**2) / 2


def around():
    """Guesses in a ring, away from where the angle is undefined."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.stack([1.2 * np.cos(angle), 1.2 * np.sin(angle)], 1)


@pytest.mark.parametrize("mu", [-0.01, -1e-4, -1e-8])
def test_the_ghost_of_a_fold(mu, both_modes):
    found = rnnjax.find_slow_points(SaddleNode(mu))
    assert len(found) == 1
    assert found.found.tolist() == [True] + [False] * 63
    np.testing.assert_allclose(found[0], 0.0, atol=1e-12)
    np.testing.assert_allclose(found.q[0], mu**2 / 2, rtol=1e-12)
    np.testing.assert_allclose(found.speed[0], -mu, rtol=1e-12)
    np.testing.assert_allclose(found.jacobian[0], [[0.0]], atol=1e-12)
    assert found.states.dtype == np.float64
    assert np.isnan(found.states[1:]).all()
    assert np.isnan(found.q[1:]).all()
    assert jax.config.jax_enable_x64 == both_modes


def test_equilibria_and_other_level_points_of_q_are_left_out():
    # q = (mu - x^2)^2 / 2 has its minima where f vanishes, and a maximum at 0
    found = rnnjax.find_slow_points(SaddleNode(0.25), guesses=np.array([0.0, 0.4, -3.0]))
    assert len(found) == 0
    assert "0 found" in repr(found)
    assert found.status.tolist() == [Status.NOT_CONVERGED, Status.OK, Status.OK]
    assert np.isnan(found.states).all()


@pytest.mark.parametrize("omega", [1.01, 1.1])
def test_a_ghost_in_the_plane(omega):
    state, q = ghost(omega)
    found = rnnjax.find_slow_points(OnACircle(omega), guesses=around())
    assert len(found) == 1
    np.testing.assert_allclose(found[0], state, atol=1e-10)
    np.testing.assert_allclose(found.q[0], q, rtol=1e-12)
    near = found.linearizations[0]
    expected = rnnjax.linearize(OnACircle(omega), state).jacobian
    np.testing.assert_allclose(near.jacobian, expected, atol=1e-9)
    data = found.to_xarray()
    np.testing.assert_allclose(data.q, [q], rtol=1e-12)
    assert data.state.shape == (1, 2)


def test_a_run_shows_where_to_look():
    """It spends its time at the ghost, so that states of it are good guesses."""
    circuit = OnACircle(1.02)
    run = rnnjax.simulate(circuit, np.linspace(0, 200, 401), dtype="float64")
    found = rnnjax.find_slow_points(circuit, guesses=run)
    assert found.found.shape == (64,)
    np.testing.assert_allclose(found[0], ghost(1.02)[0], atol=1e-9)
    assert len(found) == 1


def test_the_tolerance_leaves_out_what_is_not_slow():
    q = ghost(1.1)[1]
    for tolerance, count in ((1.01 * q, 1), (0.99 * q, 0)):
        found = rnnjax.find_slow_points(OnACircle(1.1), guesses=around(), tolerance=tolerance)
        assert len(found) == count
        assert (found.status == Status.OK).any()
    with pytest.raises(ValueError, match=r"tolerance: expected the largest q.*got -1"):
        rnnjax.find_slow_points(OnACircle(1.1), tolerance=-1)


def test_derivatives():
    """d q = (d f / d mu) f, since q is level; the point moves as the implicit function does."""

    def of_fold(mu):
        return rnnjax.find_slow_points(SaddleNode(mu), guesses=np.array([np.nan, 0.3])).q[0]

    def in_plane(omega):
        found = rnnjax.find_slow_points(OnACircle(omega), guesses=around()[4:8])
        return jnp.stack([found.q[0], found.states[0, 1]])

    expected = central_difference(lambda w: np.array([ghost(w)[1], ghost(w)[0][1]]), 1.1)
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(jax.grad(of_fold))(-0.01), -0.01, rtol=1e-10)
        for derivative in (jax.jacfwd, jax.jacrev):
            np.testing.assert_allclose(jax.jit(derivative(in_plane))(1.1), expected, rtol=1e-7)
    np.testing.assert_allclose(jax.jit(jax.grad(of_fold))(np.float32(-0.01)), -0.01, rtol=1e-6)


def test_what_is_not_found_has_no_derivative():
    def q(mu):
        return rnnjax.find_slow_points(SaddleNode(mu), guesses=np.array([0.3])).q[0]

    with jax.enable_x64(True):
        value, slope = jax.jit(jax.value_and_grad(q))(0.25)
        assert np.isnan(value)
        assert np.isnan(slope)


def test_batches_equal_a_loop():
    rates = np.array([-0.3, -0.02, 0.2])
    guesses = np.array([0.4, -1.0])

    def found(mu):
        return rnnjax.find_slow_points(SaddleNode(mu), guesses=guesses)

    with jax.enable_x64(True):
        together = eqx.filter_vmap(found)(rates)
        assert together.found[:, 0].tolist() == [True, True, False]
        assert "up to 2" in repr(together)
        for k, mu in enumerate(rates):
            np.testing.assert_allclose(together.q[k], found(mu).q, atol=1e-14)


def test_it_lowers_for_accelerators():
    def q(mu):
        return rnnjax.find_slow_points(SaddleNode(mu), guesses=np.ones(3)).q

    for mode in (False, True):
        with jax.enable_x64(mode):
            rates = np.full(2, -0.1, np.float64 if mode else np.float32)
            text = jax.jit(jax.vmap(q)).trace(rates).lower(lowering_platforms=("cuda",)).as_text()
            assert "callback" not in text
            assert "f64" in text


def test_where_nothing_is_slow():
    found = rnnjax.find_slow_points(StuartLandau(0.25))
    assert len(found) == 0
    assert found.to_xarray().sizes["slow_point"] == 0
