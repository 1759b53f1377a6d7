"""Alert ``price_limit``: a price comes to its ceiling or floor, or goes away from it.

Source: market-behaviour section 10. What is at a limit, and since when, is said by
``trackers.limit_watch``. Rules:

* BEGIN, critical: a match enters the ceiling or the floor; once per entry.
* An entry that was not seen happening is adopted in silence: the first message of the day, a limit
  that is told after the price, a correction. But a price found at a limit after an outage is told:
  it is true now, and was not when the symbol was last heard of.
* A BEGIN that was held back as a repeat is owed: the first TRADE or QUOTE slot after the repeat
  time that finds the price still there tells it, with the numbers as they stand then; its volume is
  what matched at the limit since the entry.
* END, warning, if the BEGIN was told: the price left, whatever showed it. It tells the queue that
  last waited there. From one limit to the other are an END and a BEGIN.
* Books and halts begin and end nothing (a book may tell what is owed); books say how long the queue
  is.
* A new trading date has no limits and no price, and ends nothing.
"""

from typing import Any

import numpy as np

from engine.alerts.history import begin_alert, is_repeat, seconds_since, tell
from engine.jit import inlined_kernel, kernel
from engine.schema.codes import (
    AlertState,
    AlertType,
    DeltaFlag,
    GapCause,
    LimitEvent,
    LimitState,
    Severity,
    SlotKind,
    TradeEvent,
)
from engine.trackers.limit_watch import (
    LIMIT_FIELDS,
    land,
    watch_limits,
    watch_match,
    watch_queue,
)

TYPE = np.int64(AlertType.PRICE_LIMIT)
BEGIN, END = np.int64(AlertState.BEGIN), np.int64(AlertState.END)
WARNING, CRITICAL = np.int64(Severity.WARNING), np.int64(Severity.CRITICAL)
ENTER, LEAVE = int(LimitEvent.ENTER), int(LimitEvent.LEAVE)
NOTHING, ELSEWHERE = int(LimitEvent.NONE), int(LimitState.NONE)
TRADE, QUOTE, REFERENCE = int(SlotKind.TRADE), int(SlotKind.QUOTE), int(SlotKind.REFERENCE)
MATCH, BASELINE = int(TradeEvent.MATCH), int(TradeEvent.BASELINE)
FOUND = int(DeltaFlag.BASELINE)
AWAY_CAUSES = (int(GapCause.OUTAGE), int(GapCause.LOST))

FIELDS: list[Any] = [
    *LIMIT_FIELDS,
    ("limit_told", "u1"),  # the BEGIN of this visit was told
    ("limit_owed", "u1"),  # it was held back as a repeat; says nothing without a visit
]


@kernel
def seen_happening(own: Any, note: Any) -> Any:
    """Return whether an entry is news, and not a state that was found."""
    if note["event"] == MATCH:
        return own["event_flags"] & FOUND == 0
    return note["event"] == BASELINE and note["cause"] in AWAY_CAUSES


@kernel
def tell_begin(
    state: Any,
    symbol_id: Any,
    head: Any,
    note: Any,
    volume_shares: Any,
    params: Any,
    out: Any,
    count: Any,
) -> Any:
    """Tell a BEGIN, or owe it when it is a repeat; return the new count."""
    own = state[symbol_id]
    exch_s = head["exch_s"]
    if is_repeat(own, params, TYPE, BEGIN, CRITICAL, exch_s):
        own["limit_owed"] = 1
        return count
    own["limit_told"] = 1
    own["limit_owed"] = 0
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, BEGIN, CRITICAL)
    row = own["row"]
    row["limit_state"] = own["limit_state"]
    row["price_e2"] = own["last_price_e2"]
    row["level_e2"] = own["limit_price_e2"]
    row["volume_shares"] = volume_shares
    row["count"] = own["enter_count"]
    return tell(own, out, count)


@kernel
def tell_entry(
    state: Any, symbol_id: Any, head: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Tell the BEGIN of a visit that begins now, unless it was not seen; return the new count."""
    own = state[symbol_id]
    own["limit_told"] = 0
    own["limit_owed"] = 0
    if not seen_happening(own, note):
        return count
    return tell_begin(state, symbol_id, head, note, note["volume_shares"], params, out, count)


@kernel
def tell_leave(
    state: Any, symbol_id: Any, head: Any, note: Any, left: Any, out: Any, count: Any
) -> Any:
    """Tell the END of a visit to the LimitState `left`; return the new count."""
    own = state[symbol_id]
    exch_s = head["exch_s"]
    own["limit_told"] = 0
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, END, WARNING)
    row = own["row"]
    row["limit_state"] = left
    row["price_e2"] = own["last_price_e2"]
    row["level_e2"] = own["limit_price_e2"]
    row["volume_shares"] = own["left_queue_shares"]
    row["count"] = own["enter_count"]
    row["duration_s"] = seconds_since(exch_s, own["since_exch_s"])
    return tell(own, out, count)


@inlined_kernel
def watch(own: Any, rows: Any, i: Any, note: Any) -> Any:
    """Let slot `i` move the limit watch on; return the LimitEvent."""
    head = rows.head[i]
    kind = head["kind"]
    if kind == TRADE:
        return watch_match(own, head, rows.trade[i], note)
    if kind == QUOTE:
        return watch_queue(own, head, rows.quote[i], note)
    if kind == REFERENCE:
        return watch_limits(own, head, rows.reference[i], note)
    return NOTHING


@inlined_kernel
def price_limit(
    state: Any, symbol_id: Any, rows: Any, i: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask the rule about slot `i`; return the new count, at most two more."""
    own, head = state[symbol_id], rows.head[i]
    at = own["limit_state"]
    event = watch(own, rows, i, note)
    if event == LEAVE:
        if own["limit_told"]:
            count = tell_leave(state, symbol_id, head, note, at, out, count)
        event = land(own, head, note)
    if event == ENTER:
        return tell_entry(state, symbol_id, head, note, params, out, count)
    # REST speaks of other times than the present: it is no clock for what is owed.
    if own["limit_owed"] and own["limit_state"] != ELSEWHERE and head["kind"] != REFERENCE:
        volume = own["hit_volume_shares"]
        count = tell_begin(state, symbol_id, head, note, volume, params, out, count)
    return count
