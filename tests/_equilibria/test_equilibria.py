"""`find_equilibria` and `linearize`: complete, exact, differentiable, and honest where they fail."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import ORACLES, Pitchfork, SaddleNode, StuartLandau, central_difference

import rnnjax
from rnnjax import Stability, Status
from rnnjax.circuits import (
    ExcitatoryInhibitory,
    ExcitatoryInhibitoryState,
    LinearNetwork,
    WilsonCowan,
)
from rnnjax.connectivity import Dense

oracles = pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES)


def listed(found):
    """The states found, in ascending order of their first variable."""
    states = np.stack([np.hstack(jax.tree.leaves(found[k])) for k in range(len(found))])
    order = np.argsort(states[:, 0])
    return states[order], order


@oracles
def test_oracles(oracle, both_modes):
    found = rnnjax.find_equilibria(oracle.circuit)
    expected = oracle.equilibria(oracle.value)
    states, order = listed(found)
    assert len(found) == len(expected)
    np.testing.assert_allclose(states, expected.reshape(states.shape), atol=1e-9)
    assert states.dtype == np.float64
    assert found.residual[: len(found)].max() < 1e-9
    kinds = [found.stability[k] for k in order]
    assert [k.name for k in kinds] == list(oracle.kinds)
    leading = np.array([found.linearizations[k].eigenvalues[0] for k in order])
    wanted = oracle.leading(oracle.value)
    np.testing.assert_allclose(leading.real, wanted.real, atol=1e-9)
    np.testing.assert_allclose(abs(leading.imag), abs(wanted.imag), atol=1e-9)
    assert jax.config.jax_enable_x64 == both_modes


@oracles
def test_implicit_gradients(oracle):
    guesses = oracle.equilibria(oracle.value) * 1.01

    def first(value):
        # one guess near the last of them: its branch is followed
        return rnnjax.find_equilibria(oracle.at(value), guesses=guesses[-1:])[0]

    expected = oracle.equilibrium_slopes(oracle.value)[-1]
    np.testing.assert_allclose(central_difference(first, oracle.value), expected, atol=1e-8)
    for mode in (False, True):
        with jax.enable_x64(mode):
            dtype = np.float64 if mode else np.float32
            found = jax.jit(jax.jacrev(first))(np.asarray(oracle.value, dtype))
            assert found.dtype == dtype
            np.testing.assert_allclose(found, expected, atol=1e-8, rtol=1e-9 if mode else 1e-6)
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            jax.jit(jax.jacfwd(first))(oracle.value), expected, atol=1e-8, rtol=1e-9
        )


CIRCUITS = {
    "E-I": (ExcitatoryInhibitory(), "m_ee", [(80 / 3, 50 / 3)]),
    "Wilson-Cowan": (WilsonCowan(), "p", None),
}


@pytest.mark.parametrize("name", CIRCUITS)
def test_circuits(name, both_modes):
    circuit, parameter, known = CIRCUITS[name]
    found = rnnjax.find_equilibria(circuit)
    states, _ = listed(found)
    if known is not None:
        np.testing.assert_allclose(states, known, atol=1e-9)
    else:
        assert len(found) == len(zeros_on_a_grid(circuit))
        np.testing.assert_allclose(states, zeros_on_a_grid(circuit), atol=1e-6)
    for k in range(len(found)):
        slope = circuit(found[k], circuit.no_input())
        assert np.abs(np.hstack(slope)).max() < (1e-12 if both_modes else 1e-5)

    def position(value):
        changed = eqx.tree_at(lambda c: getattr(c, parameter), circuit, value)
        guess = jax.tree.map(lambda x: x[None], found[0])
        return rnnjax.find_equilibria(changed, guesses=guess)[0].e

    value = np.asarray(getattr(circuit, parameter))
    expected = central_difference(position, value)
    slope = jax.jit(jax.grad(position))(value if both_modes else np.float32(value))
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def zeros_on_a_grid(circuit):
    """Equilibria of Wilson-Cowan by the e-nullcline in closed form: a scan for sign changes."""
    w = {f.name: float(getattr(circuit, f.name)) for f in dataclasses.fields(circuit)}

    def response(x, a, b):
        return 1 / (1 + np.exp(-a * (x - b))) - 1 / (1 + np.exp(a * b))

    k_e, k_i = (1 - 1 / (1 + np.exp(w[f"slope_{p}"] * w[f"threshold_{p}"])) for p in "ei")

    def inhibition(e):
        # -e + (k - e) S(x) = 0 gives x, and x = w_ee e - w_ei i + p gives i
        s = e / (k_e - e) + 1 - k_e
        x = w["threshold_e"] - np.log(1 / s - 1) / w["slope_e"]
        return (w["w_ee"] * e + w["p"] - x) / w["w_ei"]

    def gap(e):
        i = inhibition(e)
        drive = w["w_ie"] * e - w["w_ii"] * i + w["q"]
        return -i + (k_i - i) * response(drive, w["slope_i"], w["threshold_i"])

    grid = np.linspace(k_e - 1, k_e**2 / (1 + k_e), 200_003)[1:-1]  # where x is finite
    values = gap(grid)
    at = np.flatnonzero(values[:-1] * values[1:] < 0)
    roots = grid[at] - values[at] * (grid[at + 1] - grid[at]) / (values[at + 1] - values[at])
    return np.stack([roots, inhibition(roots)], 1)


def test_each_is_listed_once_and_first():
    guesses = np.array([0.51, -0.4, 0.52, 0.49, 5.0, -7.0, 0.0, np.nan])
    found = rnnjax.find_equilibria(Pitchfork(0.25), guesses=guesses)
    assert len(found) == 3
    assert found.found.tolist() == [True] * 3 + [False] * 5
    np.testing.assert_allclose(found.states[:3], [0.5, -0.5, 0.0], atol=1e-10)
    assert np.isnan(found.states[3:]).all()
    assert np.isnan(found.jacobian[3:]).all()
    assert (found.status == Status.OK).sum() == 7
    assert "3 found" in repr(found)


@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
def test_what_is_not_found_is_refused(x64):
    with jax.enable_x64(x64):
        with pytest.raises(rnnjax.ConvergenceError, match=r"64 guesses.*residual was 0\.25"):
            rnnjax.find_equilibria(SaddleNode(-0.25))
        kept = rnnjax.find_equilibria(SaddleNode(-0.25), throw=False)
        assert len(kept) == 0
        assert (kept.status == Status.NOT_CONVERGED).all()
        assert np.isnan(kept.states).all()

        @jax.jit
        @jax.value_and_grad
        def value_and_slope(mu):
            return rnnjax.find_equilibria(SaddleNode(mu), guesses=np.ones(1))[0]

        dtype = np.float64 if x64 else np.float32
        value, slope = value_and_slope(dtype(-0.25))
        assert np.isnan(value)
        assert np.isnan(slope)
        value, slope = value_and_slope(dtype(0.25))
        np.testing.assert_allclose([value, slope], [0.5, 1.0], rtol=1e-6)


def test_guesses_that_lead_nowhere_spoil_no_gradient():
    """0 times NaN is NaN: what was not found must not reach the gradient of what was."""
    guesses = np.array([np.nan, 1.0, 1.1, -1.0, 0.0, 1e200])

    def root(mu):
        return rnnjax.find_equilibria(SaddleNode(mu), guesses=guesses)[0]

    def rate(weight):
        return rnnjax.find_equilibria(ExcitatoryInhibitory(m_ee=weight))[0].e

    with jax.enable_x64(True):
        for derivative in (jax.grad, jax.jacfwd):
            np.testing.assert_allclose(jax.jit(derivative(root))(0.25), 1.0, rtol=1e-9)
            # e = 20 / (2 - m_ee) for the default circuit
            np.testing.assert_allclose(jax.jit(derivative(rate))(1.25), 20 / 0.75**2, rtol=1e-9)


def test_too_few_steps_are_refused():
    kept = rnnjax.find_equilibria(
        Pitchfork(0.25), guesses=np.array([1e6]), max_steps=2, throw=False
    )
    assert len(kept) == 0
    assert np.isnan(kept[0])


def test_one_guess_without_an_axis_and_structures():
    circuit = ExcitatoryInhibitory()
    found = rnnjax.find_equilibria(circuit, guesses=ExcitatoryInhibitoryState(20.0, 10.0))
    np.testing.assert_allclose(found[0], [80 / 3, 50 / 3], rtol=1e-12)
    assert isinstance(found[0], ExcitatoryInhibitoryState)
    moved = rnnjax.find_equilibria(circuit, ExcitatoryInhibitoryState(3.0, 0.0))
    np.testing.assert_allclose(moved[0], [92 / 3, 62 / 3], rtol=1e-12)


def test_batches_equal_a_loop():
    rates = np.array([0.09, 0.25, 0.49])
    guesses = np.array([-1.0, 0.05, 1.0])
    with jax.enable_x64(True):
        together = eqx.filter_vmap(
            lambda mu: rnnjax.find_equilibria(Pitchfork(mu), guesses=guesses)
        )(rates)
        for k, mu in enumerate(rates):
            alone = rnnjax.find_equilibria(Pitchfork(mu), guesses=guesses)
            np.testing.assert_allclose(together.states[k], alone.states, atol=1e-12)
            np.testing.assert_allclose(
                sorted(alone.states), [-np.sqrt(mu), 0, np.sqrt(mu)], atol=1e-9
            )


NETWORKS = {
    Stability.STABLE_NODE: [[-1.0, 0.5], [0.0, -3.0]],
    Stability.STABLE_FOCUS: [[-1.0, -2.0], [2.0, -1.0]],
    Stability.UNSTABLE_NODE: [[1.0, 0.0], [0.3, 3.0]],
    Stability.UNSTABLE_FOCUS: [[1.0, -2.0], [2.0, 1.0]],
    Stability.SADDLE: [[1.0, 0.4], [0.0, -2.0]],
    Stability.CENTER: [[0.0, -2.0], [2.0, 0.0]],
    Stability.MARGINAL: [[0.0, 1.0], [0.0, -2.0]],
}


@pytest.mark.parametrize("kind", NETWORKS, ids=str)
def test_classification(kind, both_modes):
    jacobian = np.array(NETWORKS[kind])
    circuit = LinearNetwork(Dense(jacobian * 10 + np.eye(2)), tau=10.0)  # its Jacobian is this one
    seen = rnnjax.linearize(circuit, np.zeros(2))
    np.testing.assert_allclose(seen.jacobian, jacobian, atol=1e-14)
    assert seen.jacobian.dtype == np.float64
    assert seen.stability is kind
    assert str(kind) in repr(seen)
    values, vectors = seen.eigenvalues, seen.eigenvectors
    assert (np.diff(values.real) <= 1e-12).all()
    np.testing.assert_allclose(jacobian @ vectors, vectors * values, atol=1e-12)
    np.testing.assert_allclose(seen.left_eigenvectors @ vectors, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(seen.left_eigenvectors @ jacobian,
                               values[:, None] * seen.left_eigenvectors, atol=1e-12)  # fmt: skip
    assert seen.growth_rate == values[0].real
    assert seen.stable == (values[0].real < 0)
    turns = 2.0 if kind.name.endswith("FOCUS") or kind is Stability.CENTER else 0.0
    np.testing.assert_allclose(seen.frequency, 1000 * turns / (2 * np.pi), rtol=1e-12)
    if seen.growth_rate:
        np.testing.assert_allclose(seen.time_constant, -1 / values[0].real)


def test_saddle_with_a_focus():
    jacobian = np.array([[0.5, -2.0, 0.0], [2.0, 0.5, 0.0], [0.0, 0.0, -1.0]])
    seen = rnnjax.linearize(LinearNetwork(Dense(jacobian * 10 + np.eye(3))), np.zeros(3))
    assert seen.stability is Stability.SADDLE
    np.testing.assert_allclose(seen.frequency, 1000 / np.pi, rtol=1e-12)


def test_the_jacobian_holds_the_input_at_its_time():
    circuit = ExcitatoryInhibitory()
    step = ExcitatoryInhibitoryState(-1000.0, 0.0) * rnnjax.inputs.Step(1.0, onset=50.0)
    on, off = (
        rnnjax.linearize(circuit, ExcitatoryInhibitoryState(20.0, 20.0), step, time=t)
        for t in (60.0, 40.0)
    )
    np.testing.assert_allclose(off.jacobian, [[0.025, -0.1], [0.02, -0.02]], rtol=1e-14)
    np.testing.assert_allclose(on.jacobian, [[-0.1, 0.0], [0.02, -0.02]], rtol=1e-14)
    assert off.variables == ["e", "i"]


@pytest.mark.parametrize("mode", [False, True], ids=["x32", "x64"])
def test_growth_rates_can_be_differentiated(mode):
    def growth(tau):
        circuit = ExcitatoryInhibitory(tau_i=tau)
        return rnnjax.linearize(circuit, ExcitatoryInhibitoryState(20.0, 20.0)).growth_rate

    with jax.enable_x64(mode):
        value, slope = jax.value_and_grad(growth)(np.float64(50.0) if mode else np.float32(50.0))
    # trace / 2 = (0.025 - 1 / tau) / 2
    tolerance = 1e-10 if mode else 1e-5
    np.testing.assert_allclose(value, (0.025 - 1 / 50) / 2, rtol=tolerance)
    np.testing.assert_allclose(slope, 1 / 50**2 / 2, rtol=tolerance)


def test_stability_changes_where_theory_says():
    for mu, kind in ((-0.01, "STABLE_FOCUS"), (0.0, "CENTER"), (0.01, "UNSTABLE_FOCUS")):
        assert rnnjax.linearize(StuartLandau(mu), np.zeros(2)).stability.name == kind
    for tau, kind in ((39.99, "STABLE_FOCUS"), (40.0, "CENTER"), (40.01, "UNSTABLE_FOCUS")):
        found = rnnjax.find_equilibria(ExcitatoryInhibitory(tau_i=tau))
        assert [k.name for k in found.stability] == [kind]


def test_guesses_at_the_scale_of_the_circuit():
    """The default guesses reach 100; kinks beyond that need guesses of one's own."""
    for scale in (1e-3, 1e3):
        circuit = ExcitatoryInhibitory(gamma_e=-10.0 * scale, gamma_i=10.0 * scale)
        guesses = ExcitatoryInhibitoryState(
            *(scale * np.random.default_rng(0).uniform(0, 100, (2, 16)))
        )
        found = rnnjax.find_equilibria(circuit, guesses=guesses)
        np.testing.assert_allclose(found[0], scale * np.array([80, 50]) / 3, rtol=1e-9)


