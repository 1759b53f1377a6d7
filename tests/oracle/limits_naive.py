"""Naive twin of channel ``limits``: the day's messages kept whole and read again for every row.

Written from market-behaviour section 5 and the rules in ``engine/trackers/limit_watch.py``. Nothing
is incremental: where the price is, which visits to a limit there were and when each was locked
are questions asked of the whole day so far.
"""

from collections import defaultdict
from typing import Any, NamedTuple

from engine.clock import trade_day
from engine.schema.codes import (
    DeltaFlag,
    LimitEvent,
    LimitState,
    NoteFlag,
    Phase,
    SlotKind,
    TradeEvent,
)
from engine.schema.deltas import LIMITS_DELTA

Message = dict[str, Any]
Row = dict[str, Any]
Slot = tuple[Message, Any]  # with its note
Place = tuple[LimitState, int]  # at which limit, and its price

KINDS = {SlotKind.TRADE, SlotKind.QUOTE, SlotKind.REFERENCE}
AWAY: Place = (LimitState.NONE, 0)


class Told(NamedTuple):
    """One event and how the lock stood after it."""

    event: LimitEvent
    flags: int
    queue: int
    left_queue: int
    locked_since: int
    spans: list[tuple[int, int]]  # locks of this visit that ended


def get(message: Message, name: str) -> int:
    """Return a number of a message; absent is 0."""
    return int(message.get(name, 0))


def says(slot: Slot) -> bool:
    """Return whether a slot may move price and limits."""
    message, note = slot
    if message["kind"] == SlotKind.TRADE:
        return bool(note.event != TradeEvent.LATE)
    return bool(message["kind"] == SlotKind.REFERENCE)


