"""numba: one scalar loop per point, points over the cores."""

import importlib.metadata

import numba
import numpy as np

from benchmarks._points import checked, grid


def versions():
    """That of the peer."""
    return {"numba": importlib.metadata.version("numba")}


@numba.njit(fastmath=True, inline="always")
def slope(e, i, rate, weight):
    """The vector field."""
    zero, ten, tenth = np.float32(0), np.float32(10), np.float32(0.1)
    return (max(weight * e - i + ten, zero) - e) * tenth, (max(e - ten, zero) - i) * rate


@numba.njit(parallel=True, fastmath=True)
def solve(tau, weight, steps, h, out):
    """RK4, with the extremes over the second half."""
    two, half, sixth = np.float32(2), h / np.float32(2), h / np.float32(6)
    for p in numba.prange(tau.size):
        rate, w = np.float32(1) / tau[p], weight[p]
        e, i = np.float32(50), np.float32(20)
        high, low = np.float32(-1e30), np.float32(1e30)
        for n in range(steps):
            a, b = slope(e, i, rate, w)
            c, d = slope(e + half * a, i + half * b, rate, w)
            f, g = slope(e + half * c, i + half * d, rate, w)
            k, m = slope(e + h * f, i + h * g, rate, w)
            e += sixth * (a + two * (c + f) + k)
            i += sixth * (b + two * (d + g) + m)
            if n >= steps // 2:
                high, low = max(high, e), min(low, e)
        out[0, p], out[1, p], out[2, p] = e, i, high - low


def sweep(spec):
    """An even share of the points."""
    tau, weight = (x.astype(np.float32) for x in grid(spec["share"], spec["points"]))
    out = np.empty((3, tau.size), np.float32)

    def call():
        solve(tau, weight, spec["steps"], np.float32(spec["step"]), out)
        return checked(out[0], out[1])

    return call
