"""What grows fastest in a large circuit? `leading_eigenvalues`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Complex, Int

from rnnjax._gate import instant, one_number
from rnnjax._machine.kept import program
from rnnjax._machine.verb import verb
from rnnjax._numerics.eigenvalues import eigenvalues_by_products
from rnnjax._numerics.implicit import refuse
from rnnjax._parameter import counted
from rnnjax._precision import default_dtype, in_float64
from rnnjax._results import ConvergenceError
from rnnjax._types import (
    Array,
    Expected,
    Float,
    InputLike,
    Key,
    Scalar,
    State,
    Value,
    is_traced,
)
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._checks import as_input, check_run, given_state
from rnnjax.circuits._flat import flat_field

_RESTARTS = 300


class LeadingEigenvalues(eqx.Module):
    r"""Eigenvalues of a circuit's Jacobian with the largest real parts, $J v = \lambda v$.

    Sorted by the real part, the largest first; of a pair the positive imaginary part comes first.
    The last may be one of a pair whose other is left out. NaN where they did not converge.

    Attributes:
        real: real parts per ms, `(count,)`.
        imaginary: imaginary parts, rad per ms, `(count,)`.
        real_vectors: real parts of the eigenvectors, each of length 1, `(count, n)`.
        imaginary_vectors: imaginary parts.
        residuals: $|J v - \lambda v|$ per ms, `(count,)`.
        converged: which are eigenvalues to the tolerance, `(count,)`.
        products: how many products with the Jacobian it took.
    """

    real: Float[Any, "*batch count"]
    imaginary: Float[Any, "*batch count"]
    real_vectors: Float[Any, "*batch count n"]
    imaginary_vectors: Float[Any, "*batch count n"]
    residuals: Float[Any, "*batch count"]
    converged: Bool[Any, "*batch count"]
    products: Int[Value, "*batch"]

    @property
    def values(self) -> Complex[Any, "*batch count"]:
        """The eigenvalues per ms."""
        return self.real + 1j * self.imaginary

    @property
    def vectors(self) -> Complex[Any, "*batch count n"]:
        """The eigenvectors in rows, in the order of the flattened state."""
        return self.real_vectors + 1j * self.imaginary_vectors

    @property
    def growth_rate(self) -> Any:
        """The largest real part of an eigenvalue, per ms; it can be differentiated."""
        return self.real[..., 0]

    @property
    def frequency(self) -> Any:
        """The frequency of the leading pair, in Hz; 0 for a real eigenvalue."""
        return 1000 * abs(self.imaginary[..., 0]) / (2 * np.pi)

    @property
    def stable(self) -> Any:
        """Whether every perturbation decays."""
        return self.growth_rate < 0

    def __repr__(self) -> str:
        """The eigenvalues, and how well they are known."""
        if is_traced(self.real) or np.ndim(self.real) > 1:
            return f"LeadingEigenvalues({np.shape(self.real)[-1]} of them)"
        values = ", ".join(f"{complex(v):.6g}" for v in self.values)
        worst = float(np.max(self.residuals))
        return f"LeadingEigenvalues({values} /ms, residuals <= {worst:.1e})"


@verb
def leading_eigenvalues(
    circuit: AbstractCircuit[Any],
    state: Expected[State],
    input: Expected[InputLike | None] = None,
    *,
    count: Expected[int] = 6,
    time: float = 0.0,
    subspace: Expected[int | None] = None,
    tolerance: Expected[float] = 1e-12,
    key: Expected[Key | None] = None,
    throw: bool = True,
) -> LeadingEigenvalues:
    r"""The eigenvalues of a circuit's Jacobian with the largest real parts, without the Jacobian.

    By Arnoldi's method with restarts, in float64, from products $J v$ alone: of a network of N
    units each costs as much as its vector field, O(N^2), or O(N r) where the weights have rank r.
    All of them, and for small circuits, are those of `linearize`.

    Eigenvalues have their derivatives with respect to the circuit, the input and the state,
    $d\lambda = w^T (dJ) v / (w^T v)$, where they are distinct; eigenvectors have none (NaN). What
    has converged is an eigenvalue of a matrix that differs from the Jacobian by the residual, which
    means little only where that is far from normal (a long chain). That none with a larger real
    part was missed is likely, not proved: another `key` or a larger `subspace` tells.

    Args:
        circuit: the circuit.
        state: where; it need not be an equilibrium.
        input: the input; held at its value at `time`.
        count: how many.
        time: in ms.
        subspace: the dimension of the space in which they are looked for; `4 * count + 24` unless
            given. Larger ones need fewer products, and more time between them.
        tolerance: of the residuals, relative to the size of the Jacobian.
        key: for the vectors to begin with; always the same unless given.
        throw: raise unless all have converged. Where a JAX transformation is under way nothing
            can be raised: see `LeadingEigenvalues.converged`.

    Raises:
        ConvergenceError: if some have not converged and `throw` is true.
        ValueError: for a count, a subspace, a state or an input that do not fit.

    References:
        Stewart (2001), SIAM Journal on Matrix Analysis and Applications 23:601-614.
    """
    check_run(circuit, input, None, None)
    state = given_state(circuit, input, state)
    n = sum(np.size(x) for x in jax.tree.leaves(state))
    size, effort = checked_effort(n, count, subspace, tolerance)
    random = random_vectors(key, (size + 1, n))
    result = in_float64(
        _leading, circuit, as_input(circuit, input), state, random, instant(time), effort
    )
    if is_traced(result) or not throw or result.converged.all():
        return result
    raise ConvergenceError(
        f"{int(result.converged.sum())} of {count} eigenvalues converged to {tolerance:g} with a "
        f"subspace of {size} and {_RESTARTS} restarts; the largest residual is "
        f"{float(np.max(result.residuals)):.3g} per ms. Usual causes: (a) many eigenvalues have "
        "almost the same real part, (b) the Jacobian is far from normal (a long chain), (c) the "
        "state or a parameter is not finite. Try a larger `subspace=` or `tolerance=`."
    )


def checked_effort(
    n: int, count: Expected[int], subspace: Expected[int | None], tolerance: Expected[float]
) -> tuple[int, tuple[int, int, float]]:
    """The dimension of the space; how many eigenvalues, restarts, and the tolerance."""
    if counted(count, "count") > n:
        raise ValueError(f"count: expected at most {n}, the number of variables, got {count}")
    least = min(n, count + 3)
    size = min(n, 4 * count + 24) if subspace is None else counted(subspace, "subspace")
    if size < least:
        raise ValueError(
            f"subspace: expected at least {least} for {count} eigenvalues, got {subspace}"
        )
    tolerance = one_number(tolerance, "tolerance")
    if not np.finfo(np.float64).eps <= tolerance < 1:
        raise ValueError(
            f"tolerance: expected a relative one, from {np.finfo(np.float64).eps:.1e} to 1, got "
            f"{tolerance}"
        )
    return min(size, n), (int(count), _RESTARTS, tolerance)


def random_vectors(key: Expected[Key | None], shape: tuple[int, int]) -> Any:
    """Vectors to begin with, made in the caller's scope."""
    if key is None:
        return np.random.default_rng(0).normal(size=shape)
    draws = jax.random.normal(key, shape, default_dtype())  # pyright: ignore
    return draws if is_traced(draws) else np.asarray(draws, np.float64)


@program
def _leading(
    circuit: AbstractCircuit[Any],
    input: InputLike,
    state: State,
    random: Array,
    time: Scalar,
    effort: tuple[int, int, float],
) -> LeadingEigenvalues:
    x, field = flat_field(circuit, input, state, time)
    ritz, right = eigenvalues_by_products(
        lambda arrays, x: field.of(arrays)(x), field.arrays, x,
        jax.lax.stop_gradient(jnp.asarray(random)), effort,
    )  # fmt: skip
    right &= jnp.isfinite(x).all()
    values, vectors = ritz.values, ritz.vectors
    return LeadingEigenvalues(
        real=refuse(right, values.real),
        imaginary=refuse(right, values.imag),
        real_vectors=refuse(right[:, None], vectors.real),
        imaginary_vectors=refuse(right[:, None], vectors.imag),
        residuals=ritz.residuals,
        converged=right,
        products=ritz.products,
    )
