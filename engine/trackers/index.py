"""Indices: channel ``index``, value, range, breadth and volumes as the exchange tells them.

Sources: market-behaviour section 7, ssi-wire 3.6. Rules:

* 0 is no value: value and prior value keep their last positive one. A message without a value and
  without an estimate is a zero snapshot and changes nothing, whatever else it carries.
* The estimate is as carried (0 = none): it belongs to auctions and ends with them.
* Open, high and low are of today's values. What is told in PRE or ATO before anything was
  matched is the prior close once more: it is the value, and makes no range (``index_value``).
* Five breadth counters of 0 do not overwrite counters that were not all 0: the feed sends such
  after the close. The last ones are kept, with flag NO_BREADTH until they are told again.
* Volumes, values and the trade count follow the exchange as they are, down too; a total volume that
  fell today is flagged CORRECTED for the day.
* A newer trading date begins blank with its first message that is no zero snapshot.
* A row is published when anything in it but the stamp changed: one per index and group.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import DeltaFlag, SlotKind
from engine.schema.deltas import INDEX_DELTA
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, blank_row, publish, stamp, trade_day
from engine.shard.stage import Stage
from engine.trackers.index_value import todays_value_e2

INDEX = int(SlotKind.INDEX)
CORRECTED, NO_BREADTH = int(DeltaFlag.CORRECTED), int(DeltaFlag.NO_BREADTH)

STATE = np.dtype(
    [
        ("row", INDEX_DELTA),
        ("out_row", "<i8"),
        ("breadth_exch_s", "<i8"),  # stamp of the newest counters; in the row when it is published
    ]
)


@kernel
def begin_day(state: Any, symbol_id: Any, day: Any) -> None:
    """Begin a trading date: a blank row, and no breadth told."""
    blank_row(state, symbol_id, day)
    state[symbol_id]["breadth_exch_s"] = 0


@kernel
def take_values(row: Any, told: Any, today_e2: Any) -> Any:
    """Take over value, prior value, estimate and range; return whether any of them changed."""
    news = told["estimated_value_e2"] != row["estimated_value_e2"]
    row["estimated_value_e2"] = told["estimated_value_e2"]
    if told["value_e2"] > 0 and told["value_e2"] != row["value_e2"]:
        row["value_e2"] = told["value_e2"]
        news = True
    if told["prior_value_e2"] > 0 and told["prior_value_e2"] != row["prior_value_e2"]:
        row["prior_value_e2"] = told["prior_value_e2"]
        news = True
    if today_e2 > 0:
        if row["open_value_e2"] == 0:
            row["open_value_e2"] = today_e2
            news = True
        if today_e2 > row["high_value_e2"]:
            row["high_value_e2"] = today_e2
            news = True
        if row["low_value_e2"] == 0 or today_e2 < row["low_value_e2"]:
            row["low_value_e2"] = today_e2
            news = True
    return news


@kernel
def no_breadth(counters: Any) -> Any:
    """Return whether all five breadth counters of a slot or a row are 0."""
    return (
        counters["advances"] == 0
        and counters["unchanged"] == 0
        and counters["declines"] == 0
        and counters["ceilings"] == 0
        and counters["floors"] == 0
    )


@kernel
def take_breadth(row: Any, told: Any) -> Any:
    """Take over counters that are told; return whether any changed."""
    if no_breadth(told):
        return False
    news = (
        told["advances"] != row["advances"]
        or told["unchanged"] != row["unchanged"]
        or told["declines"] != row["declines"]
        or told["ceilings"] != row["ceilings"]
        or told["floors"] != row["floors"]
    )
    row["advances"] = told["advances"]
    row["unchanged"] = told["unchanged"]
    row["declines"] = told["declines"]
    row["ceilings"] = told["ceilings"]
    row["floors"] = told["floors"]
    return news


@kernel
def take_volumes(row: Any, told: Any) -> Any:
    """Take over volumes, values and the trade count; return whether any changed."""
    news = (
        told["matched_volume_shares"] != row["matched_volume_shares"]
        or told["matched_value_vnd"] != row["matched_value_vnd"]
        or told["put_through_volume_shares"] != row["put_through_volume_shares"]
        or told["put_through_value_vnd"] != row["put_through_value_vnd"]
        or told["total_volume_shares"] != row["total_volume_shares"]
        or told["total_value_vnd"] != row["total_value_vnd"]
        or told["odd_lot_volume_shares"] != row["odd_lot_volume_shares"]
        or told["odd_lot_value_vnd"] != row["odd_lot_value_vnd"]
        or told["trade_count"] != row["trade_count"]
    )
    row["matched_volume_shares"] = told["matched_volume_shares"]
    row["matched_value_vnd"] = told["matched_value_vnd"]
    row["put_through_volume_shares"] = told["put_through_volume_shares"]
    row["put_through_value_vnd"] = told["put_through_value_vnd"]
    row["total_volume_shares"] = told["total_volume_shares"]
    row["total_value_vnd"] = told["total_value_vnd"]
    row["odd_lot_volume_shares"] = told["odd_lot_volume_shares"]
    row["odd_lot_value_vnd"] = told["odd_lot_value_vnd"]
    row["trade_count"] = told["trade_count"]
    return news


@kernel
def flags_of(row: Any, told: Any) -> Any:
    """Return the flags that the message gives the row; asked before the row takes it over."""
    flags = np.int64(row["flags"]) & CORRECTED
    if told["total_volume_shares"] < row["total_volume_shares"]:
        flags |= CORRECTED
    if no_breadth(told) and not no_breadth(row):
        flags |= NO_BREADTH
    return flags


@kernel
def index(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per index that a group told news of. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        told = rows.index[i]
        if (
            head["kind"] == INDEX
            and not notes[i]["flags"] & STALE_DAY
            and (told["value_e2"] > 0 or told["estimated_value_e2"] > 0)
        ):
            symbol_id = head["symbol_id"]
            own = state[symbol_id]
            row = own["row"]
            day = trade_day(head["exch_s"])
            news = row["trade_day"] != day
            if news:
                begin_day(state, symbol_id, day)
            phase = notes[i]["phase"]
            flags = flags_of(row, told)
            news = flags != row["flags"] or news
            news = take_values(row, told, todays_value_e2(told, phase)) or news
            news = take_breadth(row, told) or news
            news = take_volumes(row, told) or news
            if not no_breadth(told):
                own["breadth_exch_s"] = head["exch_s"]
            if news:
                row["breadth_exch_s"] = own["breadth_exch_s"]
                stamp(row, head, phase, flags)
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "index",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.INDEX,
    index,
    "index value, range, breadth and volumes, the day's breadth kept after the close",
    kinds=frozenset({SlotKind.INDEX}),
)
