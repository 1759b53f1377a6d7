"""A tiny interpreter for the stories in tests/tables/ledger_*.txt, told to the whole fold.

Lines:

    symbol FPT HOSE                   a symbol of the story; the first one is meant where none is
                                      named, another by ``@SHS`` before what happens
    day 2021-07-15                    trading date of the lines below
    09:15:10  trade 88000 100 900     price, size of the match, cumulative volume; - is absent
    09:16:10  bar 1 1200 87900-88100  REST tells a minute of gap 1: volume, low and high; with
                                      `more` at the end it is not the last one
    09:20:00  feed DOWN why not       the connection's state, and the reason
    09:20:00  lost 12                 our own backlog dropped frames
    08:00:00  facts ceiling=94000     REST or v3 tells about the symbol
    08:30:00  status                  a message without numbers
    #                                 for the reader

Right of a first ``|`` stands what clients are shown, all of it: rows separated by ``;``, ``-`` for
none. Right of a second one, if there is one, the day's missed volume as the symbol's last gap row
has it. Times are the exchange's stamps; things happen in the order of the lines.
"""

from pathlib import Path
from typing import Any

from engine.clock import iso_ict
from engine.market.venues import Venue
from engine.schema.codes import (
    ControlOp,
    FeedState,
    GapCause,
    GapOutcome,
    GapState,
    IndexMember,
    Instrument,
    SlotKind,
)
from engine.shard.fold import Fold
from engine.shard.stats import check_invariants
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.shard.table import e2

FEED_ID = 7
PRICES = {
    "ceiling": "ceiling_price_e2",
    "floor": "floor_price_e2",
    "reference": "reference_price_e2",
}
NUMBERS = {"lot": "lot_shares", "listed": "listed_shares"}
TEXTS = {"type": "security_type", "name": "name"}
NS = 10**9


def clock(stamp: int) -> str:
    """Return the ICT time of day."""
    return iso_ict(stamp)[11:19]


