"""The classical Runge-Kutta method of order 4."""

from collections.abc import Callable
from typing import ClassVar

import diffrax
import numpy as np
from jaxtyping import PyTree


class RK4(diffrax.AbstractERK):
    r"""The classical fourth-order Runge-Kutta method: four evaluations a step.

    $k_1 = f(y),\; k_2 = f(y + \tfrac{h}{2} k_1),\; k_3 = f(y + \tfrac{h}{2} k_2),\;
    k_4 = f(y + h k_3),\quad y' = y + \tfrac{h}{6} (k_1 + 2 k_2 + 2 k_3 + k_4)$

    It has no error estimate, so it runs with fixed steps only.

    References:
        Kutta (1901), Zeitschrift fuer Mathematik und Physik 46:435-453.
    """

    tableau: ClassVar[diffrax.ButcherTableau | diffrax.MultiButcherTableau] = (
        diffrax.ButcherTableau(
            a_lower=(np.array([0.5]), np.array([0.0, 0.5]), np.array([0.0, 0.0, 1.0])),
            b_sol=np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6]),
            b_error=np.zeros(4),
            c=np.array([0.5, 0.5, 1.0]),
        )
    )
    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = (
        diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    )

    def order(self, terms: PyTree[diffrax.AbstractTerm] | None) -> int:
        """Order of convergence."""
        return 4
