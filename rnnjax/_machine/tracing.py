"""What goes wrong while JAX traces a function of the user, told so that it can be mended."""

import contextlib
import inspect
import numbers
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np

from rnnjax._precision import is_number
from rnnjax._types import Expected, Shapes, T

_MAPPED = "it uses them in jax.numpy only: jnp.tanh(x), not np.tanh(x), math.tanh(x) or float(x)"
_CHOSEN = (
    "it decides by none of them: jnp.where(x > 0, a, b) in place of if, while, and, or, min and max"
)
_UNTRACEABLE = (
    (jax.errors.TracerBoolConversionError, _CHOSEN),
    (jax.errors.NonConcreteBooleanIndexError, _CHOSEN + "; no x[x > 0]"),
    (jax.errors.TracerIntegerConversionError, _MAPPED + "; jnp.asarray(table)[k], not table[k]"),
    (jax.errors.TracerArrayConversionError, _MAPPED),
    (jax.errors.ConcretizationTypeError, _MAPPED),
)
_IMMUTABLE = "arrays are immutable"  # of JAX's words


@contextlib.contextmanager
def told(what: str, kind: str = "a function") -> Iterator[None]:
    """Around a call of a user's function: says which it was, and what JAX wants of it.

    Args:
        what: the function: `WilsonCowan.__call__`, `input`, `observe`.
        kind: what is expected: a function of what.

    Raises:
        TypeError: for one that JAX can't trace; JAX's own error is its cause.
    """
    try:
        yield
    except tuple(kind for kind, _ in _UNTRACEABLE) as error:
        todo = next(words for kind, words in _UNTRACEABLE if isinstance(error, kind))
        raise TypeError(
            f"{what}: expected {kind} that JAX can trace, for any numbers at once: {todo}"
        ) from error
    except TypeError as error:
        if _IMMUTABLE in str(error):
            raise TypeError(
                f"{what}: expected new arrays, got an assignment to one that JAX passes: "
                "x = x.at[0].set(y) in place of x[0] = y"
            ) from error
        _note(error, what)
        raise
    except Exception as error:
        _note(error, what)
        raise


def shapes_of(
    what: str, function: Callable[..., Any], *arguments: Shapes, kind: str = "a function"
) -> Any:
    """The shapes of what a user's function gives for arguments of these shapes.

    The numbers of a module, such as a circuit's parameters, are as unknown to it as its arguments.

    Raises:
        TypeError: for one that JAX can't trace, or that gives what are no numbers.
    """
    # what is no module is one leaf, and no number
    own, rest = eqx.partition(function, is_number)

    def looked_at(own: Any, *arguments: Any) -> Any:
        return only_numbers(what, eqx.combine(own, rest)(*arguments))

    check_takes(what, function, len(arguments))
    # numbers that float32 does not hold are refused by name where they are cast
    with told(what, kind), np.errstate(over="ignore"):
        return jax.eval_shape(looked_at, own, *arguments)


def only_numbers(what: str, found: T) -> T:
    """What a user's function gave, refused where it is no numbers.

    Raises:
        TypeError: says what it is.
    """
    for leaf in jax.tree.leaves(found):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | numbers.Number):
            raise TypeError(
                f"{what}: expected a function that returns numbers, got one that returns {leaf!r}"
            )
    return found


def check_takes(what: str, function: Expected[Callable[..., Any]], count: int) -> None:
    """Refuse what is no function of so many arguments, as far as it tells.

    Raises:
        TypeError: says what it takes.
    """
    if not callable(function):
        raise TypeError(f"{what}: expected a function, got {function!r}")
    try:
        takes = inspect.signature(function)
    except (ValueError, TypeError):  # of a function that is not written in Python
        return
    try:
        takes.bind(*range(count))
    except TypeError as error:
        arguments = "one argument" if count == 1 else f"{count} arguments"
        raise TypeError(
            f"{what}: expected a function of {arguments}, got one of {takes} ({error})"
        ) from None


def _note(error: Exception, what: str) -> None:
    """Add to a user's own error where it was called; once."""
    note = f"in {what}, which rnnjax called"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
