"""What the rules that try and see have in common."""

import equinox as eqx
import jax

from rnnjax._parameter import counted
from rnnjax._types import Array, Key, Shaped
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._base import AbstractCredit
from rnnjax.forcing._base import AbstractForcing


class AbstractPerturbation(AbstractCredit):
    """A rule that changes something a little, and sees what the loss does.

    Attributes:
        samples: how often, of which the mean is taken.
    """

    samples: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        """Refuse what is no number of samples."""
        counted(self.samples, f"{type(self).__name__}.samples")

    def check(self, network: TaskNetwork, forcing: AbstractForcing) -> None:
        """Refuse a forcing whose correction would answer to the perturbation."""
        if forcing.holds_correction:
            raise ValueError(
                f"{type(self).__name__} measures how the loss answers to a perturbation, and so "
                f"would the correction of {type(forcing).__name__}, which a gradient takes as given: "
                "use NoForcing(), or teacher forcing"
            )

    def keys(self, key: Key | None) -> Shaped[Array, "samples ..."]:
        """One key per sample."""
        if key is None:
            raise ValueError(
                f"{type(self).__name__} draws perturbations: give the fit key=, e.g. "
                "jax.random.key(0)"
            )
        return jax.random.split(key, self.samples)
