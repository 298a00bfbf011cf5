"""What training does to the dynamics: equilibria and exponents along a fit."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Int

from rnnjax._equilibria.find_equilibria import find_equilibria
from rnnjax._equilibria.linearize import Stability, classify
from rnnjax._exponents.lyapunov_exponents import lyapunov_exponents
from rnnjax._files.datasets import audit_dataset
from rnnjax._numerics.eigenvalues import eigenvalues
from rnnjax._numerics.trees import flatten
from rnnjax._parameter import Parametric, counted, parameter
from rnnjax._results import warn_caller
from rnnjax._training.objective import Trained
from rnnjax._types import Float, Input, Scalar, State
from rnnjax.circuits._base import AbstractSystem
from rnnjax.circuits._checks import apart

_BESIDE = 1e-3  # how far from rest a run for the exponent starts


class Every(Parametric):
    """When a fit looks at the dynamics of the circuit, and at what; made by `every`."""

    steps: int = eqx.field(static=True)
    input: Input | None = parameter(None, "circuit's", doc="held input")
    duration: Scalar | None = parameter(None, "ms", doc="run for the leading exponent")
    step: Scalar | None = parameter(None, "ms", doc="step of that run")


def every(
    steps: int,
    *,
    input: Input | None = None,
    duration: float | None = None,
    step: float | None = None,
) -> Every:
    """Look at the circuit every so many steps of a fit: `fit(..., audit=every(100))`.

    Its equilibria are found with the input held, from the 64 guesses of `find_equilibria`, with
    the eigenvalues of each; with `duration` also its leading Lyapunov exponent, of a run that
    starts a little off rest. All are of the differential equations: a network that is trained with
    steps as long as its time constants can be stable there and not as a map, or the other way round.

    Args:
        steps: steps of training between looks.
        input: the value at which the input is held; none unless given.
        duration: of the run for the exponent, ms; no exponent unless given.
        step: of that run, ms.

    Raises:
        ValueError: for `steps` that is no positive number, or a duration without a step.
    """
    if (duration is None) != (step is None):
        raise ValueError(
            "every: expected duration= and step= together, e.g. duration=5e3, step=1.0"
        )
    return Every(counted(steps, "every.steps"), input, duration, step)


class Audit(eqx.Module):
    """The dynamics of a circuit along its training, audits in front.

    Attributes:
        steps: `(audits,)`, how many steps had been taken.
        found: `(audits, most)`, whether there is an equilibrium in this place.
        states: `(audits, most, variables)`, the equilibria, flattened; NaN elsewhere.
        growth_rates: `(audits, most)`, the largest real part of an eigenvalue, per ms.
        frequencies: `(audits, most)`, of the leading pair, Hz; 0 for a real eigenvalue.
        stability: `(audits, most)`, codes of `Stability`, -1 elsewhere.
        exponents: `(audits,)`, the leading Lyapunov exponent, per ms; NaN if not asked for.
        exponent_errors: `(audits,)`, its standard errors.
    """

    steps: Int[np.ndarray, " audit"]
    found: Bool[np.ndarray, "audit equilibrium"]
    states: Float[np.ndarray, "audit equilibrium variable"]
    growth_rates: Float[np.ndarray, "audit equilibrium"]
    frequencies: Float[np.ndarray, "audit equilibrium"]
    stability: Int[np.ndarray, "audit equilibrium"]
    exponents: Float[np.ndarray, " audit"]
    exponent_errors: Float[np.ndarray, " audit"]

    def __len__(self) -> int:
        """How many audits there are."""
        return len(self.steps)

    @property
    def stable(self) -> Int[np.ndarray, " audit"]:
        """`(audits,)`, how many stable equilibria were found."""
        kinds = (Stability.STABLE_NODE, Stability.STABLE_FOCUS)
        return (self.found & np.isin(self.stability, kinds)).sum(1)

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`, dims `(audit, equilibrium, variable)`."""
        return audit_dataset(self)


def audited(circuit: Trained, how: Every, step: int) -> Audit:
    """What there is to know of a circuit after `step` steps: one audit."""
    system, held = apart(circuit, how.input)
    rests = find_equilibria(system, held, rounds=0, throw=False)
    count = len(rests.found)
    states = np.stack([np.asarray(flatten(rests[k])[0], np.float64) for k in range(count)])
    values = np.asarray(eigenvalues(np.asarray(rests.jacobian)))
    kinds = np.where(rests.found, classify(np.where(np.isnan(values), -1.0, values)), -1)
    exponent = error = np.nan
    if how.duration is not None and how.step is not None:
        exponent, error = _leading(system, (how.duration, how.step), held, step)
    frequencies = np.where(rests.found, 1000 * abs(np.imag(values[:, 0])) / (2 * np.pi), np.nan)
    found = (
        step, rests.found, states, np.real(values[:, 0]), frequencies, kinds.astype(np.int64), exponent,
        error,
    )  # fmt: skip
    return Audit(*(np.asarray(x)[None] for x in found))


def _leading(
    circuit: AbstractSystem[Any], times: tuple[Scalar, Scalar], input: Input | None, taken: int
) -> tuple[float, float]:
    """The leading exponent and its error; NaN where a trained circuit can't be run: a warning."""
    duration, step = times
    try:
        run = lyapunov_exponents(
            circuit, float(duration), input, step=float(step), count=1, throw=False,
            start=_beside_rest,
        )  # fmt: skip
    except ValueError as error:
        if taken == 0:  # what was asked for is wrong
            raise
        warn_caller(f"audit: no exponent after {taken} steps: {error}")
        return np.nan, np.nan
    return float(run.exponents[0]), float(run.standard_errors[0])


def _beside_rest(circuit: AbstractSystem[Any]) -> State:
    """A state beside rest: a run from rest itself stays there where that is an equilibrium."""
    vector, unravel = flatten(circuit.rest())
    return unravel(vector + _BESIDE * np.random.default_rng(0).normal(size=vector.shape))


def all_in_one(audits: Sequence[Audit]) -> Audit | None:
    """All audits in one, with as many places as the most equilibria found."""
    if not audits:
        return None
    together = jax.tree.map(lambda *x: np.concatenate(x), *audits)
    most = max(1, int(together.found.sum(1).max()))
    return jax.tree.map(lambda x: x[:, :most] if x.ndim > 1 else x, together)


def audits_from(arrays: Sequence[np.ndarray]) -> list[Audit]:
    """The audits again, from all their arrays in a row."""
    width = len(dataclasses.fields(Audit))
    return [Audit(*arrays[k : k + width]) for k in range(0, len(arrays), width)]
