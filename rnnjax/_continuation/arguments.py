"""What every continuation asks of its arguments."""

from typing import Any

import numpy as np

from rnnjax._parameter import check_values, field_of, leaf_of, path_of
from rnnjax._types import is_traced
from rnnjax.circuits._base import Driven
from rnnjax.circuits._checks import apart, as_input, check_run, starting_state


def checked_target(
    circuit: Any, where: Any, bounds: Any, input: Any, start: Any, value: Any = None
) -> tuple[Any, int, Any, Any]:
    """What is followed, which of its leaves, and from which state and value, or a ValueError.

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
    path = path_of(circuit, where)
    value = where(circuit) if value is None else value
    if np.shape(value) != ():
        raise ValueError(
            f"where: expected one number to follow, {path} has shape {np.shape(value)}: give the "
            "number a field of its own"
        )
    low, high = checked_bounds(bounds, path)
    if not is_traced(value) and not low <= float(value) <= high:
        raise ValueError(
            f"bounds: expected them around the value of {path}, {float(value):g}, at which the "
            f"branch begins, got ({low:g}, {high:g}): change either"
        )
    field = field_of(circuit, path)
    if field is not None:
        check_values(field, np.asarray([low, high]), owner="bounds")
    state = starting_state(own, drive, start)
    target = circuit if isinstance(circuit, Driven) else Driven(circuit, as_input(own, input))
    inside = where if isinstance(circuit, Driven) else (lambda d: where(d.circuit))
    return target, leaf_of(target, inside), state, value


def checked_bounds(bounds: Any, path: str) -> tuple[float, float]:
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
