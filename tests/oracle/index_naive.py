"""Naive twins of channels ``index`` and ``index.series``: the day kept whole and read again.

Written from market-behaviour section 7 and the rules in the stages' module docstrings.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from engine.clock import trade_day
from engine.schema.codes import DeltaFlag, NoteFlag, Phase, SlotKind
from engine.schema.deltas import SERIES_MINUTES

Message = dict[str, Any]
Row = dict[str, Any]
Judged = tuple[Message, Any]

BREADTH = ("advances", "unchanged", "declines", "ceilings", "floors")
AMOUNTS = tuple(
    f"{kind}_{what}"
    for kind in ("matched", "put_through", "total", "odd_lot")
    for what in ("volume_shares", "value_vnd")
)
BEFORE_TRADING = {Phase.PRE, Phase.ATO}
NO_TRADING = {Phase.BREAK, Phase.CLOSED}


def get(message: Message, name: str) -> int:
    """Return a field of a message; absent is 0."""
    return int(message.get(name, 0))


def todays_value(message: Message, note: Any) -> int:
    """Return the value when it is today's, 0 when it is the prior close told again, or none."""
    if note.phase in BEFORE_TRADING and get(message, "matched_volume_shares") == 0:
        return 0
    return max(0, get(message, "value_e2"))


def head_of(message: Message, note: Any) -> Row:
    """Return the head a row gets from a slot, without seq, updates and flags."""
    return {
        "recv_ns": get(message, "recv_ns"),
        "exch_s": message["exch_s"],
        "symbol_id": message["symbol_id"],
        "phase": int(note.phase),
        "venue": get(message, "venue"),
    }


class NaiveTwin:
    """Days of messages per symbol; one row per symbol and group whose picture is a new one."""

    def __init__(self) -> None:
        self.days: dict[int, list[Judged]] = defaultdict(list)
        self.shown: dict[int, Row] = {}
        self.seq: dict[int, int] = defaultdict(int)

    def counts(self, message: Message, note: Any) -> bool:
        """Return whether the message is looked at."""
        raise NotImplementedError

    def picture(self, day: list[Judged]) -> Row:
        """Return what a row says after these messages of one day."""
        raise NotImplementedError

    def due(self, day: list[Judged], shown: Row | None, picture: Row) -> bool:
        """Return whether the newest message of the day is a row."""
        raise NotImplementedError

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Take a group; return its rows."""
        rows: dict[int, Row] = {}
        for message, note in zip(messages, notes, strict=True):
            if message["kind"] != SlotKind.INDEX or note.flags & NoteFlag.STALE_DAY:
                continue
            if not self.counts(message, note):
                continue
            symbol_id, date = message["symbol_id"], trade_day(message["exch_s"])
            day = self.days[symbol_id]
            if day and trade_day(day[0][0]["exch_s"]) != date:
                day.clear()
                self.shown.pop(symbol_id, None)
            day.append((message, note))
            picture = self.picture(day) | {"trade_day": date}
            if not self.due(day, self.shown.get(symbol_id), picture):
                continue
            self.shown[symbol_id] = picture
            if symbol_id not in rows:
                self.seq[symbol_id] += 1
                rows[symbol_id] = {"updates": 0}
            updates = rows[symbol_id]["updates"] + 1
            rows[symbol_id] = picture | head_of(message, note)
            rows[symbol_id] |= {"seq": self.seq[symbol_id], "updates": updates}
        return list(rows.values())


class NaiveIndex(NaiveTwin):
    """Channel ``index``."""

    def counts(self, message: Message, note: Any) -> bool:
        """A message without value and estimate is a zero snapshot."""
        return get(message, "value_e2") > 0 or get(message, "estimated_value_e2") > 0

    def due(self, day: list[Judged], shown: Row | None, picture: Row) -> bool:
        """Whatever differs is news, except when the counters were told last."""
        apart = "breadth_exch_s"
        return shown is None or shown | {apart: 0} != picture | {apart: 0}

    def picture(self, day: list[Judged]) -> Row:
        """Read the day from its first message."""
        messages = [message for message, _ in day]
        newest = messages[-1]
        range_e2 = [value for value in (todays_value(*each) for each in day) if value]
        with_breadth = [each for each in messages if any(get(each, name) for name in BREADTH)]
        breadth = with_breadth[-1] if with_breadth else {}
        totals = [get(message, "total_volume_shares") for message in messages]
        flags = DeltaFlag.NONE
        if totals != sorted(totals):
            flags |= DeltaFlag.CORRECTED
        if with_breadth and breadth is not newest:
            flags |= DeltaFlag.NO_BREADTH
        return {
            "flags": int(flags),
            "value_e2": self._last(messages, "value_e2"),
            "prior_value_e2": self._last(messages, "prior_value_e2"),
            "estimated_value_e2": get(newest, "estimated_value_e2"),
            "open_value_e2": range_e2[0] if range_e2 else 0,
            "high_value_e2": max(range_e2, default=0),
            "low_value_e2": min(range_e2, default=0),
            **{name: get(breadth, name) for name in BREADTH},
            "breadth_exch_s": get(breadth, "exch_s"),
            **{name: get(newest, name) for name in (*AMOUNTS, "trade_count")},
        }

    @staticmethod
    def _last(messages: list[Message], name: str) -> int:
        told = [get(message, name) for message in messages if get(message, name) > 0]
        return told[-1] if told else 0


class NaiveIndexSeries(NaiveTwin):
    """Channel ``index.series``."""

    def counts(self, message: Message, note: Any) -> bool:
        """Only values of today make a series."""
        return todays_value(message, note) > 0

    def due(self, day: list[Judged], shown: Row | None, picture: Row) -> bool:
        """A row is due when a minute is in it that was not, or a past one is another one.

        The value of the running minute is news only together with one of these.
        """
        if shown is None:
            return True
        minute = day[-1][0]["exch_s"] // 60 * 60
        known = shown["series_count"]
        if picture["series_count"] > known:
            return True
        finished = minute > shown["series_exch_s"][known - 1]
        return finished and picture != shown

    def picture(self, day: list[Judged]) -> Row:
        """Sort the values of the day into minutes, in the order they came."""
        minutes: list[list[int]] = []  # start, last value
        latest = 0  # last value that has a minute
        for message, note in day:
            value = todays_value(message, note)
            minute = message["exch_s"] // 60 * 60
            if minutes and minute <= minutes[-1][0]:
                minutes[-1][1] = value
            elif (note.phase in NO_TRADING and value == latest) or len(minutes) == SERIES_MINUTES:
                continue
            else:
                minutes.append([minute, value])
            latest = value
        spare = [0] * (SERIES_MINUTES - len(minutes))
        return {
            "flags": 0,
            "series_count": len(minutes),
            "series_exch_s": [start for start, _ in minutes] + spare,
            "series_value_e2": [value for _, value in minutes] + spare,
        }
