"""Teacher forcing: the state is replaced by what the targets mean."""

import equinox as eqx
import numpy as np

from rnnjax._numerics.trees import flatten
from rnnjax._parameter import counted, parameter
from rnnjax._types import Scalar, State
from rnnjax.forcing._base import AbstractTeacher, Inverse, Moment, toward


class TeacherForcing(AbstractTeacher):
    r"""Every $\tau$ steps the state is replaced by the least state that would give the target.

    $\tilde h_t = W^+ (y^*_t - b)$ at $t = 1, 1 + \tau, 1 + 2 \tau, \dots$ where all outputs are asked
    for, else $\tilde h_t = h^-_t$

    No gradient passes a step at which the whole state is replaced. Where the readout sees only part
    of the state, `keep_unseen` replaces that part alone, and gradients pass by the rest:
    $\tilde h_t = h^-_t + W^+ (y^*_t - b - W h^-_t)$.

    Args:
        every: $\tau$, steps; 1 is hard teacher forcing. Of recordings of chaos, about the time in
            which two of its trajectories part, $\ln 2 / \lambda_{\max}$.
        keep_unseen: leave alone what the readout can't see.
        ridge: of the pseudo-inverse.

    Raises:
        ValueError: for `every` that is no positive number of steps; in a fit, for a readout that is
            not affine in the state or has no inverse.

    References:
        Williams and Zipser (1989), Neural Computation 1:270-280; sparse: Mikhaeil, Monfared and
        Durstewitz (2022), On the difficulty of learning chaotic dynamics with RNNs, NeurIPS.
    """

    every: int = eqx.field(static=True, default=1)
    keep_unseen: bool = eqx.field(static=True, default=False)
    ridge: Scalar = parameter(1e-7, "1", positive=True, doc="keeps the inverse finite")

    def __check_init__(self) -> None:
        """Refuse what is no number of steps."""
        counted(self.every, "TeacherForcing.every")

    @property
    def mixes_units(self) -> bool:
        """Where it spares what is not read out, which is a mixture of units."""
        return self.keep_unseen

    def acting(self, steps: int) -> np.ndarray | None:
        """The first step, and every so many-th after it."""
        return None if self.every == 1 else (np.arange(steps) % self.every == 0).astype(float)

    def __call__(self, tools: Inverse, moment: Moment) -> State:
        """The state from which the next step starts."""
        if not self.keep_unseen:
            return toward(moment, tools, 1.0)
        vector, unravel = flatten(moment.state)
        missing = tools.lead(moment.target - tools.seen(vector))
        return unravel(vector + moment.acts * moment.asked * missing)
