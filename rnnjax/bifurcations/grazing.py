"""Grazing: a periodic orbit first touches a kink of the vector field."""

import jax.numpy as jnp

from rnnjax._numerics.collocation import Row
from rnnjax._types import Array
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, CyclePlace
from rnnjax.bifurcations._cycle_form import Orbiting


class Grazing(AbstractOfCycles):
    r"""An orbit touches the set where one of the circuit's switching functions is zero.

    A unit that was active all along falls silent for a moment, or one that was silent speaks. The vector
    field is continuous there, and so is the orbit's stability; what changes is how the orbit goes on:
    of a circuit that is linear between its kinks, orbits may begin with a finite amplitude. The test
    is the product of the smallest and the largest value of each switching function along the orbit,
    each bounded. Found for circuits that say what their `switching_functions` are.

    References:
        di Bernardo, Budd, Champneys and Kowalczyk (2008), Piecewise-smooth Dynamical Systems, chapter 7.
    """

    label = "GR"
    kinds = ("grazing",)
    word = "grazing"
    marker = "v"
    of_kinks = True
    in_two = False

    def form(self, of: Orbiting, place: CyclePlace, tangent: Row) -> tuple[Array, Array]:
        """It has no coefficient."""
        return jnp.zeros((), jnp.int32), jnp.full((), jnp.nan)

    def test(self, place: CyclePlace) -> Array:
        """What is zero where an extreme of a switching function is."""
        assert place.switching is not None
        return (place.switching / (1 + abs(place.switching))).prod()
