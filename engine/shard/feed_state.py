"""The feed: channel ``feed``, the state of the connection to SSI and its outages.

CONTROL slots reach every shard, because every shard has to know of an outage. The feed's pseudo
symbol is introduced to one shard only, and that one publishes. Rules:

* A FEED_STATE slot that changes the state or the reason is a row; so is each LOST slot. Rows
  never merge: a state that lasted for one group was a state.
* Away is DOWN or CONNECTING. An outage begins when the feed goes from LIVE or STALE to away: a
  first connection is none. STALE is no outage, the line is there. It ends when the feed is
  LIVE, STALE or CLOSED: outside trading hours nothing is missed.
* ``exch_s`` of a row is market time: the newest exchange stamp of the stream plus what has passed
  since by our clock, so that an outage of a replayed or simulated day belongs to that day. Before
  the first stamp it is the wall clock.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import ControlOp, FeedState, Instrument, SlotKind
from engine.schema.deltas import FEED_DELTA
from engine.shard.groups import NO_PARAMS, STALE_DAY, stamp
from engine.shard.stage import Stage

CONTROL, SYMBOL = int(SlotKind.CONTROL), int(SlotKind.SYMBOL)
KIND_NONE = int(SlotKind.NONE)
REFERENCE, BACKFILL = int(SlotKind.REFERENCE), int(SlotKind.BACKFILL)
FEED = int(Instrument.FEED)
FEED_STATE, LOST = int(ControlOp.FEED_STATE), int(ControlOp.LOST)
DOWN, CONNECTING, LIVE = int(FeedState.DOWN), int(FeedState.CONNECTING), int(FeedState.LIVE)
STALE, FEED_CLOSED = int(FeedState.STALE), int(FeedState.CLOSED)

SECOND_NS = 1_000_000_000

STATE = np.dtype(
    [
        ("row", FEED_DELTA),
        ("introduced", "<i8"),  # 1: this is the feed's symbol, and this shard publishes it
        ("told", "<i8"),  # 1: the feed has a state
        ("market_exch_s", "<i8"),  # row 0: newest exchange stamp, and when it came
        ("market_recv_ns", "<i8"),
    ]
)


@kernel
def watch_market(state: Any, head: Any) -> None:
    """Remember the newest exchange stamp of the stream."""
    market = state[0]
    if head["exch_s"] >= market["market_exch_s"]:
        market["market_exch_s"] = head["exch_s"]
        market["market_recv_ns"] = head["recv_ns"]


@kernel
def market_time(state: Any, recv_ns: Any) -> Any:
    """Return the market's time at `recv_ns`, UTC seconds."""
    market = state[0]
    if market["market_exch_s"] == 0:
        return recv_ns // SECOND_NS
    return market["market_exch_s"] + max(0, recv_ns - market["market_recv_ns"]) // SECOND_NS


@kernel
def change_state(own: Any, head: Any, control: Any) -> Any:
    """Take over a FEED_STATE slot; return whether it says anything new."""
    row = own["row"]
    before, now = row["feed_state"], control["arg0"]
    if not DOWN <= now <= FEED_CLOSED:
        return False
    if own["told"] and now == before and row["detail"] == control["detail"]:
        return False
    if not own["told"] or now != before:
        row["since_ns"] = head["recv_ns"]
    away = now in (DOWN, CONNECTING)
    if away and own["told"] and before in (LIVE, STALE):
        row["outage_count"] += 1
        row["outage_from_ns"] = head["recv_ns"]
        row["outage_to_ns"] = 0
    elif not away and row["outage_count"] > 0 and row["outage_to_ns"] == 0:
        row["outage_to_ns"] = head["recv_ns"]
    row["feed_state"] = now
    row["detail"] = control["detail"]
    own["told"] = 1
    return True


@kernel
def feed_state(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish every change of the feed. See ``Stage`` for the arguments; at most a row a slot."""
    count = 0
    for i in range(rows.count):
        head = rows.head[i]
        kind = head["kind"]
        symbol_id = head["symbol_id"]
        if kind == SYMBOL:
            if 0 < symbol_id < state.shape[0] and rows.symbol[i]["instrument"] == FEED:
                state[symbol_id]["introduced"] = 1
        elif kind == CONTROL:
            if not 0 < symbol_id < state.shape[0] or state[symbol_id]["introduced"] == 0:
                continue
            own = state[symbol_id]
            row = own["row"]
            control = rows.control[i]
            news = False
            if control["op"] == FEED_STATE:
                news = change_state(own, head, control)
            elif control["op"] == LOST:
                row["lost_frames"] += control["arg0"]
                news = True
            if news:
                stamp(row, head, 0, 0)
                row["exch_s"] = market_time(state, head["recv_ns"])
                row["seq"] += 1
                row["updates"] = 1
                out[count] = row
                count += 1
        # REST speaks of other times than the present.
        elif kind not in (KIND_NONE, REFERENCE, BACKFILL) and not notes[i]["flags"] & STALE_DAY:
            watch_market(state, head)
    return count


STAGE = Stage(
    "feed_state",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.FEED,
    feed_state,
    "state of the connection to SSI and its outages, one row per change",
)
