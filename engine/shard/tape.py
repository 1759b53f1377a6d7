"""The tape: one row of channel ``trade`` for every match, never merged, never skipped.

A match that arrived after later ones is a row like any other: flag LATE, its own (older) total,
its own stamp, and the volume it had been missed with as negative missed volume. So the volume and
the missed volume of a day's rows and baselines still add up to the exchange's total.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import DeltaFlag, NoteFlag, SlotKind, TradeEvent
from engine.schema.deltas import TRADE_DELTA
from engine.shard.groups import NO_PARAMS, stamp
from engine.shard.stage import Stage

MATCH, EVENT_LATE = int(TradeEvent.MATCH), int(TradeEvent.LATE)
NOTE_DISAGREE, NOTE_AFTER_OUTAGE = int(NoteFlag.DISAGREE), int(NoteFlag.AFTER_OUTAGE)
DISAGREE = int(DeltaFlag.DISAGREE)
MISSED_BEFORE, LATE = int(DeltaFlag.MISSED_BEFORE), int(DeltaFlag.LATE)
AFTER_OUTAGE = int(DeltaFlag.AFTER_OUTAGE)

STATE = np.dtype([("row", TRADE_DELTA)])


@kernel
def write_trade(row: Any, head: Any, trade: Any, note: Any) -> None:
    """Fill the symbol's trade row with this match."""
    flags = 0
    if note["event"] == EVENT_LATE:
        flags |= LATE
    elif note["missed_volume_shares"] != 0:
        flags |= MISSED_BEFORE
    if note["flags"] & NOTE_AFTER_OUTAGE:
        flags |= AFTER_OUTAGE
    if note["flags"] & NOTE_DISAGREE:
        flags |= DISAGREE
    stamp(row, head, note["phase"], flags)
    row["seq"] += 1
    row["updates"] = 1
    row["price_e2"] = trade["last_price_e2"]
    row["side"] = note["side"]
    row["side_rule"] = note["side_rule"]
    row["side_exchange"] = note["side_exchange"]
    row["side_quote"] = note["side_quote"]
    row["side_tick"] = note["side_tick"]
    row["volume_shares"] = note["volume_shares"]
    row["value_vnd"] = note["value_vnd"]
    row["total_volume_shares"] = trade["total_volume_shares"]
    row["missed_volume_shares"] = note["missed_volume_shares"]
    row["bid_price_e2"] = note["bid_price_e2"]
    row["ask_price_e2"] = note["ask_price_e2"]


@kernel
def tape(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish every match. See ``Stage`` for the arguments; at most one row a slot."""
    count = 0
    for i in range(rows.count):
        if notes[i]["event"] == MATCH or notes[i]["event"] == EVENT_LATE:
            row = state[rows.head[i]["symbol_id"]]["row"]
            write_trade(row, rows.head[i], rows.trade[i], notes[i])
            out[count] = row
            count += 1
    return count


STAGE = Stage(
    "tape",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.TRADE,
    tape,
    "every match with its size, value, side and the reason for that side",
    kinds=frozenset({SlotKind.TRADE}),
)