class Day:
    """One symbol's day so far."""

    def __init__(self, date: int) -> None:
        self.date = date
        self.slots: list[Slot] = []

    def price(self, end: int) -> int:
        """Return the last price after the first `end` slots."""
        for message, note in reversed(self.slots[:end]):
            if message["kind"] != SlotKind.TRADE:
                continue
            price = get(message, "last_price_e2")
            if note.event == TradeEvent.CORRECTION and get(message, "total_volume_shares") == 0:
                return 0
            moves = {TradeEvent.MATCH, TradeEvent.BASELINE, TradeEvent.CORRECTION}
            if note.event in moves and price > 0:
                return price
        return 0

    def limit(self, name: str, end: int) -> int:
        """Return the last told limit after the first `end` slots."""
        told = [get(slot[0], name) for slot in self.slots[:end] if says(slot)]
        return next((price for price in reversed(told) if price > 0), 0)

    def place(self, end: int) -> Place:
        """Return where the price is after the first `end` slots."""
        price = self.price(end)
        if price > 0 and price == self.limit("ceiling_price_e2", end):
            return LimitState.CEILING, price
        if price > 0 and price == self.limit("floor_price_e2", end):
            return LimitState.FLOOR, price
        return AWAY

    def visits(self) -> list[tuple[int, int, Place]]:
        """Return (first slot, slot that left or the number of slots, place) of each visit."""
        places = [AWAY, *(self.place(end) for end in range(1, len(self.slots) + 1))]
        begins = [at for at in range(len(self.slots)) if places[at + 1] not in (AWAY, places[at])]
        found = []
        for at in begins:
            end = at
            while end < len(self.slots) and places[end + 1] == places[at + 1]:
                end += 1
            found.append((at, end, places[at + 1]))
        return found

    def hit(self, visit: tuple[int, int, Place], end: int) -> int:
        """Return what was matched at the limit in a visit, in the first `end` slots."""
        first, last, (_, price) = visit
        since = get(self.slots[first][0], "exch_s")
        total = 0
        for at in range(first, min(last, end)):
            message, note = self.slots[at]
            late = note.event == TradeEvent.LATE and get(message, "exch_s") >= since and at > first
            if get(message, "last_price_e2") == price and (note.event == TradeEvent.MATCH or late):
                total += note.volume_shares
        return total

    def entry_flags(self, visit: tuple[int, int, Place], jumped: int | None) -> int:
        """Return the flags of an ENTER; `jumped`: those of the LEAVE in the same slot."""
        if jumped is not None:
            return jumped
        at = visit[0]
        _, note = self.slots[at]
        flags = self.slot_flags(at)
        if note.event == TradeEvent.BASELINE or self.price(at + 1) == self.price(at):
            flags |= DeltaFlag.BASELINE
        return flags

    def slot_flags(self, at: int) -> int:
        """Return what a slot itself says about the quality of its news."""
        message, note = self.slots[at]
        flags = DeltaFlag.AFTER_OUTAGE if note.flags & NoteFlag.AFTER_OUTAGE else DeltaFlag.NONE
        if message["kind"] == SlotKind.TRADE:
            if note.event == TradeEvent.CORRECTION:
                flags |= DeltaFlag.CORRECTED
            elif note.event == TradeEvent.BASELINE:
                flags |= DeltaFlag.BASELINE
        return int(flags)

    def story(self, visit: tuple[int, int, Place]) -> dict[int, Told]:
        """Return the events of one visit after its ENTER, by slot."""
        first, last, (state, price) = visit
        told: dict[int, Told] = {}
        spans: list[tuple[int, int]] = []
        sure_stamps: list[int] = []  # of slots at which the lock that lasts was known
        queue = left = since = 0
        unsure = False
        for at in range(first + 1, min(last + 1, len(self.slots))):
            message, note = self.slots[at]
            stamp = get(message, "exch_s")
            if note.flags & NoteFlag.AFTER_OUTAGE:
                unsure, queue = True, 0
            flags = self.slot_flags(at) | (DeltaFlag.AFTER_OUTAGE if unsure else 0)
            ended = max(sure_stamps, default=0) if unsure else stamp
            if since and not unsure:
                sure_stamps.append(stamp)
            event = LimitEvent.NONE
            if at == last:
                event = LimitEvent.LEAVE
            elif message["kind"] == SlotKind.QUOTE:
                verdict, waiting = judge_book(message, note.phase, state, price, bool(since))
                if verdict == "locked":
                    event = LimitEvent.QUEUE if since else LimitEvent.LOCK
                    if since and queue == waiting and not unsure:
                        event = LimitEvent.NONE
                elif verdict == "open" and since:
                    event = LimitEvent.UNLOCK
                if verdict != "unknown":
                    unsure = False
            if event in (LimitEvent.UNLOCK, LimitEvent.LEAVE) and since:
                spans.append((since, max(since, ended)))
                left, since, sure_stamps = queue, 0, []
            if event == LimitEvent.LOCK:
                since = stamp
            if event in (LimitEvent.LOCK, LimitEvent.QUEUE):
                sure_stamps.append(stamp)
            if event == LimitEvent.LEAVE:
                queue = 0
            elif event != LimitEvent.NONE:
                queue = waiting
            if event != LimitEvent.NONE:
                told[at] = Told(event, int(flags), queue, left, since, list(spans))
        return told


def judge_book(
    book: Message, phase: int, state: LimitState, limit: int, locked: bool
) -> tuple[str, int]:
    """Return what a book says of the lock ("locked", "open", "unknown") and who waits there."""
    sides = {
        side: list(zip(book[f"{side}_price_e2"], book[f"{side}_volume_shares"], strict=True))
        for side in ("bid", "ask")
    }
    ours, theirs = ("bid", "ask") if state == LimitState.CEILING else ("ask", "bid")
    waiting = sum(volume for price, volume in sides[ours] if price == limit)
    if phase == Phase.HALT:
        return "unknown", waiting
    priced = sum(volume for price, volume in sides[theirs] if price > 0)
    market = sum(volume for price, volume in sides[theirs] if price == 0)
    if waiting > 0 and priced == 0:
        return ("unknown" if market and not locked else "locked"), waiting
    best = {
        side: next((price for price, _ in levels if price > 0), 0) for side, levels in sides.items()
    }
    if 0 < best["ask"] <= best["bid"]:
        return "unknown", waiting
    if any(levels[0][0] == 0 and levels[0][1] > 0 for levels in sides.values()):
        return "unknown", waiting
    if best == {"bid": 0, "ask": 0} and phase != Phase.CONTINUOUS:
        return "unknown", waiting
    return "open", waiting


