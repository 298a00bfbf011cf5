"""Equilibria of a circuit, with what was found of each."""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Int

from rnnjax._equilibria.indices import TOTAL, indices_of
from rnnjax._equilibria.linearize import Linearization, Stability, classify
from rnnjax._numerics.eigenvalues import eigenvalues
from rnnjax._numerics.trees import named_leaves
from rnnjax._types import Float, State, is_traced

_LISTED = 50  # equilibria at most of which a line is told


@runtime_checkable
class Proof(Protocol):
    """What is proved about a list of equilibria, see `Certificate`."""

    complete: bool

    @property
    def summary(self) -> str:
        """In words."""
        ...


class Equilibria(eqx.Module):
    """The equilibria that were found; fixed in shape, the found ones first.

    There is an entry per guess, and with `deflate` one more per guess and round.

    Attributes:
        states: in the circuit's structure, each leaf `(guess, ...)`; NaN where nothing was found.
        found: `(guess,)`, whether this entry is an equilibrium, each of them once.
        residual: `(guess,)`, the largest entry of the vector field there, per ms; it has no derivatives.
        jacobian: `(guess, n, n)` per ms; None where they were found `matrix_free`.
        status: `(guess,)`, a `Status` per guess in the same order; guesses that ran into an
            equilibrium already listed are OK and not `found`.
        certificate: of `enumerate_equilibria`: what is proved; None where nothing is.
        inward: whether the field points inward far out, in all directions in which it was looked at, and
            bends at none of what was found; None where that was not asked, as under a transformation.
    """

    states: State
    found: Bool[Any, "*batch guess"]
    residual: Float[Any, "*batch guess"]
    jacobian: Float[Any, "*batch guess n n"] | None
    status: Int[Any, "*batch guess"]
    certificate: Proof | None = None
    inward: Bool[Any, "*batch"] | None = None

    @property
    def complete(self) -> bool:
        """Whether it is proved that there are no others, in the box if one was given."""
        return self.certificate is not None and self.certificate.complete

    @property
    def indices(self) -> Int[np.ndarray, "*batch guess"]:
        r"""The sign of $\det(-J)$ of each entry; 0 where J is singular to rounding, or nothing was found.

        Raises:
            ValueError: where they were found without a Jacobian.
        """
        return indices_of(np.asarray(self._known_jacobian), np.asarray(self.found))

    @property
    def index_sum(self) -> int | None:
        """The sum of their indices; None where a Jacobian is singular, or is not known.

        Where the field points inward far out (`inward`), the indices of all that there are sum to 1: of
        less or more some were missed. A sum of 1 does not show that none was: pairs sum to 0.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        count = len(self)
        if self.jacobian is None:
            return None
        each = self.indices[:count]
        return int(each.sum()) if each.all() else None

    @property
    def expected_index_sum(self) -> int | None:
        """What the sum of all indices is, 1; None where that is not known."""
        known = self.inward is not None and bool(self.inward) and self.index_sum is not None
        return TOTAL if known else None

    @property
    def lacking(self) -> int:
        """How many are missing at least, by the sum of the indices; 0 where that tells nothing."""
        expected = self.expected_index_sum
        return 0 if expected is None else abs(expected - (self.index_sum or 0))

    def __getitem__(self, index: int) -> Any:
        """The state of one of them."""
        return jax.tree.map(lambda x: x[index], self.states)

    def __len__(self) -> int:
        """How many there are.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if np.ndim(self.found) > 1:
            raise ValueError("a batch of results: count with `.found.sum(-1)`, or select one lane")
        return int(np.sum(self.found))

    @property
    def linearizations(self) -> list[Linearization]:
        """One per equilibrium.

        Raises:
            ValueError: where they were found without a Jacobian.
        """
        jacobian = self._known_jacobian
        return [Linearization(self[k], jacobian[k]) for k in range(len(self))]

    @property
    def stability(self) -> list[Stability]:
        """The kind of each equilibrium.

        Raises:
            ValueError: where they were found without a Jacobian.
        """
        return [Stability(int(code)) for code in classify(self._eigenvalues)]

    @property
    def _known_jacobian(self) -> Any:
        if self.jacobian is None:
            raise ValueError(
                "found matrix_free, without a Jacobian: ask leading_eigenvalues(circuit, state)"
            )
        return self.jacobian

    @property
    def _eigenvalues(self) -> Any:
        """Those of each, all at once."""
        return eigenvalues(self._known_jacobian[: len(self)])

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` with one entry per equilibrium."""
        from rnnjax._files.datasets import equilibria_dataset

        states = {k: v[: len(self)] for k, v in named_leaves(self.states).items()}
        kinds, rates = ["not classified"] * len(self), [np.nan] * len(self)
        if self.jacobian is not None:
            values = self._eigenvalues
            kinds, rates = [str(Stability(int(s))) for s in classify(values)], [*values[:, 0].real]
        return equilibria_dataset(states, kinds, rates, self.residual[: len(self)])

    def _repr_html_(self) -> str:
        return self.to_xarray()._repr_html_()

    def __repr__(self) -> str:
        """Where they are and of what kind."""
        if is_traced(self.found) or np.ndim(self.found) > 1:
            return f"Equilibria(up to {np.shape(self.found)[-1]})"
        shown = min(len(self), _LISTED)
        kinds: Any = ["not classified"] * shown
        if self.jacobian is not None:
            kinds = map(Stability, classify(eigenvalues(self.jacobian[:shown])))
        rows = [
            f"  {', '.join(f'{n}={_brief(x)}' for n, x in named_leaves(self[k]).items())}: {kind}"
            for k, kind in enumerate(kinds)
        ]
        rows += [f"  and {len(self) - shown} more"] if len(self) > shown else []
        told = "" if self.certificate is None else f" {self.certificate.summary},"
        if self.lacking:
            told += f" indices sum to {self.index_sum} and not to {TOTAL}: {self.lacking} or more are missing,"
        return "\n".join([f"Equilibria({len(self)} found,{told}", *rows, ")"])


def _brief(x: Float[Any, "..."]) -> str:
    return (
        f"{float(x):.6g}"
        if np.ndim(x) == 0
        else f"<{len(x)} in [{np.min(x):.4g}, {np.max(x):.4g}]>"
    )
