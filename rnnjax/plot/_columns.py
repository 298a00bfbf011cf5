"""States as columns with names, as drawings need them."""

import jax
import numpy as np

from rnnjax._numerics.trees import variable_names
from rnnjax._simulation.trajectory import Trajectory
from rnnjax._types import Expected, State


def columns(states: State, leading: int) -> dict[str, np.ndarray]:
    """Every variable of the flattened state, `(leading...,)` each, by its name.

    Args:
        states: in a circuit's structure, each leaf with `leading` axes in front of the state's.
        leading: the number of these axes.
    """
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x)[leading:], np.float64), states)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(states)]
    flat = np.concatenate([x.reshape(*x.shape[:leading], -1) for x in leaves], axis=-1)
    return {name: flat[..., k] for k, name in enumerate(variable_names(one))}


def of_trajectory(trajectory: Expected[Trajectory], argument: str) -> dict[str, np.ndarray]:
    """The variables of a trajectory, `(batch..., time)` each.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(
            f"{argument}: expected a Trajectory, got {type(trajectory).__name__}: "
            "draw what rnnjax.simulate(...) returns"
        )
    return columns(trajectory.states, np.ndim(trajectory.status) + 1)


def field_of(name: str) -> str:
    """The field of the state that a variable belongs to: `v` of `v[3]`."""
    return name.split("[")[0]
