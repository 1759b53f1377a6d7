"""Naive twins of ledger, feed_state and reference: the history kept whole and read again.

Written from market-behaviour sections 1 and 11 and the rules in the stages' module docstrings.
Nothing here is incremental: what is left of a gap is what it was less everything that was ever
taken from it, and what a day missed is the sum of what is left of its gaps.

Each twin takes groups: ``feed(messages, notes)``, where a note is anything with the fields of NOTE
as attributes, and returns the rows of the group as dicts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from engine.clock import trade_day
from engine.schema.codes import (
    ControlOp,
    FeedState,
    GapCause,
    GapOutcome,
    GapState,
    Instrument,
    NoteFlag,
    SlotKind,
    TradeEvent,
)

Message = dict[str, Any]
Row = dict[str, Any]

OPEN_MAX = 4
NOT_OF_THE_STREAM = {
    SlotKind.NONE,
    SlotKind.SYMBOL,
    SlotKind.CONTROL,
    SlotKind.REFERENCE,
    SlotKind.BACKFILL,
}
AWAY = {FeedState.DOWN, FeedState.CONNECTING}


def get(message: Message, name: str) -> Any:
    """Return a field of a message; absent is 0."""
    return message.get(name, 0)


@dataclass
class Gap:
    """One gap and everything that ever happened to it."""

    no: int
    cause: int
    since: Message  # the last message before it, {} when there is none
    shown_by: Message
    cover: tuple[int, int]
    missed: int
    born: int = 0  # messages of the day before it was seen
    taken: list[int] = field(default_factory=list)
    bars: list[Message] = field(default_factory=list)
    outcome: int = GapOutcome.NONE

    @property
    def left(self) -> int:
        """What is still missing of it."""
        return self.missed - sum(self.taken)


@dataclass
class Day:
    """A symbol's day: every TRADE message with its note, every gap."""

    date: int
    told: list[tuple[Message, Any]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    zero: Gap = field(default_factory=lambda: Gap(0, GapCause.NONE, {}, {}, (0, 0), 0))

    def open(self) -> list[Gap]:
        """Open gaps, oldest first."""
        return [gap for gap in self.gaps if gap.outcome == GapOutcome.NONE]

    def missed(self) -> int:
        """What is left of all gaps."""
        return sum(gap.left for gap in [self.zero, *self.gaps])

    def cover(self, gap: Gap) -> tuple[int, int]:
        """Return a gap's place in the volume, cut by the corrections since."""
        cuts = [
            get(message, "total_volume_shares")
            for message, note in self.told[gap.born :]
            if note.event == TradeEvent.CORRECTION
        ]
        return min([gap.cover[0], *cuts]), min([gap.cover[1], *cuts])

    def last(self) -> Message:
        """Return the newest message that told the present total; {} when there is none."""
        total, newest = 0, {}
        for message, note in self.told:
            told = get(message, "total_volume_shares")
            if note.event == TradeEvent.LATE or (note.event == TradeEvent.REPEAT and told != total):
                continue
            total, newest = told, message
        return newest


class NaiveLedger:
    """Channel ``gaps``."""

    def __init__(self) -> None:
        self.days: dict[int, Day] = {}
        self.seq: dict[int, int] = defaultdict(int)

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group."""
        rows: list[Row] = []
        for message, note in zip(messages, notes, strict=True):
            self._slot(message, note, rows)
        return rows

    def _slot(self, message: Message, note: Any, rows: list[Row]) -> None:
        kind = message["kind"]
        if note.flags & NoteFlag.STALE_DAY:
            return
        symbol_id = get(message, "symbol_id")

        def tell(day: Day, gap: Gap, at: Message | None = None) -> None:
            rows.append(self._row(day, gap, at or gap.shown_by, message, note))

        if note.flags & NoteFlag.NEW_DAY:
            if symbol_id in self.days:
                old = self.days[symbol_id]
                for gap in old.open():
                    gap.outcome = GapOutcome.UNEXPLAINED
                    tell(old, gap)
            self.days[symbol_id] = Day(trade_day(get(message, "exch_s")))
        if kind == SlotKind.TRADE:
            self._trade(self.days[symbol_id], message, note, tell)
        elif kind == SlotKind.BACKFILL and symbol_id in self.days:
            day = self.days[symbol_id]
            for gap in day.open():
                its_end = get(gap.shown_by, "exch_s") == get(message, "exch_s")
                if gap.no == message["gap_no"] and its_end:
                    gap.bars.append(message)
                    if get(message, "bars_left") <= 0:
                        traded = any(get(bar, "volume_shares") > 0 for bar in gap.bars)
                        gap.outcome = GapOutcome.BACKFILLED if traded else GapOutcome.UNEXPLAINED
                        tell(day, gap)

    def _trade(self, day: Day, message: Message, note: Any, tell: Any) -> None:
        total, missed = get(message, "total_volume_shares"), note.missed_volume_shares
        if note.event == TradeEvent.LATE:
            fits = [
                gap
                for gap in day.open()
                if day.cover(gap)[0] <= total + missed and total <= day.cover(gap)[1]
            ]
            self._take(day, fits[-1:], -missed, GapOutcome.ARRIVED, message, tell)
        elif note.event == TradeEvent.CORRECTION:
            newest_first = list(reversed(day.open()))
            self._take(day, newest_first, -missed, GapOutcome.RETRACTED, message, tell)
        elif missed > 0:
            if len(day.open()) == OPEN_MAX:
                oldest = day.open()[0]
                oldest.outcome = GapOutcome.UNEXPLAINED
                tell(day, oldest)
            end = total - note.volume_shares
            day.gaps.append(
                Gap(
                    no=len(day.gaps) + 1,
                    cause=note.cause,
                    since=day.last(),
                    shown_by=message,
                    cover=(end - missed, end),
                    missed=missed,
                    born=len(day.told) + 1,
                )
            )
            tell(day, day.gaps[-1])
        day.told.append((message, note))

    @staticmethod
    def _take(
        day: Day, gaps: list[Gap], shares: int, outcome: GapOutcome, message: Message, tell: Any
    ) -> None:
        for gap in gaps:
            part = min(shares, gap.left)
            if part == 0:
                break
            shares -= part
            gap.taken.append(part)
            if gap.left == 0:
                gap.outcome = outcome
            tell(day, gap)
        if shares > 0:
            day.zero.taken.append(shares)
            day.zero.outcome = outcome
            tell(day, day.zero, message)

    def _row(self, day: Day, gap: Gap, shown_by: Message, message: Message, note: Any) -> Row:
        symbol_id = get(message, "symbol_id")
        self.seq[symbol_id] += 1
        traded = [bar for bar in gap.bars if get(bar, "volume_shares") > 0]
        return {
            "seq": self.seq[symbol_id],
            "updates": 1,
            "recv_ns": get(message, "recv_ns"),
            "exch_s": get(message, "exch_s"),
            "symbol_id": symbol_id,
            "phase": int(note.phase),
            "venue": get(message, "venue"),
            "flags": 0,
            "gap_no": gap.no,
            "gap_state": GapState.CLOSED if gap.outcome else GapState.OPEN,
            "gap_cause": int(gap.cause),
            "gap_outcome": int(gap.outcome),
            "from_exch_s": min(get(gap.since, "exch_s"), get(shown_by, "exch_s")),
            "to_exch_s": get(shown_by, "exch_s"),
            "from_recv_ns": get(gap.since, "recv_ns"),
            "to_recv_ns": get(shown_by, "recv_ns"),
            "missed_volume_shares": gap.missed,
            "open_volume_shares": gap.left,
            "bar_volume_shares": sum(bar["volume_shares"] for bar in traded),
            "bar_high_price_e2": max([0, *(get(bar, "high_price_e2") for bar in traded)]),
            "bar_low_price_e2": min((get(bar, "low_price_e2") for bar in traded), default=0),
            "bar_count": len(traded),
            "open_count": len(day.open()),
            "day_missed_volume_shares": day.missed(),
            "trade_day": day.date,
        }


class NaiveFeed:
    """Channel ``feed``."""

    def __init__(self) -> None:
        self.introduced: set[int] = set()
        self.stamps: list[tuple[int, int]] = []  # (exch_s, recv_ns) of the stream
        self.history: list[tuple[str, Message]] = []  # what was published, and why
        self.rows: list[Row] = []

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group."""
        before = len(self.rows)
        for message, note in zip(messages, notes, strict=True):
            self._slot(message, note)
        return self.rows[before:]

    def _slot(self, message: Message, note: Any) -> None:
        kind = message["kind"]
        symbol_id = get(message, "symbol_id")
        if kind == SlotKind.SYMBOL and message["instrument"] == Instrument.FEED:
            self.introduced.add(symbol_id)
        if kind not in NOT_OF_THE_STREAM and not note.flags & NoteFlag.STALE_DAY:
            self.stamps.append((get(message, "exch_s"), get(message, "recv_ns")))
        if kind != SlotKind.CONTROL or symbol_id not in self.introduced:
            return
        if message["op"] == ControlOp.LOST:
            self._publish("lost", message)
        elif message["op"] == ControlOp.FEED_STATE and message["arg0"] in list(FeedState):
            states = self._states()
            said = (message["arg0"], get(message, "detail") or b"")
            if not states or (states[-1]["arg0"], get(states[-1], "detail") or b"") != said:
                self._publish("state", message)

    def _states(self) -> list[Message]:
        return [message for why, message in self.history if why == "state"]

    def _outages(self) -> list[list[int]]:
        """Every outage so far: [from_ns, to_ns], to_ns 0 while it lasts."""
        outages: list[list[int]] = []
        before = None
        for message in self._states():
            now = FeedState(message["arg0"])
            if now in AWAY and before in {FeedState.LIVE, FeedState.STALE}:
                outages.append([message["recv_ns"], 0])
            elif now not in AWAY and outages and outages[-1][1] == 0:
                outages[-1][1] = message["recv_ns"]
            before = now
        return outages

    def _since(self) -> int:
        states = self._states()
        first = len(states)
        while first > 0 and states[first - 1]["arg0"] == states[-1]["arg0"]:
            first -= 1
        return states[first]["recv_ns"] if states else 0

    def _market_time(self, recv_ns: int) -> int:
        newest = 0, 0
        for stamp in self.stamps:
            if stamp[0] >= newest[0]:
                newest = stamp
        if newest[0] == 0:
            return recv_ns // 10**9
        return newest[0] + max(0, recv_ns - newest[1]) // 10**9

    def _publish(self, why: str, message: Message) -> None:
        self.history.append((why, message))
        states, outages = self._states(), self._outages()
        last_from, last_to = outages[-1] if outages else (0, 0)
        self.rows.append(
            {
                "seq": len(self.rows) + 1,
                "updates": 1,
                "recv_ns": message["recv_ns"],
                "exch_s": self._market_time(message["recv_ns"]),
                "symbol_id": message["symbol_id"],
                "phase": 0,
                "venue": get(message, "venue"),
                "flags": 0,
                "feed_state": states[-1]["arg0"] if states else 0,
                "since_ns": self._since(),
                "outage_count": len(outages),
                "outage_from_ns": last_from,
                "outage_to_ns": last_to,
                "lost_frames": sum(m["arg0"] for w, m in self.history if w == "lost"),
                "detail": (get(states[-1], "detail") or b"") if states else b"",
            }
        )


class NaiveReference:
    """Channel ``reference``."""

    NUMBERS = (
        "ceiling_price_e2",
        "floor_price_e2",
        "reference_price_e2",
        "indices",
        "lot_shares",
        "listed_shares",
    )
    TEXTS = ("security_type", "name")

    def __init__(self) -> None:
        self.told: dict[int, list[Message]] = defaultdict(list)
        self.seq: dict[int, int] = defaultdict(int)

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group."""
        merged: dict[int, tuple[Row, int]] = {}
        for message, note in zip(messages, notes, strict=True):
            if message["kind"] != SlotKind.REFERENCE or note.flags & NoteFlag.STALE_DAY:
                continue
            symbol_id = get(message, "symbol_id")
            before = self._known(symbol_id)
            self.told[symbol_id].append(message)
            known = self._known(symbol_id)
            if known != before:
                row = {
                    "recv_ns": get(message, "recv_ns"),
                    "exch_s": get(message, "exch_s"),
                    "symbol_id": symbol_id,
                    "phase": int(note.phase),
                    "venue": get(message, "venue"),
                    "flags": 0,
                    **known,
                }
                merged[symbol_id] = row, merged.get(symbol_id, (row, 0))[1] + 1
        rows = []
        for symbol_id, (row, updates) in merged.items():
            self.seq[symbol_id] += 1
            rows.append({"seq": self.seq[symbol_id], "updates": updates, **row})
        return rows

    def _known(self, symbol_id: int) -> Row:
        """Say what the newest day has told: the last word of each kind."""
        told = self.told[symbol_id]
        if not told:
            return {}
        today = trade_day(told[-1]["exch_s"])
        said = [message for message in told if trade_day(message["exch_s"]) == today]
        words: Row = {"trade_day": today}
        for names, nothing in ((self.NUMBERS, 0), (self.TEXTS, b"")):
            for name in names:
                values = [m[name] for m in said if m.get(name, nothing) > nothing]
                words[name] = values[-1] if values else nothing
        return words
