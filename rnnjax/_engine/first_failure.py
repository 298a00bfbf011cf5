"""When and where a run with fixed steps failed."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from rnnjax._engine.fixed_steps import Run, integrate
from rnnjax._numerics.memory import BLOCK
from rnnjax._numerics.trees import flatten


def first_failure(
    circuit: Any, input: Any, run: Run, *, solver: Any, t0: Any, step: Any, noise: Any, key: Any
) -> tuple[float, int]:
    """When (ms) a run was last finite, and which variable of the flattened state left first.

    The block that failed is run again, step by step; on the host, after a failure.
    """
    saved = _replay(circuit, input, run.last_well, run.steps_well, solver, t0, step, noise, key)
    rows = np.concatenate(
        [np.reshape(np.asarray(x), (BLOCK, -1)) for x in jax.tree.leaves(saved)], axis=1
    )
    bad = ~np.isfinite(rows)
    row = int(np.argmax(bad.any(1)))
    before = flatten(run.last_well)[0] if row == 0 else rows[row - 1]
    variable = int(np.argmax(np.where(bad[row], np.abs(before), -1.0)))
    return float(t0 + (int(run.steps_well) + row) * step), variable


@eqx.filter_jit
def _replay(
    circuit: Any, input: Any, start: Any, first: Any, solver: Any, t0: Any, step: Any, noise: Any,
    key: Any,
) -> Any:  # fmt: skip
    return integrate(
        circuit, input, start, solver=solver, t0=t0, step=step, steps=BLOCK, save_every=1,
        noise=noise, key=key, first=first,
    ).saved  # fmt: skip
