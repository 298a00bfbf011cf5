"""The random networks of the network, gradient and large workloads."""

import numpy as np


def network(spec):
    """Weights `(n, n)` with gain 1.5, and starts `(batch, n)`, float32."""
    n, draw = spec["units"], np.random.default_rng(0).standard_normal
    weights = 1.5 * draw((n, n)) / np.sqrt(n)
    return weights.astype(np.float32), draw((spec["batch"], n)).astype(np.float32)


def resting(spec):
    """Weights `(n, n)`, bias and time constant of a tanh network that rests."""
    n, draw = spec["units"], np.random.default_rng(0).standard_normal
    return spec["gain"] * draw((n, n)) / np.sqrt(n), spec["bias"] * draw(n), spec["tau"]


def leading_of(x, values, spec):
    """A few numbers of an equilibrium, and its leading eigenvalues, the largest real part first."""
    values = np.asarray(values)[np.argsort(-np.real(values), kind="stable")][: spec["count"]]
    return [*x[:4], *np.real(values), *abs(np.imag(values))]
