"""The book: channel ``book``, ten levels a side as the feed sent them.

A row is published when any level changed, and for the first book of a trading date. Level 1 may
be price 0 with volume (ATO/ATC orders before KRX, ssi-wire 3.3), so CROSSED is judged on the first
level of each side that has a price: that is where such a book is really crossed.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import SlotKind
from engine.schema.deltas import BOOK_DELTA
from engine.schema.slots import LEVEL_COUNT
from engine.shard.auction_book import auction_flags
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, publish, stamp, trade_day
from engine.shard.stage import Stage

QUOTE = int(SlotKind.QUOTE)

STATE = np.dtype([("row", BOOK_DELTA), ("out_row", "<i8"), ("day", "<i8")])


@kernel
def same_levels(row: Any, book: Any) -> Any:
    """Return whether all forty numbers of the book are what the row says."""
    for level in range(LEVEL_COUNT):
        if (
            row["bid_price_e2"][level] != book["bid_price_e2"][level]
            or row["bid_volume_shares"][level] != book["bid_volume_shares"][level]
            or row["ask_price_e2"][level] != book["ask_price_e2"][level]
            or row["ask_volume_shares"][level] != book["ask_volume_shares"][level]
        ):
            return False
    return True


@kernel
def first_price(prices: Any) -> Any:
    """Return the first positive price of a side, 0 when it has none."""
    for level in range(LEVEL_COUNT):
        if prices[level] > 0:
            return prices[level]
    return np.int32(0)


@kernel
def book(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per changed book and group. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        if head["kind"] == QUOTE and not notes[i]["flags"] & STALE_DAY:
            symbol_id = head["symbol_id"]
            own = state[symbol_id]
            row = own["row"]
            levels = rows.quote[i]
            day = trade_day(head["exch_s"])
            if own["day"] != day or not same_levels(row, levels):
                own["day"] = day
                flags = auction_flags(
                    first_price(levels["bid_price_e2"]), first_price(levels["ask_price_e2"]), levels
                )
                stamp(row, head, notes[i]["phase"], flags)
                for level in range(LEVEL_COUNT):
                    row["bid_price_e2"][level] = levels["bid_price_e2"][level]
                    row["bid_volume_shares"][level] = levels["bid_volume_shares"][level]
                    row["ask_price_e2"][level] = levels["ask_price_e2"][level]
                    row["ask_volume_shares"][level] = levels["ask_volume_shares"][level]
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "book",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.BOOK,
    book,
    "ten levels a side, when any of them changed",
    kinds=frozenset({SlotKind.QUOTE}),
)
