"""Is it stable? `linearize`."""

import enum
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex

from rnnjax._gate import instant
from rnnjax._machine.parts import compiled
from rnnjax._machine.verb import verb
from rnnjax._numerics.eigenvalues import eigenvalues
from rnnjax._numerics.slots import of_known, slots_of
from rnnjax._numerics.trees import variable_names
from rnnjax._precision import in_float64
from rnnjax._types import Expected, Float, InputLike, Scalar, State, is_traced
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, given_state
from rnnjax.circuits._flat import flat_field

_MARGINAL = 1e-9  # relative real part below which an eigenvalue counts as on the axis


class Stability(enum.IntEnum):
    """What an equilibrium looks like from nearby, by the eigenvalues of the Jacobian."""

    STABLE_NODE = 0
    STABLE_FOCUS = 1
    UNSTABLE_NODE = 2
    UNSTABLE_FOCUS = 3
    SADDLE = 4
    CENTER = 5  # the leading pair is on the imaginary axis
    MARGINAL = 6  # the leading eigenvalue is zero: a line of equilibria, or a bifurcation
    UNDEFINED = 7  # there is no state, or no eigenvalue

    def __str__(self) -> str:
        """In words."""
        return self.name.lower().replace("_", " ")


class Linearization(eqx.Module):
    r"""A circuit seen from nearby: $\dot \delta = J \delta$.

    Attributes:
        state: where it was linearized.
        jacobian: $J_{ij} = \partial \dot x_i / \partial x_j$ per ms, `(n, n)`, by autodiff.
    """

    state: State
    jacobian: Float[Any, "*batch n n"]

    @property
    def variables(self) -> list[str]:
        """The names of the variables, in the order of the Jacobian's rows."""
        return variable_names(self.state)

    @property
    def eigenvalues(self) -> Complex[Any, "*batch n"]:
        """Eigenvalues per ms, the one with the largest real part first."""
        return eigenvalues(self.jacobian)

    @property
    def eigenvectors(self) -> Complex[Any, "n n"]:
        """Right eigenvectors in columns, in the order of the eigenvalues."""
        values, vectors = np.linalg.eig(np.asarray(self.jacobian))
        values = np.asarray(values, complex)
        return vectors[:, np.argsort(-np.real(values), kind="stable")].astype(complex)

    @property
    def left_eigenvectors(self) -> Complex[Any, "n n"]:
        """Left eigenvectors in rows: `left @ eigenvectors` is the identity.

        Raises:
            ValueError: where the eigenvectors do not span the space (a defective Jacobian).
        """
        right = self.eigenvectors
        if np.linalg.cond(right) > 1e12:
            raise ValueError("the eigenvectors do not span the space: the Jacobian is defective")
        return np.linalg.inv(right)

    @property
    def growth_rate(self) -> Any:
        """The largest real part of an eigenvalue, per ms; it can be differentiated."""
        return self.eigenvalues[..., 0].real

    @property
    def time_constant(self) -> Any:
        """The slowest time constant, `-1 / growth_rate`, in ms; negative where it grows."""
        return of_known(lambda rate: -1 / rate, self.growth_rate)

    @property
    def frequency(self) -> Any:
        """The frequency of the leading pair, in Hz; 0 for a real eigenvalue."""
        return of_known(lambda rate: 1000 * abs(rate) / (2 * np.pi), self.eigenvalues[..., 0].imag)

    @property
    def stable(self) -> Any:
        """Whether every perturbation decays."""
        return self.growth_rate < 0

    @property
    def stability(self) -> Any:
        """The kind of equilibrium; codes of `Stability` where there is a batch or a trace."""
        codes = classify(self.eigenvalues)
        return codes if is_traced(codes) or np.ndim(codes) else Stability(int(codes))

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{v:.5g}</td><td>{1000 * abs(v.imag) / (2 * np.pi):.4g}</td></tr>"
            for v in np.ravel(self.eigenvalues)[:20]
        )
        return (
            f"<b>{self.stability}</b><table><tr><th>eigenvalue (1/ms)</th><th>Hz</th></tr>{rows}"
            "</table>"
        )

    def __repr__(self) -> str:
        """The kind, the leading eigenvalue and where it is."""
        if is_traced(self.jacobian) or np.ndim(self.jacobian) > 2:
            return f"Linearization(jacobian of shape {np.shape(self.jacobian)})"
        tail = f", {self.frequency:.4g} Hz" if self.frequency else ""
        return f"Linearization({self.stability}, leading eigenvalue {self.eigenvalues[0]:.5g} /ms{tail})"


@verb
def linearize(
    circuit: AbstractCircuit[Any],
    state: Expected[State],
    input: Expected[InputLike | None] = None,
    *,
    time: float = 0.0,
) -> Linearization:
    r"""The Jacobian of a circuit at a state, exact (by automatic differentiation), in float64.

    $J_{ij} = \partial f_i(x, u) / \partial x_j$, per ms, in the order of the flattened state.

    Args:
        circuit: the circuit.
        state: where; it need not be an equilibrium.
        input: the input; held at its value at `time`.
        time: in ms.

    Raises:
        ValueError: for a state or an input that do not fit the circuit, or a state that is not
            finite. Where a JAX transformation is under way its Jacobian is NaN.
    """
    check_run(circuit, input, None, None)
    state = given_state(circuit, input, state)
    return in_float64(_linearized, circuit, as_input(circuit, input), state, instant(time))


def classify(values: Complex[Any, "*batch n"]) -> Any:
    """Codes of `Stability` from eigenvalues, the leading one first."""
    xp = jnp if is_traced(values) else np
    real, size = values.real, abs(values).max(-1)
    leading = values[..., 0]
    edge = xp.maximum(_MARGINAL, 50 * np.finfo(real.dtype).eps) * size
    turns = abs(leading.imag) > edge
    on_axis = abs(leading.real) <= edge
    saddle = (real > edge[..., None]).any(-1) & (real < -edge[..., None]).any(-1)
    node = xp.where(leading.real < 0, Stability.STABLE_NODE, Stability.UNSTABLE_NODE)
    codes = xp.where(
        on_axis,
        xp.where(turns, Stability.CENTER, Stability.MARGINAL),
        xp.where(saddle, Stability.SADDLE, node + turns),
    )
    return xp.where(xp.isfinite(values).all(-1), codes, Stability.UNDEFINED)


@compiled
def _linearized(
    circuit: AbstractCircuit[Any], input: InputLike, state: State, time: Scalar
) -> Linearization:
    x, field = flat_field(circuit, input, state, time)
    # nothing is known from nearby of a state that was not found
    known = slots_of(jnp.isfinite(x).all(), (field.arrays, x))
    arrays, x = known.given
    x = jnp.where(known.there, x, jnp.zeros_like(x))
    return Linearization(state, known.written(field.of(arrays).jacobian(x)))
