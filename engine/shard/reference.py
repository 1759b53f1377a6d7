"""What is known of a symbol before it trades: channel ``reference``, from REFERENCE slots.

Sources: ssi-wire section 2.2 (REST) and 8 (v3's ``market`` topic, which knows prices only). Rules:

* 0, an empty text or no flag means "not told": it does not erase what was told earlier today.
* A newer trading date begins blank, with whatever its first slot tells: yesterday's limits are
  nobody's limits, and a share may have left a basket.
* A row is published when anything changed: one per symbol and group.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import SlotKind
from engine.schema.deltas import REFERENCE_DELTA
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, blank_row, publish, stamp, trade_day
from engine.shard.stage import Stage

REFERENCE = int(SlotKind.REFERENCE)

STATE = np.dtype([("row", REFERENCE_DELTA), ("out_row", "<i8")])


@kernel
def learn(row: Any, told: Any) -> Any:
    """Take over everything the slot tells; return whether any of it is news."""
    news = False
    if told["ceiling_price_e2"] > 0 and row["ceiling_price_e2"] != told["ceiling_price_e2"]:
        row["ceiling_price_e2"] = told["ceiling_price_e2"]
        news = True
    if told["floor_price_e2"] > 0 and row["floor_price_e2"] != told["floor_price_e2"]:
        row["floor_price_e2"] = told["floor_price_e2"]
        news = True
    if told["reference_price_e2"] > 0 and row["reference_price_e2"] != told["reference_price_e2"]:
        row["reference_price_e2"] = told["reference_price_e2"]
        news = True
    if told["indices"] > 0 and row["indices"] != told["indices"]:
        row["indices"] = told["indices"]
        news = True
    if told["lot_shares"] > 0 and row["lot_shares"] != told["lot_shares"]:
        row["lot_shares"] = told["lot_shares"]
        news = True
    if told["listed_shares"] > 0 and row["listed_shares"] != told["listed_shares"]:
        row["listed_shares"] = told["listed_shares"]
        news = True
    if len(told["security_type"]) > 0 and row["security_type"] != told["security_type"]:
        row["security_type"] = told["security_type"]
        news = True
    if len(told["name"]) > 0 and row["name"] != told["name"]:
        row["name"] = told["name"]
        news = True
    return news


@kernel
def reference(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per changed symbol and group. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        if head["kind"] == REFERENCE and not notes[i]["flags"] & STALE_DAY:
            symbol_id = head["symbol_id"]
            row = state[symbol_id]["row"]
            day = trade_day(head["exch_s"])
            rolls = row["trade_day"] != day
            if rolls:
                blank_row(state, symbol_id, day)
            if learn(row, rows.reference[i]) or rolls:
                stamp(row, head, notes[i]["phase"], 0)
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "reference",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.REFERENCE,
    reference,
    "limits, lot, listed shares, baskets and name, as far as today has told them",
    kinds=frozenset({SlotKind.REFERENCE}),
)
