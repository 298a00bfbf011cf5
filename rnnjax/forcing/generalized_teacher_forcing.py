"""Generalized teacher forcing: the state is mixed with what the targets mean."""

from rnnjax._parameter import parameter
from rnnjax._types import Scalar, State
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.forcing._base import AbstractTeacher, Inverse, Moment, check_share, toward


class GeneralizedTeacherForcing(AbstractTeacher):
    r"""The state is mixed with the least state that would give the target.

    $\tilde h_t = (1 - \alpha)\, h^-_t + \alpha\, W^+ (y^*_t - b)$ where all outputs are asked for, else
    $\tilde h_t = h^-_t$

    Each forced step multiplies gradients by $1 - \alpha$, so that with
    $\alpha \ge 1 - 1 / \|J\|$ at every step they do not explode; it also shrinks what the readout
    can't see.
    $W^+$ and $b$ are taken as given by the gradient.

    Args:
        alpha: in `[0, 1]`, of each step, to be seen beside the leak of a step; 1 replaces the
            state, see `TeacherForcing`.
        ridge: of the pseudo-inverse.

    Raises:
        ValueError: for `alpha` outside `[0, 1]`; in a fit, for a readout that is not affine in the
            state or has no inverse.

    References:
        Hess, Monfared, Brenner and Durstewitz (2023), Generalized teacher forcing for learning
        chaotic dynamics, ICML. (The code published with error forcing leaves out $b$.)
    """

    alpha: Scalar = parameter(0.1, "1", doc="share of what the targets mean")
    ridge: Scalar = parameter(1e-7, "1", positive=True, doc="keeps the inverse finite")

    def __check_init__(self) -> None:
        """Refuse what is no share."""
        self._check_alpha()

    def _check_alpha(self) -> None:
        check_share(
            self.alpha, "GeneralizedTeacherForcing.alpha", "the state is mixed from two states"
        )

    def check(self, network: TaskNetwork) -> None:
        """Refuse what is no share, and a readout that bends, reads rates, or has no inverse."""
        self._check_alpha()
        super().check(network)

    def __call__(self, tools: Inverse, moment: Moment) -> State:
        """The state from which the next step starts."""
        return toward(moment, tools, self.alpha)
