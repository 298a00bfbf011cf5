"""Systems whose Lyapunov exponents have been computed to many digits, or are known in closed form."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import rnnjax
from rnnjax import parameter
from rnnjax.circuits import CurrentNetwork
from rnnjax.connectivity import Dense


class Lorenz63(rnnjax.AbstractCircuit):
    r"""$\dot x = \sigma (y - x),\; \dot y = x (\rho - z) - y,\; \dot z = x y - \beta z$"""

    sigma: Any = parameter(10.0, "1/ms")
    rho: Any = parameter(28.0, "1/ms")
    beta: Any = parameter(8.0 / 3.0, "1/ms")

    def __call__(self, state, input):
        x, y, z = state
        return (
            jnp.stack([self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z]) + input
        )

    def rest(self):
        return jnp.asarray([1.0, 2.0, 20.0], jnp.result_type(self.rho))


class Roessler(rnnjax.AbstractCircuit):
    r"""$\dot x = -y - z,\; \dot y = x + 0.2 y,\; \dot z = 0.2 + z (x - c)$"""

    c: Any = parameter(5.7, "1/ms")

    def __call__(self, state, input):
        x, y, z = state
        return jnp.stack([-y - z, x + 0.2 * y, 0.2 + z * (x - self.c)]) + input

    def rest(self):
        return jnp.asarray([1.0, 1.0, 0.0], jnp.result_type(self.c))


class HyperRoessler(rnnjax.AbstractCircuit):
    r"""$\dot x = -y - z,\; \dot y = x + a y + w,\; \dot z = 3 + x z,\; \dot w = -0.5 z + 0.05 w$"""

    a: Any = parameter(0.25, "1/ms")

    def __call__(self, state, input):
        x, y, z, w = state
        return jnp.stack([-y - z, x + self.a * y + w, 3.0 + x * z, -0.5 * z + 0.05 * w]) + input

    def rest(self):
        return jnp.asarray([-20.0, 0.0, 0.0, 15.0], jnp.result_type(self.a))


class Lorenz96(rnnjax.AbstractCircuit):
    r"""$\dot x_i = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F$, 40 variables on a ring."""

    force: Any = parameter(8.0, "1/ms")

    def __call__(self, state, input):
        ahead, behind, before = (jnp.roll(state, k) for k in (-1, 1, 2))
        return (ahead - before) * behind - state + self.force + input

    def rest(self):
        return self.force + 0.01 * jnp.sin(jnp.arange(40.0, dtype=jnp.result_type(self.force)))


class Logistic(rnnjax.AbstractMap):
    r"""$x' = r x (1 - x)$: at $r = 4$ the exponent is $\log 2$."""

    r: Any = parameter(4.0, "1")

    def __call__(self, state, input):
        return self.r * state * (1 - state) + input

    def rest(self):
        return 0.3 * jnp.ones_like(self.r)


class Henon(rnnjax.AbstractMap):
    r"""$x' = 1 - a x^2 + y,\; y' = b x$: the determinant is $-b$ everywhere."""

    a: Any = parameter(1.4, "1")
    b: Any = parameter(0.3, "1")

    def __call__(self, state, input):
        x, y = state
        return jnp.stack([1 - self.a * x**2 + y, self.b * x]) + input

    def rest(self):
        return jnp.asarray([0.1, 0.1], jnp.result_type(self.a))


def random_network(units: int, gain: float, seed: int) -> tuple[CurrentNetwork, np.ndarray]:
    """$\\dot x = -x + J \\tanh x$ with J of one seed, and where it starts."""
    random = np.random.RandomState(seed)
    weights = random.randn(units, units) * gain / np.sqrt(units)
    return CurrentNetwork(Dense(weights)), random.randn(units)
