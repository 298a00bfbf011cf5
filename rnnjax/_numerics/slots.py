"""Slots of arrays of fixed shape: none of them is empty while a program runs, NaN is written last.

What is not there would have to be NaN, and 0 times NaN is NaN: it would spoil the gradient of all that is. So a
slot that nothing was found for holds a copy of one that something was found for, everything is computed of it,
and on the way out NaN is chosen in its place: what comes back for it is exactly nothing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._numerics.implicit import only, refuse, wanted_where, without_derivatives, zero_of
from rnnjax._precision import index_of_largest
from rnnjax._types import AnyArray, Array, Arrays, Bool, T


class Slots(NamedTuple):
    """Which slots are filled; made by `slots_of`. A single result is one slot, without an axis.

    Attributes:
        there: `(slot,)`.
        given: the arrays that what is found depends on, without derivatives where no slot is filled.
        refusal: 0, whose derivatives by them are NaN if they are asked for.
    """

    there: Bool[AnyArray, "*slot"]
    given: Arrays
    refusal: AnyArray

    def filled(self, tree: T) -> T:
        """Arrays `(slot, ...)` with copies of what is in the first filled slot in those that are not."""
        if not np.ndim(self.there):
            return tree
        host = isinstance(self.there, np.ndarray)
        first = int(self.there.argmax()) if host else index_of_largest(self.there)

        def leaf(x: AnyArray) -> AnyArray:
            xp: Any = np if host and isinstance(x, np.ndarray) else jnp
            return xp.where(self._beside(x), x, x[first])

        return jax.tree.map(leaf, tree)

    def written(self, x: AnyArray) -> AnyArray:
        """Floats `(slot, ...)`, NaN where nothing is there; so are the derivatives there, if they are asked for."""
        if not isinstance(x, jax.Array):
            return np.where(self._beside(x), x, np.nan)
        never = jnp.zeros((), bool)
        unknown = only(never, jnp.broadcast_to(self.refusal, x.shape).astype(x.dtype))
        return jnp.where(self._beside(x), x, unknown + jnp.full((), jnp.nan, x.dtype))

    def _beside(self, x: AnyArray) -> AnyArray:
        """`there`, with axes for the others of x."""
        return self.there.reshape(*self.there.shape, *(1,) * (x.ndim - self.there.ndim))


def slots_of(there: Bool[AnyArray, "*slot"], given: Arrays) -> Slots:
    """Slots, and the arrays (floats among others) on which what is in them depends.

    Args:
        there: which are filled.
        given: what derivatives may be asked by; where none is filled nothing comes back to it.
    """
    if isinstance(there, np.ndarray | np.generic):
        return Slots(np.asarray(there), given, np.zeros(()))
    # it depends on them, as JAX batches what has derivatives by something only together with that
    zero = jnp.asarray(zero_of(eqx.filter(given, eqx.is_inexact_array)))
    return Slots(there, wanted_where(there.any(), given), without_derivatives(given, zero))


def of_known(function: Callable[[Array], Array], x: AnyArray) -> AnyArray:
    """`function(x)` of each number, which is defined at 1: NaN where x is, which spoils no gradient of others."""
    if not isinstance(x, jax.Array):
        return function(x)  # pyright: ignore[reportArgumentType]
    known = ~jnp.isnan(x)
    return refuse(known, function(jnp.where(known, x, jnp.ones((), x.dtype))))
