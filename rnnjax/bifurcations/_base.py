"""What every bifurcation of equilibria is, and the pieces that their tests share."""

import abc
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int

from rnnjax._numerics.dense import bordered, determinant, inverse, null_vectors
from rnnjax._numerics.roots import looking
from rnnjax._precision import index_of_largest
from rnnjax._types import Array, Arrays, Float
from rnnjax.bifurcations._known import AbstractType

Family = Callable[[Array], Array]  # state and k parameters as one vector (n + k,) -> the field (n,)
_BESIDE = 0.1  # distance from a branch point at which derivatives have their usual size
ASIDE = 1e-7  # scaled distance at which the sides of a kink are looked at


class Found(NamedTuple):
    """A solved bifurcation point.

    Attributes:
        genuine: whether it is what its test stands for.
        frequency: of the oscillation that begins there, in rad per ms; 0 where none does.
        coefficient: of the normal form; its meaning is the member's.
        kind: what the signs of the normal form say, an index into the member's `kinds`.
    """

    genuine: Bool[Array, ""]
    frequency: Float[Array, ""]
    coefficient: Float[Array, ""]
    kind: Int[Array, ""]


class AbstractBifurcation(AbstractType):
    r"""A type of point at which the equilibria of $\dot x = f(x, p)$ or their stability change.

    `equations` are as many as there are unknowns and regular at the point, so that Newton's
    method finds it to rounding.
    """

    @abc.abstractmethod
    def equations(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Array:
        """What vanishes at the bifurcation, as many numbers as there are unknowns."""

    @abc.abstractmethod
    def normal_form(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Found:
        """What happens at the point."""


class AbstractOnBranch(AbstractBifurcation):
    """A type that is met on branches, where one parameter changes.

    On the branch, `test` is smooth and changes its sign there.
    """

    @abc.abstractmethod
    def test(self, derivatives: Float[Array, "n point"], tangent: Float[Array, " point"]) -> Array:
        """A bounded function of the point of the branch that changes sign at the bifurcation.

        Args:
            derivatives: of the vector field by state and parameter, scaled, `(n, n + 1)`.
            tangent: of the branch, scaled, `(n + 1,)`.
        """

    @abc.abstractmethod
    def begin(
        self, family: Family, u: Float[Array, " point"], tangent: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The unknowns to start from, the point first, and constants of the equations."""


class AbstractFollowed(AbstractOnBranch):
    """A type of which there are curves, where a second parameter changes as well.

    Its `equations` take a vector field of two parameters too, and are then one less than the
    unknowns; its constants are the frame in which they are written.
    """

    in_two = True

    @abc.abstractmethod
    def frame_at(self, family: Family, unknowns: Float[Array, " unknown"]) -> Arrays:
        """The constants for the neighborhood of a point."""

    @abc.abstractmethod
    def reframe(
        self, family: Family, unknowns: Float[Array, " unknown"], constants: Arrays
    ) -> Arrays:
        """The constants for the neighborhood of a point near that of the given ones."""

    @abc.abstractmethod
    def test_of(
        self,
        member: "AbstractOnCurve",
        family: Family,
        unknowns: Float[Array, " unknown"],
        constants: Arrays,
    ) -> Array:
        """The test of a type of point that is met on a curve of these."""

    @abc.abstractmethod
    def begin_of(
        self, member: "AbstractOnCurve", family: Family, unknowns: Float[Array, " unknown"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The unknowns and constants of such a point, from a point of the curve near it."""


class FoldPlace(NamedTuple):
    """A point near a curve of folds.

    Attributes:
        family: the vector field of two parameters.
        u: state and parameters, `(n + 2,)`.
        a: the Jacobian.
        v, w: its unit null vectors, right and left, of an orientation that does not jump.
    """

    family: Family
    u: Float[Array, " point"]
    a: Float[Array, "n n"]
    v: Float[Array, " n"]
    w: Float[Array, " n"]


class HopfPlace(NamedTuple):
    r"""A point near a curve of Hopf points.

    Attributes:
        family: the vector field of two parameters.
        u: state and parameters, `(n + 2,)`.
        a: the Jacobian.
        square: $\kappa = \omega^2$; negative where two real eigenvalues are opposite.
        right, left: orthonormal bases of the null spaces of $A^2 + \kappa$ and its transpose,
            `(n, 2)`, of an orientation that does not jump.
    """

    family: Family
    u: Float[Array, " point"]
    a: Float[Array, "n n"]
    square: Float[Array, ""]
    right: Float[Array, "n 2"]
    left: Float[Array, "n 2"]


class AbstractOnCurve(AbstractBifurcation):
    """A type that is met on curves of folds or of Hopf points, where two parameters change.

    A member has the methods of the curves that it names in `on`.
    """

    on: ClassVar[tuple[str, ...]]  # labels of the curves
    marker = "P"

    def on_folds(self, place: FoldPlace) -> Array:
        """What is smooth and changes its sign there, on a curve of folds."""
        raise NotImplementedError(f"{self.label} is not looked for on curves of folds")

    def on_hopf_points(self, place: HopfPlace) -> Array:
        """What is smooth and changes its sign there, on a curve of Hopf points."""
        raise NotImplementedError(f"{self.label} is not looked for on curves of Hopf points")

    def from_folds(
        self, family: Family, u: Float[Array, " point"]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        """The unknowns, the point `(n + 2,)` first, and the constants, from a fold near it."""
        raise NotImplementedError(f"{self.label} is not looked for on curves of folds")

    def from_hopf_points(
        self, family: Family, u: Float[Array, " point"], square: Float[Array, ""]
    ) -> tuple[Float[Array, " begun"], Arrays]:
        r"""The same from a Hopf point near it, of $\omega^2$ = `square`."""
        raise NotImplementedError(f"{self.label} is not looked for on curves of Hopf points")


def jacobian(family: Family, u: Array) -> Array:
    """The derivatives of the vector field by state and parameters, `(n, n + k)`."""
    return jax.jacfwd(family)(u)


def jacobian_and_value(function: Family, u: Array) -> tuple[Array, Array]:
    """The derivatives of a function of a vector, and its value."""
    value, derivatives = looking(function)(u)
    return derivatives, value


def by_state(derivatives: Array) -> Array:
    """The Jacobian: the derivatives by the state alone."""
    return derivatives[:, : derivatives.shape[0]]


def normalized_determinant(matrix: Array) -> Array:
    """The determinant of the matrix whose rows are brought to length 1: from -1 to 1."""
    length = jnp.sqrt((matrix**2).sum(-1, keepdims=True))
    return determinant(matrix / jnp.where(length > 0, length, 1.0))


def largest_positive(v: Array) -> Array:
    """A vector or its opposite, so that its largest entry is positive."""
    return v * jnp.where(v[index_of_largest(abs(v))] < 0, -1.0, 1.0)


def bordered_null(matrix: Array, borders: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    r"""How singular a matrix is, and its null vectors, as smooth functions of its entries.

    Solves $\begin{pmatrix} A & b \\ c^T & 0 \end{pmatrix} (v, g)^T = (0, 1)^T$ and its transpose:
    $g = 0$ exactly where $A$ is singular; there $v$ and $w$ are its null vectors.

    Args:
        matrix: $A$, `(m, m)`.
        borders: $c$ and $b$, near the right and the left null vector.

    Returns:
        $g$, $v$ and $w$.
    """
    c, b = borders
    found = inverse(bordered(matrix, b, c))
    return found[-1, -1], found[:-1, -1], found[-1, :-1]


def crossing_plane(
    family: Family, u: Float[Array, " point"], tangent: Float[Array, " point"]
) -> tuple[Array, Array]:
    """At a branch point, orthonormal directions of both branches, `tangent` in the first, `(2, n + 1)`.

    And the unit vector that the derivatives miss from the left.
    """
    t = tangent / jnp.sqrt(tangent @ tangent)
    # of one variable all derivatives vanish there: how large they are is seen a little beside
    places = jnp.stack([u, u + _BESIDE * t])
    derivatives = lax.stop_gradient(jax.vmap(lambda x: jacobian(family, x))(places))
    units = jnp.sqrt((derivatives**2).sum(-1).max(0)).mean()
    right, left = null_vectors(jnp.concatenate([derivatives[0], units * t[None]]))
    s = right - (right @ t) * t
    left = left[:-1]
    return jnp.stack([t, s / jnp.sqrt(s @ s)]), left / jnp.sqrt(left @ left)


def directional(family: Family, u: Array, *directions: Array) -> Array:
    """The derivative of the vector field along each of the directions `(n + 1,)` in turn."""

    def along(f: Family, d: Array) -> Family:
        return lambda x: jax.jvp(f, (x,), (d,))[1]

    for direction in directions:
        family = along(family, direction)
    return family(u)


def other_direction(
    family: Family, u: Float[Array, " point"], tangent: Float[Array, " point"]
) -> Array:
    """The tangent of the branch that crosses at a branch point.

    On the null space of the derivatives, spanned by `tangent` t and s, the second derivatives
    along the left null vector give a quadratic form Q; the branches go where it vanishes. That
    is t and, as Q(t, t) = 0, the direction of 2 Q(t, s) s - Q(s, s) t.
    """
    (t, s), w = crossing_plane(family, u, tangent)
    mixed = w @ directional(family, u, t, s)
    curved = w @ directional(family, u, s, s)
    direction = 2 * mixed * s - curved * t
    return direction / jnp.sqrt(direction @ direction)
