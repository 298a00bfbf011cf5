"""What every continuation asks of its arguments."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnnjax._gate import one_number, own_numbers
from rnnjax._parameter import check_values
from rnnjax._types import Arrays, Expected, InputLike, Limits, State, T, Where, is_traced
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


def checked_share(max_step: Expected[float]) -> float:
    """The longest step as a share of the bounds, or an error."""
    share = one_number(max_step, "max_step")
    if not 0 < share <= 1:
        raise ValueError(f"max_step: expected a share of the bounds, in (0, 1], got {max_step}")
    return share


def each_of(given: Expected[Iterable[Any]], kind: type[T], example: str, see: str) -> tuple[T, ...]:
    """The bifurcations to look for, as a tuple.

    Args:
        given: by the user.
        kind: what each of them must be.
        example: of one.
        see: where others are, for the message.

    Raises:
        TypeError: for what is no tuple or list of them.
    """
    if not isinstance(given, tuple | list):
        raise TypeError(f"bifurcations: expected a tuple such as ({example},), got {given!r}")
    for each in given:
        if not isinstance(each, kind):
            raise TypeError(
                f"bifurcations: expected objects such as {example}, got {each!r}: {see}"
            )
    return tuple(given)


def checked_bounds(bounds: Expected[Limits | None], path: str) -> tuple[float, float]:
    """The lowest and the highest value of the parameter, or a ValueError."""
    wanted = f"bounds: expected (lowest, highest) of {path}, two finite numbers, got {bounds!r}"
    try:
        found = own_numbers(bounds, "bounds", None)
    except (TypeError, ValueError):
        raise ValueError(wanted) from None
    if is_traced(found) or found.shape != (2,) or not np.isfinite(found).all():
        raise ValueError(wanted)
    low, high = found.tolist()
    if low >= high:
        raise ValueError(
            f"bounds: expected (lowest, highest) of {path} with lowest < highest, got "
            f"({low:g}, {high:g}): swap them"
        )
    return low, high
