"""What a network practices, and how: what passes through trials are told."""

from typing import Protocol, runtime_checkable

from rnnjax._engine.fixed_steps import Solver
from rnnjax._training.losses import Loss
from rnnjax._types import Scalar
from rnnjax.credit._base import AbstractCredit
from rnnjax.forcing._base import AbstractForcing
from rnnjax.noise._base import AbstractNoise
from rnnjax.tasks._base import AbstractTask


@runtime_checkable
class Practice(Protocol):
    """The parts of an `OnTask`, under the names that they have there."""

    @property
    def task(self) -> AbstractTask:
        """What is to be done."""
        ...

    @property
    def forcing(self) -> AbstractForcing:
        """What training does to the state."""
        ...

    @property
    def credit(self) -> AbstractCredit:
        """How the gradient is obtained."""
        ...

    @property
    def loss(self) -> Loss:
        """Of the outputs, targets and mask of one trial."""
        ...

    @property
    def batch(self) -> int:
        """Trials in a step of training."""
        ...

    @property
    def validation(self) -> int:
        """Trials in a validation."""
        ...

    @property
    def activity(self) -> Scalar | None:
        """What the mean square of the state costs."""
        ...

    @property
    def noise(self) -> AbstractNoise | None:
        """What shakes the state."""
        ...

    @property
    def held_out(self) -> AbstractTask | None:
        """The task of validations, where it is another."""
        ...

    @property
    def solver(self) -> Solver:
        """What takes a step of the network."""
        ...


def tasks_of(practice: Practice) -> list[AbstractTask]:
    """The task of training, and that of validations where it is another."""
    held_out = practice.held_out
    return [practice.task] if held_out is None else [practice.task, held_out]
