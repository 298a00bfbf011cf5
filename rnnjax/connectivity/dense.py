"""Every weight free."""

from typing import Any

from rnnjax._parameter import parameter
from rnnjax._types import Matrix
from rnnjax.connectivity._base import AbstractConnectivity, check_square


class Dense(AbstractConnectivity):
    r"""All-to-all weights without a constraint: $M_{ij}$ onto $i$ from $j$.

    The default is the excitatory-inhibitory pair of Dayan and Abbott (2001), section 7.5.

    Args:
        weights: `(units, units)`, `[post, pre]`.

    Raises:
        ValueError: if `weights` is not square or holds a number that is not finite.
    """

    weights: Matrix = parameter([[1.25, -1.0], [1.0, 0.0]], "1", doc="weights [post, pre]")

    def __check_init__(self) -> None:
        """Refuse a matrix that is not square."""
        check_square("Dense", self.weights)

    def matrix(self) -> Any:
        """The weights themselves."""
        return self.weights

    @property
    def units(self) -> int:
        """The number of units."""
        return self.weights.shape[0]  # pyright: ignore
