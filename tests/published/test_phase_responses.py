"""Phase response curves of neurons against an adjoint computed to more digits."""

import equinox as eqx
import numpy as np
import pytest

import rnnjax
from rnnjax.circuits import HodgkinHuxley, MorrisLecar

# circuit, current, period, Z_V at the phases 0, 0.2, 0.5, 0.8 after V crosses 0 mV upwards
CURVES = {
    "Hodgkin-Huxley": (
        HodgkinHuxley(e_l=-54.4), 10.0, 14.638324788662,
        (4.62528e-4, -5.70070e-3, -0.165846897, 0.506033021),
    ),
    "Morris-Lecar, Hopf": (
        MorrisLecar.hopf(), 100.0, 85.290641042916,
        (0.1085746505, -0.3104399196, -0.2495823033, 1.4182535113),
    ),
    "Morris-Lecar, SNIC": (
        MorrisLecar.snic(), 42.0, 145.366834784,
        (0.1331267811, 0.4266844828, 7.1938163511, 6.9787629669),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=() if "SNIC" in k else pytest.mark.slow) for k in CURVES]
)
def test_phase_response(name):
    circuit, current, period, expected = CURVES[name]
    circuit = eqx.tree_at(lambda c: c.current, circuit, np.asarray(current))
    times = np.linspace(0, 20 * period, 8001)
    run = rnnjax.simulate(circuit, times, dtype="float64", rtol=1e-9, atol=1e-9)
    orbit = rnnjax.find_orbit(circuit, run, intervals=128)
    np.testing.assert_allclose(orbit.period, period, rtol=1e-8)
    found = rnnjax.phase_response(circuit, orbit, origin=lambda s: s.v)
    assert abs(orbit(found.origin).v) < 1e-9
    np.testing.assert_allclose(
        found(np.array([0.0, 0.2, 0.5, 0.8])).v, expected, rtol=1e-6, atol=1e-6
    )
