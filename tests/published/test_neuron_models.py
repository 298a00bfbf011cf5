"""Neuron and population models: equilibria, and eigenvalues where these change their stability."""

import jax
import numpy as np
import pytest
from published.bifurcation_points import POINTS

import rnnjax


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_eigenvalues_at_bifurcations(point):
    circuit = point.at()
    state = type(circuit.rest())(*map(np.float64, point.state))
    found = rnnjax.linearize(circuit, state)
    size = np.abs(found.jacobian).max()
    critical = found.eigenvalues[np.argmin(np.abs(found.eigenvalues.real))]
    assert abs(critical.real) < 1e-8 * size
    assert abs(abs(critical.imag) * point.unit - point.omega) < 1e-8 * max(1, point.omega)
    with jax.enable_x64(True):
        slope = np.stack(circuit(state, circuit.no_input()))
    # the states are given to 14 digits
    assert (np.abs(slope) < 1e-13 * (np.abs(found.jacobian) @ (1 + np.abs(point.state)))).all()
