"""How fast are the leading Lyapunov exponents of a chaotic network?"""

import numpy as np

from benchmarks._harness import Bar, Tool, Workload
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {"units": 64, "gain": 4.0, "seed": 3, "count": 4, "duration": 5000.0, "step": 0.05}
SMALL = {"duration": 1000.0}


def network(spec):
    """Weights and start of Sompolinsky, Crisanti and Sommers (1988), of one seed."""
    random = np.random.RandomState(spec["seed"])
    n = spec["units"]
    return random.randn(n, n) * spec["gain"] / np.sqrt(n), random.randn(n)


def ours(spec):
    """Through `rnnjax.lyapunov_exponents`."""
    import rnnjax
    from rnnjax.circuits import CurrentNetwork
    from rnnjax.connectivity import Dense
    from rnnjax.solvers import RK4

    weights, start = network(spec)
    circuit, transient = CurrentNetwork(Dense(weights)), spec["duration"] / 10

    def call():
        found = rnnjax.lyapunov_exponents(
            circuit, spec["duration"] + transient, step=spec["step"], count=spec["count"],
            start=start, solver=RK4(), transient=transient,
        )  # fmt: skip
        return [float(found.exponents[0])]

    return call


PEER = "peers/lyapax.py"
WORKLOAD = Workload(
    name="lyapunov",
    question="4 Lyapunov exponents of a network of 64 units, 5000 time constants, float64",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax lyapunov_exponents", "lyapunov.py", "ours"),
        Tool("lyapax, QR every 10 steps", PEER, "seldom", "lyapax"),
        Tool("lyapax, QR every step (its default)", PEER, "often", "lyapax"),
    ),
    bars=(
        Bar("rnnjax lyapunov_exponents", "lyapax, QR every 10 steps", "faster", 2),
        Bar("rnnjax lyapunov_exponents", "lyapax, QR every step (its default)", "faster", 2),
    ),
    tolerance=0.15,  # runs of a chaotic network agree in their statistics only
)
