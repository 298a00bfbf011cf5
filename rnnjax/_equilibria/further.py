"""Where to look on when the indices of what was found tell that some were missed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnjax._equilibria.equilibria import Equilibria
from rnnjax._equilibria.guesses import rows_of
from rnnjax._types import Bool, Expected, Float, Key

# rows, and which of them are wanted
Field = Callable[[Float[np.ndarray, "row n"], Bool[np.ndarray, " row"]], Float[np.ndarray, "row n"]]

_SCALES = 0.03, 3.0  # of the extent of what is known: how far from it
_WIDE = 10.0  # units: how far one in four guesses may be at most, whatever is known
_FAR = 1e5  # units: where leaks are what is left of the field
_SAME = 1e-6  # relative distance below which two equilibria are one


class LookedOn(NamedTuple):
    """What was found in the end, and in how many rounds."""

    found: Equilibria
    rounds: int


def looked_on(
    found: Equilibria,
    search: Callable[[Float[np.ndarray, "guess n"]], Equilibria],
    field: Field,
    rest: Float[np.ndarray, " n"],
    effort: tuple[int, int, Expected[Key | None]],
) -> LookedOn:
    """Further searches while the indices tell that some are missing, and then while they find more.

    Args:
        found: the equilibria that are known.
        search: those that searches from some guesses lead to.
        field: the vector field, of rows.
        rest: a state of the circuit.
        effort: the most rounds, the number of guesses of each, and the key that was given.
    """
    rounds, count, key = effort
    seed = [] if key is None else np.ravel(jax.random.key_data(key)).tolist()
    units = np.where(rest == 0, 1.0, abs(rest))
    scales = rest, units, leaks(field, rest, units)
    done = 0
    while done < rounds:
        random = np.random.default_rng([done, *seed])
        known = np.concatenate([rest[None], rows_of(found.states)[: len(found)]])
        more = search(further_guesses(field, known, count, random, scales))
        new = new_among(rows_of(more.states)[: len(more)], known[1:], units)
        found, done = _with(found, more, new), done + 1
        if found.expected_index_sum is None or not (found.lacking or new):
            break
    return LookedOn(found, done)


def _with(found: Equilibria, more: Equilibria, new: list[int]) -> Equilibria:
    """Some of the others as well, behind those that are known."""
    count = len(found)

    def both(x: Any, y: Any) -> Any:
        return np.concatenate([x[:count], y[new], x[count:]])

    names = "states", "found", "residual", "jacobian", "status"
    parts = {name: jax.tree.map(both, getattr(found, name), getattr(more, name)) for name in names}
    inward = np.asarray(bool(found.inward) and bool(more.inward))
    return Equilibria(**parts, inward=inward)


def _at(field: Field, rows: Float[np.ndarray, "row n"]) -> Float[np.ndarray, "row n"]:
    return field(rows, np.ones(len(rows), bool))


def leaks(
    field: Field, rest: Float[np.ndarray, " n"], units: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    r"""The time constants $\tau$ of a field that is $-x / \tau$ far out; 1 where it is not, per variable."""
    signs = np.where(np.random.default_rng(2).normal(size=(8, rest.size)) > 0, 1.0, -1.0)
    z = rest + _FAR * units * signs
    with np.errstate(all="ignore"):
        found = np.median(-(z - rest) / _at(field, z), 0)
    return np.where(np.isfinite(found) & (found > 0), found, 1.0)


def further_guesses(
    field: Field, known: Float[np.ndarray, "row n"], count: int, random: np.random.Generator,
    scales: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
) -> Float[np.ndarray, "guess n"]:  # fmt: skip
    r"""Guesses between what is known, beyond it, and aside in directions that the circuit can take.

    The image of a random state, $z + \tau f(z)$, is what recurrent weights make of it: of a network
    of low rank it lies in the few directions in which its equilibria do. Half of the guesses are known
    ones moved along such directions, the others lie on lines through two known ones.

    Args:
        field: the vector field, of rows.
        known: rest and the equilibria found so far.
        count: how many guesses.
        random: draws.
        scales: of each variable: rest, its unit, its time constant.
    """
    rest, units, taus = scales
    n = rest.size

    extent = np.sqrt((((known - rest) / units) ** 2).mean(1).max())
    extent = extent if extent > 0 else _WIDE / _SCALES[1]

    def far(rows: int) -> Float[np.ndarray, "row 1"]:
        low, high = np.log(_SCALES)
        own = extent * np.exp(random.uniform(low, high, (rows, 1)))
        wide = _WIDE * random.uniform(size=(rows, 1))
        return np.where(np.arange(rows)[:, None] % 4 == 0, wide, own)

    aside = (count + 1) // 2
    z = rest + far(aside) * units * random.normal(size=(aside, n))
    with np.errstate(all="ignore"):
        image = z + taus * _at(field, z) - (rest + taus * _at(field, rest[None]))
    # sums of images turn in all of the directions that there are
    turned = np.where(np.isfinite(image), image, 0.0) / units
    turned /= np.maximum(np.sqrt((turned**2).mean(1, keepdims=True)), 1e-300)
    turned = random.normal(size=(aside, aside)) @ turned
    turned /= np.maximum(np.sqrt((turned**2).mean(1, keepdims=True)), 1e-300)
    moved = known[random.integers(len(known), size=aside)] + far(aside) * units * turned

    one, other = (known[random.integers(len(known), size=count - aside)] for _ in range(2))
    share = random.choice([-1.0, 0.5, 0.5, 2.0], (count - aside, 1))
    share = share + 0.1 * random.normal(size=share.shape)
    return np.concatenate([moved, one + share * (other - one)])


def new_among(
    rows: Float[np.ndarray, "row n"], known: Float[np.ndarray, "known n"],
    units: Float[np.ndarray, " n"],
) -> list[int]:  # fmt: skip
    """Which rows, each unlike the others, are unlike all that is known."""
    return [
        k
        for k, x in enumerate(rows)
        if not (abs(known - x) <= _SAME * (units + abs(x))).all(1).any()
    ]
