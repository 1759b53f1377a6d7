"""Trading days that are over, but not finished in the history: found one by one, oldest first.

A machine that was switched off at noon, a disk that was full at the close: whatever the reason, a
day whose journal is still there is recorded to its end and compacted at the next start.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.errors import ConfigError, SchemaMismatch
from engine.history.compaction import Compactor
from engine.history.segments import SegmentStore
from engine.journal.days import About, day_folder, list_days, read_about
from engine.journal.disk import REAL_DISK, Disk
from engine.journal.layout import JournalError, journal_files, slots_in
from engine.journal.survey import Survey, survey
from engine.log import Log
from engine.market.days import day_text
from engine.schema import SCHEMA_ID
from engine.wiring.day_record import DayRecord, Pace
from engine.wiring.segment_writer import SegmentWriter
from engine.wiring.upstream import Upstream


class PastDay(NamedTuple):
    """A day there is work for.

    Attributes
    ----------
    day, folder
        Which, and its journal.
    about
        What about.json says; None: its journal is gone or needs nothing, only files are merged.
    committed_seqs, end_seqs
        By shard: how far its history and its journal reach.
    """

    day: int
    folder: Path
    about: About | None
    committed_seqs: tuple[int, ...] = ()
    end_seqs: tuple[int, ...] = ()


def past_days(
    journals: Path,
    store: SegmentStore,
    compactor: Compactor,
    today: int,
    keep_days: int,
    log: Log,
    disk: Disk = REAL_DISK,
) -> Iterator[PastDay]:
    """Find the days before `today` that are not finished.

    Parameters
    ----------
    journals
        Folder of all journals.
    store, compactor
        The history; leftovers of a crash are removed from a day before it is looked at.
    keep_days
        As `SegmentStore.sweep` takes it: older days are not wanted in the history.
    """
    for day in sorted({*list_days(journals, disk), *store.days()}):
        if day >= today or (keep_days and day <= today - keep_days):
            continue
        folder = day_folder(journals, day)
        try:
            store.recover(day)
            found = _unrecorded(day, folder, store, log, disk)
            if found is not None:
                yield found
            elif not compactor.is_compact(day):
                yield PastDay(day, folder, None)
        except (JournalError, OSError) as error:
            log.write("error", f"history: {day_text(day)} is not finished", reason=str(error))


def _unrecorded(
    day: int, folder: Path, store: SegmentStore, log: Log, disk: Disk
) -> PastDay | None:
    """Return the day if its journal reaches further than its history."""
    about = read_about(folder, disk)
    if about is None:
        return None
    committed_seqs = tuple(store.committed_seq(day, shard) for shard in range(about.shards))
    ends = [_written_end(folder, shard, disk) for shard in range(about.shards)]
    if all(end <= committed for end, committed in zip(ends, committed_seqs, strict=True)):
        return None
    if about.schema != SCHEMA_ID:
        log.write(
            "warning",
            f"history: {day_text(day)} is not finished",
            reason=f"its journal is of vntape {about.vntape}, which can finish it",
        )
        return None
    # Only now read it all: what a crash left behind the last whole bite was never published.
    end_seqs = tuple(_told_end(survey(folder, shard, disk)) for shard in range(about.shards))
    if all(end <= committed for end, committed in zip(end_seqs, committed_seqs, strict=True)):
        return None
    return PastDay(day, folder, about, committed_seqs, end_seqs)


def _written_end(folder: Path, shard: int, disk: Disk) -> int:
    """Return behind which slot a journal has nothing, by the sizes of its files."""
    files = journal_files(disk, folder, shard)
    return files[-1].first_seq + slots_in(disk.size(files[-1].path)) if files else 0


def _told_end(found: Survey) -> int:
    """Return behind which slot a journal has nothing: a hole with nothing behind it is nothing."""
    end_seq = found.end_seq
    for first_seq, hole_end_seq in reversed(found.holes):
        if hole_end_seq == end_seq:
            end_seq = first_seq
    return end_seq


class Finisher:
    """Finishes the days that `past_days` finds, a bounded piece at a time.

    Parameters
    ----------
    found
        The days.
    writer
        Commits, merges.
    pace
        When a segment is due.
    log
        Where trouble is told.
    """

    def __init__(
        self,
        found: Iterator[PastDay],
        writer: SegmentWriter,
        pace: Pace,
        log: Log,
        disk: Disk = REAL_DISK,
    ) -> None:
        self._found = found
        self._writer = writer
        self._pace = pace
        self._log = log
        self._disk = disk
        self._record: DayRecord | None = None

    def turn(self, now_ns: int) -> int:
        """Move the oldest unfinished day on. Return 0 when there is none, or the disk is busy."""
        if self._writer.busy:
            return 0
        if self._record is None:
            return self._next()
        try:
            self._record.turn(now_ns)
        except (JournalError, SchemaMismatch, OSError) as error:
            self._give_up(self._record.day, error)
        else:
            if not self._writer.busy and not self._record.lag_slots and self._record.commit_rest():
                self._writer.compact(self._record.day)
                self._record = None
        return 1

    def _next(self) -> int:
        found = next(self._found, None)
        if found is None:
            return 0
        if found.about is None:
            self._writer.compact(found.day)
            return 1
        self._log.write(
            "info", f"history: finishing {day_text(found.day)}", slots=sum(found.end_seqs)
        )
        try:
            self._record = DayRecord(
                found.day,
                found.folder,
                found.about,
                found.committed_seqs,
                [
                    Upstream.ended(end if end > committed else 0)
                    for end, committed in zip(found.end_seqs, found.committed_seqs, strict=True)
                ],
                self._writer,
                self._pace,
                self._disk,
            )
        except (ConfigError, JournalError) as error:
            self._give_up(found.day, error)
        return 1

    def _give_up(self, day: int, error: Exception) -> None:
        self._record = None
        self._log.write("error", f"history: {day_text(day)} is not finished", reason=str(error))
