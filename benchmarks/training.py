"""What does a whole step of training cost: forward through time, the gradient, Adam's update?"""

import time

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {
    "units": 256, "batch": 64, "steps": 1000, "inputs": 3, "leak": 0.1, "rate": 1e-3,
    "compared": 100, "updates": 1,
}  # fmt: skip
SMALL = {"units": 64, "steps": 200}
COMPARED = 3  # updates; the first of Adam only knows the signs of the gradient


def trials(spec, steps):
    """Noisy inputs `(batch, steps, inputs)`, targets and mask `(batch, steps, 1)`, float32."""
    import numpy as np

    draw = np.random.default_rng(1)
    held = draw.standard_normal((spec["batch"], -(-steps // 10), spec["inputs"]))
    inputs = np.repeat(held, 10, 1)[:, :steps]
    time, phase = np.arange(1, steps + 1), draw.uniform(0, 2 * np.pi, (spec["batch"], 1))
    targets = np.sin(0.05 * time + phase)[..., None]
    mask = np.broadcast_to((time > steps // 4)[:, None], targets.shape)
    return [x.astype(np.float32) for x in (inputs, targets, mask)]


def parameters(spec, seed=0):
    """What is trained, the weights, bias, readout and its bias; and the input weights; float32."""
    import numpy as np

    n, draw = spec["units"], np.random.default_rng(seed).standard_normal
    found = (
        1.2 * draw((n, n)) / np.sqrt(n), 0.1 * draw(n), draw((1, n)) / np.sqrt(n), np.zeros(1),
        draw((n, spec["inputs"])),
    )  # fmt: skip
    return [x.astype(np.float32) for x in found]


def told(before, after, losses, spec):
    """The outcome: the losses, and by how many learning rates some of the weights moved."""
    moves = [(b - a).ravel()[:4] / spec["rate"] for a, b in zip(before, after, strict=True)]
    return [*(float(x) for x in losses), *(float(x) for move in moves for x in move)]


def trained(circuit):
    """All but the input weights."""
    network, readout = circuit.circuit, circuit.readout
    return network.connectivity.weights, network.bias, readout.weights, readout.bias


def given_trials(inputs, targets, mask, step):
    """A task with the same trials in every step, as the peers have them, instead of drawn ones."""
    import jax

    from rnnjax.tasks import FromTrials

    @jax.custom_batching.custom_vmap
    def drawn(trials, key):
        return jax.tree.map(lambda x: x[0], trials)

    @drawn.def_vmap
    def _(count, batched, trials, keys):
        return trials, jax.tree.map(lambda _: True, trials)

    class Given(FromTrials):
        """As many trials as are asked for at once: all of them, in their order."""

        def sample(self, key):
            return drawn(self.trials, key)

    return Given(inputs, targets, mask, step=step)


def fitting(spec, steps):
    """`rnnjax.fit` of so many updates, as a function; of many fits with `seeds`."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from rnnjax import LinearEncoder, OnTask, StateReadout, TaskNetwork, fit
    from rnnjax.circuits import CurrentNetwork
    from rnnjax.connectivity import Dense

    seeds = spec.get("seeds")
    numbers = [parameters(spec, seed) for seed in range(seeds or 1)]
    arrays = (jnp.asarray(np.stack(x) if seeds else x[0]) for x in zip(*numbers, strict=True))

    def made(weights, bias, readout, readout_bias, encoder):
        circuit = CurrentNetwork(Dense(weights), bias=bias, tau=1.0)
        return TaskNetwork(circuit, LinearEncoder(encoder), StateReadout(readout, readout_bias))

    network = eqx.filter_vmap(made)(*arrays) if seeds else made(*arrays)
    if seeds:  # every array has the axis of the seeds
        network = eqx.tree_at(lambda n: n.circuit.tau, network, np.ones(seeds, np.float32))
    key = jax.random.split(jax.random.key(0), seeds) if seeds else jax.random.key(0)
    task = given_trials(*trials(spec, steps), step=spec["leak"])
    objective, optimizer = OnTask(task, batch=spec["batch"]), optax.adam(spec["rate"])

    def fitted(updates):
        return fit(
            network, trained, objective, optimizer=optimizer, steps=updates, key=key,
            dtype="float32", progress=False,
        )  # fmt: skip

    return fitted


def training(spec):
    """What so many updates more cost in `rnnjax.fit`: what it does but once is in both fits."""
    import rnnjax

    if not spec.get("gpu"):
        rnnjax.tune_cpu()
    found = fitting(spec, spec["compared"])(COMPARED)
    found = found[0] if spec.get("seeds") else found
    outcome = told(parameters(spec)[:-1], trained(found.circuit), found.losses[:COMPARED], spec)
    fitted = fitting(spec, spec["steps"])

    def timed(updates):
        wall, cpu = time.perf_counter(), time.process_time()
        fitted(updates)
        return time.perf_counter() - wall, time.process_time() - cpu

    def call():
        seconds = cpu_seconds = 0.0
        for _ in range(spec.get("one_by_one", 1)):
            few, more = timed(1), timed(1 + spec["updates"])
            seconds, cpu_seconds = seconds + more[0] - few[0], cpu_seconds + more[1] - few[1]
        call.noted = {"seconds": seconds, "cpu_seconds": cpu_seconds}
        return outcome

    return call


def diffrax_adjoint(spec):
    """diffrax with its default adjoint, the batch inside the state, and optax."""
    import diffrax
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    *first, encoder = (jnp.asarray(x) for x in parameters(spec))
    optimizer = optax.adam(spec["rate"])

    def run(steps):
        inputs, targets, mask = (jnp.asarray(x) for x in trials(spec, steps))
        times = jnp.asarray(spec["leak"] * np.arange(1, steps + 1), jnp.float32)
        drives = jnp.moveaxis(inputs, 0, 1)

        def field(t, x, given):
            weights, bias, _, _ = given
            held = drives[jnp.floor(t / spec["leak"] + 0.5).astype(int)]
            return jnp.tanh(x) @ weights.T + bias + held @ encoder.T - x

        def loss(given):
            states = diffrax.diffeqsolve(
                diffrax.ODETerm(field), diffrax.Euler(), 0.0, times[-1], None,
                jnp.zeros((spec["batch"], spec["units"])), args=given, max_steps=steps + 1,
                stepsize_controller=diffrax.StepTo(jnp.concatenate([jnp.zeros(1), times])),
                saveat=diffrax.SaveAt(steps=True, fn=lambda t, x, w: x @ w[2].T + w[3]),
            ).ys[:steps]  # fmt: skip
            errors = mask * (jnp.moveaxis(states, 0, 1) - targets) ** 2
            return (errors.sum((1, 2)) / mask.sum((1, 2))).mean()

        @jax.jit
        def step(given, memory):
            value, gradient = jax.value_and_grad(loss)(given)
            updates, memory = optimizer.update(gradient, memory, given)
            return value, optax.apply_updates(given, updates), memory

        def steps_of(updates):
            given, memory, losses = first, optimizer.init(first), []
            for _ in range(updates):
                value, given, memory = step(given, memory)
                losses.append(value)
            return jax.block_until_ready(given), losses

        return steps_of

    given, losses = run(spec["compared"])(COMPARED)
    outcome = told(*([np.asarray(x) for x in s] for s in (first, given)), losses, spec)
    compiled = run(spec["steps"])

    def call():
        compiled(spec["updates"])
        return outcome

    return call


HERE = "training.py"
WORKLOAD = Workload(
    name="training",
    question="a training step of 256 tanh units, a batch of 64, 1000 Euler steps, Adam, float32",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax fit", HERE, "training"),
        Tool("torch eager", "peers/torch.py", "training", "torch"),
        Tool("diffrax RecursiveCheckpoint", HERE, "diffrax_adjoint"),
    ),
    bars=(
        Bar("rnnjax fit", "torch eager", "faster", 4),
        Bar("rnnjax fit", "diffrax RecursiveCheckpoint", "faster", 2),
    ),
    tolerance=1e-3,
    repeats=7,  # its times vary most
)  # fmt: skip
