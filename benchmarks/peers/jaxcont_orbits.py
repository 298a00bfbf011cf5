"""JaxCont: periodic orbits by collocation on a fixed mesh with dense matrices, from a run to the fold."""

import importlib.metadata

import jax
import jax.numpy as jnp
import jaxcont
import numpy as np
from jaxcont.core.collocation import Collocation
from jaxcont.problems.periodic import periodic_orbit_problem

jax.config.update("jax_enable_x64", True)
START, PERIOD = 180.0, 60.0


def versions():
    """That of the peer."""
    return {"jaxcont": importlib.metadata.version("jaxcont")}


def field(u, p, args=None):
    """Morris and Lecar (1981), the set of Rinzel and Ermentrout with Hopf points."""
    v, w = u
    m_inf = (1 + jnp.tanh((v + 1.2) / 18)) / 2
    w_inf = (1 + jnp.tanh((v - 2) / 30)) / 2
    slope = (p - 4.4 * m_inf * (v - 120) - 8 * w * (v + 84) - 2 * (v + 60)) / 20
    return jnp.stack([slope, 0.04 * jnp.cosh((v - 2) / 60) * (w_inf - w)])


def cycle():
    """One period of a run, by a classical Runge-Kutta method."""
    step = 0.02

    @jax.jit
    def run(u):
        def one(u, _):
            a = field(u, START)
            b = field(u + step / 2 * a, START)
            c = field(u + step / 2 * b, START)
            d = field(u + step * c, START)
            return (after := u + step / 6 * (a + 2 * b + 2 * c + d)), after

        return jax.lax.scan(one, u, None, 100_000)[1]

    v, w = np.asarray(run(jnp.array([-40.0, 0.1]))).T
    middle = (v[-20000:].max() + v[-20000:].min()) / 2
    up = np.flatnonzero((v[:-1] < middle) & (v[1:] >= middle))
    a, b = up[-2], up[-1]
    times = step * np.arange(b - a + 1)
    return np.stack([v[a : b + 1], w[a : b + 1]], 1), times


def one(spec):
    """From a stable orbit through the fold of cycles."""
    states, times = cycle()

    def call():
        mesh = Collocation(ntst=spec["intervals"], ncol=4)
        problem = periodic_orbit_problem(
            field, jnp.asarray(states), jnp.asarray(times), float(times[-1]), START, mesh
        )
        result = jaxcont.continuation(
            problem, p_span=(START, 218.0),
            settings=jaxcont.ContinuationPar(ds=0.5, ds_max=8.0, max_steps=60, newton_tol=1e-8),
            events=[jaxcont.Fold()],
        )  # fmt: skip
        return [min((float(e.p) for e in result.events), key=lambda p: abs(p - 216.899801389431))]

    return call
