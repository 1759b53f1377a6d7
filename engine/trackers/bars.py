"""Bars: channels ``bar.1m``, ``bar.5m``, ``bar.15m``, ``bar.1h`` and ``bar.1d``.

Sources: market-behaviour sections 1, 2, 7, 9 and 11. One kernel, a stage for each interval. A row
holds the bar that is open and the one before it, both of the row's trading date. Rules:

Which bar
    A bar has a start on the exchange's clock in ICT (15 minutes from the hour, an hour from the
    full hour) and one phase: ATO, CONTINUOUS, ATC or PLO. A match belongs to the bar of its note's
    phase and of the interval its stamp lies in. A match of CONTINUOUS or PLO whose stamp lies
    outside that phase by the venue's clock (a late stamp in the break, in an auction's call, after
    the close) belongs to the last interval of the phase before it; if there is none, to the first.
    So no bar spans the lunch break. All matches of one auction are one bar, in the interval of the
    first of them. ``bar.1d`` is the whole day: it starts at 00:00, and its phase CONTINUOUS means
    all phases.
Order
    A match that is newer than the open bar opens the next one. One that belongs to the open bar or
    to the previous one is put there. Any other is unplaced volume of the day: its bar has left the
    row. So the volume of a day's bars and what is unplaced add up to the volume of channel
    ``stats``. No bar is made for an interval without a match.
Prices
    Of the matches, in the order of the exchange's cumulative volume: the first is the open, the
    last the close. A LATE match widens high and low, and is open or close only when its stamp is
    before, or after, all others of the bar. Buying and selling follow the note's side; NEUTRAL and
    UNKNOWN are in ``volume_shares`` alone. Flag LATE: a late match was put in, or any match after
    the next bar had opened.
Missed volume
    A message with missed volume shows a gap that began at the last message before it that told
    the day's total, or with the day. The gap touches the bar of this message, and the open and the
    previous bar when they are not older than the bar that a match of the earlier message belongs
    to: those are SUSPECT and count the gap. ``missed_volume_shares`` is of the message's own
    bar. A message that tells no match (the day's baseline, an untold growth) makes no bar: when
    the bar of its time is not there, gap and volume wait for the next bar that opens, which is
    SUSPECT then. A late match takes no mark back.
Corrections
    A correction marks the open bar CORRECTED and changes no figure: the exchange tells how much
    it took back, not from which match.
Indices
    Bars of ``value_e2``, in hundredths of a point; ``trade_count`` counts the values. A message
    without a positive value changes nothing at all. The prior close, told again in PRE and ATO
    before the first match, is no value of today and goes nowhere (``index_value``). Volume and
    value are the growth of the matched totals over the most told today, so that totals that fall
    are never negative flow; the first message is the base (flag BASELINE when it has volume).
    Values told in ATO, CONTINUOUS, ATC and PLO belong to the interval of their stamp. At any other
    time a value whose matched volume grew belongs to the last matching phase, like a match that is
    stamped late; any other goes to ``bar.1d`` alone: a closing value that is told again, or
    repaired. A stamp older than the newest is a late value.
Day roll
    The first bar of a newer trading date begins a blank row; until then yesterday's stays. What
    waited is dropped with its day. seq goes on. Flags BASELINE and CORRECTED stay for the day.

Rows of a group merge: a group that opens three bars of a symbol shows the last two. A row is
published when something in it has changed.
"""

from typing import Any

import numpy as np

from engine.clock import DAY_S
from engine.jit import kernel
from engine.schema import channels
from engine.schema.channels import Channel
from engine.schema.codes import BarFlag, DeltaFlag, Phase, Side, SlotKind, TradeEvent
from engine.shard.groups import LAST, STALE_DAY, publish, stamp, trade_day
from engine.shard.stage import Stage
from engine.trackers.bar_state import (
    NEW,
    NOWHERE,
    OPEN,
    PREV,
    STATE,
    begin_day,
    find,
    has_bars,
    key_of,
    put,
    suspect,
)
from engine.trackers.bar_time import PARAMS, fill_of, key_at, key_of_match_at
from engine.trackers.index_value import todays_value_e2