class NaiveLimits:
    """Channel ``limits``."""

    def __init__(self) -> None:
        self.days: dict[int, Day] = {}
        self.seq: dict[int, int] = defaultdict(int)
        self.shown: dict[int, int] = {}  # LimitState of each symbol's last row

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group; return its rows."""
        rows: list[Row] = []
        for message, note in zip(messages, notes, strict=True):
            if message["kind"] not in KINDS or note.flags & NoteFlag.STALE_DAY:
                continue
            symbol_id, date = get(message, "symbol_id"), trade_day(get(message, "exch_s"))
            if symbol_id not in self.days or self.days[symbol_id].date != date:
                self.days[symbol_id] = Day(date)
                if self.shown.get(symbol_id):
                    rows.append(self._blank(symbol_id, date, message, note))
            day = self.days[symbol_id]
            day.slots.append((message, note))
            rows += self._news(symbol_id, day)
            for row in rows:
                self.shown[row["symbol_id"]] = row["limit_state"]
        return rows

    def _blank(self, symbol_id: int, date: int, message: Message, note: Any) -> Row:
        """Return the row that takes yesterday's limit away."""
        self.seq[symbol_id] += 1
        said = {name: get(message, name) for name in ("recv_ns", "exch_s", "symbol_id", "venue")}
        blank = {name: 0 for name in LIMITS_DELTA.names or () if "reserved" not in name}
        return (
            blank
            | said
            | {
                "seq": self.seq[symbol_id],
                "updates": 1,
                "phase": int(note.phase),
                "trade_day": date,
            }
        )

    def _news(self, symbol_id: int, day: Day) -> list[Row]:
        """Return the rows that the newest slot of a day makes."""
        here = len(day.slots) - 1
        rows: list[Row] = []
        ended: list[tuple[int, int]] = []
        jumped: int | None = None  # flags of the LEAVE in the slot of the next ENTER
        visits = day.visits()
        for number, visit in enumerate(visits, 1):
            first, last, _ = visit
            flags = day.entry_flags(visit, jumped)
            sticky = flags & DeltaFlag.BASELINE
            told = {first: Told(LimitEvent.ENTER, flags, 0, 0, 0, [])} | day.story(visit)
            if here in told:
                rows.append(self._row(symbol_id, day, number, visit, told[here], ended, sticky))
            ended += told[max(told)].spans
            jumps = number < len(visits) and visits[number][0] == last
            jumped = told[last].flags if jumps else None
        return rows

    def _row(
        self,
        symbol_id: int,
        day: Day,
        number: int,
        visit: tuple[int, int, Place],
        told: Told,
        ended: list[tuple[int, int]],
        sticky: int,
    ) -> Row:
        message, note = day.slots[-1]
        first, _, (state, price) = visit
        self.seq[symbol_id] += 1
        spans = [*ended, *told.spans]
        return {
            "seq": self.seq[symbol_id],
            "updates": 1,
            "recv_ns": get(message, "recv_ns"),
            "exch_s": get(message, "exch_s"),
            "symbol_id": symbol_id,
            "phase": int(note.phase),
            "venue": get(message, "venue"),
            "flags": told.flags | int(sticky),
            "limit_state": int(LimitState.NONE if told.event == LimitEvent.LEAVE else state),
            "limit_event": int(told.event),
            "locked": int(told.locked_since > 0),
            "since_exch_s": get(day.slots[first][0], "exch_s"),
            "locked_since_exch_s": told.locked_since,
            "locked_s": sum(end - begin for begin, end in spans),
            "limit_price_e2": price,
            "price_e2": day.price(len(day.slots)),
            "queue_shares": told.queue,
            "left_queue_shares": told.left_queue,
            "hit_volume_shares": day.hit(visit, len(day.slots)),
            "enter_count": number,
            "trade_day": day.date,
        }
