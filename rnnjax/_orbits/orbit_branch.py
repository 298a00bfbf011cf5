"""A branch of periodic orbits and what happens on it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._continuation.line import AbstractLine
from rnnjax._continuation.points import ending, labels, outcome
from rnnjax._numerics.slots import of_known
from rnnjax._numerics.trees import named_leaves
from rnnjax._orbits.orbit import Orbit, as_complex, is_stable
from rnnjax._results import Status
from rnnjax._types import Bool, Complex, Float, Int, NDArray, Scalar, State, is_traced


class OrbitBifurcation(eqx.Module):
    """One bifurcation of periodic orbits, read off a branch.

    Attributes:
        label: LPC (fold of cycles), PD (period doubling), NS (Neimark-Sacker) or GR (grazing).
        kind: in words; supercritical where what branches off is stable, in what the other
            multipliers leave.
        parameter: where it happens.
        coefficient: of the normal form, see the types in `rnnjax.bifurcations`.
        orbit: the orbit there.
    """

    label: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    parameter: Scalar
    coefficient: Scalar
    orbit: Orbit

    def __repr__(self) -> str:
        """Its label and where it is."""
        return (
            f"{self.label} at {float(self.parameter):.10g}: {self.kind}, "
            f"period {float(self.orbit.period):.8g} ms"
            + (
                f", coefficient {float(self.coefficient):.5g}"
                if self.coefficient == self.coefficient
                else ""
            )
        )


class LimitOrbit(eqx.Module):
    r"""What periodic orbits come to where their period grows without bound.

    Attributes:
        kind: "SNIC", where a fold of equilibria appears on the orbit and $T \sim |p - p^*|^{-1/2}$, or
            "homoclinic", where the orbit comes to a saddle and $T \sim -\ln |p - p^*|$.
        parameter: $p^*$: that of the fold, or the last of the branch.
        state: the equilibrium there, which is a fold or a saddle.
        exponent: of $|dp / dT| \sim T^s$ at the end: -3 at a SNIC, more and more negative otherwise; NaN where the
            parameter does not change any more.
    """

    kind: str = eqx.field(static=True)
    parameter: float
    state: State
    exponent: float

    def __repr__(self) -> str:
        """What it is and where."""
        return f"{self.kind} at {self.parameter:.10g}"


class AbstractOrbits(AbstractLine):
    """Periodic orbits one after the other, held as arrays."""

    states: eqx.AbstractVar[State]
    widths: eqx.AbstractVar[Float[NDArray, "*batch point interval"]]
    period: eqx.AbstractVar[Float[NDArray, "*batch point"]]
    multipliers_real: eqx.AbstractVar[Float[NDArray, "*batch point n"]]
    multipliers_imaginary: eqx.AbstractVar[Float[NDArray, "*batch point n"]]
    ends: eqx.AbstractVar[Int[NDArray, "*batch direction"]]

    @property
    def _directions(self) -> NDArray:
        return self.ends

    @property
    def multipliers(self) -> Complex[NDArray, "*batch point n"]:
        """The Floquet multipliers at each point."""
        return as_complex(self.multipliers_real, self.multipliers_imaginary)

    def __getitem__(self, k: int) -> Orbit:
        """One of the orbits."""
        if not -len(self) <= k < len(self):
            raise IndexError(f"expected one of {len(self)} orbits, got {k}")
        return orbit_of(
            self.states, self.widths, self.period, self.multipliers_real,
            self.multipliers_imaginary, k % len(self),
        )  # fmt: skip


class SpecialOrbits(eqx.Module):
    """The bifurcations of a branch of orbits, in its order, the found ones first.

    Attributes:
        states, widths, period, multipliers_real, multipliers_imaginary: see `OrbitBranch`.
        parameter: where it happens, `(slot,)`.
        type_index: which of the types that were looked for; -1 where there is none.
        kind_index: which of the kinds of that type.
        coefficient: of the normal form.
        at: how far along the branch.
        found: `(slot,)`.
        unsolved: how many zeros of tests could not be solved for, or had no room.
    """

    states: State
    widths: Float[NDArray, "*batch slot interval"]
    parameter: Float[NDArray, "*batch slot"]
    period: Float[NDArray, "*batch slot"]
    multipliers_real: Float[NDArray, "*batch slot n"]
    multipliers_imaginary: Float[NDArray, "*batch slot n"]
    type_index: Int[NDArray, "*batch slot"]
    kind_index: Int[NDArray, "*batch slot"]
    coefficient: Float[NDArray, "*batch slot"]
    at: Float[NDArray, "*batch slot"]
    found: Bool[NDArray, "*batch slot"]
    unsolved: Int[NDArray, "*batch"]

    def orbit(self, k: int) -> Orbit:
        """The orbit in one slot."""
        return orbit_of(
            self.states, self.widths, self.period, self.multipliers_real,
            self.multipliers_imaginary, k,
        )  # fmt: skip


class OrbitBranch(AbstractOrbits):
    """Periodic orbits along a parameter, in the order in which they were followed.

    Attributes:
        states: in the circuit's structure, each leaf `(point, node, ...)`; NaN where there is none.
        widths: the intervals of each mesh as shares of the period, `(point, interval)`.
        parameter: `(point,)`.
        period: in ms, `(point,)`.
        multipliers_real, multipliers_imaginary: of the Floquet multipliers, `(point, n)`, the
            largest absolute value first.
        minima, maxima: of each variable, each leaf `(point, ...)`.
        at: how far along the branch from its start, scaled.
        found: `(point,)`, the points of the branch first.
        special: the bifurcations in the same way, `(slot, ...)`, with `type_index` and `unsolved`.
        ends: a `BranchEnd` for each direction.
        name: of the parameter.
        types: the label and the kinds of each type that was looked for.
        limits: for each direction what its orbits come to where their period grew beyond `longest_period=`: known
            where the fold or the saddle that it needs was found beside the last orbit, else None. Empty where a
            JAX transformation is under way.
    """

    states: State
    widths: Float[NDArray, "*batch point interval"]
    parameter: Float[NDArray, "*batch point"]
    period: Float[NDArray, "*batch point"]
    multipliers_real: Float[NDArray, "*batch point n"]
    multipliers_imaginary: Float[NDArray, "*batch point n"]
    minima: State
    maxima: State
    at: Float[NDArray, "*batch point"]
    found: Bool[NDArray, "*batch point"]
    special: SpecialOrbits
    ends: Int[NDArray, "*batch direction"]
    name: str = eqx.field(static=True)
    types: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)
    limits: tuple[LimitOrbit | None, ...] = ()

    rows = (
        "states", "widths", "parameter", "period", "multipliers_real", "multipliers_imaginary",
        "minima", "maxima", "at", "found",
    )  # fmt: skip
    noun = "orbits"

    @property
    def _along(self) -> str:
        return self.name

    def _extent(self) -> str:
        values, periods = self.parameter[: len(self)], self.period[: len(self)]
        return (
            f", {self.name} from {np.min(values):.6g} to {np.max(values):.6g}, periods from "
            f"{np.min(periods):.6g} to {np.max(periods):.6g} ms"
        )

    @property
    def unsolved(self) -> int:
        """At how many places something happens that could not be solved for; for a batch see `.special.unsolved`."""
        return int(self.special.unsolved)

    def _on_it(self) -> list[OrbitBifurcation | LimitOrbit]:
        return [*self.bifurcations, *(each for each in self.limits if each is not None)]

    @property
    def stable(self) -> Any:
        """Whether every perturbation decays, at each point."""
        return is_stable(self.multipliers)

    @property
    def frequency(self) -> Any:
        """In Hz, at each point."""
        return of_known(lambda period: 1000 / period, self.period)

    def swept(self) -> tuple[dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]], Any]:
        """What a sweep keeps of it: its bifurcations and how it ended; not its points.

        Returns:
            Variables by name, each `(dims, values, attributes)`, and a `Status`: OK if every
            direction came to an end of its own and every zero of a test was solved for.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        found, at, along = labels(self) | ending(self), self.special, ("bifurcation",)
        xp: Any = jnp if is_traced(self) else np
        place = {"long_name": f"{self.name} at the bifurcation", "parameter": self.name}
        found |= {
            "at": (along, at.parameter, place),
            "period": (along, at.period, {"units": "ms", "long_name": "period at the bifurcation"}),
            "coefficient": (along, at.coefficient, {"long_name": "coefficient of the normal form"}),
            "longest_period": (
                (), xp.nanmax(self.period), {"units": "ms", "long_name": "longest period"}
            ),
        }  # fmt: skip
        return found, outcome(self)

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`: periods, multipliers and extremes along `orbit`, its bifurcations."""
        from rnnjax._files.datasets import orbits_dataset

        return orbits_dataset(self, *(named_leaves(x) for x in (self.minima, self.maxima)))

    @property
    def bifurcations(self) -> list[OrbitBifurcation]:
        """The bifurcations in the order of the branch.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if self.is_batch:
            raise ValueError("a batch of branches: see `.special`, or select one lane")
        return [
            OrbitBifurcation(
                *self._named(k),
                self.special.parameter[k],
                self.special.coefficient[k],
                self.special.orbit(k),
            )
            for k in range(int(np.sum(self.special.found)))
        ]

    def _named(self, k: int) -> tuple[str, str]:
        label, kinds = self.types[int(self.special.type_index[k])]
        return label, kinds[int(self.special.kind_index[k])]


def orbit_of(
    states: State,
    widths: Float[NDArray, "point interval"],
    period: Float[NDArray, " point"],
    real: Float[NDArray, "point n"],
    imaginary: Float[NDArray, "point n"],
    k: int,
) -> Orbit:
    """One of several orbits held as arrays."""
    ends = np.concatenate([[0.0], np.cumsum(widths[k])])
    degree = jax.tree.leaves(states)[0].shape[1] // widths.shape[1]
    phases = ends[:-1, None] + np.asarray(widths[k])[:, None] * np.arange(degree) / degree
    return Orbit(
        jax.tree.map(lambda x: x[k], states), phases.ravel(), period[k], real[k], imaginary[k],
        0.0, int(Status.OK), widths[k],
    )  # fmt: skip
