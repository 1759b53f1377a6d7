"""At the ceiling or the floor: channel ``limits``, one row for every event, never merged.

What the events are, and when, is said in ``limit_watch``. A row tells how the symbol stands after
its event: ENTER, LOCK, QUEUE, UNLOCK or LEAVE. What happens between events (matches at the limit, a
book that says the same) shows in the next row.

* A match that goes from one limit to the other gives two rows, LEAVE and ENTER.
* After LEAVE ``limit_state`` is NONE; the price, entry and volume of the visit that ended stay.
* Flags BASELINE: the entry of this visit was not seen. AFTER_OUTAGE: first news since the feed was
  away. CORRECTED: the exchange took the match back, nobody traded away from the limit or to it.
* A new trading date begins blank; seq goes on. Whoever ended the old one at a limit gets a blank
  row with event NONE at the first slot of the new: yesterday's limit is nobody's state today.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import SlotKind
from engine.schema.deltas import LIMITS_DELTA
from engine.shard.groups import NO_PARAMS, STALE_DAY, stamp, trade_day
from engine.shard.stage import Stage
from engine.trackers.limit_watch import (
    ELSEWHERE,
    LEAVE,
    LIMIT_FIELDS,
    NOTHING,
    land,
    watch_limits,
    watch_match,
    watch_queue,
)

TRADE, QUOTE = int(SlotKind.TRADE), int(SlotKind.QUOTE)
REFERENCE = int(SlotKind.REFERENCE)

STATE = np.dtype([("row", LIMITS_DELTA), *LIMIT_FIELDS])


@kernel
def forget_visit(state: Any, symbol_id: Any, head: Any, phase: Any, day: Any) -> Any:
    """Blank the row when it shows a limit of an older day; return whether it did."""
    own = state[symbol_id]
    row = own["row"]
    if row["limit_state"] == ELSEWHERE or row["trade_day"] == day:
        return False
    seq = row["seq"]
    own["row"] = state[0]["row"]  # blank for ever: 0 is never a symbol
    stamp(row, head, phase, 0)
    row["seq"] = seq + 1
    row["updates"] = 1
    row["trade_day"] = day
    return True


@kernel
def write(own: Any, head: Any, phase: Any, event: Any) -> None:
    """Fill the symbol's row with how it stands after `event`."""
    row = own["row"]
    stamp(row, head, phase, own["event_flags"] | own["visit_flags"])
    row["seq"] += 1
    row["updates"] = 1
    row["limit_state"] = own["limit_state"]
    row["limit_event"] = event
    row["locked"] = own["locked"]
    row["since_exch_s"] = own["since_exch_s"]
    row["locked_since_exch_s"] = own["locked_since_exch_s"]
    row["locked_s"] = own["locked_s"]
    row["limit_price_e2"] = own["limit_price_e2"]
    row["price_e2"] = own["last_price_e2"]
    row["queue_shares"] = own["queue_shares"]
    row["left_queue_shares"] = own["left_queue_shares"]
    row["hit_volume_shares"] = own["hit_volume_shares"]
    row["enter_count"] = own["enter_count"]
    row["trade_day"] = own["watch_day"]


@kernel
def limits(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish every event. See ``Stage`` for the arguments; a slot gives at most three rows."""
    count = 0
    for i in range(rows.count):
        head, note = rows.head[i], notes[i]
        kind = head["kind"]
        if kind not in (TRADE, QUOTE, REFERENCE) or note["flags"] & STALE_DAY:
            continue
        symbol_id = head["symbol_id"]
        own = state[symbol_id]
        if forget_visit(state, symbol_id, head, note["phase"], trade_day(head["exch_s"])):
            out[count] = own["row"]
            count += 1
        if kind == TRADE:
            event = watch_match(own, head, rows.trade[i], note)
        elif kind == QUOTE:
            event = watch_queue(own, head, rows.quote[i], note)
        else:
            event = watch_limits(own, head, rows.reference[i], note)
        while event != NOTHING:
            write(own, head, note["phase"], event)
            out[count] = own["row"]
            count += 1
            event = land(own, head, note) if event == LEAVE else NOTHING
    return count


STAGE = Stage(
    "limits",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.LIMITS,
    limits,
    "ceiling and floor: who enters, locks, waits, opens and leaves",
    rows_per_slot=3,
    kinds=frozenset({SlotKind.TRADE, SlotKind.QUOTE, SlotKind.REFERENCE}),
)
