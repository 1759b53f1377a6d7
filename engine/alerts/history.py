"""What was told of a symbol today: numbers of alerts, and which of them would only repeat.

Source: market-behaviour section 10. Every rule asks here before it tells. Rules:

* An alert is a repeat when one of the same type, symbol and state (BEGIN, SOON ...) was told less
  than ``alerts.repeat_s`` of exchange time ago, or is stamped later than this one. A repeat is not
  told. One that is more severe than the one before is no repeat: a silent feed that then goes away
  is news.
* A repeat time hides no lasting state: a halt, a price at its limit, the side of a basis. If that
  still holds when the time is over it is told then, late, by the symbol's next slot. The rule that
  was held back asks again, and the alert's stamp is that slot's.
* An END is told if its BEGIN was, whenever that is, and only then: the rule that began it knows.
* Alerts are numbered 1, 2, 3 ... per type, symbol and trading date. A new date begins anew, also
  with repeats.
* Every alert is a row, rows never merge, and ``seq`` goes on over days.

Rules name types, states and severities as ``np.int64``: numba compiles a function anew for every
plain int constant it is called with, and these functions are called by all rules.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema.codes import AlertState, AlertType
from engine.schema.deltas import ALERT_DELTA
from engine.shard.groups import stamp

TYPE_COUNT = len(AlertType)
STATE_COUNT = len(AlertState)

HISTORY_FIELDS: list[Any] = [
    ("row", ALERT_DELTA),  # the last one told; row 0, which is no symbol: blank for ever
    ("day", "<i8"),  # trading date, days since 1970 (ICT); 0: nothing heard yet
    ("told_count", "<u4", (TYPE_COUNT,)),  # alerts of today by type
    ("told_exch_s", "<u4", (TYPE_COUNT, STATE_COUNT)),  # the newest of them; 0: none today
    ("told_severity", "u1", (TYPE_COUNT, STATE_COUNT)),  # its Severity
]

HISTORY_PARAMS: list[Any] = [("repeat_s", "<i8")]


@kernel
def forget_told(own: Any, day: Any) -> None:
    """Begin the history of a trading date."""
    own["day"] = day
    for kind in range(TYPE_COUNT):
        own["told_count"][kind] = 0
        for alert_state in range(STATE_COUNT):
            own["told_exch_s"][kind, alert_state] = 0
            own["told_severity"][kind, alert_state] = 0


@kernel
def is_repeat(
    own: Any, params: Any, kind: Any, alert_state: Any, severity: Any, exch_s: Any
) -> Any:
    """Return whether an alert of this type and state would only repeat an earlier one."""
    last_s = np.int64(own["told_exch_s"][kind, alert_state])
    if last_s == 0 or severity > own["told_severity"][kind, alert_state]:
        return False
    return np.int64(exch_s) - last_s < params[0]["repeat_s"]


@kernel
def begin_alert(
    state: Any,
    symbol_id: Any,
    head: Any,
    phase: Any,
    exch_s: Any,
    kind: Any,
    alert_state: Any,
    severity: Any,
) -> None:
    """Make ``state[symbol_id]["row"]`` a new alert with blank numbers, and remember it as told.

    Parameters
    ----------
    state
        The stage's state, shape (symbols,); row 0 has a blank row.
    symbol_id
        Whom the alert is about; need not be the slot's.
    head, phase, exch_s
        Head of the slot that shows it, its phase, and the stamp to tell: the slot's, or the
        market's time for slots without one.
    kind, alert_state, severity
        AlertType, AlertState and Severity.
    """
    own = state[symbol_id]
    seq = own["row"]["seq"]
    own["row"] = state[0]["row"]
    own["told_count"][kind] += 1
    own["told_exch_s"][kind, alert_state] = exch_s
    own["told_severity"][kind, alert_state] = severity
    row = own["row"]
    stamp(row, head, phase, 0)
    row["exch_s"] = exch_s
    row["symbol_id"] = symbol_id
    row["seq"] = seq + 1
    row["updates"] = 1
    row["alert_type"] = kind
    row["alert_state"] = alert_state
    row["severity"] = severity
    row["alert_no"] = own["told_count"][kind]
    row["trade_day"] = own["day"]


@kernel
def tell(own: Any, out: Any, count: Any) -> Any:
    """Publish the alert that was begun and filled; return the new count."""
    out[count] = own["row"]
    return count + 1


@kernel
def seconds_since(exch_s: Any, begun_exch_s: Any) -> Any:
    """Return how long something lasted; stamps may step back, time does not."""
    return max(np.int64(0), np.int64(exch_s) - np.int64(begun_exch_s))


@kernel
def percent_of(value: Any, percent: Any) -> Any:
    """Return value x percent / 100 rounded down, for values of which 100 times may not fit."""
    return value // 100 * percent + value % 100 * percent // 100
