"""Foreign flow: channel ``foreign``, what foreigners bought and sold, how fast, and the room left.

Source: market-behaviour section 6. How figures become deltas, sums and used room is said in
``flow``; here is what becomes of them in rows. Rules:

* A row is published when a figure, a delta, the room or a trailing sum changed: one per symbol and
  group. A TRADE or QUOTE slot publishes when the time it shows took something out of a window, so
  that a speed falls to 0 when foreigners fall silent.
* The first FOREIGN message of a trading date always is a row, and begins blank. Flags BASELINE and
  RESET stay for the day.
* The symbol's first FOREIGN message since an outage always is a row, with flag AFTER_OUTAGE: its
  deltas are 0, and what came in the outage is in no sum. Rows of later groups do not have the flag.
* Deltas are those of the last FOREIGN message; in a row that only time made they stand as before.
* A row has sums. Speed and acceleration are made of them where they are shown: speed is the sum of
  five minutes / 5, acceleration the difference to the sum one minute ago / 5, per minute.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import DeltaFlag, SlotKind
from engine.schema.deltas import FOREIGN_DELTA
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, in_group, publish, stamp
from engine.shard.stage import Stage
from engine.trackers import away, flow
from engine.trackers.flow import (
    BUY_VALUE,
    BUY_VOLUME,
    FLOW_FIELDS,
    FLOW_KINDS,
    NOTHING,
    SELL_VALUE,
    SELL_VOLUME,
    watch_flow,
)

BASELINE, RESET, FOUND = flow.BASELINE, flow.RESET, flow.FOUND
FLAG_BASELINE, FLAG_RESET = int(DeltaFlag.BASELINE), int(DeltaFlag.RESET)
FLAG_AFTER_OUTAGE = int(DeltaFlag.AFTER_OUTAGE)
CONTROL = int(SlotKind.CONTROL)
TIMED = (int(SlotKind.FOREIGN), int(SlotKind.TRADE), int(SlotKind.QUOTE))

STATE = np.dtype([("row", FOREIGN_DELTA), ("out_row", "<i8"), *away.FIELDS, *FLOW_FIELDS])

watch_outages = away.watch_outages


@kernel
def tell(row: Any, own: Any) -> None:
    """Write what the flow knows into the row."""
    told, delta = own["flow_told"], own["flow_delta"]
    row["buy_volume_shares"] = told[BUY_VOLUME]
    row["sell_volume_shares"] = told[SELL_VOLUME]
    row["buy_value_vnd"] = told[BUY_VALUE]
    row["sell_value_vnd"] = told[SELL_VALUE]
    row["delta_buy_volume_shares"] = delta[BUY_VOLUME]
    row["delta_sell_volume_shares"] = delta[SELL_VOLUME]
    row["delta_buy_value_vnd"] = delta[BUY_VALUE]
    row["delta_sell_value_vnd"] = delta[SELL_VALUE]
    row["net_volume_5m_shares"] = own["flow_net_volume_5m_shares"]
    row["net_value_5m_vnd"] = own["flow_net_value_5m_vnd"]
    row["net_volume_5m_before_shares"] = own["flow_net_volume_5m_before_shares"]
    row["net_value_5m_before_vnd"] = own["flow_net_value_5m_before_vnd"]
    row["total_room_shares"] = own["flow_total_room_shares"]
    row["current_room_shares"] = own["flow_current_room_shares"]
    row["room_used_5m_shares"] = own["flow_room_used_5m_shares"]


@kernel
def foreign(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per symbol whose flow changed in a group. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        if head["kind"] == CONTROL:
            watch_outages(state, head, rows.control[i])
        elif head["kind"] in TIMED and not notes[i]["flags"] & STALE_DAY:
            watch_outages(state, head, rows.control[i])
            symbol_id = head["symbol_id"]
            own = state[symbol_id]
            row = own["row"]
            outages_before = own["flow_outage_no"]
            news = watch_flow(own, head, rows.foreign[i], state[0]["outage_no"])
            if news != NOTHING:
                flags = row["flags"]
                if not in_group(own, symbol_id, out, base, count):
                    flags -= flags & FLAG_AFTER_OUTAGE
                if row["trade_day"] != own["flow_day"]:
                    row["trade_day"] = own["flow_day"]
                    row["reset_count"] = 0
                    flags = 0
                if news == BASELINE:
                    flags |= FLAG_BASELINE
                elif news == RESET:
                    flags |= FLAG_RESET
                    row["reset_count"] += 1
                # A figure may have fallen in the outage: then it is both.
                if news in (FOUND, RESET) and own["flow_outage_no"] != outages_before:
                    flags |= FLAG_AFTER_OUTAGE
                tell(row, own)
                stamp(row, head, notes[i]["phase"], flags)
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "foreign",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.FOREIGN,
    foreign,
    "foreign buying and selling, its trailing sums, and the room left",
    kinds=FLOW_KINDS | {SlotKind.CONTROL},
)
