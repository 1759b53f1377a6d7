"""A shard's slots, wherever they are: the ring while it has them, the journal when it has not.

In: one ring and the journal of its shard. Out: batches of whole groups in the order of their
numbers, none left out. Owner of the memory: the caller's batch. May lose: what is in neither, which
is what the disk refused and the ring has overwritten (`lost_slots`), or what the disk spoilt
(`damaged_slots`); the slot that says so is in the batch. Counts: attributes.

A start from a saved state, a start from nothing and a reader that was overtaken are one case: the
next slot is not in the ring, so it is read from the journal, as far as the ring has published.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.journal import quarantine
from engine.journal.damage import replace
from engine.journal.disk import REAL_DISK, Disk
from engine.journal.reader import JournalReader
from engine.ring.reader import GONE, RingReader
from engine.schema.slots import CONTROL

if TYPE_CHECKING:
    from engine.journal.damage import Damage

NO_LIMIT = 2**62


class Follower:
    """Reads one shard's slots from where it is told.

    Parameters
    ----------
    ring
        The shard's end of the ring.
    folder
        The trading day's journal; None: there is none, and what the ring overwrote is lost.
    shard
        Whose journal.
    first_seq
        The slot to begin with; it must start a group.
    feed_symbol_id
        Says whom lost slots are told of: the feed's pseudo symbol, 0 while it is not known.
    disk
        Where the journal is.

    Attributes
    ----------
    journal_slots
        Slots taken from the journal.
    lost_slots, damaged_slots
        Slots that are nowhere, and slots whose record was spoilt.
    damage
        Of every spoilt record: where and why.
    error
        What the disk said when the journal could not be read; empty while it can be.
    """

    def __init__(
        self,
        ring: RingReader,
        folder: Path | None,
        shard: int,
        first_seq: int,
        feed_symbol_id: Callable[[], int],
        disk: Disk = REAL_DISK,
    ) -> None:
        self._ring = ring
        self._folder = folder
        self._shard = shard
        self._disk = disk
        self._journal: JournalReader | None = None
        banned = quarantine.read(folder, shard, self._disk) if folder is not None else []
        self._avoid_until = max((ban.end_seq for ban in banned), default=0)
        self.journal_slots = self.lost_slots = self.damaged_slots = 0
        self.damage: list[Damage] = []
        self._feed_symbol_id = feed_symbol_id
        self._taken = 0  # slots of the last poll, in the caller's batch
        self.error = ""
        ring.read_seq = first_seq

    @property
    def next_seq(self) -> int:
        """The next slot to take."""
        return self._ring.read_seq

    @property
    def published_seq(self) -> int:
        """Slots below this are published."""
        return self._ring.ring.write_seq

    @property
    def lag_slots(self) -> int:
        """Slots published and not taken."""
        return self._ring.lag_slots

    def poll(self, batch: NDArray[np.void], until_seq: int = NO_LIMIT) -> int:
        """Copy the next whole groups into `batch`, none at or above `until_seq`; return the slots.

        See `RingReader.poll`. `until_seq` must be the edge of a group; one close ahead is kept by
        reading from the journal, so without a journal there is none.
        """
        if self._folder is None:
            seen = self._ring.lapped_slots
            count = self._ring.poll(batch)
            self.lost_slots += self._ring.lapped_slots - seen
            return count
        if self.next_seq >= self._avoid_until and until_seq - self.next_seq >= len(batch):
            count = self._ring.poll_held(batch)
            if count != GONE:
                self._journal = None
                self._taken = count or self._taken
                return count
        return self._from_journal(self._folder, batch, min(until_seq, self.published_seq))

    def reread(self, seq: int, end_seq: int) -> None:
        """Go back to slot `seq` and take everything below `end_seq` from the journal.

        For slots that were quarantined: the journal's reader knows what to give instead.
        """
        self._ring.read_seq = seq
        self._journal = None
        self._avoid_until = max(self._avoid_until, end_seq)

    def park(self, timeout_ms: int, extra_fds: tuple[int, ...]) -> None:
        """Sleep until there is something to do; see `RingReader.park`."""
        self._ring.park(timeout_ms, extra_fds)

    def _from_journal(self, folder: Path, batch: NDArray[np.void], until_seq: int) -> int:
        stamps = self._last_stamps(batch)
        journal = self._journal
        try:
            if journal is None or journal.next_seq != self.next_seq:
                journal = JournalReader(
                    folder, self._shard, from_seq=self.next_seq, disk=self._disk
                )
                journal.feed_symbol_id = self._feed_symbol_id()
                self._journal = journal
            known, damaged = len(journal.damage), journal.damaged_slots
            count = journal.read(batch, until_seq)
        except OSError as error:  # a disk that died: go on with what the ring has
            self.error = str(error)
            return self._over_hole((self.next_seq, until_seq), batch, until_seq, stamps)
        self.damage += journal.damage[known:]
        self.damaged_slots += journal.damaged_slots - damaged
        if count:
            self._ring.move_to(self.next_seq + count)
            self.journal_slots += count
            self._taken = count
            return count
        if journal.hole is None:
            return 0
        return self._over_hole(journal.hole, batch, until_seq, stamps)

    def _last_stamps(self, batch: NDArray[np.void]) -> tuple[int, int]:
        """Return recv_ns and exch_s of the last slot taken: the batch is that of the last poll."""
        if not self._taken:
            return 0, 0
        last = batch[self._taken - 1]
        return int(last["recv_ns"]), int(last["exch_s"])

    def _over_hole(
        self,
        hole: tuple[int, int],
        batch: NDArray[np.void],
        until_seq: int,
        stamps: tuple[int, int],
    ) -> int:
        """Go on behind what the disk refused; the ring may still have the end of it.

        What must not be folded is left out even there: the ring knows nothing of quarantines.
        """
        first, end = hole
        if first >= self._avoid_until:
            end = min(end, self._ring.oldest_seq)
        else:
            end = min(end, max(self._avoid_until, self._ring.oldest_seq))
        self._journal = None
        if end <= first:  # the ring has it after all
            self._taken = max(0, self._ring.poll_held(batch[: until_seq - first]))
            return self._taken
        self.lost_slots += end - first
        self._ring.move_to(end)
        self._taken = tell_loss(batch, (first, end), stamps, self._feed_symbol_id())
        return self._taken


def tell_loss(
    batch: NDArray[np.void], hole: tuple[int, int], stamps: tuple[int, int], symbol_id: int
) -> int:
    """Put one slot in the place of a hole, so that a fold knows of it; return how many: 1.

    Parameters
    ----------
    batch
        dtype SLOT; its first slot is written.
    hole
        ``(first, end)``: slots that are nowhere.
    stamps
        ``recv_ns, exch_s`` of the slot before.
    symbol_id
        Of the feed's pseudo symbol.
    """
    first, end = hole
    detail = f"slots {first} to {end - 1} were not written"
    replace(batch.view(CONTROL), 0, end - 1, stamps, symbol_id, detail, slots=end - first)
    return 1
