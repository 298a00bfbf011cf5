"""What every bifurcation of periodic orbits is, and what its test is given."""

import abc
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from rnnjax._small import determinant, inverse
from rnnjax._types import Array
from rnnjax.bifurcations._base import normalized_determinant


class CyclePlace(NamedTuple):
    r"""A periodic orbit on a branch.

    Attributes:
        first, last: $A x_0 + B x_T = 0$ is what is left of the variational equation, `(n, n)` each;
            the Floquet multipliers are those of $\mu B x = -A x$.
        flow: the vector field where the orbit begins, `(n,)`.
        turn: what the parameter changes along the branch.
    """

    first: Array
    last: Array
    flow: Array
    turn: Array


class AbstractOfCycles(eqx.Module):
    """A type of point at which periodic orbits or their stability change.

    Its `test` is smooth along a branch of orbits and changes its sign there.
    """

    label: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    variables: ClassVar[int] = 2  # below so many there can be none

    @abc.abstractmethod
    def test(self, place: CyclePlace) -> Array:
        """What changes its sign."""

    def genuine(self, place: CyclePlace) -> Array:
        """Whether it is what its test stands for."""
        return jnp.ones((), bool)


def signed_determinant(matrix: Array, last: Array) -> Array:
    """A determinant of a sum with B, without the signs that elimination gives to both."""
    return normalized_determinant(matrix) * jnp.where(determinant(last) < 0, -1.0, 1.0)


def transverse(place: CyclePlace) -> Array:
    """The monodromy matrix of what is transverse to the flow, `(n - 1, n - 1)`.

    In an orthonormal basis that begins with the flow's direction, by a reflection.
    """
    n = place.flow.size
    monodromy = -inverse(place.last) @ place.first
    unit = place.flow / jnp.sqrt((place.flow**2).sum())
    sign = jnp.where(unit[0] < 0, -1.0, 1.0)
    v = unit + sign * jnp.eye(n)[0]
    mirror = jnp.eye(n) - 2 * v[:, None] * v[None] / (v**2).sum()
    return (mirror @ monodromy @ mirror)[1:, 1:]
