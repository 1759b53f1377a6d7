"""Indices minute by minute: channel ``index.series``, the whole day in one row.

Source: market-behaviour section 7. ``series`` says how minutes become entries of a row. Rules:

* A value is what ``index`` counts into the day's range: positive, and not the prior close told once
  more before the first match. An entry is the last value of its minute, by the exchange's stamp.
* A row is published when a minute begins: the minute before has its last value in it, and the new
  one the value that began it. What the running minute adds comes with the next minute.
* In BREAK and CLOSED a minute gets an entry only when its value differs from the last known one,
  because an index repeats itself for hours then; a row that finishes the minute before is published
  all the same. A row holds SERIES_MINUTES; minutes that come after so many are not kept.
* A newer trading date begins blank with its first value.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import Phase, SlotKind
from engine.schema.deltas import INDEX_SERIES_DELTA
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, publish, stamp, trade_day
from engine.shard.stage import Stage
from engine.trackers.index_value import todays_value_e2
from engine.trackers.series import FULL, begin_minute, place_of

INDEX = int(SlotKind.INDEX)
BREAK, CLOSED = int(Phase.BREAK), int(Phase.CLOSED)

STATE = np.dtype(
    [
        ("row", INDEX_SERIES_DELTA),
        ("out_row", "<i8"),
        ("value_e2", "<i8"),  # newest value of the last entry's minute
    ]
)


@kernel
def begin_day(own: Any, day: Any) -> None:
    """Empty the series. Entries beyond its count are 0, so that equal days are equal bytes."""
    row = own["row"]
    for place in range(row["series_count"]):
        row["series_exch_s"][place] = 0
        row["series_value_e2"][place] = 0
    row["series_count"] = 0
    row["trade_day"] = day
    own["value_e2"] = 0


@kernel
def add(own: Any, exch_s: Any, value_e2: Any, phase: Any) -> Any:
    """Add a value of today; return whether the row changed."""
    row = own["row"]
    place = place_of(row, exch_s)
    count = np.int64(row["series_count"])
    if place == count - 1:
        own["value_e2"] = value_e2
        return False
    finished = count > 0 and row["series_value_e2"][count - 1] != own["value_e2"]
    if finished:
        row["series_value_e2"][count - 1] = own["value_e2"]
    if place == FULL or (phase in (BREAK, CLOSED) and value_e2 == own["value_e2"]):
        return finished
    begin_minute(row, exch_s)
    row["series_value_e2"][place] = value_e2
    own["value_e2"] = value_e2
    return True


@kernel
def index_series(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish the series of an index when a minute begins. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        if head["kind"] == INDEX and not notes[i]["flags"] & STALE_DAY:
            phase = notes[i]["phase"]
            value_e2 = todays_value_e2(rows.index[i], phase)
            if value_e2 > 0:
                symbol_id = head["symbol_id"]
                own = state[symbol_id]
                row = own["row"]
                day = trade_day(head["exch_s"])
                if row["trade_day"] != day:
                    begin_day(own, day)
                if add(own, head["exch_s"], value_e2, phase):
                    stamp(row, head, phase, 0)
                    count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "index_series",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.INDEX_SERIES,
    index_series,
    "the index minute by minute",
    kinds=frozenset({SlotKind.INDEX}),
)
