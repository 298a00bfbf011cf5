"""Where searches begin: at given states, along a run, or around rest at random."""

import math
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._gate import own_structure
from rnnjax._precision import default_dtype
from rnnjax._types import Arrays, Expected, Float, Key, Shaped, Shapes, State, is_traced
from rnnjax.circuits._structure import arranged

GUESSES = 64


@runtime_checkable
class Visited(Protocol):
    """What has been to many states: a `Trajectory`, or a `Performance`."""

    times: Float[Any, " time"]
    states: State


Guesses: TypeAlias = State | Visited  # with a guess axis in front, one, or a run


def flat_guesses(
    rest: Shapes,
    guesses: Expected[Guesses | None],
    key: Expected[Key | None],
    name: str = "guesses",
) -> Any:
    """Flattened guesses `(guess, n)`, made in the caller's scope.

    Random bits that a float64 scope asks for can't be lowered inside a float32 program.

    Args:
        rest: a state of the circuit.
        guesses: states with a guess axis in front, one state, a `Trajectory` or `Performance`, or
            None.
        key: for the random ones.
        name: of the argument, for messages.

    Raises:
        ValueError: for states of other shapes.
    """
    if guesses is None:
        return _around(rest, key)
    if hasattr(guesses, "times") and hasattr(guesses, "states"):
        guesses = _along(guesses, rest, key)
    guesses = own_structure(arranged(guesses, rest), name, None)
    shapes = [np.shape(x) for x in jax.tree.leaves(rest)]
    got = [np.shape(x) for x in jax.tree.leaves(guesses)]
    if got == shapes:
        guesses = jax.tree.map(
            lambda x: jnp.asarray(x)[None] if is_traced(x) else np.asarray(x)[None], guesses
        )
    elif [s[1:] for s in got] != shapes or len({s[:1] for s in got}) != 1:
        raise ValueError(
            f"{name}: expected states with a guess axis in front, shapes (guess, ...) of "
            f"{shapes}, got {got}"
        )
    rows = rows_of(guesses)
    if rows.shape[0] == 0:
        raise ValueError(f"{name}: expected at least one state, got none")
    if not is_traced(rows) and not np.isfinite(rows).all(1).any():
        raise ValueError(
            f"{name}: expected states that are finite, got {len(rows)} of {len(rows)} that are not"
        )
    return rows


def _around(rest: State, key: Expected[Key | None]) -> Any:
    """Rest, and perturbations of it at scales from 0.1 to 100."""
    vector = rows_of(jax.tree.map(lambda x: x[None], rest))
    shape = (GUESSES - 1, vector.shape[1])
    scales = np.geomspace(0.1, 100.0, GUESSES - 1)[:, None]
    if key is None:
        return rows_of([vector, vector + scales * np.random.default_rng(0).normal(size=shape)], 0)
    draws = jax.random.normal(key, shape, default_dtype())  # pyright: ignore
    draws = draws if is_traced(draws) else np.asarray(draws, np.float64)
    return rows_of([vector, vector + scales.astype(draws.dtype) * draws], 0)


def _along(run: Visited, rest: State, key: Expected[Key | None]) -> Any:
    """Some states of a run, or of a batch of runs: evenly spaced, or drawn with the key."""
    first = jax.tree.leaves(run.states)[0]
    lanes = np.ndim(first) - np.ndim(jax.tree.leaves(rest)[0])
    shape = np.shape(first)[:lanes]
    count = int(np.prod(shape))
    if key is None:
        chosen = np.linspace(0, count - 1, min(GUESSES, count)).round().astype(int)
    else:
        chosen = jax.random.permutation(key, count)[:GUESSES]
        chosen = chosen if is_traced(chosen) else np.asarray(chosen)

    def leaf(x: Shaped[Any, "..."]) -> Any:
        return x.reshape(count, *np.shape(x)[lanes:])[chosen]

    return jax.tree.map(leaf, run.states)


def rows_of(tree: Arrays, axis: int = 1) -> Any:
    """The leaves side by side, one row per guess; NumPy where they are concrete."""
    xp = jnp if is_traced(tree) else np
    leaves = [xp.asarray(x) for x in jax.tree.leaves(tree)]
    dtype = default_dtype() if is_traced(tree) else np.float64
    rows = [
        x.astype(dtype)
        if axis == 0
        else x.reshape(x.shape[0], math.prod(x.shape[1:])).astype(dtype)
        for x in leaves
    ]
    return xp.concatenate(rows, axis)
