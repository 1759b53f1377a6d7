"""The recorder's hand on the disk: one job at a time, on a thread, so that nobody waits for it.

In: frozen rows, days to compact. Out: commits in the history. Owner of the memory: the caller's,
until the job is done. May lose: nothing; what the disk refuses is tried again. Counts: rows,
segments, segment_bytes, segment_ns and committed_ns of RECORDER_COUNTERS.

Before rows are committed, the journal they come from is synced: so the history never knows slots
that a power cut takes from the journal, and whose numbers would then be given to others.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np

from engine.history.compaction import Compactor
from engine.history.segments import SegmentStore
from engine.journal.disk import REAL_DISK, Disk
from engine.journal.layout import journal_files
from engine.log import Log
from engine.market.days import day_text
from engine.wiring.shard_day import Frozen

RETRY_NS = 5_000_000_000

Job = Callable[[], None]


def _nothing() -> None:
    """Do nothing."""


class SegmentWriter:
    """Commits and merges, beside the recorder's loop.

    Parameters
    ----------
    store, compactor
        Where; used by jobs only.
    executor
        Runs one job after the other.
    cell
        RECORDER_COUNTERS, one record.
    log
        Where trouble is told.
    disk
        Where the journals are.

    Attributes
    ----------
    failing
        Why the last job was refused, in words; empty when it was not.
    """

    def __init__(
        self,
        store: SegmentStore,
        compactor: Compactor,
        executor: Executor,
        cell: np.void,
        log: Log,
        disk: Disk = REAL_DISK,
    ) -> None:
        self.failing = ""
        self._store = store
        self._compactor = compactor
        self._executor = executor
        self._cell = cell
        self._log = log
        self._disk = disk
        self._job: Job | None = None
        self._then: Job = _nothing
        self._future: Future[None] | None = None
        self._retry_ns = 0
        self._seen = (store.written_files, store.written_bytes)

    @property
    def busy(self) -> bool:
        """Is there a job: one that runs, or one that waits for the disk."""
        return self._job is not None

    def commit(self, day: int, folder: Path, shard: int, rows: Frozen, then: Job) -> None:
        """Commit a range of a shard's day; `then` is called once it is, by `poll`."""

        def job() -> None:
            for file in journal_files(self._disk, folder, shard):
                if file.first_seq < rows.to_seq:
                    journal = self._disk.open(file.path)
                    try:
                        journal.sync()
                    finally:
                        journal.close()
            self._store.commit(day, shard, rows.from_seq, rows.to_seq, rows.tables)
            self._merge(day, shard)

        def committed() -> None:
            self._cell["rows"] += rows.rows
            then()

        self._begin(job, committed)

    def compact(self, day: int) -> None:
        """Make one file per table of a day. It can wait for another start: commits cannot."""

        def job() -> None:
            try:
                merged = self._compactor.compact_day(day)
            except OSError as error:
                self._log.write(
                    "error", f"history: {day_text(day)} is not compact", reason=str(error)
                )
                return
            for damage in self._compactor.damage:
                self._log.write("error", f"history: not merged: {damage}")
            if merged is not None:
                rows = sum(file.rows for file in merged.files)
                self._log.write("info", f"history: {day_text(day)} is compact", rows=rows)

        self._begin(job)

    def look_after(self, day: int, keep_days: int) -> None:
        """Check a day's files and say what is wrong; remove days that are too old."""

        def job() -> None:
            for damage in self._store.check(day):
                self._log.write("error", f"history: damaged: {damage}")
            removed = self._store.sweep(keep_days, day)
            if removed:
                days = ", ".join(map(day_text, removed))
                self._log.write("info", "history removed (history.keep_days)", days=days)

        self._begin(job)

    def poll(self, now_ns: int) -> None:
        """See how the job ended; begin it again when it is time."""
        if self._job is None:
            return
        if self._future is None:
            if now_ns >= self._retry_ns:
                self._future = self._executor.submit(self._job)
            return
        if not self._future.done():
            return
        try:
            self._future.result()
        except OSError as error:
            self._refused(error, now_ns)
            return
        self._count(now_ns)
        then, self._job, self._future = self._then, None, None
        then()

    def _begin(self, job: Job, then: Job = _nothing) -> None:
        assert self._job is None, "one job at a time"

        def timed() -> None:
            start_ns = time.perf_counter_ns()
            try:
                job()
            finally:
                self._cell["segment_ns"] += time.perf_counter_ns() - start_ns

        self._job, self._then, self._retry_ns = timed, then, 0
        self._future = self._executor.submit(timed)

    def _merge(self, day: int, shard: int) -> None:
        """Keep the number of files small; it can wait when the disk is full."""
        try:
            while self._compactor.merge_small(day, shard) is not None:
                pass
        except OSError as error:
            self._log.write("warning", "history: small files not merged", reason=str(error))

    def _refused(self, error: OSError, now_ns: int) -> None:
        self.failing = str(error)
        self._future, self._retry_ns = None, now_ns + RETRY_NS
        self._log.write("error", "the history is not written", reason=str(error))

    def _count(self, now_ns: int) -> None:
        if self.failing:
            self._log.write("warning", "the history is written again")
        self.failing = ""
        seen = (self._store.written_files, self._store.written_bytes)
        self._cell["segments"] += seen[0] - self._seen[0]
        self._cell["segment_bytes"] += seen[1] - self._seen[1]
        if seen[0] != self._seen[0]:
            self._cell["committed_ns"] = now_ns
        self._seen = seen
