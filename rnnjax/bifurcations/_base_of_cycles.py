"""What every bifurcation of periodic orbits is, and what its test is given."""

import abc
from typing import ClassVar, NamedTuple

import jax.numpy as jnp

from rnnjax._numerics.collocation import Row
from rnnjax._types import Array, Float
from rnnjax.bifurcations._cycle_form import Orbiting
from rnnjax.bifurcations._known import AbstractType


class CyclePlace(NamedTuple):
    r"""A periodic orbit on a branch.

    Attributes:
        first, last: $A x_0 + B x_T = 0$ is what is left of the variational equation, `(n, n)` each;
            the Floquet multipliers are those of $\mu B x = -A x$.
        sign: of det B.
        flow: the vector field where the orbit begins, `(n,)`.
        turn: what the parameter changes along the branch.
        switching: the smallest and the largest value of each switching function along the orbit,
            `(m, 2)`; None for a circuit without.
    """

    first: Float[Array, "n n"]
    last: Float[Array, "n n"]
    sign: Float[Array, ""]
    flow: Float[Array, " n"]
    turn: Float[Array, ""]
    switching: Float[Array, "m 2"] | None = None


class AbstractOfCycles(AbstractType):
    """A type of point at which periodic orbits or their stability change.

    Its `test` is smooth along a branch of orbits and changes its sign there.

    Attributes:
        turns: whether the test is what the parameter changes along the branch, so that it changes
            its sign with the direction in which the branch is followed.
    """

    variables = 2
    in_two = True
    turns: ClassVar[bool] = False

    def form(self, of: Orbiting, place: CyclePlace, tangent: Row) -> tuple[Array, Array]:
        """Which of its kinds it is, and the coefficient of its normal form.

        Args:
            of: the orbit with its equations.
            place: what is left of them.
            tangent: the direction of the branch.
        """
        raise NotImplementedError(type(self).__name__)

    @abc.abstractmethod
    def test(self, place: CyclePlace) -> Array:
        """What changes its sign."""

    def genuine(self, place: CyclePlace) -> Array:
        """Whether it is what its test stands for."""
        return jnp.ones((), bool)


class Nothing(AbstractOfCycles):
    """What never happens, where nothing is looked for."""

    label = ""
    kinds = ("",)
    in_two = False

    def form(self, of: Orbiting, place: CyclePlace, tangent: Row) -> tuple[Array, Array]:
        """Nothing."""
        return jnp.zeros((), jnp.int32), jnp.zeros(())

    def test(self, place: CyclePlace) -> Array:
        """What is never 0."""
        return 1.0 + 0 * place.turn


class Transverse(NamedTuple):
    r"""What is transverse to the flow: $A x + \mu B x = 0$, `(n - 1, n - 1)` each, and the sign of det B."""

    first: Float[Array, "n-1 n-1"]
    last: Float[Array, "n-1 n-1"]
    sign: Float[Array, ""]


def transverse(place: CyclePlace) -> Transverse:
    r"""The equations without the direction f of the flow, in which $A f + B f = 0$.

    By one reflection on each side, so that multipliers of $10^{\pm 15}$ leave the others their digits.
    """
    unit = place.flow / jnp.sqrt((place.flow**2).sum())
    right, _ = _mirror(unit)
    left, _ = _mirror(place.last @ unit - place.first @ unit)
    a, b = (left @ m @ right for m in (place.first, place.last))
    return Transverse(a[1:, 1:], b[1:, 1:], place.sign * jnp.sign(b[0, 0]))


def _mirror(vector: Array) -> tuple[Array, Array]:
    """The reflection that brings a vector to the first axis, and the length it has there."""
    length = jnp.sqrt((vector**2).sum())
    sign = jnp.where(vector[0] < 0, -1.0, 1.0)
    v = vector + sign * length * jnp.eye(vector.size)[0]
    return jnp.eye(vector.size) - 2 * v[:, None] * v[None] / (v**2).sum(), -sign * length
