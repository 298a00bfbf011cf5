"""numba: one scalar loop per point, points over the cores."""

import importlib.metadata
import math

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


@numba.njit(fastmath=True, inline="always")
def gates(v, m, h, n, current, g_na):
    """The vector field of a Hodgkin-Huxley neuron."""
    a_m = 0.1 * (v + 40) / (1 - math.exp(-(v + 40) / 10))
    b_m = 4 * math.exp(-(v + 65) / 18)
    a_h, b_h = 0.07 * math.exp(-(v + 65) / 20), 1 / (1 + math.exp(-(v + 35) / 10))
    a_n = 0.01 * (v + 55) / (1 - math.exp(-(v + 55) / 10))
    b_n = 0.125 * math.exp(-(v + 65) / 80)
    ionic = g_na * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
    return (
        current - ionic,
        a_m * (1 - m) - b_m * m,
        a_h * (1 - h) - b_h * h,
        a_n * (1 - n) - b_n * n,
    )


@numba.njit(parallel=True, fastmath=True)
def solve_neurons(current, conductance, steps, t, start, out):
    """RK4."""
    for p in numba.prange(current.size):
        c, g = current[p], conductance[p]
        v, m, h, n = start
        for _ in range(steps):
            av, am, ah, an = gates(v, m, h, n, c, g)
            x = t / 2
            bv, bm, bh, bn = gates(v + x * av, m + x * am, h + x * ah, n + x * an, c, g)
            cv, cm, ch, cn = gates(v + x * bv, m + x * bm, h + x * bh, n + x * bn, c, g)
            dv, dm, dh, dn = gates(v + t * cv, m + t * cm, h + t * ch, n + t * cn, c, g)
            v += t / 6 * (av + 2 * (bv + cv) + dv)
            m += t / 6 * (am + 2 * (bm + cm) + dm)
            h += t / 6 * (ah + 2 * (bh + ch) + dh)
            n += t / 6 * (an + 2 * (bn + cn) + dn)
        out[p] = v


def neurons(spec):
    """An even share of the neurons, in double precision, that of the constants."""
    from benchmarks.sweep_neuron import START, checked, currents

    current, conductance = currents(spec)
    out = np.empty(current.size)

    def call():
        steps = round(spec["duration"] / spec["step"])
        solve_neurons(current, conductance, steps, spec["step"], START, out)
        return checked(out)

    return call
