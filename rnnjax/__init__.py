"""rnnjax: a differentiable dynamics engine for neural circuits on JAX.

Write a circuit once, as a vector field; then simulate it, find where it rests and whether that is
stable, sweep it over a million parameter settings, and fit its connectivity.

Everything here is loaded when it is first used, so that the import itself is quick.
"""

import importlib as _importlib
from typing import Any as _Any

_HOMES = {
    "AbstractCircuit": "circuits",
    "AbstractEncoder": "circuits._task_network",
    "AbstractMap": "circuits",
    "AbstractObjective": "_training.objective",
    "AbstractReadout": "circuits._task_network",
    "Affine": "circuits._task_network",
    "Audit": "_training.audit",
    "Basins": "_basins.basins",
    "Bifurcation": "_continuation.points",
    "BlockedAdjoint": "_numerics.memory",
    "Branch": "_branches.branch",
    "BranchEnd": "_results",
    "Checkpoint": "_numerics.memory",
    "ConvergenceError": "_results",
    "Curve": "_diagrams.curve",
    "Diagram": "_diagrams.diagram",
    "Driven": "circuits",
    "Equilibria": "_equilibria.equilibria",
    "Fit": "_training.fit",
    "FitError": "_results",
    "FitInterrupted": "_results",
    "LargeBranch": "_branches.large_branch",
    "LeadingEigenvalues": "_equilibria.leading_eigenvalues",
    "LinearEncoder": "circuits._task_network",
    "Linearization": "_equilibria.linearize",
    "Lyapunov": "_exponents.lyapunov_exponents",
    "OnTask": "_training.on_task",
    "Orbit": "_orbits.orbit",
    "OrbitBranch": "_orbits.orbit_branch",
    "Performance": "_training.perform",
    "PhaseResponse": "_orbits.phase",
    "Plan": "_machine.plan",
    "RateReadout": "circuits._task_network",
    "Regime": "_results",
    "SimulationError": "_results",
    "SlowPoints": "_equilibria.slow_points",
    "Stability": "_equilibria.linearize",
    "StateReadout": "circuits._task_network",
    "Status": "_results",
    "Stop": "_training.stop",
    "StoreAll": "_numerics.memory",
    "SweepInterrupted": "_results",
    "TaskNetwork": "circuits._task_network",
    "Trajectory": "_simulation.trajectory",
    "VectorField": "_equilibria.vector_field",
    "axis": "_sweep.axes",
    "basins": "_basins.basins",
    "cache": "_machine.setup",
    "continue_bifurcation": "_diagrams.continue_bifurcation",
    "continue_equilibria": "_branches.continue_equilibria",
    "continue_large": "_branches.continue_large",
    "continue_orbits": "_orbits.continue_orbits",
    "cross_entropy": "_training.losses",
    "diagram": "_diagrams.diagram",
    "doctor": "_machine.setup",
    "enumerate_equilibria": "_proof.enumerate_equilibria",
    "every": "_training.audit",
    "find_equilibria": "_equilibria.find_equilibria",
    "find_orbit": "_orbits.find_orbit",
    "find_slow_points": "_equilibria.slow_points",
    "fit": "_training.fit",
    "gradient": "_training.fit",
    "leading_eigenvalues": "_equilibria.leading_eigenvalues",
    "linearize": "_equilibria.linearize",
    "load": "_files.save",
    "lyapunov_exponents": "_exponents.lyapunov_exponents",
    "mean_square": "_training.losses",
    "measure": "_simulation.measure",
    "parameter": "_parameter",
    "perform": "_training.perform",
    "phase_of": "_orbits.phase",
    "phase_response": "_orbits.phase",
    "points": "_sweep.axes",
    "random_points": "_sweep.axes",
    "save": "_files.save",
    "simulate": "_simulation.simulate",
    "sweep": "_sweep.sweep",
    "tune_cpu": "_machine.setup",
    "vector_field": "_equilibria.vector_field",
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
