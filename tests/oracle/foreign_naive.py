"""Naive twin of channel ``foreign``: every message of the day kept, everything worked out anew.

Written from market-behaviour section 6 and the rules in ``flow`` and ``foreign`` in words. A day is
a list of what was accepted; `picture` reads it from the start after every slot, and a row is due
when the picture is another one than before.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from engine.clock import trade_day
from engine.schema.codes import ControlOp, DeltaFlag, FeedState, NoteFlag, SlotKind

Message = dict[str, Any]
Row = dict[str, Any]

STEP_S = 5
FIVE_MINUTES = 60  # steps
ONE_MINUTE = 12
FIGURES = ("buy_volume_shares", "sell_volume_shares", "buy_value_vnd", "sell_value_vnd")
WATCHED = {SlotKind.FOREIGN, SlotKind.TRADE, SlotKind.QUOTE}
AWAY = {FeedState.DOWN, FeedState.CONNECTING}
HERE = {FeedState.LIVE, FeedState.STALE}


def outages(history: list[Message]) -> int:
    """Count how often the feed went away, or lost frames, in what was accepted."""
    here, count = False, 0
    for each in history:
        if each["kind"] == SlotKind.CONTROL and each["op"] == ControlOp.LOST:
            count += 1
        elif each["kind"] == SlotKind.CONTROL and each["op"] == ControlOp.FEED_STATE:
            if each["arg0"] in AWAY:
                count += here
                here = False
            here = here or each["arg0"] in HERE
        elif each["kind"] in (SlotKind.TRADE, SlotKind.QUOTE):
            here = True
    return count


class Told(NamedTuple):
    """One FOREIGN message: its stamp, when it became known, its figures and its room.

    `outages`: how many the market has had by then.
    """

    exch_s: int
    known_s: int
    figures: tuple[int, ...]
    total_room: int
    current_room: int
    outages: int


class Flowed(NamedTuple):
    """What came between two messages."""

    step: int
    net_volume: int
    net_value: int
    room_used: int


class Day:
    """What one symbol told on one trading date."""

    def __init__(self, day: int) -> None:
        self.day = day
        self.told: list[Told] = []
        self.now_s = 0  # newest stamp of any slot that was watched

    def is_zero_snapshot(self, message: Message) -> bool:
        """Whether a message tells four zeros after the day had more."""
        return (
            message["kind"] == SlotKind.FOREIGN
            and not any(message.get(name, 0) for name in FIGURES)
            and any(any(each.figures) for each in self.told)
        )

    @property
    def found(self) -> bool:
        """Whether the newest message is the first since an outage; the day's first never is."""
        return len(self.told) > 1 and self.told[-1].outages != self.told[-2].outages

    def watch(self, message: Message, outages: int = 0) -> None:
        """Keep a slot of this date, told after so many outages."""
        if self.is_zero_snapshot(message):
            return
        self.now_s = max(self.now_s, message["exch_s"])
        if message["kind"] == SlotKind.FOREIGN:
            told = Told(
                message["exch_s"],
                self.now_s,
                tuple(message.get(name, 0) for name in FIGURES),
                message.get("total_room_shares", 0),
                message.get("current_room_shares", 0),
                outages,
            )
            if not self._old_news(told):
                self.told.append(told)

    def _old_news(self, told: Told) -> bool:
        if not self.told or told.exch_s >= max(each.exch_s for each in self.told):
            return False
        deltas = [now - then for now, then in zip(told.figures, self.told[-1].figures, strict=True)]
        return min(deltas) < 0 or max(deltas) == 0

    def picture(self) -> Row:
        """Work out everything a row says of the day, from its first message to its last."""
        first, *later = self.told
        flags = DeltaFlag.BASELINE if any(first.figures) else DeltaFlag.NONE
        resets = 0
        flowed: list[Flowed] = []
        deltas = [0, 0, 0, 0]
        before = first
        room = self._room([first])
        for count, now in enumerate(later, 2):
            deltas = [x - y for x, y in zip(now.figures, before.figures, strict=True)]
            room_now = self._room(self.told[:count])
            if min(deltas) < 0:
                deltas = [0, 0, 0, 0]
                resets += 1
                flags |= DeltaFlag.RESET
            elif now.outages != before.outages:
                deltas = [0, 0, 0, 0]
            else:
                used = room[1] - room_now[1] if room and room_now else 0
                flowed.append(
                    Flowed(
                        now.known_s // STEP_S, deltas[0] - deltas[1], deltas[2] - deltas[3], used
                    )
                )
            before, room = now, room_now
        now_step = self.now_s // STEP_S
        earlier = now_step - ONE_MINUTE
        total_room, current_room = room or (0, 0)
        return {
            "flags": int(flags),
            **dict(zip(FIGURES, before.figures, strict=True)),
            **{f"delta_{name}": delta for name, delta in zip(FIGURES, deltas, strict=True)},
            "net_volume_5m_shares": self._sum(flowed, now_step, "net_volume"),
            "net_value_5m_vnd": self._sum(flowed, now_step, "net_value"),
            "net_volume_5m_before_shares": self._sum(flowed, earlier, "net_volume"),
            "net_value_5m_before_vnd": self._sum(flowed, earlier, "net_value"),
            "total_room_shares": total_room,
            "current_room_shares": current_room,
            "room_used_5m_shares": self._sum(flowed, now_step, "room_used"),
            "reset_count": resets,
            "trade_day": self.day,
        }

    @staticmethod
    def _room(told: list[Told]) -> tuple[int, int] | None:
        """Return the last room that was told; 0 of 0 is none."""
        rooms = [(each.total_room, each.current_room) for each in told]
        return next((room for room in reversed(rooms) if room != (0, 0)), None)

    @staticmethod
    def _sum(flowed: list[Flowed], step: int, what: str) -> int:
        window = range(step - FIVE_MINUTES + 1, step + 1)
        return sum(getattr(each, what) for each in flowed if each.step in window)


