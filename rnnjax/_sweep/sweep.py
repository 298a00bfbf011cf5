"""And over a million parameter settings? `sweep`."""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnnjax._files.sinks import open_sink
from rnnjax._gate import check_made
from rnnjax._machine.plan import Plan, checked_plan
from rnnjax._machine.tracing import check_takes
from rnnjax._machine.verb import verb
from rnnjax._numerics.digits import in_parts
from rnnjax._precision import cast, precision
from rnnjax._simulation.measured_run import MeasuredRun
from rnnjax._sweep.axes import Axis, Design, Points, check_known
from rnnjax._sweep.chunks import chunked, run_chunks
from rnnjax._sweep.coordinates import describe, label, layout_attributes
from rnnjax._sweep.point import SweepPoint, Target
from rnnjax._types import DTypeLike, Expected, InputLike, Key, StartLike
from rnnjax._where import put
from rnnjax.circuits._base import Driven
from rnnjax.circuits._checks import apart, check_run
from rnnjax.measures._base import AbstractMeasure
from rnnjax.noise._base import AbstractNoise
from rnnjax.solvers._base import Solver


@verb
def sweep(
    circuit: Target,
    measures: Expected[Mapping[str, Any]],
    over: Sequence[Axis] | Points,
    *,
    duration: float | None = None,
    step: float | None = None,
    transient: float = 0.0,
    input: InputLike | None = None,
    start: StartLike | None = None,
    noise: AbstractNoise | None = None,
    key: Key | None = None,
    solver: Solver | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-6,
    chunk: int | None = None,
    store: str | pathlib.Path | None = None,
    plan: Plan | None = None,
    dtype: DTypeLike | None = None,
    progress: bool | None = None,
) -> Any:
    """Compute `measures` of a circuit at every point of a grid, a list or a random design.

    The points are run in chunks of one fixed shape, so that everything compiles once and memory
    stays flat. A point that fails has NaN and a status; the others finish.

    A function may return a `Branch`, so that there is a bifurcation diagram at every point, with
    `{"rest": lambda c: continue_equilibria(c, where, bounds=..., max_bifurcations=4)}`. Of it are
    kept, along `rest_bifurcation` in the order of the branch, with room for `max_bifurcations` of
    each type in each direction: `rest_label`, `rest_kind` (codes, `flag_meanings` says for what;
    -1 where there is no further point), `rest_at` (the parameter), `rest_frequency`,
    `rest_coefficient`, `rest_multiplicity` and each variable of the state; further the numbers of points of each type,
    `rest_count_H` (NaN where some may be missing), and `rest_end`, how each direction ended
    (`BranchEnd`). The points of the branch in between are not kept: follow a single one with
    `continue_equilibria` to see them. The status of a branch that did not come to its ends, on
    which `rest_unsolved` points were not solved for, or had no room, is NOT_CONVERGED; what was found is there.
    `.dropna("rest_bifurcation", how="all", subset=["rest_at"])` removes the room not used. Other
    results are kept likewise if they have the method, see `Branch.swept`.

    Args:
        circuit: a circuit, or `Driven(circuit, input)` to vary the input's numbers as well.
        measures: by name, each a measure of a simulation (`Amplitude()`) or any function of the
            circuit (of the `Driven` pair, if that was given) that JAX can trace, e.g.
            `lambda c: linearize(c, find_equilibria(c, guesses=near)[0]).growth_rate`. Give the
            function a name, defined once: a new lambda at every call compiles at every call.
        over: axes, which make a grid, or `points(...)`, or `random_points(...)`.
        duration: length of each simulation in ms, the transient included.
        step: its fixed step in ms; without one each point chooses its own steps, see `measure`.
        transient: how much of its beginning is not measured, in ms.
        input: as for `simulate`.
        start: the first state, or a function from the circuit to it.
        noise: as for `simulate`; point k draws with `fold_in(key, k)`.
        key: for the noise.
        solver: as for `measure`.
        rtol: relative tolerance of adaptive steps.
        atol: absolute tolerance of adaptive steps, in the state's unit.
        chunk: points run together; chosen from the size of the state, or of what the functions
            hold (256 diagrams at most on a CPU), unless given.
        store: a name ending in `.zarr` (written while it runs) or `.nc` (when it is done). The
            result appears under that name when it is whole. While it runs no other sweep can
            write there. Names that files take for something else, such as `tau_i/tau_e` for a
            path, are spelled `tau_i_tau_e` in the file, where the attribute `called` has the name.
        plan: how lanes are laid out, `rnnjax.Plan(tile, devices)`; chosen unless given, and
            reported in the attributes, with the attempted steps (done in all, idle lanes
            included, and needed) where each point chooses its own.
        dtype: as for `simulate`. Functions such as `continue_equilibria` compute in float64 in
            either, but in float32 with rounded parameters and rounded results: about six digits.
            `dtype="float64"` keeps them all.
        progress: show a bar; where the output is a terminal unless given.

    Returns:
        An `xarray.Dataset` with a dimension per axis (or `point`), the measures with their units
        and meanings, and `status`. Units are along `unit`; of populations of different sizes
        each has a dimension of its own, `e_unit` and `i_unit`. Names that are yours stay as they
        are, and two of one name are refused.

    Raises:
        ValueError, TypeError, OSError: for what can't work, before anything compiles; for a store
            that another process writes.
        SweepInterrupted: on Ctrl-C; says what was kept.
    """
    check_known("sweep", circuit, input, start, noise, key)
    target, given = circuit, input
    alone, input = apart(circuit, input)
    check_run(alone, input, noise, key)
    simulated, functions = _sort(measures)
    run = None
    if not simulated and not (given is None and noise is None and start is None):
        raise ValueError(
            "input=, noise= and start= are for measures of a simulation, and there is none here: "
            "give the input inside the function, e.g. find_equilibria(circuit, input)"
        )
    if simulated:
        if duration is None:
            raise ValueError(
                f"measures {list(simulated)} are of a simulation: give duration= in ms, and step= "
                "for fixed steps"
            )
        run = MeasuredRun(
            simulated, duration, input, step, transient, start, noise, solver, rtol, atol
        )
        run.check(alone)
    design = Design(target, over)
    if run is not None:
        for values in design.extremes():
            changed = put(target, design.named, values)
            run.check(*apart(changed, None))
    if plan is not None:
        plan = checked_plan(plan)
    with precision(dtype) as found:
        design.check_dtype(found)
        if run is not None:
            run.check_dtype(found)
        targets = in_parts(target, found) if isinstance(target, Driven) else (cast(target, found),)
        shared = targets, cast(None if run is None else run.values(alone), found)
        first = tuple(x[0] for x in design.values(0, 1))
        example = in_parts(first, found)[: len(targets)]
        point = SweepPoint(
            shared, design.named, tuple(functions.items()),
            None if run is None else run.settings(), key, example,
        )  # fmt: skip
        chunks = chunked(point, math.prod(design.shape), found, plan, chunk)
        settings = describe(target, duration, step, transient, run, found)
        settings |= layout_attributes(chunks.plan, chunks.size, key)
        labels = label(design, point.shapes(), measures, settings)
        with open_sink(store, labels, chunks.size) as sink:
            return run_chunks(point, design, chunks, sink, progress)


def _sort(
    measures: Expected[Mapping[str, Any]],
) -> tuple[dict[str, AbstractMeasure], dict[str, Callable[[Any], Any]]]:
    """Measures of a simulation, and functions of the circuit."""
    if not isinstance(measures, Mapping) or not measures:
        raise TypeError(
            "measures: expected a dictionary from names to measures or functions, got "
            f"{measures!r}: give e.g. {{'amplitude': Amplitude()}}"
        )
    simulated = {n: m for n, m in measures.items() if isinstance(m, AbstractMeasure)}
    functions = {n: m for n, m in measures.items() if n not in simulated}
    for name, each in functions.items():
        check_made(each, f"measures[{name!r}]")
        if not callable(each):
            raise TypeError(f"measures[{name!r}]: expected a measure or a function, got {each!r}")
        check_takes(f"measures[{name!r}]", each, 1)
    odd = [name for name in measures if not isinstance(name, str) or not name]
    if odd:
        raise TypeError(f"measures: expected names that are words, got {odd[0]!r}")
    if "status" in measures:
        raise ValueError("measures: the name 'status' is taken")
    return simulated, functions
