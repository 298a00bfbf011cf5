"""Large circuits, by products with the Jacobian alone: closed answers, dense answers, honest failure."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_lowering import lowered

import rnnjax
from rnnjax import Status
from rnnjax._numerics.krylov import gmres, solve
from rnnjax.circuits import CurrentNetwork, LinearNetwork, RateNetwork
from rnnjax.connectivity import AbstractConnectivity, Cosine, Dense, LowRank

TAU, TURN = 10.0, 0.7


class Scaled(AbstractConnectivity):
    """Another connectivity times one number."""

    inner: Any
    gain: float = rnnjax.parameter(1.0, "1")

    def matrix(self):
        return self.gain * self.inner.matrix()

    def __call__(self, rates):
        return self.gain * self.inner(rates)

    @property
    def units(self):
        return self.inner.units


class Pushed(rnnjax.AbstractCircuit):
    """A network driven along one direction."""

    network: Any
    direction: Any
    h: float = rnnjax.parameter(0.0, "1")

    def __call__(self, state, input):
        return self.network(state, input + self.h * self.direction)

    def rest(self):
        return -2.0 * jnp.asarray(self.direction)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def random_network(n, gain=0.8, bias=0.3):
    weights = gain * draw(n, n) / np.sqrt(n)
    return CurrentNetwork(Dense(weights), bias=bias * draw(n, seed=1), tau=TAU)


def directions(n):
    """Two orthogonal directions whose entries have mean square 1."""
    m, q = np.linalg.qr(draw(n, 2))[0].T * np.sqrt(n)
    return m, q


def planar(n, gain):
    """Rank two, the overlap gain times [[1, -TURN], [TURN, 1]]: eigenvalues gain (1 ± i TURN)."""
    m, q = directions(n)
    weights = LowRank(np.stack([m, q], 1), np.stack([m - TURN * q, q + TURN * m], 1))
    return CurrentNetwork(Scaled(weights, gain), tau=TAU)


def of_gain(circuit):
    return circuit.connectivity.gain


def with_bias(circuit, bias):
    return eqx.tree_at(lambda c: c.bias, circuit, bias)


# Linear systems


def test_gmres_solves_and_says_what_is_left():
    a, b = draw(60, 60) / 10 - np.eye(60), draw(60, seed=1)
    with jax.enable_x64(True):
        whole = gmres(lambda v: a @ v, jnp.asarray(b), 60, 3, 1e-13)
        np.testing.assert_allclose(whole.x, np.linalg.solve(a, b), rtol=1e-9, atol=1e-11)
        assert whole.residual <= 1e-13
        short = gmres(lambda v: a @ v, jnp.asarray(b), 5, 1, 1e-13)
        left = np.linalg.norm(a @ short.x - b) / np.linalg.norm(b)
        np.testing.assert_allclose(short.residual, left, rtol=1e-12)
        krylov = np.stack([np.linalg.matrix_power(a, k) @ b for k in range(1, 6)], 1)
        best = np.linalg.lstsq(krylov, b)[1][0] ** 0.5 / np.linalg.norm(b)
        np.testing.assert_allclose(left, best, rtol=1e-8)


def test_gmres_ends_early_at_nothing_and_in_small_spaces():
    with jax.enable_x64(True):
        still = gmres(lambda v: v, jnp.zeros(4), 4, 2, 1e-12)
        assert (still.x == 0).all()
        assert still.residual == 0
        one = gmres(lambda v: 3.0 * v, jnp.arange(4.0), 4, 2, 1e-12)
        np.testing.assert_allclose(one.x, np.arange(4.0) / 3, rtol=1e-15)
        singular = solve(lambda v: v * jnp.asarray([1.0, 0.0]), jnp.ones(2), 2, 2, 1e-9)
        assert np.isnan(singular).all()


# Leading eigenvalues


@pytest.mark.usefixtures("both_modes")
def test_random_weights_have_the_eigenvalues_of_the_dense_matrix():
    network, state = random_network(200), draw(200, seed=2)
    found = rnnjax.leading_eigenvalues(network, state, 0.1)
    exact = rnnjax.linearize(network, state, 0.1)
    np.testing.assert_allclose(found.values, exact.eigenvalues[:6], atol=1e-13)
    off = exact.jacobian @ found.vectors.T - found.vectors.T * found.values
    np.testing.assert_allclose(np.linalg.norm(off, axis=0), found.residuals, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1.0, rtol=1e-14)
    assert found.real.dtype == np.float64
    assert found.converged.all()
    assert found.stable
    assert found.frequency == pytest.approx(1000 * found.imaginary[0] / (2 * np.pi))
    assert "residuals <=" in repr(found)


def test_rank_two_is_exact_at_a_thousand_units():
    found = rnnjax.leading_eigenvalues(planar(1000, 1.3), np.zeros(1000), count=4)
    pair = (1.3 * (1 + 1j * TURN) - 1) / TAU
    np.testing.assert_allclose(found.values[:2], [pair, pair.conjugate()], atol=1e-13)
    np.testing.assert_allclose(found.values[2:], -1 / TAU, atol=1e-13)
    assert found.frequency == pytest.approx(1000 * 1.3 * TURN / TAU / (2 * np.pi), rel=1e-12)
    assert found.products < 60


def test_rank_two_at_a_state_that_does_not_rest():
    # the eigenvalues of a matrix of low rank are those of the overlaps, here weighted by the slopes
    n, state = 1000, draw(1000, seed=3)
    m, q = directions(n)
    network = CurrentNetwork(LowRank(np.stack([m, q], 1), 2 * np.stack([m, m + q], 1)), tau=TAU)
    left, right = network.connectivity.left, network.connectivity.right
    overlap = right.T @ ((1 - np.tanh(state) ** 2)[:, None] * left) / n
    values = np.linalg.eigvals(overlap)
    expected = (values[np.argsort(-values.imag)] - 1) / TAU
    found = rnnjax.leading_eigenvalues(network, state, count=2)
    np.testing.assert_allclose(found.values, expected, atol=1e-12)


def test_eigenvalues_of_a_ring_are_found_as_often_as_they_are_there():
    ring = LinearNetwork(Cosine(lambda_0=0.3, lambda_1=0.9), tau=TAU)
    found = rnnjax.leading_eigenvalues(ring, np.zeros(100), count=5)
    np.testing.assert_allclose(found.values, np.array([-0.1, -0.1, -0.7, -1, -1]) / TAU, atol=1e-14)


@pytest.mark.slow
def test_a_small_circuit_gives_all_of_them():
    network, state = random_network(5), draw(5)
    found = rnnjax.leading_eigenvalues(network, state, count=5)
    exact = rnnjax.linearize(network, state).eigenvalues
    np.testing.assert_allclose(found.values, exact, atol=1e-14)
    still = rnnjax.leading_eigenvalues(LinearNetwork(Dense(np.eye(3))), np.zeros(3), count=3)
    np.testing.assert_allclose(still.values, 0.0, atol=1e-15)


@pytest.mark.slow
def test_a_pair_may_be_cut():
    whole = rnnjax.leading_eigenvalues(planar(50, 1.3), np.zeros(50), count=2)
    half = rnnjax.leading_eigenvalues(planar(50, 1.3), np.zeros(50), count=1)
    np.testing.assert_allclose(half.values, whole.values[:1], rtol=1e-13)
    assert half.imaginary[0] > 0


@pytest.mark.slow
def test_another_key_gives_the_same_values():
    network, state = random_network(120), draw(120, seed=2)
    one = rnnjax.leading_eigenvalues(network, state, count=3)
    other = rnnjax.leading_eigenvalues(network, state, count=3, key=jax.random.key(4))
    np.testing.assert_allclose(one.values, other.values, atol=1e-14)


def test_what_has_not_converged_is_not_a_number():
    network, state = random_network(200), draw(200, seed=2)
    with pytest.raises(ValueError, match="state: expected finite numbers"):
        rnnjax.leading_eigenvalues(network, np.full(200, np.nan))
    # a tolerance that rounding does not allow
    asked = {"tolerance": 3e-16, "subspace": 9}
    with pytest.raises(rnnjax.ConvergenceError, match="larger `subspace="):
        rnnjax.leading_eigenvalues(network, state, **asked)
    tight = rnnjax.leading_eigenvalues(network, state, **asked, throw=False)
    assert not tight.converged.all()
    assert np.isnan(tight.values[~tight.converged]).all()


def test_eigenvalues_at_no_state_are_not_numbers():
    network = random_network(200)
    with jax.enable_x64(True):
        found = eqx.filter_jit(lambda s: rnnjax.leading_eigenvalues(network, s, throw=False))(
            np.full(200, np.nan)
        )
    assert not found.converged.any()
    assert np.isnan(found.real).all()


def test_eigenvalues_have_their_derivatives():
    network, state = random_network(60), draw(60, seed=2)

    def values(s):
        other = with_bias(eqx.tree_at(lambda c: c.tau, network, TAU * s), network.bias * s)
        found = rnnjax.leading_eigenvalues(other, state * s, count=4)
        return jnp.append(found.real, found.imaginary)

    with jax.enable_x64(True):
        s, h = np.float64(1.0), 1e-5
        differences = (values(s + h) - values(s - h)) / (2 * h)
        np.testing.assert_allclose(jax.jacfwd(values)(s), differences, rtol=1e-6, atol=1e-10)


@pytest.mark.slow
def test_derivatives_backward_and_of_vectors():
    network, state = random_network(60), draw(60, seed=2)

    def found(s):
        return rnnjax.leading_eigenvalues(network, state * s, count=4)

    with jax.enable_x64(True):
        s = np.float64(1.0)
        forward = jax.jacfwd(lambda s: found(s).real)(s)
        np.testing.assert_allclose(jax.jacrev(lambda s: found(s).real)(s), forward, rtol=1e-10)
        assert np.isnan(jax.grad(lambda s: found(s).real_vectors.sum())(s))


@pytest.mark.slow
def test_crossing_eigenvalues_have_no_derivative():
    with jax.enable_x64(True):

        def leading(s):  # a double eigenvalue
            network = LinearNetwork(Dense(s * np.eye(4)))
            return rnnjax.leading_eigenvalues(network, np.zeros(4), count=2).real[0]

        assert np.isnan(jax.grad(leading)(np.float64(0.5)))


# Equilibria


@pytest.mark.usefixtures("both_modes")
def test_matrix_free_equilibria_are_those_of_the_dense_search():
    network = random_network(150)
    found = rnnjax.find_equilibria(network, 0.1, matrix_free=True)
    exact = rnnjax.find_equilibria(network, 0.1, guesses=np.zeros(150))
    np.testing.assert_allclose(found[0], exact[0], atol=1e-14)
    assert found.jacobian is None
    assert found.status.tolist() == [Status.OK]
    assert found.residual[0] < 1e-14
    assert "not classified" in repr(found)
    assert found.to_xarray().stability.values.tolist() == ["not classified"]
    with pytest.raises(ValueError, match="leading_eigenvalues"):
        found.linearizations  # noqa: B018


def test_matrix_free_from_several_guesses():
    m, _ = directions(1000)
    network = CurrentNetwork(LowRank(m[:, None], 1.6 * m[:, None]), tau=TAU)
    found = rnnjax.find_equilibria(network, guesses=np.stack([m, -m, 0 * m, m]), matrix_free=True)
    assert len(found) == 3
    # x = k m with k = 1.6 <m tanh(k m)>
    shares = np.sort([x @ m / 1000 for x in found.states[:3]])
    np.testing.assert_allclose(shares[0], -shares[2], rtol=1e-12)
    k = shares[2]
    np.testing.assert_allclose(k, 1.6 * np.mean(m * np.tanh(k * m)), rtol=1e-13)


def test_where_there_is_no_equilibrium():
    weights = LowRank(np.ones((40, 1)), 2 * np.ones((40, 1)))
    away = RateNetwork(weights, bias=1.0)
    with pytest.raises(rnnjax.ConvergenceError):
        rnnjax.find_equilibria(away, guesses=np.ones(40), matrix_free=True)
    found = rnnjax.find_equilibria(away, guesses=np.ones(40), matrix_free=True, throw=False)
    assert not found.found.any()
    assert np.isnan(found.states).all()


def test_matrix_free_equilibria_have_their_derivatives():
    network = random_network(80)

    def norm(s, **how):
        other = with_bias(network, network.bias * s)
        return (rnnjax.find_equilibria(other, **how).states[0] ** 2).sum()

    with jax.enable_x64(True):
        s = np.float64(1.0)
        h = 1e-5
        difference = (norm(s + h, matrix_free=True) - norm(s - h, matrix_free=True)) / (2 * h)
        slope = jax.grad(lambda s: norm(s, matrix_free=True))(s)
        np.testing.assert_allclose(slope, difference, rtol=1e-8)


# Branches


@pytest.mark.slow
def test_a_pitchfork_where_the_overlap_is_one():
    m, _ = directions(1000)
    network = CurrentNetwork(Scaled(LowRank(m[:, None], m[:, None]), 0.5), tau=TAU)
    branch = rnnjax.continue_large(network, of_gain, bounds=(0.3, 1.8), count=3)
    (point,) = branch.crossings
    assert point.label == "BP"
    assert float(point.parameter) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(branch.real[:, 0], (branch.parameter - 1) / TAU, atol=1e-13)
    assert branch.complete
    assert branch.parameter[-1] == pytest.approx(1.8)
    assert (branch.stable == (branch.parameter < 1)).all()


def test_a_hopf_point_where_the_overlap_is_one():
    branch = rnnjax.continue_large(planar(1000, 0.5), of_gain, bounds=(0.3, 1.8), count=3)
    (point,) = branch.crossings
    assert point.label == "H"
    assert float(point.parameter) == pytest.approx(1.0, abs=1e-12)
    assert float(point.frequency) == pytest.approx(1000 * TURN / TAU / (2 * np.pi), rel=1e-12)
    assert "H at 1, 11.14" in repr(branch)
    data = branch.to_xarray()
    assert data.eigenvalue_real.dims == ("point", "eigenvalue")


def cusp(n, gain):
    # x = k in every unit: k = gain tanh(k) + h has folds where gain (1 - tanh(k)^2) = 1
    ones = np.ones(n)
    network = CurrentNetwork(LowRank(ones[:, None], gain * ones[:, None]), tau=TAU)
    return Pushed(network, ones, h=-0.8)


def folds(gain):
    t = np.sqrt(1 - 1 / gain)
    return gain * t - np.arctanh(t)


def test_folds_and_their_derivatives():
    branch = rnnjax.continue_large(cusp(1000, 2.0), lambda c: c.h, bounds=(-1.0, 1.0), count=3)
    assert [c.label for c in branch.crossings] == ["LP", "LP"]
    places = [float(c.parameter) for c in branch.crossings]
    np.testing.assert_allclose(places, [folds(2.0), -folds(2.0)], atol=1e-12)
    assert branch.parameter[0] == -0.8
    assert branch.complete
    assert branch.missed == 0


@pytest.mark.slow
def test_a_branch_that_ends_says_why():
    circuit = cusp(20, 2.0)
    with pytest.raises(rnnjax.ConvergenceError, match="max_points") as caught:
        rnnjax.continue_large(circuit, lambda c: c.h, bounds=(-1.0, 1.0), count=3, max_points=5)
    assert len(caught.value.branch) > 2
    weights = LowRank(np.ones((20, 1)), 2 * np.ones((20, 1)))
    away = Pushed(RateNetwork(weights, bias=3.0), np.ones(20))
    nowhere = rnnjax.continue_large(
        away, lambda c: c.h, np.ones(20), bounds=(-1.0, 1.0), count=3, max_points=5, throw=False
    )
    assert rnnjax.BranchEnd(int(nowhere.end)) == rnnjax.BranchEnd.NO_START
    assert len(nowhere) == 0


@pytest.mark.slow
def test_eigenvalues_that_hide_others_are_told():
    with pytest.warns(UserWarning, match="As many as 2 of 30 grow there, and 0 or more"):
        branch = rnnjax.continue_large(planar(30, 0.5), of_gain, bounds=(0.3, 1.2), count=1)
    assert not branch.complete
    # the other one of the pair crosses with it
    assert branch.missed == 0


@pytest.mark.slow
def test_derivatives_and_batches_of_branches():
    def places(gain):
        circuit = eqx.tree_at(
            lambda c: c.network.connectivity.right, cusp(30, 1.0), gain * np.ones((30, 1))
        )
        branch = rnnjax.continue_large(
            circuit, lambda c: c.h, bounds=(-1.0, 1.0), count=3, max_crossings=2
        )
        return branch.crossing_parameter

    with jax.enable_x64(True):
        gain, h = np.float64(2.0), 1e-5
        slope = (folds(gain + h) - folds(gain - h)) / (2 * h)
        np.testing.assert_allclose(jax.jacfwd(places)(gain), [slope, -slope], rtol=1e-8)
        np.testing.assert_allclose(jax.jacrev(places)(gain), [slope, -slope], rtol=1e-8)
        gains = np.array([1.8, 2.0])
        expected = [[folds(g), -folds(g)] for g in gains]
        np.testing.assert_allclose(jax.vmap(places)(gains), expected, atol=1e-12)


@pytest.mark.slow
def test_a_thousand_random_units():
    network = random_network(1000, gain=1.2)
    found = rnnjax.find_equilibria(network, matrix_free=True)
    leading = rnnjax.leading_eigenvalues(network, found[0])
    exact = rnnjax.linearize(network, found[0]).eigenvalues
    np.testing.assert_allclose(leading.values, exact[:6], atol=1e-12)


@pytest.mark.slow
def test_a_hopf_point_of_random_weights():
    weights = Scaled(Dense(draw(300, 300) / np.sqrt(300)), 0.2)
    network = CurrentNetwork(weights, bias=0.1 * draw(300, seed=1), tau=TAU)
    branch = rnnjax.continue_large(network, of_gain, bounds=(0.1, 1.4))
    point = branch.crossings[0]
    at = eqx.tree_at(of_gain, network, np.asarray(point.parameter))
    assert abs(rnnjax.linearize(at, point.state).eigenvalues[0].real) < 1e-12


# Programs and bad input


def growth(scale):
    network = random_network(40)
    network = with_bias(network, network.bias * scale)
    state = rnnjax.find_equilibria(network, matrix_free=True).states[0]
    return rnnjax.leading_eigenvalues(network, state, count=2).growth_rate


@pytest.mark.parametrize("mode", [False, True], ids=["x32", "x64"])
def test_programs_lower_for_gpus(mode):
    with jax.enable_x64(mode):
        scales = np.array([0.5, 1.0], np.float64 if mode else np.float32)
        assert "f64" in lowered(growth, scales[0])
        lowered(jax.grad(growth), scales[0])
        lowered(jax.vmap(growth), scales)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [False, True], ids=["x32", "x64"])
def test_batches(mode):
    alone = [float(growth(s)) for s in (np.float64(0.5), np.float64(1.0))]
    with jax.enable_x64(mode):
        scales = np.array([0.5, 1.0], np.float64 if mode else np.float32)
        batch = jax.jit(jax.vmap(growth))(scales)
    np.testing.assert_allclose(batch, alone, rtol=1e-12 if mode else 1e-6)


def test_branches_lower_for_gpus():
    def place(gain):
        circuit = eqx.tree_at(of_gain, planar(12, 0.5), gain)
        branch = rnnjax.continue_large(circuit, of_gain, bounds=(0.3, 1.8), count=3, max_points=40)
        return branch.crossing_parameter

    lowered(place, np.float32(0.5))


BAD = {
    "count: expected at most 20": lambda c, x: rnnjax.leading_eigenvalues(c, x, count=21),
    "count: expected a positive whole": lambda c, x: rnnjax.leading_eigenvalues(c, x, count=2.5),
    "subspace: expected at least 9": lambda c, x: rnnjax.leading_eigenvalues(c, x, subspace=7),
    "tolerance: expected a relative": lambda c, x: rnnjax.leading_eigenvalues(c, x, tolerance=0.0),
    "state: expected an array": lambda c, x: rnnjax.leading_eigenvalues(c, x[1:]),
    "deflate: needs Jacobians": lambda c, x: rnnjax.find_equilibria(
        c, deflate=2, matrix_free=True
    ),
    "bounds: expected": lambda c, x: rnnjax.continue_large(c, lambda c: c.connectivity.gain),
    "lowest < highest": lambda c, x: rnnjax.continue_large(c, of_gain, bounds=(2.0, 0.0)),
    "around the value": lambda c, x: rnnjax.continue_large(c, of_gain, bounds=(2.0, 3.0)),
    "max_step: expected": lambda c, x: rnnjax.continue_large(
        c, of_gain, bounds=(0.0, 2.0), max_step=2.0
    ),
    "where: expected one number": lambda c, x: rnnjax.continue_large(
        c, lambda c: c.connectivity.inner.left, bounds=(0.0, 2.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", BAD)
def test_what_does_not_fit_is_refused(words):
    with pytest.raises(ValueError, match=words):
        BAD[words](planar(20, 0.5), np.zeros(20))
