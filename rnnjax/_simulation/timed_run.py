"""What is asked of a run whose solver chooses its steps."""

from collections.abc import Callable
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
from jaxtyping import Shaped

from rnnjax._engine.driven import DrivenBy
from rnnjax._engine.step_control import Tolerances
from rnnjax._numerics.digits import Digits, beyond
from rnnjax._types import Array, Arrays, Float, State
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Solver


class TimedRun(eqx.Module):
    """A run that is wanted at certain times; of a batch the lanes are in front.

    Attributes:
        circuit: `circuit(state, input) -> derivative` per ms.
        input: the input.
        start: the first state.
        begin: when the run begins, ms.
        times: when states are wanted, ms since then, of two parts; the first is 0.
        tolerances: of a step.
        noise: the diffusion, diagonal and Ito.
        key: for the noise; of a batch one per lane.
    """

    circuit: Callable[..., State]
    input: DrivenBy
    start: State
    begin: Digits
    times: Digits
    tolerances: Tolerances
    noise: AbstractNoise | None = None
    key: Shaped[Array, "..."] | None = None

    def gap(self) -> Float[Array, ""]:
        """The longest time (ms) between two of the times."""
        return self.gaps().max()

    def gaps(self) -> Float[Array, " gap"]:
        """How long (ms) it is from each time to the next."""
        one, other = (jax.tree.map(lambda x, s=s: x[s], self.times) for s in (_LATER, _EARLIER))
        return beyond(one, other)


_LATER, _EARLIER = slice(1, None), slice(None, -1)


class Choice(NamedTuple):
    """What is fixed when such a run compiles.

    Attributes:
        solver: a diffrax solver.
        max_steps: the most it may take.
        adjoint: diffrax's; None for its usual one.
        dense: whether the dense output is kept.
        lanes: the number of lanes of a batch; None for a run alone.
        observe: what is returned of each state; None for all of it.
    """

    solver: Solver
    max_steps: int
    adjoint: diffrax.AbstractAdjoint | None
    dense: bool
    lanes: int | None
    observe: Callable[[State], Arrays] | None
