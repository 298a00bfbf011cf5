"""The points of the sweeps, and which of their results are compared."""

import math

import numpy as np

CHECKED = 9


def grid(count, of=None):
    """tau_i (ms) and m_ee: the points that are compared, then a square grid.

    With `of`, `count` points spread evenly over the grid of so many.
    """
    total = of or count
    side = math.ceil(math.sqrt(total))
    k = np.arange(total)
    if of:
        k = k[np.linspace(0, total - 1, count).astype(int)]
    tau = 20 + 60.0 * (k % side) / (side - 1)
    weight = 1.0 + 0.4 * (k // side) / (side - 1)
    tau[:CHECKED] = np.repeat([25.0, 45.0, 70.0], 3)
    weight[:CHECKED] = np.tile([1.05, 1.2, 1.35], 3)
    return tau, weight


def checked(e, i):
    """The final rates at the points that are compared."""
    return [float(x) for values in (e, i) for x in np.asarray(values)[:CHECKED]]
