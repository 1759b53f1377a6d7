"""The naive twin of basis and basis.trend: the whole history kept, every question asked of it anew.

Written from market-behaviour section 8 and the rules in the docstrings of ``engine.trackers``
{contracts, leaders, basis, basis_trend}. Plain dicts, no kernel. It follows as many contracts as
there are; tests of the limit are elsewhere.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.market.sessions import phase_at
from engine.schema.codes import (
    BasisState,
    ContractFlag,
    DeltaFlag,
    Instrument,
    NoteFlag,
    Phase,
    SlotKind,
    TradeEvent,
    Underlying,
    Venue,
)
from engine.schema.deltas import SERIES_MINUTES

Message = dict[str, Any]
Row = dict[str, Any]
HEAD = ("seq", "recv_ns", "exch_s", "symbol_id", "updates", "phase", "venue", "flags")
NO_NEWS = {*HEAD, "bid_price_e2", "ask_price_e2"}
SPOTS = {b"VN30": Underlying.VN30, b"VN100": Underlying.VN100}
MOVING = {TradeEvent.MATCH, TradeEvent.BASELINE, TradeEvent.CORRECTION}


def get(message: Message, name: str) -> int:
    """Return a number of a message; absent is 0."""
    return int(message.get(name, 0))


def day_of(message: Message) -> int:
    """Return the trading date of a message."""
    return (get(message, "exch_s") + ICT_OFFSET_S) // DAY_S


@dataclass
class Heard:
    """A slot that was about a contract or an index when it came."""

    at: int
    message: Message
    note: SimpleNamespace
    underlying: Underlying  # of the contract, or whose spot it is

    @property
    def who(self) -> int:
        """The symbol's id."""
        return get(self.message, "symbol_id")

    @property
    def kind(self) -> int:
        """SlotKind."""
        return get(self.message, "kind")

    @property
    def moves(self) -> bool:
        """Whether it is a trade message that speaks of now."""
        return self.kind == SlotKind.TRADE and self.note.event in MOVING

    @property
    def is_spot(self) -> bool:
        """Whether it is an index value of today's trading."""
        if self.kind != SlotKind.INDEX or get(self.message, "value_e2") <= 0:
            return False
        opened = get(self.message, "matched_volume_shares") > 0
        return opened or self.note.phase not in (Phase.PRE, Phase.ATO)