class LedgerTable:
    """One story being told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fold = Fold(8, 16)
        self.ids: dict[str, int] = {}
        self.venues: dict[int, Venue] = {}
        self.day = ""
        self.now_ns = 0
        self.where = ""
        self.checked = 0

    def play(self) -> int:
        """Run every line; return how many were checked."""
        self._introduce("FEED", Venue.UNKNOWN, FEED_ID, Instrument.FEED)
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            self.where = f"{self.path.name}:{number}: {line.strip()}"
            text = line.split("#", 1)[0].strip()
            if text:
                self._line(text)
        assert check_invariants(self.fold.latest["stats"]) == [], self.path.name
        return self.checked

    def _line(self, text: str) -> None:
        given, *expected = (part.strip() for part in text.split("|"))
        words = given.split()
        if words[0] == "symbol":
            self._introduce(words[1], Venue[words[2]], len(self.ids) + 1, Instrument.STOCK)
        elif words[0] == "day":
            self.day = words[1]
        else:
            self._event(words, expected)

    def _introduce(self, name: str, venue: Venue, symbol_id: int, instrument: Instrument) -> None:
        if instrument != Instrument.FEED:
            self.ids[name] = symbol_id
        self.venues[symbol_id] = venue
        message = {
            "kind": SlotKind.SYMBOL,
            "symbol_id": symbol_id,
            "venue": venue,
            "code": name.encode(),
            "instrument": instrument,
            "value_multiplier": 1,
        }
        fold_groups(self.fold, [[message]])

    def _event(self, words: list[str], expected: list[str]) -> None:
        time, *words = words
        name = words.pop(0)[1:] if words[0].startswith("@") else next(iter(self.ids))
        symbol_id = self.ids[name]
        stamp = exch_s(self.day, time)
        self.now_ns = max(self.now_ns + 1, stamp * NS)
        message = {
            "symbol_id": symbol_id,
            "venue": self.venues[symbol_id],
            "exch_s": stamp,
            "recv_ns": self.now_ns,
        } | getattr(self, f"_{words[0]}")(*words[1:])
        _, emitted = fold_groups(self.fold, [[message]])
        shown = [
            say(row)
            for channel, say in (
                ("feed", self._say_feed),
                ("gaps", self._say_gap),
                ("reference", self._say_facts),
            )
            for row in emitted.get(channel, [])
        ]
        self.checked += 1
        wanted = [] if expected[0] == "-" else [part.strip() for part in expected[0].split(";")]
        assert shown == wanted, f"shown: {'; '.join(shown) or '-'}\n{self.where}"
        if len(expected) > 1:
            row = self.fold.latest["gaps"][symbol_id]
            missed = int(row["day_missed_volume_shares"])
            assert missed == int(expected[1]), f"the day misses {missed}\n{self.where}"
            told = int(self.fold.latest["stats"][symbol_id]["missed_volume_shares"])
            assert missed == told, f"stats says {told}\n{self.where}"

    # What happens -----------------------------------------------------------------------------

    @staticmethod
    def _trade(price: str, size: str, total: str) -> Message:
        return {
            "kind": SlotKind.TRADE,
            "last_price_e2": e2(price) if price != "-" else 0,
            "last_volume_shares": int(size) if size != "-" else 0,
            "total_volume_shares": int(total),
        }

    @staticmethod
    def _bar(gap_no: str, volume: str, prices: str = "0-0", more: str = "") -> Message:
        low, high = prices.split("-")
        return {
            "kind": SlotKind.BACKFILL,
            "gap_no": int(gap_no),
            "volume_shares": int(volume),
            "low_price_e2": e2(low),
            "high_price_e2": e2(high),
            "bars_left": int(more == "more"),
        }

    @staticmethod
    def _feed(state: str, *why: str) -> Message:
        return {
            "kind": SlotKind.CONTROL,
            "symbol_id": FEED_ID,
            "op": ControlOp.FEED_STATE,
            "arg0": FeedState[state],
            "detail": " ".join(why).encode(),
        }

    @staticmethod
    def _lost(frames: str) -> Message:
        return {
            "kind": SlotKind.CONTROL,
            "symbol_id": FEED_ID,
            "op": ControlOp.LOST,
            "arg0": int(frames),
        }

    @staticmethod
    def _status() -> Message:
        return {"kind": SlotKind.STATUS}

    @staticmethod
    def _facts(*words: str) -> Message:
        told = dict(word.split("=") for word in words)
        fields: Message = {"kind": SlotKind.REFERENCE}
        for name, value in told.items():
            if name in PRICES:
                fields[PRICES[name]] = e2(value)
            elif name in NUMBERS:
                fields[NUMBERS[name]] = int(value)
            elif name == "baskets":
                fields["indices"] = sum(IndexMember[basket] for basket in value.split("+"))
            else:
                fields[TEXTS[name]] = value.encode()
        return fields

    # What is shown ----------------------------------------------------------------------------

    @staticmethod
    def _say_gap(row: dict[str, Any]) -> str:
        name, left = f"gap {row['gap_no']}", row["open_volume_shares"]
        outcome = GapOutcome(row["gap_outcome"]).name
        if row["gap_no"] == 0:
            return f"{name} {outcome} {left}"
        if row["gap_state"] == GapState.CLOSED:
            bars = (
                f", {row['bar_count']} bars of {row['bar_volume_shares']} at "
                f"{row['bar_low_price_e2'] / 100:g}-{row['bar_high_price_e2'] / 100:g}"
                if row["bar_count"]
                else ""
            )
            return f"{name} {outcome}" + (f", {left} left" if left else "") + bars
        if left == row["missed_volume_shares"]:
            since = clock(row["from_exch_s"]) if row["from_exch_s"] else "the open"
            return f"{name} opens: {left} {GapCause(row['gap_cause']).name} since {since}"
        return f"{name} shrinks to {left}"

    @staticmethod
    def _say_feed(row: dict[str, Any]) -> str:
        words = [f"feed {FeedState(row['feed_state']).name}"]
        if row["detail"]:
            words.append(f"({row['detail'].decode()})")
        if row["outage_count"]:
            lasted = row["outage_to_ns"] - row["outage_from_ns"]
            length = f"{lasted / NS:g} s" if row["outage_to_ns"] else "lasts"
            words.append(f"outage {row['outage_count']}: {length}")
        if row["lost_frames"]:
            words.append(f"{row['lost_frames']} frames lost")
        return " ".join(words)

    @staticmethod
    def _say_facts(row: dict[str, Any]) -> str:
        words = [f"{name}={row[field] / 100:g}" for name, field in PRICES.items() if row[field]]
        words += [f"{name}={row[field]}" for name, field in NUMBERS.items() if row[field]]
        if row["indices"]:
            words.append("baskets=" + "+".join(b.name or "" for b in IndexMember(row["indices"])))
        words += [f"{name}={row[field].decode()}" for name, field in TEXTS.items() if row[field]]
        return " ".join(["facts", *words])
