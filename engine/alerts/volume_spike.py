"""Alert ``volume_spike``: one match far larger than the matches before it.

Source: market-behaviour section 10. Rules:

* Only matches of phase CONTINUOUS count, on both sides of the comparison. Missed volume is no
  match. A LATE one is of another time and is neither judged nor counted.
* Info: volume > ``volume_spike_percent`` / 100 x the mean volume of the matches in the trailing
  ``volume_spike_window_s``, of which there are at least ``volume_spike_trades_min``. The match
  itself is not in the mean. In whole numbers: volume x count x 100 > percent x sum.
* The first news after an outage is counted and not judged.
* Trailing time is steps of 15 s, the current one included, as many as the window needs; a match
  stamped before the newest step counts to the newest. A new trading date begins without trades.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.alerts.history import begin_alert, is_repeat, tell
from engine.config import AlertsConfig
from engine.jit import kernel
from engine.schema.codes import AlertState, AlertType, NoteFlag, Phase, Severity, TradeEvent

TYPE = np.int64(AlertType.VOLUME_SPIKE)
NO_STATE, INFO = np.int64(AlertState.NONE), np.int64(Severity.INFO)
MATCH, CONTINUOUS = int(TradeEvent.MATCH), int(Phase.CONTINUOUS)
AFTER_OUTAGE = int(NoteFlag.AFTER_OUTAGE)

STEP_S = 15
RING_STEPS = 240  # 3600 s, the longest window the configuration allows
VOLUME_MAX = 9 * 10**18

FIELDS: list[Any] = [
    ("spike_step", "<i8"),  # newest step, counted since 1970; 0: no trade today
    ("spike_volume_shares", "<i8"),  # of all steps
    ("spike_trade_count", "<i8"),
    ("spike_step_volume_shares", "<i8", (RING_STEPS,)),  # by step, place step % spike_steps
    ("spike_step_trade_count", "<u4", (RING_STEPS,)),
]
PARAMS: list[Any] = [
    ("spike_percent", "<i8"),
    ("spike_window_s", "<i8"),
    ("spike_steps", "<i8"),
    ("spike_trades_min", "<i8"),
]


def fill_volume_spike(params: NDArray[np.void], settings: AlertsConfig) -> None:
    """Write the rule's numbers into ``params[0]``."""
    params[0]["spike_percent"] = settings.volume_spike_percent
    params[0]["spike_window_s"] = settings.volume_spike_window_s
    params[0]["spike_steps"] = min(-(-settings.volume_spike_window_s // STEP_S), RING_STEPS)
    params[0]["spike_trades_min"] = settings.volume_spike_trades_min


@kernel
def forget_trades(own: Any) -> None:
    """Begin a trading date: to the day's first match, every step of the ring is long ago."""
    own["spike_step"] = 0


@kernel
def slide(own: Any, step: Any, steps: Any) -> None:
    """Let the window end at `step`: take out of the sums what left it."""
    for each in range(max(own["spike_step"] + 1, step - steps + 1), step + 1):
        place = each % steps
        own["spike_volume_shares"] -= own["spike_step_volume_shares"][place]
        own["spike_trade_count"] -= own["spike_step_trade_count"][place]
        own["spike_step_volume_shares"][place] = 0
        own["spike_step_trade_count"][place] = 0
    own["spike_step"] = max(own["spike_step"], step)


@kernel
def percent_of_mean(volume: Any, total: Any, trades: Any) -> Any:
    """Return volume in percent of total / trades, rounded down; at most what fits."""
    scale = 100 * trades
    return min(volume, VOLUME_MAX // scale) * scale // max(total, 1)


@kernel
def volume_spike(
    state: Any, symbol_id: Any, head: Any, trade: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask the rule about a TRADE slot; return the new count."""
    if note["event"] != MATCH or note["phase"] != CONTINUOUS:
        return count
    own, rule = state[symbol_id], params[0]
    exch_s, volume = head["exch_s"], note["volume_shares"]
    steps = rule["spike_steps"]
    slide(own, np.int64(exch_s) // STEP_S, steps)
    total, trades = own["spike_volume_shares"], own["spike_trade_count"]
    place = own["spike_step"] % steps
    own["spike_volume_shares"] += volume
    own["spike_trade_count"] += 1
    own["spike_step_volume_shares"][place] += volume
    own["spike_step_trade_count"][place] += 1
    if trades < max(rule["spike_trades_min"], 1) or note["flags"] & AFTER_OUTAGE:
        return count
    # volume x 100 x trades > percent x total, without a product that may not fit
    if volume <= rule["spike_percent"] * total // (100 * trades):
        return count
    if is_repeat(own, params, TYPE, NO_STATE, INFO, exch_s):
        return count
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, NO_STATE, INFO)
    row = own["row"]
    row["price_e2"] = trade["last_price_e2"]
    row["volume_shares"] = volume
    row["value_vnd"] = note["value_vnd"]
    row["measured"] = percent_of_mean(volume, total, trades)
    row["threshold"] = rule["spike_percent"]
    row["count"] = trades
    row["duration_s"] = rule["spike_window_s"]
    return tell(own, out, count)
