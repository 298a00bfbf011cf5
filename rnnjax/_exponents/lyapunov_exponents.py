"""Is it chaotic? `lyapunov_exponents` and the `Lyapunov` they are given as."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Int

from rnnjax._engine.first_failure import first_failure
from rnnjax._engine.fixed_steps import FixedRun
from rnnjax._exponents.displacements import Schedule, generic_basis, spectrum_of
from rnnjax._gate import one_number
from rnnjax._machine.verb import verb
from rnnjax._numerics.trees import variable_names
from rnnjax._parameter import counted
from rnnjax._precision import in_float64
from rnnjax._results import Regime, SimulationError, Status, describe_failure
from rnnjax._types import Float, InputLike, Key, NDArray, StartLike, Value, is_traced
from rnnjax.circuits._base import AbstractMap, AbstractSystem
from rnnjax.circuits._checks import (
    as_input,
    check_noise,
    check_run,
    check_step,
    first_state,
    iterated,
    starting_state,
)
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Solver
from rnnjax.solvers._checks import checked_solver, positive, whole_steps

_FEWEST_BLOCKS = 10


class Lyapunov(eqx.Module):
    r"""The leading Lyapunov exponents of a circuit, and how well they are known.

    Attributes:
        exponents: `(count,)` per ms (of a map per iteration), the largest first to within their
            errors.
        standard_errors: `(count,)`, from the scatter of the means of about 20 parts of the run;
            too large by a factor of two or so where the parts are short.
        resolution: `(count,)`: exponents smaller than this can't be told from zero; three standard
            errors, and no less than 10 over the length of the run.
        local: `(block, count)`, the exponents of each block of the run.
        times: `(block,)`, where the blocks end, in ms.
        divergence: the mean divergence of the vector field along the run, which the exponents
            sum to; of a map the mean of $\log |\det J|$. NaN unless all exponents are computed.
        dimension: the Kaplan-Yorke dimension; NaN where more exponents, or a longer run, are needed
            to tell.
        regime: a `Regime`, where the exponents are shown to be what it needs: signs that both
            halves of the run agree on, and zeros in the sense that smooth averages over either half
            converge to zero. UNKNOWN where not, as on a cycle that attracts so weakly that it can't
            be told from a torus (give a longer duration), where the leading exponent changed, or
            where the count is too small.
        changed_at: when (ms) the leading exponent changed for good, as when chaos was but a
            transient; NaN if it did not.
        gradients_hold: whether derivatives of the exponents mean something. Where the leading one
            is positive they grow as $e^{\lambda t}$ with the run, and do not approach those of the
            limit.
        status: a `Status`.
        failed_at: the last time (ms) at which all was well.
        failed_variable: which variable of the flattened state to blame.
    """

    exponents: Float[Any, "*batch count"]
    standard_errors: Float[Any, "*batch count"]
    resolution: Float[Any, "*batch count"]
    local: Float[Any, "*batch block count"]
    times: Float[Any, "*batch block"]
    divergence: Float[Value, "*batch"]
    dimension: Float[Value, "*batch"]
    regime: Int[Value, "*batch"]
    changed_at: Float[Value, "*batch"]
    gradients_hold: Bool[NDArray, "*batch"] | bool
    status: Int[Value, "*batch"]
    failed_at: Float[Value, "*batch"]
    failed_variable: Int[Value, "*batch"]
    unit: str = eqx.field(static=True, default="1/ms")

    @property
    def running(self) -> Float[Any, "*batch block count"]:
        """`(block, count)`, the exponents up to the end of each block: how they converged."""
        blocks = np.shape(self.local)[-2]
        return self.local.cumsum(-2) / np.arange(1.0, blocks + 1)[:, None]

    @property
    def sum(self) -> Float[Value, "*batch"]:
        """The sum of the exponents: how volumes of as many dimensions grow."""
        return self.exponents.sum(-1)

    @property
    def entropy(self) -> Float[Value, "*batch"]:
        """The sum of the positive exponents, by Pesin's formula the entropy per ms, in nats."""
        return (self.exponents * (self.exponents > self.resolution)).sum(-1)

    @property
    def chaotic(self) -> Bool[Any, "*batch"]:
        """Whether the leading exponent is positive beyond its error."""
        return self.exponents[..., 0] > self.resolution[..., 0]

    def swept(self) -> tuple[dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]], Any]:
        """What a sweep keeps of it: all but the blocks.

        Returns:
            Variables by name, each `(dims, values, attributes)`, and a `Status`.

        Raises:
            ValueError: for a batch, made by `vmap`.
        """
        if np.ndim(self.exponents) != 1:
            raise ValueError("a batch of spectra: give the sweep one for each of its points")
        flags = {
            "flag_values": [int(r) for r in Regime],
            "flag_meanings": " ".join(r.name for r in Regime),
        }
        along, unit = ("exponent",), {"units": self.unit}
        names = {
            "exponents": "Lyapunov exponents",
            "standard_errors": "standard errors of the exponents",
            "resolution": "smallest exponents told from zero",
        }
        found: dict[str, Any] = {
            k: (along, getattr(self, k), unit | {"long_name": v}) for k, v in names.items()
        }
        found["dimension"] = ((), self.dimension, {"long_name": "Kaplan-Yorke dimension"})
        found["divergence"] = ((), self.divergence, unit | {"long_name": "mean divergence"})
        found["regime"] = ((), self.regime, {"long_name": "regime"} | flags)
        at = unit["units"].partition("/")[2]
        words = {"units": at, "long_name": "when the leading exponent changed"}
        found["changed_at"] = ((), self.changed_at, words)
        return found, self.status

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`: exponents and errors along `exponent`, blocks along `time`."""
        from rnnjax._files.datasets import lyapunov_dataset

        return lyapunov_dataset(self)

    def __repr__(self) -> str:
        """The exponents with their errors, and what they say."""
        if is_traced(self.exponents) or np.ndim(self.exponents) > 1:
            return f"Lyapunov(of shape {np.shape(self.exponents)})"
        status = Status(int(self.status))
        if status != Status.OK:
            return f"Lyapunov({status.name})"
        pairs = zip(self.exponents[:4], self.standard_errors[:4], strict=True)
        values = ", ".join(f"{x:.5g} ± {e:.1g}" for x, e in pairs)
        more = ", ..." if len(self.exponents) > 4 else ""
        words = [f"{values}{more} {self.unit}", Regime(int(self.regime)).name]
        if np.isfinite(self.dimension):
            words.append(f"dimension {self.dimension:.4g}")
        if np.isfinite(self.changed_at):
            words.append(
                f"changed at t = {self.changed_at:g}: give transient= beyond it, or a longer duration"
            )
        return f"Lyapunov({', '.join(words)})"


@verb
def lyapunov_exponents(
    circuit: AbstractSystem[Any],
    duration: float,
    input: InputLike | None = None,
    *,
    step: float | None = None,
    count: int | None = None,
    transient: float | None = None,
    every: int = 10,
    blocks: int = 100,
    start: StartLike | None = None,
    noise: AbstractNoise | None = None,
    key: Key | None = None,
    solver: Solver | None = None,
    throw: bool = True,
) -> Lyapunov:
    r"""The mean exponential growth rates of small displacements along a run.

    $\lambda_i = \lim_{t \to \infty} \frac{1}{t} \log r_{ii}(t)$, $Q R$ the displacements
    $\Phi(t) Q_0$, by repeated orthonormalization. Displacements follow the exact derivative of each
    step of the solver, so that their errors are those of the run; under noise all see the same
    noise. Float64, fixed steps. The beginning of the run, `transient`, is not counted; during it the
    displacements turn into their directions.

    The exponents are differentiable with respect to the circuit, the input and the start; see
    `Lyapunov.gradients_hold` for when that means anything.

    Args:
        circuit: the circuit, or a map, whose times are numbers of iterations.
        duration: length of the run in ms, the transient included.
        input: as for `simulate`.
        step: the step in ms; not for maps.
        count: how many exponents; all of them unless given. The cost grows with it.
        transient: what is not counted, in ms; a tenth of the duration unless given.
        every: steps between orthonormalizations. Fewer where the directions shrink at rates so
            different that rounding would mix them within so many steps.
        blocks: into how many parts the run is divided for errors and convergence; what does not
            divide goes to the transient.
        start: the first state, or a function from the circuit to it; `circuit.rest()` unless
            given. A start at an unstable equilibrium stays there.
        noise: the diffusion of an Ito equation; it needs `key`.
        key: a JAX random key.
        solver: an explicit diffrax solver; `Tsit5()` unless given, `Euler()` under noise.
        throw: raise if the state became infinite.

    Raises:
        SimulationError: if the state became infinite and `throw` is true.
        ValueError, TypeError: for arguments that can't be right, before anything compiles.

    References:
        Benettin, Galgani, Giorgilli and Strelcyn (1980), Meccanica 15:9-20.
        Kaplan and Yorke (1979), Lecture Notes in Mathematics 730:204-227 (the dimension).
        Arnold (1998), Random Dynamical Systems (under noise).
    """
    check_run(circuit, input, noise, key, maps=True)
    solver, step = iterated(circuit, solver, step)
    if step is None:
        raise ValueError(
            "step: expected a fixed step in ms: give one at which a run is right, e.g. a twentieth of "
            "the fastest time constant"
        )
    solver = checked_solver(solver, noise, positive(step, "step", "ms"), False)
    check_step(circuit, step, input)
    duration = positive(duration, "duration", "ms")
    schedule = _schedule(
        duration, step, transient, counted(every, "every"), counted(blocks, "blocks")
    )
    start = starting_state(circuit, input, first_state(start, circuit))
    check_noise(noise, start)
    variables = sum(int(np.size(x)) for x in jax.tree.leaves(start))
    count = variables if count is None else counted(count, "count")
    if count > variables:
        raise ValueError(f"count: expected at most {variables}, one per variable, got {count}")
    driven, basis = as_input(circuit, input), generic_basis(variables, count)
    run = FixedRun(circuit, driven, solver, 0.0, np.float64(step), noise, key)
    result, outcome = in_float64(spectrum_of, run, start, basis, schedule)
    unit = "1/iteration" if isinstance(circuit, AbstractMap) else "1/ms"
    at, variable = np.nan, -1
    if not is_traced(result) and result["status"] != Status.OK:
        with jax.enable_x64(True):
            at, variable = first_failure(run, outcome)
        if throw:
            names = variable_names(start)
            raise SimulationError(describe_failure(result["status"], at, variable, names))
    failed = {"failed_at": np.float64(at), "failed_variable": np.int32(variable)}
    return Lyapunov(**result, **failed, unit=unit)


def _schedule(
    duration: float, step: float, transient: float | None, every: int, blocks: int
) -> Schedule:
    """The run divided into blocks of rounds."""
    if blocks < _FEWEST_BLOCKS:
        raise ValueError(
            f"blocks: expected at least {_FEWEST_BLOCKS}, since errors are made of their scatter, "
            f"got {blocks}"
        )
    steps = whole_steps(duration, step, "duration")
    before = steps // 10
    if transient is not None:
        before = whole_steps(one_number(transient, "transient", "ms"), step, "transient")
    rounds = (steps - before) // every // blocks
    if rounds < 1:
        raise ValueError(
            f"duration: expected at least {blocks} blocks of {every} steps of {step:g} after the "
            f"transient, got {max(steps - before, 0)} steps: give a longer one, or fewer `blocks=`"
        )
    return Schedule(steps - rounds * every * blocks, every, rounds, blocks)
