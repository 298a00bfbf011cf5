"""A fit step by step, from the host: progress, audits, checkpoints, Ctrl-C."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax._files.archive import check_writable
from rnnjax._files.checkpoint import read, write
from rnnjax._files.lock import Lock
from rnnjax._machine.identity import identity_of, not_identified
from rnnjax._precision import to_host
from rnnjax._results import warn_caller
from rnnjax._training.audit import Audit, Every, all_in_one, audited, audits_from
from rnnjax._training.batches import Keys
from rnnjax._training.networks_together import advance_lanes, begin_lanes, layout
from rnnjax._training.objective import Trained
from rnnjax._training.step import FitState, Recipe, Seen, advance_compiled, begin_compiled
from rnnjax._types import Array, Float, Key, like, numbers_of
from rnnjax._where import rebuild

PathLike: TypeAlias = str | Path


class Outcome(NamedTuple):
    """How far a fit came.

    Attributes:
        interrupted: after how many steps it was interrupted, or None.
        state: the last state.
        seen: what was seen of each step, steps last.
        audits: what was found out on the way.
    """

    interrupted: int | None
    state: FitState
    seen: Seen
    audits: Audit | None


class Kept(NamedTuple):
    """Where a fit is kept.

    Attributes:
        path: the file.
        identity: what the fit was when it began, before anything was used.
        lock: the right to write there.
    """

    path: Path
    identity: dict[str, str]
    lock: Lock


class Loop(NamedTuple):
    """A fit step by step, from the host."""

    circuit: Trained
    key: Key | Keys | None
    recipe: Recipe
    steps: int
    lanes: int | None
    audit: Every | None
    checkpoint: PathLike | None
    interval: float
    kept: "Kept | None" = None

    def run(self, free: Sequence[Array], progress: bool | None) -> Outcome:
        """All steps that are left.

        Raises:
            OSError: if the checkpoint can't be written, or another process does so.
        """
        if self.checkpoint is None:
            return self._run(free, progress)
        path = Path(self.checkpoint)
        check_writable(path)
        lock = Lock(path)
        try:
            kept = Kept(path, identity_of(**self._made_of()), lock)
            self._say_what_is_not_known()
            outcome = self._replace(kept=kept)._run(free, progress)
            self._say_what_changed(kept.identity)
            return outcome
        finally:
            lock.release()

    def _run(self, free: Sequence[Array], progress: bool | None) -> Outcome:
        from tqdm.auto import tqdm

        k, state, history, audits = self._resumed(self._begun(free))
        where = layout(self.circuit, self.key, self.recipe.objective, self.lanes)
        state = where.placed(state)
        self = self._replace(circuit=where.placed(self.circuit), key=where.placed(self.key))
        ended = not np.any(state.alive & state.going)
        now, written = (k, state), time.monotonic()  # one name, so that Ctrl-C finds both or none
        hidden = None if progress is None else not progress
        with tqdm(total=self.steps, initial=k, unit="step", disable=hidden) as bar:
            try:
                while now[0] <= self.steps and not ended:
                    k, state = now
                    late = time.monotonic() - written >= self.interval
                    if k == self.steps or (late and k > 0):
                        self._write(k, state, history, audits)
                        written = time.monotonic()
                    audits = [*audits, *self._audited(state, k)]
                    state, found = self._advance(state, k)
                    history.append(found)
                    now = (k + 1, state)
                    bar.update(k < self.steps)
                    if k % 10 == 0 or k == self.steps:  # asking for a value waits for the device
                        bar.set_postfix(loss=shown(found.loss), refresh=False)
                        ended = not np.any(state.alive & state.going)
                        if ended and k < self.steps:  # what ends with the last step is written
                            self._write(k + 1, state, history, audits)
            except KeyboardInterrupt:
                k, state = now
                self._write(k, state, history[:k], audits)
                return Outcome(k, state, self._seen(history[:k]), all_in_one(audits))
            except Exception:  # of an audit, or of the machine: what was reached is kept
                k, state = now
                if k > 0:
                    self._write(k, state, history[:k], audits)
                raise
        return Outcome(None, now[1], self._seen(history), all_in_one(audits))

    def _begun(self, free: Sequence[Array]) -> FitState:
        if self.lanes is None or self.key is None:
            return begin_compiled(self.circuit, free, self.key, self.recipe)
        return begin_lanes(self.circuit, free, self.key, self.recipe)

    def _advance(self, state: FitState, k: int) -> tuple[FitState, Seen]:
        number, moving = jnp.asarray(k, jnp.int32), jnp.asarray(k < self.steps)
        if self.lanes is None or self.key is None:
            return advance_compiled(state, number, self.circuit, self.key, moving, self.recipe)
        return advance_lanes(state, number, self.circuit, self.key, moving, self.recipe)

    def _audited(self, state: FitState, k: int) -> list[Audit]:
        """An audit where one is due, and the fit has not ended."""
        if self.audit is None or k % self.audit.steps or not np.any(state.alive & state.going):
            return []
        current = rebuild(self.circuit, self.recipe.chosen, state.free)
        return [audited(to_host(current), self.audit, k)]  # it may be on several devices

    def _nothing(self) -> list[list[np.ndarray]]:
        """The columns of a history of no steps."""
        shape = () if self.lanes is None else (self.lanes,)
        return [[np.full(shape, np.nan)] for _ in Seen._fields]

    def _seen(self, history: list[Seen]) -> Seen:
        """One array each, steps last, NaN for steps that were not taken."""
        columns = []
        for values in zip(*history, strict=True) if history else self._nothing():
            table = np.stack([np.asarray(x) for x in values], -1)
            rest = self.steps + 1 - table.shape[-1]
            missing = np.full((*table.shape[:-1], rest), np.nan, table.dtype)
            columns.append(jnp.asarray(np.concatenate([table, missing], -1)))
        return Seen(*columns)

    def _made_of(self) -> dict[str, Any]:
        """What makes it this fit and no other."""
        return {
            "circuit": self.circuit, "trained": tuple(each.path for each in self.recipe.chosen),
            "key": self.key, "objective": self.recipe.objective, "optimizer": self.recipe.optimizer,
            "stop": self.recipe.stop, "validate_every": self.recipe.validate_every,
            "audit": self.audit,
        }  # fmt: skip

    def _say_what_is_not_known(self) -> None:
        unknown = not_identified(**self._made_of())
        if unknown:
            warn_caller(
                f"{self.checkpoint}: it can't be told whether a fit that goes on from it has the same "
                f"{'; '.join(unknown)}: see to it yourself, or give numbers and functions instead"
            )

    def _say_what_changed(self, before: dict[str, str]) -> None:
        now = identity_of(**self._made_of())
        changed = [name for name in before if now[name] != before[name]]
        if changed:
            warn_caller(
                f"{self.checkpoint}: the {' and the '.join(changed)} changed by being used, and is known "
                "there as it was at first: make it anew to go on"
            )

    def _write(self, k: int, state: FitState, history: list[Seen], audits: list[Audit]) -> None:
        if self.kept is None:
            return
        columns = [
            np.stack([np.asarray(x) for x in values]) for values in zip(*history, strict=True)
        ]
        columns = columns or [np.zeros(0)] * len(Seen._fields)
        records = [x for each in audits for x in jax.tree.leaves(each)]
        arrays = [numbers_of(x) for x in (*jax.tree.leaves(state), *columns, *records)]
        self.kept.lock.check()
        write(self.kept.path, self.kept.identity, k, arrays)

    def _resumed(self, state: FitState) -> tuple[int, FitState, list[Seen], list[Audit]]:
        """Where the fit goes on: the number of the step, the state, and what was seen."""
        if self.kept is None:
            return 0, state, [], []
        found = read(self.kept.path, self.kept.identity)
        if found is None:
            return 0, state, [], []
        k, arrays, version = found
        if k > self.steps:
            raise ValueError(
                f"{self.checkpoint} holds a fit of {k} steps already: expected at least as many, got "
                f"steps={self.steps}"
            )
        if version != jax.__version__:
            warn_caller(
                f"{self.checkpoint} was written with jax {version}, and goes on with "
                f"{jax.__version__}: numbers may differ in their last digits"
            )
        leaves, structure = jax.tree.flatten(state)
        own, rest = arrays[: len(leaves)], arrays[len(leaves) :]
        if len(own) != len(leaves) or any(
            np.shape(a) != np.shape(b) or a.dtype != b.dtype
            for a, b in zip(own, map(numbers_of, leaves), strict=True)
        ):
            raise ValueError(
                f"{self.checkpoint} was written with another optimizer or dtype: give the same to "
                "go on, or another path to begin anew"
            )
        state = jax.tree.unflatten(structure, list(map(like, own, leaves)))
        columns, records = rest[: len(Seen._fields)], rest[len(Seen._fields) :]
        history = [Seen(*values) for values in zip(*columns, strict=True)]
        audits = [each for each in audits_from(records) if int(each.steps[0]) < k]
        return k, state, history, audits


def shown(losses: Float[Array | np.ndarray, "*fits"]) -> str:
    """A loss in few digits, of many fits the one in the middle of those that are finite."""
    values = np.asarray(losses)
    finite = values[np.isfinite(values)]
    return f"{np.median(finite):.4g}" if finite.size else "nan"
