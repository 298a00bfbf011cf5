"""BrainPy: its `odeint` in `vmap` and `scan`, the fastest way it was found to run a sweep."""

import importlib.metadata

import brainpy
import jax
import jax.numpy as jnp

from benchmarks._points import checked, grid


def versions():
    """That of the peer."""
    return {"brainpy": importlib.metadata.version("brainpy")}


def sweep(spec):
    """An even share of the points."""
    tau, weight = (jnp.asarray(x, jnp.float32) for x in grid(spec["share"], spec["points"]))

    def rate_e(e, t, i, weight):
        return (jnp.maximum(weight * e - i + 10, 0) - e) / 10.0

    def rate_i(i, t, e, tau):
        return (jnp.maximum(e - 10, 0) - i) / tau

    step = brainpy.odeint(brainpy.JointEq(rate_e, rate_i), method="rk4", dt=spec["step"])

    @jax.jit
    @jax.vmap
    def solve(tau, weight):
        def one(carry, n):
            e, i, high, low = carry
            e, i = step(e, i, 0.0, weight=weight, tau=tau)
            return (e, i, jnp.maximum(high, e), jnp.minimum(low, e)), None

        start = tuple(jnp.float32(x) for x in (50, 20, -1e30, 1e30))
        return jax.lax.scan(one, start, None, length=spec["steps"])[0]

    def call():
        e, i, _, _ = jax.block_until_ready(solve(tau, weight))
        return checked(e, i)

    return call
