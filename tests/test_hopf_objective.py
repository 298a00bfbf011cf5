"""A bifurcation as an objective: the example at its own size, and smaller."""

import equinox as eqx
import hopf_objective as example
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture(scope="module", name="small")
def small_network():
    """Twenty units, and a recording."""
    with jax.enable_x64(True):
        recorded = example.response(example.network(20, example.RECORDED, seed=1))
        return example.network(20), recorded


@pytest.fixture(name="x64")
def double_precision():
    """As the example runs."""
    with jax.enable_x64(True):
        yield


@pytest.mark.slow
def test_the_loss_has_its_gradient(small):
    circuit, recorded = small
    terms = example.objective(recorded)
    along = np.random.default_rng(1).normal(size=(20, 20)) * example.weights(circuit)

    @eqx.filter_jit
    def of(s):
        return terms(eqx.tree_at(example.weights, circuit, example.weights(circuit) + s * along))

    h = 1e-3
    near = [np.asarray(of(k * h)) for k in (-2, -1, 1, 2)]
    differences = (8 * (near[2] - near[1]) - (near[3] - near[0])) / (12 * h)
    slopes = jax.jit(jax.jacrev(of))(0.0)
    np.testing.assert_allclose(slopes, differences, rtol=1e-6)


def test_a_hopf_point_is_moved_where_it_is_asked_to_be(small):
    circuit, _ = small
    before = float(example.hopf(circuit).parameter)
    moved = example.moved_onto(circuit, goal=before - 0.2)
    point = example.hopf(moved)
    assert float(point.parameter) == pytest.approx(before - 0.2, abs=1e-10)
    there = example.at_drive(moved, point.parameter)
    assert abs(rnnjax.linearize(there, point.state).eigenvalues[0].real) < 1e-12


@pytest.mark.slow
def test_fifty_units_oscillate_from_the_drive_that_was_asked_for():
    before, after, recorded, found = example.trained()
    assert example.hopf(before).kind == "subcritical"
    point = example.hopf(after)
    assert abs(float(point.parameter) - example.GOAL) < 1e-6
    assert point.kind == "supercritical"
    assert point.coefficient < example.BEND
    assert found.losses[-1] < 0.05 * found.losses[0]
    assert example.unexplained(after, recorded) < 0.15 < example.unexplained(before, recorded)
    for _, expected, value in example.checks(after):
        assert value == pytest.approx(expected, rel=1e-6, abs=1e-6)
    distances = np.array([-0.05, 0.005, 0.01, 0.02])
    below, *swings = example.amplitudes(after, point, distances, duration=20000.0)
    assert below < 1e-9
    np.testing.assert_allclose(swings, example.predicted(after, point, distances[1:]), rtol=0.02)


@pytest.mark.slow
def test_lanes_do_not_wait_for_each_other():
    """A batch of diagrams of more units than are unrolled comes to its end, on few threads as well."""
    gains = jnp.asarray([0.95, 1.0, 1.05])

    def place(gain):
        circuit = example.network(20)
        circuit = eqx.tree_at(example.weights, circuit, gain * example.weights(circuit))
        return example.hopf(circuit).parameter

    batch = jax.jit(jax.vmap(jax.value_and_grad(place)))(gains)
    one = jax.value_and_grad(place)(gains[1])
    np.testing.assert_allclose([x[1] for x in batch], one, rtol=1e-9)
