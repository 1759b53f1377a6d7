"""A tiny interpreter for the stories of limits, auctions, deals, odd lots and trading states.

Lines of tests/tables/limits_*.txt, auction_*.txt, apart_*.txt and status_*.txt:

    symbol FPT HOSE [multiplier]      a symbol of the story; the first one is meant where none is
                                      named, another by ``@SHS`` before what happens
    day 2021-07-15                    trading date of the lines below
    limits 94600 82400                ceiling and floor that every trade below tells; 0 0: none
    09:15:10  trade 94600 100 900     price, size of the match, cumulative volume; - is absent; at
                                      the end ``est=94000``, the exchange's estimate
    09:15:10  book 94600x500,94500x200 / -    bids and asks, best first; price ATO is an order
                                      without a price
    09:15:10  facts 94600 82400       ceiling and floor by REST
    09:15:10  halt | resume           the exchange stops and starts the symbol again
    09:20:00  feed DOWN               the connection's state
    10:00:00  deal 94000 20000 60000  a put-through deal: price, volume, the exchange's total
    10:00:00  odd 94000 60 800 94000x7 / -    odd lots: last price, its volume, total, book
    10:00:00  says F LO N LO          session, status and odd-lot session words of a message without
                                      a match: F, XT (X-TRADE), XQ (X-QUOTE) or MI
    10:00:00  board HOSE HALT         session word for a whole board
    #                                 for the reader

Right of ``|`` stands what subscribers of the story's channels are shown, all of it: rows separated
by ``;``, ``-`` for none.
"""

from pathlib import Path
from typing import Any

from engine.clock import iso_ict
from engine.market.venues import Venue
from engine.schema.codes import (
    ControlOp,
    DeltaFlag,
    FeedSession,
    FeedState,
    Instrument,
    LimitEvent,
    LimitState,
    Phase,
    SlotKind,
    TradingStatus,
)
from engine.shard.fold import Fold
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.shard.table import KINDS as MESSAGES
from tests.shard.table import STATUS_WORDS, e2
from tests.trackers.symbol_day import STAGES

CHANNELS = {
    "limits": ("limits",),
    "auction": ("auction",),
    "apart": ("put_through", "odd_lot"),
    "status": ("status",),
}
STATUSES = STATUS_WORDS | {"-": TradingStatus.NONE, "?": TradingStatus.OTHER}
TABLES = Path(__file__).parents[1] / "tables"


def tables(name: str) -> list[Path]:
    """Return the stories of one kind."""
    return sorted(TABLES.glob(f"{name}_*.txt"))


def side(text: str, depth: int) -> tuple[list[int], list[int]]:
    """Return prices and volumes of ``94600x500,94500x200``; ``-`` is nobody."""
    pairs = [level.split("x") for level in text.split(",")] if text != "-" else []
    prices = [0 if price == "ATO" else e2(price) for price, _ in pairs]
    volumes = [int(volume) for _, volume in pairs]
    rest = [0] * (depth - len(pairs))
    return prices + rest, volumes + rest


def book(words: tuple[str, ...], depth: int) -> Message:
    """Return the levels of ``bids / asks``."""
    bids, _, asks = words
    bid_prices, bid_volumes = side(bids, depth)
    ask_prices, ask_volumes = side(asks, depth)
    return {
        "bid_price_e2": bid_prices,
        "bid_volume_shares": bid_volumes,
        "ask_price_e2": ask_prices,
        "ask_volume_shares": ask_volumes,
    }


def number(text: str) -> int:
    """Return a volume; ``-`` is absent."""
    return 0 if text == "-" else int(text)


def price(text: str) -> int:
    """Return a price in hundredths; ``-`` is absent."""
    return 0 if text == "-" else e2(text)


def session_of(text: str) -> FeedSession:
    """Return a session word; ``-`` is absent, ``?`` a word nobody has documented."""
    return FeedSession[{"-": "NONE", "?": "OTHER"}.get(text, text)]


def vnd(price_e2: int) -> str:
    """Return a price as on a screen."""
    return f"{price_e2 / 100:g}"


