"""Real-time recurrent learning: the exact gradient, forward in time."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Int

from rnnjax._numerics.memory import Checkpoint
from rnnjax._parameter import counted
from rnnjax._types import Array, Arrays, Float, Key
from rnnjax.circuits._task_network import TaskNetwork
from rnnjax.credit._base import AbstractCredit, Run


class ForwardSensitivity(AbstractCredit):
    r"""The exact gradient by sensitivities that are carried along with the state (RTRL).

    $P_t = \frac{\partial h_t}{\partial h_{t-1}} P_{t-1} + \frac{\partial h_t}{\partial \theta},
    \qquad \frac{dL}{d\theta} = \sum_t \frac{\partial L}{\partial h_t} P_t
    + \frac{\partial L}{\partial \theta}$

    Of all steps only outputs and their sensitivities are kept, but work grows with the number of
    free numbers: for small circuits. The same gradient as `BackpropagationThroughTime` to rounding.

    Args:
        together: sensitivities that are carried at once; more are faster and need more memory.

    References:
        Williams and Zipser (1989), Neural Computation 1:270-280.
    """

    exact = True
    together: int = eqx.field(static=True, default=128)

    def __check_init__(self) -> None:
        """Refuse what is no number."""
        counted(self.together, "ForwardSensitivity.together")

    def value_and_gradient(
        self, run: Run, rebuild: Callable[[Sequence[Array]], TaskNetwork], free: Sequence[Array],
        memory: Arrays, key: Key | None,
    ) -> tuple[Float[Array, ""], Sequence[Array]]:  # fmt: skip
        """The mean loss and its gradient."""
        flat, unravel = ravel_pytree(free)
        count = min(self.together, flat.size)
        chunks = -(-flat.size // count)

        def loss(flat: Float[Array, " free"]) -> Float[Array, ""]:
            # nothing goes backward, but only this memory reads the outputs within the loop
            return jnp.mean(run(rebuild(unravel(flat)), memory=Checkpoint()).totals)

        def chunk(k: Int[Array, ""]) -> tuple[Array, Array]:
            directions = jax.nn.one_hot(k * count + jnp.arange(count), flat.size, dtype=flat.dtype)
            return jax.vmap(lambda d: jax.jvp(loss, (flat,), (d,)), out_axes=(None, 0))(directions)

        values, slopes = jax.lax.map(chunk, jnp.arange(chunks))
        return values[0], unravel(slopes.reshape(-1)[: flat.size])
