"""Points of a sweep chunk after chunk: how many together, and the loop that runs and writes them.

Every chunk has one shape, so that everything compiles once and memory stays flat.
"""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnjax._files.sinks import MemorySink, ZarrSink
from rnnjax._machine.lanes import lanes_together
from rnnjax._machine.plan import Plan, choose_plan
from rnnjax._machine.setup import mention_tuning, tuned_devices
from rnnjax._numerics.digits import in_parts
from rnnjax._results import SweepInterrupted
from rnnjax._sweep.axes import Design
from rnnjax._sweep.point import SweepPoint

_MOST_LANES = 131072
_MOST_NUMBERS = 2**22  # of state in one chunk
_WORTH_A_WORD = 10**8  # steps of lanes from which on waiting is felt
_LARGE_LOOP = 2**12  # numbers that a loop of a function holds from which on its lanes are few
_MOST_IN_LOOPS = 2**24, 2**28  # such numbers of all lanes together, on a CPU and elsewhere
_MOST_LARGE = 256  # such lanes on a CPU: more gain nothing, and many calls of LAPACK may lock up


class Chunks(NamedTuple):
    """How the points of a sweep are run.

    Attributes:
        plan: how the lanes of a chunk are laid out.
        size: how many points a chunk has.
        dtype: of their numbers.
    """

    plan: Plan
    size: int
    dtype: np.dtype


def chunked(
    point: SweepPoint, count: int, dtype: np.dtype, plan: Plan | None, chunk: int | None
) -> Chunks:
    """The plan and the size of chunks that were given, or those that suit the point.

    Args:
        point: what runs at a point.
        count: how many points there are.
        dtype: of their numbers.
        plan: how lanes are laid out; chosen unless given.
        chunk: points run together; chosen unless given.
    """
    if chunk is not None and (not isinstance(chunk, int | np.integer) or chunk < 1):
        raise ValueError(f"chunk: expected a positive number of points, got {chunk!r}")
    plan = _plan(point, count, dtype.itemsize) if plan is None else plan
    wanted = chunk or max(1, _most_lanes(point))
    together = lanes_together(plan, point.adaptive)
    return Chunks(plan, math.ceil(min(wanted, count) / together) * together, dtype)


def run_chunks(
    point: SweepPoint,
    design: Design,
    chunks: Chunks,
    sink: MemorySink | ZarrSink,
    progress: bool | None,
) -> Any:
    """Run every chunk, write its results to the sink, and return what the sink makes of them.

    Raises:
        SweepInterrupted: on Ctrl-C; says what was kept.
    """
    count, size = math.prod(design.shape), chunks.size
    program = point.program(chunks.plan, size)
    done, tried, needed = 0, 0, 0
    with _bar(count, progress) as bar:
        try:
            for first in range(0, count, size):
                last = min(first + size, count)
                found = program(
                    _padded(design.values(first, last), first, size, chunks.dtype, point.parts)
                )
                tried += found.tried
                needed += int(found.needed[: last - first].sum())
                sink.write(
                    first, {n: np.asarray(x)[: last - first] for n, x in found.results.items()}
                )
                done = last
                bar.update(last - first)
        except KeyboardInterrupt:
            raise SweepInterrupted(
                f"stopped after {done} of {count} points; {sink.kept}", sink.unfinished()
            ) from None
    if point.adaptive:
        sink.note({"attempts_done": tried, "attempts_needed": needed})
    return sink.finish()


def _plan(point: SweepPoint, count: int, itemsize: int) -> Plan:
    """The plan for the program of a point."""
    long = count * point.steps >= _WORTH_A_WORD
    products = (long or tuned_devices() > 0) and point.steps_by_products()
    if long and not products:
        mention_tuning()
    if _on_cpu() and point.held() >= _LARGE_LOOP:
        return Plan(None, max(tuned_devices(), 1))
    return choose_plan(products, point.loop(itemsize))


def _most_lanes(point: SweepPoint) -> int:
    """How many points to run together."""
    held = point.held()
    if held >= _LARGE_LOOP:
        most = min(_MOST_IN_LOOPS[0] // held, _MOST_LARGE)
        most = max(1, most if _on_cpu() else _MOST_IN_LOOPS[1] // held)
        return 2 ** (most.bit_length() - 1)  # which more often divides the points of a grid
    return min(_MOST_LANES, _MOST_NUMBERS // max(1, sum(x.size for x in point.state())))


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _padded(
    values: tuple[np.ndarray, ...], first: int, size: int, dtype: np.dtype, parts: int
) -> tuple[tuple[tuple[np.ndarray, ...], ...], np.ndarray]:
    """Exactly `size` points, the last repeated, so that every chunk has one shape."""
    missing = size - len(values[0])

    def pad(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.repeat(x[-1:], missing, 0)]) if missing else x

    index = np.arange(first, first + size, dtype=np.uint32)
    return in_parts(tuple(pad(v) for v in values), dtype)[:parts], index


def _bar(count: int, progress: bool | None) -> Any:
    from tqdm.auto import tqdm

    hidden = None if progress is None else not progress
    return tqdm(total=count, unit="point", unit_scale=True, disable=hidden)
