"""A run of a circuit, at the times that were asked for."""

from collections.abc import Sequence
from typing import Any

import diffrax
import equinox as eqx
import jax
import numpy as np
from jaxtyping import ArrayLike, Int, Shaped

from rnnjax._gate import own_numbers
from rnnjax._numerics.trees import named_leaves, variable_names
from rnnjax._precision import precision, to_host
from rnnjax._results import SimulationError, Status, describe_failure
from rnnjax._types import Arrays, Float, Numbers, Scalar, State, is_traced


def _state_at(dense: diffrax.DenseInterpolation, time: Scalar) -> State:
    return dense.evaluate(time)


class Trajectory(eqx.Module):
    """How a circuit moved.

    Attributes:
        times: `(time,)` in ms.
        states: the states in the circuit's structure, each leaf `(time, ...)`; under `vmap`
            the batch is in front.
        status: a `Status`; anything but OK means that some states are not finite.
        failed_at: the last time (ms) at which all was well.
        failed_variable: which variable of the flattened state to blame (see `variables`).
        stats: the numbers of steps taken and rejected, where the solver chose them.
        interpolation: the dense output, if asked for; call the trajectory to use it.
        unit: the unit of the state.
        of: the variables of the whole state, where `observe` kept less of it.
    """

    times: Float[Any, "*batch time"]
    states: Arrays
    status: Int[Any, "*batch"]
    failed_at: Float[Any, "*batch"]
    failed_variable: Int[Any, "*batch"]
    stats: dict[str, Numbers]
    interpolation: diffrax.DenseInterpolation | None = None
    unit: str = eqx.field(static=True, default="")
    of: tuple[str, ...] = eqx.field(static=True, default=())

    def __call__(self, t: Shaped[ArrayLike, "*time"] | Sequence[float]) -> Arrays:
        """The state at any time (ms) of the run, from the dense output.

        Args:
            t: one time or several, `(time,)`.

        Raises:
            ValueError: if the run was made without `dense=True`, or t lies outside of it.
        """
        if self.interpolation is None:
            raise ValueError("no dense output was kept: call simulate(..., dense=True)")
        kept = filter(eqx.is_inexact_array, jax.tree.leaves(self.interpolation))
        dtype = np.result_type(*(x.dtype for x in kept))
        with precision(dtype):
            at = own_numbers(t, "t", "ms")
            first, last = np.max(self.times[..., 0]), np.min(self.times[..., -1])
            if at.size == 0 or not (at.min() >= first and at.max() <= last):
                raise ValueError(f"t: expected times from {first:g} to {last:g} ms, got {t}")
            at = np.asarray(at - first, dtype)  # the dense output counts from the first time
            evaluate = jax.vmap(_state_at, (None, 0)) if at.ndim else _state_at
            for _ in range(np.ndim(self.status)):
                evaluate = eqx.filter_vmap(evaluate, in_axes=(eqx.if_array(0), None))
            return to_host(evaluate(self.interpolation, at))

    @property
    def variables(self) -> list[str]:
        """The names of the variables, in the order of the flattened state."""
        batch = np.ndim(self.status) + 1
        return variable_names(
            jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x)[batch:], x.dtype), self.states)
        )

    @property
    def final(self) -> Arrays:
        """The last state."""
        axis = np.ndim(self.status)
        return jax.tree.map(lambda x: x[(slice(None),) * axis + (-1,)], self.states)

    def raise_failures(self) -> "Trajectory":
        """This trajectory, if it succeeded (all of its batch did).

        Raises:
            SimulationError: which lane, when, which variable, and what to change.
        """
        if np.any(np.asarray(self.status) != Status.OK):
            names = list(self.of) or self.variables
            raise SimulationError(
                describe_failure(self.status, self.failed_at, self.failed_variable, names)
            )
        return self

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`: one variable per field of the state, dims `(batch..., time, unit)`.

        Populations of different sizes have a dimension each, `e_unit` and `i_unit`. A field of the
        state keeps its name whatever it is: beside one called `status` there is `trajectory_status`.
        """
        from rnnjax._files.datasets import trajectory_dataset

        return trajectory_dataset(self.times, named_leaves(self.states), self.status, self.unit)

    def _repr_html_(self) -> str:
        return self.to_xarray()._repr_html_()

    def __repr__(self) -> str:
        """The shape of the run and how it ended."""
        codes = np.atleast_1d(np.asarray(self.status)) if not is_traced(self.status) else []
        ended = ", ".join(sorted({Status(int(c)).name for c in np.ravel(codes)}))
        shape = np.shape(self.times)
        return f"Trajectory({shape[-1]} times, variables {self.variables[:4]}, {ended})"
