"""A branch of equilibria of a large circuit, by products with vectors alone, as the march sees it."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Complex, Int

from rnnjax._continuation.problem import AbstractProblem, Attempt, Bounds, Landing, Steps, way_back
from rnnjax._numerics.implicit import DIMENSION
from rnnjax._numerics.krylov import Ritz, gmres
from rnnjax._numerics.roots_by_products import rests, search
from rnnjax._results import BranchEnd
from rnnjax._types import Array, Float, Function

# scaled state and parameter -> leading eigenvalues, and which of them are right
Spectrum: TypeAlias = Callable[[Array], tuple[Ritz, Array]]

_FIRST, _SMALLEST = 1e-2, 1e-6  # steps, scaled
_NEWTON = 12  # corrections of a step at most
_STRAIGHT, _BENT = 0.99, 0.9  # cosines of the angle between tangents: to grow, and to be taken
_TANGENT = 1e-9  # relative residual of a tangent's linear system

Point = Float[Array, " unknown"]


class LargePlace(NamedTuple):
    """An equilibrium with the direction of the branch and its leading eigenvalues.

    Attributes:
        u: state and parameter, scaled.
        tangent: of length 1.
        values: the leading eigenvalues.
        right: whether all of them have converged.
        begun: whether it is on the branch; the guess from which it begins is not.
    """

    u: Float[Array, "*attempt unknown"]
    tangent: Float[Array, "*attempt unknown"]
    values: Complex[Array, "*attempt count"]
    right: Bool[Array, "*attempt"]
    begun: Bool[Array, "*attempt"]


class Change(NamedTuple):
    """How many eigenvalues grow at both ends of a step.

    Attributes:
        number: how many more or fewer.
        rank: of the one that crosses the axis.
        simple: whether it is one, or a pair.
    """

    number: Int[Array, "*attempt"]
    rank: Int[Array, "*attempt"]
    simple: Bool[Array, "*attempt"]


@dataclasses.dataclass(frozen=True)
class LargeProblem(AbstractProblem[LargePlace]):
    """Equilibria of a vector field, in scaled coordinates.

    The first attempt is from the guess onto the branch, with the parameter held.

    Attributes:
        field: of the state and the parameter.
        spectrum: the leading eigenvalues.
        bounds: of the parameter.
        steps: how finely it is followed.
    """

    field: Function
    spectrum: Spectrum
    bounds: Bounds
    steps: Steps

    block = 1  # an attempt costs more than a look

    def bounded(self, at: LargePlace) -> tuple[Float[Array, " bounded"], Float[Array, " bounded"]]:
        """The parameter."""
        return at.u[-1:], at.tangent[-1:]

    def tried(self, at: LargePlace, landing: Landing) -> Attempt[LargePlace]:
        """A step along the tangent, corrected, with the eigenvalues there."""
        first, lands = ~at.begun, landing.lands & at.begun
        step = jnp.where(first, 0.0, landing.step)
        guess = at.u + step * at.tangent
        guess = jnp.where(lands, guess.at[-1].set(landing.value), guess)
        u, solved = on_plane(self.field, guess, jnp.where(first | lands, upward(at.u), at.tangent))
        moved = u - guess
        solved &= first | (jnp.sqrt(moved @ moved) <= 0.5 * step + 1e-8)
        solved &= lands | self.bounds.hold(u[-1:])
        u = jnp.where(solved, jnp.where(lands, u.at[-1].set(landing.value), u), at.u)
        tangent, regular = _tangent(self.field, u, at.tangent)
        ritz, right = self.spectrum(u)
        cosine = tangent @ at.tangent
        regular &= solved & jnp.isfinite(ritz.values).all() & (first | (cosine > _BENT))
        new = LargePlace(u, tangent, ritz.values, right.all(), jnp.ones((), bool))
        return Attempt(
            new=new,
            beyond=new,
            fine=regular & (first | change_of(at.values, ritz.values).simple),
            passable=regular,
            landed=lands,
            step=step,
            grown=jnp.where(~first & (cosine > _STRAIGHT), 1.5, 1.0),
            shrunk=jnp.asarray(0.5),
            seen=new,
        )

    def back(self, start: LargePlace, new: LargePlace) -> tuple[Array, Array, Array]:
        """How far a place is from the first one, the cosine of their tangents, how far ahead it is."""
        return way_back(new.u - start.u, start.tangent, new.tangent, jnp.matmul)

    def endings(
        self, at: LargePlace, attempt: Attempt[LargePlace], good: Bool[Array, ""],
        finest: Bool[Array, ""],
    ) -> list[tuple[Bool[Array, ""], BranchEnd]]:  # fmt: skip
        """A guess that leads to no equilibrium."""
        return [(~at.begun & ~good, BranchEnd.NO_START)]


def begin(u: Point, sign: float, count: int) -> LargePlace:
    """The guess from which a branch begins, whose parameter grows at first (1) or falls (-1)."""
    no = jnp.zeros((), bool)
    return LargePlace(u, sign * upward(u), jnp.zeros(count, complex), no, no)


def steps_up_to(largest: Float[Array, ""]) -> Steps:
    """The steps of a branch, given the longest."""
    return Steps(jnp.minimum(_FIRST, largest), jnp.asarray(_SMALLEST), largest)


def change_of(
    before: Complex[Array, "*attempt count"], after: Complex[Array, "*attempt count"]
) -> Change:
    """Whether eigenvalues cross the imaginary axis between two equilibria."""
    grew, grow = (before.real > 0).sum(-1), (after.real > 0).sum(-1)
    rank = jnp.minimum(grew, grow).astype(jnp.int32)
    count = abs(grow - grew).astype(jnp.int32)

    def turns(values: Array) -> Array:
        last = values.shape[-1] - 1
        return jnp.take_along_axis(values.imag, jnp.minimum(rank, last)[..., None], -1)[..., 0] > 0

    pair = turns(after) | turns(before)
    return Change(count, rank, (count <= 1) | ((count == 2) & pair))


def on_plane(field: Function, guess: Point, normal: Point) -> tuple[Point, Bool[Array, ""]]:
    """The point of the branch on the plane through `guess`, and whether there is one."""

    def equations(u: Array) -> Array:
        return jnp.append(field(u), normal @ (u - guess))

    u = search(equations, guess, _NEWTON)
    return u, rests(equations, u)


def upward(u: Point) -> Point:
    """The direction in which the parameter grows."""
    return jnp.zeros_like(u).at[-1].set(1.0)


def _tangent(field: Function, u: Point, along: Point) -> tuple[Point, Bool[Array, ""]]:
    """The direction of the branch, and whether there is one."""
    _, product = jax.linearize(field, u)
    x, residual = gmres(
        lambda v: jnp.append(product(v), along @ v), upward(u), DIMENSION, 20, 0.1 * _TANGENT
    )
    size = jnp.sqrt(x @ x)
    return x / size, (residual <= _TANGENT) & jnp.isfinite(x).all() & (size > 0)