TRADE, INDEX = int(SlotKind.TRADE), int(SlotKind.INDEX)
MATCH, REPEAT, LATE = int(TradeEvent.MATCH), int(TradeEvent.REPEAT), int(TradeEvent.LATE)
BASELINE, CORRECTION = int(TradeEvent.BASELINE), int(TradeEvent.CORRECTION)
FLAG_BASELINE, FLAG_CORRECTED = int(DeltaFlag.BASELINE), int(DeltaFlag.CORRECTED)
BAR_CORRECTED = int(BarFlag.CORRECTED)
ATO, CONTINUOUS = int(Phase.ATO), int(Phase.CONTINUOUS)
ATC, PLO = int(Phase.ATC), int(Phase.PLO)
NO_SIDE = int(Side.UNKNOWN)


@kernel
def key_if_open(own: Any, params: Any, exch_s: Any, phase: Any) -> Any:
    """Return the open bar's key when a CONTINUOUS match surely belongs there, else 0.

    What `key_at` would say, without looking at clocks: most matches fall into the open bar. An
    interval that has such a bar has a continuous minute, so a stamp inside it is booked there.
    """
    bar = own["open"]
    start_exch_s = np.int64(bar["start_exch_s"])
    if (
        phase == CONTINUOUS
        and bar["bar_phase"] == CONTINUOUS
        and start_exch_s <= exch_s < start_exch_s + params[0]["interval_s"]
    ):
        return key_of(bar)
    return np.int64(0)


@kernel
def put_match(state: Any, symbol_id: Any, params: Any, head: Any, trade: Any, note: Any) -> Any:
    """Put a MATCH or LATE match where it belongs; return OPEN, PREV or NOWHERE."""
    own, exch_s, phase = state[symbol_id], np.int64(head["exch_s"]), note["phase"]
    key = key_if_open(own, params, exch_s, phase)
    if key == 0:
        key = key_at(params, exch_s, head["venue"], phase)
    return put(
        state,
        symbol_id,
        key,
        True,
        exch_s,
        trade["last_price_e2"],
        note["volume_shares"],
        note["value_vnd"],
        note["side"],
        note["event"] == LATE,
    )


@kernel
def mark_gap(own: Any, params: Any, head: Any, missed: Any, at: Any) -> Any:
    """Mark the bars that a gap touches; return whether any was.

    `at` is the place of the match that showed it; NEW: there was no match.
    """
    shown = at
    if at == NEW:
        shown = find(own, key_of_match_at(params, head["exch_s"], head["venue"]), True)
    if shown == NOWHERE:
        shown = OPEN
    if shown == NEW:
        own["pending_count"] += 1
        own["pending_volume_shares"] += missed
    if not has_bars(own):
        return False
    began = own["told_key"]
    if began == 0 and own["told_exch_s"] > 0:
        began = key_of_match_at(params, own["told_exch_s"], head["venue"])
    changed = False
    for place in (OPEN, PREV):
        bar = own["open"] if place == OPEN else own["prev"]
        key = key_of(bar)
        if key != 0 and (place == shown or key >= began):
            suspect(bar, 1, missed if place == shown else 0)
            changed = True
    return changed


@kernel
def flag_day(own: Any, flag: Any) -> Any:
    """Set a flag for the day; return whether that is news for a row that has bars."""
    news = own["day_flags"] & flag == 0 and has_bars(own)
    own["day_flags"] |= flag
    return news


