"""Phase response curves and phases: closed forms, their derivatives, published digits, refusals."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _orbits.test_orbits import StuartLandau

import rnnjax
from rnnjax import Status, find_orbit, phase_of, phase_response
from rnnjax.circuits import MorrisLecar

RHO, TWIST = 0.25, 0.7
PHASES = np.linspace(0.0, 1.0, 13)
ANGLES = 2 * np.pi * PHASES


def closed_form(state):
    """The asymptotic phase of the oscillator with a twist, in radians."""
    x, y = state
    return np.arctan2(y, x) - TWIST * np.log(np.hypot(x, y) / np.sqrt(RHO))


def expected_response(angle):
    """Its gradient on the orbit, `(..., 2)`."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([-s - TWIST * c, c - TWIST * s], -1) / np.sqrt(RHO)


def second(state):
    """What vanishes at the angle 0."""
    return state[1]


def circle(rho=RHO, samples=64):
    """The orbit itself, as a guess."""
    angle = 2 * np.pi * np.arange(samples) / samples
    return np.sqrt(rho) * np.stack([np.cos(angle), np.sin(angle)], -1)


@pytest.fixture(scope="module")
def twisted():
    circuit = StuartLandau(rho=RHO, twist=TWIST)
    return circuit, find_orbit(circuit, circle(), period=6.2, intervals=64)


def test_response_in_closed_form(twisted, both_modes):
    circuit, orbit = twisted
    found = phase_response(circuit, orbit, origin=second)
    np.testing.assert_allclose(found(PHASES), expected_response(ANGLES), atol=1e-7)
    assert np.asarray(found.states).dtype == np.float64
    # the advance along the flow itself is the time
    nodes = orbit.states
    flow = np.asarray(jax.vmap(lambda x: circuit(x, np.zeros(2, x.dtype)))(nodes))
    np.testing.assert_allclose((found.states * flow).sum(-1), 1, atol=1e-6 if both_modes else 1e-5)
    data = found.to_xarray()
    assert data["state"].dims == ("phase", "unit_0")
    np.testing.assert_allclose(data["state"][0], expected_response(0.0), atol=1e-7)


@pytest.mark.slow
def test_its_derivatives_in_closed_form():
    def response(values):
        circuit = eqx.tree_at(lambda c: (c.rho, c.twist), StuartLandau(), tuple(values))
        orbit = find_orbit(circuit, circle(), period=6.2, intervals=64)
        return phase_response(circuit, orbit, origin=second)(PHASES)

    with jax.enable_x64(True):
        at = jnp.asarray([RHO, TWIST])
        found = np.asarray(jax.jacfwd(response)(at))
        reverse = np.asarray(jax.grad(lambda v: response(v)[3, 0])(at))
    expected = expected_response(ANGLES)
    np.testing.assert_allclose(found[..., 0], -expected / (2 * 0.25), atol=2e-6)
    np.testing.assert_allclose(
        found[..., 1], -np.stack([np.cos(ANGLES), np.sin(ANGLES)], -1) / 0.5, atol=1e-6
    )
    np.testing.assert_allclose(reverse, found[3, 0], atol=1e-9)


def test_phase_in_closed_form(twisted):
    circuit, orbit = twisted
    origin = phase_response(circuit, orbit, origin=second).origin
    for state in ([0.9, 0.3], [-0.2, 0.1], [0.0, -1.4]):
        found = (phase_of(circuit, orbit, np.asarray(state)) - origin) % 1.0
        expected = closed_form(state) / (2 * np.pi) % 1.0
        assert abs((found - expected + 0.5) % 1.0 - 0.5) < 1e-7


def test_the_gradient_of_the_phase_is_the_response(twisted):
    circuit, orbit = twisted
    response = phase_response(circuit, orbit)
    with jax.enable_x64(True):
        gradient = jax.grad(lambda x: phase_of(circuit, orbit, x, periods=4, steps=400))
        for phase in (0.1, 0.6):
            got = np.asarray(gradient(jnp.asarray(orbit(phase)))) * float(orbit.period)
            np.testing.assert_allclose(got, response(phase), atol=1e-5)