def test_vector_field_points_where_the_circuit_goes():
    circuit = ExcitatoryInhibitory()
    field = rnnjax.vector_field(circuit, x=(0, 60), y=(0, 30), points=7)
    assert field.dx.shape == field.dy.shape == (7, 7)
    assert field.names == ("e", "i")
    with jax.enable_x64(True):
        slope = circuit(ExcitatoryInhibitoryState(field.x[4], field.y[2]), circuit.no_input())
    np.testing.assert_allclose([field.dx[2, 4], field.dy[2, 4]], slope, rtol=1e-13)


def test_under_jit():
    @jax.jit
    def corner(mu):
        found = rnnjax.find_equilibria(SaddleNode(mu), guesses=np.array([1.0, -1.0]))
        return found.states, found.found

    with jax.enable_x64(True):
        states, found = corner(0.16)
        np.testing.assert_allclose(states, [0.4, -0.4], rtol=1e-10)
        assert found.all()
        assert not corner(jnp.asarray(-0.16))[1].any()


def test_a_float32_program_that_holds_the_arrays_changes_nothing():
    weights = np.diag([0.1, -1.0])  # 0.1 is another number in float32
    net = LinearNetwork(Dense(weights), bias=np.array([1.0, 2.0]))
    held = jax.jit(lambda x: weights @ x)  # JAX remembers the array as float32 from here on
    held(jnp.ones(2))
    found = rnnjax.find_equilibria(net, guesses=np.zeros(2))
    np.testing.assert_allclose(found[0], [1 / 0.9, 1.0], rtol=1e-12)
    exact = rnnjax.linearize(net, found[0]).jacobian
    np.testing.assert_allclose(exact, (weights - np.eye(2)) / net.tau, rtol=1e-12)
    assert rnnjax.simulate(net, [0.0, 1.0], step=0.5, dtype="float64").states.dtype == np.float64
    del held
