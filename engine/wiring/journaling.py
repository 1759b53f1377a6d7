"""Ingest's side of the journals: opens them where a predecessor stopped, appends, tells trouble.

In: slots as they are about to be published. Out: the day's journals. Owner of the memory: the
caller's. May lose: what the disk refuses; counted, told, never waited for. Counts: journal_* of
INGEST_COUNTERS.

An ingest that died between journal and ring left slots that nobody has seen: they are published
first. One that died in the middle of an append left a torn bite: it is cut off.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.config import JournalConfig
from engine.journal import quarantine
from engine.journal.disk import REAL_DISK, Disk
from engine.journal.reader import JournalReader
from engine.journal.survey import cut_tail, introduced, survey
from engine.journal.sync import SyncThread
from engine.journal.writer import Fsync, JournalWriter
from engine.log import Log
from engine.ring.writer import RingWriter
from engine.schema.codes import SlotFlag
from engine.schema.slots import SLOT
from engine.wiring.today import Today

BATCH_SLOTS = 4_096
LAST = int(SlotFlag.LAST)


class Journals:
    """The journals of all shards of a trading day.

    Parameters
    ----------
    writers
        One per shard.
    cell
        Ingest's counters, one record.
    sync
        The thread that has them on disk, or None.
    """

    def __init__(
        self, writers: Sequence[JournalWriter], cell: np.void, sync: SyncThread | None, log: Log
    ) -> None:
        self._writers = writers
        self._cell = cell
        self._lost_before = int(cell["journal_lost_slots"])  # by earlier lives: the holes stay
        self._sync = sync
        self._log = log

    def append(self, shard: int, words: NDArray[np.int64], count: int, now_ns: int) -> None:
        """Write the first `count` slots of a shard, stamped, before they are published."""
        start_ns = time.perf_counter_ns()
        self._writers[shard].append(words, count, now_ns)
        took_ns = time.perf_counter_ns() - start_ns
        self._cell["journal_ns"] += took_ns
        if took_ns > self._cell["journal_worst_ns"]:
            self._cell["journal_worst_ns"] = took_ns

    def report(self) -> bool:
        """Bring the counters up to date and say what is wrong; call this now and then.

        Returns
        -------
        bool
            Whether the journal is written again after slots were lost to it. Symbols introduced
            meanwhile are in it nowhere: introduce everybody again.
        """
        cell, writers = self._cell, self._writers
        cell["journal_slots"] = sum(writer.slots for writer in writers)
        cell["journal_bytes"] = sum(writer.bytes for writer in writers)
        cell["journal_lost_slots"] = self._lost_before + sum(
            writer.lost_slots for writer in writers
        )
        failing = [writer.error for writer in writers if writer.failing]
        if failing:
            self._log.write("error", "the journal is not written", reason=failing[0])
        healed = not failing and bool(cell["journal_failing"])
        if healed:
            lost = int(cell["journal_lost_slots"])
            self._log.write("warning", "the journal is written again", lost_slots=lost)
        cell["journal_failing"] = bool(failing)
        if self._sync is not None:
            cell["journal_synced_ns"] = self._sync.synced_ns
        return healed

    def close(self) -> None:
        """Have everything on disk and let go."""
        if self._sync is not None:
            self._sync.stop()
        for writer in self._writers:
            writer.sync()  # with any setting: `close_day` believes that nothing is missing
            writer.close()
        self.report()


def bring_up(
    folder: Path, shard: int, ring: RingWriter, log: Log, disk: Disk = REAL_DISK
) -> NDArray[np.void]:
    """Make ring and journal of a shard agree; return the SYMBOL slots that its readers get.

    Cuts a torn tail, and publishes what the journal has and the ring has not. A disk that refuses
    is told; the tape goes on without it.
    """
    try:
        found = survey(folder, shard, disk, ring.write_seq)
        if found.torn is not None:
            log.write("warning", "journal: a torn tail was cut off", torn=str(found.torn))
        _publish_rest(folder, shard, ring, found.end_seq, disk)
        cut_tail(found, disk)
        return _left_in(introduced(folder, shard, ring.write_seq, disk), folder, shard, disk)
    except OSError as error:
        log.write("error", "journal: it cannot be looked at", reason=str(error))
        return np.zeros(0, SLOT)


def _publish_rest(folder: Path, shard: int, ring: RingWriter, end_seq: int, disk: Disk) -> None:
    """Publish the slots an earlier life wrote and could not publish, group by group as it was."""
    reader = JournalReader(folder, shard, from_seq=ring.write_seq, disk=disk)
    batch = np.zeros(BATCH_SLOTS, SLOT)
    while ring.write_seq < end_seq and (count := reader.read(batch, end_seq)):
        first = 0
        for end in (np.flatnonzero(batch["flags"][:count] & LAST) + 1).tolist():
            ring.publish(batch[first:end], end - first)
            first = end


def _left_in(slots: NDArray[np.void], folder: Path, shard: int, disk: Disk) -> NDArray[np.void]:
    """Return the slots that are not quarantined: the others introduce nobody."""
    out = np.zeros(len(slots), np.bool_)
    for ban in quarantine.read(folder, shard, disk):
        out |= (slots["seq"] >= ban.first_seq) & (slots["seq"] < ban.end_seq)
    return slots[~out]


def open_journals(
    settings: JournalConfig,
    today: Today,
    rings: Sequence[RingWriter],
    cell: np.void,
    log: Log,
    now_ns: int,
    disk: Disk = REAL_DISK,
) -> tuple[Journals, NDArray[np.void]]:
    """Open the day's journals where their rings are.

    Parameters
    ----------
    settings
        Section [journal].
    today
        The trading day; it has a journal.
    rings
        One per shard; brought up to their journals.
    cell
        Ingest's counters.
    disk
        Where files are.

    Returns
    -------
    tuple
        The journals, and every SYMBOL slot they have, in order per shard.
    """
    folder = today.folder
    assert folder is not None, "a day without a journal"
    known = [bring_up(folder, shard, ring, log, disk) for shard, ring in enumerate(rings)]
    writers = [
        JournalWriter(
            folder,
            shard,
            today.day,
            today.epoch,
            ring.write_seq,
            fsync=cast("Fsync", settings.fsync),
            disk=disk,
            now_ns=now_ns,
        )
        for shard, ring in enumerate(rings)
    ]
    sync = None
    if settings.fsync == "interval":
        sync = SyncThread(writers, settings.fsync_interval_ms * 1_000_000)
    return Journals(writers, cell, sync, log), np.concatenate(known)
