"""What a fit found."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from rnnjax._files.datasets import fit_dataset
from rnnjax._results import Status
from rnnjax._training.audit import Audit
from rnnjax._training.loop import shown
from rnnjax._training.objective import Trained
from rnnjax._types import Array, Expected, Float, is_traced, lane_of


class Fit(eqx.Module):
    """What a fit found; of many fits with the lanes in front.

    Attributes:
        circuit: the last circuit whose loss and gradient were finite.
        losses: `(steps + 1,)`, the loss before each step and at the end, with the forcing of
            `OnTask`, as its credit rule reports it; NaN after a failure, and after it stopped early.
        gradient_norms: `(steps + 1,)`, of the free numbers.
        status: a `Status`.
        steps_taken: how many steps led to `circuit`.
        validations: `(steps + 1,)`, the validation loss before each step that had one, and at the
            end; else NaN. Of `OnTask` it is the task's loss alone, without forcing and without
            `activity`, of each fit on its own trials; of a sum the weighted sum of all parts.
        best: the circuit with the lowest validation loss; `circuit` where none was finite.
        stopped: whether it stopped early, by its `Stop`.
        audits: what was found out about the dynamics on the way, an `Audit`, or None.
    """

    circuit: Trained
    losses: Float[Array | np.ndarray, "*fits steps"]
    gradient_norms: Float[Array | np.ndarray, "*fits steps"]
    status: Int[Array | np.ndarray, "*fits"]
    steps_taken: Int[Array | np.ndarray, "*fits"]
    validations: Float[Array | np.ndarray, "*fits steps"]
    best: Trained
    stopped: Bool[Array | np.ndarray, "*fits"]
    audits: Audit | None = None

    @property
    def loss(self) -> Float[Array | np.ndarray, "*fits"]:
        """The loss of `circuit`."""
        xp: Any = jnp if is_traced(self.losses) else np
        return xp.take_along_axis(self.losses, xp.asarray(self.steps_taken)[..., None], -1)[..., 0]

    @property
    def validation(self) -> Float[Array | np.ndarray, "*fits"]:
        """The lowest validation loss, that of `best`; NaN without any."""
        xp = jnp if is_traced(self.validations) else np
        known = xp.isfinite(self.validations)
        lowest = xp.min(xp.where(known, self.validations, np.inf), -1)
        return xp.where(known.any(-1), lowest, np.nan)

    def __getitem__(self, k: Expected[int]) -> "Fit":
        """Fit k of many: `found[found.best_seed]` is the best.

        Raises:
            IndexError: for one fit, or if there is no such one.
        """
        if np.ndim(self.losses) < 2:
            raise IndexError("this is one fit; an array of keys makes many")
        return lane_of(self, k)

    @property
    def best_seed(self) -> int:
        """Of many fits the one with the lowest validation, or loss where none was validated.

        One that failed only where all have.

        Raises:
            IndexError: for one fit.
            ValueError: if none has a finite one.
        """
        if np.ndim(self.losses) < 2:
            raise IndexError("this is one fit; an array of keys makes many")
        lowest = np.asarray(self.validation)
        lowest = np.asarray(self.loss) if np.isnan(lowest).all() else lowest
        known = np.isfinite(lowest)
        if not known.any():
            raise ValueError("best_seed: no fit has a finite loss: see their `status`")
        well = known & (np.asarray(self.status) == Status.OK)
        return int(np.argmin(np.where(well if well.any() else known, lowest, np.inf)))

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of losses, gradient norms and validations over the steps."""
        return fit_dataset(self.losses, self.gradient_norms, self.validations)

    def _repr_html_(self) -> str:
        return self.to_xarray()._repr_html_()

    def __repr__(self) -> str:
        """From which loss to which, and how it ended."""
        if is_traced(self.losses) or np.ndim(self.losses) > 2:
            return f"Fit(losses of shape {np.shape(self.losses)})"
        if np.ndim(self.losses) == 2:
            failed = int((np.asarray(self.status) != Status.OK).sum())
            first, last = shown(self.losses[:, 0]), shown(self.loss)
            return f"Fit({len(self.losses)} fits, median loss {first} -> {last}, {failed} failed)"
        taken = int(self.steps_taken)
        early = ", stopped early" if self.stopped else ""
        return (
            f"Fit(loss {self.losses[0]:.4g} -> {self.losses[taken]:.4g} in {taken} steps"
            f"{early}, {Status(int(self.status)).name})"
        )
