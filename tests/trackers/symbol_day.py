"""One symbol's day, message by message, for tests that say what happens in few words."""

from typing import Any

from engine.schema.codes import FeedState, SlotKind, Venue
from engine.shard import classify
from engine.shard.fold import Fold
from engine.shard.stage import Stage
from engine.trackers import auction, limits, odd_lot, put_through, status
from tests.shard.folding import SLOTS, SYMBOLS, fold_groups
from tests.shard.messages import Message, exch_s, levels

Levels = list[tuple[int, int]]

# One step for all tests of these stages: compiling one for each would take most of their time.
STAGES = (
    classify.STAGE,
    limits.STAGE,
    auction.STAGE,
    put_through.STAGE,
    odd_lot.STAGE,
    status.STAGE,
)


class SymbolDay:
    """Makes the messages of one symbol; prices and limits in hundredths of a VND."""

    def __init__(
        self,
        symbol_id: int = 1,
        day: str = "2021-07-15",
        venue: Venue = Venue.HOSE,
        limits: tuple[int, int] = (0, 0),
    ) -> None:
        self.symbol_id, self.day, self.venue, self.limits = symbol_id, day, venue, limits
        self.total = 0

    def at(self, time: str, kind: SlotKind, **fields: Any) -> Message:
        """Return a message of this symbol; received when it was stamped."""
        stamp = exch_s(self.day, time)
        return {
            "kind": kind,
            "symbol_id": self.symbol_id,
            "venue": self.venue,
            "exch_s": stamp,
            "recv_ns": stamp * 10**9,
        } | fields

    def match(self, time: str, price: int, size: int = 100, missed: int = 0) -> Message:
        """Return a match after some volume that nobody told."""
        self.total += size + missed
        return self.told(time, price, size, self.total)

    def told(self, time: str, price: int, size: int, total: int, estimate: int = 0) -> Message:
        """Return a trade message with any numbers."""
        return self.at(
            time,
            SlotKind.TRADE,
            last_price_e2=price,
            last_volume_shares=size,
            total_volume_shares=total,
            estimated_price_e2=estimate,
            ceiling_price_e2=self.limits[0],
            floor_price_e2=self.limits[1],
        )

    def book(self, time: str, bids: Levels, asks: Levels) -> Message:
        """Return a book."""
        bid_prices, bid_volumes = levels(*bids)
        ask_prices, ask_volumes = levels(*asks)
        return self.at(
            time,
            SlotKind.QUOTE,
            bid_price_e2=bid_prices,
            bid_volume_shares=bid_volumes,
            ask_price_e2=ask_prices,
            ask_volume_shares=ask_volumes,
        )

    @staticmethod
    def feed(state: FeedState) -> Message:
        """Return a change of the feed's state."""
        return {"kind": SlotKind.CONTROL, "op": 2, "arg0": state}


class Watched:
    """One stage's rows, with every message a group of its own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.fold = Fold(SYMBOLS, SLOTS, stages=STAGES)

    def tell(self, *messages: Message) -> list[dict[str, Any]]:
        """Fold them and return the stage's rows."""
        assert self.stage.channel is not None
        _, emitted = fold_groups(self.fold, [[message] for message in messages])
        return emitted.get(self.stage.channel.name, [])
