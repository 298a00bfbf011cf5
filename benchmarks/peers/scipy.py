"""scipy: solve_ivp, one point after the other, rtol = atol = 1e-6."""

import importlib.metadata

from scipy.integrate import solve_ivp

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
