"""What is kept of a symbol's bars, and how something is put into them.

The row that clients see holds the open bar and the one before it; here both are also one record
each (`open`, `prev`: the same bytes), so that one function serves both.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema.codes import PHASE_COUNT, BarFlag, Phase, Side
from engine.schema.deltas import BAR_DELTA
from engine.shard.groups import blank_row
from engine.trackers.bar_time import make_key

ATO, ATC = int(Phase.ATO), int(Phase.ATC)
BUY, SELL = int(Side.BUY), int(Side.SELL)
SUSPECT, LATE = int(BarFlag.SUSPECT), int(BarFlag.LATE)

# Where something belongs: a place in `first_exch_s` and `last_exch_s`, or one of two answers.
OPEN, PREV, NEW, NOWHERE = 0, 1, 2, 3

_ROW: dict[str, Any] = dict(BAR_DELTA.fields or {})
_NAMES = [name for name in _ROW if f"prev_{name}" in _ROW]
BAR = np.dtype([(name, _ROW[name][0]) for name in _NAMES])
_OPEN_AT, _PREV_AT = _ROW[_NAMES[0]][1], _ROW[f"prev_{_NAMES[0]}"][1]
assert all(
    _ROW[name][1] - _OPEN_AT == _ROW[f"prev_{name}"][1] - _PREV_AT == place
    for name, (_, place, *_) in (BAR.fields or {}).items()
), "a row must hold its two bars exactly like BAR"

_KEPT = np.dtype(
    [
        ("row", BAR_DELTA),  # the last one published
        ("out_row", "<i8"),
        ("day", "<i8"),  # trading date of what is below; the row may still be of an older one
        ("day_flags", "<i8"),  # DeltaFlag that stay for the day
        ("first_exch_s", "<i8", (2,)),  # oldest and newest stamp in the open bar and in prev
        ("last_exch_s", "<i8", (2,)),
        # The last message that told the day's total; 0: none yet. A key of 0: by its stamp.
        ("told_exch_s", "<i8"),
        ("told_key", "<i8"),
        ("told_total_shares", "<i8"),
        ("pending_count", "<i8"),  # gaps, and their volume, for the next bar that opens
        ("pending_volume_shares", "<i8"),
        ("index_seen", "<i8"),  # 1: the index told a value today
        ("index_exch_s", "<i8"),  # its newest stamp
        ("index_volume_shares", "<i8"),  # the most it has told
        ("index_value_vnd", "<i8"),
    ]
)
_PLACES = [(name, field[0], field[1]) for name, field in (_KEPT.fields or {}).items()]
_PLACES += [("open", BAR, _OPEN_AT), ("prev", BAR, _PREV_AT)]  # the same bytes as in the row

STATE = np.dtype(
    {
        "names": [name for name, _, _ in _PLACES],
        "formats": [dtype for _, dtype, _ in _PLACES],
        "offsets": [place for _, _, place in _PLACES],
        "itemsize": _KEPT.itemsize,
    }
)


@kernel
def begin_day(own: Any, day: Any) -> None:
    """Forget the old day. Its last row stays until there is one of the new day."""
    own["day"] = day
    own["day_flags"] = 0
    own["told_exch_s"] = 0
    own["told_key"] = 0
    own["told_total_shares"] = 0
    own["pending_count"] = 0
    own["pending_volume_shares"] = 0
    own["index_seen"] = 0
    own["index_exch_s"] = 0
    own["index_volume_shares"] = 0
    own["index_value_vnd"] = 0


@kernel
def key_of(bar: Any) -> Any:
    """Return the key of a bar; 0 when there is none."""
    if bar["start_exch_s"] == 0:
        return np.int64(0)
    return make_key(bar["start_exch_s"], bar["bar_phase"])


@kernel
def has_bars(own: Any) -> Any:
    """Return whether a bar of today exists."""
    return own["row"]["trade_day"] == own["day"] and own["open"]["start_exch_s"] != 0


@kernel
def is_bar(bar: Any, key: Any, joins: Any) -> Any:
    """Return whether a bar is the one of this key; all prints of an auction join one bar."""
    known = key_of(bar)
    if known == 0 or known == key:
        return known != 0
    phase = key % PHASE_COUNT
    return joins and phase in (ATO, ATC) and bar["bar_phase"] == phase


@kernel
def find(own: Any, key: Any, joins: Any) -> Any:
    """Return OPEN or PREV, NEW when the bar of this key would follow the open one, or NOWHERE."""
    if not has_bars(own):
        return NEW
    if is_bar(own["open"], key, joins):
        return OPEN
    if is_bar(own["prev"], key, joins):
        return PREV
    return NEW if key > key_of(own["open"]) else NOWHERE


@kernel
def suspect(bar: Any, gaps: Any, missed_volume: Any) -> None:
    """Mark a bar that gaps touch; `missed_volume` is 0 when other messages showed them."""
    bar["bar_flags"] |= SUSPECT
    bar["missed_count"] += gaps
    bar["missed_volume_shares"] += missed_volume


@kernel
def turn(state: Any, symbol_id: Any, key: Any) -> None:
    """Open the bar of `key`; the one that was open is now the previous one."""
    own = state[symbol_id]
    if own["row"]["trade_day"] != own["day"]:
        blank_row(state, symbol_id, own["day"])
    own["prev"] = own["open"]
    own["open"] = state[0]["open"]
    own["first_exch_s"][PREV] = own["first_exch_s"][OPEN]
    own["last_exch_s"][PREV] = own["last_exch_s"][OPEN]
    bar = own["open"]
    bar["start_exch_s"] = key // PHASE_COUNT
    bar["bar_phase"] = key % PHASE_COUNT
    if own["pending_count"] > 0:
        suspect(bar, own["pending_count"], own["pending_volume_shares"])
        own["pending_count"] = 0
        own["pending_volume_shares"] = 0


@kernel
def add_price(own: Any, bar: Any, at: Any, price_e2: Any, exch_s: Any, late: Any) -> None:
    """Let a price move a bar; a late one is first or last only when its stamp proves it."""
    if bar["trade_count"] == 0:
        bar["open_price_e2"] = price_e2
        bar["high_price_e2"] = price_e2
        bar["low_price_e2"] = price_e2
        bar["close_price_e2"] = price_e2
        own["first_exch_s"][at] = exch_s
        own["last_exch_s"][at] = exch_s
    else:
        bar["high_price_e2"] = max(bar["high_price_e2"], price_e2)
        bar["low_price_e2"] = min(bar["low_price_e2"], price_e2)
        if late and exch_s < own["first_exch_s"][at]:
            bar["open_price_e2"] = price_e2
        if not late or exch_s > own["last_exch_s"][at]:
            bar["close_price_e2"] = price_e2
        own["first_exch_s"][at] = min(own["first_exch_s"][at], exch_s)
        own["last_exch_s"][at] = max(own["last_exch_s"][at], exch_s)
    bar["trade_count"] += 1
    if late or at == PREV:
        bar["bar_flags"] |= LATE


@kernel
def add_volume(bar: Any, volume: Any, value: Any, side: Any) -> None:
    """Count what was traded into a bar."""
    bar["volume_shares"] += volume
    bar["value_vnd"] += value
    if side == BUY:
        bar["buy_volume_shares"] += volume
    elif side == SELL:
        bar["sell_volume_shares"] += volume


@kernel
def put(
    state: Any,
    symbol_id: Any,
    key: Any,
    joins: Any,
    exch_s: Any,
    price_e2: Any,
    volume: Any,
    value: Any,
    side: Any,
    late: Any,
) -> Any:
    """Put one price with its volume where `key` belongs; return OPEN, PREV or NOWHERE.

    A bar that is newer than the open one is opened. What fits nowhere is unplaced volume.
    """
    own = state[symbol_id]
    at = find(own, key, joins)
    if at == NOWHERE:
        own["row"]["unplaced_volume_shares"] += volume
        return at
    if at == PREV:
        add_price(own, own["prev"], PREV, price_e2, exch_s, late)
        add_volume(own["prev"], volume, value, side)
        return at
    if at == NEW:
        turn(state, symbol_id, key)
    add_price(own, own["open"], OPEN, price_e2, exch_s, late)
    add_volume(own["open"], volume, value, side)
    return OPEN
