"""Families of equilibria, as bumps of activity at any angle are: found, and held at one of their places."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._branches.branch import Branch
from rnnjax._equilibria.find_equilibria import find_equilibria
from rnnjax._equilibria.guesses import rows_of
from rnnjax._numerics.dense import solve
from rnnjax._numerics.trees import flatten
from rnnjax._results import BranchEnd
from rnnjax._types import AnyArray, Array, Float, Input, InputLike, Scalar, State
from rnnjax._where import Where
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart
from rnnjax.circuits._flat import states_of

_NEUTRAL = 1e-7  # of the largest singular value, one that is zero along a family
_BESIDE = 1e-2  # of a state's size, how far off another of its equilibria is looked for


class Held(AbstractCircuit[Any]):
    r"""A circuit whose equilibria come in families, without the freedom to move along them.

    $g(x) = f(x) - \kappa\, t(x)\, v_0^T (x - x_0)$, with $f_x t = 0$ and $v_0^T t = 1$. Its equilibria are those of
    the family that lie on the plane, and there its eigenvalues are those of $f_x$ but for the one along the family,
    which is $-\kappa$ instead of 0 (Brauer).

    Attributes:
        circuit: f.
        begin: $x_0$, flat.
        normal: $v_0$, of length 1.
        left: what t is found against, a direction that $f_x$ does not reach at $x_0$.
        rate: $\kappa$, per ms.

    References:
        Brauer (1952), Duke Mathematical Journal 19:75-91; Beyn and Thuemmler (2004), SIAM Journal on Applied
        Dynamical Systems 3:85-116.
    """

    circuit: AbstractCircuit[Any]
    begin: Float[AnyArray, " n"]
    normal: Float[AnyArray, " n"]
    left: Float[AnyArray, " n"]
    rate: Scalar

    def __call__(self, state: State, input: Input) -> State:
        """The vector field g."""
        x, unravel = flatten(state)

        def field(y: Array) -> Array:
            return flatten(self.circuit(unravel(y), input))[0]

        # what vanishes on the plane needs no derivatives of what it is multiplied by
        still = lax.stop_gradient(jax.jacfwd(field)(lax.stop_gradient(x)))
        normal, left, begin = (jnp.asarray(v) for v in (self.normal, self.left, self.begin))
        border = jnp.concatenate([normal, jnp.zeros(1)])
        matrix = jnp.concatenate([jnp.concatenate([still, left[:, None]], 1), border[None]])
        t = lax.stop_gradient(solve(matrix, jnp.zeros(x.size + 1).at[-1].set(1.0)))[:-1]
        return unravel(field(x) - self.rate * t * (normal @ (x - begin)))

    def rest(self) -> State:
        """That of the circuit."""
        return self.circuit.rest()

    def no_input(self) -> Input:
        """That of the circuit."""
        return self.circuit.no_input()

    def switching_functions(self, state: State, input: Input) -> Any:
        """Those of the circuit."""
        return self.circuit.switching_functions(state, input)


def lost(branch: Branch) -> bool:
    """Whether a branch could not be begun, or be followed further with the smallest step."""
    return any(not end.reached and end != BranchEnd.MAX_POINTS for end in branch.endings)


def along_family(
    branch: Branch,
    circuit: AbstractCircuit[Any] | Driven,
    where: Where[Any],
    state: State,
    input: InputLike | None,
    time: float,
    follow: Callable[..., Branch],
    jacobians: Callable[[Float[np.ndarray, "row unknown"]], Float[np.ndarray, "row n n"]],
) -> Branch:
    """What is followed of a family of equilibria near a state; the branch as it is if there is none.

    Args:
        branch: what could not be followed.
        circuit: the circuit or `Driven`.
        where: names the number that is followed.
        state: where it begins.
        input: the input.
        time: in ms.
        follow: `(circuit, where, start, input=) -> ` the branch of another circuit.
        jacobians: those of the circuit at states with values of the number.
    """
    own, drive = apart(circuit, input)
    one = held(own, drive, state, time)
    if one is None:
        return branch
    begin = states_of(state, one.begin)
    if isinstance(circuit, Driven):
        found = follow(
            Driven(one, circuit.input), lambda d: where(Driven(d.circuit.circuit, d.input)), begin, input=None
        )  # fmt: skip
    else:
        found = follow(one, lambda h: where(h.circuit), begin, input=input)
    special = dataclasses.replace(
        found.special, coefficient=np.full_like(found.special.coefficient, np.nan)
    )
    rows = np.concatenate([rows_of(found.states), np.asarray(found.parameter)[:, None]], 1)
    return dataclasses.replace(
        found, special=special, jacobian=jacobians(rows), name=branch.name, family=True
    )


def held(
    circuit: AbstractCircuit[Any], input: InputLike | None, state: State, time: float
) -> Held | None:
    """The circuit held at one place of a family of equilibria near a state; None if they are no family.

    They are one if the Jacobian has one zero, and there are equilibria beside it on both sides along its direction.
    """
    found = find_equilibria(circuit, input, guesses=state, time=time, throw=False)
    if not found.found[0] or found.jacobian is None:
        return None
    x = rows_of(found.states)[0]
    left, values, right = np.linalg.svd(found.jacobian[0])
    if x.size < 2 or not values[-1] <= _NEUTRAL * values[0] < values[-2]:
        return None
    size, along = _BESIDE * max(float(abs(x).max()), 1.0), right[-1]
    beside = states_of(state, np.stack([x - size * along, x + size * along]))
    others = find_equilibria(circuit, input, guesses=beside, time=time, throw=False)
    places = np.sort((rows_of(others.states) - x) @ along / size)
    if not (others.found.all() and places[0] < -0.5 and places[1] > 0.5):
        return None
    return Held(circuit, x, along, left[:, -1], np.asarray(values[0]))
