"""A small market to tell alerts about: a line of code or of a table per message, alerts out.

Behind it are the real classify, ledger and alerts stages. Cumulative figures are kept here, so that
a test says what happened and not what the totals are. Prices are as on a screen, money in bn VND.
"""

from typing import Any

from engine.alerts import stage
from engine.alerts.sentences import alert_id, sentence_en, sentence_vi
from engine.config import AlertsConfig
from engine.decode.symbols import UNDERLYING_CODES
from engine.market.facts import day_number
from engine.market.symbology import identify
from engine.schema.channels import ALERTS
from engine.schema.codes import (
    ControlOp,
    FeedState,
    Instrument,
    Severity,
    SlotKind,
    Underlying,
    Venue,
)
from engine.shard import classify, ledger
from engine.shard.fold import Fold
from engine.shard.stage import StageSettings
from tests.shard.folding import plain
from tests.shard.messages import Message, exch_s, levels, rows_of
from tests.shard.table import STATUS_WORDS, e2

STAGES = (classify.STAGE, ledger.STAGE, stage.STAGE)
SYMBOLS, SLOTS = 12, 256
FEED_ID = 11
NS = 10**9
BILLION = 10**9


class Market:
    """Some symbols on some day. Every method that sends returns the alerts it led to, as dicts."""

    def __init__(self, **thresholds: int) -> None:
        settings = StageSettings(alerts=AlertsConfig(**thresholds))
        self.fold = Fold(SYMBOLS, SLOTS, settings, stages=STAGES)
        self.names: dict[int, str] = {}
        self.ids: dict[str, int] = {}
        self.venues: dict[str, Venue] = {}
        self.multipliers: dict[int, int] = {}
        self.limits: dict[str, tuple[str, str]] = {}
        self.totals: dict[str, int] = {}
        self.flows: dict[str, dict[str, int]] = {}
        self.day, self.time, self.received_ns = "2021-07-15", "09:15:00", 0
        self.last: list[Any] = []  # records of the alerts of the last message

    # The setting ------------------------------------------------------------------------------

    def symbol(self, name: str, venue: str = "HOSE") -> None:
        """Introduce a stock, a future or an index by its code."""
        known = identify(name, Venue[venue])
        self._introduce(name, Venue[venue], len(self.ids) + 1, known.instrument, known)

    def feed(self) -> None:
        """Introduce the feed's pseudo symbol: this shard tells of the feed."""
        self._introduce("FEED", Venue.UNKNOWN, FEED_ID, Instrument.FEED, None)

    def _introduce(
        self, name: str, venue: Venue, symbol_id: int, instrument: Instrument, known: Any
    ) -> None:
        self.ids[name], self.names[symbol_id], self.venues[name] = symbol_id, name, venue
        multiplier = known.value_multiplier if known else 1
        self.multipliers[symbol_id] = multiplier
        fields: Message = {
            "kind": SlotKind.SYMBOL,
            "symbol_id": symbol_id,
            "venue": venue,
            "code": name.encode(),
            "instrument": instrument,
            "value_multiplier": multiplier,
        }
        if known and known.expiry:
            fields |= {
                "underlying": UNDERLYING_CODES.get(known.underlying, Underlying.NONE),
                "expiry_day": day_number(known.expiry),
            }
        self.send(fields)

    def on(self, day: str) -> None:
        """Begin another date: cumulative figures begin at 0."""
        self.day = day
        self.totals.clear()
        self.flows.clear()

    def at(self, time: str) -> "Market":
        """Set the exchange's clock."""
        self.time = time
        return self

    @property
    def stamp(self) -> int:
        """The exchange's stamp now."""
        return exch_s(self.day, self.time)

    # Messages ---------------------------------------------------------------------------------

    def send(self, *messages: Message) -> list[dict[str, Any]]:
        """Fold messages as one group; return its alerts."""
        self.received_ns = max(self.received_ns + 1, self.stamp * NS)
        stamped = [{"exch_s": self.stamp, "recv_ns": self.received_ns} | each for each in messages]
        news = dict(self.fold.fold(rows_of([stamped])))
        self.last = list(news[ALERTS]) if ALERTS in news else []
        return [plain(row) for row in self.last]

    def message(self, kind: SlotKind, name: str, **fields: Any) -> Message:
        """Return a message of a symbol."""
        return {"kind": kind, "symbol_id": self.ids[name], "venue": self.venues[name]} | fields

    def limit(self, name: str, ceiling: str, floor: str) -> None:
        """Let the symbol's trade messages carry these limits from here on."""
        self.limits[name] = ceiling, floor

    def trade(self, name: str, price: str, size: int, total: int, **more: Any) -> Message:
        """Return a trade message with this total; the totals here do not move."""
        ceiling, floor = self.limits.get(name, ("0", "0"))
        return self.message(
            SlotKind.TRADE,
            name,
            last_price_e2=e2(price),
            last_volume_shares=size,
            total_volume_shares=total,
            ceiling_price_e2=e2(ceiling),
            floor_price_e2=e2(floor),
            **more,
        )

    def match(
        self, name: str, price: str, size: int = 100, *, skipped: int = 0, **more: Any
    ) -> list[dict[str, Any]]:
        """A match, after `skipped` shares that no message showed."""
        self.totals[name] = self.totals.get(name, 0) + size + skipped
        return self.send(self.trade(name, price, size, self.totals[name], **more))

    def untold(self, name: str, price: str, volume: int) -> list[dict[str, Any]]:
        """A message that counts volume and tells no match."""
        self.totals[name] = self.totals.get(name, 0) + volume
        return self.send(self.trade(name, price, 0, self.totals[name]))

    def correct(self, name: str, price: str, volume: int) -> list[dict[str, Any]]:
        """The exchange takes volume back."""
        self.totals[name] -= volume
        return self.send(self.trade(name, price, 0, self.totals[name]))

    def late(self, name: str, price: str, size: int, total: int) -> list[dict[str, Any]]:
        """A match that ends at an older total."""
        return self.send(self.trade(name, price, size, total))

    def book(self, name: str, bids: str = "-", asks: str = "-") -> list[dict[str, Any]]:
        """A book: ``24950x500,24900x100`` a side, - for none."""
        fields: Message = {}
        for side, text in (("bid", bids), ("ask", asks)):
            pairs = [pair.split("x") for pair in text.split(",") if pair != "-"]
            prices, volumes = levels(*((e2(price), int(volume)) for price, volume in pairs))
            fields |= {f"{side}_price_e2": prices, f"{side}_volume_shares": volumes}
        return self.send(self.message(SlotKind.QUOTE, name, **fields))

    def foreign(self, name: str, **told: float) -> list[dict[str, Any]]:
        """Foreign figures: what was bought and sold since the last message, in bn VND, and room.

        Room and total stay as they were when not named. ``so_far`` names cumulative figures
        instead: ``bought_so_far``, ``sold_so_far``.
        """
        own = self.flows.setdefault(name, {})
        for word, side in (("buy", "buy"), ("sell", "sell")):
            value = round(told.get(word, 0) * BILLION)
            own[f"{side}_value_vnd"] = own.get(f"{side}_value_vnd", 0) + value
            own[f"{side}_volume_shares"] = own.get(f"{side}_volume_shares", 0) + value // 50_000
        if "bought_so_far" in told:
            own["buy_value_vnd"] = round(told["bought_so_far"] * BILLION)
            own["buy_volume_shares"] = own["buy_value_vnd"] // 50_000
        for word in ("room", "total"):
            if word in told:
                field = {"room": "current", "total": "total"}[word]
                own[f"{field}_room_shares"] = int(told[word])
        return self.send(self.message(SlotKind.FOREIGN, name, **own))

    def deal(self, name: str, price: str, size: int, total: int = 0) -> list[dict[str, Any]]:
        """A put-through deal, with the exchange's total if it tells one."""
        fields = {"price_e2": e2(price), "volume_shares": size, "total_volume_shares": total}
        return self.send(self.message(SlotKind.PUT_THROUGH, name, **fields))

    def status(self, name: str, word: str = "N") -> list[dict[str, Any]]:
        """An F message with a trading status."""
        return self.send(self.message(SlotKind.STATUS, name, status=STATUS_WORDS[word]))

    def index(self, name: str, value: str, prior: str = "0") -> list[dict[str, Any]]:
        """An index value."""
        fields = {"value_e2": e2(value), "prior_value_e2": e2(prior)}
        return self.send(self.message(SlotKind.INDEX, name, **fields))

    def reference(self, name: str, ceiling: str, floor: str) -> list[dict[str, Any]]:
        """Limits told by REST."""
        fields = {"ceiling_price_e2": e2(ceiling), "floor_price_e2": e2(floor)}
        return self.send(self.message(SlotKind.REFERENCE, name, **fields))

    def bar(self, name: str, gap_no: int, end: str, volume: int) -> list[dict[str, Any]]:
        """The last bar of REST for a gap that ended at `end`."""
        fields = {"gap_no": gap_no, "volume_shares": volume, "exch_s": exch_s(self.day, end)}
        return self.send(self.message(SlotKind.BACKFILL, name, **fields))

    def feed_is(self, state: str) -> list[dict[str, Any]]:
        """The connection's state."""
        return self.send(
            {"kind": SlotKind.CONTROL, "symbol_id": FEED_ID, "op": ControlOp.FEED_STATE}
            | {"arg0": FeedState[state], "exch_s": 0}
        )

    def lost(self, frames: int) -> list[dict[str, Any]]:
        """Our own backlog dropped frames."""
        return self.send(
            {"kind": SlotKind.CONTROL, "symbol_id": FEED_ID, "op": ControlOp.LOST}
            | {"arg0": frames, "exch_s": 0}
        )

    # What was told ----------------------------------------------------------------------------

    def told(self) -> list[str]:
        """The alerts of the last message: severity and English sentence."""
        return [
            f"{Severity(int(row['severity'])).name.lower()}: "
            + sentence_en(row, self.names[int(row["symbol_id"])], self._multiplier(row))
            for row in self.last
        ]

    def told_vi(self) -> list[str]:
        """The same in Vietnamese, without the severity."""
        return [
            sentence_vi(row, self.names[int(row["symbol_id"])], self._multiplier(row))
            for row in self.last
        ]

    def told_ids(self) -> list[str]:
        """Their ids."""
        return [alert_id(row, self.names[int(row["symbol_id"])]) for row in self.last]

    def _multiplier(self, row: Any) -> int:
        return self.multipliers[int(row["symbol_id"])]
