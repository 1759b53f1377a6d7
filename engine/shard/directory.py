"""What each symbol_id names: SYMBOL slots become rows of channel ``symbol``.

A symbol introduces itself before its first data, and again whenever ingest restarts; only a first
or changed introduction is published.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import SlotKind
from engine.schema.deltas import SYMBOL_DELTA
from engine.shard.groups import LAST, NO_PARAMS, publish, stamp
from engine.shard.stage import Stage

SYMBOL = int(SlotKind.SYMBOL)

STATE = np.dtype([("row", SYMBOL_DELTA), ("out_row", "<i8")])


@kernel
def introduces(row: Any, head: Any, symbol: Any) -> Any:
    """Return whether this SYMBOL slot says anything the row does not say already."""
    return (
        row["seq"] == 0
        or row["code"] != symbol["code"]
        or row["venue"] != head["venue"]
        or row["instrument"] != symbol["instrument"]
        or row["value_multiplier"] != symbol["value_multiplier"]
    )


@kernel
def directory(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per new or changed symbol and group. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        symbol_id = head["symbol_id"]
        if head["kind"] == SYMBOL and 0 < symbol_id < state.shape[0]:
            symbol = rows.symbol[i]
            row = state[symbol_id]["row"]
            if introduces(row, head, symbol):
                stamp(row, head, 0, 0)
                row["code"] = symbol["code"]
                row["value_multiplier"] = symbol["value_multiplier"]
                row["instrument"] = symbol["instrument"]
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "directory",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.SYMBOL,
    directory,
    "what each symbol_id names, from the symbol's own introduction",
    kinds=frozenset({SlotKind.SYMBOL}),
)
