"""From how near does everything come to an equilibrium? Ellipsoids in which a distance shrinks."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._equilibria.linearize import Stability
from rnnjax._machine.kept import program
from rnnjax._precision import in_float64
from rnnjax._types import Array, Float, InputLike
from rnnjax.circuits._base import AbstractCircuit
from rnnjax.circuits._flat import flat_field, vector_of

_ATTRACTING = (Stability.STABLE_NODE, Stability.STABLE_FOCUS)
_SHELLS = np.geomspace(1e2, 1e-6, 96)  # of ellipsoids, relative to the size of the state
_DIRECTIONS = 256  # random ones on each shell, from three variables on
_CIRCLE = 128  # even ones, of two variables
_MANY = 128  # variables above which the axes of the ellipsoid are not looked along
_RATE = 0.5  # of the linear decay, at least, on every shell


class Neighborhood(NamedTuple):
    r"""The ellipsoid $(x - x^*)^T P (x - x^*) \le r^2$ around an equilibrium.

    Attributes:
        center: $x^*$, `(n,)`.
        form: P, `(n, n)`.
        radius: r; 0 where the equilibrium attracts nothing, or it can't be told.
    """

    center: np.ndarray
    form: np.ndarray
    radius: float

    def reach(self, rows: np.ndarray) -> np.ndarray:
        """How far states `(..., n)` are, in radii: at most 1 inside."""
        if self.radius == 0:
            return np.full(rows.shape[:-1], np.inf)
        away = rows - self.center
        return np.sqrt(np.maximum((away @ self.form * away).sum(-1), 0)) / self.radius


def neighborhoods(
    circuit: AbstractCircuit[Any], input: InputLike, found: Equilibria
) -> list[Neighborhood]:
    r"""One for each equilibrium that was found.

    P solves $J^T P + P J = -Q$, so that the distance $V = \delta^T P \delta$ falls with
    $\dot V = -\delta^T Q \delta$ for the linearized circuit. The ellipsoid is the largest on whose
    inner shells the circuit itself has $\dot V \le -\frac12 \delta^T Q \delta$ in all directions
    that are tried, next to no other equilibrium. What is inside can't leave it.

    Args:
        circuit: the circuit.
        input: a function of time, held at 0.
        found: equilibria of it.
    """
    count = len(found)
    centers = [vector_of(found[k]) for k in range(count)]
    results = []
    for k, (kind, near) in enumerate(zip(found.stability, found.linearizations, strict=True)):
        n = centers[k].size
        nothing = Neighborhood(centers[k], np.eye(n), 0.0)
        if kind not in _ATTRACTING:
            results.append(nothing)
            continue
        form, units = _form(np.asarray(near.jacobian))
        if form is None:
            results.append(nothing)
            continue
        radius = _radius(circuit, input, centers[k], form, units)
        whole = Neighborhood(centers[k], form, 1.0)
        away = [0.9 * r for r in np.delete(whole.reach(np.stack(centers)), k)]
        results.append(whole._replace(radius=float(min([radius, *away]))))
    return results


def _form(jacobian: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """P, and the units of the variables in which Q is one; no P where rounding hides it."""
    units = _balance(jacobian)
    scaled = jacobian / units[:, None] * units
    n = len(units)
    shift = max(np.linalg.norm(scaled) / np.sqrt(n), 1e-300)
    back = np.linalg.inv(shift * np.eye(n) - scaled)
    # Smith's doubling: P = A^T P A + C summed as a series, of which each pass doubles the terms
    step, form = (shift * np.eye(n) + scaled) @ back, 2 * shift * back.T @ back
    for _ in range(64):
        form = form + step.T @ form @ step
        step = step @ step
        if np.abs(step).max() < 1e-18:
            break
    error = np.abs(scaled.T @ form + form @ scaled + np.eye(n)).max()
    if not error < 1e-3 or not (np.linalg.eigvalsh(form) > 0).all():
        return None, units
    return form / units[:, None] / units, units


def _balance(matrix: np.ndarray) -> np.ndarray:
    """Units in which the rows and columns of a matrix are of one size (Osborne)."""
    scaled, units = np.array(matrix), np.ones(len(matrix))
    np.fill_diagonal(scaled, 0)
    for _ in range(20):
        for k in range(len(units)):
            row, column = np.linalg.norm(scaled[k]), np.linalg.norm(scaled[:, k])
            if row > 0 and column > 0:
                factor = np.sqrt(row / column)
                units[k] *= factor
                scaled[k] /= factor
                scaled[:, k] *= factor
    return units


def _radius(
    circuit: AbstractCircuit[Any],
    input: InputLike,
    center: np.ndarray,
    form: np.ndarray,
    units: np.ndarray,
) -> float:
    """The shell within the outermost one up to which V falls, 0 where it does so on none."""
    lower = np.linalg.cholesky(form)
    rays = np.linalg.solve(lower.T, _directions(len(center)).T).T  # where V is 1
    smallest = np.sqrt(np.linalg.eigvalsh(form * units[:, None] * units)[0])
    size = smallest * (1 + np.abs(center / units).max())
    given = (center, form, units, rays, size * _SHELLS)
    falls = np.asarray(in_float64(_falls, circuit, input, *given))
    inner = np.flatnonzero(~falls)
    outermost = 0 if not len(inner) else int(inner[-1]) + 1
    return float(size * _SHELLS[outermost + 1]) if outermost + 1 < len(_SHELLS) else 0.0


def _directions(n: int) -> np.ndarray:
    """Unit vectors `(direction, n)`."""
    if n == 1:
        return np.array([[1.0], [-1.0]])
    if n == 2:
        angles = 2 * np.pi * np.arange(_CIRCLE) / _CIRCLE
        return np.stack([np.cos(angles), np.sin(angles)], 1)
    random = np.random.default_rng(0).normal(size=(_DIRECTIONS, n))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    return random if n > _MANY else np.concatenate([random, np.eye(n), -np.eye(n)])


@program
def _falls(
    circuit: AbstractCircuit[Any],
    input: InputLike,
    center: Float[Array, " n"],
    form: Float[Array, "n n"],
    units: Float[Array, " n"],
    rays: Float[Array, "direction n"],
    radii: Float[Array, " shell"],
) -> Any:
    """Whether the distance falls fast enough on each shell."""
    _, field = flat_field(circuit, input, circuit.rest(), jnp.zeros((), radii.dtype))

    def on_shell(radius: Float[Array, ""]) -> Any:
        def rate(ray: Float[Array, " n"]) -> Any:
            away = radius * ray
            return 2 * (form @ away) @ field(center + away) <= -_RATE * ((away / units) ** 2).sum()

        return jax.vmap(rate)(rays).all()

    return lax.map(on_shell, radii)
