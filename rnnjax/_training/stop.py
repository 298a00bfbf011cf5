"""When a fit stops by itself."""

import equinox as eqx

from rnnjax._parameter import Parametric, counted, parameter
from rnnjax._types import Scalar


class Stop(Parametric):
    r"""When a fit is done before its last step, by its validations (see `Fit`).

    It stops after $n$ validations in a row below a loss, `Stop(below=0.01, times=10)`, or once so
    many validations in a row have not been better than the best, `Stop(patience=20)`.

    Args:
        below: the loss; none unless given.
        times: $n$.
        patience: validations without a new best; no limit unless given.

    Raises:
        ValueError: if neither is given.
    """

    below: Scalar = parameter(None, "1", doc="loss that is low enough")
    times: int = eqx.field(static=True, default=1)
    patience: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        """Refuse a rule that never stops."""
        if self.below is None and self.patience is None:
            raise ValueError("Stop: expected below= or patience=, got neither: it would never stop")
        counted(self.times, "Stop.times")
        if self.patience is not None:
            counted(self.patience, "Stop.patience")
