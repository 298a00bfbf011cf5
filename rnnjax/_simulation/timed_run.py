"""What is asked of a run whose solver chooses its steps."""

from collections.abc import Callable
from typing import NamedTuple

import diffrax
import equinox as eqx
from jaxtyping import Shaped

from rnnjax._engine.step_control import Tolerances
from rnnjax._types import Array, Arrays, InputLike, State, Vector
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Solver


class TimedRun(eqx.Module):
    """A run that is wanted at certain times; of a batch the lanes are in front.

    Attributes:
        circuit: `circuit(state, input) -> derivative` per ms.
        input: `input(t)`, t in ms.
        start: the first state.
        times: when states are wanted, ms.
        tolerances: of a step.
        noise: the diffusion, diagonal and Ito.
        key: for the noise; of a batch one per lane.
    """

    circuit: Callable[..., State]
    input: InputLike
    start: State
    times: Vector
    tolerances: Tolerances
    noise: AbstractNoise | None = None
    key: Shaped[Array, "..."] | None = None


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
