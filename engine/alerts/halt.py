"""Alert ``halt``: trading in a symbol stops, and goes on.

Source: market-behaviour sections 2 and 10. Rules:

* Asked of every TRADE, QUOTE, INDEX, FOREIGN and STATUS slot, except one that tells a match: its
  phase is the match's. Whether a symbol is halted is classify's to say (phase HALT).
* BEGIN, critical: the phase turns to HALT, or is HALT in the symbol's first message of the day.
* END, info, if the BEGIN was told: the phase is another one. It is silent when that is CLOSED: the
  day is over, trading did not go on.
* A BEGIN that was held back as a repeat is told late, by the first slot after the repeat time that
  finds the symbol still halted: the last word must not be that trading goes on. The END tells how
  long the halt lasted from its true beginning.
* A new trading date knows of no halt. After an outage the present state is told, as it is true.
"""

from typing import Any

import numpy as np

from engine.alerts.history import begin_alert, is_repeat, seconds_since, tell
from engine.jit import kernel
from engine.schema.codes import AlertState, AlertType, Phase, Severity, TradeEvent

TYPE = np.int64(AlertType.HALT)
BEGIN, END = np.int64(AlertState.BEGIN), np.int64(AlertState.END)
INFO, CRITICAL = np.int64(Severity.INFO), np.int64(Severity.CRITICAL)
HALT, CLOSED = int(Phase.HALT), int(Phase.CLOSED)
MATCH, LATE = int(TradeEvent.MATCH), int(TradeEvent.LATE)

FIELDS: list[Any] = [
    ("halted", "u1"),
    ("halt_told", "u1"),  # the BEGIN was told
    ("halt_exch_s", "<u4"),  # when it was first seen
]


@kernel
def forget_halt(own: Any) -> None:
    """Begin a trading date."""
    own["halted"] = 0
    own["halt_told"] = 0
    own["halt_exch_s"] = 0


@kernel
def halt(
    state: Any, symbol_id: Any, head: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask the rule about a slot of the symbol; return the new count."""
    if note["event"] in (MATCH, LATE):
        return count
    own = state[symbol_id]
    exch_s, phase = head["exch_s"], note["phase"]
    if phase == HALT:
        if not own["halted"]:
            own["halted"] = 1
            own["halt_exch_s"] = exch_s
        if own["halt_told"] or is_repeat(own, params, TYPE, BEGIN, CRITICAL, exch_s):
            return count
        own["halt_told"] = 1
        begin_alert(state, symbol_id, head, phase, exch_s, TYPE, BEGIN, CRITICAL)
        return tell(own, out, count)
    if not own["halted"]:
        return count
    told = own["halt_told"] and phase != CLOSED
    lasted_s = seconds_since(exch_s, own["halt_exch_s"])
    forget_halt(own)
    if not told:
        return count
    begin_alert(state, symbol_id, head, phase, exch_s, TYPE, END, INFO)
    own["row"]["duration_s"] = lasted_s
    return tell(own, out, count)
