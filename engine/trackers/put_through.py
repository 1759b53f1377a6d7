"""Negotiated deals: channel ``put_through``, one row each, apart from the main board.

Sources: market-behaviour sections 1 and 4, ssi-wire section 8 (v3's ``put`` topic, the only one
that tells deals; it repeats the last one on a new subscription). Rules:

* A PUT_THROUGH slot is a deal when it has price and volume and is not a repeat: a message whose
  exchange total is above 0 and the same as the one before it. Value is price_e2 x multiplier x
  volume // 100, the multiplier as ``classify`` knows it; a product that does not fit int64 is no
  deal.
* Totals are the exchange's. Where a message has none (0), a deal adds itself to what was known.
* A total that grew by more than the deal hides deals nobody told: MISSED_BEFORE. In the day's first
  message, whose deal may be hours old, that is BASELINE.
* A total that shrank is a correction: totals follow the exchange, nothing was dealt. Such a row,
  and one of a total that grew without a deal that can be told, has volume 0; its flag, CORRECTED,
  MISSED_BEFORE or BASELINE, says which it is.
* A newer trading date begins at 0, without a row of its own; seq goes on.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import DeltaFlag, SlotKind
from engine.schema.deltas import PUT_THROUGH_DELTA
from engine.shard.classify import can_be_told, multiplier_of
from engine.shard.groups import NO_PARAMS, STALE_DAY, stamp, trade_day
from engine.shard.stage import Stage

SYMBOL, PUT_THROUGH = int(SlotKind.SYMBOL), int(SlotKind.PUT_THROUGH)
MISSED_BEFORE, BASELINE = int(DeltaFlag.MISSED_BEFORE), int(DeltaFlag.BASELINE)
CORRECTED = int(DeltaFlag.CORRECTED)

# What is remembered per symbol to tell a deal from a repeat; alert rules may embed it too.
DEAL_FIELDS: list[Any] = [
    ("multiplier", "<i8"),  # of its SYMBOL slot; 0: it has not introduced itself
    ("deal_day", "<i8"),
    ("deal_total_shares", "<i8"),  # put-through volume known today; -1: no message yet
    ("deal_value_vnd", "<i8"),  # of the deal this message tells
    ("deal_flags", "<u2"),  # DeltaFlag of this message
    ("deal_told", "u1"),  # 1: this message tells a deal
    ("reserved_deal", "u1", (5,)),
]

STATE = np.dtype([("row", PUT_THROUGH_DELTA), *DEAL_FIELDS])


@kernel
def watch_deal(own: Any, head: Any, deal: Any) -> Any:
    """Return whether an accepted PUT_THROUGH slot has news, and say in `own` which.

    Parameters
    ----------
    own
        A record with DEAL_FIELDS, written: ``deal_told``, ``deal_value_vnd``, ``deal_flags`` and
        ``deal_total_shares`` are of this message. ``multiplier`` is read.
    head, deal
        The slot's head and its PUT_THROUGH view.
    """
    day = trade_day(head["exch_s"])
    if own["deal_day"] != day:
        own["deal_day"] = day
        own["deal_total_shares"] = -1
    total, before = deal["total_volume_shares"], own["deal_total_shares"]
    known = max(before, 0)
    own["deal_told"] = 0
    own["deal_value_vnd"] = 0
    own["deal_flags"] = 0
    if total > 0 and total < known:
        own["deal_flags"] = CORRECTED
        own["deal_total_shares"] = total
        return True
    if total > 0 and total == known:
        return False
    volume = deal["volume_shares"]
    unit_e2 = np.int64(deal["price_e2"]) * multiplier_of(own, head["venue"])
    if can_be_told(volume, unit_e2):
        own["deal_told"] = 1
        own["deal_value_vnd"] = unit_e2 * volume // 100
        known += volume
    if total > known:
        own["deal_flags"] = BASELINE if before < 0 else MISSED_BEFORE
    own["deal_total_shares"] = total if total > 0 else known
    return own["deal_told"] == 1 or total > 0


@kernel
def begin_day(state: Any, symbol_id: Any, day: Any) -> None:
    """Blank the symbol's row for a trading date; its place in the stream goes on."""
    row = state[symbol_id]["row"]
    seq = row["seq"]
    state[symbol_id]["row"] = state[0]["row"]  # blank for ever: 0 is never a symbol
    row["seq"] = seq
    row["trade_day"] = day


@kernel
def write(own: Any, head: Any, deal: Any, phase: Any) -> None:
    """Fill the symbol's row with this deal, or with totals that moved without one."""
    row = own["row"]
    stamp(row, head, phase, own["deal_flags"])
    row["seq"] += 1
    row["updates"] = 1
    told = own["deal_told"]
    row["price_e2"] = deal["price_e2"] if told else 0
    row["volume_shares"] = deal["volume_shares"] if told else 0
    row["value_vnd"] = own["deal_value_vnd"]
    row["deal_count"] += told
    row["total_volume_shares"] = own["deal_total_shares"]
    if deal["total_value_vnd"] > 0:
        row["total_value_vnd"] = deal["total_value_vnd"]
    else:
        row["total_value_vnd"] += own["deal_value_vnd"]


@kernel
def put_through(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish every deal. See ``Stage`` for the arguments; at most one row a slot."""
    count = 0
    for i in range(rows.count):
        head = rows.head[i]
        kind, symbol_id = head["kind"], head["symbol_id"]
        if kind == SYMBOL and 0 < symbol_id < state.shape[0]:
            state[symbol_id]["multiplier"] = rows.symbol[i]["value_multiplier"]
        elif kind == PUT_THROUGH and not notes[i]["flags"] & STALE_DAY:
            own = state[symbol_id]
            deal = rows.put_through[i]
            if watch_deal(own, head, deal):
                if own["row"]["trade_day"] != own["deal_day"]:
                    begin_day(state, symbol_id, own["deal_day"])
                write(own, head, deal, notes[i]["phase"])
                out[count] = own["row"]
                count += 1
    return count


STAGE = Stage(
    "put_through",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.PUT_THROUGH,
    put_through,
    "negotiated deals, one row each, and their totals of the day",
    kinds=frozenset({SlotKind.SYMBOL, SlotKind.PUT_THROUGH}),
)
