"""Results as labelled arrays in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from rnnjax._files.labels import Labels, status_attributes
from rnnjax._files.names import Names
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
    names = Names("trajectory", states)
    batch = [names.free(f"batch_{k}") for k in range(status.ndim)]
    moment = names.free("time")
    rows = times.reshape(-1, times.shape[-1])
    same = bool((rows == rows[0]).all())
    units = names.units({k: np.shape(x)[len(batch) + 1 :] for k, x in states.items()}, short=True)
    data: dict[str, Any] = {
        name: ([*batch, moment, *units[name]], np.asarray(values), {"units": unit})
        for name, values in states.items()
    }
    data[names.free("status")] = (batch, status.astype(np.uint8), status_attributes())
    if same:
        return xarray.Dataset(data, {moment: (moment, rows[0], {"units": "ms"})})
    own = names.free("time_of_lane")  # lanes with times of their own
    return xarray.Dataset(data, {own: ([*batch, moment], times, {"units": "ms"})})


def equilibria_dataset(
    states: Mapping[str, Any],
    kinds: Sequence[str],
    rates: Sequence[Any],
    residual: Float[ArrayLike, " equilibrium"],
) -> Any:
    """Equilibria as an `xarray.Dataset` along `equilibrium`."""
    import xarray

    names = Names("equilibrium", states)
    row = names.free("equilibrium")
    data = _along(names, row, states)
    data[names.free("stability")] = (row, np.asarray(kinds, dtype=str))
    data[names.free("growth_rate")] = (row, np.asarray(rates, float), {"units": "1/ms"})
    data[names.free("residual")] = (row, np.asarray(residual), {"units": "1/ms"})
    return xarray.Dataset(data)


def slow_points_dataset(
    states: Mapping[str, Any], q: Float[ArrayLike, " slow_point"], rates: Sequence[Any]
) -> Any:
    """Slow points as an `xarray.Dataset` along `slow_point`."""
    import xarray

    names = Names("slow_point", states)
    row = names.free("slow_point")
    data = _along(names, row, states)
    words = {"long_name": "half the squared speed"}
    data[names.free("q")] = (row, np.asarray(q), words)
    data[names.free("growth_rate")] = (row, np.asarray(rates, float), {"units": "1/ms"})
    return xarray.Dataset(data)


def branch_dataset(branch: Any, states: Mapping[str, Any]) -> Any:
    """A branch as an `xarray.Dataset` along `point`, its bifurcations along `bifurcation`."""
    import xarray

    count = len(branch)
    rates = branch.growth_rate[:count]
    names = Names("branch", states)
    parameter, row = names.free(branch.name, "parameter"), names.free("point")
    data = _along(names, row, states)
    data[names.free("stable")] = (row, rates < 0)
    data[names.free("growth_rate")] = (row, rates, {"units": "1/ms"})
    data |= _bifurcations(names, branch, [branch.name])
    return xarray.Dataset(data, {parameter: (row, np.asarray(branch.parameter)[:count])})


def large_branch_dataset(branch: Any, states: Mapping[str, Any]) -> Any:
    """A branch as an `xarray.Dataset` along `point`, with the eigenvalues along `eigenvalue`."""
    import xarray

    count = len(branch)
    names = Names("branch", states)
    parameter, row = names.free(branch.name, "parameter"), names.free("point")
    each = (row, names.free("eigenvalue"))
    data = {parameter: (row, np.asarray(branch.parameter)[:count])} | _along(names, row, states)
    parts = ("real", branch.real, "1/ms"), ("imaginary", branch.imaginary, "rad/ms")
    for part, values, unit in parts:
        name = names.free(f"eigenvalue_{part}")
        data[name] = (each, np.asarray(values)[:count], {"units": unit})
    return xarray.Dataset(data)


def curve_dataset(curve: Any, states: Mapping[str, Any]) -> Any:
    """A curve as an `xarray.Dataset` along `point`, its bifurcations along `bifurcation`."""
    import xarray

    count = len(curve)
    frequency = np.asarray(curve.frequency)[:count]
    names = Names("curve", states)
    parameters = [names.free(name, "parameter") for name in curve.names]
    row = names.free("point")
    data = _along(names, row, states)
    data[names.free("point_frequency")] = (row, frequency, {"units": "Hz"})
    data[names.free("point_coefficient")] = (row, np.asarray(curve.coefficient)[:count])
    data |= _bifurcations(names, curve, curve.names)
    places = np.asarray(curve.parameters)[:count]
    coordinates = {name: (row, places[:, k]) for k, name in enumerate(parameters)}
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

    count, found = len(branch), branch.bifurcations
    names = Names("branch", [branch.name])
    row, special = names.free("orbit"), names.free("bifurcation")
    both = (row, names.free("multiplier"))
    units = names.units({k: np.shape(x)[1:] for k, x in minima.items()})
    data: dict[str, Any] = {}
    for word, states in (("smallest", minima), ("largest", maxima)):
        for k, x in states.items():
            data[names.free(f"{word}_{k}")] = ((row, *units[k]), np.asarray(x)[:count])
    period = np.asarray(branch.period)[:count]
    data[names.free("period")] = (row, period, {"units": "ms"})
    data[names.free("stable")] = (row, np.asarray(branch.stable)[:count])
    for part in ("multipliers_real", "multipliers_imaginary"):
        data[names.free(part)] = (both, np.asarray(getattr(branch, part))[:count])
    for name in ("label", "kind"):
        words = np.asarray([getattr(b, name) for b in found], dtype=str)
        data[names.free(name)] = (special, words)
    rows = [(float(b.parameter), float(b.coefficient), float(b.orbit.period)) for b in found]
    for k, name in enumerate(("parameter", "coefficient", "period")):
        values = np.asarray([each[k] for each in rows], float)
        data[names.free(f"bifurcation_{name}")] = (special, values)
    return xarray.Dataset(data, {branch.name: (row, np.asarray(branch.parameter)[:count])})


def phases_dataset(
    phases: Float[ArrayLike, " phase"], states: Mapping[str, Any],
    words: Mapping[str, Mapping[str, Any]], attributes: Mapping[str, Any],
) -> Any:  # fmt: skip
    """What there is along a cycle as an `xarray.Dataset` along `phase`; `words` are attributes by name."""
    import xarray

    names = Names("orbit", states)
    row = names.free("phase")
    data = {
        name: (dims, x, words.get(name, {}))
        for name, (dims, x) in _along(names, row, states).items()
    }
    return xarray.Dataset(data, {row: (row, np.asarray(phases))}, attributes)


def basins_dataset(basins: Any, states: Mapping[str, Mapping[str, Any]], words: Any) -> Any:
    """Basins as an `xarray.Dataset` along the axes of a grid, or along `start`.

    Args:
        basins: what there is to label.
        states: the states by name, for each part of the noun that has some.
        words: the attributes of the labels, and those of the whole.
    """
    about, attributes = words
    names = Names("basins", basins.varied if basins.grid else ())
    dims = tuple(basins.varied) if basins.grid else (names.free("start"),)
    shape = tuple(len(x) for x in basins.grid) or (len(basins),)
    label, status = names.free("label"), names.free("status")
    data = {label: basins.label, status: np.asarray(basins.status).astype(np.uint8)}
    meanings: dict[str, Any] = {label: about, status: status_attributes()}
    first = next(iter(states.values()))
    units = names.units({k: np.shape(x)[1:] for k, x in first.items()})
    extra = {}
    for part, values in states.items():
        for k, x in values.items():
            name = names.free(f"{part}_{k}")
            data[name], extra[name], meanings[name] = x, units[k], {"units": basins.unit}
    along = {n: ([n], x, {"units": basins.unit}) for n, x in zip(dims, basins.grid, strict=False)}
    return Labels(dims, shape, along, meanings, attributes, extra).dataset(data)


def _along(names: Names, dim: str, states: Mapping[str, Any]) -> dict[str, Any]:
    """States with one dimension in front."""
    units = names.units({name: np.shape(x)[1:] for name, x in states.items()})
    return {name: ([dim, *units[name]], np.asarray(x)) for name, x in states.items()}


def _bifurcations(names: Names, of: Any, parameters: Sequence[str]) -> dict[str, Any]:
    """The bifurcations of a branch or a curve, and its parameters there."""
    found, row = of.bifurcations, names.free("bifurcation")
    places = np.reshape([b.parameter for b in found], (len(found), len(parameters)))
    data: dict[str, Any] = {}
    for name in ("label", "kind"):
        words = np.asarray([getattr(b, name) for b in found], dtype=str)
        data[names.free(name, "bifurcation")] = (row, words)
    for k, parameter in enumerate(parameters):
        data[names.free(f"{parameter}_at", "bifurcation")] = (row, places[:, k])
    for name, words in (("frequency", {"units": "Hz"}), ("coefficient", {})):
        values = np.asarray([float(getattr(b, name)) for b in found], float)
        data[names.free(name, "bifurcation")] = (row, values, words)
    return data


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
