"""A curve of folds or Hopf points in the plane of two parameters."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from rnnjax._continuation.points import Bifurcation, Special, kept_of, listed
from rnnjax._numerics.trees import named_leaves
from rnnjax._results import BranchEnd
from rnnjax._types import is_traced


class Curve(eqx.Module):
    """Bifurcation points as two parameters change, in the order in which they were followed.

    Attributes:
        states: in the circuit's structure, each leaf `(point, ...)`; NaN where there is no point.
        parameters: both values at each of them, `(point, 2)`.
        frequency: of the oscillation that begins there, in rad per ms, `(point,)`; 0 at folds.
        coefficient: of the normal form, `(point,)`: a of a fold, `l1` of a Hopf point, NaN
            where the frequency is 0.
        at: how far along the curve from its start, scaled, `(point,)`.
        found: `(point,)`, the points of the curve first.
        special: the points of two parameters on it, as arrays; `parameter` is `(slot, 2)`.
        ends: a `BranchEnd` for each direction.
        names: of the two parameters.
        label: LP (folds) or H (Hopf points).
        kinds: what those may be.
        types: the label and the kinds of each type that was looked for.
    """

    states: Any
    parameters: Any
    frequency: Any
    coefficient: Any
    at: Any
    found: Any
    special: Special
    ends: Any
    names: tuple[str, str] = eqx.field(static=True)
    label: str = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)
    types: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)

    def trimmed(self) -> "Curve":
        """Without the room for points that were not needed; for concrete results."""
        count = len(self)
        states, parameters, frequency, coefficient, at, found = jax.tree.map(
            lambda x: x[:count],
            (self.states, self.parameters, self.frequency, self.coefficient, self.at, self.found),
        )
        return Curve(
            states, parameters, frequency, coefficient, at, found, self.special, self.ends,
            self.names, self.label, self.kinds, self.types,
        )  # fmt: skip

    @property
    def endings(self) -> list[BranchEnd]:
        """Where each direction ended."""
        return [BranchEnd(int(e)) for e in np.ravel(self.ends)]

    @property
    def bifurcations(self) -> list[Bifurcation]:
        """The points of two parameters in the order of the curve.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        return listed(self)

    def __len__(self) -> int:
        """How many points there are."""
        return int(np.sum(self.found))

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along `point`, with the special points along `bifurcation`."""
        from rnnjax._files.datasets import curve_dataset

        states = {k: v[: len(self)] for k, v in named_leaves(self.states).items()}
        return curve_dataset(self, states)

    def swept(self) -> tuple[dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]], Any]:
        """What a sweep keeps of it: its points of two parameters and how it ended.

        Returns:
            As `Branch.swept`, with `at_` and the name for the value of each parameter.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        values = self.special.parameter
        return kept_of(
            self, {f"at_{name}": (values[..., k], name) for k, name in enumerate(self.names)}
        )

    def __repr__(self) -> str:
        """Where it goes and what happens on it."""
        one, two = self.names
        if is_traced(self.found) or np.ndim(self.found) != 1:
            return f"Curve({self.label} in {one}, {two}, up to {np.shape(self.found)[-1]} points)"
        if not len(self):
            return f"Curve({self.label} in {one}, {two}: {self.endings[0].message})"
        (a, c), (b, d) = np.min(self.parameters, 0), np.max(self.parameters, 0)
        lines = [f"  {each!r}," for each in self.bifurcations]
        ends = ", ".join(e.name.lower().replace("_", " ") for e in self.endings)
        head = (
            f"Curve({len(self)} points {self.label}, {one} from {a:.6g} to {b:.6g}, {two} from "
            f"{c:.6g} to {d:.6g}, ends: {ends},"
        )
        return "\n".join([head, *lines, ")"])
