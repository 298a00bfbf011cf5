"""Random feedback local online learning (RFLO)."""

import numpy as np

from rnnjax._numerics.memory import AbstractMemory
from rnnjax._parameter import parameter
from rnnjax._types import Array, Arrays, Float, Key
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._local import AbstractLocal, feedback_weights, local, with_feedback


class RandomFeedbackLocalOnline(AbstractLocal):
    r"""Eligibility traces that know one synapse, and errors that come back by random weights.

    $\Delta W_{ij} \propto \sum_t [B\, (y^*_t - y_t)]_i\, p_{ij}(t), \qquad
    p_{ij}(t) = (1 - \alpha)\, p_{ij}(t-1) + \alpha\, F'(u_i(t))\, v_j(t-1)$

    $\alpha = dt / \tau$; for a `CurrentNetwork` the trace is that of $F(x_j)$, without $F'(u_i)$.
    Readout weights get their exact gradient. Gradients reach a synapse by the unit it is on alone,
    and leave that unit by its leak only; other parameters, of units and of inputs, learn in the same
    way. It is computed backward, which gives the sum of the traces to rounding, and faster.
    In a circuit of your own only what comes by `connectivity(rates)` is cut; paths beside it are kept.

    Args:
        feedback: $B^\top$, `(outputs, variables read)`; drawn once from $N(0, 1 / n_{out})$ with the
            fit's key unless given.
        memory: what is kept of the steps, as for `BackpropagationThroughTime`.

    Raises:
        ValueError: for a circuit without a connectivity; without a key or weights.

    References:
        Murray (2019), Local online learning in recurrent networks with random feedback, eLife
        8:e43299; as in the author's published example.
    """

    exact = False
    feedback: Float[Array | np.ndarray, "outputs variables"] | None = parameter(
        None, "1", doc="weights from errors to units"
    )
    memory: AbstractMemory | None = None

    def begin(self, network: TaskNetwork, key: Key | None) -> Arrays:
        """The feedback weights."""
        return feedback_weights(
            self.feedback, network, key, type(self).__name__, lambda outputs, _: outputs**-0.5
        )

    def seen(self, network: TaskNetwork, memory: Arrays) -> TaskNetwork:
        """All connections are cut, and errors come by the feedback weights."""
        return with_feedback(local(network), memory)
