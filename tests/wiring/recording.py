"""A small day as slots, a journal that grows, and a recorder on a clock of its own."""

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zmq
from numpy.typing import NDArray

from engine.clock import ManualClock
from engine.config import Config, HistoryConfig
from engine.feed.synthetic import SMALL, Listing, MarketTable, plan_day
from engine.history.query import History
from engine.history.tables import BARS, OF_CHANNEL, TABLES, empty, join, to_arrow
from engine.history.tail import TailServer
from engine.journal.days import About, day_folder, journal_day, journal_root, write_about
from engine.journal.records import words_of
from engine.journal.writer import JournalWriter
from engine.log import Log
from engine.schema import SCHEMA_ID
from engine.schema.codes import ControlOp, FeedState, Instrument, SlotFlag, SlotKind, Venue
from engine.schema.counters import RECORDER_COUNTERS
from engine.schema.deltas import BAR_DELTA
from engine.schema.slots import CONTROL, SLOT, SYMBOL, rows_over
from engine.wiring.finished_bars import OPEN, PREV
from engine.wiring.local import LocalTape
from engine.wiring.recorder import RecorderAgent, history_root
from engine.wiring.replay_day import stamped_frames
from engine.wiring.shard_day import BATCH_SLOTS
from engine.wiring.stages import fold_of
from engine.wiring.today import Today, fold_settings
from engine.wiring.upstream import Upstream

SYMBOLS_MAX = 64
TRADES = 60
DATE = dt.date(2021, 7, 15)
LISTINGS = (
    Listing("AAA", Venue.HOSE, 20_000_00, 20_100_00, 20_500_00, 19_900_00, 20_300_00, 125_000),
    Listing("BBB", Venue.HNX, 9_900_00, 10_000_00, 10_300_00, 9_800_00, 9_900_00, 33_333),
    Listing("EEE", Venue.HOSE, 30_000_00, 30_000_00, 31_000_00, 29_500_00, 30_950_00, 4_400),
)
EPOCH_NS = 1_626_300_000_000_000_000  # 2021-07-15, 05:00 in Vietnam
MORNING_NS = EPOCH_NS + 3 * 3_600_000_000_000
TODAY = journal_day(MORNING_NS)
BITE_GROUPS = 3
LAST, BITE = np.uint8(SlotFlag.LAST), np.uint8(SlotFlag.BITE)


@cache
def day_slots(shards: int = 1) -> tuple[NDArray[np.void], ...]:
    """Return the slots of a small day by shard, one group a message, three groups a bite."""
    sizes = SMALL._asdict() | {
        "trades_max": TRADES,
        "quotes_per_trade": 1.4,
        "index_interval_s": 3_600,
        "foreign_interval_s": 7_200,
    }
    day = plan_day(MarketTable("three stocks", DATE, LISTINGS), seed=15, vn30=["AAA"], **sizes)
    tape = LocalTape(shards=shards, symbols_max=SYMBOLS_MAX, ring_slots=4_096)
    tape.intake.feed_state(FeedState.LIVE, "connected", MORNING_NS)
    tape.play(stamped_frames(day), flush_every=1)
    told = []
    for shard in tape.shards:
        slots = shard.reader.ring.slots[: shard.reader.ring.write_seq].copy()
        ends = np.flatnonzero(slots["flags"] & LAST)
        slots["flags"][ends[BITE_GROUPS - 1 :: BITE_GROUPS]] |= BITE
        slots["flags"][ends[-1]] |= BITE
        told.append(slots)
    return tuple(told)


