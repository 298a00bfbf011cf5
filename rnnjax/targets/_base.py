"""What every target is, and what targets share."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._equilibria.find_equilibria import find_equilibria
from rnnjax._machine.kept import program
from rnnjax._numerics.eigenvalues import eigenvalues
from rnnjax._numerics.trees import flatten
from rnnjax._parameter import check
from rnnjax._precision import cast, default_dtype, in_float64
from rnnjax._training.objective import AbstractObjective
from rnnjax._types import (
    Array,
    Arrays,
    Expected,
    InputLike,
    Key,
    Scalar,
    Shapes,
    State,
    T,
    is_traced,
)
from rnnjax.circuits._base import AbstractCircuit, AbstractNetwork, Driven
from rnnjax.circuits._checks import apart, as_input, check_run, starting_state
from rnnjax.circuits._flat import flat_field
from rnnjax.circuits._task_network import TaskNetwork


class AbstractTarget(AbstractObjective):
    """An objective that asks for a property of the dynamics, not for a trajectory.

    It takes a circuit, a `TaskNetwork` or `Driven(circuit, input)`, draws nothing, is computed in
    float64, and is 0 where the circuit does what is wanted. Write one by subclassing: `input` as a
    field, and `loss`. Targets add up with each other and with `OnTask`, and can be weighted.
    """

    input: eqx.AbstractVar[Any]

    @abc.abstractmethod
    def loss(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> Any:
        """How far the circuit is from it; in float64, and differentiable."""

    def fits(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> None:
        """Refuse, by shapes alone, a circuit that it is not for."""

    def check(self, circuit: Expected[AbstractCircuit[Any] | Driven], key: Key | None) -> None:
        """Refuse a circuit that it is not for, before anything compiles."""
        own, input = apart(circuit, self.input)
        check_run(own, input, None, None)
        starting_state(own, input, None)
        if not is_traced(self):
            check(self)
        self.fits(own, input)

    def __call__(
        self, circuit: Expected[AbstractCircuit[Any] | Driven], key: Key | None = None
    ) -> Any:
        """How far the circuit is from what is wanted."""
        self.check(circuit, key)
        if is_traced(circuit):  # a constant of a float32 program can't hold float64
            self = cast(self, default_dtype())
        return in_float64(_loss, self, circuit)


@program
def _loss(target: AbstractTarget, circuit: Expected[AbstractCircuit[Any] | Driven]) -> Any:
    return target.loss(*apart(circuit, target.input))


def spectrum(jacobian: Array) -> Array:
    """Eigenvalues per ms, the one with the largest real part first."""
    return jnp.asarray(eigenvalues(jacobian))


def missed(jacobian: Array, most: Scalar, least: Scalar) -> Array:
    """By how much the growth rate is above `most` or below `least`; 0, and its derivatives, between.

    Derivatives of eigenvalues need not be finite: they are asked for only where they count.
    """
    known = spectrum(jax.lax.stop_gradient(jacobian)).real[0]
    counts = (known > most) | (known < least)
    apart = jnp.diag(jnp.arange(jacobian.shape[0], dtype=jacobian.dtype))
    rate = spectrum(jnp.where(counts, jacobian, apart)).real[0]
    return jnp.where(counts, jnp.where(known > most, rate - most, least - rate), 0.0)


def of_network(circuit: AbstractCircuit[Any]) -> Any:
    """The time constant of a network in ms, one or one per unit; 1 ms for other circuits."""
    inner = circuit.circuit if isinstance(circuit, TaskNetwork) else circuit
    return inner.tau if isinstance(inner, AbstractNetwork) else np.ones(())


def for_every_entry(given: Shapes, wanted: Shapes) -> Array:
    """One number, or a structure of numbers, for every entry of a flattened structure.

    Raises:
        ValueError: for a structure or shapes that do not fit.
    """
    one = jax.tree.structure(given) == jax.tree.structure(0)
    if one and jax.tree.structure(wanted) != jax.tree.structure(0) and np.shape(given) == ():
        given = jax.tree.map(lambda _: given, wanted)
    if jax.tree.structure(given) != jax.tree.structure(wanted):
        raise ValueError(
            f"expected one number or the structure of {jax.tree.structure(wanted)}, got "
            f"{jax.tree.structure(given)}"
        )
    each = jax.tree.map(lambda x, w: jnp.broadcast_to(x, np.shape(w)), given, wanted)
    return flatten(each)[0]


def guarded(function: Callable[[T], tuple[Array, Array]], tree: T) -> tuple[Array, Array]:
    """`function(tree)`, which gives numbers and whether they are good; no derivatives where not.

    Where a search finds nothing its derivative is not finite, and 0 times that is NaN: so what
    comes back from a `jnp.where` further down is stopped here.
    """
    arrays, fixed = eqx.partition(tree, eqx.is_inexact_array)

    def run(arrays: Arrays) -> tuple[Any, Any]:
        value, good = function(eqx.combine(arrays, fixed))
        return jnp.where(good, value, 0.0), good

    @jax.custom_jvp
    def result(arrays: Arrays) -> tuple[Any, Any]:
        return run(arrays)

    @result.defjvp
    def _(primals: tuple[Arrays], tangents: tuple[Arrays]) -> tuple[Any, Any]:
        value, push, good = jax.linearize(run, primals[0], has_aux=True)
        pushed = push(jax.tree.map(lambda t: jnp.where(good, t, 0.0), tangents[0]))
        none = np.zeros(np.shape(good), jax.dtypes.float0)
        return (value, good), (jnp.where(good, pushed, 0.0), none)

    return result(arrays)


class AbstractAtEquilibrium(AbstractTarget):
    r"""A target at the equilibrium that is found from a state, anew at each step.

    The equilibrium moves with the circuit, and so does the gradient, by the implicit function. Where
    none is found, $L = 1 + \langle (\tau_i f_i(x))^2 \rangle_i$ at the state itself, which makes one
    there, with the network's time constants $\tau$, 1 ms for other circuits.
    """

    near: eqx.AbstractVar[Any]

    @abc.abstractmethod
    def at(
        self,
        circuit: AbstractCircuit[Any],
        input: Expected[InputLike | None],
        state: State,
        jacobian: Array,
    ) -> Array:
        """How far the circuit is from it, of an equilibrium and its Jacobian per ms."""

    def fits(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> None:
        """Refuse a state that does not fit."""
        try:
            starting_state(circuit, input, self.near)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}.near: {error}") from None

    def loss(self, circuit: AbstractCircuit[Any], input: Expected[InputLike | None]) -> Array:
        """How far the equilibrium is from it, or the state from being one."""
        found, good = guarded(_at_equilibrium, (self, circuit, input))
        near = circuit.rest() if self.near is None else self.near
        x, field = flat_field(circuit, as_input(circuit, input), near, np.zeros(()))
        missing = jnp.mean((for_every_entry(of_network(circuit), near) * field(x)) ** 2)
        return jnp.where(good, found, 1 + missing)


def _at_equilibrium(
    given: tuple["AbstractAtEquilibrium", AbstractCircuit[Any], Expected[InputLike | None]],
) -> tuple[Array, Array]:
    target, circuit, input = given
    near = circuit.rest() if target.near is None else target.near
    near = jax.tree.map(jnp.asarray, near)
    found = find_equilibria(circuit, input, guesses=jax.lax.stop_gradient(near), throw=False)
    assert found.jacobian is not None
    good = found.found[0]
    state = jax.tree.map(lambda x, y: jnp.where(good, x, y), found[0], near)
    apart = jnp.diag(-1.0 - jnp.arange(found.jacobian.shape[-1], dtype=jnp.float64))
    jacobian = jnp.where(good, found.jacobian[0], apart)
    return target.at(circuit, input, state, jacobian), good
