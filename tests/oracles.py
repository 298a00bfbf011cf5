"""Circuits whose solutions, and their derivatives by the parameters, are known in closed form."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import rnnjax
from rnnjax import parameter


class Decay(rnnjax.AbstractCircuit):
    r"""One variable that relaxes to its input.

    $\tau \dot x = -x + u$
    """

    tau: Any = parameter(10.0, "ms", positive=True)

    def __call__(self, state, input):
        return (-state + input) / self.tau

    def rest(self):
        return jnp.ones_like(self.tau)


class Oscillator(rnnjax.AbstractCircuit):
    r"""A damped linear oscillator.

    $\dot x = -\sigma x - \omega y,\; \dot y = \omega x - \sigma y$
    """

    sigma: Any = parameter(0.05, "1/ms")
    omega: Any = parameter(0.3, "rad/ms")

    def __call__(self, state, input):
        x, y = state
        return (
            jnp.stack([-self.sigma * x - self.omega * y, self.omega * x - self.sigma * y]) + input
        )

    def rest(self):
        return jnp.asarray([1.0, 0.0], jnp.result_type(self.sigma))


class SaddleNode(rnnjax.AbstractCircuit):
    r"""The normal form of the fold.

    $\dot x = \mu - x^2 + u$
    """

    mu: Any = parameter(0.25, "1/ms")

    def __call__(self, state, input):
        return self.mu - state**2 + input

    def rest(self):
        return jnp.zeros_like(self.mu)


class Pitchfork(rnnjax.AbstractCircuit):
    r"""The normal form of the supercritical pitchfork.

    $\dot x = \mu x - x^3 + u$
    """

    mu: Any = parameter(0.25, "1/ms")

    def __call__(self, state, input):
        return self.mu * state - state**3 + input

    def rest(self):
        return 0.1 * jnp.ones_like(self.mu)


class StuartLandau(rnnjax.AbstractCircuit):
    r"""The normal form of the Hopf bifurcation, at $\mu = 0$ with cubic coefficient -1.

    $\dot z = (\mu + i \omega) z - |z|^2 z + u$: a cycle of radius $\sqrt\mu$, period
    $2 \pi / \omega$.
    """

    mu: Any = parameter(0.25, "1/ms")
    omega: Any = parameter(0.5, "rad/ms", positive=True)

    def __call__(self, state, input):
        x, y = state
        shrink = self.mu - (x**2 + y**2)
        return jnp.stack([shrink * x - self.omega * y, self.omega * x + shrink * y]) + input

    def rest(self):
        return jnp.asarray([0.1, 0.0], jnp.result_type(self.mu))


class ExtendedLorenz84(rnnjax.AbstractCircuit):
    r"""The general circulation of the atmosphere, with the temperature of the sea.

    $\dot x = -y^2 - z^2 - \alpha x + \alpha f - \gamma u^2$, $\dot y = x y - \beta x z - y + g$,
    $\dot z = \beta x y + x z - z$, $\dot u = -\delta u + \gamma u x + t$. Every number $x$ belongs
    to one equilibrium of one $f$.

    References:
        Kuznetsov, Meijer, Govaerts and Sautois (2008), Physica D 237:3061-3068.
    """

    f: Any = parameter(3.0, "1")
    t: Any = parameter(0.04, "1")
    alpha: Any = parameter(0.25, "1")
    beta: Any = parameter(1.0, "1")
    gamma: Any = parameter(0.987, "1")
    delta: Any = parameter(1.04, "1")
    g: Any = parameter(0.25, "1")

    def __call__(self, state, input):
        x, y, z, u = state
        slopes = (
            -(y**2) - z**2 - self.alpha * (x - self.f) - self.gamma * u**2,
            x * y - self.beta * x * z - y + self.g,
            self.beta * x * y + x * z - z,
            -self.delta * u + self.gamma * u * x + self.t,
        )
        return jnp.stack(slopes) + input

    def rest(self):
        return jnp.asarray([1.1, 0.0, 0.2, -0.6], jnp.result_type(self.f))


class TorBPC1(rnnjax.AbstractCircuit):
    r"""An electronic oscillator with an imperfection $\epsilon$.

    $r \dot x = -(\beta + \nu) x + \beta y - a_3 x^3 + b_3 (y - x)^3$,
    $\dot y = \beta x - (\beta + \gamma) y - z - b_3 (y - x)^3$, $\dot z = y + \epsilon$

    References:
        Freire, Rodriguez-Luis, Gamero and Ponce (1993), Physica D 62:230-253; the run `torBPC1`
        of MatCont.
    """

    nu: Any = parameter(-0.9, "1")
    beta: Any = parameter(0.5, "1")
    gamma: Any = parameter(-0.6, "1")
    r: Any = parameter(0.6, "1")
    a_3: Any = parameter(0.32858, "1")
    b_3: Any = parameter(0.93358, "1")
    epsilon: Any = parameter(0.001, "1")

    def __call__(self, state, input):
        x, y, z = state
        between = self.beta * (y - x) + self.b_3 * (y - x) ** 3
        slopes = (between - self.nu * x - self.a_3 * x**3) / self.r, -between - self.gamma * y - z
        return jnp.stack([*slopes, y + self.epsilon]) + input

    def rest(self):
        return jnp.zeros(3, jnp.result_type(self.nu))


class COOxidation(rnnjax.AbstractCircuit):
    r"""Carbon monoxide and oxygen on platinum, with $z = 1 - x - y - s$ free sites.

    $\dot x = 2 q_1 z^2 - 2 q_5 x^2 - q_3 x y$, $\dot y = q_2 z - q_6 y - q_3 x y$,
    $\dot s = q_4 (z - k s)$

    References:
        Bykov, Yablonskii and Kim (1978), Doklady AN SSSR 242:637-639; Khibnik, Kuznetsov, Levitin
        and Nikolaev (1993), Physica D 62:360-371.
    """

    q_2: Any = parameter(1.0, "1")
    k: Any = parameter(0.4, "1")
    q_1: Any = parameter(2.5, "1")
    q_3: Any = parameter(10.0, "1")
    q_4: Any = parameter(0.0675, "1")
    q_5: Any = parameter(1.0, "1")
    q_6: Any = parameter(0.1, "1")

    def __call__(self, state, input):
        x, y, s = state
        z = 1 - x - y - s
        slopes = (
            2 * self.q_1 * z**2 - 2 * self.q_5 * x**2 - self.q_3 * x * y,
            self.q_2 * z - self.q_6 * y - self.q_3 * x * y,
            self.q_4 * (z - self.k * s),
        )
        return jnp.stack(slopes) + input

    def rest(self):
        return jnp.asarray([0.1, 0.2, 0.5], jnp.result_type(self.k))


class ThreeTanhUnits(rnnjax.AbstractCircuit):
    r"""Three coupled units: $\dot x = -x + g W \tanh x + (1, 0.3, -0.2) d$, W in the code.

    Made for this project, to have a network whose bifurcations are known to many digits.
    """

    g: Any = parameter(0.0, "1")
    drive: Any = parameter(0.1, "1")

    def __call__(self, state, input):
        weights = jnp.asarray([[0.9, -1.2, 0.4], [1.2, 0.7, -0.5], [-0.6, 0.8, 1.1]], state.dtype)
        rates = self.g * (weights * jnp.tanh(state)).sum(1)
        return -state + rates + jnp.asarray([1.0, 0.3, -0.2], state.dtype) * self.drive + input

    def rest(self):
        return jnp.zeros(3, jnp.result_type(self.g))


class FastMorrisLecar(rnnjax.AbstractCircuit):
    r"""The fast part of a bursting cell, current and potentials without units.

    $\dot v = y - \frac12 (v + \frac12) - 2 w (v + 0.7)
    - \frac12 (1 + \tanh \frac{v + 0.01}{0.15}) (v - 1)$,
    $\dot w = 1.15\, \big(\frac12 (1 + \tanh \frac{v - z}{0.145}) - w\big) \cosh \frac{v - 0.1}{0.29}$.
    Every number $v$ belongs to one equilibrium of one $y$.

    References:
        MatCont manual, the example of the fast Morris-Lecar equations.
    """

    y: Any = parameter(0.0, "1")
    z: Any = parameter(0.1, "1")

    def __call__(self, state, input):
        v, w = state
        m = (1 + jnp.tanh((v + 0.01) / 0.15)) / 2
        opened = (1 + jnp.tanh((v - self.z) / 0.145)) / 2
        slopes = (
            self.y - (v + 0.5) / 2 - 2 * w * (v + 0.7) - m * (v - 1),
            1.15 * (opened - w) * jnp.cosh((v - 0.1) / 0.29),
        )
        return jnp.stack(slopes) + input

    def rest(self):
        return jnp.asarray([-0.4, 0.0], jnp.result_type(self.y))


class AdaptiveControl(rnnjax.AbstractCircuit):
    r"""A feedback system: $\dddot x = -\alpha \ddot x - \beta \dot x - x + x^2$.

    Its equilibria are 0 and 1 whatever the parameters. That at 0 has a Hopf point at
    $\alpha \beta = 1$, $\omega^2 = \beta$; where $\beta < 0$ a neutral saddle instead.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, example 5.4.
    """

    alpha: Any = parameter(1.5, "1")
    beta: Any = parameter(1.0, "1")

    def __call__(self, state, input):
        x, y, z = state
        return jnp.stack([y, z, -self.alpha * z - self.beta * y - x + x**2]) + input

    def rest(self):
        return jnp.zeros(3, jnp.result_type(self.alpha))


@dataclasses.dataclass(frozen=True)
class Oracle:
    """A circuit and what is known of it.

    Attributes:
        circuit: without input.
        name: of the parameter that the derivatives are taken by.
        solution: `(parameter, t) -> state` from `start`.
        sensitivity: its derivative by the parameter.
        start: the state at time 0.
        equilibria: `parameter -> (equilibria, variables)`, all of them.
        equilibrium_slopes: their derivatives by the parameter.
        leading: `parameter -> ` leading eigenvalue per ms at each equilibrium.
        kinds: of the equilibria, in their order.
    """

    circuit: Any
    name: str
    solution: Callable[[float, Any], np.ndarray]
    sensitivity: Callable[[float, Any], np.ndarray]
    start: np.ndarray
    equilibria: Callable[[float], np.ndarray]
    equilibrium_slopes: Callable[[float], np.ndarray]
    leading: Callable[[float], np.ndarray]
    kinds: tuple[str, ...]

    @property
    def value(self) -> float:
        """The parameter's value."""
        return float(getattr(self.circuit, self.name))

    def at(self, value: Any) -> Any:
        """The circuit with another value of the parameter; it may be traced."""
        return dataclasses.replace(self.circuit, **{self.name: value})


