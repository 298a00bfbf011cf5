"""How close is a network of 1000 units to the bare matrix products?"""

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {"units": 1000, "batch": 64, "steps": 1000, "step": 0.1, "compared": 50}
SMALL = {"units": 200, "steps": 200}


def network(spec):
    """Through `rnnjax.simulate`, a batch of starts."""
    import rnnjax

    if not spec.get("gpu"):
        rnnjax.tune_cpu()
    import diffrax

    from benchmarks._networks import network as made
    from rnnjax.circuits import CurrentNetwork
    from rnnjax.connectivity import Dense

    weights, starts = made(spec)
    circuit = CurrentNetwork(Dense(weights))

    def run(steps):
        return rnnjax.simulate(
            circuit, [0.0, steps * spec["step"]], start=starts, step=spec["step"],
            solver=diffrax.Euler(), dtype="float32",
        ).final  # fmt: skip

    outcome = [float(x) for x in run(spec["compared"])[0, :8]]

    def call():
        run(spec["steps"])
        return outcome

    return call


def products(spec):
    """The matrix products alone, in the layout that suits XLA best."""
    import jax
    import jax.numpy as jnp

    from benchmarks._networks import network as made

    weights, starts = made(spec)
    weights, rates = jnp.asarray(weights / 40), jnp.asarray(starts.T)

    @jax.jit
    def run(weights, rates):
        return jax.lax.fori_loop(0, spec["steps"], lambda _, r: weights @ r, rates)

    def call():
        run(weights, rates).block_until_ready()
        return []

    return call


def numpy_loop(spec):
    """A loop of numpy."""
    import numpy as np

    from benchmarks._networks import network as made

    weights, starts = made(spec)

    def run(steps):
        x = starts.T.copy()
        for _ in range(steps):
            x += np.float32(spec["step"]) * (weights @ np.tanh(x) - x)
        return x

    outcome = [float(v) for v in run(spec["compared"])[:8, 0]]

    def call():
        run(spec["steps"])
        return outcome

    return call


HERE = "network.py"
WORKLOAD = Workload(
    name="network",
    question="1000 tanh units, a batch of 64, 1000 Euler steps, float32",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax", HERE, "network"),
        Tool("bare products (XLA)", HERE, "products", compare=False),
        Tool("numpy", HERE, "numpy_loop"),
        Tool("torch eager", "peers/torch.py", "network", "torch"),
    ),
    bars=(
        Bar("rnnjax", "bare products (XLA)", "slower", 1.1),
        Bar("rnnjax", "numpy", "faster", 2),
        Bar("rnnjax", "torch eager", "faster", 3),
    ),
    tolerance=1e-3,
)
