"""What a fit is given, looked at before anything compiles."""

import functools
from typing import Any, TypeAlias

import equinox as eqx
import jax
import numpy as np
import optax

from rnnjax._files.archive import check_path
from rnnjax._gate import one_number
from rnnjax._parameter import check, counted
from rnnjax._training.audit import Every
from rnnjax._training.objective import Trained
from rnnjax._training.stop import Stop
from rnnjax._types import Expected, Numbers, is_key
from rnnjax.circuits._base import Driven
from rnnjax.circuits._checks import check_circuit as check_is_circuit

AnyKey: TypeAlias = Expected[Numbers | None]  # of one fit, or of many; looked at here


def check_circuit(circuit: Trained) -> None:
    """Refuse what is no circuit, and parameters that can't be right, its input's as well."""
    inner: Any = circuit.circuit if isinstance(circuit, Driven) else circuit
    check_is_circuit(inner)
    check(circuit)
    check(getattr(circuit, "circuit", circuit))
    check(getattr(circuit, "input", None))


def checked_optimizer(
    optimizer: Any, validate_every: int | None, stop: Any, audit: Any
) -> optax.GradientTransformation:
    """The optimizer, the default one unless it is given; refuse what is none, beside it too.

    Raises:
        TypeError, ValueError: says which, and what was expected.
    """
    if validate_every is not None:
        counted(validate_every, "validate_every")
    if stop is not None and not isinstance(stop, Stop):
        raise TypeError(f"stop: expected Stop(below=...) or Stop(patience=...), got {stop!r}")
    if stop is not None and validate_every is None:
        raise ValueError("stop: it goes by validations, and there are none: give validate_every=")
    if audit is not None and not isinstance(audit, Every):
        raise TypeError(f"audit: expected e.g. rnnjax.every(100), got {audit!r}")
    optimizer = _default_optimizer() if optimizer is None else optimizer
    if not hasattr(optimizer, "init") or not hasattr(optimizer, "update"):
        raise TypeError(f"optimizer: expected e.g. optax.adam(1e-2), got {optimizer!r}")
    return optimizer


@functools.cache
def _default_optimizer() -> optax.GradientTransformation:
    """The same one every time: another is another compilation."""
    return optax.adam(1e-2)


def check_file(checkpoint: Any, interval: Any) -> None:
    """Refuse a checkpoint that is no path, and an interval that is no time.

    Raises:
        TypeError, ValueError: says which.
    """
    if checkpoint is not None:
        check_path(checkpoint, "checkpoint")
    if one_number(interval, "checkpoint_interval") < 0:
        raise ValueError(
            f"checkpoint_interval: expected a number of seconds, 0 or more, got {interval!r}"
        )


def lanes_of(circuit: Trained, key: AnyKey) -> int | None:
    """How many fits there are, None for one.

    Raises:
        ValueError: for keys in another shape, or circuits that do not have their axis.
    """
    if key is None:
        return None
    if not is_key(key) and np.shape(key) != (2,):
        raise ValueError(
            f"key: expected jax.random.key(0), or jax.random.split(key, n) of it for n fits, got {key!r}"
        )
    shape = np.shape(key) if is_key(key) else ()
    if shape == ():
        return None
    arrays = [x for x in jax.tree.leaves(circuit) if eqx.is_inexact_array(x)]
    if len(shape) != 1 or any(np.shape(x)[:1] != shape for x in arrays):
        raise ValueError(
            f"key: {shape} keys mean as many fits, whose circuits have an axis of that length in "
            "front of every array: make them by eqx.filter_vmap(make)(keys)"
        )
    return shape[0]


def check_traced(lanes: int | None, audit: Every | None, checkpoint: Any) -> None:
    """Refuse inside of a JAX transformation what a host has to do.

    Raises:
        ValueError: says what, and what to do instead.
    """
    if lanes:
        raise ValueError(
            "key: inside of a JAX transformation one key makes one fit: put eqx.filter_vmap around "
            "fit, or give it the keys outside"
        )
    if audit is not None:
        raise ValueError("audit: only of one fit at a time; find_equilibria takes its circuits")
    if checkpoint is not None:
        raise ValueError(
            "checkpoint: not inside of a JAX transformation: give fit the keys instead"
        )
