"""A branch of equilibria and what happens on it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._continuation.points import Bifurcation, Special, kept_of, listed, read
from rnnjax._numerics.eigenvalues import eigenvalues
from rnnjax._numerics.trees import named_leaves
from rnnjax._precision import index_of_largest
from rnnjax._results import BranchEnd
from rnnjax._types import is_traced


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
        return listed(self)

    def first(self, label: str) -> Bifurcation:
        """The first bifurcation of a type on the branch, inside `jit` as well; NaN if there is none.

        Args:
            label: LP, H, BP or BE; of the types that were looked for.

        Raises:
            ValueError: for a type that was not looked for.
        """
        labels = [known for known, _ in self.types]
        if label not in labels:
            raise ValueError(f"label: expected one of {labels}, got {label!r}")
        of_type = self.special.type_index == labels.index(label)
        if not is_traced(self) and of_type.any():
            return read(self, int(np.argmax(of_type)))
        # the slots after the last point are empty
        of_type = jnp.asarray(of_type)
        slot = jnp.where(of_type.any(), index_of_largest(of_type), of_type.size - 1)
        return jax.tree.map(lambda x: jnp.where(of_type.any(), x, jnp.nan), read(self, slot, label))

    def __len__(self) -> int:
        """How many points there are."""
        return int(np.sum(self.found))

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along `point`, with the bifurcations along `bifurcation`."""
        from rnnjax._files.datasets import branch_dataset

        states = {k: v[: len(self)] for k, v in named_leaves(self.states).items()}
        return branch_dataset(self, states)

    def swept(self) -> tuple[dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]], Any]:
        """What a sweep keeps of it: its bifurcations and how it ended; not its points.

        Returns:
            Variables by name, each `(dims, values, attributes)`, and a `Status`: OK if both
            directions came to an end of their own and every zero of a test was solved for, so
            that there was room for all.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        return kept_of(self, {"at": (self.special.parameter, self.name)})

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
