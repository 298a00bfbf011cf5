"""JaxCont: pseudo-arclength with fold and Hopf events, one diagram after the other.

Its events do not work under `jax.vmap`. The longest step is the largest power of two with which it
was seen to find all three points of the neurons that are compared.
"""

import importlib.metadata

import jax
import jax.numpy as jnp
import jaxcont

from benchmarks.diagrams import chosen, conductances

jax.config.update("jax_enable_x64", True)
STEP = 2.0


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
