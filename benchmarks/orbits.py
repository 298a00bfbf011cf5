"""How fast is a branch of periodic orbits with its bifurcations, and how fast are hundreds of them?"""

import numpy as np

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {"branches": 256, "bounds": [0.0, 300.0], "intervals": 32}
SMALL = {"branches": 8}
FOLD = 216.899801389431  # that of cycles which is compared


def current(circuit):
    """The current into the cell."""
    return circuit.current


def followed(circuit, spec, **options):
    """Equilibria, and the orbits between the two Hopf points, with their folds."""
    import rnnjax

    bounds = tuple(spec["bounds"])
    hopf = rnnjax.continue_equilibria(circuit, current, bounds=bounds, max_points=512).first("H")
    return rnnjax.continue_orbits(
        circuit, current, hopf, bounds, intervals=spec["intervals"], max_points=256,
        max_bifurcations=2, **options,
    )  # fmt: skip


def one(spec):
    """About 120 orbits, through `rnnjax.continue_orbits`."""
    from rnnjax.circuits import MorrisLecar

    def call():
        found = [float(b.parameter) for b in followed(MorrisLecar.hopf(), spec).bifurcations]
        return [min(found, key=lambda p: abs(p - FOLD))]

    return call


def many(spec):
    """The same under `jax.vmap`, for cells of other calcium conductances."""
    import equinox as eqx
    import jax

    from rnnjax.circuits import MorrisLecar

    jax.config.update("jax_enable_x64", True)
    values = np.linspace(4.4, 4.45, spec["branches"])

    @jax.jit
    @jax.vmap
    def follow(g_ca):
        circuit = eqx.tree_at(lambda c: c.g_ca, MorrisLecar.hopf(), g_ca)
        return followed(circuit, spec).special.parameter

    def call():
        found = np.asarray(follow(values))[0]
        return [float(found[np.nanargmin(abs(found - FOLD))])]

    return call


HERE = "orbits.py"
WORKLOAD = Workload(
    name="orbits",
    question="periodic orbits of Morris-Lecar neurons between two Hopf points, with folds, float64",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax, one branch", HERE, "one"),
        Tool("rnnjax, 256 branches", HERE, "many"),
        Tool("JaxCont, a part of one branch", "peers/jaxcont.py", "orbits", "jaxcont"),
    ),
    bars=(Bar("rnnjax, one branch", "JaxCont, a part of one branch", "faster", 20),),
    tolerance=1e-5,
    # 120 orbits take AUTO-07p 0.1 to 0.2 s by its own account; it does not batch
    limits=(("rnnjax, one branch", "seconds", 2.0), ("rnnjax, 256 branches", "seconds", 25.6)),
)  # fmt: skip