@kernel
def take_trade(state: Any, symbol_id: Any, params: Any, head: Any, trade: Any, note: Any) -> Any:
    """Fold one TRADE slot into the symbol's bars; return whether its row has changed."""
    own = state[symbol_id]
    event, total = note["event"], trade["total_volume_shares"]
    if event == LATE:
        put_match(state, symbol_id, params, head, trade, note)
        return True
    if event == REPEAT and total != own["told_total_shares"]:
        return False  # it repeats an older message and tells nothing of now
    changed = event == MATCH
    at = NEW
    if event == MATCH:
        at = put_match(state, symbol_id, params, head, trade, note)
    if note["missed_volume_shares"] > 0:
        changed |= mark_gap(own, params, head, note["missed_volume_shares"], at)
    if event == BASELINE:
        changed |= flag_day(own, FLAG_BASELINE)
    elif event == CORRECTION:
        changed |= flag_day(own, FLAG_CORRECTED)
        if has_bars(own) and not own["open"]["bar_flags"] & BAR_CORRECTED:
            own["open"]["bar_flags"] |= BAR_CORRECTED
            changed = True
    own["told_total_shares"] = total
    own["told_exch_s"] = head["exch_s"]
    own["told_key"] = 0
    if event == MATCH and at != NOWHERE:
        own["told_key"] = key_of(own["open"] if at == OPEN else own["prev"])
    return changed


@kernel
def index_key(params: Any, head: Any, phase: Any, grew: Any) -> Any:
    """Return the key of the bar that an index's value of today belongs to; 0 when to none."""
    if params[0]["interval_s"] == DAY_S:
        return key_at(params, head["exch_s"], head["venue"], CONTINUOUS)
    if phase in (ATO, CONTINUOUS, ATC, PLO):
        return key_at(params, head["exch_s"], head["venue"], phase)
    if grew:
        return key_of_match_at(params, head["exch_s"], head["venue"])
    return np.int64(0)


@kernel
def take_index(state: Any, symbol_id: Any, params: Any, head: Any, index: Any, note: Any) -> Any:
    """Fold one INDEX slot into the symbol's bars; return whether its row has changed."""
    own = state[symbol_id]
    if index["value_e2"] <= 0:
        return False
    total_volume, total_value = index["matched_volume_shares"], index["matched_value_vnd"]
    volume, value = np.int64(0), np.int64(0)
    changed = False
    if own["index_seen"]:
        volume = max(volume, total_volume - own["index_volume_shares"])
        value = max(value, total_value - own["index_value_vnd"])
    elif total_volume > 0:
        changed = flag_day(own, FLAG_BASELINE)
    own["index_seen"] = 1
    own["index_volume_shares"] = max(own["index_volume_shares"], total_volume)
    own["index_value_vnd"] = max(own["index_value_vnd"], total_value)
    exch_s = np.int64(head["exch_s"])
    late = exch_s < own["index_exch_s"]
    own["index_exch_s"] = max(own["index_exch_s"], exch_s)
    value_e2 = todays_value_e2(index, note["phase"])
    key = index_key(params, head, note["phase"], volume > 0)
    if value_e2 == 0 or key == 0:
        return changed
    at = put(state, symbol_id, key, False, exch_s, value_e2, volume, value, NO_SIDE, late)
    return changed or at != NOWHERE or volume > 0


@kernel
def bars(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:
    """Publish one row per symbol whose bars a group has changed. See ``Stage``."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        kind = head["kind"]
        note = notes[i]
        if kind in (TRADE, INDEX) and not note["flags"] & STALE_DAY:
            symbol_id = head["symbol_id"]
            own = state[symbol_id]
            day = trade_day(head["exch_s"])
            if own["day"] != day:
                begin_day(own, day)
            if kind == TRADE:
                changed = take_trade(state, symbol_id, params, head, rows.trade[i], note)
            else:
                changed = take_index(state, symbol_id, params, head, rows.index[i], note)
            if changed:
                row = own["row"]
                stamp(row, head, note["phase"], own["day_flags"])
                row["interval_s"] = params[0]["interval_s"]
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


def _stage(channel: Channel, interval_s: int) -> Stage:
    return Stage(
        channel.name.replace(".", "_"),
        "symbol",
        STATE,
        PARAMS,
        channel,
        bars,
        f"open, high, low, close and volume in steps of {interval_s} s, phases apart",
        kinds=frozenset({SlotKind.TRADE, SlotKind.INDEX}),
        fill=fill_of(interval_s),
    )


STAGES: tuple[Stage, ...] = tuple(
    _stage(channel, interval_s)
    for channel, interval_s in zip(channels.BARS, (60, 300, 900, 3600, DAY_S), strict=True)
)
