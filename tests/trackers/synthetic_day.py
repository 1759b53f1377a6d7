"""The shipped synthetic day, made small: from its frames to groups of messages, told live.

Five symbols of the published day and two indices, as few prints as their prices need and some more.
The frames go through the real intake onto a ring, in bites of random size; what a reader takes from
it is folded with every stage and kept as messages, so that twins can be told the same day. For ten
minutes the connection is away: frames are lost, gaps open, and REST answers about some of them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import numpy as np

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.config import AlertsConfig
from engine.decode.symbols import SymbolTable, format_symbols, symbols_bytes
from engine.feed.backfill import Answer, Gap
from engine.feed.bars import Bar
from engine.feed.reference_rows import Reference, ReferenceRow
from engine.feed.synthetic import ALL_TYPES, Day, frames, iter_zero_messages, plan_day, read_day
from engine.feed.synthetic.plan import SNAPSHOT_MS
from engine.feed.synthetic.render import frame as one_frame
from engine.market.days import day_number
from engine.ring.layout import format_ring, ring_bytes
from engine.ring.reader import RingReader
from engine.ring.writer import RingWriter
from engine.schema.codes import FeedState, GapState, IndexMember, SlotFlag, SlotKind
from engine.schema.counters import INGEST_COUNTERS
from engine.schema.slots import SLOT, rows_over
from engine.shard.fold import Fold
from engine.shard.stage import StageSettings
from engine.wiring.intake import Intake
from engine.wiring.shard_map import shard_rule
from engine.wiring.stages import make_fold
from tests.shard.folding import plain
from tests.shard.messages import VIEW_OF_KIND, Message

SYMBOLS, SLOTS, RING_SLOTS = 16, 4_096, 4_096

# HOSE: ends at its ceiling, and visits its floor. HNX: visits its ceiling. UPCOM: ends at it.
STOCKS = ("SBT", "UDC", "SPI", "TDS")
FUTURE, SPOT = "VN30F2107", "VN30"
CODES = (*STOCKS, FUTURE, SPOT, "VNINDEX")
SIZE = {
    "trades_max": 120,
    "quotes_per_trade": 0.5,
    "index_interval_s": 300,
    "foreign_interval_s": 300,
}
# Two stocks by type X, which alone tells what an auction would match at, the others by its halves.
BY_X = frozenset({"SBT", "SPI"})
TYPES = dict.fromkeys(ALL_TYPES, frozenset(CODES) - BY_X) | {"X": BY_X}
TYPES |= dict.fromkeys(("R", "MI", "F", "B", "OL"), frozenset(CODES))
AWAY_MS = (38_100_000, 38_700_000)  # 10:35 to 10:45 in Vietnam

# So low that this small day is worth alerts.
ALERTS = AlertsConfig(
    repeat_s=60,
    volume_spike_percent=150,
    volume_spike_window_s=1_800,
    volume_spike_trades_min=2,
    foreign_acceleration_percent=40,
    foreign_value_min_vnd=2_000,
    basis_flip_band_e2=20,
    block_trade_min_vnd=5_000_000_000,
)


class Told(NamedTuple):
    """The day as it was told: slots as messages, the notes of each, and the rows they gave."""

    groups: list[list[Message]]
    notes: list[list[dict[str, Any]]]  # as all stages left them, group by group
    rows: dict[str, list[dict[str, Any]]]  # by channel
    digest: str
    codes: dict[int, str]  # what symbol ids name


def new_fold() -> Fold:
    """Return a fold of all stages, as a shard has it."""
    return make_fold(SYMBOLS, SLOTS, StageSettings(alerts=ALERTS), hash_deltas=True)


def tell_day(seed: int) -> Told:
    """Play the day; `seed` decides prints and bites."""
    day = plan_day(*read_day(None, None), seed=seed, symbols=STOCKS, vn30=STOCKS[:2], **SIZE)
    midnight_s = day_number(day.date) * DAY_S - ICT_OFFSET_S
    return _Tape(midnight_s, Random(seed)).play(day)


class _Tape:
    """One ring between the intake and a fold that is told what comes as it comes."""

    def __init__(self, midnight_s: int, draw: Random) -> None:
        table = np.zeros(symbols_bytes(SYMBOLS), np.uint8)
        format_symbols(table, SYMBOLS)
        ring = np.zeros(ring_bytes(RING_SLOTS), np.uint8)
        format_ring(ring, RING_SLOTS, created_ns=0)
        self.midnight_s, self.draw = midnight_s, draw
        self.symbols = SymbolTable(table, shard_rule(1))
        self.counters = np.zeros(1, INGEST_COUNTERS)
        self.intake = Intake(self.symbols, [RingWriter(ring, None)], self.counters)
        self.reader = RingReader(ring, None, start="oldest")
        self.batch = np.zeros(SLOTS, SLOT)
        self.fold = new_fold()
        self.told = Told([], [], defaultdict(list), "", {})
        self.missed: dict[str, list[dict[str, Any]]] = defaultdict(list)  # matches, by code

    def play(self, day: Day) -> Told:
        """Tell the morning, all frames in bites of random size, and the end of the connection."""
        # The connection first: whoever is told nothing before it began has a baseline, not a gap.
        self.intake.feed_state(FeedState.LIVE, "", self.ns(28_800_000))
        self.intake.reference(morning(day), self.ns(28_800_500))
        self.drain()
        for time_ms, kind, code, message in iter_zero_messages(day, SNAPSHOT_MS, TYPES):
            if code in TYPES[kind]:
                self.intake.on_frame(one_frame(0, [message]), self.ns(time_ms))
        waiting = self.draw.randint(1, 12)
        for time_ms, frame, is_lost in self.connection(day):
            if is_lost:
                self.miss(frame)
                continue
            self.intake.on_frame(frame, self.ns(time_ms))
            waiting -= 1
            if waiting == 0:
                waiting = self.draw.randint(1, 12)
                self.drain()
                self.answer_gaps(time_ms)
        self.intake.feed_state(FeedState.CLOSED, "", self.ns(54_900_000))
        self.drain()
        assert not self.counters[0]["rejected"].any()
        ids = range(1, SYMBOLS)
        names = {each: bytes(self.symbols.rows["code"][each]).decode() for each in ids}
        return self.told._replace(
            rows=dict(self.told.rows),
            digest=self.fold.digest(),
            codes={each: code for each, code in names.items() if code},
        )

    def connection(self, day: Day) -> Iterator[tuple[int, bytes, bool]]:
        """Yield time, frame and whether it was sent in vain; say when the connection changes."""
        state = FeedState.LIVE
        for time_ms, frame in frames(day, 3, TYPES):
            away = AWAY_MS[0] <= time_ms < AWAY_MS[1]
            if away != (state is FeedState.DOWN):
                state = FeedState.DOWN if away else FeedState.LIVE
                self.intake.feed_state(state, "reset by peer" * away, self.ns(time_ms))
            yield time_ms, frame, away

    def ns(self, time_ms: int) -> int:
        """UTC nanoseconds of a millisecond of the day in Vietnam."""
        return (self.midnight_s * 1_000 + time_ms) * 1_000_000

    def miss(self, frame: bytes) -> None:
        """Remember the matches of a frame that was lost: REST knows them."""
        for message in json.loads(frame)["M"]:
            told = json.loads(message["A"][0])
            if told["DataType"] == "B":  # one for each match
                content = json.loads(told["Content"])
                self.missed[content["Symbol"]].append(content)

    def drain(self) -> None:
        """Fold all that was collected, a batch at a time, and keep what went in and came out."""
        self.intake.flush()
        while count := self.reader.poll(self.batch):
            rows = rows_over(self.batch, count)
            for channel, out in self.fold.fold(rows):
                self.told.rows[channel.name] += [plain(row) for row in out]
            first = 0
            for end in np.flatnonzero(rows.head["flags"][:count] & SlotFlag.LAST) + 1:
                self.told.groups.append([message_of(rows, at) for at in range(first, end)])
                self.told.notes.append([plain(note) for note in self.fold.notes[first:end]])
                first = int(end)
            assert first == count
        assert self.reader.lapped_slots == 0

    def answer_gaps(self, time_ms: int) -> None:
        """Answer about gaps that just opened, with the next bite; REST has nothing of UPCOM."""
        for row in self.told.rows["gaps"]:
            code = bytes(self.symbols.rows["code"][row["symbol_id"]]).decode()
            if row["gap_state"] == GapState.OPEN and code in self.missed:
                gap = Gap(
                    *(row["symbol_id"], code, row["gap_no"]),
                    *(row["from_exch_s"], row["to_exch_s"], row["missed_volume_shares"]),
                )
                matches = self.missed.pop(code)
                bars = () if code == "TDS" else minutes(matches, self.midnight_s)
                self.intake.backfill(Answer(gap, bars), self.ns(time_ms) + 1)


def message_of(rows: Any, at: int) -> Message:
    """Return a slot as a message; what the ring wrote into it is left out."""
    kind = SlotKind(int(rows.head[at]["kind"]))
    message = plain(getattr(rows, VIEW_OF_KIND[kind])[at])
    del message["seq"], message["flags"]
    return message | {"kind": kind}


def morning(day: Day) -> Reference:
    """Return what REST says before the open, of all but one stock."""
    return Reference(
        day.date,
        tuple(
            ReferenceRow(
                code=symbol.code,
                venue=symbol.venue,
                lot_shares=100,
                ceiling_e2=symbol.ladder.ceiling_e2,
                floor_e2=symbol.ladder.floor_e2,
                reference_e2=symbol.reference_e2,
                listed_shares=1_000_000,
                security_type="S",
                name=f"Công ty {symbol.code}",
                indices=IndexMember.NONE,
            )
            for symbol in day.symbols
            if symbol.code != "UDC"
        ),
    )


def minutes(matches: list[dict[str, Any]], midnight_s: int) -> tuple[Bar, ...]:
    """Return the minutes of some messages of type B, ascending."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for match in matches:
        hour, minute, _ = map(int, match["Time"].split(":"))
        found[midnight_s + hour * 3_600 + minute * 60].append(match)
    bars = []
    for start, told in sorted(found.items()):
        prices = [round(each["Close"] * 100) for each in told]
        volume = sum(int(each["Volume"]) for each in told)
        bars.append(Bar(start, prices[0], max(prices), min(prices), prices[-1], volume))
    return tuple(bars)


def count_kinds(told: Told) -> Counter[SlotKind]:
    """Return how many slots of each kind the day has."""
    return Counter(message["kind"] for group in told.groups for message in group)
