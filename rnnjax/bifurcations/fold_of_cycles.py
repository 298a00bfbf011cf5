"""The fold of cycles: two periodic orbits, one of them unstable, meet and vanish."""

import jax.numpy as jnp

from rnnjax._numerics.collocation import Row, at_gauss_points
from rnnjax._types import Array
from rnnjax.bifurcations._base_of_cycles import AbstractOfCycles, CyclePlace
from rnnjax.bifurcations._cycle_form import Orbiting, as_complex, null_vectors


class FoldOfCycles(AbstractOfCycles):
    r"""A multiplier passes through 1: a branch of periodic orbits turns.

    Also called limit point of cycles or saddle-node of periodic orbits. The test is what the
    parameter changes along the branch. The coefficient is $b$ of $\dot \xi = b \xi^2$, with
    $\int |v|^2 dt = 1$; its sign depends on the direction of the branch.

    References:
        Kuznetsov (2004), Elements of Applied Bifurcation Theory, section 5.3.
    """

    label = "LPC"
    kinds = ("fold of cycles",)
    word = "fold of cycles"
    plural = "folds of cycles"
    marker = "s"
    turns = True

    def test(self, place: CyclePlace) -> Array:
        """How the parameter changes along the branch."""
        return place.turn

    def form(self, of: Orbiting, place: CyclePlace, tangent: Row) -> tuple[Array, Array]:
        r"""$2 b \langle \phi, v \rangle = \langle \phi, B(v, v) + 2 k A v \rangle$.

        $v' - A v = k f$, along which the branch goes on.
        """
        v = at_gauss_points(tangent.x)
        size = of.size(v)
        v, k = v / size, tangent.period / of.cycle.period / size
        _, left = null_vectors(of.matrix(as_complex(jnp.ones(()))))
        drive = of.along(2)(v, v) + 2 * k * of.along(1)(v)
        top, bottom = ((left * of.left(as_complex(x))).sum() for x in (drive, v))
        return jnp.zeros((), jnp.int32), (top / bottom).real / 2
