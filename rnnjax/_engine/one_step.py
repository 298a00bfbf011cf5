"""One fixed step: the field, what is drawn for the step, and how the solver goes on."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Int, Shaped

from rnnjax._engine.driven import DrivenBy, moved_by_jumps
from rnnjax._machine.compute_once import Keeping
from rnnjax._numerics.digits import Digits
from rnnjax._numerics.memory import Axes
from rnnjax._numerics.moments import AbstractMoment, GridMoment
from rnnjax._types import Array, Arrays, DTypeLike, Float, Key, Numbers, State
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import (
    Field,
    Iteration,
    Solver,
    noisy_step_function,
    step_function,
    with_displacements,
)

Parameters = tuple[Callable[..., State], DrivenBy]
"""What a field depends on: a circuit and its input."""
Keys = Shaped[Array, "..."]  # one random key, or one per lane
ResultT = TypeVar("ResultT")


class Beside(NamedTuple):
    """What a step depends on beside its field.

    Attributes:
        start: time of the first step, ms.
        grid: the length of a step, ms.
        jumps: when (ms) the input jumps.
        noise: the diffusion, diagonal and Ito.
        increments: Wiener increments `(step, variables)` instead of drawing them.
    """

    start: Digits
    grid: Digits
    jumps: tuple[Digits, ...]
    noise: AbstractNoise | None
    increments: Numbers | None

    @property
    def step(self) -> Float[Array, ""]:
        """The length of a step in the dtype of the run, ms."""
        return self.grid.value

    def moment(self, n: Int[Array, ""]) -> GridMoment:
        """The time after n steps."""
        return GridMoment(self.start, self.grid, n)


@dataclasses.dataclass(frozen=True)
class OneStep:
    """One step of one lane; of a batch, whose lanes are last, by `each`.

    Attributes:
        field: `(parameters, moment, state) -> slope`.
        parameters: what the field depends on.
        beside: what else a step depends on.
        key: for the noise; of a batch one per lane.
        solver: the method.
        unravel: from a vector to the structure of the state.
        normals: how many a step draws: one per variable, or as many as go with a row.
        lanes: whether it is a batch.
        along: the parameters of the field that displacements follow.
        keep: what of a step is computed once.
        rows: numbers for each step, steps in front.
    """

    field: Callable[[Parameters, AbstractMoment, State], State]
    parameters: Parameters
    beside: Beside
    key: Keys | None
    solver: Solver
    unravel: Callable[[Array], State]
    normals: int
    lanes: bool
    along: Parameters | None = None
    keep: Keeping | None = None
    rows: Arrays = None

    def each(
        self, function: Callable[..., ResultT], in_axes: Axes, out_axes: Axes
    ) -> Callable[..., ResultT]:
        """`function` of one lane, for all lanes; 1 in the axes stands for the lane's."""
        if not self.lanes:
            return function

        def last(axes: Axes) -> Axes:
            return jax.tree.map(lambda a: -1 if a == 1 else a, axes, is_leaf=lambda a: a is None)

        return jax.vmap(function, last(in_axes), last(out_axes))

    def moment(self, n: Int[Array, ""]) -> GridMoment:
        """The time after n steps."""
        return self.beside.moment(n)

    def __call__(
        self, field: Field, beside: Beside, n: Int[Array, ""], state: State, dw: Arrays
    ) -> State:
        """The state after step number n, with `field(t, state)`."""
        if self.rows is not None:
            return step_function(self.solver)(field, beside.moment(n), (state, dw), beside.step)
        if self.along is None:
            return self._advanced(field, beside, n, state, dw)
        if beside.noise is None and not isinstance(self.solver, Iteration):
            both = with_displacements(field, functools.partial(self.field, self.along))
            return step_function(self.solver)(both, beside.moment(n), state, beside.step)
        state, moved = state
        after, push = jax.linearize(lambda z: self._advanced(field, beside, n, z, dw), state)
        return after, jax.vmap(push)(moved)

    def draws(self, beside: Beside, n: Int[Array, ""], length: int) -> Arrays:
        """`(step, variables[, lane])`: increment n depends on the key and n alone."""
        dtype = beside.step.dtype
        if self.rows is not None:
            cut = functools.partial(lax.dynamic_slice_in_dim, start_index=n, slice_size=length)
            row = jax.tree.map(lambda x: cut(lax.stop_gradient(x)), self.rows)
            return row, self._drawn(n, length, dtype) if self.normals else None
        if beside.noise is None:
            return None
        if beside.increments is not None:
            return lax.dynamic_slice_in_dim(jnp.asarray(beside.increments, dtype), n, length)
        return jnp.sqrt(beside.step) * self._drawn(n, length, dtype)

    def _advanced(
        self, field: Field, beside: Beside, n: Int[Array, ""], state: State, dw: Arrays
    ) -> State:
        t, noise = beside.moment(n), beside.noise
        if not isinstance(self.solver, Iteration):  # of a map the next state is no slope
            slope = jax.tree_util.Partial(self.field, self.parameters)
            state = moved_by_jumps(state, beside.jumps, slope, t, beside.moment(n + 1))
        if noise is None:
            keep = None if self.keep is None else self.keep._replace(like=beside.step)
            return step_function(self.solver)(field, t, state, beside.step, keep)
        advance = noisy_step_function(self.solver, noise.additive)
        return advance(field, lambda _, s: noise(s), t, state, beside.step, self.unravel(dw))

    def _drawn(
        self, n: Int[Array, ""], length: int, dtype: DTypeLike
    ) -> Float[Array, "step normal *lane"]:
        def draw(key: Key, n: Int[Array, ""]) -> Float[Array, " normal"]:
            return jax.random.normal(jax.random.fold_in(key, n), (self.normals,), dtype)

        numbers = n + jnp.arange(length, dtype=n.dtype)
        return self.each(lambda key: jax.vmap(lambda n: draw(key, n))(numbers), (0,), 1)(self.key)
