"""scipy: solve_ivp, one point after the other, rtol = atol = 1e-6; rest of a large network."""

import importlib.metadata

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import newton_krylov
from scipy.sparse.linalg import LinearOperator, eigs

from benchmarks._networks import leading_of, resting
from benchmarks._points import checked, grid


def versions():
    """That of the peer."""
    return {"scipy": importlib.metadata.version("scipy")}


def field(t, y, tau, weight):
    """The vector field."""
    return [(max(weight * y[0] - y[1] + 10, 0) - y[0]) / 10, (max(y[0] - 10, 0) - y[1]) / tau]


def sweep(spec):
    """A few points."""
    points = list(zip(*grid(spec["share"], spec["points"]), strict=True))
    end = spec["steps"] * spec["step"]

    def call():
        ends = [
            solve_ivp(field, (0, end), [50.0, 20.0], rtol=1e-6, atol=1e-6, args=p).y[:, -1]
            for p in points
        ]
        return checked([e for e, _ in ends], [i for _, i in ends])

    return call


def rest_dense(spec):
    """Newton's method by LU, and all eigenvalues of the Jacobian."""
    weights, bias, tau = resting(spec)

    def jacobian(x):
        return (weights * (1 - np.tanh(x) ** 2) - np.eye(len(x))) / tau

    def call():
        x = np.zeros(len(bias))
        for _ in range(50):
            value = (weights @ np.tanh(x) + bias - x) / tau
            if abs(value).max() < 1e-14:
                break
            x = x - np.linalg.solve(jacobian(x), value)
        return leading_of(x, np.linalg.eigvals(jacobian(x)), spec)

    return call


def rest_krylov(spec):
    """newton_krylov, and ARPACK for the leading eigenvalues."""
    weights, bias, tau = resting(spec)

    def call():
        x = newton_krylov(
            lambda x: (weights @ np.tanh(x) + bias - x) / tau, np.zeros(len(bias)),
            method="gmres", f_tol=1e-14,
        )  # fmt: skip
        slope = 1 - np.tanh(x) ** 2
        product = LinearOperator(
            weights.shape, lambda v: (weights @ (slope * v.ravel()) - v.ravel()) / tau, dtype=float
        )
        values = eigs(product, k=spec["count"], which="LR", return_eigenvectors=False)
        return leading_of(x, values, spec)

    return call
