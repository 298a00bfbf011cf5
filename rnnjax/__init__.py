"""rnnjax: a differentiable dynamics engine for neural circuits on JAX.

Write a circuit once, as a vector field; then simulate it, find where it rests and whether that is
stable, sweep it over a million parameter settings, and fit its connectivity.

Everything here is loaded when it is first used, so that the import itself is quick.
"""

import importlib as _importlib
from typing import Any as _Any

_HOMES = {
    "AbstractCircuit": "circuits",
    "AbstractEncoder": "_task_network",
    "AbstractMap": "circuits",
    "AbstractObjective": "_objective",
    "AbstractReadout": "_task_network",
    "Affine": "_task_network",
    "Audit": "_audit",
    "Basins": "_basins",
    "Bifurcation": "_special",
    "BlockedAdjoint": "_gradient",
    "Branch": "_branch",
    "BranchEnd": "_results",
    "Checkpoint": "_gradient",
    "ConvergenceError": "_results",
    "Curve": "_curve",
    "Diagram": "_diagram",
    "Driven": "circuits",
    "Equilibria": "_equilibria",
    "Fit": "_fit",
    "FitError": "_results",
    "FitInterrupted": "_results",
    "LargeBranch": "_large_branch",
    "LeadingEigenvalues": "_leading",
    "LinearEncoder": "_task_network",
    "Linearization": "_equilibria",
    "Lyapunov": "_lyapunov",
    "OnTask": "_training",
    "Orbit": "_orbits",
    "OrbitBranch": "_orbit_branch",
    "Performance": "_perform",
    "PhaseResponse": "_phase",
    "Plan": "_plan",
    "RateReadout": "_task_network",
    "Regime": "_results",
    "SimulationError": "_results",
    "SlowPoints": "_slow",
    "Stability": "_equilibria",
    "StateReadout": "_task_network",
    "Status": "_results",
    "Stop": "_descent",
    "StoreAll": "_gradient",
    "SweepInterrupted": "_results",
    "TaskNetwork": "_task_network",
    "Trajectory": "_simulate",
    "VectorField": "_regions",
    "axis": "_axes",
    "basins": "_basins",
    "cache": "_setup",
    "continue_bifurcation": "_two_parameters",
    "continue_equilibria": "_continuation",
    "continue_large": "_large",
    "continue_orbits": "_orbit_continuation",
    "cross_entropy": "_training",
    "diagram": "_diagram",
    "doctor": "_setup",
    "enumerate_equilibria": "_enumerate",
    "every": "_audit",
    "find_equilibria": "_equilibria",
    "find_orbit": "_orbits",
    "find_slow_points": "_slow",
    "fit": "_fit",
    "gradient": "_fit",
    "leading_eigenvalues": "_leading",
    "linearize": "_equilibria",
    "load": "_save",
    "lyapunov_exponents": "_lyapunov",
    "mean_square": "_training",
    "measure": "_measure",
    "parameter": "_parameter",
    "perform": "_perform",
    "phase_of": "_phase",
    "phase_response": "_phase",
    "points": "_axes",
    "random_points": "_axes",
    "save": "_save",
    "simulate": "_simulate",
    "sweep": "_sweep",
    "tune_cpu": "_setup",
    "vector_field": "_regions",
}
_FAMILIES = (
    "bifurcations",
    "circuits",
    "connectivity",
    "credit",
    "forcing",
    "inputs",
    "measures",
    "noise",
    "plot",
    "solvers",
    "targets",
    "tasks",
)

__version__ = "0.1.0"
__all__ = [*_HOMES, *_FAMILIES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> _Any:
    if name in _FAMILIES:
        return _importlib.import_module(f"rnnjax.{name}")
    if name in _HOMES:
        value = getattr(_importlib.import_module(f"rnnjax.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rnnjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
