"""The diagonal approximation of real-time recurrent learning (SnAp-1)."""

from rnnjax._numerics.memory import AbstractMemory
from rnnjax._types import Arrays
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._local import AbstractLocal, local


class DiagonalRecurrent(AbstractLocal):
    r"""Only each unit's way to itself is kept of the Jacobian.

    $P_t = \mathrm{diag}\left(\frac{\partial h_t}{\partial h_{t-1}}\right) P_{t-1}
    + \frac{\partial h_t}{\partial \theta}$

    Leak and self-connection carry the gradient, other connections do not; errors come back by the
    readout's own weights. It is the local rule of the published code of error forcing, there under
    the name of RFLO; unlike Murray's it keeps $W_{ii}$. Computed backward, which is the same to
    rounding.
    In a circuit of your own only what comes by `connectivity(rates)` is cut; paths beside it are kept.

    Args:
        memory: what is kept of the steps, as for `BackpropagationThroughTime`.

    Raises:
        ValueError: for a circuit without a connectivity.

    References:
        Menick et al. (2021), A practical sparse approximation for real time recurrent learning,
        ICLR (SnAp-1); Sagtekin, Bredenberg and Savin (2025), published code.
    """

    exact = False
    memory: AbstractMemory | None = None

    def seen(self, network: TaskNetwork, memory: Arrays) -> TaskNetwork:
        """Connections to other units are cut."""
        return local(network, keep_self=True)
