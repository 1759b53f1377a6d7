"""One trading day, all its shards, on the way from the journal into the history.

Today is recorded as far as its shards have come (`Upstream`), a day that is over to the ends of its
journals. Both end the same way (`finish`): what is left is
committed, with the bars that are open, and the day becomes one file per table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.history.tables import BY_NAME, join
from engine.history.tail import Tail
from engine.journal.days import About
from engine.journal.disk import REAL_DISK, Disk
from engine.market.days import day_text
from engine.wiring.segment_writer import SegmentWriter
from engine.wiring.shard_day import ShardDay
from engine.wiring.upstream import Upstream

WAITING_SHARES = 4  # of segment_rows_max may wait in memory; then the journal is left to wait


@dataclass(frozen=True, slots=True)
class Pace:
    """When a segment is due."""

    segment_ns: int
    segment_rows_max: int


class DayRecord:
    """Moves a day on, a bounded piece at a time.

    Parameters
    ----------
    day
        Trading day, days since 1970.
    folder
        Its journal.
    about
        What about.json says.
    committed_seqs
        By shard: slots below this are in the history.
    upstreams
        By shard: how far its journal may be read.
    writer
        Who commits.
    pace
        When.
    """

    def __init__(
        self,
        day: int,
        folder: Path,
        about: About,
        committed_seqs: Sequence[int],
        upstreams: Sequence[Upstream],
        writer: SegmentWriter,
        pace: Pace,
        disk: Disk = REAL_DISK,
    ) -> None:
        self.day = day
        self.shards = [
            ShardDay(folder, shard, about, committed_seq, disk)
            for shard, committed_seq in enumerate(committed_seqs)
        ]
        self._folder = folder
        self._upstreams = upstreams
        self._quarantined: list[int | None] = [None] * len(self.shards)
        self._writer = writer
        self._pace = pace
        self._waiting_since_ns = [0] * len(self.shards)

    @property
    def lag_slots(self) -> int:
        """Slots published and not folded, of all shards."""
        return sum(
            max(0, upstream.published() - shard.next_seq)
            for shard, upstream in zip(self.shards, self._upstreams, strict=True)
        )

    @property
    def rows(self) -> int:
        """Rows in memory."""
        return sum(shard.rows for shard in self.shards)

    def turn(self, now_ns: int) -> int:
        """Fold one batch of each shard, commit what is due. Return the slots folded.

        Raises
        ------
        SchemaMismatch, JournalError, OSError
            A journal cannot be read.
        """
        return sum(
            self._turn(index, shard, upstream, now_ns)
            for index, (shard, upstream) in enumerate(
                zip(self.shards, self._upstreams, strict=True)
            )
        )

    def _turn(self, index: int, shard: ShardDay, upstream: Upstream, now_ns: int) -> int:
        # In this order: slots are on the list before the shard goes on behind them.
        limit_seq, quarantined = upstream.limit_seq, upstream.quarantined()
        if quarantined != self._quarantined[index]:
            shard.reload_quarantine()
            self._quarantined[index] = quarantined
        if not shard.fetch(limit_seq):
            return 0
        since_ns = self._waiting_since_ns[index]
        due = shard.waiting >= self._pace.segment_rows_max or (
            since_ns and now_ns - since_ns >= self._pace.segment_ns
        )
        if due and not self._writer.busy:
            self._commit(index, all_of_it=False)
        if shard.rows >= WAITING_SHARES * self._pace.segment_rows_max:
            return 0  # the disk refuses: the journal keeps the rest, and memory stays bounded
        count = shard.fold()
        if shard.waiting and not self._waiting_since_ns[index]:
            self._waiting_since_ns[index] = now_ns
        return count

    def _commit(self, index: int, *, all_of_it: bool) -> None:
        shard = self.shards[index]
        rows = shard.freeze_all() if all_of_it else shard.freeze()
        self._waiting_since_ns[index] = 0
        self._writer.commit(self.day, self._folder, shard.shard, rows, shard.committed)

    def commit_rest(self) -> bool:
        """Commit what is left, one shard at a call. Return whether nothing is left.

        For a day, or a process, that ends: nothing may be left to fold.
        """
        for index, shard in enumerate(self.shards):
            if shard.next_seq > shard.committed_seq:
                if not self._writer.busy:
                    self._commit(index, all_of_it=True)
                return False
        return True

    def tail(self, names: Sequence[str]) -> Tail | None:
        """Return what no commit has; None while what was committed before is folded again."""
        if any(shard.quiet for shard in self.shards):
            return None
        return Tail(
            self.day,
            {shard.shard: (shard.committed_seq, shard.next_seq) for shard in self.shards},
            {
                name: join([shard.tail(name) for shard in self.shards])
                for name in names
                if name in BY_NAME
            },
        )

    def __str__(self) -> str:
        """Name the day."""
        return day_text(self.day)
