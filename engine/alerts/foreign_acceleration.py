"""Alert ``foreign_acceleration``: foreigners suddenly buy or sell much faster than before.

Source: market-behaviour sections 6 and 10. What flows, and what is a baseline or a reset, is
``trackers.flow``. Rules:

* Warning: net value is what foreigners bought less what they sold today. The net value five
  minutes ago is the present one less the flow of the trailing five minutes; without sign it is at
  least ``foreign_value_min_vnd``, and the flow, without sign, is more than
  ``foreign_acceleration_percent`` of it.
* It fires with a FOREIGN message only, and only when the base of the figures is at least five
  minutes old: the day's first message, a reset, or the first message after an outage. Before that
  nobody knows the value of five minutes ago.
* Once it has fired it is armed again when the flow, without sign, is at most ``rearm_percent`` of
  what fires. That is looked at with every slot that lets the window move.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.alerts.history import begin_alert, is_repeat, percent_of, seconds_since, tell
from engine.config import AlertsConfig
from engine.jit import kernel
from engine.schema.codes import AlertState, AlertType, Severity
from engine.trackers.flow import STEP_S, WINDOW_STEPS, net_value_vnd

TYPE = np.int64(AlertType.FOREIGN_ACCELERATION)
NO_STATE, WARNING = np.int64(AlertState.NONE), np.int64(Severity.WARNING)
WINDOW_S = STEP_S * WINDOW_STEPS

FIELDS: list[Any] = [("accelerated", "u1")]  # 1: it fired and is not armed
PARAMS: list[Any] = [
    ("acceleration_percent", "<i8"),
    ("acceleration_min_vnd", "<i8"),
    ("rearm_percent", "<i8"),
]


def fill_foreign_acceleration(params: NDArray[np.void], settings: AlertsConfig) -> None:
    """Write the rule's numbers into ``params[0]``."""
    params[0]["acceleration_percent"] = settings.foreign_acceleration_percent
    params[0]["acceleration_min_vnd"] = settings.foreign_value_min_vnd
    params[0]["rearm_percent"] = settings.rearm_percent


@kernel
def forget_acceleration(own: Any) -> None:
    """Begin a trading date."""
    own["accelerated"] = 0


@kernel
def change_that_fires(own: Any, params: Any) -> Any:
    """Return the change of five minutes that the flow must exceed, VND without sign."""
    before_vnd = abs(net_value_vnd(own) - own["flow_net_value_5m_vnd"])
    return percent_of(before_vnd, params[0]["acceleration_percent"])


@kernel
def rearm_acceleration(own: Any, params: Any) -> None:
    """Arm the rule again if the flow has calmed down."""
    if own["accelerated"]:
        calm_vnd = percent_of(change_that_fires(own, params), params[0]["rearm_percent"])
        if abs(own["flow_net_value_5m_vnd"]) <= calm_vnd:
            own["accelerated"] = 0


@kernel
def foreign_acceleration(
    state: Any,
    symbol_id: Any,
    head: Any,
    note: Any,
    since_exch_s: Any,
    params: Any,
    out: Any,
    count: Any,
) -> Any:
    """Ask the rule about a FOREIGN slot that the flow took; return the new count.

    `since_exch_s`: when the flow's base was told.
    """
    own, exch_s = state[symbol_id], head["exch_s"]
    rearm_acceleration(own, params)
    if own["accelerated"] or seconds_since(exch_s, since_exch_s) < WINDOW_S:
        return count
    net_vnd, change_vnd = net_value_vnd(own), own["flow_net_value_5m_vnd"]
    fires_vnd = change_that_fires(own, params)
    if abs(net_vnd - change_vnd) < params[0]["acceleration_min_vnd"]:
        return count
    if abs(change_vnd) <= fires_vnd:
        return count
    own["accelerated"] = 1
    if is_repeat(own, params, TYPE, NO_STATE, WARNING, exch_s):
        return count
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, NO_STATE, WARNING)
    row = own["row"]
    row["value_vnd"] = net_vnd
    row["measured"] = change_vnd
    row["threshold"] = fires_vnd
    row["volume_shares"] = own["flow_net_volume_5m_shares"]
    return tell(own, out, count)
