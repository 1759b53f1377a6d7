"""Naive twin of channel ``status``: the day kept whole and read again after every message.

Written from market-behaviour section 2, ssi-wire 3.1 and 3.10, and the rules in the module
docstring of ``engine/trackers/status.py``.
"""

from collections import defaultdict
from itertools import pairwise
from typing import Any

from engine.clock import trade_day
from engine.schema.codes import (
    FeedSession,
    NoteFlag,
    Phase,
    SlotKind,
    TradeEvent,
    TradingStatus,
)

Message = dict[str, Any]
Row = dict[str, Any]
Day = list[tuple[Message, Any]]  # messages and what was noted, in order of arrival

ASKED = {SlotKind.TRADE, SlotKind.QUOTE, SlotKind.INDEX, SlotKind.STATUS}
NOTHING = {FeedSession.NONE, TradingStatus.NONE}
UNDOCUMENTED = {FeedSession.OTHER, TradingStatus.OTHER}
MATCHES = {TradeEvent.MATCH, TradeEvent.LATE}


def get(message: Message, name: str) -> int:
    """Return a number of a message; absent is 0."""
    return int(message.get(name, 0))


class NaiveStatus:
    """Channel ``status``."""

    def __init__(self) -> None:
        self.days: dict[int, Day] = defaultdict(list)  # of a symbol's newest day
        self.shown: dict[int, Row] = {}
        self.seq: dict[int, int] = defaultdict(int)

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group; return its rows."""
        merged: dict[int, tuple[Row, int]] = {}
        for message, note in zip(messages, notes, strict=True):
            if message["kind"] not in ASKED or note.flags & NoteFlag.STALE_DAY:
                continue
            symbol_id = get(message, "symbol_id")
            day = self.days[symbol_id]
            if day and date_of(day[-1][0]) != date_of(message):
                day.clear()
            day.append((message, note))
            now = state_of(day)
            if now != self.shown.get(symbol_id):
                self.shown[symbol_id] = now
                head = {
                    "recv_ns": get(message, "recv_ns"),
                    "exch_s": get(message, "exch_s"),
                    "symbol_id": symbol_id,
                    "phase": int(note.phase),
                    "venue": get(message, "venue"),
                    "flags": 0,
                }
                merged[symbol_id] = head | now, merged.get(symbol_id, ({}, 0))[1] + 1
        rows = []
        for symbol_id, (row, updates) in merged.items():
            self.seq[symbol_id] += 1
            rows.append({"seq": self.seq[symbol_id], "updates": updates, **row})
        return rows


def date_of(message: Message) -> int:
    """Return the trading date of a message's stamp."""
    return trade_day(get(message, "exch_s"))


def state_of(day: Day) -> Row:
    """Return the trading state after these messages of one day."""
    told = [message for message, _ in day]
    notices = [message for message in told if message["kind"] == SlotKind.STATUS]
    asked = [(message, note.phase == Phase.HALT) for message, note in day if no_match(note)]
    turns = [
        (message, now)
        for (_, before), (message, now) in pairwise([(told[0], False), *asked])
        if now != before
    ]
    since, halted = [(told[0], False), *turns][-1]
    return {
        "session": last_word(told, "session"),
        "trading_status": last_word(told, "status"),
        "odd_lot_session": last_word(notices, "odd_lot_session"),
        "halted": int(halted),
        "since_exch_s": get(since, "exch_s"),
        "halt_count": sum(now for _, now in turns),
        "trade_day": date_of(told[0]),
    }


def no_match(note: Any) -> bool:
    """Return whether a message's phase is the symbol's, and not a match's."""
    return note.event not in MATCHES


def last_word(messages: list[Message], name: str) -> int:
    """Return the last word that says something; 0 when there was none."""
    words = [
        get(message, name)
        for message in messages
        if get(message, name) not in NOTHING
        and (get(message, name) not in UNDOCUMENTED or message["kind"] == SlotKind.STATUS)
    ]
    return words[-1] if words else 0
