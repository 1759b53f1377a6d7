"""Alert ``block_trade``: one very large match, or one very large negotiated deal.

Source: market-behaviour section 10. Rules:

* Info: a match, of any phase, worth ``block_trade_min_vnd`` or more. Volume that was missed is no
  match, a LATE match is old, and the first news after an outage is not judged.
* Info, with phase PUT_THROUGH: a deal worth ``block_put_through_min_vnd`` or more. What a deal is,
  and which message only repeats one, is ``trackers.put_through``; the day's first message is no
  news when its total says that there were deals before it.
* Both are one type: the second within ``repeat_s`` is a repeat.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.alerts.history import begin_alert, is_repeat, tell
from engine.config import AlertsConfig
from engine.jit import kernel
from engine.schema.codes import (
    AlertState,
    AlertType,
    DeltaFlag,
    NoteFlag,
    Phase,
    Severity,
    TradeEvent,
)
from engine.trackers.put_through import DEAL_FIELDS, watch_deal

TYPE = np.int64(AlertType.BLOCK_TRADE)
NO_STATE, INFO = np.int64(AlertState.NONE), np.int64(Severity.INFO)
MATCH, AFTER_OUTAGE = int(TradeEvent.MATCH), int(NoteFlag.AFTER_OUTAGE)
PUT_THROUGH, BASELINE = int(Phase.PUT_THROUGH), int(DeltaFlag.BASELINE)

FIELDS: list[Any] = [*DEAL_FIELDS]
PARAMS: list[Any] = [("block_trade_vnd", "<i8"), ("block_put_through_vnd", "<i8")]


def fill_block_trade(params: NDArray[np.void], settings: AlertsConfig) -> None:
    """Write the rule's numbers into ``params[0]``."""
    params[0]["block_trade_vnd"] = settings.block_trade_min_vnd
    params[0]["block_put_through_vnd"] = settings.block_put_through_min_vnd


@kernel
def tell_block(
    state: Any,
    symbol_id: Any,
    head: Any,
    phase: Any,
    price_e2: Any,
    volume: Any,
    value_vnd: Any,
    least_vnd: Any,
    params: Any,
    out: Any,
    count: Any,
) -> Any:
    """Tell a block unless it is too small or a repeat; return the new count."""
    own, exch_s = state[symbol_id], head["exch_s"]
    if value_vnd < least_vnd or is_repeat(own, params, TYPE, NO_STATE, INFO, exch_s):
        return count
    begin_alert(state, symbol_id, head, phase, exch_s, TYPE, NO_STATE, INFO)
    row = own["row"]
    row["price_e2"] = price_e2
    row["volume_shares"] = volume
    row["value_vnd"] = value_vnd
    row["measured"] = value_vnd
    row["threshold"] = least_vnd
    return tell(own, out, count)


@kernel
def block_match(
    state: Any, symbol_id: Any, head: Any, trade: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask the rule about a TRADE slot; return the new count."""
    if note["event"] != MATCH or note["flags"] & AFTER_OUTAGE:
        return count
    return tell_block(
        state,
        symbol_id,
        head,
        note["phase"],
        trade["last_price_e2"],
        note["volume_shares"],
        note["value_vnd"],
        params[0]["block_trade_vnd"],
        params,
        out,
        count,
    )


@kernel
def block_deal(
    state: Any, symbol_id: Any, head: Any, deal: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask the rule about a PUT_THROUGH slot; return the new count."""
    own = state[symbol_id]
    watch_deal(own, head, deal)
    if not own["deal_told"] or own["deal_flags"] & BASELINE:
        return count
    return tell_block(
        state,
        symbol_id,
        head,
        PUT_THROUGH,
        deal["price_e2"],
        deal["volume_shares"],
        own["deal_value_vnd"],
        params[0]["block_put_through_vnd"],
        params,
        out,
        count,
    )
