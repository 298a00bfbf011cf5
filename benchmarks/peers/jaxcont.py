"""JaxCont: pseudo-arclength with fold and Hopf events, one diagram after the other.

Its events do not work under `jax.vmap`. The longest step is the largest power of two with which it
was seen to find all three points of the neurons that are compared. Periodic orbits are solved by
collocation on a fixed mesh with dense matrices, here from a run to the fold of cycles.
"""

import importlib.metadata

import jax
import jax.numpy as jnp
import jaxcont
import numpy as np
from jaxcont.core.collocation import Collocation
from jaxcont.problems.periodic import periodic_orbit_problem

from benchmarks.diagrams import chosen, conductances

jax.config.update("jax_enable_x64", True)
STEP = 2.0
START = 180.0  # of the orbits


def versions():
    """That of the peer."""
    return {"jaxcont": importlib.metadata.version("jaxcont")}


def field(u, p, g_ca):
    """Morris and Lecar (1981), the set of Rinzel and Ermentrout with a fold on a cycle."""
    v, w = u
    m_inf = (1 + jnp.tanh((v + 1.2) / 18)) / 2
    w_inf = (1 + jnp.tanh((v - 12) / 17.4)) / 2
    slope = (p - g_ca * m_inf * (v - 120) - 8 * w * (v + 84) - 2 * (v + 60)) / 20
    return jnp.stack([slope, 0.067 * jnp.cosh((v - 12) / 34.8) * (w_inf - w)])


def diagram(g_ca, low, high):
    """The places of all its events."""
    start = jnp.array([-74.6, 5e-5])
    for _ in range(30):
        off = field(start, low, g_ca)
        start = start - jnp.linalg.solve(jax.jacfwd(field)(start, low, g_ca), off)
    result = jaxcont.continuation(
        jaxcont.bif_problem(field, u0=start, p0=low, args=g_ca),
        p_span=(low, high),
        settings=jaxcont.ContinuationPar(ds=0.1, ds_max=STEP, max_steps=4000),
        events=[jaxcont.Fold(), jaxcont.Hopf()],
    )
    return sorted(float(event.p) for event in result.events)


def one(spec):
    """One diagram."""
    return lambda: diagram(4.0, *spec["bounds"])


def many(spec):
    """A few of the diagrams."""
    values = conductances(spec)

    def call():
        found = [diagram(float(g), *spec["bounds"]) for g in values]
        return [x for k in chosen(spec) for x in found[k]]

    return call


def cell(u, p, args=None):
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
            a = cell(u, START)
            b = cell(u + step / 2 * a, START)
            c = cell(u + step / 2 * b, START)
            d = cell(u + step * c, START)
            return (after := u + step / 6 * (a + 2 * b + 2 * c + d)), after

        return jax.lax.scan(one, u, None, 100_000)[1]

    v, w = np.asarray(run(jnp.array([-40.0, 0.1]))).T
    middle = (v[-20000:].max() + v[-20000:].min()) / 2
    up = np.flatnonzero((v[:-1] < middle) & (v[1:] >= middle))
    a, b = up[-2], up[-1]
    times = step * np.arange(b - a + 1)
    return np.stack([v[a : b + 1], w[a : b + 1]], 1), times


def orbits(spec):
    """From a stable orbit through the fold of cycles."""
    states, times = cycle()

    def call():
        mesh = Collocation(ntst=spec["intervals"], ncol=4)
        problem = periodic_orbit_problem(
            cell, jnp.asarray(states), jnp.asarray(times), float(times[-1]), START, mesh
        )
        result = jaxcont.continuation(
            problem, p_span=(START, 218.0),
            settings=jaxcont.ContinuationPar(ds=0.5, ds_max=8.0, max_steps=60, newton_tol=1e-8),
            events=[jaxcont.Fold()],
        )  # fmt: skip
        return [min((float(e.p) for e in result.events), key=lambda p: abs(p - 216.899801389431))]

    return call
