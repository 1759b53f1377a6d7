"""Naive twin of channel ``auction``: the day's messages kept whole and read again for every row.

Written from market-behaviour sections 1 and 5 and the rules in ``engine/trackers/auction.py``.
"""

from collections import defaultdict
from typing import Any

from engine.clock import trade_day
from engine.schema.codes import DeltaFlag, NoteFlag, Phase, SlotKind, TradeEvent

Message = dict[str, Any]
Row = dict[str, Any]
Slot = tuple[Message, Any]

AUCTIONS = (Phase.ATO, Phase.ATC)  # in the order of a day
PRINTS = {TradeEvent.MATCH, TradeEvent.LATE}


def get(message: Message, name: str) -> int:
    """Return a number of a message; absent is 0."""
    return int(message.get(name, 0))


def levels(book: Message, side: str) -> list[tuple[int, int]]:
    """Return the (price, volume) of each level of a side; none of no book."""
    if not book:
        return []
    return list(zip(book[f"{side}_price_e2"], book[f"{side}_volume_shares"], strict=True))


class NaiveAuction:
    """Channel ``auction``."""

    def __init__(self) -> None:
        self.days: dict[int, list[Slot]] = defaultdict(list)  # of a symbol's newest day
        self.shown: dict[int, Row] = {}
        self.seq: dict[int, int] = defaultdict(int)

    def feed(self, messages: list[Message], notes: list[Any]) -> list[Row]:
        """Fold one group; return its rows."""
        merged: dict[int, tuple[Row, int]] = {}
        for message, note in zip(messages, notes, strict=True):
            if message["kind"] not in (SlotKind.TRADE, SlotKind.QUOTE):
                continue
            if note.flags & NoteFlag.STALE_DAY:
                continue
            symbol_id = get(message, "symbol_id")
            day = self.days[symbol_id]
            if day and trade_day(get(day[-1][0], "exch_s")) != trade_day(get(message, "exch_s")):
                day.clear()
            day.append((message, note))
            now = figures(day)
            if now is not None and now != self.shown.get(symbol_id):
                self.shown[symbol_id] = now
                head = {
                    "recv_ns": get(message, "recv_ns"),
                    "exch_s": get(message, "exch_s"),
                    "symbol_id": symbol_id,
                    "venue": get(message, "venue"),
                }
                merged[symbol_id] = head | now, merged.get(symbol_id, ({}, 0))[1] + 1
        rows = []
        for symbol_id, (row, updates) in merged.items():
            self.seq[symbol_id] += 1
            rows.append({"seq": self.seq[symbol_id], "updates": updates, **row})
        return rows


def figures(day: list[Slot]) -> Row | None:
    """Return what the newest auction of a day is like after these slots; None before the first."""
    begun = [note.phase for _, note in day if note.phase in AUCTIONS]
    if not begun:
        return None
    phase = max(begun)
    first = next(at for at, (_, note) in enumerate(day) if note.phase == phase)
    of_it = [(at, message, note) for at, (message, note) in enumerate(day) if note.phase == phase]
    outages = [at for at, _, note in of_it if note.flags & NoteFlag.AFTER_OUTAGE]
    since = max([first, *outages])  # what was told before is forgotten
    books = [m for at, m, _ in of_it if at >= since and m["kind"] == SlotKind.QUOTE]
    book = books[-1] if books else {}
    estimates = [
        get(message, "estimated_price_e2")
        for at, message, note in of_it
        if at >= since
        and message["kind"] == SlotKind.TRADE
        and note.event not in PRINTS
        and not is_past(day, at)
    ]
    price = estimates[-1] if estimates else 0
    prints = [(message, note) for _, message, note in of_it if note.event in PRINTS]
    bids, asks = levels(book, "bid"), levels(book, "ask")
    market_buy = sum(volume for at, volume in bids if at == 0)
    market_sell = sum(volume for at, volume in asks if at == 0)
    buy = sum(volume for at, volume in bids if at == 0 or at >= price) if price else 0
    sell = sum(volume for at, volume in asks if at <= price) if price else 0
    flags = book_flags(bids, asks)
    if any(
        note.event == TradeEvent.CORRECTION
        and any(n.event in PRINTS and n.phase == phase for _, n in day[:at])
        for at, (_, note) in enumerate(day)
        if at >= first
    ):
        flags |= DeltaFlag.CORRECTED
    last = prints[-1][0] if prints else {}
    return {
        "phase": int(phase),
        "flags": int(flags),
        "indicative_price_e2": price,
        "uncross_price_e2": get(last, "last_price_e2"),
        "indicative_volume_shares": min(buy, sell),
        "buy_surplus_shares": max(buy - sell, 0),
        "sell_surplus_shares": max(sell - buy, 0),
        "market_buy_shares": market_buy,
        "market_sell_shares": market_sell,
        "uncross_volume_shares": sum(note.volume_shares for _, note in prints),
        "uncross_value_vnd": sum(note.value_vnd for _, note in prints),
        "uncross_exch_s": get(last, "exch_s"),
        "trade_day": trade_day(get(day[-1][0], "exch_s")),
    }


def is_past(day: list[Slot], at: int) -> bool:
    """Return whether a TRADE slot tells a total that is not the day's current one."""
    if day[at][1].event != TradeEvent.REPEAT:
        return False
    current = next(
        get(message, "total_volume_shares")
        for message, note in reversed(day[:at])
        if message["kind"] == SlotKind.TRADE
        and note.event not in (TradeEvent.REPEAT, TradeEvent.LATE)
    )
    return current != get(day[at][0], "total_volume_shares")


def book_flags(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> int:
    """Return CROSSED and MARKET_ORDERS of a book."""
    flags = DeltaFlag.NONE
    bid = next((price for price, _ in bids if price > 0), 0)
    ask = next((price for price, _ in asks if price > 0), 0)
    if 0 < ask <= bid:
        flags |= DeltaFlag.CROSSED
    if any(side and side[0][0] == 0 and side[0][1] > 0 for side in (bids, asks)):
        flags |= DeltaFlag.MARKET_ORDERS
    return int(flags)
