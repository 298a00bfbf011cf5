"""What every verb does before it begins: its arguments by name, its key, and who looks for NaN."""

import contextlib
import difflib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._types import Expected, is_key, is_traced

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

# What other tools call it; of several names the first that the verb has.
_CALLED_ELSEWHERE = {
    "dt": ("step",), "h": ("step",), "ds": ("max_step",), "seed": ("key",), "rng": ("key",),
    "random_state": ("key",), "method": ("solver",), "integrator": ("solver",), "y0": ("start",),
    "x0": ("start", "guesses", "state"), "init": ("start",), "initial": ("start",),
    "initial_state": ("start",), "state": ("start",), "t": ("times", "duration"),
    "ts": ("times",), "t_eval": ("times",), "t_span": ("times", "duration"), "T": ("duration",),
    "saveat": ("times",), "runtime": ("duration",), "tol": ("tolerance", "rtol"),
    "I": ("input",), "inputs": ("input",), "stimulus": ("input",), "device": ("dtype",),
    "precision": ("dtype",), "lr": ("optimizer",), "learning_rate": ("optimizer",),
    "epochs": ("steps",), "iterations": ("steps",), "loss": ("objective",),
    "params": ("where", "over"), "parameters": ("where", "over"), "grid": ("over",),
    "out": ("store",), "path": ("store",), "save": ("store",), "verbose": ("progress",),
    "n": ("count", "points"), "num": ("count", "points"), "k": ("count",),
}  # fmt: skip
_LARGEST = 2**32  # from here on seeds would give the streams of smaller ones


def verb(function: FunctionT) -> FunctionT:
    """A function of the package as users call it.

    A `key` may be a whole number, arguments that are `bool` are truth values, those that it does not
    have are refused with those that it has, and JAX does not look for NaN inside of it
    (`jax_debug_nans`), where NaN is how a lane that fails is told.
    """
    return _called(function, as_key)


def verb_of_many(function: FunctionT) -> FunctionT:
    """The same for one that also takes an array of keys."""
    return _called(function, as_keys)


def as_key(key: Expected[Any], name: str = "key") -> Any:
    """One JAX random key: as it is, an old one (`jax.random.PRNGKey`), or made from a whole number.

    Raises:
        TypeError: for what is none.
        ValueError: for several keys, or a number out of range.
    """
    found = as_keys(key, name)
    if found is not None and np.shape(found) != ():
        raise ValueError(
            f"{name}: expected one key, got {np.shape(found)} of them: give one, as {name}[0], or map "
            "over them by jax.vmap"
        )
    return found


def as_keys(key: Expected[Any], name: str = "key") -> Any:
    """The same for one key or an array of them; None is left alone."""
    if key is None or is_key(key):
        return key
    kind = getattr(getattr(key, "dtype", None), "kind", None)
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        if not 0 <= key < _LARGEST:
            raise ValueError(
                f"{name}: expected a whole number from 0 to {_LARGEST - 1}, or jax.random.key(0), got "
                f"{key}"
            )
        return jax.random.key(np.uint32(key))
    if isinstance(key, jax.Array | np.ndarray) and kind in ("i", "u"):
        if np.shape(key) == ():
            return jax.random.key(key) if is_traced(key) else as_keys(int(key), name)
        words = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0))).shape
        if key.dtype == np.uint32 and np.shape(key)[-1:] == words:
            return jax.random.wrap_key_data(jnp.asarray(key))
    what = key if isinstance(key, bool | float | str | np.generic) else type(key).__name__
    raise TypeError(
        f"{name}: expected a whole number such as 0, or jax.random.key(0), got {what!s}"
        + (f" of shape {np.shape(key)}" if isinstance(key, jax.Array | np.ndarray) else "")
    )


def _called(function: FunctionT, of_key: Callable[[Any], Any]) -> FunctionT:
    signature = inspect.signature(function)
    truths = [name for name, p in signature.parameters.items() if p.annotation is bool]
    needs_key = "key" in signature.parameters and (
        signature.parameters["key"].default is inspect.Parameter.empty
    )

    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        try:
            given = signature.bind(*args, **named)
        except TypeError as error:
            raise TypeError(_misfit(function, signature, named, error)) from None
        arguments = given.arguments
        if "key" in arguments:
            if needs_key and arguments["key"] is None:
                raise TypeError(
                    "key: expected a whole number such as 0, or jax.random.key(0), got None"
                )
            arguments["key"] = of_key(arguments["key"])
        for name in truths:
            if not _is_truth(arguments.get(name, True)):
                raise TypeError(f"{name}: expected True or False, got {arguments[name]!r}")
        with _not_looked_for_nans():
            return function(*given.args, **given.kwargs)

    return run  # pyright: ignore[reportReturnType]


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1))


def _misfit(
    function: Callable[..., Any],
    signature: inspect.Signature,
    named: dict[str, Any],
    error: TypeError,
) -> str:
    """How the arguments do not fit the verb, and which it has."""
    has = [name for name in signature.parameters if name not in ("self", "cls")]
    for name in named:
        if name not in has:
            other = [each for each in _CALLED_ELSEWHERE.get(name, ()) if each in has]
            close = other[:1] or difflib.get_close_matches(name, has, 1)
            hint = f"did you mean {close[0]}=? " if close else ""
            return f"{function.__name__} has no argument {name}: {hint}It has {', '.join(has)}"
    return f"{function.__name__}: {error}: it takes {', '.join(has)}"


@contextlib.contextmanager
def _not_looked_for_nans() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if jax.config.jax_debug_nans:  # pyright: ignore[reportAttributeAccessIssue]
            stack.enter_context(jax.debug_nans(False))
        if jax.config.jax_debug_infs:  # pyright: ignore[reportAttributeAccessIssue]
            stack.enter_context(jax.debug_infs(False))
        yield
