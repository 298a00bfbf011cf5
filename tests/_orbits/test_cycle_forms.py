"""Normal forms of bifurcations of periodic orbits in closed form, and the orbits that branch off."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _orbits.test_orbits import Bautin, circle
from oracles import TorBPC1
from published.test_cycles import RHYTHMS, hopf_point

import rnnjax
from rnnjax import parameter
from rnnjax.bifurcations import NeimarkSacker, PeriodDoubling


def p(circuit):
    """The growth."""
    return circuit.p


class Torus(rnnjax.AbstractCircuit):
    r"""A circle of radius 1 beside an oscillation z that grows from p = 0 on.

    $\dot r = r (1 - r^2 + \kappa |z|^2),\; \dot \theta = 1 + \gamma |z|^2,\;
    \dot z = (p + i \omega + \beta (r^2 - 1)) z - c z |z|^2$: there is a torus where
    $p = (c - \beta \kappa) |z|^2$.
    """

    p: object = parameter(-0.1, "1")
    c: object = parameter(0.8, "1")
    kappa: object = parameter(0.5, "1")
    beta: object = parameter(0.3, "1")
    gamma: object = parameter(0.2, "1")

    def __call__(self, state, input):
        x, y, u, w = state
        square, size = x * x + y * y, u * u + w * w
        growth, turn = 1 - square + self.kappa * size, 1 + self.gamma * size
        rise = self.p + self.beta * (square - 1) - self.c * size
        return jnp.stack(
            [growth * x - turn * y, growth * y + turn * x, rise * u - 0.37 * w, rise * w + 0.37 * u]
        )

    def rest(self):
        return jnp.zeros(4)


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "kind"), [(0.3, "supercritical"), (2.5, "subcritical")])
def test_a_torus_in_closed_form(beta, kind):
    states = np.concatenate([circle(), np.zeros((40, 2))], 1)
    orbit = rnnjax.find_orbit(Torus(beta=beta), states, period=6.0)
    branch = rnnjax.continue_orbits(Torus(beta=beta), p, orbit, (-0.2, 0.2))
    (point,) = branch.bifurcations
    assert (point.label, point.kind) == ("NS", kind)
    np.testing.assert_allclose(point.parameter, 0.0, atol=1e-10)
    # z = 2 xi v with the mean square of v over a period, 2 pi, equal to 1
    expected = -(0.8 - beta * 0.5) / np.pi
    np.testing.assert_allclose(point.coefficient, expected, rtol=1e-6)


def test_a_fold_of_cycles_in_closed_form():
    orbit = rnnjax.find_orbit(Bautin(p=-0.1), circle(0.94), period=6.0)
    branch = rnnjax.continue_orbits(Bautin(), p, orbit, (-0.4, -0.05))
    (point,) = branch.bifurcations
    assert (point.label, point.kind) == ("LPC", "fold of cycles")
    # half of the second derivative of r (p + r^2 - r^4), -4 r, by the root of the period
    np.testing.assert_allclose(abs(point.coefficient), 2 * np.sqrt(0.5 / (2 * np.pi)), rtol=1e-6)


@pytest.mark.slow
def test_a_doubled_orbit_grows_as_the_normal_form_says():
    of = RHYTHMS["torBPC1"]
    branch = rnnjax.continue_orbits(
        of.circuit, of.where, hopf_point(of), of.bounds, intervals=64, max_points=40, throw=False
    )
    point = next(b for b in branch.bifurcations if b.label == "PD")
    assert point.kind == "supercritical"
    doubled = rnnjax.continue_orbits(
        of.circuit, of.where, point, of.bounds, intervals=64, max_points=40, throw=False
    )
    np.testing.assert_allclose(doubled.parameter[0], point.parameter, atol=1e-5)
    np.testing.assert_allclose(doubled.period[0], 2 * point.orbit.period, rtol=1e-4)
    near = next(b for b in doubled.bifurcations if b.label == "PD")
    assert near.parameter < point.parameter  # the next of a cascade
    assert doubled.stable[0]
    # xi^2 = -lambda / c, lambda the growth of the single orbit, xi half of what the periods differ by
    found = []
    phases = (np.arange(4000) + 0.5) / 8000
    for k in (2, 3):
        at = float(doubled.parameter[k])
        single = rnnjax.find_orbit(
            eqx.tree_at(of.where, TorBPC1(), np.asarray(at)), point.orbit, intervals=64
        )
        growth = np.log(abs(single.multipliers.real.min())) / single.period
        half = (np.asarray(doubled[k](phases)) - np.asarray(doubled[k](phases + 0.5))) / 2
        found.append((at, -growth / (float(single.period) * (half**2).sum(1).mean())))
    (x, a), (y, b) = found
    limit = a - (b - a) / (y - x) * (x - float(point.parameter))  # towards the doubling itself
    np.testing.assert_allclose(point.coefficient, limit, rtol=0.01)


@pytest.mark.slow
def test_doublings_and_tori_have_their_derivatives():
    of = RHYTHMS["torBPC1"]
    branch = rnnjax.continue_orbits(
        of.circuit, of.where, hopf_point(of), of.bounds, intervals=32, max_points=40, throw=False
    )
    start = branch[int(np.argmin(abs(branch.parameter + 0.5916)))]
    value = float(branch.parameter[np.argmin(abs(branch.parameter + 0.5916))])

    def places(beta):
        circuit = eqx.tree_at(lambda c: (c.beta, c.nu), of.circuit, (beta, np.asarray(value)))
        orbit = rnnjax.find_orbit(circuit, start, intervals=32, throw=False)
        found = rnnjax.continue_orbits(
            circuit, of.where, orbit, of.bounds, intervals=32, max_points=16, max_bifurcations=1,
            max_step=0.02, bifurcations=(PeriodDoubling(), NeimarkSacker()), throw=False,
        )  # fmt: skip
        return jnp.sort(found.special.parameter)[:2]

    with jax.enable_x64(True):
        at = jnp.asarray(np.asarray(of.circuit.beta, np.float64))
        np.testing.assert_allclose(places(at), [-0.614681676875, -0.595750552627], atol=1e-7)
        forward = np.asarray(jax.jacfwd(places)(at))
        step = 2e-4
        a, b = (
            np.asarray(places(at + k * step) - places(at - k * step)) / (2 * k * step)
            for k in (1, 2)
        )
    np.testing.assert_allclose(forward, (4 * a - b) / 3, rtol=1e-5)
