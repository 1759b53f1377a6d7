"""Alert ``room_exhausted``: what foreigners may still buy is gone, or will be soon.

Source: market-behaviour sections 6 and 10. Room is ``trackers.flow``'s: a room of 0 of 0 is not
told. Rules, asked of every FOREIGN message that the flow accepts:

* BEGIN, critical: room is 0 (of a total above 0) after it was above 0 today. It arms SOON again.
* END, info, if the BEGIN was told: there is room again.
* SOON, warning: at the speed of the trailing five minutes the room will be used up within
  ``room_exhausted_within_s``; the prediction, room x 300 / room used, is rounded up to a second.
  Once it has fired it is armed again when the room stops falling, or when the prediction is so
  long that within / prediction is at most ``rearm_percent``. That is looked at with every slot
  that lets the window move.
* A room that was found, not seen happening, is adopted in silence: the day's first message, a reset
  of the figures, and the first message after an outage. And none of these is a speed: SOON needs
  the base of the figures to be five minutes old.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.alerts.history import begin_alert, is_repeat, seconds_since, tell
from engine.config import AlertsConfig
from engine.jit import kernel
from engine.schema.codes import AlertState, AlertType, Severity
from engine.trackers.flow import STEP_S, WINDOW_STEPS

TYPE = np.int64(AlertType.ROOM_EXHAUSTED)
BEGIN, END, SOON = np.int64(AlertState.BEGIN), np.int64(AlertState.END), np.int64(AlertState.SOON)
INFO, WARNING, CRITICAL = (
    np.int64(Severity.INFO),
    np.int64(Severity.WARNING),
    np.int64(Severity.CRITICAL),
)
WINDOW_S = STEP_S * WINDOW_STEPS

NEVER_S = 1 << 40  # the room does not fall
NOT_TOLD, SOME, GONE = 0, 1, 2

FIELDS: list[Any] = [
    ("room_is", "u1"),  # NOT_TOLD today, SOME or GONE
    ("room_told", "u1"),  # the BEGIN was told
    ("room_ends_soon", "u1"),  # SOON has fired and is not armed
    ("room_gone_exch_s", "<u4"),
]
PARAMS: list[Any] = [("room_within_s", "<i8")]


def fill_room_exhausted(params: NDArray[np.void], settings: AlertsConfig) -> None:
    """Write the rule's numbers into ``params[0]``; `rearm_percent` is there already."""
    params[0]["room_within_s"] = settings.room_exhausted_within_s


@kernel
def forget_room(own: Any) -> None:
    """Begin a trading date."""
    own["room_is"] = NOT_TOLD
    own["room_told"] = 0
    own["room_ends_soon"] = 0
    own["room_gone_exch_s"] = 0


@kernel
def predicted_s(own: Any) -> Any:
    """Return in how many seconds the room is used up at the present speed, or NEVER_S."""
    used = own["flow_room_used_5m_shares"]
    if used <= 0:
        return np.int64(NEVER_S)
    return min((own["flow_current_room_shares"] * WINDOW_S + used - 1) // used, NEVER_S)


@kernel
def rearm_room(own: Any, params: Any) -> None:
    """Arm SOON again if the room has stopped falling, or falls much slower."""
    if own["room_ends_soon"]:
        left_s, within_s = predicted_s(own), params[0]["room_within_s"]
        calm = left_s == NEVER_S or left_s * params[0]["rearm_percent"] >= within_s * 100
        if calm and left_s > within_s:
            own["room_ends_soon"] = 0


@kernel
def room_gone(
    state: Any, symbol_id: Any, head: Any, note: Any, found: Any, params: Any, out: Any, count: Any
) -> Any:
    """Take in that there is no room; return the new count."""
    own, exch_s = state[symbol_id], head["exch_s"]
    before = own["room_is"]
    own["room_is"] = GONE
    own["room_ends_soon"] = 0
    if before != GONE:
        own["room_told"] = 0
        own["room_gone_exch_s"] = exch_s
    if before != SOME or found or is_repeat(own, params, TYPE, BEGIN, CRITICAL, exch_s):
        return count
    own["room_told"] = 1
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, BEGIN, CRITICAL)
    return tell(own, out, count)


@kernel
def room_is_back(state: Any, symbol_id: Any, head: Any, note: Any, out: Any, count: Any) -> Any:
    """Take in that there is room; return the new count."""
    own, exch_s = state[symbol_id], head["exch_s"]
    own["room_is"] = SOME
    if not own["room_told"]:
        return count
    own["room_told"] = 0
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, END, INFO)
    own["row"]["volume_shares"] = own["flow_current_room_shares"]
    own["row"]["duration_s"] = seconds_since(exch_s, own["room_gone_exch_s"])
    return tell(own, out, count)


@kernel
def room_ends_soon(
    state: Any, symbol_id: Any, head: Any, note: Any, found: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask whether the room is predicted to end; return the new count."""
    own, exch_s = state[symbol_id], head["exch_s"]
    rearm_room(own, params)
    left_s, within_s = predicted_s(own), params[0]["room_within_s"]
    if left_s > within_s or own["room_ends_soon"] or found:
        return count
    own["room_ends_soon"] = 1
    if is_repeat(own, params, TYPE, SOON, WARNING, exch_s):
        return count
    begin_alert(state, symbol_id, head, note["phase"], exch_s, TYPE, SOON, WARNING)
    row = own["row"]
    row["volume_shares"] = own["flow_current_room_shares"]
    row["measured"] = left_s
    row["threshold"] = within_s
    return tell(own, out, count)


@kernel
def room_exhausted(
    state: Any,
    symbol_id: Any,
    head: Any,
    note: Any,
    found: Any,
    since_exch_s: Any,
    params: Any,
    out: Any,
    count: Any,
) -> Any:
    """Ask the rule about a FOREIGN slot that the flow took; return the new count, at most two more.

    `found`: what it shows was not seen happening. `since_exch_s`: when the flow's base was told.
    """
    own = state[symbol_id]
    if own["flow_room_told"] == 0 or own["flow_total_room_shares"] <= 0:
        return count
    if own["flow_current_room_shares"] <= 0:
        return room_gone(state, symbol_id, head, note, found, params, out, count)
    count = room_is_back(state, symbol_id, head, note, out, count)
    young = seconds_since(head["exch_s"], since_exch_s) < WINDOW_S
    return room_ends_soon(state, symbol_id, head, note, found or young, params, out, count)
