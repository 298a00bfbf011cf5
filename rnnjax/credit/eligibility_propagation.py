"""Eligibility propagation (e-prop)."""

import equinox as eqx
import numpy as np

from rnnjax._numerics.memory import AbstractMemory
from rnnjax._parameter import parameter
from rnnjax._types import Array, Arrays, Float, Key
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._local import AbstractLocal, feedback_weights, local, with_feedback


class EligibilityPropagation(AbstractLocal):
    r"""What each synapse could have changed, times what its unit's error is.

    $\frac{dE}{dW_{ji}} \approx \sum_t L_j(t)\, e_{ji}(t), \qquad
    e_{ji} = \frac{\partial z_j}{\partial h_j}\, \epsilon_{ji}, \qquad
    \epsilon_{ji}(t) = \frac{\partial h_j(t)}{\partial h_j(t-1)}\, \epsilon_{ji}(t-1)
    + \frac{\partial h_j(t)}{\partial W_{ji}}$

    $h_j$ are all variables of unit $j$, $z_j$ is what the readout reads of it, by `RateReadout` its
    rate, by `StateReadout` $h_j$ itself, and $L_j = \sum_k B_{kj}\, \partial E / \partial y_k$ its
    learning signal. (With random feedback to $h_j$ it is RFLO but for the scale of $B$.) With the
    total derivative $dE / dz_j$ for it the sum would be exact. Computed backward, which is the same
    to rounding.
    In a circuit of your own only what comes by `connectivity(rates)` is cut; paths beside it are kept.

    Args:
        symmetric: the learning signal comes by the readout's own weights instead of random ones.
        feedback: $B$, `(outputs, variables read)`; drawn once from $N(0, 1 / N)$ with the fit's key
            unless given.
        memory: what is kept of the steps, as for `BackpropagationThroughTime`.

    Raises:
        ValueError: for a circuit without a connectivity; without a key or weights.

    References:
        Bellec et al. (2020), A solution to the learning dilemma for recurrent networks of spiking
        neurons, Nature Communications 11:3625, equations 1, 4 and 14; scale of $B$ as in the
        authors' code.
    """

    exact = False
    symmetric: bool = eqx.field(static=True, default=False)
    feedback: Float[Array | np.ndarray, "outputs variables"] | None = parameter(
        None, "1", doc="weights from errors to units"
    )
    memory: AbstractMemory | None = None

    def __check_init__(self) -> None:
        """Refuse weights that would not be used."""
        if self.symmetric and self.feedback is not None:
            raise ValueError(
                "EligibilityPropagation: expected symmetric=True or feedback= weights, got both"
            )

    def begin(self, network: TaskNetwork, key: Key | None) -> Arrays:
        """The feedback weights."""
        if self.symmetric:
            return None
        return feedback_weights(
            self.feedback, network, key, type(self).__name__, lambda _, read: read**-0.5
        )

    def seen(self, network: TaskNetwork, memory: Arrays) -> TaskNetwork:
        """All connections are cut, and errors come by the feedback weights, if there are any."""
        network = local(network)
        return network if self.symmetric else with_feedback(network, memory)