def _columns(*values):
    return np.stack([np.asarray(v, float) for v in values], -1)


def _decay():
    return Oracle(
        circuit=Decay(),
        name="tau",
        solution=lambda tau, t: np.exp(-t / tau),
        sensitivity=lambda tau, t: t / tau**2 * np.exp(-t / tau),
        start=np.array(1.0),
        equilibria=lambda tau: np.array([0.0]),
        equilibrium_slopes=lambda tau: np.array([0.0]),
        leading=lambda tau: np.array([-1 / tau]),
        kinds=("STABLE_NODE",),
    )


def _oscillator():
    s, w = 0.05, 0.3

    def solution(omega, t):
        return np.exp(-s * t)[..., None] * _columns(np.cos(omega * t), np.sin(omega * t))

    def sensitivity(omega, t):
        return (t * np.exp(-s * t))[..., None] * _columns(-np.sin(omega * t), np.cos(omega * t))

    return Oracle(
        circuit=Oscillator(s, w),
        name="omega",
        solution=solution,
        sensitivity=sensitivity,
        start=np.array([1.0, 0.0]),
        equilibria=lambda omega: np.zeros((1, 2)),
        equilibrium_slopes=lambda omega: np.zeros((1, 2)),
        leading=lambda omega: np.array([-s + 1j * omega]),
        kinds=("STABLE_FOCUS",),
    )


