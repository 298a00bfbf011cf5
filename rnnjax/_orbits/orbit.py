"""A periodic orbit."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._machine.kept import program
from rnnjax._numerics.collocation import DEGREE, ends_of, interpolated
from rnnjax._numerics.extremes import extremes
from rnnjax._numerics.slots import of_known
from rnnjax._numerics.trees import flatten, named_leaves
from rnnjax._precision import in_float64, index_of_largest
from rnnjax._results import Status
from rnnjax._types import Array, Complex, Float, Int, NDArray, State, Value, is_traced, numpy_of

_FITS = 2e-5  # of its largest slope, by how much an orbit may be none; those in float32 are by 3e-6


class Orbit(eqx.Module):
    r"""A periodic orbit, $x(t + T) = x(t)$, and how what is beside it grows in a period.

    Attributes:
        states: in the circuit's structure, each leaf `(node, ...)`; NaN where none was found.
        phases: where the nodes are, as shares of the period, `(node,)`.
        period: T in ms.
        multipliers_real, multipliers_imaginary: of the Floquet multipliers, `(n,)`, the largest
            absolute value first. One of them is 1, along the orbit.
        residual: the largest value of what vanishes on an orbit, scaled.
        status: a `Status`.
        widths: the intervals of the mesh as shares of the period.
    """

    states: State
    phases: Float[NDArray, "*batch node"]
    period: Float[Value, "*batch"]
    multipliers_real: Float[NDArray, "*batch n"]
    multipliers_imaginary: Float[NDArray, "*batch n"]
    residual: Float[Value, "*batch"]
    status: Int[Value, "*batch"]
    widths: Float[NDArray, "*batch interval"]

    @property
    def multipliers(self) -> Complex[Any, "*batch n"]:
        """The Floquet multipliers."""
        return as_complex(self.multipliers_real, self.multipliers_imaginary)

    @property
    def frequency(self) -> Any:
        """In Hz."""
        return of_known(lambda period: 1000 / period, self.period)

    @property
    def stable(self) -> Any:
        """Whether perturbations decay: all multipliers but that of the orbit lie in the unit circle."""
        return is_stable(self.multipliers)

    def __call__(self, phase: Float[Value, "*phase"]) -> Any:
        """The state at shares of the period, by the polynomials of the solution.

        Args:
            phase: one or several, `(phase,)`; one period later is the same.
        """
        of = jax.tree.leaves(self.states)[0]
        if np.ndim(of) and np.ndim(self.period):
            raise ValueError("a batch of orbits: select one of them")
        return in_float64(at_phases, self.states, self.widths, np.asarray(phase, np.float64))

    @property
    def extremes(self) -> tuple[Any, Any]:
        """The smallest and the largest value of each variable along the orbit, in the circuit's structure.

        Those of its polynomials, between the nodes too.
        """
        of = jax.tree.leaves(self.states)[0]
        if np.ndim(of) and np.ndim(self.period):
            raise ValueError("a batch of orbits: select one of them")
        return in_float64(extremes_of, self.states)

    def swept(self) -> tuple[dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]], Any]:
        """What a sweep keeps of it: the period, the multipliers and the extremes.

        Returns:
            Variables by name, each `(dims, values, attributes)`, and a `Status`.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if np.ndim(self.period):
            raise ValueError("a batch of orbits: give the sweep one for each of its points")
        names = {"period": ("ms", "period"), "frequency": ("Hz", "frequency")}
        found: dict[str, Any] = {
            k: ((), getattr(self, k), {"units": unit, "long_name": words})
            for k, (unit, words) in names.items()
        }
        found["stable"] = ((), self.stable, {"long_name": "whether perturbations decay"})
        for k in ("multipliers_real", "multipliers_imaginary"):
            words = {"units": "1", "long_name": f"Floquet {k.replace('_', ', ')} part"}
            found[k] = (("multiplier",), getattr(self, k), words)
        for word, values in zip(("smallest", "largest"), self.extremes, strict=True):
            for name, x in named_leaves(values).items():
                words = {"units": "state", "long_name": f"{word} {name} of the orbit"}
                found[f"{word}_{name}"] = ((), x, words)
        return found, self.status

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` along `phase`."""
        from rnnjax._files.datasets import phases_dataset

        about = {"period": float(self.period), "period_units": "ms"}
        return phases_dataset(self.phases, named_leaves(self.states), {}, about)

    def __repr__(self) -> str:
        """Its period and its stability."""
        if is_traced(self.period) or np.ndim(self.period):
            return f"Orbit(of shape {np.shape(self.period)})"
        status = Status(int(self.status))
        if status != Status.OK:
            return f"Orbit({status.name})"
        kind = "stable" if self.stable else "unstable"
        values = ", ".join(f"{complex(v):.4g}" for v in self.multipliers[:4])
        return (
            f"Orbit(period {float(self.period):.8g} ms, {float(self.frequency):.5g} Hz, {kind}, "
            f"multipliers {values})"
        )


def as_complex(real: Float[NDArray, "*shape"], imaginary: Float[NDArray, "*shape"]) -> Any:
    """Complex numbers of their parts."""
    return lax.complex(real, imaginary) if is_traced(real) else real + 1j * imaginary


def is_stable(multipliers: Complex[NDArray, "*batch n"]) -> Any:
    """Whether all but the multiplier nearest to 1 lie in the unit circle."""
    xp: Any = jnp if is_traced(multipliers) else np
    off = xp.moveaxis(abs(multipliers - 1), -1, 0)
    nearest = index_of_largest(-off) if is_traced(multipliers) else off.argmin(0)
    along = np.arange(off.shape[0], dtype=np.int32) == nearest[..., None]
    return (xp.where(along, 0.0, abs(multipliers)).max(-1) < 1) & xp.isfinite(off).all(0)


def check_fits(name: str, off: Any, again: str) -> None:
    """Refuse what was solved for with other numbers than those it is used with.

    Args:
        name: of the argument.
        off: how far its equations are from holding there, as a share; nothing is known of what is traced.
        again: how to find it anew.
    """
    if not is_traced(off) and not off <= _FITS:
        raise ValueError(
            f"{name}: expected what this circuit does at this input, got what was found for other numbers (its "
            f"equations are off by a share of {float(off):.2g}): {again}"
        )


def rows_of(rest: State, states: State) -> Any:
    """States as rows `(sample, n)`, or a ValueError."""
    wanted = [np.shape(x) for x in jax.tree.leaves(rest)]
    if jax.tree.structure(states) != jax.tree.structure(rest) or any(
        np.shape(x)[1:] != w for x, w in zip(jax.tree.leaves(states), wanted, strict=True)
    ):
        shapes = [np.shape(x) for x in jax.tree.leaves(states)]
        raise ValueError(
            "guess: expected a Trajectory, an Orbit or states in the circuit's structure with one "
            f"axis more in front of {wanted}, got {type(states).__name__} with {shapes}"
        )
    xp = numpy_of(states)  # known numbers keep their digits
    return xp.concatenate([xp.reshape(x, (np.shape(x)[0], -1)) for x in jax.tree.leaves(states)], 1)


@program
def extremes_of(states: State) -> tuple[State, State]:
    rows, unravel = _nodes(states)
    low, high = extremes(rows.reshape(-1, DEGREE, rows.shape[-1]))
    return unravel(low), unravel(high)


def _nodes(states: State) -> tuple[Array, Any]:
    """The nodes as rows `(node, n)`, and what makes a state of one."""
    first = jax.tree.map(lambda x: x[0], states)
    _, unravel = flatten(jax.tree.map(jnp.asarray, first))
    return jnp.concatenate([x.reshape(x.shape[0], -1) for x in jax.tree.leaves(states)], 1), unravel


@program
def at_phases(states: State, widths: Array, phase: Array) -> Any:
    rows, unravel = _nodes(states)
    x = rows.reshape(widths.size, DEGREE, -1)
    ends = ends_of(widths)
    flat = jnp.reshape(phase % 1.0, -1)
    found = jax.vmap(unravel)(interpolated(x, ends, flat))
    return jax.tree.map(lambda y: y.reshape(*phase.shape, *y.shape[1:]), found)
