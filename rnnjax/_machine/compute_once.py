"""Numbers that are to be computed once, however many others are made of them.

XLA for CPUs computes an intermediate result again in every kernel that uses it, unless it is
expensive: a quotient, a root, an exponential. Each variable of a circuit has a kernel of its own, so
that the stages of a Runge-Kutta step, which all variables use, would be computed once per variable,
and the slopes in them once more each. A quotient by one is the same number, and is computed once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax

from rnnjax._machine.programs import ends_expensively

_FEWEST_STAGES = 3  # variables from which on it pays to keep the stages of quotients as well


def kept(tree: Any, like: Any) -> Any:
    """The same numbers, computed once.

    Args:
        tree: arrays.
        like: any finite number of their dtype; best one that does not change while stepping.
    """
    one = lax.stop_gradient(1 + 0 * like)  # not simplified, since 0 times infinity is no 0
    return jax.tree.map(lambda x: x / one, tree)


class Keeping(NamedTuple):
    """What of a Runge-Kutta step is computed once.

    Attributes:
        like: see `kept`.
        stages: whether the states at the stages are.
        slopes: whether the slope of each variable is, in the order of the leaves.
    """

    like: Any
    stages: bool
    slopes: tuple[bool, ...]

    def stage(self, state: Any) -> Any:
        """The state at a stage."""
        return kept(state, self.like) if self.stages else state

    def slope(self, slope: Any) -> Any:
        """The slope there."""
        leaves, structure = jax.tree.flatten(slope)
        pairs = zip(leaves, self.slopes, strict=True)
        return structure.unflatten([kept(x, self.like) if keep else x for x, keep in pairs])


def what_to_keep(field: Callable[[Any, Any], Any], t: Any, state: Any, like: Any) -> Keeping | None:
    """What to keep of the steps of `field(t, state)`: nothing for one variable, or off a CPU.

    Slopes that end with an expensive operation, such as a quotient by a time constant, are computed
    once as they are.
    """
    count = len(jax.tree.leaves(state))
    if count < 2 or jax.default_backend() != "cpu":
        return None
    jaxpr = jax.make_jaxpr(field)(t, state).jaxpr
    slopes = tuple(not ends_expensively(jaxpr, x) for x in jaxpr.outvars)
    if count < _FEWEST_STAGES and not any(slopes):
        return None
    return Keeping(like, True, slopes)