def _saddle_node():
    def solution(mu, t):
        return np.sqrt(mu) * np.tanh(np.sqrt(mu) * t)

    def sensitivity(mu, t):
        root = np.sqrt(mu)
        return np.tanh(root * t) / (2 * root) + t / (2 * np.cosh(root * t) ** 2)

    return Oracle(
        circuit=SaddleNode(),
        name="mu",
        solution=solution,
        sensitivity=sensitivity,
        start=np.array(0.0),
        equilibria=lambda mu: np.array([-np.sqrt(mu), np.sqrt(mu)]),
        equilibrium_slopes=lambda mu: np.array([-0.5, 0.5]) / np.sqrt(mu),
        leading=lambda mu: np.array([2.0, -2.0]) * np.sqrt(mu),
        kinds=("UNSTABLE_NODE", "STABLE_NODE"),
    )


def _radius(r0, mu, t):
    """Radius of the pitchfork and of Stuart-Landau from r0, and its derivative by mu."""
    grown = np.exp(2 * mu * t)
    bottom = mu + r0**2 * (grown - 1)
    square = mu * r0**2 * grown / bottom
    slope = square * (1 / mu + 2 * t - (1 + 2 * t * r0**2 * grown) / bottom)
    return np.sqrt(square), slope / (2 * np.sqrt(square))


