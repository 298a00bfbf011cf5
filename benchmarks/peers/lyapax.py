"""lyapax: RK4 and QR, the field written for this network alone."""

import importlib.metadata

import jax
import jax.numpy as jnp
from lyapax.core import lyapunov_spectrum, ode_problem

from benchmarks.lyapunov import network

jax.config.update("jax_enable_x64", True)


def versions():
    """That of the peer."""
    return {"lyapax": importlib.metadata.version("lyapax")}


def run(spec, every):
    """The leading exponents."""
    weights, start = (jnp.asarray(x) for x in network(spec))
    problem = ode_problem(lambda x: -x + weights @ jnp.tanh(x), start, dt=spec["step"])

    def call():
        found = lyapunov_spectrum(
            problem, n_steps=int(spec["duration"] / spec["step"]), k=spec["count"],
            renorm_every=every, t_transient=spec["duration"] / 10,
        )  # fmt: skip
        return [float(found.exponents[0])]

    return call


def seldom(spec):
    """As seldom as rnnjax does it."""
    return run(spec, 10)


def often(spec):
    """Its default."""
    return run(spec, 1)