class NaiveBasis:
    """Takes groups of messages with their notes; gives rows of both channels."""

    def __init__(self) -> None:
        self.history: list[tuple[Message, SimpleNamespace]] = []
        self.shown: list[tuple[int, Row]] = []  # every basis row, and after which slot it came
        self.trends: list[Row] = []

    def feed(
        self, messages: list[Message], notes: list[SimpleNamespace]
    ) -> tuple[list[Row], list[Row]]:
        """Take one group; return its rows of ``basis`` and of ``basis.trend``."""
        rows: dict[int, Row] = {}
        trend_rows: dict[int, Row] = {}
        for message, note in zip(messages, notes, strict=True):
            self.history.append((message, note))
            for row in self._basis_rows():
                merge(rows, row, self._last_shown(row["symbol_id"]))
                self.shown.append((len(self.history) - 1, rows[row["symbol_id"]]))
            for row in self._trend_rows():
                before = [each for each in self.trends if each["symbol_id"] == row["symbol_id"]]
                merge(trend_rows, row, before[-1] if before else None)
                self.trends.append(trend_rows[row["symbol_id"]])
        return list(rows.values()), list(trend_rows.values())

    # Who is who ----------------------------------------------------------------------------------

    def introductions(self, end: int) -> tuple[dict[int, Row], dict[int, Underlying]]:
        """Return the contracts by id, in the order they came, and whose spot each index is."""
        contracts: dict[int, Row] = {}
        spots: dict[Underlying, int] = {}
        for message, _ in self.history[:end]:
            who = get(message, "symbol_id")
            if message["kind"] != SlotKind.SYMBOL:
                continue
            if message["instrument"] == Instrument.INDEX:
                if message["code"] in SPOTS:
                    spots[SPOTS[message["code"]]] = who
            elif message["instrument"] == Instrument.FUTURE and get(message, "underlying") in (
                Underlying.VN30,
                Underlying.VN100,
            ):
                contracts[who] = {
                    "underlying": Underlying(message["underlying"]),
                    "expiry_day": get(message, "expiry_day"),
                }
            elif who in contracts:
                contracts[who]["underlying"] = Underlying.NONE
        return contracts, {who: underlying for underlying, who in spots.items()}

    def heard(self) -> list[Heard]:
        """Return what contracts and their indices have told, whatever the day."""
        found = []
        for at, (message, note) in enumerate(self.history):
            if note.flags & NoteFlag.STALE_DAY:
                continue
            contracts, spots = self.introductions(at)
            who, kind = get(message, "symbol_id"), message["kind"]
            underlying = Underlying.NONE
            if kind == SlotKind.INDEX:
                underlying = spots.get(who, Underlying.NONE)
            elif kind in (SlotKind.TRADE, SlotKind.QUOTE) and who in contracts:
                underlying = contracts[who]["underlying"]
            if underlying != Underlying.NONE:
                found.append(Heard(at, message, note, underlying))
        return found

    def today(self) -> list[Heard]:
        """Return the TRADE and INDEX slots of the newest trading date."""
        told = [each for each in self.heard() if each.kind != SlotKind.QUOTE]
        newest = max((day_of(each.message) for each in told), default=0)
        return [each for each in told if day_of(each.message) == newest]

    # Basis ---------------------------------------------------------------------------------------

    def _last_shown(self, who: int) -> Row | None:
        rows = [row for _, row in self.shown if row["symbol_id"] == who]
        return rows[-1] if rows else None

    def _basis_rows(self) -> list[Row]:
        """Return the rows that the newest slot gives, without seq and updates."""
        now = len(self.history) - 1
        today = self.today()
        if not today or today[-1].at != now:
            return []
        last = today[-1]
        contracts, _ = self.introductions(now)
        if len(today) == 1:
            asked = set(contracts)
        elif last.kind == SlotKind.TRADE:
            asked = {last.who}
        else:
            asked = {who for who, _ in self._readings(today, now)}
        if not asked:
            return []
        rows = []
        for who, contract in contracts.items():
            if contract["underlying"] == Underlying.NONE:
                continue
            row = self._row(who, contracts, today)
            before = self._last_shown(who)
            flags_before = before["contract_flags"] if before else 0
            if who not in asked and row["contract_flags"] == flags_before:
                continue
            if before is None or any(row[name] != before[name] for name in row.keys() - NO_NEWS):
                rows.append(row)
        return rows

    def _row(self, who: int, contracts: dict[int, Row], today: list[Heard]) -> Row:
        underlying = contracts[who]["underlying"]
        price, price_at = price_of(who, today)
        spot, spot_at = spot_of(underlying, today)
        known = price > 0 and spot > 0
        basis = price - spot if known else 0
        state = (BasisState.PAR, BasisState.PREMIUM, BasisState.DISCOUNT)[(basis > 0) - (basis < 0)]
        own = [each for each in today if each.who == who and each.kind == SlotKind.TRADE]
        references = [get(each.message, "reference_price_e2") for each in own]
        quotes = [each for each in self.heard() if each.who == who and each.kind == SlotKind.QUOTE]
        day = day_of(today[0].message)
        book = quotes[-1].message if quotes and day_of(quotes[-1].message) == day else None
        return self._head(who, today, own, quotes) | {
            "price_e2": price,
            "spot_value_e2": spot,
            "basis_e2": basis,
            "reference_price_e2": ([0] + [price for price in references if price > 0])[-1],
            "bid_price_e2": book["bid_price_e2"][0] if book else 0,
            "ask_price_e2": book["ask_price_e2"][0] if book else 0,
            "price_exch_s": price_at,
            "spot_exch_s": spot_at,
            "expiry_day": contracts[who]["expiry_day"],
            "trade_day": day,
            "total_volume_shares": volume_of(who, today),
            "underlying": underlying,
            "basis_state": state if known else BasisState.NONE,
            "contract_flags": flags_of(who, contracts, today, day),
        }

    def _head(self, who: int, today: list[Heard], own: list[Heard], quotes: list[Heard]) -> Row:
        last = today[-1]
        flags = 0
        if any(each.note.event == TradeEvent.BASELINE for each in own):
            flags |= DeltaFlag.BASELINE
        if any(each.note.event == TradeEvent.CORRECTION for each in own):
            flags |= DeltaFlag.CORRECTED
        since = max([at for at, row in self.shown if row["symbol_id"] == who], default=-1)
        silent = [each for each in own + quotes if each.at > since and each.at >= today[0].at]
        if any(each.note.flags & NoteFlag.AFTER_OUTAGE for each in silent):
            flags |= DeltaFlag.AFTER_OUTAGE
        return {
            "recv_ns": get(last.message, "recv_ns"),
            "exch_s": get(last.message, "exch_s"),
            "symbol_id": who,
            "phase": self._phase(who, today),
            "venue": self._venue(who),
            "flags": flags,
        }

    def _venue(self, who: int) -> int:
        """Return the venue that a contract's introduction or its last accepted match told."""
        venue, newest = 0, 0
        heard = {each.at: each for each in self.heard() if each.kind != SlotKind.QUOTE}
        for at, (message, _) in enumerate(self.history):
            if get(message, "symbol_id") == who and message["kind"] == SlotKind.SYMBOL:
                if self.introductions(at + 1)[0].get(who, {}).get("underlying"):
                    venue = get(message, "venue")
            elif at in heard:
                newest = max(newest, day_of(message))
                if get(message, "symbol_id") == who and day_of(message) == newest:
                    venue = get(message, "venue")
        return venue

    def _phase(self, who: int, today: list[Heard]) -> int:
        last = today[-1]
        if last.who == who:
            return int(last.note.phase)
        own = [each for each in today if each.who == who and each.kind == SlotKind.TRADE]
        if own and own[-1].note.phase == Phase.HALT:
            return Phase.HALT
        second = (get(last.message, "exch_s") + ICT_OFFSET_S) % DAY_S
        return phase_at(Venue(self._venue(who)), day_of(last.message), second)

    # Trend ---------------------------------------------------------------------------------------

    def _readings(self, today: list[Heard], at: int) -> list[tuple[int, Underlying]]:
        """Return the contracts that have a price and were told price or spot by slot `at`."""
        until = [each for each in today if each.at <= at]
        last = until[-1]
        if last.kind == SlotKind.TRADE:
            told = last.moves and get(last.message, "last_price_e2") > 0
            return [(last.who, last.underlying)] if told else []
        if not last.is_spot:
            return []
        contracts, _ = self.introductions(at)
        return [
            (who, contract["underlying"])
            for who, contract in contracts.items()
            if contract["underlying"] == last.underlying and price_of(who, until)[0] > 0
        ]

    def _series(self, who: int, today: list[Heard]) -> list[tuple[int, int, int]]:
        """Return (minute, basis, spot) of every minute of today that had a basis."""
        minutes: list[tuple[int, int, int]] = []
        for each in today:
            found = dict(self._readings(today, each.at))
            until = [other for other in today if other.at <= each.at]
            spot = spot_of(found[who], until)[0] if who in found else 0
            idle = each.kind == SlotKind.INDEX and each.note.phase in (Phase.BREAK, Phase.CLOSED)
            if spot == 0 or (idle and minutes and spot == minutes[-1][2]):
                continue
            stamp = get(each.message, "exch_s")
            entry = (stamp - stamp % 60, price_of(who, until)[0] - spot, spot)
            if minutes and entry[0] <= minutes[-1][0]:
                minutes[-1] = (minutes[-1][0], *entry[1:])
            elif len(minutes) < SERIES_MINUTES:
                minutes.append(entry)
        return minutes

    def _trend_rows(self) -> list[Row]:
        now = len(self.history) - 1
        today = self.today()
        if not today or today[-1].at != now:
            return []
        rows = []
        asked = {who for who, _ in self._readings(today, now)}
        for who in self.introductions(now)[0]:
            series = self._series(who, today)
            if who not in asked or not series:
                continue
            padded = series + [(0, 0, 0)] * (SERIES_MINUTES - len(series))
            picture = {
                "trade_day": day_of(today[0].message),
                "series_count": len(series),
                "series_exch_s": [minute for minute, _, _ in padded],
                "series_basis_e2": [basis for _, basis, _ in padded],
                "series_spot_value_e2": [spot for _, _, spot in padded],
            }
            shown = next((row for row in reversed(self.trends) if row["symbol_id"] == who), None)
            if shown is not None and picture.items() <= shown.items():
                continue
            over = get(today[-1].message, "exch_s") >= series[-1][0] + 60
            same_day = shown is not None and shown["trade_day"] == picture["trade_day"]
            if over or not same_day or len(series) > shown["series_count"]:
                rows.append(self._head(who, today, [], []) | picture | {"flags": 0})
        return rows


