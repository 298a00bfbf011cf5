"""When and where a run with fixed steps failed."""

import jax
import numpy as np
from jaxtyping import Int

from rnnjax._engine.fixed_steps import FixedOutcome, FixedRun, integrate
from rnnjax._machine.kept import program
from rnnjax._numerics.memory import BLOCK
from rnnjax._numerics.trees import flatten
from rnnjax._types import Array, State


def first_failure(run: FixedRun, outcome: FixedOutcome) -> tuple[float, int]:
    """When (ms) a run was last finite, and which variable of the flattened state left first.

    The block that failed is run again, step by step; on the host, after a failure.
    """
    saved = _replay(run, outcome.last_well, outcome.steps_well)
    rows = np.concatenate(
        [np.reshape(np.asarray(x), (BLOCK, -1)) for x in jax.tree.leaves(saved)], axis=1
    )
    bad = ~np.isfinite(rows)
    row = int(np.argmax(bad.any(1)))
    before = flatten(outcome.last_well)[0] if row == 0 else rows[row - 1]
    variable = int(np.argmax(np.where(bad[row], np.abs(before), -1.0)))
    return float(run.time_after(int(outcome.steps_well) + row)), variable


@program
def _replay(run: FixedRun, start: State, first: Int[Array, ""]) -> State:
    return integrate(run, start, BLOCK, save_every=1, first=first).saved
