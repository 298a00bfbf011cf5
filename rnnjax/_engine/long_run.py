"""A run with fixed steps in parts, between which the host may stop it."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Int

from rnnjax._engine.blocks import Blocks, Carry
from rnnjax._engine.fixed_steps import FixedOutcome, FixedRun, beginning, ended, step_of
from rnnjax._numerics.memory import block_length
from rnnjax._types import Array, Arrays, State
from rnnjax.measures._base import AbstractMeasure

_PART = 0.4  # s between two looks at whether Ctrl-C was pressed
_FIRST = 4  # blocks of the first part


class LongRun:
    """The transient and the window of a run of one lane, block after block.

    The blocks are those of a whole run, and so are the numbers but for the last bit, which depends on
    how a program is compiled. It has no reverse mode.
    """

    def __init__(
        self, run: FixedRun, start: State, transient: int, steps: int,
        measures: Sequence[AbstractMeasure],
    ):  # fmt: skip
        """A run from a state on; the arguments are those of `integrate`."""
        zero = jnp.zeros((), jnp.int32)
        unmeasured = Blocks(step_of(run, start, zero), None)
        window = dataclasses.replace(unmeasured, measures=tuple(measures), began=zero + transient)
        self._start, self._lengths = start, (transient, steps)
        self._parts = unmeasured, window

    def begin(self) -> Carry:
        """What is carried into the first step."""
        return beginning(self._start, jnp.zeros((), jnp.int32))

    def go_on(self, carry: Carry, done: Int[Array, ""], blocks: Int[Array, ""], part: int) -> Carry:
        """So many blocks more of the transient (part 0) or of the window (part 1), after those `done`.

        How many there were is one number for all lanes, and so is the time.
        """
        size, of_part = block_length(None, self._lengths[part]), self._parts[part]
        carry = carry._replace(n=self._begins(part) + size * done)
        return lax.fori_loop(0, blocks, lambda _, c: of_part.run(c, size, None)[0], carry)

    def turn(self, carry: Carry) -> Carry:
        """The rest of the transient, and the beginning of the window."""
        return self._parts[1].begin(self._rest(carry, 0))

    def finish(self, carry: Carry) -> FixedOutcome:
        """The rest of the window, and what the run gave."""
        return ended(self._parts[1], self._rest(carry, 1))

    def _rest(self, carry: Carry, part: int) -> Carry:
        length = self._lengths[part]
        rest = length % block_length(None, length)
        carry = carry._replace(n=self._begins(part) + (length - rest))
        return self._parts[part].run(carry, rest, None)[0] if rest else carry

    def _begins(self, part: int) -> Int[Array, ""]:
        return jnp.asarray(self._lengths[0] * part, jnp.int32)


def whole_blocks(length: int) -> int:
    """How many whole blocks so many steps are."""
    return length // block_length(None, length)


def part_by_part(
    go_on: Callable[[Arrays, Int[Array, ""], Int[Array, ""]], Arrays], carry: Arrays, blocks: int
) -> Arrays:
    """`go_on(carry, done, some)` until so many blocks are done, with a look at the host in between.

    A part takes a fraction of a second, so that Ctrl-C is heard.
    """
    done, some = 0, _FIRST
    while done < blocks:
        some = min(some, blocks - done)
        begun = time.perf_counter()
        carry = go_on(carry, jnp.asarray(done, jnp.int32), jnp.asarray(some, jnp.int32))
        jax.block_until_ready(carry)
        spent = time.perf_counter() - begun
        done += some
        some = max(1, int(some * min(8.0, _PART / max(spent, 1e-6))))
    return carry
