"""A curve of folds or Hopf points in the plane of two parameters."""

from typing import Any

import equinox as eqx
import numpy as np

from rnnjax._continuation.line import AbstractLine, extent_of
from rnnjax._continuation.points import Bifurcation, Special, kept_of, listed
from rnnjax._numerics.trees import named_leaves
from rnnjax._types import Bool, Float, Int, NDArray, State


class Curve(AbstractLine):
    """Bifurcation points as two parameters change, in the order in which they were followed.

    Attributes:
        states: in the circuit's structure, each leaf `(point, ...)`; NaN where there is no point.
        parameters: both values at each of them, `(point, 2)`.
        angular_frequency: of the oscillation that begins there, in rad per ms, `(point,)`; 0 at folds.
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

    states: State
    parameters: Float[NDArray, "*batch point 2"]
    angular_frequency: Float[NDArray, "*batch point"]
    coefficient: Float[NDArray, "*batch point"]
    at: Float[NDArray, "*batch point"]
    found: Bool[NDArray, "*batch point"]
    special: Special
    ends: Int[NDArray, "*batch direction"]
    names: tuple[str, str] = eqx.field(static=True)
    label: str = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)
    types: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)

    rows = "states", "parameters", "angular_frequency", "coefficient", "at", "found"

    @property
    def frequency(self) -> Any:
        """Of the oscillation that begins there, in Hz, at each point; 0 at folds."""
        return 1000 * self.angular_frequency / (2 * np.pi)

    @property
    def _directions(self) -> NDArray:
        return self.ends

    @property
    def _along(self) -> str:
        return f"{self.label} in {', '.join(self.names)}"

    def _extent(self) -> str:
        return f" {self.label}, {extent_of(self.names, self.parameters)}"

    @property
    def unsolved(self) -> int:
        """At how many places something happens that could not be solved for; for a batch see `.special.unsolved`."""
        return int(self.special.unsolved)

    def _on_it(self) -> list[Bifurcation]:
        return self.bifurcations

    @property
    def bifurcations(self) -> list[Bifurcation]:
        """The points of two parameters in the order of the curve.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        return listed(self)

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