class Inline(Executor):
    """Does a job at once, in the thread that asks."""

    def submit(self, job: Callable[..., Any], /, *args: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(job(*args, **named))
        except Exception as error:
            done.set_exception(error)
        return done


class Rig:
    """One instance's files, what its rings have published, and a recorder that may be killed."""

    def __init__(self, folder: Path, shards: int = 1, **history: int) -> None:
        self.data_dir = folder
        self.settings = HistoryConfig(**({"segment_ms": 10_000, "segment_rows_max": 40} | history))
        self.slots = day_slots(shards)
        self.clock = ManualClock(MORNING_NS)
        self.day = TODAY
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.cell = np.zeros(1, RECORDER_COUNTERS)[0]
        self.agent: RecorderAgent | None = None
        self.published = [0] * shards
        self.folded: int | None = None  # by every shard; None: all that was published
        self.quarantined = 0
        self.writers: list[JournalWriter] = []
        self.begin_day(TODAY)

    @property
    def folder(self) -> Path:
        return day_folder(journal_root(self.data_dir), self.day)

    @property
    def about(self) -> About:
        return About(
            self.day,
            EPOCH_NS,
            SCHEMA_ID,
            len(self.slots),
            SYMBOLS_MAX,
            fold_settings(Config()),
            "test",
        )

    def begin_day(self, day: int) -> None:
        """Open the journals of a day; slots are published from the first on again."""
        for writer in self.writers:
            writer.close()
        self.day = day
        self.folder.mkdir(parents=True)
        write_about(self.folder, self.about)
        self.published[:] = [0] * len(self.slots)
        self.writers = [
            JournalWriter(self.folder, shard, day, EPOCH_NS, 0, fsync="none", now_ns=MORNING_NS)
            for shard in range(len(self.slots))
        ]

    def publish(self, bites: int | None = None, *, to_ring: bool = True) -> int:
        """Journal and publish the next bites of every shard, or all; return the slots."""
        count = 0
        for shard, slots in enumerate(self.slots):
            first = self.published[shard]
            ends = np.flatnonzero(slots["flags"][first:] & BITE) + 1
            if not len(ends):
                continue
            end = first + int(ends[-1] if bites is None else ends[min(bites, len(ends)) - 1])
            part = slots[first:end].copy()
            self.append(shard, part)
            if to_ring:
                self.published[shard] = end
            count += end - first
        return count

    def append(self, shard: int, part: NDArray[np.void]) -> None:
        begin = 0
        for end in (np.flatnonzero(part["flags"] & BITE) + 1).tolist():
            assert self.writers[shard].append(words_of(part[begin:end]), end - begin, MORNING_NS)
            begin = end

    def start(self) -> RecorderAgent:
        """Start a recorder, or the next one after a kill."""
        if self.agent is not None:
            self.agent._tails.close()
        self.agent = RecorderAgent(
            Today(self.day, EPOCH_NS, self.folder),
            self.data_dir,
            [self._upstream(shard) for shard in range(len(self.slots))],
            self.settings,
            TailServer(self.context, f"ipc://{self.data_dir}/tail.ipc"),
            self.cell,
            Inline(),
            self.clock,
            Log("recorder", self.clock),
        )
        return self.agent

    def lose(self, count: int) -> int:
        """Publish `count` slots of shard 0 that the disk refuses; return the first of them."""
        self.writers[0].close()
        first = self.published[0]
        self.published[0] += count
        return first

    def heal(self) -> None:
        """Let the disk take slots of shard 0 again, in a new file."""
        self.writers[0] = JournalWriter(
            self.folder, 0, self.day, EPOCH_NS, self.published[0], fsync="none", now_ns=MORNING_NS
        )

    def _upstream(self, shard: int) -> Upstream:
        return Upstream(
            lambda: self.published[shard],
            lambda: self.published[shard] if self.folded is None else self.folded,
            lambda: self.quarantined,
        )

    def turn(self, times: int = 1, *, step_ns: int = 0) -> int:
        assert self.agent is not None
        done = 0
        for _ in range(times):
            self.clock.advance_ns(step_ns)
            done += self.agent.do_work()
        return done

    def settle(self) -> None:
        """Turn until there is nothing to do: twice nothing, because a job ends at a poll."""
        idle = 0
        for _ in range(10_000):
            idle = 0 if self.turn() else idle + 1
            if idle == 3:
                return
        raise AssertionError("the recorder never comes to rest")

    def history(self, *, tail: bool = True) -> History:
        """Return the history as a query sees it, with the recorder's tail or without."""
        agent = self.agent
        asks = (lambda names: agent._tail(list(names))) if agent and tail else None
        return History(history_root(self.data_dir), asks)

    def rows(self, table: str, *, tail: bool = True) -> pa.Table:
        return in_order(self.history(tail=tail).sql(f"SELECT * EXCLUDE day FROM {table}"), table)

    def close(self) -> None:
        if self.agent is not None:
            self.agent._tails.close()
        for writer in self.writers:
            writer.close()
        self.context.destroy(linger=0)


def in_order(rows: pa.Table, table: str) -> pa.Table:
    """Return rows as plain columns, in one order whatever they came in."""
    plain = pa.table(
        {
            name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
            for name, column in zip(rows.column_names, rows.columns, strict=True)
        }
    )
    keys = next(known.key for known in TABLES if known.name == table)
    return plain.sort_by([(name, "ascending") for name in keys]).combine_chunks()


def with_loss(slots: NDArray[np.void], first: int, end: int) -> NDArray[np.void]:
    """Return slots with one in the place of ``first <= seq < end`` that says they are lost."""
    feed = slots[slots["kind"] == SlotKind.SYMBOL].view(SYMBOL)
    loss = np.zeros(1, CONTROL)
    loss["kind"], loss["op"], loss["arg0"] = SlotKind.CONTROL, ControlOp.LOST, end - first
    loss["seq"], loss["flags"] = end - 1, LAST
    loss["symbol_id"] = feed["symbol_id"][feed["instrument"] == Instrument.FEED][0]
    for name in ("recv_ns", "exch_s"):
        loss[name] = slots[name][first - 1]
    return np.concatenate([slots[:first], loss.view(SLOT), slots[end:]])


def expected(about: About, slots: Sequence[NDArray[np.void]]) -> dict[str, pa.Table]:
    """Return what history and tail must hold of slots of all shards: one fold, bars by hand."""
    parts: dict[str, list[pa.Table]] = {table.name: [empty(table)] for table in TABLES}
    for part in slots:
        fold = fold_of(about, BATCH_SLOTS)
        assert len(part) <= BATCH_SLOTS, "more than one batch"
        sections = fold.fold(rows_over(part, len(part))) if len(part) else []
        codes = fold.latest["symbol"]["code"].copy()
        for channel, rows in sections:
            table = OF_CHANNEL.get(channel.name)
            if table is BARS:
                rows = all_bars(rows)
            if table is not None:
                parts[table.name].append(to_arrow(table, channel, rows, codes))
    return {name: in_order(join(tables), name) for name, tables in parts.items()}


def all_bars(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Return every bar that rows of a bar channel tell of, as it was first told so."""
    bars: dict[tuple[int, ...], NDArray[np.void]] = {}
    for row in rows:
        for block in (PREV, OPEN):
            told = np.array([row], BAR_DELTA)
            words = told.view(np.int64).reshape(1, -1)
            words[:, OPEN] = words[:, block]
            words[:, PREV] = 0
            key = tuple(int(told[name][0]) for name in ("symbol_id", "start_exch_s", "bar_phase"))
            if told["start_exch_s"][0] and (key not in bars or figures(told) != figures(bars[key])):
                bars[key] = told
    return np.concatenate([np.zeros(0, BAR_DELTA), *bars.values()])


def figures(told: NDArray[np.void]) -> bytes:
    """Return what a bar is, without who told it when."""
    return told.view(np.int64).reshape(1, -1)[:, OPEN].tobytes()


def without_tellers(rows: pa.Table) -> pa.Table:
    """Return bars without what only says which row told them."""
    return rows.drop_columns(["seq", "recv_ns"])
