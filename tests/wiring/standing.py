"""A shard's slots on a ring and in a journal, without a feed: what follower and worker stand on."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.clock import ManualClock
from engine.config import JournalConfig
from engine.journal.disk import REAL_DISK, Disk
from engine.log import Level, Log
from engine.ring.layout import RING_SLOTS_MIN, format_ring, ring_bytes
from engine.ring.reader import RingReader
from engine.ring.writer import RingWriter
from engine.schema.codes import Instrument, Side, SlotFlag, SlotKind, Venue
from engine.schema.counters import INGEST_COUNTERS, SHARD_COUNTERS
from engine.schema.slots import SLOT, SYMBOL, TRADE, rows_over
from engine.shard.digest import Digest
from engine.shard.fold import Fold, Sections
from engine.wiring.day_books import Ledger
from engine.wiring.follow import Follower
from engine.wiring.journaling import Journals, open_journals
from engine.wiring.suspects import SlotRange, Suspects
from engine.wiring.today import Today
from engine.wiring.worker import BATCH_SLOTS, Saving, Worker
from tests.shard.messages import exch_s

DAY, EPOCH = 18_823, 1_626_314_400_000_000_000  # 15 July 2021
SYMBOLS = 8
FEED_ID = 7
OPEN_S = exch_s("2021-07-15", "09:20:00")
SAVE_NS = EPOCH + 5


def trades(first: int, count: int) -> NDArray[np.void]:
    """Return slots `first` ... of the one story all tests here tell: matches of two symbols.

    The first three introduce the symbols and the feed.
    """
    slots = np.zeros(count, SLOT)
    trade, symbol = slots.view(TRADE), slots.view(SYMBOL)
    for i, number in enumerate(range(first, first + count)):
        slot = slots[i]
        slot["recv_ns"] = EPOCH + number * 1_000_000
        if number < 3:
            slot["kind"], slot["symbol_id"] = SlotKind.SYMBOL, (1, 2, FEED_ID)[number]
            slot["venue"] = Venue.HOSE if number < 2 else Venue.UNKNOWN
            symbol[i]["code"] = (b"FPT", b"SSI", b"FEED")[number]
            symbol[i]["value_multiplier"] = 1
            symbol[i]["instrument"] = Instrument.STOCK if number < 2 else Instrument.FEED
            continue
        slot["kind"], slot["symbol_id"], slot["venue"] = SlotKind.TRADE, 1 + number % 2, Venue.HOSE
        slot["exch_s"], slot["side"] = OPEN_S + number // 100, Side.BUY if number % 3 else Side.SELL
        trade[i]["last_price_e2"] = 2_500_000 + number % 7 * 10_000
        trade[i]["last_volume_shares"] = 100
        trade[i]["total_volume_shares"] = 100 * (number // 2 + 1)
    return slots


class HeardLog(Log):
    """A log that a test can read."""

    def __init__(self, told: list[str]) -> None:
        super().__init__("test", ManualClock(EPOCH))
        self._told = told

    def write(self, level: Level, event: str, **fields: Any) -> bool:
        self._told.append(f"{level} {event} {fields}")
        return True


class Stand:
    """One shard's ring and journal, and what ingest does to them."""

    def __init__(
        self, folder: Path, *, first_seq: int = 0, disk: Disk = REAL_DISK, write: bool = True
    ) -> None:
        self.folder, self.disk = folder, disk
        self.told: list[str] = []
        self.log = HeardLog(self.told)
        self.memory = np.zeros(ring_bytes(RING_SLOTS_MIN), np.uint8)
        format_ring(self.memory, RING_SLOTS_MIN, EPOCH, first_seq)
        self.ring = RingWriter(self.memory, None)
        self.counters = np.zeros(1, INGEST_COUNTERS)
        self.journals: Journals | None = None
        self.introductions = np.zeros(0, SLOT)
        if write:
            self.restart()

    def restart(self, fsync: str = "none") -> None:
        """Begin another life of ingest on what the last one left."""
        settings = JournalConfig(fsync=fsync)
        day = Today(DAY, EPOCH, self.folder)
        self.journals, self.introductions = open_journals(
            settings, day, [self.ring], self.counters[0], self.log, EPOCH, self.disk
        )

    def publish(self, count: int, bite: int = 100, *, only_journal: bool = False) -> None:
        """Tell the story on, `bite` slots at a time."""
        end = self.ring.write_seq + count
        at = self.ring.write_seq
        while at < end:
            size = min(bite, end - at)
            slots = trades(at, size)
            if self.journals is not None:
                words = self.ring.stamp(slots, size)
                self.journals.append(0, words, size, int(slots["recv_ns"][-1]))
            if not only_journal:
                self.ring.publish(slots, size)
            at += size

    def follower(self, seq: int = 0, *, journal: bool = True) -> Follower:
        reader = RingReader(self.memory, None, start="oldest")
        folder = self.folder if journal else None
        return Follower(reader, folder, 0, seq, lambda: FEED_ID, self.disk)


class Life:
    """One life of a worker over a stand."""

    def __init__(
        self,
        stand: Stand,
        cell: NDArray[np.void] | None = None,
        *,
        seq: int = 0,
        fold: Fold | None = None,
        state: Path | None = None,
        quiet_until: int = 0,
        epoch: int = EPOCH,
    ) -> None:
        self.fold = fold or blank_fold()
        self.cell = np.zeros(1, SHARD_COUNTERS) if cell is None else cell
        self.rows: list[tuple[str, int, int]] = []  # channel, symbol, seq: as published
        self.executed: list[SlotRange] = []
        self.suspects = Suspects.of(self.cell[0])
        self.worker = Worker(
            stand.follower(seq),
            self.fold,
            Ledger(self.fold),
            self.cell[0],
            self.suspects,
            self._take,
            saving=Saving(state, EPOCH, "settings") if state else None,
            quarantine=self._execute,
            epoch=epoch,
            quiet_until=quiet_until,
            now_ns=EPOCH + 1,
            log=stand.log,
        )

    def _take(self, sections: Sections, publish: bool) -> None:
        if publish:
            for channel, rows in sections:
                self.rows += [
                    (channel.name, int(row["symbol_id"]), int(row["seq"])) for row in rows
                ]

    def _execute(self, slots: SlotRange, worker: Worker) -> None:
        self.executed.append(slots)

    def run(self) -> Digest:
        """Fold all there is."""
        while self.worker.step(EPOCH + 2):
            pass
        return self.fold.digest()


def blank_fold() -> Fold:
    return Fold(SYMBOLS, BATCH_SLOTS, hash_deltas=True)


def digest_of(count: int) -> Digest:
    """Return what the fold of the first `count` slots of the story ends on."""
    return fold_of(count).digest()


def fold_of(count: int) -> Fold:
    """Fold the first `count` slots of the story, without ring, journal or worker."""
    fold = blank_fold()
    slots = trades(0, count)
    slots["seq"] = np.arange(count)
    for first in range(0, count, 100):
        part = slots[first : first + 100].copy()
        part["flags"][-1] = SlotFlag.LAST
        fold.fold(rows_over(part, len(part)))
    return fold
