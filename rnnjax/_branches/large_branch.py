"""A branch of equilibria of a large circuit, and where eigenvalues cross the imaginary axis on it."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from rnnjax._continuation.line import AbstractLine
from rnnjax._numerics.trees import named_leaves
from rnnjax._types import Bool, Float, Int, NDArray, Scalar, State, is_traced

LABELS = ("LP", "H", "BP")  # fold, Hopf point, branch point


class Crossing(eqx.Module):
    """One point where an eigenvalue, or a pair, crosses the imaginary axis.

    Attributes:
        label: LP (a fold: the branch turns there), H (a pair: Hopf) or BP (a real eigenvalue where
            the branch goes on: a branch point).
        parameter: where it happens.
        state: the equilibrium there.
        frequency: of the pair, in Hz; 0 for a real eigenvalue.
    """

    label: str = eqx.field(static=True)
    parameter: Scalar
    state: State
    frequency: Scalar

    def __repr__(self) -> str:
        """Its label and where it is."""
        rate = f", {float(self.frequency):.6g} Hz" if self.frequency else ""
        return f"{self.label} at {float(self.parameter):.10g}{rate}"


class LargeBranch(AbstractLine):
    """Equilibria along a parameter with their leading eigenvalues, in the order of the branch.

    Attributes:
        states: in the circuit's structure, each leaf `(point, ...)`; NaN where there is no point.
        parameter: its value at each of them, `(point,)`.
        real: real parts of the leading eigenvalues per ms, `(point, count)`, the largest first.
        imaginary: their imaginary parts, rad per ms.
        converged: whether all of them are eigenvalues to the tolerance, `(point,)`.
        found: `(point,)`, the points of the branch first.
        crossing_state: at the crossings, each leaf `(slot, ...)`; NaN where there is none.
        crossing_parameter: `(slot,)`.
        crossing_frequency: in rad per ms, `(slot,)`; 0 for a real eigenvalue.
        crossing_label: an index into `LP, H, BP`, `(slot,)`; -1 where there is none.
        missed: crossings that there was no room for, that shared the smallest step with another,
            or that could not be solved for; and, of eigenvalues behind those that were followed, as
            many as there were at least where that was counted (`hidden`).
        end: a `BranchEnd`.
        name: of the parameter.
    """

    states: State
    parameter: Float[NDArray, "*batch point"]
    real: Float[NDArray, "*batch point count"]
    imaginary: Float[NDArray, "*batch point count"]
    converged: Bool[NDArray, "*batch point"]
    found: Bool[NDArray, "*batch point"]
    crossing_state: State
    crossing_parameter: Float[NDArray, "*batch slot"]
    crossing_frequency: Float[NDArray, "*batch slot"]
    crossing_label: Int[NDArray, "*batch slot"]
    missed: Int[NDArray, "*batch"]
    end: Int[NDArray, "*batch"]
    name: str = eqx.field(static=True)

    rows = "states", "parameter", "real", "imaginary", "converged", "found"

    @property
    def _directions(self) -> NDArray:
        return self.end

    @property
    def _along(self) -> str:
        return self.name

    def _extent(self) -> str:
        values = self.parameter[: len(self)]
        told = f", {self.name} from {values[0]:.6g} to {values[-1]:.6g}"
        hidden = int(np.sum(self.hidden))
        if hidden:
            told += f", at {hidden} of them more eigenvalues may grow than the {self.real.shape[-1]} followed"
        return told

    @property
    def unsolved(self) -> int:
        """Crossings that were `missed`, as far as they were counted."""
        return int(self.missed)

    def _on_it(self) -> list[Crossing]:
        return self.crossings

    @property
    def eigenvalues(self) -> Any:
        """The leading eigenvalues per ms at each point."""
        return self.real + 1j * self.imaginary

    @property
    def stable(self) -> Any:
        """Whether every perturbation decays, at each point."""
        return self.real[..., 0] < 0

    @property
    def crossings(self) -> list[Crossing]:
        """Where eigenvalues cross the imaginary axis, in the order of the branch.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if is_traced(self.crossing_label) or np.ndim(self.crossing_label) != 1:
            raise ValueError("a batch of branches: see `.crossing_parameter`, or select one lane")
        return [
            Crossing(
                LABELS[int(label)],
                self.crossing_parameter[k],
                jax.tree.map(lambda x, k=k: x[k], self.crossing_state),
                1000 * self.crossing_frequency[k] / (2 * np.pi),
            )
            for k, label in enumerate(self.crossing_label)
            if label >= 0
        ]

    @property
    def hidden(self) -> Any:
        """At which points all of the `count` eigenvalues grow, so that those behind them are not seen."""
        return (self.real[..., -1] > 0) & (self.real.shape[-1] < self.variables)

    @property
    def complete(self) -> Any:
        """Whether no crossing can have been overlooked for want of eigenvalues or of steps.

        False where one was `missed`, where eigenvalues did not converge, or where others may be
        `hidden`.
        """
        fine = ~self.found | (self.converged & ~self.hidden)
        return fine.all(-1) & (self.missed == 0)

    @property
    def variables(self) -> int:
        """How many variables the circuit has."""
        points = np.ndim(self.parameter)
        return sum(int(np.prod(np.shape(x)[points:])) for x in jax.tree.leaves(self.states))

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along `point`, with the eigenvalues along `eigenvalue`."""
        from rnnjax._files.datasets import large_branch_dataset

        count = len(self)
        states = {k: np.asarray(x)[:count] for k, x in named_leaves(self.states).items()}
        return large_branch_dataset(self, states)