def price_of(who: int, today: list[Heard]) -> tuple[int, int]:
    """Return a contract's last price of today and its stamp, zeros without one."""
    told = [
        (get(each.message, "last_price_e2"), get(each.message, "exch_s"))
        for each in today
        if each.who == who and each.moves and get(each.message, "last_price_e2") > 0
    ]
    return told[-1] if told else (0, 0)


def volume_of(who: int, today: list[Heard]) -> int:
    """Return a contract's volume of today, as the exchange counts it."""
    told = [get(e.message, "total_volume_shares") for e in today if e.who == who and e.moves]
    return told[-1] if told else 0


def spot_of(underlying: Underlying, today: list[Heard]) -> tuple[int, int]:
    """Return the index value of today and its stamp, zeros without one."""
    told = [
        (get(each.message, "value_e2"), get(each.message, "exch_s"))
        for each in today
        if each.underlying == underlying and each.is_spot
    ]
    return told[-1] if told else (0, 0)


def flags_of(who: int, contracts: dict[int, Row], today: list[Heard], day: int) -> int:
    """Return ContractFlag of a contract among those of its underlying."""
    rivals = [
        each
        for each, contract in contracts.items()
        if contract["underlying"] == contracts[who]["underlying"]
    ]
    alive = [each for each in rivals if contracts[each]["expiry_day"] >= day]
    active = [each for each in rivals if volume_of(each, today) > 0]
    flags = 0
    if alive and who == min(alive, key=lambda each: contracts[each]["expiry_day"]):
        flags |= ContractFlag.FRONT
    if active and who == min(
        active,
        key=lambda each: (
            -volume_of(each, today),
            contracts[each]["expiry_day"] or float("inf"),
        ),
    ):
        flags |= ContractFlag.MOST_ACTIVE
    return flags


def merge(rows: dict[int, Row], row: Row, before: Row | None) -> None:
    """Put a row into its group: over the one of this group, or after the one `before`."""
    who = row["symbol_id"]
    if who in rows:
        rows[who].update(row | {"updates": rows[who]["updates"] + 1})
    else:
        rows[who] = row | {"seq": before["seq"] + 1 if before else 1, "updates": 1}