def test_a_batch_of_phases(twisted):
    circuit, orbit = twisted
    states = np.asarray([[0.9, 0.3], [-0.2, 0.1], [0.0, 0.0]])
    with jax.enable_x64(True):
        many = np.asarray(jax.vmap(lambda x: phase_of(circuit, orbit, x))(jnp.asarray(states)))
    for k in range(2):
        np.testing.assert_allclose(many[k], phase_of(circuit, orbit, states[k]), atol=1e-12)
    assert np.isnan(many[2])  # rest has no phase


def current(circuit):
    """The current into the cell."""
    return circuit.current


@pytest.mark.slow
def test_its_derivative_of_a_neuron():
    cell = eqx.tree_at(current, MorrisLecar.hopf(), np.asarray(100.0))
    run = rnnjax.simulate(cell, np.linspace(0, 1500, 3001), dtype="float64", rtol=1e-9, atol=1e-9)
    orbit = find_orbit(cell, run, intervals=128)

    def response(value):
        moved = eqx.tree_at(current, cell, value)
        near = find_orbit(moved, orbit, intervals=128)
        return phase_response(moved, near, origin=lambda s: s.v)(jnp.asarray([0.2, 0.8])).v

    with jax.enable_x64(True):
        at = jnp.asarray(100.0)
        derivative = np.asarray(jax.jacfwd(response)(at))
        step = 1e-2
        two, one = (
            (np.asarray(response(at + k * step)) - np.asarray(response(at - k * step)))
            / (2 * k * step)
            for k in (2, 1)
        )
    np.testing.assert_allclose(derivative, (4 * one - two) / 3, rtol=1e-5)


def test_refusals(twisted):
    circuit, orbit = twisted
    with pytest.raises(rnnjax.ConvergenceError, match="does not cross 0 upwards along the orbit"):
        phase_response(circuit, orbit, origin=lambda x: x[1] - 10.0)
    with pytest.raises(ValueError, match="orbit: expected an Orbit, got ndarray"):
        phase_response(circuit, circle())
    lost = dataclasses.replace(orbit, status=np.asarray(Status.NOT_CONVERGED))
    with pytest.raises(rnnjax.ConvergenceError, match="orbit: none was found"):
        phase_response(circuit, lost)
    with pytest.raises(rnnjax.ConvergenceError, match="not near the orbit after 3 periods"):
        phase_of(circuit, orbit, np.zeros(2), periods=3)
    with pytest.raises(ValueError, match="state: expected"):
        phase_of(circuit, orbit, np.zeros(3))


def other(circuit, by):
    return dataclasses.replace(circuit, rate=circuit.rate + by)


@pytest.mark.parametrize("by", [1e-3, 0.5])
def test_an_orbit_of_other_numbers_is_refused(twisted, by):
    circuit, orbit = twisted
    changed = other(circuit, by)
    with pytest.raises(
        ValueError, match=r"orbit: expected what this circuit does.*found for other"
    ):
        phase_response(changed, orbit)
    with pytest.raises(
        ValueError, match=r"orbit: expected what this circuit does.*found for other"
    ):
        phase_of(changed, orbit, np.asarray([0.5, 0.1]))
    with pytest.raises(
        ValueError, match=r"start: expected what this circuit does.*found for other"
    ):
        rnnjax.continue_orbits(changed, lambda c: c.rho, orbit, (0.1, 1.0))
    again = find_orbit(changed, orbit)
    np.testing.assert_allclose(again.period, 2 * np.pi / changed.rate, rtol=1e-10)
    assert phase_response(changed, again).period == again.period


def test_an_orbit_held_in_float32_is_taken(twisted):
    circuit, orbit = twisted
    held = jax.tree.map(lambda x: np.asarray(x, np.float32) if np.ndim(x) else x, orbit)
    exact = phase_response(circuit, orbit)
    np.testing.assert_allclose(phase_response(circuit, held).states, exact.states, atol=1e-5)


def test_a_hopf_point_of_other_numbers_is_refused():
    cell = MorrisLecar.homoclinic()
    bounds = (-30.0, 60.0)
    hopf = rnnjax.continue_equilibria(cell, current, bounds=bounds).first("H")
    changed = dataclasses.replace(cell, g_l=cell.g_l * 1.05)
    with pytest.raises(
        ValueError, match=r"start: expected what this circuit does.*found for other"
    ):
        rnnjax.continue_orbits(changed, current, hopf, bounds)
