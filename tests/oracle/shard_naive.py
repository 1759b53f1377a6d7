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
    ControlOp,
    DeltaFlag,
    FeedSession,
    FeedState,
    GapCause,
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
Range = tuple[int, int, int]  # shares [from, to) of the day, newest stamp when they were missed

CHANNELS = {"symbol", "trade", "stats", "quote", "book"}  # what this twin knows
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
TOLD_EVENTS = {TradeEvent.MATCH, TradeEvent.LATE}
MOVING_EVENTS = {TradeEvent.MATCH, TradeEvent.BASELINE, TradeEvent.CORRECTION}
LIMITS = ("reference", "ceiling", "floor")


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
    cause: int = 0


@dataclass
class Told:
    """One message of a symbol's day, what was noted, and where it stood in the stream."""

    message: Message
    note: Note
    at: int
    past: bool = False  # an older total than the current one, and no correction

    @property
    def total(self) -> int:
        """Cumulative volume it tells."""
        return get(self.message, "total_volume_shares")

    @property
    def exch_s(self) -> int:
        """The exchange's stamp."""
        return get(self.message, "exch_s")


@dataclass
class Day:
    """Everything a symbol was told today, in order."""

    date: int
    told: list[Told] = field(default_factory=list)

    def of(self, *kinds: SlotKind) -> list[Told]:
        """What was told by messages of some kinds."""
        return [told for told in self.told if told.message["kind"] in kinds]


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
        self.heard: list[tuple[int, Message]] = []  # controls, accepted trades and quotes
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
        at = len(self.notes)
        if kind == SlotKind.CONTROL:
            self.heard.append((at, message))
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
        limits_before = limits_of(day)
        told = Told(message, note, at)
        day.told.append(told)
        if halted(day) or self._board_halted(Venue(get(message, "venue")), date):
            note.phase = Phase.HALT
        if kind in {SlotKind.TRADE, SlotKind.QUOTE}:
            before = [
                when
                for when, heard in self.heard
                if "op" not in heard and heard["symbol_id"] == symbol_id
            ]
            if any(when > max(before, default=0) for when, _ in self._outages()):
                note.flags |= NoteFlag.AFTER_OUTAGE
            self.heard.append((at, message))
        if kind == SlotKind.TRADE:
            self._trade(day, told, second)
            rows = [("stats", self._head(message, note, 0) | stats_row(day))]
            if note.event in TOLD_EVENTS:
                rows.append(("trade", self._trade_row(message, note)))
            return rows
        if kind == SlotKind.REFERENCE and limits_of(day) != limits_before:
            return [("stats", self._head(message, note, 0) | stats_row(day))]
        if kind == SlotKind.QUOTE:
            return self._book(day, message, note)
        return []

    def _outages(self) -> list[tuple[int, GapCause]]:
        """Every outage so far: where it stood in the stream, and why."""
        found = []
        here = False
        for at, message in self.heard:
            op = message.get("op")
            if op is None:
                here = True
            elif op == ControlOp.LOST:
                found.append((at, GapCause.LOST))
            elif op == ControlOp.FEED_STATE:
                state = message["arg0"]
                if here and state in {FeedState.DOWN, FeedState.CONNECTING}:
                    found.append((at, GapCause.OUTAGE))
                    here = False
                here = here or state in {FeedState.LIVE, FeedState.STALE}
        return found

    def _board_halted(self, venue: Venue, date: int) -> bool:
        """Ask the newest date's words for the venue's board: the last one that says anything."""
        words = [
            ((get(m, "exch_s") + 7 * 3600) // 86_400, get(m, "arg0"), FeedSession(get(m, "arg1")))
            for _, m in self.heard
            if m.get("op") == ControlOp.BOARD
        ]
        if max((when for when, _, _ in words), default=None) != date:
            return False
        said = [
            word
            for when, board, word in words
            if (when, board) == (date, venue) and word not in {FeedSession.NONE, FeedSession.OTHER}
        ]
        return said[-1:] == [FeedSession.HALT]

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

    def _trade(self, day: Day, told: Told, second: int) -> None:
        message, note = told.message, told.note
        earlier = day.of(SlotKind.TRADE)[:-1]
        total, size = told.total, get(message, "last_volume_shares")
        before = current_total(earlier)
        growth = total - before
        unit = get(message, "last_price_e2") * self._multiplier(message)

        def can_be_told(volume: int) -> bool:
            return volume > 0 and unit > 0 and unit * volume <= 9 * 10**18

        note.event = event_of(earlier, told, size, can_be_told(size))
        if note.event is None:
            matches = can_be_told(min(size, growth)) and (earlier or total == size)
            note.event = TradeEvent.MATCH if matches else TradeEvent.BASELINE
        told.past = note.event == TradeEvent.LATE or (
            note.event == TradeEvent.REPEAT and growth != 0
        )
        if note.event in TOLD_EVENTS:
            note.volume_shares = size if told.past else min(size, growth)
            note.value_vnd = unit * note.volume_shares // 100
            note.phase = self._phase_of_match(earlier, message, day.date, second)
            self._side(day, earlier, message, note)
        note.missed_volume_shares = (0 if told.past else growth) - note.volume_shares
        if note.missed_volume_shares > 0:
            note.cause = self._cause(earlier, note)

    def _cause(self, earlier: list[Told], note: Note) -> GapCause:
        if not earlier:
            return GapCause.BASELINE
        last = max(told.at for told in earlier if not told.past)
        since = [cause for at, cause in self._outages() if at > last]
        if since:
            return since[-1]
        return GapCause.SKIPPED if note.event == TradeEvent.MATCH else GapCause.UNTOLD

    @staticmethod
    def _phase_of_match(earlier: list[Told], message: Message, date: int, second: int) -> Phase:
        venue = Venue(message["venue"])
        ended = grace_phase_at(venue, date, second)
        prints = [
            told.message["last_price_e2"]
            for told in earlier
            if told.note.event in TOLD_EVENTS and told.note.phase == ended
        ]
        return match_phase(
            venue,
            date,
            second,
            FeedSession(get(message, "session")),
            message["last_price_e2"],
            prints[0] if prints else 0,
        )

    def _side(self, day: Day, earlier: list[Told], message: Message, note: Note) -> None:
        price = message["last_price_e2"]
        away = max((at for at, _ in self._outages()), default=0)
        late = note.event == TradeEvent.LATE
        said = {
            "EXCHANGE": Side(get(message, "side")),
            "QUOTE": Side.UNKNOWN,
            "TICK": Side.UNKNOWN if late else tick([t for t in earlier if t.at > away], price),
        }
        if said["EXCHANGE"] == Side.NEUTRAL:
            said["EXCHANGE"] = Side.UNKNOWN
        books = [told for told in day.of(SlotKind.QUOTE) if told.at > away and not late]
        if books:
            (bid, bid_volume), (ask, ask_volume) = (
                level(books[-1].message, side, 0) for side in ("bid", "ask")
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
        flags = DeltaFlag.MISSED_BEFORE if note.missed_volume_shares > 0 else DeltaFlag.NONE
        if note.flags & NoteFlag.DISAGREE:
            flags |= DeltaFlag.DISAGREE
        if note.flags & NoteFlag.AFTER_OUTAGE:
            flags |= DeltaFlag.AFTER_OUTAGE
        if note.event == TradeEvent.LATE:
            flags |= DeltaFlag.LATE
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
    for message in (told.message for told in day.told):
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


def current_total(earlier: list[Told]) -> int:
    """Cumulative volume after these messages: what the last one that moved it says."""
    return next((told.total for told in reversed(earlier) if told.note.event in MOVING_EVENTS), 0)


def event_of(earlier: list[Told], told: Told, size: int, can_be_told: bool) -> TradeEvent | None:
    """What a trade message is; None when it makes the total grow."""
    before = current_total(earlier)
    newest = max((other.exch_s for other in earlier), default=0)
    counted = [
        (other.total, other.exch_s)
        for other in earlier
        if other.note.event in MOVING_EVENTS | {TradeEvent.LATE}
    ]
    seen = told.total > 0 and (told.total, told.exch_s) in counted[-8:]
    if told.total == before:
        return TradeEvent.REPEAT if told.total else TradeEvent.NONE
    if told.total > before:
        corrections = [
            (current_total(earlier[:index]), other.exch_s)
            for index, other in enumerate(earlier)
            if other.note.event == TradeEvent.CORRECTION
        ]
        retracted = max((total for total, _ in corrections), default=0)
        if told.total <= retracted and (seen or told.exch_s < corrections[-1][1]):
            return TradeEvent.REPEAT
        return None
    if seen:
        return TradeEvent.REPEAT
    lies_in = [
        stamp
        for start, end, stamp in holes(earlier)
        if start <= told.total - size and told.total <= end
    ]
    if can_be_told and lies_in and told.exch_s <= lies_in[0]:
        return TradeEvent.LATE
    return TradeEvent.REPEAT if told.exch_s <= newest else TradeEvent.CORRECTION


def holes(earlier: list[Told]) -> list[Range]:
    """Shares of the day that were counted and never told: at most four ranges, oldest first."""
    found: list[Range] = []
    before = newest = 0
    for told in earlier:
        newest = max(newest, told.exch_s)
        note = told.note
        if note.event == TradeEvent.LATE:
            start = told.total - note.volume_shares
            found = without(found, start, told.total)
            continue
        if note.event not in MOVING_EVENTS:
            continue
        if note.missed_volume_shares > 0:
            found = [*found, (before, before + note.missed_volume_shares, newest)][-4:]
        before = told.total
        found = [(start, min(end, before), at) for start, end, at in found if start < before]
    return found


def without(found: list[Range], start: int, end: int) -> list[Range]:
    """Take [start, end) out of the range around it; of two pieces too many the larger stays."""
    around = next(one for one in found if one[0] <= start and end <= one[1])
    pieces = [(around[0], start, around[2]), (end, around[1], around[2])]
    pieces = [piece for piece in pieces if piece[0] < piece[1]]
    if len(found) - 1 + len(pieces) > 4:
        pieces = [max(pieces, key=lambda piece: (piece[1] - piece[0], piece[0]))]
    return sorted([one for one in found if one != around] + pieces)


def tick(earlier: list[Told], price: int) -> Side:
    """Compare with the last different price since volume was last seen without a match."""
    prices: list[int] = []
    for told in earlier:
        if told.note.event in {TradeEvent.BASELINE, TradeEvent.CORRECTION}:
            prices = [get(told.message, "last_price_e2")]
        elif told.note.event == TradeEvent.MATCH:
            prices.append(told.message["last_price_e2"])
    for last in reversed(prices):
        if last > 0 and last != price:
            return Side.BUY if price > last else Side.SELL
    return Side.UNKNOWN


def limits_of(day: Day) -> dict[str, int]:
    """Limits of the day: of each the last positive one that a current message told."""
    told = [one.message for one in day.of(SlotKind.TRADE, SlotKind.REFERENCE) if not one.past]
    limits = {}
    for name in LIMITS:
        values = [get(message, f"{name}_price_e2") for message in told]
        limits[f"{name}_price_e2"] = next((v for v in reversed(values) if v > 0), 0)
    return limits


def stats_row(day: Day) -> dict[str, Any]:
    """Tell the day so far from its whole history."""
    told = day.of(SlotKind.TRADE)
    now = [one for one in told if not one.past]
    notes = [one.note for one in told]
    matches = [one for one in told if one.note.event in TOLD_EVENTS]
    told_by = [one.note for one in matches]
    row: dict[str, Any] = {
        "trade_day": day.date,
        "estimated_price_e2": get(now[-1].message, "estimated_price_e2") if now else 0,
        "total_volume_shares": current_total(told),
        "total_value_vnd": get(now[-1].message, "total_value_vnd") if now else 0,
        "trade_count": len(matches),
        "repeat_count": sum(note.event == TradeEvent.REPEAT for note in notes),
        "correction_count": sum(note.event == TradeEvent.CORRECTION for note in notes),
        "volume_shares": sum(note.volume_shares for note in told_by),
        "value_vnd": sum(note.value_vnd for note in told_by),
        "missed_volume_shares": sum(note.missed_volume_shares for note in notes),
        "largest_trade_shares": max((note.volume_shares for note in told_by), default=0),
        "flags": (
            DeltaFlag.BASELINE * any(note.event == TradeEvent.BASELINE for note in notes)
            | DeltaFlag.CORRECTED * any(note.event == TradeEvent.CORRECTION for note in notes)
        ),
    }
    values = [get(one.message, "prior_close_price_e2") for one in now]
    row["prior_close_price_e2"] = next((value for value in reversed(values) if value > 0), 0)
    for name, number in (
        ("volume_shares", "volume_shares"),
        ("value_vnd", "value_vnd"),
        ("count", None),
    ):
        row[f"phase_side_{name}"] = [
            [
                sum(
                    getattr(note, number) if number else 1
                    for note in told_by
                    if (note.phase, note.side) == (phase, side)
                )
                for side in Side
            ]
            for phase in Phase
        ]
    row["phase_disagree_count"] = [
        sum(bool(note.flags & NoteFlag.DISAGREE) for note in told_by if note.phase == phase)
        for phase in Phase
    ]
    return row | limits_of(day) | prices_of_day(told) | times_of_day(matches)


def times_of_day(matches: list[Told]) -> dict[str, int]:
    """First and last trade: as they came, but a late one may lie before or behind both."""
    first = last = 0
    for number, told in enumerate(matches):
        late = told.note.event == TradeEvent.LATE
        if number == 0 or (late and told.exch_s < first):
            first = told.exch_s
        last = max(last, told.exch_s) if late else told.exch_s
    return {"first_trade_exch_s": first, "last_trade_exch_s": last}


def prices_of_day(told: list[Told]) -> dict[str, int]:
    """Open, high, low and last after everything that was told."""
    opening = high = low = last = before = 0
    opening_known = False
    for one in told:
        message, note = one.message, one.note
        price, total = get(message, "last_price_e2"), one.total
        the_high, the_low, the_open = (
            get(message, f"{name}_price_e2") for name in ("high", "low", "open")
        )
        if one.past:
            the_high = the_low = the_open = 0
        seen = [price] if note.event in TOLD_EVENTS else []
        if note.event == TradeEvent.MATCH:
            last = price
            if before == 0 and note.missed_volume_shares == 0:
                opening, opening_known = price, True
        elif note.event == TradeEvent.LATE:
            if total == note.volume_shares and not opening_known:
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
        if not one.past:
            before = total
    return {
        "open_price_e2": opening,
        "high_price_e2": high,
        "low_price_e2": low,
        "last_price_e2": last,
    }
