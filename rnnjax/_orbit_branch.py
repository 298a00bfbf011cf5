"""A branch of periodic orbits and what happens on it."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Complex

from rnnjax._orbits import Orbit, is_stable
from rnnjax._results import BranchEnd, Status
from rnnjax._types import is_traced


class OrbitBifurcation(eqx.Module):
    """One bifurcation of periodic orbits, read off a branch.

    Attributes:
        label: LPC (fold of cycles), PD (period doubling) or NS (Neimark-Sacker).
        kind: in words.
        parameter: where it happens.
        orbit: the orbit there.
    """

    label: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    parameter: Any
    orbit: Orbit

    def __repr__(self) -> str:
        """Its label and where it is."""
        return (
            f"{self.label} at {float(self.parameter):.10g}: {self.kind}, "
            f"period {float(self.orbit.period):.8g} ms"
        )


class OrbitBranch(eqx.Module):
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
    """

    states: Any
    widths: Any
    parameter: Any
    period: Any
    multipliers_real: Any
    multipliers_imaginary: Any
    minima: Any
    maxima: Any
    at: Any
    found: Any
    special: Any
    ends: Any
    name: str = eqx.field(static=True)
    types: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)

    @property
    def multipliers(self) -> Complex[Any, "*batch point n"]:
        """The Floquet multipliers at each point."""
        return self.multipliers_real + 1j * self.multipliers_imaginary

    @property
    def stable(self) -> Any:
        """Whether every perturbation decays, at each point."""
        return is_stable(self.multipliers)

    @property
    def frequency(self) -> Any:
        """In Hz, at each point."""
        return 1000 / self.period

    @property
    def endings(self) -> list[BranchEnd]:
        """Where each direction ended."""
        return [BranchEnd(int(e)) for e in np.ravel(self.ends)]

    @property
    def bifurcations(self) -> list[OrbitBifurcation]:
        """The bifurcations in the order of the branch.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if is_traced(self.found) or np.ndim(self.found) != 1:
            raise ValueError("a batch of branches: see `.special`, or select one lane")
        return [
            OrbitBifurcation(*self._named(k), self.special.parameter[k], self.special.orbit(k))
            for k in range(int(np.sum(self.special.found)))
        ]

    def _named(self, k: int) -> tuple[str, str]:
        label, kinds = self.types[int(self.special.type_index[k])]
        return label, kinds[0]

    def __getitem__(self, k: int) -> Orbit:
        """One of the orbits."""
        if not -len(self) <= k < len(self):
            raise IndexError(f"expected one of {len(self)} orbits, got {k}")
        k = k % len(self)
        return orbit_of(
            self.states, self.widths, self.period, self.multipliers_real,
            self.multipliers_imaginary, k,
        )  # fmt: skip

    def trimmed(self) -> "OrbitBranch":
        """Without the room for points that were not needed; for concrete results."""
        count = len(self)

        def along(branch: Any) -> Any:
            return (
                branch.states, branch.widths, branch.parameter, branch.period,
                branch.multipliers_real, branch.multipliers_imaginary, branch.minima,
                branch.maxima, branch.at, branch.found,
            )  # fmt: skip

        return eqx.tree_at(along, self, jax.tree.map(lambda x: x[:count], along(self)))

    def __len__(self) -> int:
        """How many orbits there are."""
        return int(np.sum(self.found))

    def __repr__(self) -> str:
        """Where it goes and what happens on it."""
        if is_traced(self.found) or np.ndim(self.found) != 1:
            return f"OrbitBranch({self.name}, up to {np.shape(self.found)[-1]} orbits)"
        if not len(self):
            return f"OrbitBranch({self.name}: {self.endings[0].message})"
        values, periods = self.parameter[: len(self)], self.period[: len(self)]
        ends = ", ".join(e.name.lower().replace("_", " ") for e in self.endings)
        head = (
            f"OrbitBranch({len(self)} orbits, {self.name} from {np.min(values):.6g} to "
            f"{np.max(values):.6g}, periods from {np.min(periods):.6g} to {np.max(periods):.6g} ms, "
            f"ends: {ends},"
        )
        return "\n".join([head, *(f"  {each!r}," for each in self.bifurcations), ")"])


class SpecialOrbits(eqx.Module):
    """The bifurcations of a branch of orbits, in its order, the found ones first.

    Attributes:
        states, widths, period, multipliers_real, multipliers_imaginary: see `OrbitBranch`.
        parameter: where it happens, `(slot,)`.
        type_index: which of the types that were looked for; -1 where there is none.
        at: how far along the branch.
        found: `(slot,)`.
        unsolved: how many zeros of tests could not be solved for, or had no room.
    """

    states: Any
    widths: Any
    parameter: Any
    period: Any
    multipliers_real: Any
    multipliers_imaginary: Any
    type_index: Any
    at: Any
    found: Any
    unsolved: Any

    def orbit(self, k: int) -> Orbit:
        """The orbit in one slot."""
        return orbit_of(
            self.states, self.widths, self.period, self.multipliers_real,
            self.multipliers_imaginary, k,
        )  # fmt: skip


def orbit_of(states: Any, widths: Any, period: Any, real: Any, imaginary: Any, k: int) -> Orbit:
    """One of several orbits held as arrays."""
    ends = np.concatenate([[0.0], np.cumsum(widths[k])])
    degree = jax.tree.leaves(states)[0].shape[1] // widths.shape[1]
    phases = ends[:-1, None] + np.asarray(widths[k])[:, None] * np.arange(degree) / degree
    return Orbit(
        jax.tree.map(lambda x: x[k], states), phases.ravel(), period[k], real[k], imaginary[k],
        0.0, int(Status.OK), widths[k],
    )  # fmt: skip