def _pitchfork():
    return Oracle(
        circuit=Pitchfork(),
        name="mu",
        solution=lambda mu, t: _radius(0.1, mu, t)[0],
        sensitivity=lambda mu, t: _radius(0.1, mu, t)[1],
        start=np.array(0.1),
        equilibria=lambda mu: np.array([-np.sqrt(mu), 0.0, np.sqrt(mu)]),
        equilibrium_slopes=lambda mu: np.array([-0.5, 0.0, 0.5]) / np.sqrt(mu),
        leading=lambda mu: np.array([-2 * mu, mu, -2 * mu]),
        kinds=("STABLE_NODE", "UNSTABLE_NODE", "STABLE_NODE"),
    )


def _stuart_landau():
    w = 0.5

    def turn(t):
        return _columns(np.cos(w * t), np.sin(w * t))

    return Oracle(
        circuit=StuartLandau(0.25, w),
        name="mu",
        solution=lambda mu, t: _radius(0.1, mu, t)[0][..., None] * turn(t),
        sensitivity=lambda mu, t: _radius(0.1, mu, t)[1][..., None] * turn(t),
        start=np.array([0.1, 0.0]),
        equilibria=lambda mu: np.zeros((1, 2)),
        equilibrium_slopes=lambda mu: np.zeros((1, 2)),
        leading=lambda mu: np.array([mu + 1j * w]),
        kinds=("UNSTABLE_FOCUS",),
    )


ORACLES = {
    "decay": _decay(),
    "oscillator": _oscillator(),
    "saddle node": _saddle_node(),
    "pitchfork": _pitchfork(),
    "Stuart-Landau": _stuart_landau(),
}


def central_difference(function: Callable[[Any], Any], at: Any, by: float = 1e-5) -> np.ndarray:
    """The derivative of `function` by one number, with the error of fourth order in `by`."""
    at = np.asarray(at, np.float64)
    f = [np.asarray(function(at + k * by), np.float64) for k in (-2, -1, 1, 2)]
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * by)


def relative(found: Any, expected: Any) -> float:
    """The largest difference, relative to the largest expected value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    return float(np.max(np.abs(found - expected)) / max(1e-300, np.max(np.abs(expected))))