class Story:
    """One story being told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channels = CHANNELS[path.stem.split("_")[0]]
        self.fold = Fold(8, 16, stages=STAGES)
        self.ids: dict[str, int] = {}
        self.venues: dict[int, Venue] = {}
        self.day = ""
        self.limits: Message = {}
        self.where = ""
        self.checked = 0

    def play(self) -> int:
        """Run every line; return how many were checked."""
        for line_no, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            self.where = f"{self.path.name}:{line_no}: {line.strip()}"
            text = line.split("#", 1)[0].strip()
            if text:
                self._line(text)
        return self.checked

    def _line(self, text: str) -> None:
        given, *expected = (part.strip() for part in text.split("|"))
        words = given.split()
        if words[0] == "symbol":
            self._introduce(*words[1:])
        elif words[0] == "day":
            self.day = words[1]
        elif words[0] == "limits":
            self.limits = {
                "ceiling_price_e2": price(words[1]),
                "floor_price_e2": price(words[2]),
            }
        else:
            self._event(words, expected[0])

    def _introduce(self, name: str, venue: str, multiplier: str = "1") -> None:
        symbol_id = self.ids[name] = len(self.ids) + 1
        self.venues[symbol_id] = Venue[venue]
        message = {
            "kind": SlotKind.SYMBOL,
            "symbol_id": symbol_id,
            "venue": Venue[venue],
            "code": name.encode(),
            "instrument": Instrument.STOCK,
            "value_multiplier": int(multiplier),
        }
        fold_groups(self.fold, [[message]])

    def _event(self, words: list[str], expected: str) -> None:
        time, *words = words
        name = words.pop(0)[1:] if words[0].startswith("@") else next(iter(self.ids))
        symbol_id = self.ids[name]
        stamp = exch_s(self.day, time)
        message = {
            "symbol_id": symbol_id,
            "venue": self.venues[symbol_id],
            "exch_s": stamp,
            "recv_ns": stamp * 10**9,
        } | getattr(self, f"_{words[0]}")(*words[1:])
        _, emitted = fold_groups(self.fold, [[message]])
        shown = [
            self._with_flags(SAY[channel](row), row)
            for channel in self.channels
            for row in emitted.get(channel, [])
        ]
        self.checked += 1
        wanted = [] if expected == "-" else [part.strip() for part in expected.split(";")]
        assert shown == wanted, f"shown: {'; '.join(shown) or '-'}\n{self.where}"

    @staticmethod
    def _with_flags(said: str, row: dict[str, Any]) -> str:
        flags = " ".join(flag.name or "" for flag in DeltaFlag(row["flags"]))
        return f"{said} ({flags})" if flags else said

    # What happens -----------------------------------------------------------------------------

    def _trade(self, last: str, size: str, total: str, est: str = "est=-") -> Message:
        return self.limits | {
            "kind": SlotKind.TRADE,
            "last_price_e2": price(last),
            "last_volume_shares": number(size),
            "total_volume_shares": number(total),
            "estimated_price_e2": price(est.removeprefix("est=")),
        }

    @staticmethod
    def _book(*words: str) -> Message:
        return {"kind": SlotKind.QUOTE} | book(words, 10)

    @staticmethod
    def _facts(ceiling: str, floor: str) -> Message:
        return {
            "kind": SlotKind.REFERENCE,
            "ceiling_price_e2": price(ceiling),
            "floor_price_e2": price(floor),
        }

    @staticmethod
    def _halt() -> Message:
        return {"kind": SlotKind.STATUS, "session": FeedSession.HALT}

    @staticmethod
    def _resume() -> Message:
        return {"kind": SlotKind.STATUS, "session": FeedSession.LO}

    @staticmethod
    def _feed(state: str) -> Message:
        return {
            "kind": SlotKind.CONTROL,
            "symbol_id": 0,
            "op": ControlOp.FEED_STATE,
            "arg0": FeedState[state],
        }

    @staticmethod
    def _says(kind: str, session: str = "-", status: str = "-", odd_lot: str = "-") -> Message:
        (slot,) = MESSAGES[kind]
        words = {"session": session_of(session), "status": STATUSES[status]}
        if odd_lot != "-":
            words["odd_lot_session"] = session_of(odd_lot)
        return words | {"kind": slot}

    @staticmethod
    def _board(venue: str, word: str) -> Message:
        board = {"arg0": Venue[venue], "arg1": FeedSession[word]}
        return {"kind": SlotKind.CONTROL, "symbol_id": 0, "op": ControlOp.BOARD} | board

    @staticmethod
    def _deal(at: str, volume: str, total: str) -> Message:
        return {
            "kind": SlotKind.PUT_THROUGH,
            "price_e2": price(at),
            "volume_shares": number(volume),
            "total_volume_shares": number(total),
        }

    @staticmethod
    def _odd(last: str, size: str, total: str, *words: str) -> Message:
        return {
            "kind": SlotKind.ODD_LOT,
            "last_price_e2": price(last),
            "last_volume_shares": number(size),
            "total_volume_shares": number(total),
        } | book(words, 3)


# What is shown ------------------------------------------------------------------------------------


def say_limits(row: dict[str, Any]) -> str:
    """Say a row of channel ``limits``."""
    event = LimitEvent(row["limit_event"])
    since = iso_ict(row["since_exch_s"])[11:19]
    if event == LimitEvent.NONE:
        return "blank"
    if event == LimitEvent.ENTER:
        return f"ENTER {LimitState(row['limit_state']).name} {vnd(row['limit_price_e2'])}"
    if event in (LimitEvent.LOCK, LimitEvent.QUEUE):
        return f"{event.name} {row['queue_shares']} wait"
    had = f"{row['left_queue_shares']} had waited, locked {row['locked_s']} s"
    if event == LimitEvent.UNLOCK:
        return f"UNLOCK, {had}"
    hit = f"{row['hit_volume_shares']} matched there since {since}"
    return f"LEAVE to {vnd(row['price_e2'])}, {had}, {hit}"


def say_auction(row: dict[str, Any]) -> str:
    """Say a row of channel ``auction``."""
    said = Phase(row["phase"]).name
    if row["uncross_volume_shares"]:
        volume, at = row["uncross_volume_shares"], vnd(row["uncross_price_e2"])
        return f"{said} matched {volume} at {at} for {row['uncross_value_vnd']}"
    if row["indicative_price_e2"]:
        said += f" {vnd(row['indicative_price_e2'])} x {row['indicative_volume_shares']}"
    for name in ("buy", "sell"):
        if row[f"{name}_surplus_shares"]:
            said += f", {row[f'{name}_surplus_shares']} too many {name}"
    if row["market_buy_shares"] or row["market_sell_shares"]:
        said += f", at any price {row['market_buy_shares']}/{row['market_sell_shares']}"
    return said


def say_deal(row: dict[str, Any]) -> str:
    """Say a row of channel ``put_through``."""
    said = f"total {row['total_volume_shares']}"
    if row["volume_shares"]:
        deal = f"deal {row['deal_count']}: {row['volume_shares']} at {vnd(row['price_e2'])}"
        said = f"{deal} = {row['value_vnd']}, {said}"
    return said


def say_odd_lot(row: dict[str, Any]) -> str:
    """Say a row of channel ``odd_lot``."""
    best = [
        f"{vnd(row[f'{name}_price_e2'][0])}x{row[f'{name}_volume_shares'][0]}"
        for name in ("bid", "ask")
    ]
    last = f"{vnd(row['last_price_e2'])} x {row['last_volume_shares']}"
    totals = f"{row['trade_count']} trades, total {row['total_volume_shares']}"
    return f"odd {last}, {totals}, {best[0]} / {best[1]}"


def say_status(row: dict[str, Any]) -> str:
    """Say a row of channel ``status``."""
    said = f"{FeedSession(row['session']).name} {TradingStatus(row['trading_status']).name}"
    if row["odd_lot_session"]:
        said += f", odd lots {FeedSession(row['odd_lot_session']).name}"
    if row["halt_count"]:
        said += f", halt {row['halt_count']}"
    state = "halted" if row["halted"] else "not halted"
    return f"{said}, {state} since {iso_ict(row['since_exch_s'])[11:19]}"


SAY = {
    "limits": say_limits,
    "auction": say_auction,
    "put_through": say_deal,
    "odd_lot": say_odd_lot,
    "status": say_status,
}
