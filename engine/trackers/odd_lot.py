"""The odd-lot market: channel ``odd_lot``, its latest state, apart from the main board.

Sources: market-behaviour section 4, ssi-wire 3.8 (v2: everything, and totals that include round
lots) and 8 (v3: last price, its volume and three levels). Rules:

* The three levels of a message are the book, as they are. Of everything else 0 means "not told"
  and does not erase what today's earlier messages told: neither v3's short messages nor a blank
  one lose the day.
* ``trade_count`` counts messages whose total grew. The day's first message counts when its total
  is no more than its own last volume; any larger total is a BASELINE. Where no totals are told it
  stays 0.
* A total that shrank is followed: CORRECTED. Both flags stay for the day.
* A row is published when anything in it changed: one per symbol and group. A newer trading date
  begins blank, with what its first message tells.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import DeltaFlag, SlotKind
from engine.schema.deltas import ODD_LOT_DELTA
from engine.schema.slots import ODD_LOT_LEVEL_COUNT
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, blank_row, publish, stamp, trade_day
from engine.shard.stage import Stage

ODD_LOT = int(SlotKind.ODD_LOT)
BASELINE, CORRECTED = int(DeltaFlag.BASELINE), int(DeltaFlag.CORRECTED)

STATE = np.dtype([("row", ODD_LOT_DELTA), ("out_row", "<i8")])


@kernel
def learn_prices(row: Any, told: Any) -> Any:
    """Take over prices and the last volume; return whether any of them is news."""
    news = False
    if told["last_price_e2"] > 0 and row["last_price_e2"] != told["last_price_e2"]:
        row["last_price_e2"] = told["last_price_e2"]
        news = True
    if told["reference_price_e2"] > 0 and row["reference_price_e2"] != told["reference_price_e2"]:
        row["reference_price_e2"] = told["reference_price_e2"]
        news = True
    if told["ceiling_price_e2"] > 0 and row["ceiling_price_e2"] != told["ceiling_price_e2"]:
        row["ceiling_price_e2"] = told["ceiling_price_e2"]
        news = True
    if told["floor_price_e2"] > 0 and row["floor_price_e2"] != told["floor_price_e2"]:
        row["floor_price_e2"] = told["floor_price_e2"]
        news = True
    if told["open_price_e2"] > 0 and row["open_price_e2"] != told["open_price_e2"]:
        row["open_price_e2"] = told["open_price_e2"]
        news = True
    if told["high_price_e2"] > 0 and row["high_price_e2"] != told["high_price_e2"]:
        row["high_price_e2"] = told["high_price_e2"]
        news = True
    if told["low_price_e2"] > 0 and row["low_price_e2"] != told["low_price_e2"]:
        row["low_price_e2"] = told["low_price_e2"]
        news = True
    if told["last_volume_shares"] > 0 and row["last_volume_shares"] != told["last_volume_shares"]:
        row["last_volume_shares"] = told["last_volume_shares"]
        news = True
    return news


@kernel
def learn_totals(row: Any, told: Any, first: Any) -> Any:
    """Take over totals, count and flag; return whether they are news.

    `first`: this is the symbol's first message of the day.
    """
    news = False
    if told["total_value_vnd"] > 0 and row["total_value_vnd"] != told["total_value_vnd"]:
        row["total_value_vnd"] = told["total_value_vnd"]
        news = True
    total, before = told["total_volume_shares"], row["total_volume_shares"]
    if total > 0 and total != before:
        if first and total > told["last_volume_shares"]:
            row["flags"] |= BASELINE
        elif total > before:
            row["trade_count"] += 1
        else:
            row["flags"] |= CORRECTED
        row["total_volume_shares"] = total
        news = True
    return news


@kernel
def learn_levels(row: Any, told: Any) -> Any:
    """Take over the three levels; return whether any number of them is news."""
    news = False
    for level in range(ODD_LOT_LEVEL_COUNT):
        if (
            row["bid_price_e2"][level] != told["bid_price_e2"][level]
            or row["bid_volume_shares"][level] != told["bid_volume_shares"][level]
            or row["ask_price_e2"][level] != told["ask_price_e2"][level]
            or row["ask_volume_shares"][level] != told["ask_volume_shares"][level]
        ):
            row["bid_price_e2"][level] = told["bid_price_e2"][level]
            row["bid_volume_shares"][level] = told["bid_volume_shares"][level]
            row["ask_price_e2"][level] = told["ask_price_e2"][level]
            row["ask_volume_shares"][level] = told["ask_volume_shares"][level]
            news = True
    return news


@kernel
def odd_lot(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per changed symbol and group. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        if head["kind"] == ODD_LOT and not notes[i]["flags"] & STALE_DAY:
            symbol_id = head["symbol_id"]
            row = state[symbol_id]["row"]
            told = rows.odd_lot[i]
            day = trade_day(head["exch_s"])
            news = row["trade_day"] != day
            if news:
                blank_row(state, symbol_id, day)
            news |= learn_totals(row, told, news)
            news |= learn_prices(row, told)
            news |= learn_levels(row, told)
            if news:
                stamp(row, head, notes[i]["phase"], row["flags"])
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "odd_lot",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.ODD_LOT,
    odd_lot,
    "the odd-lot market: prices, totals and three levels, when any of them changed",
    kinds=frozenset({SlotKind.ODD_LOT}),
)
