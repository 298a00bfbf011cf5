"""A branch of equilibria and what happens on it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._continuation.line import AbstractLine
from rnnjax._continuation.points import Bifurcation, Special, kept_of, listed, read
from rnnjax._numerics.eigenvalues import eigenvalues
from rnnjax._numerics.trees import named_leaves
from rnnjax._precision import index_of_largest
from rnnjax._types import Bool, Float, Int, NDArray, State, is_traced


class Branch(AbstractLine):
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
        family: whether every point is one of a family of equilibria, as a bump that may stand at any angle is: an
            eigenvalue is 0 all along the branch.
    """

    states: State
    parameter: Float[NDArray, "*batch point"]
    at: Float[NDArray, "*batch point"]
    jacobian: Float[NDArray, "*batch point n n"]
    found: Bool[NDArray, "*batch point"]
    special: Special
    ends: Int[NDArray, "*batch direction"]
    name: str = eqx.field(static=True)
    types: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)
    family: bool = eqx.field(static=True, default=False)

    rows = "states", "parameter", "at", "jacobian", "found"

    @property
    def _directions(self) -> NDArray:
        return self.ends

    @property
    def _along(self) -> str:
        return self.name

    def _extent(self) -> str:
        low, high = np.min(self.parameter), np.max(self.parameter)
        held = ", of families, each held at one place" if self.family else ""
        return f", {self.name} from {low:.6g} to {high:.6g}{held}"

    @property
    def unsolved(self) -> int:
        """At how many places something happens that could not be solved for; for a batch see `.special.unsolved`."""
        return int(self.special.unsolved)

    def _on_it(self) -> list[Bifurcation]:
        return self.bifurcations

    @property
    def eigenvalues(self) -> Any:
        """Eigenvalues per ms at each point, the one with the largest real part first."""
        return eigenvalues(self.jacobian)

    @property
    def growth_rate(self) -> Any:
        """The largest real part of an eigenvalue at each point, per ms; of families but for the one along them."""
        values = self.eigenvalues
        if not self.family:
            return values[..., 0].real
        along = np.arange(values.shape[-1]) == np.argmin(abs(values), -1)[..., None]
        return np.where(along, -np.inf, values.real).max(-1)

    @property
    def stable(self) -> Any:
        """Whether every perturbation decays, at each point; of families but for those along them."""
        return self.growth_rate < 0

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

        def there(x: Any) -> Any:
            nothing = jnp.nan if jnp.issubdtype(jnp.result_type(x), jnp.inexact) else 0
            return jnp.where(of_type.any(), x, nothing)

        return jax.tree.map(there, read(self, slot, label))

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
