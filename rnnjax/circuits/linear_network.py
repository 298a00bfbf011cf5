"""The linear network, which has its solution in closed form."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Complex

from rnnjax._parameter import parameter
from rnnjax._types import Array, Expected, Float, PerUnit, Scalar
from rnnjax.circuits._base import AbstractNetwork, ThresholdLinear
from rnnjax.connectivity._base import AbstractConnectivity
from rnnjax.connectivity.cosine import Cosine

_MARGINAL = 1e-9  # |Re(lambda) - 1| below which a mode integrates


class LinearNetwork(AbstractNetwork):
    r"""A network of linear units.

    $\tau \dot v = -v + M v + b + h$

    $v$ are rates in Hz (they may be negative), `(units,)`; $b$ (`bias`) and the input $h$ are in
    Hz; $\tau$ in ms, one or one per unit. Each eigenmode of $M$ with eigenvalue $\lambda < 1$
    amplifies its part of the input $1 / (1 - \lambda)$ times and is slower by the same factor;
    $\lambda = 1$ integrates; $\lambda > 1$ explodes. `modes()` has the solution in closed form.

    The default is the ring of figure 7.8, with $\lambda_1$ = 0.9. $\tau$ = 10 ms and 100 units
    are reconstruction, not read.

    References:
        Dayan and Abbott (2001), Theoretical Neuroscience, section 7.4, equations 7.17-7.24.
    """

    connectivity: AbstractConnectivity = eqx.field(default_factory=Cosine)
    bias: PerUnit = parameter(0.0, "Hz", doc="constant input")
    tau: PerUnit = parameter(10.0, "ms", positive=True, doc="time constant")

    state_unit = "Hz"

    def __call__(self, state: Float[Any, " units"], input: PerUnit) -> Array:
        """The time derivative of the rates, Hz per ms."""
        return (-state + self.connectivity(state) + self.bias + input) / self.tau

    def rates(self, state: Float[Any, "*batch units"]) -> Array:
        """The state itself."""
        return state

    def threshold_linear(self, input: PerUnit) -> ThresholdLinear:
        """Linear units, none of them with a threshold."""
        return ThresholdLinear(self.connectivity.matrix(), self.bias + input, rectified=False)

    def modes(self) -> "Modes":
        """The eigenmodes of the connectivity and the solution they give, in float64.

        Raises:
            ValueError: with one time constant per unit, where the modes are not those of M.
        """
        if np.shape(self.tau) != ():
            raise ValueError(
                "the closed form needs one time constant for all units, got one per unit: use "
                "simulate and linearize, or give a single tau"
            )
        with jax.enable_x64(True):
            matrix = np.asarray(self.connectivity.matrix(), np.float64)
        if np.array_equal(matrix, matrix.T):
            values, right = np.linalg.eigh(matrix)
            values, right = values[::-1], right[:, ::-1]
            left = right.T
        else:
            values, right = (np.asarray(x) for x in np.linalg.eig(matrix))
            order = np.argsort(-np.real(values), kind="stable")
            values, right = values[order], right[:, order]
            left = np.linalg.pinv(right)
        bias = np.broadcast_to(np.asarray(self.bias), values.shape)
        return Modes(values, right, left, matrix, np.asarray(self.tau), bias)


class Modes(eqx.Module):
    r"""The eigenmodes of a linear network, largest $\mathrm{Re}\,\lambda$ first.

    Attributes:
        eigenvalues: $\lambda_\mu$ of the connectivity, real where it is symmetric.
        right: eigenvectors $e_\mu$ in columns (orthonormal where it is symmetric).
        left: in rows, so that $c_\mu = l_\mu \cdot v$.
        matrix: the weights.
        tau: the time constant in ms.
        bias: the network's constant input per unit.
    """

    eigenvalues: Complex[np.ndarray, " n"] | Float[np.ndarray, " n"]
    right: np.ndarray
    left: np.ndarray
    matrix: np.ndarray
    tau: Scalar
    bias: np.ndarray

    def coefficients(
        self,
        times: Expected[Float[Any, " time"]],
        drive: Expected[PerUnit],
        start: Expected[PerUnit] = 0.0,
    ) -> np.ndarray:
        r"""The coefficients $c_\mu(t)$ of the modes, `(time, mode)`.

        $c_\mu(t) = \frac{h_\mu}{1 - \lambda_\mu} \left(1 - e^{-t (1 - \lambda_\mu) / \tau}\right)
        + c_\mu(0)\, e^{-t (1 - \lambda_\mu) / \tau}$, with $h_\mu = l_\mu \cdot (h + b)$, and
        $c_\mu(t) = c_\mu(0) + h_\mu t / \tau$ at $\lambda_\mu = 1$.

        Args:
            times: in ms after the start, `(time,)`.
            drive: the constant input $h$, one number or one per unit.
            start: the state at time 0, one number or one per unit.

        Raises:
            ValueError: where the eigenvectors do not span the space, as in a feedforward chain.
        """
        if not self.complete:
            raise ValueError(
                "the eigenvectors do not span the space (the weights are defective, or nearly so), "
                "so that there are no such coefficients: use solution(times, drive, start)"
            )
        times = np.atleast_1d(np.asarray(times, np.float64))[:, None]
        c0, h = self._project(start), self._project(np.asarray(drive) + self.bias)
        decay = (1 - self.eigenvalues) / self.tau
        # expm1 keeps the limit lambda -> 1 exact, where the mode integrates
        small = np.abs(decay) < 1e-300
        ramp = np.where(small, times, -np.expm1(-decay * times) / np.where(small, 1, decay))
        return c0 * np.exp(-decay * times) + h * ramp / self.tau

    def solution(
        self,
        times: Expected[Float[Any, " time"]],
        drive: Expected[PerUnit],
        start: Expected[PerUnit] = 0.0,
    ) -> np.ndarray:
        """The rates at `times` under a constant drive, `(time, unit)`, Hz.

        By the modes; by the matrix exponential where they do not span the space.
        """
        if self.complete:
            return np.real(self.coefficients(times, drive, start) @ self.right.T)
        n = len(self.matrix)
        generator = np.zeros((n + 1, n + 1))  # of (v, 1): dv/dt = ((M - 1) v + h) / tau
        generator[:n, :n] = (self.matrix - np.eye(n)) / self.tau
        generator[:n, n] = (np.asarray(drive) + self.bias) / self.tau
        begin = np.append(np.broadcast_to(np.asarray(start, np.float64), n), 1.0)
        times = np.atleast_1d(np.asarray(times, np.float64))
        with jax.enable_x64(True):
            steps = jax.vmap(jax.scipy.linalg.expm)(times[:, None, None] * generator)
        return (np.asarray(steps) @ begin)[:, :n]

    @property
    def complete(self) -> bool:
        """Whether the eigenvectors span the space, well enough to compute with."""
        return bool(np.linalg.cond(self.right) < 1e6)

    def steady_state(self, drive: Expected[PerUnit]) -> np.ndarray:
        """Where the rates settle under a constant drive, `(unit,)`, Hz.

        Raises:
            ValueError: if a mode integrates or explodes, so that there is no such state.
        """
        worst = self.eigenvalues[0]
        if np.real(worst) > 1 - _MARGINAL:
            raise ValueError(
                f"the network does not settle: its leading eigenvalue {worst:.6g} is not below 1 "
                f"(it {self.verdicts[0]}): scale the weights down, or ask for solution(times, ...)"
            )
        return np.linalg.solve(
            np.eye(len(self.matrix)) - self.matrix, np.asarray(drive) + self.bias
        )

    @property
    def amplification(self) -> np.ndarray:
        r"""$1 / (1 - \lambda_\mu)$ per mode; infinite where a mode integrates or explodes."""
        grows = np.array([v in ("integrates", "explodes") for v in self.verdicts])
        return np.where(grows, np.inf, 1 / np.where(grows, 1, 1 - self.eigenvalues))

    @property
    def time_constants(self) -> np.ndarray:
        r"""$\tau / (1 - \mathrm{Re}\,\lambda_\mu)$ in ms; negative where a mode explodes."""
        gap = 1 - np.real(self.eigenvalues)
        still = np.abs(gap) < _MARGINAL
        return np.where(still, np.inf, self.tau / np.where(still, 1, gap))

    @property
    def verdicts(self) -> list[str]:
        """Per mode: "decays", "integrates" (1), "explodes" (real part > 1), "oscillates" (1 + iw)."""
        found = []
        for value in self.eigenvalues:
            gap = np.real(value) - 1
            if abs(gap) > _MARGINAL:
                found.append("explodes" if gap > 0 else "decays")
            else:
                found.append("integrates" if abs(value - 1) <= _MARGINAL else "oscillates")
        return found

    def _project(self, vector: Expected[PerUnit]) -> np.ndarray:
        return self.left @ np.broadcast_to(np.asarray(vector, np.float64), self.eigenvalues.shape)
