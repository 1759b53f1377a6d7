"""Top of book: channel ``quote``, level 1 as the feed sent it.

A row is published when level 1 changed, and for the first book of a trading date even if it
equals yesterday's. A book whose deeper levels moved does not use up a sequence number here.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import SlotKind
from engine.schema.deltas import QUOTE_DELTA
from engine.shard.auction_book import auction_flags
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, publish, stamp, trade_day
from engine.shard.stage import Stage

QUOTE = int(SlotKind.QUOTE)

STATE = np.dtype([("row", QUOTE_DELTA), ("out_row", "<i8"), ("day", "<i8")])


@kernel
def same_top(row: Any, book: Any) -> Any:
    """Return whether level 1 is what the row says."""
    return (
        row["bid_price_e2"] == book["bid_price_e2"][0]
        and row["ask_price_e2"] == book["ask_price_e2"][0]
        and row["bid_volume_shares"] == book["bid_volume_shares"][0]
        and row["ask_volume_shares"] == book["ask_volume_shares"][0]
    )


@kernel
def quote(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per changed top of book and group. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        if head["kind"] == QUOTE and not notes[i]["flags"] & STALE_DAY:
            symbol_id = head["symbol_id"]
            own = state[symbol_id]
            row = own["row"]
            book = rows.quote[i]
            day = trade_day(head["exch_s"])
            if own["day"] != day or not same_top(row, book):
                own["day"] = day
                bid = book["bid_price_e2"][0]
                ask = book["ask_price_e2"][0]
                stamp(row, head, notes[i]["phase"], auction_flags(bid, ask, book))
                row["bid_price_e2"] = bid
                row["ask_price_e2"] = ask
                row["bid_volume_shares"] = book["bid_volume_shares"][0]
                row["ask_volume_shares"] = book["ask_volume_shares"][0]
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "quote",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.QUOTE,
    quote,
    "best bid and ask as the feed sent them, when they changed",
    kinds=frozenset({SlotKind.QUOTE}),
)
