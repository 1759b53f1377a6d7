"""Naive twins of channels ``put_through`` and ``odd_lot``: the day kept whole and read again.

Written from market-behaviour section 4, ssi-wire 3.8 and 8, and the rules in the module docstrings
of ``engine/trackers/put_through.py`` and ``odd_lot.py``.
"""

from collections import defaultdict
from itertools import pairwise
from typing import Any

from engine.clock import trade_day
from engine.schema.codes import DeltaFlag, NoteFlag, SlotKind, Venue

Message = dict[str, Any]
Row = dict[str, Any]

INT64_MAX = 9 * 10**18  # the same margin as classify's


def get(message: Message, name: str) -> int:
    """Return a number of a message; absent is 0."""
    return int(message.get(name, 0))


class NaivePutThrough:
    """Channel ``put_through``."""

    def __init__(self) -> None:
        self.multipliers: dict[int, int] = {}
        self.days: dict[tuple[int, int], list[tuple[Message, int]]] = defaultdict(list)
        self.seq: dict[int, int] = defaultdict(int)

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group; return its rows."""
        rows = []
        for message, note in zip(messages, notes, strict=True):
            symbol_id = get(message, "symbol_id")
            if message["kind"] == SlotKind.SYMBOL:
                self.multipliers[symbol_id] = get(message, "value_multiplier")
            if message["kind"] != SlotKind.PUT_THROUGH or note.flags & NoteFlag.STALE_DAY:
                continue
            futures = get(message, "venue") == Venue.DERIVATIVES
            unit = self.multipliers.get(symbol_id) or (100_000 if futures else 1)
            day = trade_day(get(message, "exch_s"))
            told = self.days[symbol_id, day]
            told.append((message, unit))
            row = self._row(told)
            if row is not None:
                self.seq[symbol_id] += 1
                rows.append(
                    {
                        "seq": self.seq[symbol_id],
                        "updates": 1,
                        "recv_ns": get(message, "recv_ns"),
                        "exch_s": get(message, "exch_s"),
                        "symbol_id": symbol_id,
                        "phase": int(note.phase),
                        "venue": get(message, "venue"),
                        "trade_day": day,
                        **row,
                    }
                )
        return rows

    def _row(self, told: list[tuple[Message, int]]) -> Row | None:
        """Read the whole day; return what its last message has for clients."""
        shares = value = count = 0
        row: Row | None = None
        for number, (message, unit) in enumerate(told):
            total, told_value = get(message, "total_volume_shares"), get(message, "total_value_vnd")
            volume, price = get(message, "volume_shares"), get(message, "price_e2")
            row = None
            if 0 < total == shares:
                continue
            deal = total == 0 or total > shares
            deal = deal and 0 < price * unit * volume <= INT64_MAX
            flags = DeltaFlag.NONE
            if 0 < total < shares:
                flags = DeltaFlag.CORRECTED
            elif total > shares + (volume if deal else 0):
                flags = DeltaFlag.BASELINE if number == 0 else DeltaFlag.MISSED_BEFORE
            if total == 0 and not deal:
                continue
            worth = price * unit * volume // 100 if deal else 0
            count += deal
            shares = total or shares + volume
            value = told_value or value + worth
            row = {
                "flags": int(flags),
                "price_e2": price if deal else 0,
                "deal_count": count,
                "volume_shares": volume if deal else 0,
                "value_vnd": worth,
                "total_volume_shares": shares,
                "total_value_vnd": value,
            }
        return row


PRICES = ("last", "reference", "ceiling", "floor", "open", "high", "low")
LEVELS = ("bid_price_e2", "bid_volume_shares", "ask_price_e2", "ask_volume_shares")


class NaiveOddLot:
    """Channel ``odd_lot``."""

    def __init__(self) -> None:
        self.days: dict[int, list[Message]] = defaultdict(list)  # of a symbol's newest day
        self.shown: dict[int, Row] = {}
        self.seq: dict[int, int] = defaultdict(int)

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group; return its rows."""
        merged: dict[int, tuple[Row, int]] = {}
        for message, note in zip(messages, notes, strict=True):
            if message["kind"] != SlotKind.ODD_LOT or note.flags & NoteFlag.STALE_DAY:
                continue
            symbol_id = get(message, "symbol_id")
            day = self.days[symbol_id]
            if day and trade_day(get(day[-1], "exch_s")) != trade_day(get(message, "exch_s")):
                day.clear()
            day.append(message)
            now = state_of(day)
            if now != self.shown.get(symbol_id):
                self.shown[symbol_id] = now
                head = {
                    "recv_ns": get(message, "recv_ns"),
                    "exch_s": get(message, "exch_s"),
                    "symbol_id": symbol_id,
                    "phase": int(note.phase),
                    "venue": get(message, "venue"),
                }
                merged[symbol_id] = head | now, merged.get(symbol_id, ({}, 0))[1] + 1
        rows = []
        for symbol_id, (row, updates) in merged.items():
            self.seq[symbol_id] += 1
            rows.append({"seq": self.seq[symbol_id], "updates": updates, **row})
        return rows


def state_of(day: list[Message]) -> Row:
    """Return the odd-lot state after these messages of one day."""

    def last(name: str) -> int:
        told = [get(message, name) for message in day if get(message, name) > 0]
        return told[-1] if told else 0

    totals = [0]  # as they were after each message
    for message in day:
        totals.append(get(message, "total_volume_shares") or totals[-1])
    steps = list(pairwise(totals))
    baseline = totals[1] > get(day[0], "last_volume_shares")
    shrank = any(after < before for before, after in steps)
    return {
        **{f"{name}_price_e2": last(f"{name}_price_e2") for name in PRICES},
        **{name: list(day[-1].get(name, [0, 0, 0])) for name in LEVELS},
        "trade_count": sum(after > before for before, after in steps) - baseline,
        "last_volume_shares": last("last_volume_shares"),
        "total_volume_shares": totals[-1],
        "total_value_vnd": last("total_value_vnd"),
        "flags": DeltaFlag.BASELINE * baseline | DeltaFlag.CORRECTED * shrank,
        "trade_day": trade_day(get(day[-1], "exch_s")),
    }
