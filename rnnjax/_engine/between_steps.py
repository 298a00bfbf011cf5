"""What measures see of an adaptive step: its states between its ends as well, by the dense output."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from rnnjax._machine.compute_once import computed_once
from rnnjax._types import Array, Arrays, Float, Scalar, State, Vector
from rnnjax.measures._base import AbstractMeasure, observed
from rnnjax.measures._stretch import Piece, Stretch
from rnnjax.solvers._base import Solver
from rnnjax.solvers._embedded import TriedStep, dense_weights

PIECES = 4  # of each step, for the measures: their cubics are then as good as the dense output


class Sample(NamedTuple):
    """A state on the way of a step, when (ms since the window began), and its time derivative there."""

    t: Float[Array, ""]
    state: State
    slope: State


def samples_of(
    solver: Solver,
    begin: tuple[Array, State],
    tried: TriedStep,
    h: Float[Array, ""],
    end: Float[Array, ""],
) -> list[Sample]:
    """The ends of the pieces of a step.

    Args:
        solver: which has a dense output.
        begin: when (ms since the window began) and where the step starts.
        tried: the step.
        h: its length, ms.
        end: when it ends.
    """
    t, state = begin
    values, weights = dense_weights(solver, PIECES)
    inside = [_sum(w, tried.slopes) for w in values[1:-1]]
    between = [jax.tree.map(lambda x, moved: x + h * moved, state, moved) for moved in inside]
    return [
        Sample(when, where, _sum(w, tried.slopes))
        for when, where, w in zip(
            (t, *(t + h * (j / PIECES) for j in range(1, PIECES)), end),
            (state, *between, tried.state),
            weights,
            strict=True,
        )
    ]


def folded(
    measures: Sequence[AbstractMeasure], carried: tuple[Arrays, ...], samples: list[Sample],
    h: Float[Array, ""], measuring: Bool[Array, ""], begins: Bool[Array, ""], like: Scalar,
) -> tuple[Arrays, ...]:  # fmt: skip
    """What measures carry after a step.

    Args:
        measures: the measures.
        carried: what each carries before it.
        samples: of the step.
        h: its length, ms.
        measuring: whether it lies in the window.
        begins: whether the window begins at its end.
        like: a number that does not change while stepping.
    """
    found = []
    for m, own in zip(measures, carried, strict=True):
        seen = [(each.t, *_seen(m, each)) for each in samples]
        seen = [(t, *computed_once((x, f), like)) for t, x, f in seen]
        after = []
        for k, before in enumerate(own):
            pieces = tuple(
                Piece(ta, tb, h / PIECES, xa[k], xb[k], fa[k], fb[k])
                for (ta, xa, fa), (tb, xb, fb) in itertools.pairwise(seen)
            )
            now = m.follow(before, Stretch(pieces))
            fresh = m.init(samples[-1].t, seen[-1][1][k])
            after.append(
                jax.tree.map(
                    lambda new, old, fresh: jnp.where(
                        begins, fresh, jnp.where(measuring, new, old)
                    ),
                    now, before, fresh,
                )
            )  # fmt: skip
        found.append(tuple(after))
    return tuple(found)


def _seen(measure: AbstractMeasure, sample: Sample) -> tuple[list[Array], list[Array]]:
    """What is observed of a state, and its time derivative."""
    return jax.jvp(lambda s: observed(measure, s), (sample.state,), (sample.slope,))


def _sum(weights: Vector, slopes: list[State]) -> State:
    """`sum(w_k slope_k)`, zeros left out."""
    terms = [(float(w), k) for w, k in zip(weights, slopes, strict=True) if w != 0]
    if not terms:
        return jax.tree.map(jnp.zeros_like, slopes[0])
    return jax.tree.map(
        lambda *parts: sum(w * k for (w, _), k in zip(terms, parts, strict=True)),
        *[k for _, k in terms],
    )
