"""What does the gradient of a loss over time cost with respect to all weights, and in memory?"""

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {"units": 256, "batch": 64, "steps": 1000, "step": 0.1, "compared": 100}
SMALL = {"units": 64, "steps": 200}


def first(state):
    """The unit that is trained."""
    return state[0]


def gradient(spec):
    """`jax.grad` through `rnnjax.simulate`."""
    import rnnjax

    if not spec.get("gpu"):
        rnnjax.tune_cpu()
    import diffrax
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks._networks import network
    from rnnjax.circuits import CurrentNetwork
    from rnnjax.connectivity import Dense

    weights, starts = network(spec)
    circuit = CurrentNetwork(Dense(weights))
    adjoint = getattr(rnnjax, spec["adjoint"])()

    def run(steps):
        times = spec["step"] * np.arange(steps + 1)
        target = np.sin(0.05 * np.arange(1, steps + 1)).astype(np.float32)

        def loss(weights):
            made = eqx.tree_at(lambda c: c.connectivity.weights, circuit, weights)
            states = rnnjax.simulate(
                made, times, start=starts, step=spec["step"], solver=diffrax.Euler(),
                adjoint=adjoint, observe=first,
            ).states  # fmt: skip
            return ((states[:, 1:] - target) ** 2).mean()

        return jax.jit(jax.grad(loss))

    outcome = [float(x) for x in run(spec["compared"])(jnp.asarray(weights))[0, :8]]
    compiled = run(spec["steps"])

    def call():
        jax.block_until_ready(compiled(jnp.asarray(weights)))
        return outcome

    return call


def diffrax_adjoint(spec):
    """diffrax with its default adjoint, the batch inside the state."""
    import diffrax
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks._networks import network

    weights, starts = (jnp.asarray(x) for x in network(spec))

    def run(steps):
        times = jnp.asarray(spec["step"] * np.arange(1, steps + 1), jnp.float32)
        target = np.sin(0.05 * np.arange(1, steps + 1)).astype(np.float32)

        def loss(weights):
            states = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, x, w: jnp.tanh(x) @ w.T - x), diffrax.Euler(), 0.0,
                times[-1], None, starts, args=weights, max_steps=steps + 1,
                stepsize_controller=diffrax.StepTo(jnp.concatenate([jnp.zeros(1), times])),
                saveat=diffrax.SaveAt(steps=True, fn=lambda t, x, w: x[:, 0]),
            ).ys[:steps]  # fmt: skip
            return ((states - target[:, None]) ** 2).mean()

        return jax.jit(jax.grad(loss))

    outcome = [float(x) for x in run(spec["compared"])(weights)[0, :8]]
    compiled = run(spec["steps"])

    def call():
        jax.block_until_ready(compiled(weights))
        return outcome

    return call


HERE = "gradient.py"
LONG = {"steps": 4000}
WORKLOAD = Workload(
    name="gradient",
    question="dL/dM of 256 tanh units, a batch of 64, 1000 Euler steps, float32",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax BlockedAdjoint", HERE, "gradient", spec={"adjoint": "BlockedAdjoint"}),
        Tool("rnnjax StoreAll", HERE, "gradient", spec={"adjoint": "StoreAll"}),
        Tool("rnnjax Checkpoint", HERE, "gradient", spec={"adjoint": "Checkpoint"}),
        Tool("torch eager", "peers/torch.py", "gradient", "torch"),
        Tool("diffrax RecursiveCheckpoint", HERE, "diffrax_adjoint"),
        Tool("rnnjax Checkpoint, 4000 steps", HERE, "gradient",
             spec={"adjoint": "Checkpoint"} | LONG),
        Tool("torch eager, 4000 steps", "peers/torch.py", "gradient", "torch", LONG),
    ),
    bars=(
        Bar("rnnjax BlockedAdjoint", "torch eager", "faster", 4),
        Bar("rnnjax BlockedAdjoint", "diffrax RecursiveCheckpoint", "faster", 2),
        Bar("rnnjax Checkpoint, 4000 steps", "torch eager, 4000 steps", "slower", 0.125, "peak_mb"),
    ),
    tolerance=1e-3,
    repeats=7,  # its times vary most
)  # fmt: skip
