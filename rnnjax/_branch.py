"""A branch of equilibria and what happens on it."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from rnnjax._linalg import eigenvalues, named_leaves
from rnnjax._results import BranchEnd
from rnnjax._types import is_traced


class Special(eqx.Module):
    """The bifurcation points of a branch, in its order, the found ones first.

    Attributes:
        state: in the circuit's structure, each leaf `(slot, ...)`; NaN where there is none.
        parameter: where it happens, `(slot,)`.
        tangent: of the branch there, state and parameter, `(slot, n + 1)`.
        type_index: which of the types that were looked for; -1 where there is none.
        kind_index: which of the kinds of that type.
        frequency: of the oscillation that begins there, in rad per ms; 0 where none does.
        coefficient: of the normal form: a of a fold, `l1` of a Hopf point, a or c of a branch point.
        at: how far along the branch from its start, scaled; negative in the second direction.
        found: `(slot,)`.
        unsolved: how many zeros of tests could not be solved for.
    """

    state: Any
    parameter: Any
    tangent: Any
    type_index: Any
    kind_index: Any
    frequency: Any
    coefficient: Any
    at: Any
    found: Any
    unsolved: Any


class Bifurcation(eqx.Module):
    """One bifurcation point, read off a branch.

    Attributes:
        label: LP (fold), H (Hopf), BP (branch point).
        kind: what its normal form says: supercritical, subcritical, ...
        parameter: where it happens.
        state: the equilibrium there.
        frequency: of the oscillation that begins there, in Hz; 0 where none does.
        coefficient: of the normal form.
        tangent: of the branch on which it was found, state and parameter.
    """

    label: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    parameter: Any
    state: Any
    frequency: Any
    coefficient: Any
    tangent: Any

    def __repr__(self) -> str:
        """Its label, where it is and of what kind."""
        rate = f", {float(self.frequency):.4g} Hz" if self.frequency else ""
        return (
            f"{self.label} at {float(self.parameter):.8g}: {self.kind}{rate}, coefficient "
            f"{float(self.coefficient):.5g}"
        )


class Branch(eqx.Module):
    """Equilibria along a parameter, in the order in which they were followed.

    Attributes:
        states: in the circuit's structure, each leaf `(point, ...)`; NaN where there is no point.
        parameter: its value at each of them, `(point,)`.
        at: how far along the branch from its start, scaled, `(point,)`.
        jacobian: `(point, n, n)` per ms.
        found: `(point,)`, the points of the branch first.
        special: the bifurcation points, as arrays.
        ends: a `BranchEnd` for each direction.
        name: of the parameter.
        types: the label and the kinds of each type that was looked for.
    """

    states: Any
    parameter: Any
    at: Any
    jacobian: Any
    found: Any
    special: Special
    ends: Any
    name: str = eqx.field(static=True)
    types: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)

    def trimmed(self) -> "Branch":
        """Without the room for points that were not needed; for concrete results."""
        count = int(np.sum(self.found))
        states, parameter, at, jacobian, found = jax.tree.map(
            lambda x: x[:count],
            (self.states, self.parameter, self.at, self.jacobian, self.found),
        )
        return Branch(
            states, parameter, at, jacobian, found, self.special, self.ends, self.name, self.types
        )

    @property
    def endings(self) -> list[BranchEnd]:
        """Where each direction ended."""
        return [BranchEnd(int(e)) for e in np.ravel(self.ends)]

    @property
    def eigenvalues(self) -> Any:
        """Eigenvalues per ms at each point, the one with the largest real part first."""
        return eigenvalues(self.jacobian)

    @property
    def stable(self) -> Any:
        """Whether every perturbation decays, at each point."""
        return self.eigenvalues[..., 0].real < 0

    @property
    def bifurcations(self) -> list[Bifurcation]:
        """The bifurcation points in the order of the branch.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if np.ndim(self.special.found) != 1 or is_traced(self.special.found):
            raise ValueError("a batch of branches: see `.special`, or select one lane")
        return [_read(self, int(k)) for k in np.flatnonzero(self.special.found)]

    def __len__(self) -> int:
        """How many points there are."""
        return int(np.sum(self.found))

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along `point`, with the bifurcations along `bifurcation`."""
        from rnnjax._store import branch_dataset

        states = {k: v[: len(self)] for k, v in named_leaves(self.states).items()}
        return branch_dataset(self, states)

    def __repr__(self) -> str:
        """Where it goes and what happens on it."""
        if is_traced(self.found) or np.ndim(self.found) != 1:
            return f"Branch({self.name}, up to {np.shape(self.found)[-1]} points)"
        if not len(self):
            return f"Branch({self.name}: {self.endings[0].message})"
        low, high = np.min(self.parameter), np.max(self.parameter)
        lines = [f"  {each!r}," for each in self.bifurcations]
        ends = ", ".join(e.name.lower().replace("_", " ") for e in self.endings)
        head = f"Branch({len(self)} points, {self.name} from {low:.6g} to {high:.6g}, ends: {ends},"
        return "\n".join([head, *lines, ")"])


def _read(branch: Branch, k: int) -> Bifurcation:
    """The bifurcation in one slot."""
    at = branch.special
    label, kinds = branch.types[int(at.type_index[k])]
    return Bifurcation(
        label,
        kinds[int(at.kind_index[k])],
        at.parameter[k],
        jax.tree.map(lambda x: x[k], at.state),
        1000 * at.frequency[k] / (2 * np.pi),
        at.coefficient[k],
        at.tangent[k],
    )
