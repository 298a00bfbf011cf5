"""How fast is the rest of a network of 1000 units, with its leading eigenvalues?"""

import numpy as np

from benchmarks._harness import Bar, Tool, Workload
from benchmarks._networks import leading_of, resting
from benchmarks.sweep_fixed import versions  # noqa: F401

SPEC = {"units": 1000, "gain": 0.8, "bias": 0.3, "tau": 10.0, "count": 5}
SMALL = {"units": 200}


def circuit(spec):
    """The network, through the library."""
    from rnnjax.circuits import CurrentNetwork
    from rnnjax.connectivity import Dense

    weights, bias, tau = resting(spec)
    return CurrentNetwork(Dense(weights), bias=bias, tau=tau)


def by_products(spec):
    """Through `find_equilibria(matrix_free=True)` and `leading_eigenvalues`."""
    import rnnjax

    network = circuit(spec)

    def call():
        x = rnnjax.find_equilibria(network, matrix_free=True)[0]
        found = rnnjax.leading_eigenvalues(network, x, count=spec["count"])
        return leading_of(x, found.values, spec)

    return call


def dense(spec):
    """Through `find_equilibria` and `linearize`, which form the Jacobian."""
    import rnnjax

    network = circuit(spec)
    start = np.zeros(spec["units"])

    def call():
        x = rnnjax.find_equilibria(network, guesses=start)[0]
        return leading_of(x, rnnjax.linearize(network, x).eigenvalues, spec)

    return call


def low_rank(spec):
    """The same products through weights of rank two."""
    import rnnjax
    from rnnjax.circuits import CurrentNetwork
    from rnnjax.connectivity import LowRank

    draw = np.random.default_rng(1).standard_normal
    weights = LowRank(draw((spec["units"], 2)), draw((spec["units"], 2)))
    network = CurrentNetwork(weights, bias=resting(spec)[1], tau=spec["tau"])

    def call():
        x = rnnjax.find_equilibria(network, matrix_free=True)[0]
        found = rnnjax.leading_eigenvalues(network, x, count=spec["count"])
        return leading_of(x, found.values, spec)

    return call


HERE, PEER = "large.py", "peers/scipy.py"
WORKLOAD = Workload(
    name="large",
    question="the rest of 1000 tanh units and its leading eigenvalues, float64",
    spec=SPEC,
    small=SMALL,
    tools=(
        Tool("rnnjax, by products", HERE, "by_products"),
        Tool("rnnjax, by Jacobians", HERE, "dense"),
        Tool("rnnjax, by products, rank two", HERE, "low_rank", compare=False),
        Tool("numpy, LU and eigvals", PEER, "rest_dense", "scipy"),
        Tool("scipy, newton_krylov and ARPACK", PEER, "rest_krylov", "scipy"),
    ),
    bars=(
        Bar("rnnjax, by products", "scipy, newton_krylov and ARPACK", "faster", 1),
    ),
    tolerance=1e-8,
)  # fmt: skip
