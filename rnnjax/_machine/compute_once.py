"""Numbers that are to be computed once, however many others are made of them.

XLA for CPUs computes an intermediate result again in every kernel that uses it, unless it is
expensive: a quotient, a root, an exponential. Each variable of a circuit has a kernel of its own, so
that the stages of a Runge-Kutta step, which all variables use, would be computed once per variable,
and the slopes in them once more each. A quotient by one is the same number, and is computed once.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
from jax import lax

from rnnjax._machine.programs import ends_expensively, traced
from rnnjax._types import PerUnit, Scalar, State

TreeT = TypeVar("TreeT")
TimeT = TypeVar("TimeT")  # a number of ms, or a moment

_FEWEST_STAGES = 3  # variables from which on it pays to keep the stages of quotients as well


def computed_once(tree: TreeT, like: PerUnit) -> TreeT:
    """The same numbers, computed once.

    Args:
        tree: arrays.
        like: any finite number of their dtype; best one that does not change while stepping, and one
            that each lane has of its own (a quotient by one number for all becomes a product).
    """
    one = lax.stop_gradient(1 + 0 * like)  # not simplified, since 0 times infinity is no 0
    return jax.tree.map(lambda x: x / one, tree)


class Keeping(NamedTuple):
    """What of a Runge-Kutta step is computed once.

    Attributes:
        like: see `computed_once`.
        stages: whether the states at the stages are.
        slopes: whether the slope of each variable is, in the order of the leaves.
    """

    like: Scalar
    stages: bool
    slopes: tuple[bool, ...]

    def stage(self, state: State) -> State:
        """The state at a stage."""
        return computed_once(state, self.like) if self.stages else state

    def slope(self, slope: State) -> State:
        """The slope there."""
        leaves, structure = jax.tree.flatten(slope)
        return structure.unflatten(
            computed_once(x, self.like) if once else x
            for x, once in zip(leaves, self.slopes, strict=True)
        )


def what_to_keep(
    field: Callable[[TimeT, State], State], t: TimeT, state: State, like: Scalar
) -> Keeping | None:
    """What to keep of the steps of `field(t, state)`: nothing for one variable, or off a CPU.

    Slopes that end with an expensive operation, such as a quotient by a time constant, are computed
    once as they are.
    """
    count = len(jax.tree.leaves(state))
    if count < 2 or jax.default_backend() != "cpu":
        return None
    program = traced(field, t, state)
    slopes = tuple(not ends_expensively(program, x) for x in program.outvars)
    if count < _FEWEST_STAGES and not any(slopes):
        return None
    return Keeping(like, True, slopes)
