"""What is read off many orbits at once: how perturbations grow, and how far they swing."""

from typing import TypeAlias

import jax

from rnnjax._machine.parts import compiled_part
from rnnjax._numerics.extremes import extremes
from rnnjax._orbits.search import sorted_multipliers
from rnnjax._types import AnyArray

Multipliers: TypeAlias = tuple[AnyArray, AnyArray]  # their real and imaginary parts


def multipliers_of(first: AnyArray, last: AnyArray) -> Multipliers:
    """Of several orbits, from what is left of their variational equations."""
    values = sorted_multipliers(first, last)
    return values.real, values.imag


def reach_of(scale: AnyArray, x: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The smallest and the largest values along several orbits."""
    low, high = jax.vmap(extremes)(x)
    return low * scale[:-1], high * scale[:-1]


multipliers_part, reach_part = compiled_part(multipliers_of), compiled_part(reach_of)
