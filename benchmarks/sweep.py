"""How much faster is a sweep than diffrax under vmap, for the same circuits, solver and step?

Run: python -m benchmarks.sweep [--points 4096]. Interleaved, medians after warm-up, compile time
apart; the outcomes are compared before the times are.
"""

import argparse
import platform
import statistics
import time

import numpy as np

import rnnjax

rnnjax.tune_cpu()

import diffrax  # noqa: E402
import equinox as eqx  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from rnnjax.circuits import ExcitatoryInhibitory, ExcitatoryInhibitoryState  # noqa: E402
from rnnjax.measures import Final  # noqa: E402

DURATION, STEP = 200.0, 0.1


def ours(points):
    """Final states through `sweep`."""
    over = rnnjax.points(rnnjax.axis(_TAU, points[0]), rnnjax.axis(_WEIGHT, points[1]))
    data = rnnjax.sweep(
        ExcitatoryInhibitory(), {"end": Final()}, over, duration=DURATION, step=STEP,
        solver=diffrax.Tsit5(), progress=False,
    )  # fmt: skip
    return data.end_e.values


def _TAU(circuit):  # noqa: N802
    return circuit.tau_i


def _WEIGHT(circuit):  # noqa: N802
    return circuit.m_ee


@jax.jit
def _diffrax(taus, weights):
    circuit = ExcitatoryInhibitory()
    silent = ExcitatoryInhibitoryState(e=jnp.zeros(()), i=jnp.zeros(()))

    def one(tau, weight):
        own = eqx.tree_at(lambda c: (c.tau_i, c.m_ee), circuit, (tau, weight))
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, c: c(y, silent)), diffrax.Tsit5(), 0.0, DURATION, STEP,
            own.rest(), args=own, stepsize_controller=diffrax.ConstantStepSize(),
            saveat=diffrax.SaveAt(t1=True), max_steps=10_000, throw=False,
        ).ys.e[0]  # fmt: skip

    return jax.vmap(one)(taus, weights)


def theirs(points):
    """Final states by diffrax under vmap."""
    return np.asarray(_diffrax(*(jnp.asarray(p, jnp.float32) for p in points)))


def main():
    """Print seconds and the ratio."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--points", type=int, default=4096)
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    draws = np.random.default_rng(0).uniform(size=(2, given.points))
    points = 20 + 60 * draws[0], 1.0 + 0.4 * draws[1]
    tools = {"rnnjax sweep": ours, "diffrax under vmap": theirs}
    first, outcomes, seconds = {}, {}, {name: [] for name in tools}
    for name, tool in tools.items():
        begun = time.perf_counter()
        outcomes[name] = tool(points)
        first[name] = time.perf_counter() - begun
    a, b = outcomes.values()
    assert np.allclose(a, b, rtol=2e-3, atol=2e-3), f"outcomes differ by {np.abs(a - b).max()}"
    for _ in range(given.repeats):
        for name, tool in tools.items():
            begun = time.perf_counter()
            tool(points)
            seconds[name].append(time.perf_counter() - begun)
    print(f"{given.points} E-I circuits, {DURATION:g} ms, Tsit5, step {STEP:g} ms, float32")
    print(f"{platform.machine()}, {len(jax.devices())} host devices, jax {jax.__version__}")
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    for name in tools:
        print(f"{name:<22}{medians[name]:>8.3f} s  (first call {first[name]:.2f} s)")
    print(f"ratio {medians['diffrax under vmap'] / medians['rnnjax sweep']:.1f}")


if __name__ == "__main__":
    main()