class NaiveForeign:
    """The twin: ``feed`` takes a group and returns its rows."""

    def __init__(self) -> None:
        self.history: list[Message] = []
        self.days: dict[int, Day] = {}
        self.pictures: dict[int, Row] = {}
        self.seq: dict[int, int] = defaultdict(int)

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Watch a group; notes have the fields of NOTE as attributes."""
        rows: dict[int, Row] = {}
        for message, note in zip(messages, notes, strict=True):
            if note.flags & NoteFlag.STALE_DAY:
                continue
            self.history.append(message)
            if message["kind"] not in WATCHED:
                continue
            symbol_id = message["symbol_id"]
            day = trade_day(message["exch_s"])
            known = self.days.get(symbol_id)
            begins = known is None or known.day != day
            if begins:
                if message["kind"] != SlotKind.FOREIGN:
                    continue
                known = self.days[symbol_id] = Day(day)
            count = len(known.told)
            known.watch(message, outages(self.history))
            picture = known.picture()
            found = known.found and len(known.told) > count
            if picture == self.pictures.get(symbol_id) and not found:
                continue
            self.pictures[symbol_id] = picture
            if symbol_id not in rows:
                self.seq[symbol_id] += 1
                rows[symbol_id] = {"updates": 0, "flags": 0}
            after = 0 if begins else rows[symbol_id]["flags"] & DeltaFlag.AFTER_OUTAGE
            if found:
                after = DeltaFlag.AFTER_OUTAGE
            rows[symbol_id] |= picture | {
                "flags": picture["flags"] | int(after),
                "seq": self.seq[symbol_id],
                "recv_ns": message.get("recv_ns", 0),
                "exch_s": message["exch_s"],
                "symbol_id": symbol_id,
                "updates": rows[symbol_id]["updates"] + 1,
                "phase": int(note.phase),
                "venue": int(message.get("venue", 0)),
            }
        return list(rows.values())
