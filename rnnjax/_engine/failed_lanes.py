"""Gradients of lanes of which some failed: what is wrong with one does not reach the others.

The derivative of a run that became infinite is not finite, and nothing times it is NaN: summed over
lanes, it would spoil the gradient of what they share although nobody asks for the lane that failed.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Bool

from rnnjax._numerics.implicit import is_symbolic
from rnnjax._types import Array, Arrays

FAILED = "failed"  # what going back has to know of going forth

Block = Callable[[Arrays, Arrays], tuple[Arrays, Arrays]]
"""(smooth, others) -> (smooth, others): what has derivatives, and what has none."""


def apart_from_failures(
    block: Block, failed: Callable[[Arrays], Bool[Array, ""]],
    instead: Callable[[Bool[Array, ""], Arrays, Arrays], Arrays],
    refused: Callable[[Bool[Array, ""], Arrays], Arrays],
) -> Block:  # fmt: skip
    """`block`, whose derivatives where it failed are those of another start, and then only none.

    Args:
        block: steps of one lane.
        failed: of what it gave, whether it failed.
        instead: `(failed, smooth, others)`: what is given to it in place of the smooth part where it
            failed, and from which it does not fail.
        refused: `(failed, derivatives)`: the derivatives, NaN where it failed and they are no zero.
    """

    @jax.custom_jvp
    def guarded(smooth: Arrays, others: Arrays) -> tuple[Arrays, Arrays]:
        return block(smooth, others)

    def rule(
        primals: tuple[Arrays, Arrays], tangents: tuple[Any, Any]
    ) -> tuple[tuple[Arrays, Arrays], tuple[Any, Any]]:
        smooth, others = primals
        found, rest = block(smooth, others)
        bad = checkpoint_name(failed(lax.stop_gradient(found)), FAILED)
        leaves, structure = jax.tree.flatten(instead(bad, smooth, others))
        moves = jax.tree.leaves(tangents[0], is_leaf=is_symbolic)
        moved = [k for k, x in enumerate(moves) if not is_symbolic(x)]

        def of_moved(parts: list[Array]) -> Arrays:
            whole = list(leaves)
            for k, part in zip(moved, parts, strict=True):
                whole[k] = part
            return block(structure.unflatten(whole), others)[0]

        at, along = [leaves[k] for k in moved], [moves[k] for k in moved]
        change = jax.jvp(of_moved, (at,), (along,))[1]
        return (found, rest), (refused(bad, change), jax.tree.map(_nothing, rest))

    guarded.defjvp(rule, symbolic_zeros=True)
    return guarded


def _nothing(x: Array) -> Any:
    """The tangent of what has none."""
    return np.zeros(x.shape, jax.dtypes.float0)
