"""Alert ``feed``: the connection to SSI, and volume that it did not show.

Sources: market-behaviour sections 10 and 11. Two keys:

The feed's pseudo symbol, on the one shard it is introduced to
    * BEGIN, critical: the feed goes from LIVE or STALE to away (DOWN, CONNECTING). A first
      connection is no outage.
    * BEGIN, warning: it is STALE: connected, but silent for longer than its phase explains.
    * END, info, if a BEGIN was told: it is LIVE again; how long is since the first of them.
      CLOSED ends it in silence: outside trading hours nothing is missed.
    * Warning without a state: our own backlog dropped frames.
    * Its time is the market's, as on channel ``feed``: also that of repeats and of the date.
A symbol
    * BEGIN, warning: a gap was opened (the ledger says so in the note) by skipped messages or by
      one that tells no match. Gaps of cause BASELINE, OUTAGE and LOST have no alert: what caused
      them had its own, or was no fault.
    * END, info, if the BEGIN was told: that gap was closed. The last GAPS_MAX gaps told are
      remembered; of several that one slot closes the note names one. A new trading date
      forgets them.
"""

from typing import Any

import numpy as np

from engine.alerts.history import begin_alert, forget_told, is_repeat, seconds_since, tell
from engine.jit import kernel
from engine.schema.codes import (
    AlertState,
    AlertType,
    ControlOp,
    FeedState,
    GapCause,
    NoteFlag,
    Severity,
)
from engine.shard.feed_state import market_time
from engine.shard.groups import trade_day

TYPE = np.int64(AlertType.FEED)
NO_STATE, BEGIN, END = (
    np.int64(AlertState.NONE),
    np.int64(AlertState.BEGIN),
    np.int64(AlertState.END),
)
INFO, WARNING, CRITICAL = (
    np.int64(Severity.INFO),
    np.int64(Severity.WARNING),
    np.int64(Severity.CRITICAL),
)
FEED_STATE, LOST = int(ControlOp.FEED_STATE), int(ControlOp.LOST)
DOWN, CONNECTING, LIVE = int(FeedState.DOWN), int(FeedState.CONNECTING), int(FeedState.LIVE)
STALE, FEED_CLOSED = int(FeedState.STALE), int(FeedState.CLOSED)
GAP_OPENED, GAP_CLOSED = int(NoteFlag.GAP_OPENED), int(NoteFlag.GAP_CLOSED)
SKIPPED, UNTOLD = int(GapCause.SKIPPED), int(GapCause.UNTOLD)
BY_LOST = int(GapCause.LOST)

GAPS_MAX = 4
COUNT_MAX = 2**32 - 1

FIELDS: list[Any] = [
    ("market_exch_s", "<i8"),  # row 0: newest exchange stamp, and when it came (feed_state)
    ("market_recv_ns", "<i8"),
    ("feed_introduced", "u1"),  # 1: this is the feed's symbol, and this shard tells of it
    ("feed_known", "u1"),  # 1: the feed has a state
    ("feed_is", "u1"),  # FeedState
    ("feed_ails", "u1"),  # 1: away or stale since `feed_ails_exch_s`
    ("feed_told", "u1"),  # a BEGIN of this was told
    ("feed_ails_exch_s", "<i8"),
    ("gap_next", "u1"),  # place of the next gap that is told
    ("gap_told_no", "<u4", (GAPS_MAX,)),  # 0: free
    ("gap_told_exch_s", "<u4", (GAPS_MAX,)),
    ("gap_told_cause", "u1", (GAPS_MAX,)),
    ("gap_told_volume_shares", "<i8", (GAPS_MAX,)),
]


@kernel
def forget_gaps(own: Any) -> None:
    """Begin a symbol's trading date."""
    own["gap_next"] = 0
    for place in range(GAPS_MAX):
        own["gap_told_no"][place] = 0


@kernel
def tell_feed(
    state: Any,
    symbol_id: Any,
    head: Any,
    exch_s: Any,
    alert_state: Any,
    severity: Any,
    params: Any,
    out: Any,
    count: Any,
) -> Any:
    """Tell how the feed is, unless it is a BEGIN that repeats; return the new count."""
    own = state[symbol_id]
    lasted_s = seconds_since(exch_s, own["feed_ails_exch_s"])
    if alert_state == BEGIN:
        if is_repeat(own, params, TYPE, BEGIN, severity, exch_s):
            return count
        own["feed_told"] = 1
    begin_alert(state, symbol_id, head, 0, exch_s, TYPE, alert_state, severity)
    own["row"]["feed_state"] = own["feed_is"]
    if alert_state == END:
        own["row"]["duration_s"] = lasted_s
    return tell(own, out, count)


@kernel
def begin_ailing(own: Any, exch_s: Any) -> None:
    """Remember since when the feed is not well, if it was until now."""
    if not own["feed_ails"]:
        own["feed_ails"] = 1
        own["feed_told"] = 0
        own["feed_ails_exch_s"] = exch_s


