"""The random network of the network and gradient workloads."""

import numpy as np


def network(spec):
    """Weights `(n, n)` with gain 1.5, and starts `(batch, n)`, float32."""
    n, draw = spec["units"], np.random.default_rng(0).standard_normal
    weights = 1.5 * draw((n, n)) / np.sqrt(n)
    return weights.astype(np.float32), draw((spec["batch"], n)).astype(np.float32)
