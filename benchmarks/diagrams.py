"""How fast is a bifurcation diagram with all its points, and how fast are thousands of them?"""

import numpy as np

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {"diagrams": 4096, "bounds": [-30.0, 250.0]}
SMALL = {"diagrams": 64}
COMPARED = 4


def conductances(spec):
    """Calcium conductances, mS/cm2, of the Morris-Lecar neurons; a share of them evenly."""
    every = spec["diagrams"] // spec.get("share", spec["diagrams"])
    return np.linspace(3.9, 4.1, spec["diagrams"])[::every]


def chosen(spec):
    """Which of them are compared: the same neurons, whatever the share."""
    count = spec.get("share", spec["diagrams"])
    return np.arange(COMPARED) * (count // COMPARED)


def current(circuit):
    """The current into the cell."""
    return circuit.current


def one(spec):
    """Through `rnnjax.continue_equilibria`."""
    import rnnjax
    from rnnjax.circuits import MorrisLecar

    circuit = MorrisLecar.snic(current=spec["bounds"][0])

    def call():
        branch = rnnjax.continue_equilibria(circuit, current, bounds=tuple(spec["bounds"]))
        return sorted(float(b.parameter) for b in branch.bifurcations)

    return call


def many(spec):
    """The same verb under `jax.vmap`."""
    import jax

    import rnnjax

    jax.config.update("jax_enable_x64", True)
    import equinox as eqx

    from rnnjax.circuits import MorrisLecar

    circuit = MorrisLecar.snic(current=spec["bounds"][0])
    values = conductances(spec)

    @jax.jit
    @jax.vmap
    def follow(g_ca):
        other = eqx.tree_at(lambda c: c.g_ca, circuit, g_ca)
        branch = rnnjax.continue_equilibria(
            other, current, bounds=tuple(spec["bounds"]), max_points=512, max_bifurcations=4
        )
        return branch.special.parameter

    def call():
        found = np.asarray(follow(values))
        return np.sort(found[chosen(spec)], axis=1)[:, :3].ravel().tolist()

    return call


def swept(spec):
    """Through `rnnjax.sweep`, as a user would: in chunks, to a labelled dataset."""
    import rnnjax
    from rnnjax.circuits import MorrisLecar

    circuit = MorrisLecar.snic(current=spec["bounds"][0])
    over = [rnnjax.axis(lambda c: c.g_ca, conductances(spec))]

    def rest(c):
        return rnnjax.continue_equilibria(
            c, current, bounds=tuple(spec["bounds"]), max_points=512, max_bifurcations=4
        )

    def call():
        data = rnnjax.sweep(circuit, {"rest": rest}, over, dtype="float64", progress=False)
        return np.sort(data.rest_at.values[chosen(spec)], axis=1)[:, :3].ravel().tolist()

    return call


HERE, PEER = "diagrams.py", "peers/jaxcont.py"
WORKLOAD = Workload(
    name="diagrams",
    question="bifurcation diagrams of Morris-Lecar neurons with all folds and Hopf points, float64",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax, 4096 diagrams", HERE, "many"),
        Tool("rnnjax.sweep, 4096 diagrams", HERE, "swept"),
        Tool("JaxCont, 4096 diagrams", PEER, "many", "jaxcont", {"share": 4}, 1 / 1024),
        Tool("rnnjax, one diagram", HERE, "one", compare=False),
        Tool("JaxCont, one diagram", PEER, "one", "jaxcont", compare=False),
    ),
    bars=(
        Bar("rnnjax, 4096 diagrams", "JaxCont, 4096 diagrams", "faster", 20),
        Bar("rnnjax, one diagram", "JaxCont, one diagram", "faster", 20),
    ),
    tolerance=1e-5,
    limits=(("rnnjax, one diagram", "seconds", 0.1),),
)  # fmt: skip