@kernel
def feed_changes(
    state: Any, symbol_id: Any, head: Any, now: Any, exch_s: Any, params: Any, out: Any, count: Any
) -> Any:
    """Take over a FeedState; return the new count."""
    own = state[symbol_id]
    before, known = own["feed_is"], own["feed_known"]
    if not DOWN <= now <= FEED_CLOSED or (known and now == before):
        return count
    own["feed_known"] = 1
    own["feed_is"] = now
    if now == STALE:
        begin_ailing(own, exch_s)
        return tell_feed(state, symbol_id, head, exch_s, BEGIN, WARNING, params, out, count)
    if now in (DOWN, CONNECTING):
        if not known or before not in (LIVE, STALE):
            return count
        begin_ailing(own, exch_s)
        return tell_feed(state, symbol_id, head, exch_s, BEGIN, CRITICAL, params, out, count)
    told = own["feed_ails"] and own["feed_told"] and now == LIVE
    own["feed_ails"] = 0
    if not told:
        return count
    return tell_feed(state, symbol_id, head, exch_s, END, INFO, params, out, count)


@kernel
def frames_lost(
    state: Any,
    symbol_id: Any,
    head: Any,
    frames: Any,
    exch_s: Any,
    params: Any,
    out: Any,
    count: Any,
) -> Any:
    """Tell that our backlog dropped frames, unless it repeats; return the new count."""
    own = state[symbol_id]
    if frames <= 0 or is_repeat(own, params, TYPE, NO_STATE, WARNING, exch_s):
        return count
    begin_alert(state, symbol_id, head, 0, exch_s, TYPE, NO_STATE, WARNING)
    row = own["row"]
    row["feed_state"] = own["feed_is"]
    row["gap_cause"] = BY_LOST
    row["measured"] = frames
    row["count"] = min(frames, COUNT_MAX)
    return tell(own, out, count)


@kernel
def feed(
    state: Any, symbol_id: Any, head: Any, control: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask the rule about a CONTROL slot; return the new count. Others than the feed's are not."""
    if not 0 < symbol_id < state.shape[0] or not state[symbol_id]["feed_introduced"]:
        return count
    op = control["op"]
    if op not in (FEED_STATE, LOST):
        return count
    own = state[symbol_id]
    exch_s = market_time(state, head["recv_ns"])
    day = trade_day(exch_s)
    if day != own["day"]:  # before the first stamp it was the wall clock: it may step back
        forget_told(own, day)
    if op == LOST:
        frames = control["arg0"]
        return frames_lost(state, symbol_id, head, frames, exch_s, params, out, count)
    return feed_changes(state, symbol_id, head, control["arg0"], exch_s, params, out, count)


@kernel
def gap_opens(
    state: Any, symbol_id: Any, head: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Tell a gap that the ledger opened, unless it repeats or something else told of it."""
    own, exch_s, cause = state[symbol_id], head["exch_s"], note["cause"]
    if cause not in (SKIPPED, UNTOLD):
        return count
    if is_repeat(own, params, TYPE, BEGIN, WARNING, exch_s):
        return count
    place = own["gap_next"]
    own["gap_next"] = (place + 1) % GAPS_MAX
    own["gap_told_no"][place] = note["gap_no"]
    own["gap_told_exch_s"][place] = exch_s
    own["gap_told_cause"][place] = cause
    own["gap_told_volume_shares"][place] = note["missed_volume_shares"]
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, BEGIN, WARNING)
    row = own["row"]
    row["gap_no"] = note["gap_no"]
    row["gap_cause"] = cause
    row["volume_shares"] = note["missed_volume_shares"]
    return tell(own, out, count)


@kernel
def gap_closes(state: Any, symbol_id: Any, head: Any, note: Any, out: Any, count: Any) -> Any:
    """Tell that a gap was closed, if its opening was told; return the new count."""
    own, exch_s = state[symbol_id], head["exch_s"]
    for place in range(GAPS_MAX):
        if own["gap_told_no"][place] == 0 or own["gap_told_no"][place] != note["gap_no"]:
            continue
        begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, END, INFO)
        row = own["row"]
        row["gap_no"] = note["gap_no"]
        row["gap_cause"] = own["gap_told_cause"][place]
        row["volume_shares"] = own["gap_told_volume_shares"][place]
        row["duration_s"] = seconds_since(exch_s, own["gap_told_exch_s"][place])
        return tell(own, out, count)
    return count


@kernel
def gaps(
    state: Any, symbol_id: Any, head: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask what the ledger noted of a slot; return the new count."""
    if note["flags"] & GAP_OPENED:
        return gap_opens(state, symbol_id, head, note, params, out, count)
    if note["flags"] & GAP_CLOSED:
        return gap_closes(state, symbol_id, head, note, out, count)
    return count
