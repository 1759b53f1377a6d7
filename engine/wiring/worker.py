"""The heart of a shard process: its slots through its fold, from wherever an earlier life stopped.

In: slots from a `Follower`. Out: sections of rows, each batch's to a callback. Owner of the memory:
the fold's state is ours, sections are views into it. May lose: nothing the journal has. Counts:
cells of SHARD_COUNTERS, which outlive us and tell the next life where to begin.

A life begins with the state that an earlier one saved, or with nothing, and folds from there what
has been published. It is quiet until it comes to slots whose rows may not have reached everybody:

    saved state    ...    settled_seq    ...    folded_seq    ...    published
         | quiet: rows are known everywhere | said again, receivers drop what they know | new

No sockets and no clock: simulation tests run the same worker as production.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.log import Log
from engine.schema import SCHEMA_ID
from engine.schema.slots import SLOT, rows_over
from engine.shard.fold import Fold, Sections
from engine.wiring.day_books import Ledger
from engine.wiring.follow import Follower
from engine.wiring.state_file import StateHead, write_state
from engine.wiring.suspects import SlotRange, Suspects

BATCH_SLOTS = 4_096
SAVE_SLOTS = 2_000_000  # a state is saved at the latest after so many slots: under 2 s to fold
SAVE_IDLE_SLOTS = 100_000  # ... and when there is nothing to do, after so many
SAVE_IDLE_NS = 60_000_000_000  # ... and this long

Take = Callable[[Sections, bool], None]
"""Given the rows of one fold, valid until the next, and whether they are to be published."""


class Saving(NamedTuple):
    """Where states are saved, and what they must agree with to be used again."""

    path: Path
    journal_epoch: int
    settings_hash: str


class Quarantine(Protocol):
    """What happens to a group that kills workers."""

    def __call__(self, slots: SlotRange, worker: "Worker") -> None:
        """Keep the evidence, and see to it that the journal's readers leave the slots out."""
        ...


class Worker:
    """One shard's fold over its slots.

    Parameters
    ----------
    follower
        Where slots come from; it stands where the fold does.
    fold, ledger
        Blank, or as an earlier life saved them.
    cell
        The shard's SHARD_COUNTERS record.
    suspects
        What the last life died of.
    take
        Who gets the rows.
    saving
        Where states go, or None: none are saved.
    quarantine
        Called before a group that killed workers would be folded again.
    epoch
        Of the rows that are published.
    quiet_until
        Rows of slots below this are not published.
    now_ns
        When this life began.
    log
        Where trouble is told.
    """

    def __init__(
        self,
        follower: Follower,
        fold: Fold,
        ledger: Ledger,
        cell: np.void,
        suspects: Suspects,
        take: Take,
        *,
        saving: Saving | None,
        quarantine: Quarantine | None,
        epoch: int,
        quiet_until: int,
        now_ns: int,
        log: Log,
    ) -> None:
        self.follower = follower
        self.fold = fold
        self.ledger = ledger
        self.epoch = epoch
        self._cell = cell
        self._log = log
        self._suspects = suspects
        self._take = take
        self._saving = saving
        self._quarantine = quarantine
        self._quiet_until = quiet_until
        self._live_from = follower.published_seq
        self._lost_at_start = 0
        self._began_ns = now_ns
        self._told_before = int(cell["folded_seq"])
        self._saved_seq, self._saved_ns = follower.next_seq, now_ns
        self._draft_seq: int | None = None  # saved and not settled
        self._batch = np.zeros(BATCH_SLOTS, SLOT)
        self._rows = rows_over(self._batch, 0)
        self.live = follower.next_seq >= self._live_from

    @property
    def batch(self) -> NDArray[np.void]:
        """The slots of the last step, dtype SLOT."""
        return self._batch

    def step(self, now_ns: int) -> int:
        """Fold the next batch, or at least its first part. Return how many slots were taken."""
        follower, suspects = self.follower, self._suspects
        if suspects.is_due(follower.next_seq):
            self._execute()
        first_seq = follower.next_seq
        count = follower.poll(self._batch, suspects.limit(first_seq))
        if not self.live:
            self._catch_up(now_ns)
        stop = 0
        for start, stop in suspects.cut(self._batch, count):
            self._fold(start, stop)
        assert stop == count, "slots were read beyond a limit, and not folded"
        self._cell["slots"] += count
        return count

    def _fold(self, start: int, stop: int) -> None:
        end_seq = int(self._batch["seq"][stop - 1]) + 1
        self._suspects.begin(int(self._batch["seq"][start]), end_seq)
        if start:
            rows = rows_over(self._batch[start:stop], stop - start)
        else:
            rows = self._rows._replace(count=stop)
        sections = self.fold.fold(rows)
        self.ledger.feed(sections)
        self._take(sections, end_seq > self._quiet_until)
        self._suspects.done()  # rows may kill as well

    def _execute(self) -> None:
        verdict = self._suspects.verdict
        assert verdict is not None and self._quarantine is not None, "nobody to try"
        self._quarantine(verdict, self)
        if verdict.first_seq < self._told_before:
            self.epoch = self._began_ns  # an earlier life published what is now left out
        self._suspects.executed()
        self.follower.reread(verdict.first_seq, verdict.end_seq)
        self._cell["quarantined_slots"] += verdict.slots

    def _catch_up(self, now_ns: int) -> None:
        """Notice that we are where the ring was when we began; tell what could not be had."""
        follower = self.follower
        missing = follower.lost_slots + follower.damaged_slots
        if missing != self._lost_at_start:
            # What earlier lives published is not what this one can rebuild.
            self._lost_at_start = missing
            self.epoch = now_ns
        if follower.next_seq >= self._live_from:
            self.live = True
            self._cell["live_ns"] = now_ns
            self._cell["replayed_slots"] = follower.journal_slots

    def save_if_due(self, now_ns: int, *, idle: bool) -> int:
        """Save the state when it is time. Return how many slots it has more than the last, or 0."""
        new_slots = self.follower.next_seq - self._saved_seq
        due = new_slots >= SAVE_SLOTS or (
            idle and new_slots >= SAVE_IDLE_SLOTS and now_ns - self._saved_ns >= SAVE_IDLE_NS
        )
        if self._saving is None or not due:
            return 0
        self.save(now_ns)
        return new_slots

    def save(self, now_ns: int) -> None:
        """Save the state as of the slots folded so far, to be used once it is `settle`d.

        A disk that refuses costs nothing else.
        """
        assert self._saving is not None
        saving, seq = self._saving, self.follower.next_seq
        head = StateHead(
            seq, self.epoch, saving.journal_epoch, SCHEMA_ID, saving.settings_hash, now_ns
        )
        self._saved_seq, self._saved_ns = seq, now_ns
        try:
            write_state(self._draft, head, self.fold.save(), self.ledger.save())
        except OSError as error:
            self._log.write("error", "state not saved", reason=str(error))
            return
        self._draft_seq = seq

    def settle(self, settled_seq: int) -> None:
        """Let a saved state take effect once all rows before it have left this process.

        A life that begins from a state says nothing of what came before it again. So rows that a
        dying process still had in its buffers must not be before it.
        """
        if self._draft_seq is not None and settled_seq >= self._draft_seq:
            assert self._saving is not None
            self._draft.replace(self._saving.path)
            self._cell["state_seq"] = self._draft_seq
            self._draft_seq = None

    @property
    def _draft(self) -> Path:
        assert self._saving is not None
        return self._saving.path.with_suffix(".next")
