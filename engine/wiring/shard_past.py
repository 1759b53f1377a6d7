"""One shard's day on its way from the journal through a fold once more, group by group in time.

In: the journal, as far as the live shard has folded it. Out: rows, as this shard gave them then.
Owner of the memory: a fold of our own. May lose: what the journal lacks (`missing`); in its place
the slot is folded that a replay folds there. Counts: nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.journal.days import About
from engine.journal.disk import REAL_DISK, Disk
from engine.journal.reader import JournalReader
from engine.schema.codes import SlotFlag
from engine.schema.slots import SLOT, rows_over
from engine.shard.fold import Sections
from engine.wiring.follow import tell_loss
from engine.wiring.stages import fold_of
from engine.wiring.upstream import Upstream

BATCH_SLOTS: Final = 4_096
LAST: Final = np.uint8(SlotFlag.LAST)


class Source(NamedTuple):
    """What is known of one shard, live; each is asked again and again.

    Attributes
    ----------
    upstream
        How far its journal may be folded.
    epoch
        Under which epoch its rows are on the bus.
    """

    upstream: Upstream
    epoch: Callable[[], int]


class ShardPast:
    """One shard's fold that begins with the day and stops where it is told.

    Its time is that of receipt and never goes back: while a clock was set back, it stands still.

    Parameters
    ----------
    folder
        The day's journal.
    shard
        Which.
    about
        What about.json says.
    source
        The live shard.
    disk
        Where the journal is.

    Attributes
    ----------
    fold
        As of the groups folded.
    epoch
        Of the shard's rows on the bus when this began.
    holes
        ``(first, end)``: slots that were published and never written.
    """

    def __init__(
        self, folder: Path, shard: int, about: About, source: Source, disk: Disk = REAL_DISK
    ) -> None:
        self.shard = shard
        self.fold = fold_of(about, BATCH_SLOTS)
        self.epoch = source.epoch()
        self.holes: list[tuple[int, int]] = []
        self._source = source
        self._reader = JournalReader(folder, shard, disk=disk)
        self._quarantined = 0
        self._looked = False  # the last `fetch` asked how far the journal goes: to here
        self._limit_seq = 0
        self._batch = np.zeros(BATCH_SLOTS, SLOT)
        self._stamps = (0, 0)  # recv_ns and exch_s of the last slot fetched
        self._newest_ns = 0
        self._group = 0  # the next one to fold; these three have a cell for each that was fetched:
        self._ends: NDArray[np.int64] = np.zeros(0, np.int64)
        self._times: NDArray[np.int64] = np.zeros(0, np.int64)
        self._exch_s: NDArray[np.int64] = np.zeros(0, np.int64)

    @property
    def waiting(self) -> bool:
        """Is there a group that was fetched and not folded."""
        return self._group < len(self._ends)

    @property
    def next_ns(self) -> int:
        """When the next group came, UTC ns; only when one is `waiting`."""
        return int(self._times[self._group])

    @property
    def newest_ns(self) -> int:
        """When the last group that was fetched came, UTC ns."""
        return self._newest_ns

    @property
    def at_edge(self) -> bool:
        """Was all folded that the last `fetch` could see, and is that nearly all there is.

        Nearly, because a busy tape has more by then: less than a batch.
        """
        seen = self._looked and not self.waiting and self._reader.next_seq >= self._limit_seq
        return seen and self._source.upstream.published() - self._reader.next_seq < BATCH_SLOTS

    @property
    def started_over(self) -> bool:
        """Has the live shard taken another epoch: its rows have other numbers now."""
        return self._source.epoch() != self.epoch

    @property
    def missing(self) -> str:
        """What the journal lacks, in words without a path; empty when nothing."""
        parts = [f"slots {first} to {end - 1} were not written" for first, end in self.holes]
        if self._reader.damaged_slots:
            parts.append(f"damaged slots: {self._reader.damaged_slots}")
        return f"shard-{self.shard}: {', '.join(parts)}" if parts else ""

    @property
    def damage(self) -> list[str]:
        """Spoilt records, with file and byte: for the operator."""
        return [f"shard-{self.shard} damaged: {damage}" for damage in self._reader.damage]

    def fetch(self) -> None:
        """Read the next batch that may be folded, unless groups are waiting.

        Raises
        ------
        SchemaMismatch, JournalError, OSError
            The journal cannot be read, see `JournalReader.read`.
        """
        self._looked = not self.waiting
        if self.waiting:
            return
        upstream, reader = self._source.upstream, self._reader
        # In this order: slots are on the list before the shard goes on behind them.
        self._limit_seq, quarantined = upstream.limit_seq, upstream.quarantined()
        if quarantined != self._quarantined:
            reader.reload_quarantine()
            self._quarantined = quarantined
        count = reader.read(self._batch, self._limit_seq) or self._over_hole()
        if count:
            self._take(self._batch[:count])

    def _over_hole(self) -> int:
        """Tell of slots that were published and not written: nobody writes them later."""
        hole = self._reader.hole
        if hole is None:
            return 0
        self._reader.skip_hole()
        if self.holes and self.holes[-1][1] == hole[0]:
            self.holes[-1] = (self.holes[-1][0], hole[1])
        else:
            self.holes.append(hole)
        return tell_loss(self._batch, hole, self._stamps, self._reader.feed_symbol_id)

    def _take(self, slots: NDArray[np.void]) -> None:
        """See the groups of a batch, and when they came."""
        ends = np.flatnonzero(slots["flags"] & LAST) + 1
        times = np.maximum.accumulate(slots["recv_ns"])[ends - 1]
        starts = np.concatenate([[0], ends[:-1]])
        self._ends, self._times = ends, np.maximum(times, self._newest_ns)
        self._exch_s = np.maximum.reduceat(slots["exch_s"], starts).astype(np.int64)
        self._newest_ns, self._group = int(self._times[-1]), 0
        self._stamps = int(slots["recv_ns"][-1]), int(slots["exch_s"][-1])

    def first_ns_at(self, exch_s: int) -> int | None:
        """Return when the first waiting group with a slot at or after an exchange time came."""
        found = np.flatnonzero(self._exch_s[self._group :] >= exch_s)
        return int(self._times[self._group + found[0]]) if len(found) else None

    def fold_until(self, time_ns: int) -> Sections:
        """Fold what is waiting and came at or before a time; rows are valid until the next call."""
        end = int(np.searchsorted(self._times, time_ns, "right"))
        if end <= self._group:
            return []
        start = int(self._ends[self._group - 1]) if self._group else 0
        stop = int(self._ends[end - 1])
        self._group = end
        return self.fold.fold(rows_over(self._batch[start:stop], stop - start))
