"""Branches across the kinks of rectified circuits."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from rnnjax._continuation.corrector import nearest
from rnnjax._continuation.path import Arrival, Place, SmoothPath, aimed
from rnnjax._continuation.problem import Landing
from rnnjax._numerics.roots import looking
from rnnjax._precision import index_of_largest
from rnnjax._types import Array, Float
from rnnjax.bifurcations._base import ASIDE

_ON_KINK = 1e-9  # scaled distance from a kink below which a point is on it


@dataclasses.dataclass(frozen=True)
class KinkedPath(SmoothPath):
    """A line whose equations have kinks where a switching function is zero.

    A place's frame says which of those functions are positive.

    Attributes:
        switching: the functions, `(m,)`, of a point.
        kink: which of the tests stands for the kinks, if one does.
    """

    switching: Callable[[Array], Array]
    kink: int | None

    def _reached(self, at: Place, landing: Landing) -> Arrival:
        """The end of a step, which is cut short at the first kink.

        Where the tangent says that a switching function gets to zero within the step, the point is
        sought where it is; else as on a smooth line, and on the same side of all kinks.
        """
        switching, active = self.switching, at.frame
        value, slope = jax.jvp(switching, (at.u,), (at.tangent,))
        leaving = jnp.where(active, slope < 0, slope > 0)
        far = jnp.where(leaving, -value / jnp.where(leaving, slope, 1.0), jnp.inf)
        ahead = jnp.maximum(far.min(), 0.0)
        stops = ahead <= landing.step
        first = index_of_largest(-far)
        guess, normal = aimed(at, landing)
        guess = jnp.where(stops, at.u + ahead * at.tangent, guess)

        def across(u: Array) -> tuple[Array, Array]:
            value, pull = jax.vjp(lambda z: switching(z)[first], u)
            (gradient,) = pull(jnp.ones_like(value))
            size = jnp.sqrt(gradient @ gradient)
            plane = normal, normal @ (u - guess)
            return jax.tree.map(
                lambda a, b: jnp.where(stops, a, b), (gradient / size, value / size), plane
            )

        u, solved = nearest(looking(self.in_frame(active)), guess, across)
        value = switching(u)
        gradients = jax.jacfwd(switching)(u)
        zero = abs(value) <= _ON_KINK * jnp.sqrt((gradients**2).sum(1))
        landed = landing.lands & ~stops
        step = jnp.where(stops | landed, at.tangent @ (u - at.u), landing.step)
        solved &= (((value > 0) == active) | zero).all() & (step > -_ON_KINK)
        solved &= landed | self.bounds.hold(u)
        kink = zero & stops & leaving
        new, beyond = self._sides(at, jnp.where(solved, u, at.u), kink)
        return Arrival(new, beyond, solved, landed, kink.any(), jnp.maximum(step, 0.0))

    def _sides(self, at: Place, u: Array, kink: Bool[Array, " switch"]) -> tuple[Place, Place]:
        """The end of a step, and the place from which the next one goes on, on the other side."""
        aside = jnp.where(kink.any(), ASIDE, 0.0) * at.tangent
        new = self.place(u - aside, at.frame, at.tangent)._replace(u=u)
        # it goes on to where what was positive is negative, and the other way round
        first = index_of_largest(kink)
        gradient = jax.grad(lambda z: self.switching(z)[first])(u)
        onward = gradient * jnp.where(at.frame[first], -1.0, 1.0)
        onward = onward / jnp.sqrt(onward @ onward)
        along = jnp.where(kink.any(), onward, at.tangent)
        frame = jnp.where(kink, ~at.frame, at.frame)
        return new, self.place(u + aside, frame, along)._replace(u=u)

    def _roots(self, root: Float[Array, " test"], arrival: Arrival) -> Float[Array, " test"]:
        """The test of the kinks vanishes where a step ends on one."""
        if self.kink is None:
            return root
        return root.at[self.kink].set(jnp.where(arrival.kinked, 1.0, jnp.nan))
