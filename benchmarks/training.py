"""What does a whole step of training cost: forward through time, the gradient, Adam's update?"""

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


def course(spec, steps, seeds=None):
    """The steps of `rnnjax.fit`, and the state before the first; of many fits with `seeds`."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from rnnjax import LinearEncoder, OnTask, StateReadout, TaskNetwork
    from rnnjax._precision import cast
    from rnnjax._training.loop import Course
    from rnnjax._training.networks_together import begin_lanes
    from rnnjax._training.step import Recipe, begin_compiled
    from rnnjax._training.trials import pass_through
    from rnnjax._where import choose, free_of
    from rnnjax.circuits import CurrentNetwork
    from rnnjax.connectivity import Dense
    from rnnjax.tasks import FromTrials, Trial

    class Given(OnTask):
        """On the same trials in every step, as the peers have them, instead of drawn ones."""

        def value_and_gradient(self, rebuild, free, key, memory):
            given = Trial(*(jnp.asarray(x, jnp.float32) for x in self.task.trials))
            of_forcing, of_credit = memory
            run = pass_through(self, rebuild(free), given, None, of_forcing)
            return self.credit.value_and_gradient(run, rebuild, free, of_credit, None)

    numbers = [parameters(spec, seed) for seed in range(seeds or 1)]
    weights, bias, readout, readout_bias, encoder = (
        np.stack(x) if seeds else x[0] for x in zip(*numbers, strict=True)
    )

    def made(weights, bias, readout, readout_bias, encoder):
        circuit = CurrentNetwork(Dense(weights), bias=bias, tau=1.0)
        return TaskNetwork(circuit, LinearEncoder(encoder), StateReadout(readout, readout_bias))

    arrays = (jnp.asarray(x) for x in (weights, bias, readout, readout_bias, encoder))
    network = cast(eqx.filter_vmap(made)(*arrays) if seeds else made(*arrays), "float32")
    if seeds:  # every array has the axis of the seeds
        network = eqx.tree_at(lambda n: n.circuit.tau, network, np.ones(seeds, np.float32))
    key = jax.random.split(jax.random.key(0), seeds) if seeds else jax.random.key(0)
    objective = Given(FromTrials(*trials(spec, steps), step=spec["leak"]), batch=spec["batch"])
    chosen = choose(network, trained)
    free = free_of(network, chosen)
    recipe = Recipe(
        chosen, cast(objective, "float32"), optax.adam(spec["rate"]), validate_every=None, stop=None
    )
    start = begin_lanes if seeds else begin_compiled
    taking = Course(network, key, recipe, 10**9, seeds, None, None, float("inf"))
    return taking, start(network, free, key, recipe)


def training(spec):
    """Steps as `rnnjax.fit` takes them: those of its own program."""
    import rnnjax

    if not spec.get("gpu"):
        rnnjax.tune_cpu()
    import jax
    import numpy as np

    seeds = spec.get("seeds")

    def run(taking, state, updates):
        seen = []
        for k in range(updates):
            state, found = taking._advance(state, k)
            seen.append(found.loss)
        return jax.block_until_ready(state), seen

    taking, start = course(spec, spec["compared"], seeds)
    state, losses = run(taking, start, COMPARED)
    found = start.free, state.free, losses
    outcome = told(
        *([np.asarray(x)[0] if seeds else np.asarray(x) for x in s] for s in found), spec
    )
    taking, start = course(spec, spec["steps"], seeds)

    def call():
        for _ in range(spec.get("one_by_one", 1)):
            run(taking, start, spec["updates"])
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
