"""Results as labelled arrays in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from rnnjax._files.labels import status_attributes
from rnnjax._types import ArrayLike, Float


def trajectory_dataset(
    times: Float[ArrayLike, "*batch time"],
    states: Mapping[str, Any],
    status: Int[ArrayLike, "*batch"],
    unit: str,
) -> Any:
    """A trajectory as an `xarray.Dataset`, dims `(batch..., time, unit...)`."""
    import xarray

    times, status = np.asarray(times), np.asarray(status)
    batch = [f"batch_{k}" for k in range(status.ndim)]
    rows = times.reshape(-1, times.shape[-1])
    same = bool((rows == rows[0]).all())
    at = ("time", rows[0]) if same else ([*batch, "time"], times)
    data = {}
    for name, values in states.items():
        extra = np.ndim(values) - len(batch) - 1
        dims = [*batch, "time", *(["unit"] if extra == 1 else [f"unit_{k}" for k in range(extra)])]
        data[name] = (dims, np.asarray(values), {"units": unit})
    data["status"] = (batch, status.astype(np.uint8), status_attributes())
    name = "time" if same else "time_of_lane"  # lanes with times of their own
    return xarray.Dataset(data, {name: (*at, {"units": "ms"})})


def equilibria_dataset(
    states: Mapping[str, Any],
    kinds: Sequence[str],
    rates: Sequence[Any],
    residual: Float[ArrayLike, " equilibrium"],
) -> Any:
    """Equilibria as an `xarray.Dataset` along `equilibrium`."""
    import xarray

    data = _along("equilibrium", states)
    data["stability"] = ("equilibrium", np.asarray(kinds, dtype=str))
    data["growth_rate"] = ("equilibrium", np.asarray(rates, float), {"units": "1/ms"})
    data["residual"] = ("equilibrium", np.asarray(residual), {"units": "1/ms"})
    return xarray.Dataset(data)


def branch_dataset(branch: Any, states: Mapping[str, Any]) -> Any:
    """A branch as an `xarray.Dataset` along `point`, its bifurcations along `bifurcation`."""
    import xarray

    count = len(branch)
    rates = branch.eigenvalues[:count, 0].real
    data = _along("point", states)
    data["stable"] = ("point", rates < 0)
    data["growth_rate"] = ("point", rates, {"units": "1/ms"})
    data |= _bifurcations(branch, [branch.name])
    return xarray.Dataset(data, {branch.name: ("point", np.asarray(branch.parameter)[:count])})


def curve_dataset(curve: Any, states: Mapping[str, Any]) -> Any:
    """A curve as an `xarray.Dataset` along `point`, its bifurcations along `bifurcation`."""
    import xarray

    count = len(curve)
    frequency = 1000 * np.asarray(curve.frequency)[:count] / (2 * np.pi)
    data = _along("point", states)
    data["point_frequency"] = ("point", frequency, {"units": "Hz"})
    data["point_coefficient"] = ("point", np.asarray(curve.coefficient)[:count])
    data |= _bifurcations(curve, curve.names)
    places = np.asarray(curve.parameters)[:count]
    coordinates = {name: ("point", places[:, k]) for k, name in enumerate(curve.names)}
    return xarray.Dataset(data, coordinates, {"label": curve.label})


def lyapunov_dataset(found: Any) -> Any:
    """Lyapunov exponents as an `xarray.Dataset` along `exponent`, and `time` for the blocks."""
    import xarray

    batch = tuple(f"batch_{k}" for k in range(np.ndim(found.status)))
    of_each, of_block = (*batch, "exponent"), (*batch, "time", "exponent")
    unit = {"units": found.unit}
    data = {
        "exponents": (of_each, np.asarray(found.exponents), unit),
        "standard_errors": (of_each, np.asarray(found.standard_errors), unit),
        "resolution": (of_each, np.asarray(found.resolution), unit),
        "local": (of_block, np.asarray(found.local), unit),
        "running": (of_block, np.asarray(found.running), unit),
        "divergence": (batch, np.asarray(found.divergence), unit),
        "dimension": (batch, np.asarray(found.dimension)),
        "regime": (batch, np.asarray(found.regime)),
        "status": (batch, np.asarray(found.status).astype(np.uint8), status_attributes()),
    }
    times = np.asarray(found.times).reshape(-1, np.shape(found.times)[-1])[0]
    return xarray.Dataset(data, {"time": ("time", times)})


def orbits_dataset(branch: Any, minima: Mapping[str, Any], maxima: Mapping[str, Any]) -> Any:
    """A branch of orbits as an `xarray.Dataset` along `orbit`, its bifurcations along `bifurcation`."""
    import xarray

    count, found, both = len(branch), branch.bifurcations, ("orbit", "multiplier")
    sides = ("smallest", minima), ("largest", maxima)
    named = {f"{word}_{k}": x[:count] for word, y in sides for k, x in y.items()}
    data = _along("orbit", named)
    data["period"] = ("orbit", np.asarray(branch.period)[:count], {"units": "ms"})
    data["stable"] = ("orbit", np.asarray(branch.stable)[:count])
    data["multipliers_real"] = (both, np.asarray(branch.multipliers_real)[:count])
    data["multipliers_imaginary"] = (both, np.asarray(branch.multipliers_imaginary)[:count])
    for name in ("label", "kind"):
        data[name] = ("bifurcation", np.asarray([getattr(b, name) for b in found], dtype=str))
    rows = [(float(b.parameter), float(b.coefficient), float(b.orbit.period)) for b in found]
    for k, name in enumerate(("parameter", "coefficient", "period")):
        data[f"bifurcation_{name}"] = ("bifurcation", np.asarray([row[k] for row in rows], float))
    return xarray.Dataset(data, {branch.name: ("orbit", np.asarray(branch.parameter)[:count])})


def _along(dim: str, states: Mapping[str, Any]) -> dict[str, Any]:
    """States with one dimension in front."""
    return {
        name: ([dim, *[f"unit_{k}" for k in range(np.ndim(x) - 1)]], np.asarray(x))
        for name, x in states.items()
    }


def _bifurcations(of: Any, names: Sequence[str]) -> dict[str, Any]:
    """The bifurcations of a branch or a curve, and its parameters there."""
    found = of.bifurcations

    def each(name: str) -> np.ndarray:
        return np.asarray([float(getattr(b, name)) for b in found], float)

    places = np.reshape([b.parameter for b in found], (len(found), len(names)))
    return {
        "label": ("bifurcation", np.asarray([b.label for b in found], dtype=str)),
        "kind": ("bifurcation", np.asarray([b.kind for b in found], dtype=str)),
        **{f"{name}_at": ("bifurcation", places[:, k]) for k, name in enumerate(names)},
        "frequency": ("bifurcation", each("frequency"), {"units": "Hz"}),
        "coefficient": ("bifurcation", each("coefficient")),
    }


def fit_dataset(
    losses: Float[ArrayLike, "*batch step"],
    norms: Float[ArrayLike, "*batch step"],
    validations: Float[ArrayLike, "*batch step"],
) -> Any:
    """The course of a fit as an `xarray.Dataset`, dims `(batch..., step)`."""
    import xarray

    dims = [*(f"batch_{k}" for k in range(np.ndim(losses) - 1)), "step"]
    found = {"loss": losses, "gradient_norm": norms, "validation": validations}
    return xarray.Dataset({k: (dims, np.asarray(v)) for k, v in found.items()})


def audit_dataset(audit: Any) -> Any:
    """The dynamics along a fit as an `xarray.Dataset`, dims `(audit, equilibrium, variable)`."""
    import xarray

    each = ("audit", "equilibrium")
    return xarray.Dataset(
        {
            "found": (each, audit.found),
            "state": ((*each, "variable"), audit.states),
            "growth_rate": (each, audit.growth_rates, {"units": "1/ms"}),
            "frequency": (each, audit.frequencies, {"units": "Hz"}),
            "stability": (each, audit.stability),
            "exponent": ("audit", audit.exponents, {"units": "1/ms"}),
            "exponent_error": ("audit", audit.exponent_errors, {"units": "1/ms"}),
        },
        {"step": ("audit", audit.steps)},
    )
