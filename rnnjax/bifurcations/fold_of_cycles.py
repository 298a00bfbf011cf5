"""The fold of cycles: two periodic orbits, one of them unstable, meet and vanish."""

from rnnjax._types import Array
from rnnjax.bifurcations._cycle import AbstractOfCycles, CyclePlace


class FoldOfCycles(AbstractOfCycles):
    r"""A multiplier passes through 1: a branch of periodic orbits turns.

    Also called limit point of cycles or saddle-node of periodic orbits. The test is what the
    parameter changes along the branch.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 5.3.
    """

    label = "LPC"
    kinds = ("fold of cycles",)

    def test(self, place: CyclePlace) -> Array:
        """How the parameter changes along the branch."""
        return place.turn
