"""The leading eigenvalues of an equilibrium."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex

from rnnjax._numerics.trees import flatten
from rnnjax._parameter import parameter
from rnnjax._types import Array, Expected, Float, InputLike, State, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.targets._base import AbstractAtEquilibrium, of_network, spectrum


def _completed(values: Expected[Complex[Any, " value"]]) -> Any:
    """Those with the largest real part first, both of each pair."""
    if is_traced(values):
        return values
    values = np.atleast_1d(np.asarray(values, np.complex128))
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"HasEigenvalues.values: expected finite numbers per ms, as -0.05 + 0.25j, got {values}"
        )
    alone = [v for v in values if v.imag and not np.isclose(values, v.conjugate()).any()]
    values = np.concatenate([values, np.conj(alone)])
    return values[np.lexsort((-values.imag, -values.real))]


class HasEigenvalues(AbstractAtEquilibrium):
    r"""The eigenvalues with the largest real parts, at the equilibrium found from a state.

    $L = \frac{\tau^2}{m} \sum_{k=1}^m |\lambda_k - \mu_k|^2$

    Both are ordered by their real parts; where some of those that are asked for have the same, these
    and what stands in their place are ordered by their imaginary parts. $\tau$ is the network's mean
    time constant, 1 ms for other circuits. Where eigenvalues meet, their derivatives need not be
    finite.

    Args:
        values: $\mu_k$ per ms, real or complex; of a complex pair one will do.
        near: the state from which the equilibrium is sought, anew at each step; `rest()` unless
            given. Where none is found, the loss is 1 and what the state drifts.
        input: the input; held at its value at time 0.

    Raises:
        ValueError: for values that are none, more of them than the state has variables, or a state
            that does not fit.
    """

    values: Complex[Any, " value"] = eqx.field(converter=_completed)
    near: State | None = parameter(None, "circuit's", doc="where the search begins")
    input: Expected[InputLike | None] = None

    def fits(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> None:
        """Refuse more values than there are, and a state that does not fit."""
        variables = flatten(circuit.rest())[0].size
        if len(self.values) > variables:
            raise ValueError(
                f"HasEigenvalues.values: expected at most {variables} for "
                f"{type(circuit).__name__}, got {len(self.values)}, pairs counted twice"
            )
        super().fits(circuit, input)

    def at(
        self,
        circuit: AbstractCircuit[Any],
        input: Expected[InputLike | None],
        state: State,
        jacobian: Array,
    ) -> Array:
        """How far the leading eigenvalues are from those asked for."""
        wanted = jnp.asarray(self.values)
        found = _in_groups(spectrum(jacobian)[: len(self.values)], wanted.real)
        real = found.real - wanted.real.astype(jacobian.dtype)
        imaginary = found.imag - wanted.imag.astype(jacobian.dtype)
        return jnp.mean(of_network(circuit)) ** 2 * jnp.mean(real**2 + imaginary**2)


def _in_groups(values: Complex[Array, " value"], wanted: Float[Array, " value"]) -> Any:
    """The values, those that stand where the same real part is asked for by their imaginary parts."""
    new = jnp.concatenate([jnp.zeros(1, jnp.int32), (wanted[1:] != wanted[:-1]).astype(jnp.int32)])
    by_imaginary = jnp.argsort(-values.imag, stable=True)
    groups = jnp.cumsum(new)[by_imaginary]
    return values[by_imaginary[jnp.argsort(groups, stable=True)]]
