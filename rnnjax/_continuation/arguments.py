"""What every continuation asks of its arguments."""

from typing import Any

import numpy as np

from rnnjax._parameter import check_values
from rnnjax._types import Arrays, Expected, InputLike, Limits, State, Where, is_traced
from rnnjax._where import Named, number_named
from rnnjax.circuits._base import AbstractCircuit, Driven
from rnnjax.circuits._checks import apart, as_input, check_run, starting_state


def checked_target(
    circuit: AbstractCircuit[Any] | Driven,
    where: Where[Any],
    bounds: Expected[Limits | None],
    input: Expected[InputLike | None],
    start: Expected[State | None],
    value: Arrays = None,
) -> tuple[Any, Named, Any, Any]:
    """What is followed, which of its numbers, and from which state and value, or a ValueError.

    Args:
        circuit: the circuit, or `Driven`.
        where: names the number.
        bounds: its lowest and highest value.
        input: the input.
        start: a state, or None for `rest()`.
        value: that of the number where the branch begins; its own unless given.
    """
    own, drive = apart(circuit, input)
    check_run(own, drive, None, None)
    named = number_named(circuit, where)
    path = named.path
    value = named.value(circuit) if value is None else value
    low, high = checked_bounds(bounds, path)
    if not is_traced(value) and not low <= float(value) <= high:
        raise ValueError(
            f"bounds: expected them around the value of {path}, {float(value):g}, at which the "
            f"branch begins, got ({low:g}, {high:g}): change either"
        )
    if named.field is not None:
        check_values(named.field, np.asarray([low, high]), owner="bounds")
    state = starting_state(own, drive, start)
    target = circuit if isinstance(circuit, Driven) else Driven(circuit, as_input(own, input))
    return target, named, state, value


def checked_bounds(bounds: Expected[Limits | None], path: str) -> tuple[float, float]:
    """The lowest and the highest value of the parameter, or a ValueError."""
    if bounds is None or np.shape(bounds) != (2,) or not np.isfinite(bounds).all():
        raise ValueError(f"bounds: expected (lowest, highest) of {path}, got {bounds}")
    low, high = (float(b) for b in bounds)
    if low >= high:
        raise ValueError(
            f"bounds: expected (lowest, highest) of {path} with lowest < highest, got "
            f"({low:g}, {high:g}): swap them"
        )
    return low, high
