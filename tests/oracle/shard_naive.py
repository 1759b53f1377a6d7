"""The shard's naive twin: plain Python objects, the day's history kept whole and read again.

Written from market-behaviour sections 1 to 5 and 11 and the rules stated in engine/shard's module
docstrings, without looking at how the kernels keep their state: nothing here is incremental. A
symbol's day is a list of what happened, and every question is answered by walking that list.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from engine.market.sessions import grace_phase_at, match_phase, phase_at
from engine.schema.codes import (
    DeltaFlag,
    FeedSession,
    NoteFlag,
    Phase,
    Side,
    SideRule,
    SlotKind,
    TradeEvent,
    TradingStatus,
    Venue,
)

Message = dict[str, Any]

AUCTIONS = {Phase.ATO, Phase.ATC, Phase.PLO, Phase.PUT_THROUGH}
STOPPED = {TradingStatus.HALTED, TradingStatus.SUSPENDED, TradingStatus.MATCHING_SUSPENDED}
GOING_ON = {
    TradingStatus.NORMAL,
    TradingStatus.NEW_LISTING,
    TradingStatus.TO_BE_DELISTED,
    TradingStatus.SPECIAL,
    TradingStatus.PUT_THROUGH_SUSPENDED,
}
MAIN_BOARD = {SlotKind.TRADE, SlotKind.QUOTE, SlotKind.STATUS, SlotKind.INDEX}


@dataclass
class Note:
    """The fields of schema NOTE."""

    event: int = 0
    phase: int = 0
    flags: int = 0
    side: int = 0
    side_rule: int = 0
    side_exchange: int = 0
    side_quote: int = 0
    side_tick: int = 0
    volume_shares: int = 0
    value_vnd: int = 0
    missed_volume_shares: int = 0
    bid_price_e2: int = 0
    ask_price_e2: int = 0


@dataclass
class Day:
    """Everything a symbol was told today, in order: (message, note)."""

    date: int
    told: list[tuple[Message, Note]] = field(default_factory=list)

    def of(self, *kinds: SlotKind) -> list[tuple[Message, Note]]:
        """What was told by messages of some kinds."""
        return [(message, note) for message, note in self.told if message["kind"] in kinds]


def get(message: Message, name: str) -> int:
    """Return a number of a message; absent is 0."""
    return int(message.get(name, 0))


def level(message: Message, side: str, index: int) -> tuple[int, int]:
    """Return (price_e2, volume) of one level."""
    return (message[f"{side}_price_e2"][index], message[f"{side}_volume_shares"][index])


class NaiveShard:
    """Folds groups of messages into notes and delta rows."""

    def __init__(
        self,
        precedence: tuple[str, ...] = ("EXCHANGE", "QUOTE", "TICK"),
        symbol_capacity: int = 1 << 30,
    ) -> None:
        self.precedence = precedence
        self.symbol_capacity = symbol_capacity
        self.names: dict[int, tuple[Any, ...]] = {}
        self.days: dict[int, Day] = {}
        self.notes: list[Note] = []
        self.seq: dict[tuple[str, int], int] = defaultdict(int)
        self.published: dict[tuple[str, int], Any] = {}
        self.published_day: dict[tuple[str, int], int] = {}
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def feed(self, group: list[Message]) -> None:
        """Fold one group: notes are appended, rows of the group are added at its end."""
        merged: dict[tuple[str, int], tuple[dict[str, Any], int]] = {}
        for message in group:
            note = Note()
            self.notes.append(note)
            for channel, row in self._slot(message, note):
                key = (channel, row["symbol_id"])
                if channel == "trade":
                    self._emit(channel, row, 1)
                else:
                    _, updates = merged.get(key, ({}, 0))
                    merged[key] = (row, updates + 1)
        for (channel, _), (row, updates) in merged.items():
            self._emit(channel, row, updates)

    def _emit(self, channel: str, row: dict[str, Any], updates: int) -> None:
        key = (channel, row["symbol_id"])
        self.seq[key] += 1
        self.rows[channel].append({"seq": self.seq[key], "updates": updates, **row})

    def _slot(self, message: Message, note: Note) -> list[tuple[str, dict[str, Any]]]:
        kind, symbol_id = message["kind"], get(message, "symbol_id")
        if kind in {SlotKind.NONE, SlotKind.CONTROL}:
            return []
        if not 0 < symbol_id < self.symbol_capacity:
            note.flags = NoteFlag.STALE_DAY
            return []
        if kind == SlotKind.SYMBOL:
            return self._symbol(message)
        local_s = get(message, "exch_s") + 7 * 3600
        date, second = divmod(local_s, 86_400)
        note.phase = phase_at(Venue(get(message, "venue")), date, second)
        day = self.days.get(symbol_id)
        if day is not None and date < day.date:
            note.flags = NoteFlag.STALE_DAY
            note.event = TradeEvent.STALE_DAY if kind == SlotKind.TRADE else TradeEvent.NONE
            return []
        if day is None or date > day.date:
            day = self.days[symbol_id] = Day(date)
            note.flags = NoteFlag.NEW_DAY
        day.told.append((message, note))
        if halted(day):
            note.phase = Phase.HALT
        if kind == SlotKind.TRADE:
            self._trade(day, message, note, second)
            rows = [("stats", self._head(message, note, 0) | stats_row(day))]
            if note.event == TradeEvent.MATCH:
                rows.append(("trade", self._trade_row(message, note)))
            return rows
        if kind == SlotKind.QUOTE:
            return self._book(day, message, note)
        return []

    def _head(self, message: Message, note: Note, flags: int) -> dict[str, Any]:
        return {
            "recv_ns": get(message, "recv_ns"),
            "exch_s": get(message, "exch_s"),
            "symbol_id": get(message, "symbol_id"),
            "phase": note.phase,
            "venue": get(message, "venue"),
            "flags": flags,
        }

    def _symbol(self, message: Message) -> list[tuple[str, dict[str, Any]]]:
        symbol_id = message["symbol_id"]
        name = (
            message["code"],
            message["venue"],
            message["instrument"],
            message["value_multiplier"],
        )
        if self.names.get(symbol_id) == name:
            return []
        self.names[symbol_id] = name
        return [
            (
                "symbol",
                self._head(message, Note(), 0)
                | {"code": name[0], "instrument": name[2], "value_multiplier": name[3]},
            )
        ]

    def _multiplier(self, message: Message) -> int:
        if message["symbol_id"] in self.names and self.names[message["symbol_id"]][3] > 0:
            return int(self.names[message["symbol_id"]][3])
        return 100_000 if message["venue"] == Venue.DERIVATIVES else 1

    def _trade(self, day: Day, message: Message, note: Note, second: int) -> None:
        earlier = day.of(SlotKind.TRADE)[:-1]
        total, size = get(message, "total_volume_shares"), get(message, "last_volume_shares")
        price = get(message, "last_price_e2")
        before = get(earlier[-1][0], "total_volume_shares") if earlier else 0
        growth = total - before
        volume = min(size, growth)
        unit = price * self._multiplier(message)
        can_be_told = size > 0 and price > 0 and unit * volume <= 9 * 10**18
        if growth == 0:
            note.event = TradeEvent.REPEAT if total else TradeEvent.NONE
        elif growth < 0:
            note.event = TradeEvent.CORRECTION
        elif can_be_told and (earlier or total == size):
            note.event = TradeEvent.MATCH
        else:
            note.event = TradeEvent.BASELINE
        note.missed_volume_shares = growth
        if note.event == TradeEvent.MATCH:
            note.missed_volume_shares = growth - volume
            note.volume_shares = volume
            note.value_vnd = unit * volume // 100
            note.phase = self._phase_of_match(earlier, message, day.date, second)
            self._side(day, earlier, message, note)

    @staticmethod
    def _phase_of_match(
        earlier: list[tuple[Message, Note]], message: Message, date: int, second: int
    ) -> Phase:
        venue = Venue(message["venue"])
        ended = grace_phase_at(venue, date, second)
        prints = [
            m["last_price_e2"]
            for m, n in earlier
            if n.event == TradeEvent.MATCH and n.phase == ended
        ]
        return match_phase(
            venue,
            date,
            second,
            FeedSession(get(message, "session")),
            message["last_price_e2"],
            prints[0] if prints else 0,
        )

    def _side(
        self, day: Day, earlier: list[tuple[Message, Note]], message: Message, note: Note
    ) -> None:
        price = message["last_price_e2"]
        said = {
            "EXCHANGE": Side(get(message, "side")),
            "QUOTE": Side.UNKNOWN,
            "TICK": tick(earlier, price),
        }
        if said["EXCHANGE"] == Side.NEUTRAL:
            said["EXCHANGE"] = Side.UNKNOWN
        books = day.of(SlotKind.QUOTE)
        if books:
            (bid, bid_volume), (ask, ask_volume) = (
                level(books[-1][0], side, 0) for side in ("bid", "ask")
            )
            if min(bid, ask, bid_volume, ask_volume) > 0 and bid < ask:
                note.bid_price_e2, note.ask_price_e2 = bid, ask
                if price >= ask:
                    said["QUOTE"] = Side.BUY
                elif price <= bid:
                    said["QUOTE"] = Side.SELL
        note.side_exchange, note.side_quote, note.side_tick = (
            said["EXCHANGE"],
            said["QUOTE"],
            said["TICK"],
        )
        if note.phase in AUCTIONS:
            note.side, note.side_rule = Side.NEUTRAL, SideRule.AUCTION
            return
        if note.phase == Phase.CONTINUOUS and {said["EXCHANGE"], said["QUOTE"]} == {
            Side.BUY,
            Side.SELL,
        }:
            note.flags |= NoteFlag.DISAGREE
        for name in self.precedence:
            if said[name]:
                note.side, note.side_rule = said[name], SideRule[name]
                return

    def _trade_row(self, message: Message, note: Note) -> dict[str, Any]:
        flags = DeltaFlag.MISSED_BEFORE if note.missed_volume_shares else DeltaFlag.NONE
        if note.flags & NoteFlag.DISAGREE:
            flags |= DeltaFlag.DISAGREE
        return self._head(message, note, int(flags)) | {
            "price_e2": message["last_price_e2"],
            "total_volume_shares": message["total_volume_shares"],
            **{
                name: getattr(note, name)
                for name in (
                    "side",
                    "side_rule",
                    "side_exchange",
                    "side_quote",
                    "side_tick",
                    "volume_shares",
                    "value_vnd",
                    "missed_volume_shares",
                    "bid_price_e2",
                    "ask_price_e2",
                )
            },
        }

    def _book(self, day: Day, message: Message, note: Note) -> list[tuple[str, dict[str, Any]]]:
        rows = []
        names = [
            f"{side}_{what}" for side in ("bid", "ask") for what in ("price_e2", "volume_shares")
        ]
        queued = any(
            level(message, side, 0)[0] == 0 and level(message, side, 0)[1] > 0
            for side in ("bid", "ask")
        )
        for channel, depth in (("quote", 1), ("book", 10)):
            shown = {name: message[name][:depth] for name in names}
            key = (channel, message["symbol_id"])
            if self.published.get(key) == shown and self.published_day[key] == day.date:
                continue
            self.published[key], self.published_day[key] = shown, day.date
            bid, ask = (
                next((price for price in shown[f"{side}_price_e2"] if price > 0), 0)
                for side in ("bid", "ask")
            )
            flags = (
                DeltaFlag.CROSSED * (bid > 0 and ask > 0 and bid >= ask)
                | DeltaFlag.MARKET_ORDERS * queued
            )
            body = {name: value[0] if depth == 1 else value for name, value in shown.items()}
            rows.append((channel, self._head(message, note, int(flags)) | body))
        return rows


def halted(day: Day) -> bool:
    """Ask the last session word and the last status word that say anything."""
    by_session = by_status = False
    for message, _ in day.told:
        if message["kind"] not in MAIN_BOARD:
            continue
        session = FeedSession(get(message, "session"))
        status = TradingStatus(get(message, "status"))
        if session not in {FeedSession.NONE, FeedSession.OTHER}:
            by_session = session == FeedSession.HALT
        if status in STOPPED | GOING_ON:
            by_status = status in STOPPED
        if (
            message["kind"] == SlotKind.STATUS
            and status in GOING_ON
            and session != FeedSession.HALT
        ):
            by_session = False
    return by_session or by_status


def tick(earlier: list[tuple[Message, Note]], price: int) -> Side:
    """Compare with the last different price since volume was last seen without a match."""
    prices: list[int] = []
    for message, note in earlier:
        if note.event in {TradeEvent.BASELINE, TradeEvent.CORRECTION}:
            prices = [message.get("last_price_e2", 0)]
        elif note.event == TradeEvent.MATCH:
            prices.append(message["last_price_e2"])
    for last in reversed(prices):
        if last > 0 and last != price:
            return Side.BUY if price > last else Side.SELL
    return Side.UNKNOWN


def stats_row(day: Day) -> dict[str, Any]:
    """Tell the day so far from its whole history."""
    told = day.of(SlotKind.TRADE)
    matches = [(m, n) for m, n in told if n.event == TradeEvent.MATCH]
    last_message = told[-1][0]
    row: dict[str, Any] = {
        "trade_day": day.date,
        "estimated_price_e2": get(last_message, "estimated_price_e2"),
        "total_volume_shares": get(last_message, "total_volume_shares"),
        "total_value_vnd": get(last_message, "total_value_vnd"),
        "trade_count": len(matches),
        "repeat_count": sum(n.event == TradeEvent.REPEAT for _, n in told),
        "correction_count": sum(n.event == TradeEvent.CORRECTION for _, n in told),
        "first_trade_exch_s": matches[0][0]["exch_s"] if matches else 0,
        "last_trade_exch_s": matches[-1][0]["exch_s"] if matches else 0,
        "volume_shares": sum(n.volume_shares for _, n in matches),
        "value_vnd": sum(n.value_vnd for _, n in matches),
        "missed_volume_shares": sum(n.missed_volume_shares for _, n in told),
        "largest_trade_shares": max((n.volume_shares for _, n in matches), default=0),
        "flags": (
            DeltaFlag.BASELINE * any(n.event == TradeEvent.BASELINE for _, n in told)
            | DeltaFlag.CORRECTED * any(n.event == TradeEvent.CORRECTION for _, n in told)
        ),
    }
    for name in ("reference", "ceiling", "floor", "prior_close"):
        values = [get(m, f"{name}_price_e2") for m, _ in told]
        row[f"{name}_price_e2"] = next((value for value in reversed(values) if value > 0), 0)
    for name, number in (
        ("volume_shares", "volume_shares"),
        ("value_vnd", "value_vnd"),
        ("count", None),
    ):
        row[f"phase_side_{name}"] = [
            [
                sum(
                    getattr(n, number) if number else 1
                    for _, n in matches
                    if (n.phase, n.side) == (phase, side)
                )
                for side in Side
            ]
            for phase in Phase
        ]
    row["phase_disagree_count"] = [
        sum(bool(n.flags & NoteFlag.DISAGREE) for _, n in matches if n.phase == phase)
        for phase in Phase
    ]
    return row | prices_of_day(told)


def prices_of_day(told: list[tuple[Message, Note]]) -> dict[str, int]:
    """Open, high, low and last after everything that was told."""
    opening = high = low = last = before = 0
    opening_known = False
    for message, note in told:
        price, total = get(message, "last_price_e2"), get(message, "total_volume_shares")
        the_high, the_low, the_open = (
            get(message, f"{name}_price_e2") for name in ("high", "low", "open")
        )
        seen: list[int] = []
        if note.event == TradeEvent.MATCH:
            last = price
            seen = [price]
            if before == 0 and note.missed_volume_shares == 0:
                opening, opening_known = price, True
        elif note.event in {TradeEvent.BASELINE, TradeEvent.CORRECTION}:
            last = price or last
            if note.event == TradeEvent.BASELINE and price > 0:
                seen = [price]
        if note.event == TradeEvent.CORRECTION:
            high, low = the_high or high, the_low or low
            if the_open:
                opening, opening_known = the_open, True
        if total > 0:
            high = max([high, the_high, *seen])
            low = min((p for p in [low, the_low, *seen] if p > 0), default=0)
            if the_open and not opening_known:
                opening, opening_known = the_open, True
        before = total
    return {
        "open_price_e2": opening,
        "high_price_e2": high,
        "low_price_e2": low,
        "last_price_e2": last,
    }
